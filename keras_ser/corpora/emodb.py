"""EmoDB, the Berlin Database of Emotional Speech: ten German sentences, acted by five women and five men.

Files are `wav/<speaker 2><text 3><emotion 1><version 1>.wav`, e.g. `wav/03a01Fa.wav`: speaker 03, text a01, happiness
(Freude), version a. The emotion letters are the initials of the German words. 16 kHz, mono, 16-bit; every clip is
peak-normalised, so absolute loudness carries no information.

There are two editions: the 535 clips of 2005, selected by listeners (at least 80 % recognised, 60 % found natural), on
which nearly all published results are based, and a later one of 816. Results on the two are not comparable.

Licence: free for research (the authors' page); a later edition is under CC0.
"""

import re
from pathlib import Path

from keras_ser.corpora.corpus import Corpus, Utterance
from keras_ser.corpora.layout import holds_named, locate, matched_files

CITATION = (
    "Burkhardt, F., Paeschke, A., Rolfes, M., Sendlmeier, W., Weiss, B. (2005). A database of German emotional speech. "
    "Interspeech, 1517-1520."
)
EXPECTED_FILE = "wav/03a01Fa.wav"
EMOTIONS = dict(zip("WLEAFNT", ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"), strict=True))
MALE = ("03", "10", "11", "12", "15")
FEMALE = ("08", "09", "13", "14", "16")
NAME = re.compile(rf"({'|'.join(MALE + FEMALE)})([a-z]\d\d)([{''.join(EMOTIONS)}])([a-z])")
EDITIONS = {
    535: {
        "utterances": 535,
        "speaker": 10,
        "gender": {"female": 302, "male": 233},
        "emotion": dict(zip(EMOTIONS.values(), (127, 81, 46, 69, 71, 79, 62), strict=True)),
    },
    816: {"utterances": 816, "speaker": 10},
}


def read(root: str | Path) -> Corpus:
    """Read EmoDB from the folder that holds `wav/` (or `wav/` itself, or the folder above).

    Each utterance has the label `emotion` and the group `sentence` (the text spoken, a01 .. b10). Raises CorpusError for files
    that do not match the corpus.
    """
    root = locate(root, "emodb", EXPECTED_FILE, lambda folder: holds_named(folder / "wav", NAME), inner=("wav",))
    utterances = []
    for stem, (path, match) in matched_files(root / "wav", NAME, "emodb", EXPECTED_FILE).items():
        speaker, text, letter, _ = match.groups()
        utterances.append(
            Utterance(
                id=stem,
                path=path.relative_to(root).as_posix(),
                speaker=speaker,
                gender="male" if speaker in MALE else "female",
                labels={"emotion": EMOTIONS[letter]},
                groups={"sentence": text},
            )
        )
    edition = 535 if len(utterances) <= 535 else 816
    return Corpus(
        name="emodb",
        root=root,
        utterances=tuple(utterances),
        vocabulary={"emotion": tuple(EMOTIONS.values())},
        citation=CITATION,
        expected=EDITIONS[edition],
        flaws=(
            f"There are two editions, of 535 clips (2005) and of 816; this copy is compared with the one of {edition}. "
            "Published results are based on the 535.",
            "Every clip is peak-normalised to full scale: its loudness is not that of the speaker.",
        ),
    )
