"""Files written whole: a kill or a full disk leaves the old one, or the new one, never half of it. No TensorFlow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TEMPORARY = ".part."  # in the names of half-written files, which a killed process leaves behind


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file of the same suffix, then put it in place."""
    temporary = path.with_name(f".{os.getpid()}{TEMPORARY}{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8, with a line's end behind it."""
    write_whole(path, lambda temporary: temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8"))


def write_json(path: Path, value: Any, allow_nan: bool = False) -> None:
    """JSON as the standard has it; or, where `allow_nan`, as Python reads and writes it.

    Raises:
        ValueError: a number that is not finite, unless they are allowed.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=allow_nan, ensure_ascii=False))


def write_table(path: Path, table: pd.DataFrame, **options: Any) -> None:
    """CSV without an index; `options` are those of `DataFrame.to_csv`."""
    given = {"index": False, "lineterminator": "\n", "encoding": "utf-8", **options}
    write_whole(path, lambda temporary: table.to_csv(temporary, **given))


def write_figure(path: Path, figure: Figure) -> None:
    """PNG; the same figure gives the same bytes."""
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=130, metadata={"Software": None}))
