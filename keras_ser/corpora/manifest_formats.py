"""Find and read the table of a manifest, in any of these formats, as rows of text.

clips.csv (.tsv)                          one row per utterance
clips.jsonl                               one JSON object per line
clips.parquet                             a column of paths, or of audio files as Hugging Face stores them
folder with one such file                 that file
folder/[train/]metadata.csv (.jsonl)      Hugging Face's `audiofolder`; the column file_name holds the paths
folder/[train/]anger/x.wav                class folders: the name of a file's folder is its emotion
folder/[data/]train-00000-of-00001.parquet   a Hugging Face data set
folder/db.yaml                            an audformat database
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from keras_ser.checks import listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.corpora.layout import entries, existing_folder, files_below
from keras_ser.corpora.plain_text import read_text
from keras_ser.corpora.rows import FILE_COLUMNS, Table, check_columns, left_out, note_on_left_out, texts
from keras_ser.corpora.spelling import quoted, shown
from keras_ser.corpora.table import NEWLINE, read_table
from keras_ser.files import user_path

EXPECTED_FILE = "a CSV file with the columns file, speaker, gender, emotion, ..."
METADATA = "metadata"
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
_WHOLE, _FLOAT = re.compile(r"-?[0-9]+"), re.compile(r"-?[0-9]+\.0")
SIDES = {
    "train": "train",
    "test": "test",
    **dict.fromkeys(("validation", "valid", "val", "dev", "devel"), "validation"),
}


def found_table(root: str | Path, file_column: str | None = None) -> Table:
    """Read the table of a manifest's root: a file, or a folder in one of the layouts of this module.

    Args:
        root: the file or the folder.
        file_column: the column of paths or audio, if the user names it.

    Raises:
        CorpusError: there is no table, or there are several; any error of the readers.
    """
    path = user_path(root)
    if not path.is_dir():
        return _read(path, file_column)
    inside = entries(existing_folder(path, "manifest", EXPECTED_FILE))
    if (path / "db.yaml").is_file():
        from keras_ser.corpora.audformat_tables import read_database

        return read_database(path)
    holders = [path, *(folder for folder in inside if folder.name.lower() in SIDES and folder.is_dir())]
    metadata = [f for holder in holders for f in entries(holder) if f.stem == METADATA and f.suffix.lower() in TABLES]
    if metadata:
        return _joined(
            path, [(official_side(file.parent.name), _read(file, file_column)) for file in metadata], file_column
        )
    tables = [file for file in inside if file.suffix.lower() in TABLES and file.is_file()]
    parquet = [file for folder in (path, path / "data") if folder.is_dir() for file in entries(folder)]
    parquet = [file for file in parquet if file.suffix.lower() == ".parquet"]
    if parquet and set(tables) <= set(parquet):
        sides = [official_side(re.split(r"[-.]", file.stem)[0]) for file in parquet]
        parts = [_read(file, file_column) for file in parquet]
        return _joined(path, list(zip(sides, parts, strict=True)), file_column)
    if len(tables) == 1:
        return _read(tables[0], file_column)
    folders = {} if tables else _class_folders(path)
    if not folders:
        raise CorpusError(
            f"manifest: the root must be {EXPECTED_FILE}. Received: the folder {path}, which holds "
            f"{listed(table.name for table in tables) or 'no .csv or .tsv file'}. Give the path of the file itself."
        )
    rows = [
        (number, {"file": file.relative_to(path).as_posix(), "emotion": file.parent.name, "subset": side})
        for number, (file, side) in enumerate(folders.items(), start=1)
    ]
    classes = listed(sorted({row["emotion"] for _, row in rows}), 20)
    return Table(path, path, rows, (f"there is no table: the folders are read as emotions ({classes}).",))


def official_side(name: str) -> str:
    """Return train, validation or test for what corpora call these parts, "" for another name."""
    return SIDES.get(name.lower(), "")


def _read(path: Path, file_column: str | None) -> Table:
    """Read the table of one file."""
    suffix = path.suffix.lower()
    if suffix == ".parquet" and path.is_file():
        from keras_ser.corpora.parquet import read_parquet

        return read_parquet(path, file_column)
    if suffix == ".jsonl" and path.is_file():
        numbered = _objects(path)
        notes = note_on_left_out(left_out(numbered.values()), path.name)
        return Table(path, path.parent, texts(numbered.values(), numbered), notes)
    return Table(
        path, path.parent, read_table(path, "manifest", likely=(file_column,) if file_column else FILE_COLUMNS)
    )


def _objects(path: Path) -> dict[int, dict[str, Any]]:
    """Read line number -> JSON object."""
    found, keys = {}, []

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys[:] = [key for key, _ in pairs]  # in the end those of the outermost object, which is made last
        return dict(pairs)

    text = read_text(path, "manifest: expected JSON lines in UTF-8.", starts=("{",))
    for number, line in enumerate(NEWLINE.split(text), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=made)
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is not text
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise CorpusError(
                f"manifest: {path.name} must have one JSON object per line. Received: {quoted(line, 40)} in line {number}."
            )
        check_columns(keys, f"{path.name}, line {number}")
        found[number] = value
    return found


def _joined(root: Path, parts: Sequence[tuple[str, Table]], file_column: str | None) -> Table:
    """Join several tables into one with paths relative to their folder, or `root` if it differs; a part's side becomes `subset`."""
    if len(parts) == 1 and not parts[0][0]:
        return parts[0][1]
    floats = _floats([part for _, part in parts])
    folders = {part.folder for _, part in parts}
    folder = folders.pop() if len(folders) == 1 else root
    rows: list[dict[str, str]] = []
    numbers: list[str] = []
    notes = [note for _, part in parts for note in part.notes]
    for (side, part), made in zip(parts, floats, strict=True):
        moved, name = _mover(part.folder, folder), part.path.relative_to(root).as_posix()
        if made:
            notes.append(f"read as whole numbers, as other tables have them: {listed(map(shown, made))} ({name}).")
        for number, row in part.rows:
            row = row | {key: row[key].removesuffix(".0") for key in made}
            column = file_column or next((name for name in FILE_COLUMNS if name in row), "")
            more = {"subset": side} if side and "subset" not in row else {}
            if not part.folder.is_relative_to(root) and "id" not in row and not row.get(column, "/").startswith("/"):
                # audio in the cache folder, whose name changes with that of `root`
                more["id"] = (PurePosixPath(name).parent / row[column]).as_posix()
            rows.append({**row, **more, **({column: moved(row[column])} if row.get(column) else {})})
            numbers.append(f"{number} of {name}")
    return Table(root, folder, texts(rows, numbers), tuple(notes))


