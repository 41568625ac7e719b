"""RAVDESS, speech, audio only: two English sentences acted in eight emotions by 24 actors, twice, in two intensities.

Files are `Actor_<nn>/<modality>-<channel>-<emotion>-<intensity>-<statement>-<repetition>-<actor>.wav`, all two-digit
numbers; modality is 03 (audio only) and channel 01 (speech; the song part is another corpus). Odd actors are
men, even ones women. Emotion 01 is neutral and has no strong intensity: 96 clips; the other seven have 192 each.

The emotions are the corpus's own eight: `calm` and `neutral` are kept separate.

Licence: CC BY-NC-SA 4.0.
"""

import re
from pathlib import Path

from keras_ser.corpora.corpus import Corpus, Utterance
from keras_ser.corpora.layout import (
    AUDIO,
    audio_files,
    entries,
    files_below,
    holds_named,
    locate,
    strays_below,
    unknown_names,
)

CITATION = (
    "Livingstone, S. R., Russo, F. A. (2018). The Ryerson Audio-Visual Database of Emotional Speech and Song "
    "(RAVDESS). PLoS ONE 13(5), e0196391."
)
EXPECTED_FILE = "Actor_01/03-01-01-01-01-01-01.wav"
_ORDER = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
EMOTIONS = {f"{number:02}": emotion for number, emotion in enumerate(_ORDER, 1)}
INTENSITIES = {"01": "normal", "02": "strong"}
# Statement 01: "Kids are talking by the door"; 02: "Dogs are sitting by the door".
SENTENCES = {"01": "kids", "02": "dogs"}
NAME = re.compile(r"03-01-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")
EXPECTED = {
    "utterances": 1440,
    "speaker": 24,
    "gender": {"female": 720, "male": 720},
    "emotion": {emotion: 96 if emotion == "neutral" else 192 for emotion in EMOTIONS.values()},
}
FLAWS = ("Actor_07: 03-01-03-01-02-01-07 and 03-01-03-01-02-02-07 are the same audio.",)


def _actors(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.is_dir() and re.fullmatch(r"Actor_\d\d", path.name)]


def read(root: str | Path) -> Corpus:
    """Read RAVDESS from the folder that holds `Actor_01` .. `Actor_24` (or the folder above).

    Each utterance has the labels `emotion` and `intensity` and the groups `sentence` and `repetition`; speakers are
    "01" to "24". Raises CorpusError for files that do not match the corpus.
    """
    root = locate(
        root, "ravdess", EXPECTED_FILE, lambda folder: any(holds_named(actor, NAME) for actor in _actors(folder))
    )
    utterances, strays = [], []
    for folder in _actors(root):
        for stem, path in audio_files(folder).items():
            match = NAME.fullmatch(stem)
            if not match or folder.name != f"Actor_{match[5]}":
                strays.append(f"{folder.name}/{path.name}")
                continue
            emotion, intensity, sentence, repetition, actor = match.groups()
            utterances.append(
                Utterance(
                    id=stem,
                    path=path.relative_to(root).as_posix(),
                    speaker=actor,
                    gender="male" if int(actor) % 2 else "female",
                    labels={"emotion": EMOTIONS[emotion], "intensity": INTENSITIES[intensity]},
                    groups={"sentence": SENTENCES[sentence], "repetition": repetition},
                )
            )
        strays += strays_below(folder, audio_files(folder).values())
    if strays:
        raise unknown_names("ravdess", strays, f"{EXPECTED_FILE} (audio only: 03, speech: 01)")
    outside = strays_below(root, (path for folder in _actors(root) for path in files_below(folder, AUDIO)))
    notes = (
        [f"{len(outside)} audio file(s) outside Actor_01 .. Actor_24 are not read, such as {outside[0]}."]
        if outside
        else []
    )
    return Corpus(
        name="ravdess",
        root=root,
        utterances=tuple(utterances),
        vocabulary={"emotion": tuple(EMOTIONS.values()), "intensity": tuple(INTENSITIES.values())},
        citation=CITATION,
        expected=EXPECTED,
        flaws=(*FLAWS, *notes),
    )
