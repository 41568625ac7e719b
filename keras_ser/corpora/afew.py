"""AFEW 6.0 (EmotiW 2016): film clips in seven emotions, with the noise and music of the films.

Clips are in `Train/<Emotion>/<id>.avi` and `Val/<Emotion>/<id>.avi` (`Train_AFEW`, `Val_AFEW` in later releases). The
folder is the label, there is no label file, and the id has nine digits. The test part, `Test_vid_Distribute/<id>.avi`,
is flat and unlabelled. Audio is the soundtrack of the .avi (read through PyAV, the extra `video`), or a .wav or
.flac of the same name, extracted beforehand (`ffmpeg -i 000053760.avi -vn 000053760.wav`), which takes precedence.

AFEW does not name speakers, genders or films. They can be given in a table (`metadata`); without it, splits with disjoint
speakers or films are impossible. One id may be in Train and in Val (two cuts of one scene), so an utterance's id is
`Train/000053760`. There are 773 + 383 labelled clips and 593 test clips.

Licence: by agreement with the authors, for research.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance, check_some
from keras_ser.corpora.layout import AUDIO, audio_files, entries, locate, strays_below, unknown_names
from keras_ser.corpora.table import read_metadata

CITATION = (
    "Dhall, A., Goecke, R., Joshi, J., Hoey, J., Gedeon, T. (2016). EmotiW 2016: video and group-level emotion "
    "recognition challenges. ICMI, 427-432."
)
EXPECTED_FILE = "Train/Angry/000053760.avi (or .wav, .flac)"
EMOTIONS = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
# Subset -> possible names of its folder.
SUBSETS = {
    "Train": ("Train", "Train_AFEW"),
    "Val": ("Val", "Val_AFEW"),
    "Test": ("Test_vid_Distribute", "Test", "Test_AFEW"),
}
# Clips per subset, in the order of EMOTIONS.
COUNTS = {
    "Train": (133, 74, 81, 150, 144, 117, 74),
    "Val": (64, 40, 46, 63, 63, 61, 46),
    "Test": (),
}
TEST_CLIPS = 593
SUFFIXES = (*AUDIO, ".avi")
NAME = re.compile(r"\d{9}")


def _subset_folder(root: Path, subset: str) -> Path | None:
    return next((root / name for name in SUBSETS[subset] if (root / name).is_dir()), None)


def _holds(folder: Path) -> bool:
    parts = [part for part in (_subset_folder(folder, subset) for subset in SUBSETS) if part]
    return any((part / emotion).is_dir() for part in parts for emotion in EMOTIONS) or any(
        NAME.fullmatch(stem) for part in parts for stem in audio_files(part, SUFFIXES)
    )


def _expected(subsets: Sequence[str]) -> dict:
    sizes = {subset: sum(COUNTS[subset]) if COUNTS[subset] else TEST_CLIPS for subset in subsets}
    labelled = [COUNTS[subset] for subset in subsets if COUNTS[subset]]
    emotions = dict(zip(EMOTIONS.values(), map(sum, zip(*labelled, strict=True)), strict=False))
    return {"utterances": sum(sizes.values()), "subset": sizes} | ({"emotion": emotions} if emotions else {})


def read(root: str | Path, metadata: str | Path | None = None, subsets: Sequence[str] = ("Train", "Val")) -> Corpus:
    """Read AFEW from the folder that holds `Train` and `Val` (or the folder above).

    Each utterance has the label `emotion` (except in Test) and the group `subset`; speaker, gender and the groups `film`
    and `session` are taken from `metadata`, if given there.

    Args:
        root: the folder of the corpus.
        metadata: a CSV file with the column `id` (000053760; leading zeros that a spreadsheet removed are restored) and any of
            subset (Train, Val), speaker, gender, film, session. Without `subset`, a row describes every clip with that
            id.
        subsets: any of "Train", "Val" and "Test".

    Raises:
        CorpusError: files, folders or metadata that do not match the corpus; a clip in two emotions' folders; an unknown subset.
    """
    check_some("afew", "subsets", subsets, SUBSETS)
    root = locate(root, "afew", EXPECTED_FILE, _holds)
    clips: dict[str, tuple[Path, str, str | None]] = {}
    places: dict[str, list[str]] = {}
    strays = []
    for subset in subsets:
        folder = _subset_folder(root, subset)
        if folder is None:
            raise CorpusError(
                f"afew: expected the folder {' or '.join(SUBSETS[subset])} under {root}. "
                f"Received: {listed(path.name for path in entries(root))}. Unpack it there, or leave {subset} out of "
                "`subsets`."
            )
        # Train and Val hold folders of emotions, Test the clips themselves; audio anywhere else is an error.
        parts = (
            [folder] if subset == "Test" else [folder / emotion for emotion in EMOTIONS if (folder / emotion).is_dir()]
        )
        read = []
        for part in parts:
            for stem, path in audio_files(part, SUFFIXES).items():
                if NAME.fullmatch(stem):
                    read.append(path)
                    places.setdefault(f"{subset}/{stem}", []).append(part.name)
                    clips[f"{subset}/{stem}"] = (path, subset, EMOTIONS.get(part.name) if subset != "Test" else None)
        strays += strays_below(folder, read, SUFFIXES)
        linked = [path for path in entries(folder) if path.is_symlink() and path.is_dir()]  # not entered from above
        strays += [f"{folder.name}/{place}" for part in linked for place in strays_below(part, read, SUFFIXES)]
    if strays:
        raise unknown_names("afew", strays, f"{EXPECTED_FILE}, in folders named {listed(EMOTIONS)}")
    twice = [f"{key} in {' and '.join(folders)}" for key, folders in places.items() if len(folders) > 1]
    if twice:
        raise CorpusError(f"afew: a clip must have one emotion. Received: {listed(twice)}. Keep one of each.")
    about = read_metadata(metadata, "afew", lambda row: _clips_of(row, clips, subsets))
    utterances = []
    for key, (path, subset, emotion) in clips.items():
        row = about.get(key, {})
        utterances.append(
            Utterance(
                id=key,
                path=path.relative_to(root).as_posix(),
                speaker=row.get("speaker"),
                gender=row.get("gender"),
                labels={"emotion": emotion} if emotion else {},
                groups={"subset": subset} | {group: row[group] for group in ("film", "session") if row.get(group)},
            )
        )
    return Corpus(
        name="afew",
        root=root,
        utterances=tuple(utterances),
        vocabulary={"emotion": tuple(EMOTIONS.values())},
        citation=CITATION,
        expected=_expected(subsets),
        flaws=(
            "AFEW names no speaker, gender or film; the published Train and Val are the only split that does not need them.",
            "One id may be in Train and in Val: two cuts of one scene.",
        ),
    )


def _clips_of(row: Mapping[str, str], clips: Mapping, subsets: Sequence[str]) -> list[str] | None:
    """Return the ids of the clips that a metadata row describes; None for a subset that is not read."""
    subset, _, name = row["id"].rpartition("/")
    subset = row.get("subset") or subset
    stem = name.rpartition(".")[0] or name
    stem = stem.zfill(9) if stem.isdigit() else stem
    if subset in SUBSETS and subset not in subsets:
        return None
    return [key for key in ([f"{subset}/{stem}"] if subset else [f"{each}/{stem}" for each in subsets]) if key in clips]
