"""Results as values: cells and tables of cells. `keras_ser.reports` prints, writes and draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

UNDEFINED = "–"


class Published(float):
    """A paper's score, a fraction, with the standard deviation that the paper gives for it."""

    def __new__(cls, value: float, std: float):
        found = super().__new__(cls, value)
        found.std = std
        return found


class Form(NamedTuple):
    """Number format: multiplied by `scale`, with `digits` decimals; `sign` "+" also marks positive numbers."""

    scale: float = 100.0
    digits: int = 1
    sign: str = ""

    def __call__(self, value: float | None) -> str:
        if value is None or np.isnan(value):
            return UNDEFINED
        return f"{self.scale * value:{self.sign}.{self.digits}f}"

    def printed(self, value: float | None) -> str:
        """Format a paper's score with the digits it was published with, and its standard deviation if `Published`."""
        if value is None:
            return ""
        text = f"{self.scale * value:.4g}"
        if not isinstance(value, Published):
            return text
        return f"{text} ± {self.scale * value.std:.{len(text.partition('.')[2])}f}"


PERCENT, PLAIN = Form(), Form(1.0, 3)
NAMES = {
    "accuracy": "accuracy (WA)",
    "uar": "UAR (UA)",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "ccc": "CCC",
    "rmse": "RMSE",
}


def metric_title(metric: str) -> str:
    """Return the printed name of a metric: "recall/anger" -> "recall anger"."""
    return NAMES.get(metric, metric.replace("/", " ", 1))


def short_title(metric: str) -> str:
    """Return `metric_title` without its bracketed part."""
    return metric_title(metric).split(" (")[0]


def form_of(metric: str, sign: str = "") -> Form:
    """Return the number format of a metric: percent, except for CCC, RMSE and costs."""
    return (PLAIN if metric in ("ccc", "rmse", "min_dcf") else PERCENT)._replace(sign=sign)


@dataclass(frozen=True)
class Cell:
    """A measured number.

    Args:
        value: the value; NaN if undefined.
        low, high: the ends of its 95 % interval, or None.
        clips: number of clips or trials.
        std: standard deviation over seeds; None for one seed.
        paper: a paper's published score, in the unit of `value`.
        note: a few characters appended to the value.
        form: the number format.
    """

    value: float
    low: float | None = None
    high: float | None = None
    clips: int = 0
    std: float | None = None
    paper: float | None = None
    note: str = ""
    form: Form = PERCENT

    def text(self, interval: bool = True) -> str:
        """Format the cell, e.g. "61.2 ± 0.8 [58.1, 64.0]"."""
        text = self.form(self.value)
        if text == UNDEFINED:
            return text
        text += "" if self.std is None else f" ± {self.form(self.std)}"
        text += f" {self.note}" if self.note else ""
        return f"{text} {self.interval()}" if interval and self.low is not None else text

    def ends(self) -> dict[str, float | None]:
        """For JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def interval(self) -> str:
        return UNDEFINED if self.low is None else f"[{self.form(self.low)}, {self.form(self.high)}]"


@dataclass(frozen=True)
class Table:
    """Rows of labels and cells.

    Args:
        title: the heading.
        columns: names of the columns.
        rows: (rows, columns), each entry text or a `Cell`. A column whose cells have scores of a paper is preceded by a column
            with these.
        labels: number of leading columns that are labels.
        intervals: whether to show the cells' intervals.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    labels: int = 1
    intervals: bool = True

    def text(self) -> list[list[str]]:
        """Return the table as text, header first."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        papers = [any(isinstance(c, Cell) and c.paper is not None for c in column) for column in columns]
        found = [[]]
        for name, paper in zip(self.columns, papers, strict=True):
            found[0] += [f"{name} (paper)"] * paper + [name]
        for row in self.rows:
            shown = []
            for cell, paper in zip(row, papers, strict=True):
                known = isinstance(cell, Cell)
                shown += [cell.form.printed(cell.paper) if known else ""] * paper
                shown.append(cell.text(self.intervals) if known else str(cell))
            found.append(shown)
        return found