def _floats(parts: Sequence[Table]) -> list[list[str]]:
    """Return each table's columns that hold only "1.0", "2.0", .. where another one's hold only integers.

    pandas writes integers so if a value of the column is missing in one table.
    """
    kinds = []
    for part in parts:
        columns = part.rows[0][1] if part.rows else ()
        values = {column: [row[column] for _, row in part.rows if row[column]] for column in columns}
        kinds.append(
            {
                column: next((kind for kind in (_WHOLE, _FLOAT) if all(map(kind.fullmatch, found))), None)
                for column, found in values.items()
                if found
            }
        )
    whole = {column for found in kinds for column, kind in found.items() if kind is _WHOLE}
    return [[column for column, kind in found.items() if kind is _FLOAT and column in whole] for found in kinds]


def _mover(start: Path, end: Path) -> Callable[[str], str]:
    inner = start.relative_to(end).as_posix() if start.is_relative_to(end) else start.resolve().as_posix()
    return lambda name: name if inner == "." or name.startswith("/") else f"{inner}/{name}"


def _class_folders(root: Path) -> dict[Path, str]:
    """Return audio file -> side, for files in class folders directly below `root` or a side of it; {} for another layout."""
    from keras_ser.audio.formats import ENDINGS  # needs soundfile, unlike a network

    found: dict[Path, str] = {}
    for folder in (each for each in entries(root) if each.is_dir()):
        side = official_side(folder.name)
        for holder in [each for each in entries(folder) if each.is_dir()] if side else [folder]:
            for file in entries(holder):
                if file.suffix.lower() in ENDINGS and file.is_file():
                    found[file] = side
    if len({file.parent.name for file in found}) < 2:
        return {}
    left = [file.relative_to(root).as_posix() for file in files_below(root, ENDINGS) if file not in found]
    if left:
        raise CorpusError(
            f"manifest: expected audio files in class folders alone, anger/x.wav or train/anger/x.wav. Received: {listed(left)}. "
            "Move them, or list all files in a CSV."
        )
    return found
