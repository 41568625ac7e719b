"""Plots of the reports, as Matplotlib figures without pyplot.

Every plot reads in greyscale: shades run from light to dark, and kinds differ by marker or dash, not by hue alone.
Matplotlib is imported inside the functions, so that importing this package stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_ser.evaluation.intervals import too_few
from keras_ser.evaluation.scores import MANY_CLASSES, Score, TaskScores
from keras_ser.evaluation.tables import Published, form_of, metric_title
from keras_ser.files import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLOURS = ("#1b3a5c", "#c8500a", "#5b8c5a", "#8c9bab", "#b8860b", "#6a4c93", "#2f6690", "#a0522d")
MARKERS, DASHES = "os^DvPx*", ("-", "--", "-.", ":")
GREY, GRID = "#8c9bab", "#e3e6ea"
CHANCE = {"color": "black", "linestyle": (0, (1.5, 1.5)), "linewidth": 1.5}


def new(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def file_title(path: Path) -> str:
    """Return a file's name as a title: without bytes that are not UTF-8, or formulas between dollar signs."""
    return printable(path.name).replace("$", r"\$")


def look(k: int) -> dict[str, str]:
    """Return colour, marker and dashes of the k-th system."""
    return {"color": COLOURS[k % 8], "marker": MARKERS[k % 8], "linestyle": DASHES[k % 4]}


