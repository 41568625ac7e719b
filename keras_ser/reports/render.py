"""Render tables and plain values as terminal text, Markdown and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from keras_ser.evaluation.tables import Table


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return aligned lines of text, the first `left` columns flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def terminal(table: Table) -> list[str]:
    """Return aligned lines, header first, without the title."""
    return aligned(table.text(), table.labels)


def markdown(table: Table) -> str:
    """Return a Markdown table without the title."""
    header, *rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in table.text()]
    rule = ["---" if i < table.labels else "---:" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def strict_json(value: Any) -> Any:
    """Convert values to strict JSON: NaN and infinity become None, dataclasses objects, arrays lists."""
    if is_dataclass(value):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(k): strict_json(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return strict_json(value.tolist())
    if isinstance(value, list | tuple | set | frozenset | range):
        return [strict_json(v) for v in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
