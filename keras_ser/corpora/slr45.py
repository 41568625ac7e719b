"""ST-AEDS (OpenSLR 45): ten speakers of American English, five women and five men, about 350 sentences each.

The files are in one flat folder, `<speaker>_us_<speaker>_<nnnnn>.wav`, e.g. `f0001_us_f0001_00002.wav`; the first letter of
the speaker is the gender. There are no emotion labels: the corpus serves as an auxiliary stream with genders and speakers.

Licence: CC BY-NC-ND 4.0 (Surfingtech, as stated on openslr.org/45).
"""

import re
from pathlib import Path

from keras_ser.corpora.corpus import Corpus, Utterance
from keras_ser.corpora.layout import holds_named, locate, matched_files

CITATION = (
    "Surfingtech (2018). ST-AEDS-20180100_1, Free ST American English Corpus. OpenSLR 45, https://www.openslr.org/45."
)
EXPECTED_FILE = "f0001_us_f0001_00002.wav"
NAME = re.compile(r"(([fm])\d{4})_us_\1_\d{5}")
EXPECTED = {"utterances": 3842, "speaker": 10}


def read(root: str | Path) -> Corpus:
    """Read ST-AEDS from its flat folder (or the folder above): speakers (f0001 .. m0005) and genders, but no labels.

    Raises CorpusError for files that do not match the corpus.
    """
    root = locate(root, "slr45", EXPECTED_FILE, lambda folder: holds_named(folder, NAME))
    files = matched_files(root, NAME, "slr45", EXPECTED_FILE)
    return Corpus(
        name="slr45",
        root=root,
        utterances=tuple(
            Utterance(
                id=stem,
                path=path.name,
                speaker=match[1],
                gender="female" if match[2] == "f" else "male",
            )
            for stem, (path, match) in files.items()
        ),
        vocabulary={},
        citation=CITATION,
        expected=EXPECTED,
    )