def mark(label: str, **style: Any) -> Line2D:
    """Make a legend entry."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def tidy(axes: Axes, axis: str = "both") -> None:
    axes.set_axisbelow(True)
    axes.grid(axis=axis, color=GRID, linewidth=0.8)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


# scores with intervals


class Panel(NamedTuple):
    """Rows of scores."""

    title: str  # above the panel
    rows: Sequence[str]  # names of the rows
    series: Mapping[str, Sequence[Score | None]]  # name -> a score for each row, or None
    together: Sequence[float | None] = ()  # the value for each row of the seeds' averaged probabilities, or None
    chance: float | None = None  # the chance level of all rows, drawn as one line; None = that of each score


def scores(results: Sequence[TaskScores]) -> Figure:
    """Draw the scores of one protocol, a panel for each task; a continuous task has one for CCC and one for RMSE."""
    panels = []
    for result in results:
        known = [s for s in result.scores if not np.isnan(s.value)]
        if len(result.labels) > MANY_CLASSES:
            known = [s for s in known if "/" not in s.metric]
        ensemble = {s.metric: s.value for s in result.ensemble}
        narrow = ": intervals too narrow" if result.unit == "clips" else ""
        few = too_few(result.groups, result.unit.removesuffix("s"))
        counted = few or f"{result.groups} {result.unit}{narrow}"
        title = f"{result.task}, {result.protocol}: {result.clips} clips, {counted}"
        for rows in [known] if result.labels else [[s] for s in known]:
            names = [metric_title(s.metric) for s in rows]
            panels.append(Panel(title, names, {"": rows}, [ensemble.get(s.metric) for s in rows]))
    return dots(panels)


def dots(panels: Sequence[Panel], across: bool = False) -> Figure:
    """Draw dots and whiskers: the mean over seeds with its 95 % interval, each seed, chance and a paper's score ± its deviation.

    The panels are stacked, or with `across` side by side, sharing their rows.
    """
    sizes = [len(p.rows) * max(1.0, 0.6 * len(p.series)) + 1.6 for p in panels]
    if across:
        longest = max(map(len, panels[0].rows))
        figure = new(3.6 * len(panels) + 0.4 + 0.075 * longest, 0.3 * max(sizes) + 0.9)
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    else:
        figure = new(7.6, 0.3 * sum(sizes) + 0.9)
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=sizes)[:, 0]
    keys: dict[str, Line2D] = {}
    for axes, panel in zip(grid, panels, strict=True):
        for k, (name, row) in enumerate(panel.series.items()):
            shift = 0.28 * (k - (len(panel.series) - 1) / 2)
            for y, score in enumerate(row):
                if score is not None and not (np.isnan(score.value) and score.paper is None):
                    keys |= _whisker(axes, y + shift, score, name, look(k) | {"linestyle": ""})
        for y, value in enumerate(panel.together):
            if value is not None:
                style = {"color": COLOURS[0], "marker": "D", "mfc": "white", "ms": 5, "linestyle": ""}
                axes.plot(_scale(panel) * value, y - 0.27, **style)
                keys["seeds averaged"] = mark("seeds averaged", **style)
        if panel.chance is not None:
            axes.axvline(_scale(panel) * panel.chance, zorder=1, **CHANCE)
            keys["chance"] = mark("chance", **CHANCE)
        _finish(axes, panel)
    last = ("95 % interval", "one seed", "seeds averaged", "chance", "paper", "± of the paper")
    order = sorted(keys, key=lambda key: last.index(key) + 1 if key in last else 0)
    figure.legend(
        handles=[keys[key] for key in order],
        loc="outside lower center",
        ncols=5,
        frameon=False,
        fontsize=8,
        columnspacing=1.2,
    )
    return figure


def _scale(panel: Panel) -> float:
    return next(form_of(s.metric).scale for row in panel.series.values() for s in row if s is not None)


def _whisker(axes: Axes, y: float, score: Score, name: str, style: Mapping[str, Any]) -> dict[str, Line2D]:
    """Draw one score and return its legend entries."""
    scale, several = form_of(score.metric).scale, len(score.seeds) > 1
    label = name or ("mean over seeds" if several else "measured")
    keys = {} if np.isnan(score.value) else {label: mark(label, markersize=6, **style)}
    if score.low is not None:
        line = {"linewidth": 2, "solid_capstyle": "butt"}
        axes.plot([scale * score.low, scale * score.high], [y, y], color=style["color"], **line)
        keys["95 % interval"] = mark("95 % interval", color=COLOURS[0], **line)
    axes.plot(scale * score.value, y, ms=6, **style)
    if several and not name:
        seeds = {"color": GREY, "marker": "|", "ms": 7, "mew": 1.3, "linestyle": ""}
        axes.plot(scale * np.array(score.seeds), np.full(len(score.seeds), y + 0.29), **seeds)
        keys["one seed"] = mark("one seed", **seeds)
    if score.chance is not None:
        axes.plot([scale * score.chance] * 2, [y - 0.42, y + 0.42], **CHANCE)
        keys["chance"] = mark("chance", **CHANCE)
    if score.paper is not None:
        star = {"color": style["color"] if name else COLOURS[1], "marker": "*", "ms": 11, "mec": "black", "mew": 0.5}
        axes.plot(scale * score.paper, y, zorder=5, **star)
        if isinstance(score.paper, Published):
            ends = scale * score.paper + scale * score.paper.std * np.array([-1, 1])
            bar = {"linewidth": 1.2, "marker": "|", "ms": 7}
            axes.plot(ends, [y, y], color=star["color"], zorder=4, **bar)
            keys["± of the paper"] = mark("± of the paper", color=GREY, **bar)
        keys["paper"] = mark("paper", linestyle="", **star)
    return keys


def _finish(axes: Axes, panel: Panel) -> None:
    tidy(axes, "x")
    axes.set_yticks(range(len(panel.rows)), panel.rows)
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, pad=8)  # a marker at 0 stays beside its label
    axes.set_title(panel.title, fontsize=9.5, loc="left")
    if _scale(panel) == 100:
        axes.set_xlim(0, 100)
        axes.set_xlabel("%", labelpad=0)
        for line in axes.lines:  # a marker at 0 or 100 stays whole
            line.set_clip_on(False)
    elif panel.rows[0] == metric_title("rmse"):
        axes.set_xlim(left=0)
    else:
        axes.set_xlim(min(-0.05, axes.get_xlim()[0]), 1)


# confusion


def matrices(shares: Mapping[str, Any], labels: Sequence[str], counts: Any = None, summed: str = "") -> Figure:
    """Draw confusion matrices side by side, each cell in percent of its true class (row).

    Args:
        shares: heading -> (classes, classes), shares of the row; NaN if a row has no clips.
        labels: the classes, at most 32.
        counts: (classes, classes), printed below the percentages of up to 12 classes.
        summed: what the counts are summed over; see `TaskScores.summed`.
    """
    k, longest = len(labels), max(map(len, labels))
    cell = 1.1 if k <= 3 else 0.78 if k <= 12 else 0.5
    slanted = 0.1 * longest > cell
    width = max(4.4, cell * k + 0.4)  # 4.4 inches hold a title
    figure = new(width * len(shares) + 0.5 + 0.085 * longest, cell * k + 1.3 + 0.05 * longest)
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    for axes, (heading, share) in zip(
        figure.subplots(1, len(shares), sharey=True, squeeze=False)[0], shares.items(), strict=True
    ):
        percent = 100 * np.array(share, np.float64)
        axes.imshow(np.nan_to_num(percent), cmap="Greys", vmin=0, vmax=100)
        for i, j in np.ndindex(k, k):
            text = "–" if np.isnan(percent[i, j]) else f"{percent[i, j]:.{1 if k <= 12 else 0}f}"
            if counts is not None and k <= 12 and text != "–":
                text += f"\n({counts[i][j]})"
            axes.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                fontsize=9 if k <= 12 else 7,
                color="white" if percent[i, j] > 50 else "black",
                weight="bold" if i == j else "normal",
            )
        axes.set_xticks(range(k), labels, **turned)
        axes.set_yticks(range(k), labels)
        axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="both", length=0)
        for side in axes.spines.values():
            side.set_color(GREY)
        axes.set_xlabel("predicted")
        what = f" (clips{summed})" if counts is not None and k <= 12 else ""
        axes.set_title(f"{heading}\n% of the true class{what}", fontsize=10)
    figure.axes[0].set_ylabel("true")
    return figure
