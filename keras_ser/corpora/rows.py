"""Rows of text and the folder of their paths: the common form of all layouts of a manifest."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.checks import counted, listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.corpora.spelling import shown

FILE_COLUMNS = ("file", "file_name")  # the latter is Hugging Face's

MOST_WHOLE = 2.0**53  # floats below it hold every integer


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Args:
        path: the file or folder, for messages.
        folder: the folder that the rows' paths are relative to.
        rows: (number of the line or row, {column: text}), with the same columns in each; for several files the number is text,
            "2 of train/metadata.csv".
        notes: decisions of the reader, one sentence each.
    """

    path: Path
    folder: Path
    rows: Sequence[tuple[int | str, dict[str, str]]]
    notes: tuple[str, ...] = ()


def texts(
    rows: Iterable[Mapping[str, Any]], numbers: Iterable[int | str] | None = None
) -> list[tuple[int | str, dict[str, str]]]:
    """Convert rows of values to rows of text, numbered from 1 or by `numbers`.

    Columns are in lower case; a list of one value is that value, other values that are not scalars are left out (`left_out`).
    """
    rows = [
        {_column(key): text(single) for key, value in row.items() if _scalar(single := _single(value))} for row in rows
    ]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    whole = [{column: row.get(column, "") for column in columns} for row in rows]
    return list(zip(range(1, len(rows) + 1) if numbers is None else numbers, whole, strict=True))


def text(value: Any) -> str:
    """Convert a value to text as in a CSV file; "" for None and NaN.

    A whole number is written without a decimal point, since pandas makes the integers of a column floats if a value is missing.
    """
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < MOST_WHOLE:
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def check_columns(names: Iterable[str], where: str) -> None:
    """Raise CorpusError for names that are one column; `where` they are begins the message."""
    twice = [repr(name) for name, count in Counter(map(_column, names)).items() if count > 1]
    if twice:
        raise CorpusError(
            f"manifest: {where} names these columns more than once: {listed(twice)}. Rename or remove one of each."
        )


def left_out(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Count the values in each column that `texts` leaves out."""
    return Counter(_column(key) for row in rows for key, value in row.items() if not _scalar(_single(value)))


def note_on_left_out(counts: Mapping[str, int], name: str) -> tuple[str, ...]:
    """Return the note on what `left_out` counts in the table `name`, if there is anything."""
    found = listed(f"{shown(column)} ({counted(count, 'row')})" for column, count in counts.items())
    return (f"values that are lists, objects or bytes are left out: {found} of {name}.",) if counts else ()


def _column(name: str) -> str:
    return name.strip().lower()


def _single(value: Any) -> Any:
    """Return the value of a list of one, None for an empty list, and any other value as it is."""
    while isinstance(value, list | tuple) and len(value) <= 1:
        value = value[0] if value else None
    return value


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool) or not hasattr(value, "__iter__")
