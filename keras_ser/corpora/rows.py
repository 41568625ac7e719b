"""Rows of text with a folder that their paths start from: what every layout of a manifest is read as."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Args:
        path: what messages name.
        folder: where the rows' paths start.
        rows: (number of the line or row, {column: text}), with the same columns in each.
        notes: what the reader decided, a sentence each.
    """

    path: Path
    folder: Path
    rows: Sequence[tuple[int, dict[str, str]]]
    notes: tuple[str, ...] = ()


def texts(rows: Iterable[Mapping[str, Any]], first: int = 1) -> list[tuple[int, dict[str, str]]]:
    """Rows of values as rows of text, numbered from `first`; columns in lower case, values that are no scalars left out."""
    rows = [{key.strip().lower(): text(value) for key, value in row.items() if _scalar(value)} for row in rows]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [(first + i, {column: row.get(column, "") for column in columns}) for i, row in enumerate(rows)]


def text(value: Any) -> str:
    """A value as a CSV would have it; "" for None and NaN."""
    if value is None or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool) or not hasattr(value, "__iter__")
