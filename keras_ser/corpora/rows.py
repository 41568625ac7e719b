"""Rows of text with a folder that their paths start from: what every layout of a manifest is read as."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_COLUMNS = ("file", "file_name")  # the latter is Hugging Face's


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Args:
        path: what messages name.
        folder: where the rows' paths start.
        rows: (number of the line or row, {column: text}), with the same columns in each; of several files the number is a text,
            "2 of train/metadata.csv".
        notes: what the reader decided, a sentence each.
    """

    path: Path
    folder: Path
    rows: Sequence[tuple[int | str, dict[str, str]]]
    notes: tuple[str, ...] = ()


def texts(
    rows: Iterable[Mapping[str, Any]], numbers: Iterable[int | str] | None = None
) -> list[tuple[int | str, dict[str, str]]]:
    """Rows of values as rows of text, numbered from 1 on, or by `numbers`; columns in lower case, values that are no scalars left
    out."""
    rows = [{key.strip().lower(): text(value) for key, value in row.items() if _scalar(value)} for row in rows]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    whole = [{column: row.get(column, "") for column in columns} for row in rows]
    return list(zip(range(1, len(rows) + 1) if numbers is None else numbers, whole, strict=True))


def text(value: Any) -> str:
    """A value as a CSV would have it; "" for None and NaN."""
    if value is None or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool) or not hasattr(value, "__iter__")
