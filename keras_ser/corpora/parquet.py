"""Read Parquet tables, and audio files stored in a column of them, as Hugging Face data sets have it.

A column {bytes, path} holds whole audio files. They are written once into the user's cache folder, from where they are read as any
other corpus. Integers of a ClassLabel become its names.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from keras_ser.corpora.corpus import CorpusError, listed
from keras_ser.corpora.rows import Table, texts
from keras_ser.errors import UserError
from keras_ser.files import lock, user_cache, write_json, write_whole

VERSION = 1  # of what lies in the cache folder
INDEX = "rows.json"
ROWS = 64  # read at once: audio is large
SUFFIXES = {
    b"RIFF": ".wav",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"ID3": ".mp3",
    b"\xff\xfb": ".mp3",
    b"\xff\xf3": ".mp3",
}


def read_parquet(path: Path, file_column: str | None = None) -> Table:
    """The rows of a Parquet file; audio in a column of it is written into the cache folder first.

    Args:
        path: the file.
        file_column: the column of paths or audio (default: "file", "file_name", or the only one with audio).

    Raises:
        CorpusError: no Parquet file, or one without such a column.
        UserError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UserError("Parquet needs pyarrow, which is not installed: pip install 'keras_ser[parquet]'.") from None
    try:
        schema = parquet.ParquetFile(path).schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(
            f"manifest: {path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}."
        ) from error
    audio = [f.name for f in schema if pa.types.is_struct(f.type) and {"bytes", "path"} <= {x.name for x in f.type}]
    audio = [name for name in audio if file_column in (None, name.lower())]
    names = {f.name.lower() for f in schema}
    if not audio:
        column = file_column or ("file" if "file" in names else "file_name")
        if column not in names:
            raise CorpusError(
                f"manifest: {path.name} has no column {column!r}, and no audio. Received: {listed(sorted(names))}. Say which it "
                "is: --columns file=COLUMN."
            )
        return Table(path, path.parent, texts(_rows(parquet.ParquetFile(path), schema)))
    facts = path.stat()
    said = f"{VERSION} {path.resolve()} {facts.st_size} {facts.st_mtime_ns} {audio[0]}"
    folder = user_cache() / "parquet" / f"{path.stem}-{hashlib.sha1(said.encode()).hexdigest()[:12]}"
    with lock(folder):
        if not (folder / INDEX).exists():
            folder.mkdir(parents=True, exist_ok=True)
            found = [
                _written(number, row, audio[0], path, folder)
                for number, row in enumerate(_rows(parquet.ParquetFile(path), schema), start=1)
            ]
            write_json(folder / INDEX, found)
    rows = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if file_column:  # which the manifest takes by this name
        rows = [{**{k: v for k, v in row.items() if k != "file"}, file_column: row["file"]} for row in rows]
    return Table(path, folder, texts(rows))


def _rows(file: Any, schema: Any) -> Iterator[dict[str, Any]]:
    """Row after row, with the names of classes instead of their numbers."""
    classes = _classes(schema)
    for batch in file.iter_batches(batch_size=ROWS):
        for row in batch.to_pylist():
            for name, known in classes.items():
                value = row.get(name)
                row[name] = known[value] if isinstance(value, int) and 0 <= value < len(known) else None
            yield row


def _classes(schema: Any) -> dict[str, list[str]]:
    """Column -> names of its classes, as `datasets` writes them into the schema."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: kind["names"] for name, kind in about.items() if kind.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _written(number: int, row: dict[str, Any], column: str, path: Path, folder: Path) -> dict[str, str]:
    """A row whose audio is in a file of the folder; a path without bytes stays a path."""
    audio = row.pop(column) or {}
    found = dict(texts([row])[0][1])
    name, data = audio.get("path") or "", audio.get("bytes")
    if data is None:
        return {**found, "file": str((path.parent / name).resolve()) if name else ""}
    base = PurePosixPath(PureWindowsPath(name).as_posix()).name
    suffix = PurePosixPath(base).suffix or next((s for head, s in SUFFIXES.items() if data.startswith(head)), ".wav")
    target = folder / f"{path.stem}-{number:06d}{'-' + PurePosixPath(base).stem if base else ''}{suffix}"
    write_whole(target, lambda file: file.write_bytes(data))
    return {**found, "file": target.name}
