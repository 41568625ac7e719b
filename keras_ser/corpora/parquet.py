"""Read Parquet tables, and audio files stored in one of their columns, as in Hugging Face data sets.

A column {bytes, path} holds whole audio files. They are written once to the user's cache folder and read from there like any
other corpus. The integers of a ClassLabel are replaced by its names.
"""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from keras_ser.checks import listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.corpora.rows import FILE_COLUMNS, Table, check_columns, left_out, note_on_left_out, texts
from keras_ser.errors import UserError
from keras_ser.files import lock, user_cache, write_json, write_whole

VERSION = 3  # of the files in the cache folder
INDEX = "rows.json"
ROWS = 64  # rows read at a time, since audio is large
LONGEST, LONGEST_SUFFIX = 80, 16  # most bytes of a part of a file's name, and of its suffix
SUFFIXES = {
    b"RIFF": ".wav",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"ID3": ".mp3",
    b"\xff\xfb": ".mp3",
    b"\xff\xf3": ".mp3",
}


def read_parquet(path: Path, file_column: str | None = None) -> Table:
    """Read the rows of a Parquet file; audio in a column is first written to the cache folder.

    Args:
        path: the file.
        file_column: the column of paths or audio (default: the first one with audio, else "file" or "file_name").

    Raises:
        CorpusError: not a Parquet file, or one without such a column.
        UserError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UserError("Parquet needs pyarrow, which is not installed: pip install 'keras_ser[parquet]'.") from None
    with _as_parquet(path):
        file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    check_columns(schema.names, path.name)
    audio = [f.name for f in schema if _holds_audio(f.type) and file_column in (None, f.name.lower())]
    if not audio:
        names = {f.name.lower() for f in schema if not pa.types.is_nested(f.type)}
        column = file_column or next((name for name in FILE_COLUMNS if name in names), FILE_COLUMNS[0])
        if column not in names:
            raise CorpusError(
                f"manifest: {path.name} has no column {column!r} of paths, and no audio {{bytes: binary, path: string}}. Received: "
                f"{listed(f'{f.name} ({f.type})' for f in schema)}. Say which it is: --columns file=COLUMN."
            )
        rows = list(_rows(file, path))
        return Table(path, path.parent, texts(rows), note_on_left_out(left_out(rows), path.name))
    facts = path.stat()
    said = f"{VERSION} {path.resolve()} {facts.st_size} {facts.st_mtime_ns} {audio[0]}"
    folder = user_cache() / "parquet" / f"{_cut(path.stem)}-{hashlib.sha1(said.encode()).hexdigest()[:12]}"
    with lock(folder):
        if not (folder / INDEX).exists():
            folder.mkdir(parents=True, exist_ok=True)
            found, counts = [], Counter()
            for number, row in enumerate(_rows(file, path), start=1):
                found.append(_written(number, row, audio[0], path, folder))
                counts += left_out([row])
            write_json(folder / INDEX, {"rows": found, "left_out": counts})
    stored = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    rows = stored["rows"]
    if file_column:  # the manifest looks for this name
        rows = [{**{k: v for k, v in row.items() if k != "file"}, file_column: row["file"]} for row in rows]
    return Table(path, folder, texts(rows), note_on_left_out(stored["left_out"], path.name))


@contextlib.contextmanager
def _as_parquet(path: Path) -> Iterator[None]:
    """Raise a CorpusError instead of pyarrow's errors for a damaged file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"manifest: {path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}."
        ) from error


def _holds_audio(kind: Any) -> bool:
    """Return whether a column's type is {bytes: binary, path: string}; a field that is null in all rows has no type."""
    from pyarrow import types

    fields = {field.name: field.type for field in kind} if types.is_struct(kind) else {}
    tests = {
        "bytes": (types.is_binary, types.is_large_binary, types.is_null),
        "path": (types.is_string, types.is_large_string, types.is_null),
    }
    return all(name in fields and any(test(fields[name]) for test in of) for name, of in tests.items())


def _rows(file: Any, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows, with the names of classes instead of their numbers."""
    classes, batches = _classes(file.schema_arrow), file.iter_batches(batch_size=ROWS)
    while True:
        with _as_parquet(path):
            batch = next(batches, None)
            rows = [] if batch is None else batch.to_pylist()
        if batch is None:
            return
        for row in rows:
            for name, known in classes.items():
                value = row.get(name)
                row[name] = known[value] if isinstance(value, int) and 0 <= value < len(known) else None
            yield row


def _classes(schema: Any) -> dict[str, list[str]]:
    """Return column -> names of its classes, as `datasets` writes them into the schema."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        found = {name: kind["names"] for name, kind in about.items() if kind.get("_type") == "ClassLabel"}
        return {name: names for name, names in found.items() if all(isinstance(each, str) for each in names)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _written(number: int, row: dict[str, Any], column: str, path: Path, folder: Path) -> dict[str, str]:
    """Write the audio of a row to a file in the folder and return the row with its name; a path without bytes stays a path."""
    audio = row.pop(column) or {}
    found = dict(texts([row])[0][1])
    name, data = _printable(audio.get("path") or ""), audio.get("bytes")
    if data is None:
        return {**found, "file": str((path.parent / name).resolve()) if name else ""}
    base = PurePosixPath(PureWindowsPath(name).as_posix()).name
    stem, suffix = PurePosixPath(base).stem, PurePosixPath(base).suffix
    if not suffix or len(suffix.encode()) > LONGEST_SUFFIX:
        suffix = next((s for head, s in SUFFIXES.items() if data.startswith(head)), ".wav")
    target = folder / f"{_cut(path.stem)}-{number:06d}{'-' + _cut(stem) if base else ''}{suffix}"
    write_whole(target, lambda file: file.write_bytes(data))
    return {**found, "file": target.name}


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "_" for c in name)


def _cut(name: str) -> str:
    """Cut a part of a file's name to `LONGEST` bytes of UTF-8."""
    return name.encode()[:LONGEST].decode(errors="ignore")
