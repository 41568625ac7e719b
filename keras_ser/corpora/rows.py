"""Rows of text and the folder of their paths: the common form of all layouts of a manifest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    Columns are in lower case; values that are not scalars are left out.
    """
    rows = [{key.strip().lower(): text(value) for key, value in row.items() if _scalar(value)} for row in rows]
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


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool) or not hasattr(value, "__iter__")
