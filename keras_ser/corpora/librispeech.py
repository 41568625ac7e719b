"""LibriSpeech: read English from audio books, with the speakers' genders and without emotions; an auxiliary stream.

Files are `<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<nnnn>.flac`, and `SPEAKERS.TXT` with one line per reader,
`ID | SEX | SUBSET | MINUTES | NAME` (a name may contain `|`). 16 kHz, mono.

Licence: CC BY 4.0.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.corpora.layout import audio_files, entries, existing_folder, strays_below, unknown_names, wrong_corpus
from keras_ser.corpora.table import gender

CITATION = (
    "Panayotov, V., Chen, G., Povey, D., Khudanpur, S. (2015). LibriSpeech: an ASR corpus based on public domain audio "
    "books. ICASSP, 5206-5210."
)
EXPECTED_FILE = "SPEAKERS.TXT and train-clean-100/19/198/19-198-0000.flac"
# Number of utterances in each subset.
SUBSETS = {
    "dev-clean": 2703,
    "dev-other": 2864,
    "test-clean": 2620,
    "test-other": 2939,
    "train-clean-100": 28539,
    "train-clean-360": 104014,
    "train-other-500": 148688,
}
NAME = re.compile(r"(\d+)-(\d+)-\d{4}")


def _genders(path: Path) -> dict[str, str | None]:
    """Read speaker -> gender from SPEAKERS.TXT."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [[field.strip() for field in line.split("|", 4)] for line in lines if line.strip() and line[0] != ";"]
    broken = [row[0] for row in rows if len(row) < 5 or not row[0].isdigit()]
    if broken:
        raise CorpusError(
            f"librispeech: expected lines 'ID | SEX | SUBSET | MINUTES | NAME' in {path}. Received: {listed(broken)}."
        )
    return {row[0]: gender(row[1]) for row in rows}


def _root(root: str | Path) -> tuple[Path, str | None]:
    """Return (the folder of SPEAKERS.TXT, the subset if `root` is the folder of one)."""
    root = existing_folder(root, "librispeech", EXPECTED_FILE)
    if (root / "SPEAKERS.TXT").is_file():
        return root, None
    if (root / "LibriSpeech" / "SPEAKERS.TXT").is_file():
        return root / "LibriSpeech", None
    real = root.resolve()
    if real.name in SUBSETS and (real.parent / "SPEAKERS.TXT").is_file():
        return real.parent, real.name
    raise wrong_corpus(root, "librispeech", EXPECTED_FILE)


def read(root: str | Path, subsets: Sequence[str] | None = None) -> Corpus:
    """Read LibriSpeech from the folder that holds SPEAKERS.TXT (or the folder above, or the folder of a single subset).

    Utterances have a speaker, a gender and the groups `subset` and `chapter`, but no labels.

    Args:
        root: the folder of the corpus.
        subsets: subsets to read, e.g. ("train-clean-100",); by default all that exist.

    Raises:
        CorpusError: files that do not match the corpus; a missing subset; a speaker who is not in SPEAKERS.TXT.
    """
    root, named = _root(root)
    there = [path.name for path in entries(root) if path.is_dir() and path.name in SUBSETS]
    wanted = list(subsets) if subsets is not None else [named] if named else there
    absent = [subset for subset in wanted if subset not in there]
    if absent or not wanted:
        raise CorpusError(
            f"librispeech: subsets must be among those under {root}: {listed(there) or 'there are none'}. "
            f"Received: {listed(absent) or 'none'}. Unpack the subset beside SPEAKERS.TXT."
        )
    genders = _genders(root / "SPEAKERS.TXT")
    utterances, strays, unknown = [], [], set()
    for subset in wanted:
        known: list[Path] = []
        for speaker in (path for path in entries(root / subset) if path.is_dir()):
            for chapter in (path for path in entries(speaker) if path.is_dir()):
                for stem, path in audio_files(chapter).items():
                    known.append(path)
                    match = NAME.fullmatch(stem)
                    if not match or match.groups() != (speaker.name, chapter.name):
                        strays.append(path.relative_to(root).as_posix())
                        continue
                    unknown |= {speaker.name} - set(genders)
                    utterances.append(
                        Utterance(
                            id=stem,
                            path=path.relative_to(root).as_posix(),
                            speaker=speaker.name,
                            gender=genders.get(speaker.name),
                            groups={"subset": subset, "chapter": chapter.name},
                        )
                    )
        strays += strays_below(root / subset, known)
    if strays:
        raise unknown_names("librispeech", strays, EXPECTED_FILE)
    if unknown:
        raise CorpusError(
            f"librispeech: SPEAKERS.TXT does not list these speakers: {listed(sorted(unknown, key=int))}."
        )
    if not utterances:
        raise wrong_corpus(root, "librispeech", EXPECTED_FILE)
    return Corpus(
        name="librispeech",
        root=root,
        utterances=tuple(utterances),
        vocabulary={},
        citation=CITATION,
        expected={
            "utterances": sum(SUBSETS[subset] for subset in wanted),
            "subset": {subset: SUBSETS[subset] for subset in wanted},
        },
    )
