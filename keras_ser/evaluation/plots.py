"""The report's pictures, as Matplotlib figures without pyplot: confusion, scores with intervals, learning curves.

Every picture reads in greyscale: shades run from light to dark, and kinds differ by marker or dash, not by hue alone.
Matplotlib is imported inside the functions, so that importing this room stays quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.scores import MANY_CLASSES, Score, TaskScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

NAMES = {
    "accuracy": "accuracy (WA)",
    "uar": "UAR (UA)",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "ccc": "CCC",
    "rmse": "RMSE",
}
_DARK, _LIGHT, _WARM = "#1b3a5c", "#8c9bab", "#c8500a"
_NO_CURVE = {"epoch", "step", "time", "seconds"}


def metric_title(metric: str) -> str:
    """How a metric is printed: "recall/anger" -> "recall anger"."""
    return NAMES.get(metric, metric.replace("/", " ", 1))


def in_percent(metric: str) -> bool:
    return metric not in ("ccc", "rmse")


def confusion(result: TaskScores) -> Figure:
    """The confusion matrix: each cell the percent of its true class (row), below it the clips (to 12 classes).

    Args:
        result: of a classification task with at most 32 classes.

    Raises:
        ValueError: a continuous task, or more classes.
    """
    from matplotlib.figure import Figure

    matrix = result.confusion
    if matrix is None or len(matrix.labels) > MANY_CLASSES:
        raise UserError(
            f"a confusion picture needs a classification task of at most {MANY_CLASSES} classes. "
            f"Received: task {result.task!r} with {len(result.labels)}."
        )
    k = len(matrix.labels)
    percent = 100 * np.array(matrix.share)
    cell = 1.1 if k <= 3 else 0.78 if k <= 12 else 0.5
    longest = max(map(len, matrix.labels))
    width = max(4.4, cell * k + 0.9 + 0.085 * longest)  # 4.4 inches hold the title
    figure = Figure(figsize=(width, cell * k + 1.3 + 0.05 * longest), layout="constrained")
    axes = figure.add_subplot()
    _matrix(axes, matrix.labels, percent, matrix.counts if k <= 12 else None, slanted=0.1 * longest > cell)
    axes.set_ylabel("true")
    seeds = f"{len(result.seeds)} seeds" if len(result.seeds) > 1 else "1 seed"
    what = f"% of the true class (clips, summed over {seeds})" if k <= 12 else "% of the true class"
    figure.suptitle(f"{result.task}, {result.protocol}\n{what}", fontsize=10)
    return figure


def confusions(labels: Sequence[str], shares: Mapping[str, Any]) -> Figure:
    """Confusion matrices side by side, each cell the percent of its true class (row).

    Args:
        labels: the classes, at most 12.
        shares: heading -> (classes, classes), of the row.
    """
    from matplotlib.figure import Figure

    cell = 0.85
    figure = Figure(
        figsize=(len(shares) * (cell * len(labels) + 0.3) + 0.9, cell * len(labels) + 1.2), layout="constrained"
    )
    for axes, (heading, share) in zip(
        figure.subplots(1, len(shares), sharey=True, squeeze=False)[0], shares.items(), strict=True
    ):
        _matrix(axes, labels, 100 * np.array(share, "float64"), None, slanted=False)
        axes.set_title(heading, fontsize=9)
    figure.axes[0].set_ylabel("true")
    return figure


def _matrix(axes: Axes, labels: Sequence[str], percent: np.ndarray, counts: Any, slanted: bool) -> None:
    """Shades and numbers of a confusion matrix; `counts` below the percents, where given."""
    k = len(labels)
    axes.imshow(np.nan_to_num(percent), cmap="Greys", vmin=0, vmax=100)
    for i in range(k):
        for j in range(k):
            text = "–" if np.isnan(percent[i, j]) else f"{percent[i, j]:.{1 if k <= 12 else 0}f}"
            if counts is not None and text != "–":
                text += f"\n({counts[i][j]})"
            colour = "white" if percent[i, j] > 50 else "black"
            weight = "bold" if i == j else "normal"
            axes.text(j, i, text, ha="center", va="center", color=colour, weight=weight, fontsize=9 if k <= 12 else 7)
    axes.set_xticks(
        range(k),
        labels,
        rotation=40 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else "default",
    )
    axes.set_yticks(range(k), labels)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
    for side in axes.spines.values():
        side.set_color(_LIGHT)
    axes.set_xlabel("named")


def scores(results: Sequence[TaskScores]) -> Figure:
    """Dot and whisker: the mean over seeds with its 95 % interval, each seed, the ensemble, chance and paper.

    Args:
        results: one panel each (a continuous task gives one for CCC and one for RMSE), sharing percent as the axis.
    """
    from matplotlib.figure import Figure

    panels = [panel for result in results for panel in _panels(result)]
    heights = [len(rows) + 1.6 for _, rows in panels]
    figure = Figure(figsize=(7.6, 0.3 * sum(heights) + 0.9), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (result, rows) in zip(grid, panels, strict=True):
        _whiskers(axes, result, rows)
    figure.legend(
        handles=_keys(panels), loc="outside lower center", ncols=5, frameon=False, fontsize=8, columnspacing=1.2
    )
    return figure


def _keys(panels: Sequence[tuple[TaskScores, Sequence[Score]]]) -> list[Line2D]:
    """Of what is drawn in the panels of `scores`, and of nothing else."""
    from matplotlib.lines import Line2D

    drawn = [(result, score) for result, rows in panels for score in rows if not np.isnan(score.value)]
    several = any(len(score.seeds) > 1 for _, score in drawn)
    value = "mean over seeds" if several else "measured"
    lines = any(score.low is not None for _, score in drawn)
    label, style = (f"{value}, 95 % interval", "-") if lines else (value, "")
    keys = [Line2D([], [], color=_DARK, marker="o", markersize=6, linestyle=style, label=label)]
    if several:
        keys.append(Line2D([], [], color=_LIGHT, marker="|", linestyle="", markersize=7, label="one seed"))
    if any(score.metric == other.metric for result, score in drawn for other in result.ensemble):
        keys.append(
            Line2D([], [], color=_DARK, marker="D", mfc="white", linestyle="", markersize=5.5, label="seeds averaged")
        )
    if any(score.chance is not None for _, score in drawn):
        keys.append(Line2D([], [], color="black", linestyle=(0, (1.5, 1.5)), label="chance"))
    if any(score.paper is not None for _, score in drawn):
        keys.append(Line2D([], [], color=_WARM, marker="*", linestyle="", markersize=10, label="paper"))
    return keys


def _panels(result: TaskScores) -> list[tuple[TaskScores, list[Score]]]:
    if not result.labels:
        return [(result, [score]) for score in result.scores]
    whole = [s for s in result.scores if "/" not in s.metric]
    recalls = [s for s in result.scores if "/" in s.metric and not np.isnan(s.value)]
    return [(result, whole + (recalls if len(result.labels) <= MANY_CLASSES else []))]


def _whiskers(axes: Axes, result: TaskScores, rows: Sequence[Score]) -> None:
    ensemble = {s.metric: s.value for s in result.ensemble}
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#e3e6ea", linewidth=0.8)
    scale = 100 if in_percent(rows[0].metric) else 1
    for y, score in enumerate(rows):
        if np.isnan(score.value):
            continue
        if score.low is not None:
            axes.plot([scale * score.low, scale * score.high], [y, y], color=_DARK, linewidth=2, solid_capstyle="butt")
        if len(score.seeds) > 1:
            axes.plot(
                scale * np.array(score.seeds), np.full(len(score.seeds), y + 0.29), "|", color=_LIGHT, ms=7, mew=1.3
            )
        if score.metric in ensemble:
            axes.plot(scale * ensemble[score.metric], y - 0.27, "D", color=_DARK, mfc="white", ms=5)
        axes.plot(scale * score.value, y, "o", color=_DARK, ms=6)
        if score.chance is not None:
            axes.plot([scale * score.chance] * 2, [y - 0.42, y + 0.42], color="black", linestyle=(0, (1.5, 1.5)))
        if score.paper is not None:
            axes.plot(scale * score.paper, y, "*", color=_WARM, ms=11, mec="black", mew=0.5, zorder=5)
    axes.set_yticks(range(len(rows)), [metric_title(s.metric) for s in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if scale == 100:
        axes.set_xlim(0, 100)
        axes.set_xlabel("%", labelpad=0)
        for line in axes.lines:  # a marker at 0 or 100 stays whole
            line.set_clip_on(False)
    elif rows[0].metric == "rmse":
        axes.set_xlim(left=0)
    else:
        axes.set_xlim(min(-0.05, axes.get_xlim()[0]), 1)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    narrow = ": intervals too narrow" if result.unit == "clips" else ""
    axes.set_title(
        f"{result.task}, {result.protocol}: {result.clips} clips, {result.groups} {result.unit}{narrow}",
        fontsize=9.5,
        loc="left",
    )


def curves(histories: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """Learning curves: a panel per quantity, a thin line per run (fold and seed), their mean thick; validation dashed.

    Args:
        histories: run name -> history with a column `epoch` and others such as `loss`, `<task>_loss`, `val_<task>_uar`.
        title: above the panels.

    Raises:
        ValueError: no run, or none with anything but epochs.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    # A resumed run may have written an epoch twice: the last one counts.
    histories = {name: h.drop_duplicates("epoch", keep="last").set_index("epoch") for name, h in histories.items()}
    quantities = _quantities(histories.values())
    if not quantities:
        raise UserError(f"learning curves need a history with a column beside the epoch. Received: {list(histories)}.")
    columns = min(3, len(quantities))
    lines = -(-len(quantities) // columns)
    figure = Figure(figsize=(3.6 * columns + 0.4, 2.5 * lines + 1.0), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(quantities) :]:
        axes.set_visible(False)
    sides = [("", "-", _DARK), ("val_", (0, (4, 2)), _WARM)]
    for axes, quantity in zip(grid, quantities, strict=False):
        for prefix, dash, colour in sides:
            runs = [h[prefix + quantity] for h in histories.values() if prefix + quantity in h.columns]
            for run in runs:
                thin = {"linewidth": 0.6, "alpha": 0.35} if len(runs) > 1 else {"linewidth": 1.8}
                axes.plot(run.index, run, color=colour, linestyle=dash, **thin)
            if len(runs) > 1:
                mean = pd.concat(runs, axis=1).mean(axis=1).sort_index()
                axes.plot(mean.index, mean, color=colour, linestyle=dash, linewidth=2)
        axes.set_title(quantity.replace("_", " "), fontsize=9.5, loc="left")
        axes.grid(color="#e3e6ea", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.set_xlabel("epoch", fontsize=8)
    names = ["training", "validation"]
    handles = [
        Line2D([], [], color=c, linestyle=d, linewidth=2, label=n) for n, (_, d, c) in zip(names, sides, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    runs = f"{len(histories)} runs (thin) and their mean" if len(histories) > 1 else next(iter(histories))
    figure.suptitle(f"{title}: {runs}" if title else runs, fontsize=10)
    return figure


def _quantities(histories: Iterable[pd.DataFrame]) -> list[str]:
    """What is plotted: every numeric column but the epoch, `val_x` beside `x`; losses before scores."""
    found = []
    for history in histories:
        for column in history.columns:
            quantity = column.removeprefix("val_")
            if column not in _NO_CURVE and pd.api.types.is_numeric_dtype(history[column]) and quantity not in found:
                found.append(quantity)

    def rank(quantity: str) -> int:
        if quantity == "loss":
            return 0
        return 1 if quantity.endswith("loss") else 3 if quantity.startswith(("learning_rate", "lr")) else 2

    return sorted(found, key=rank)


def panels(
    count: int, most: int, width: float, height: float, margins: tuple[float, float]
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels that share both axes; the lowest of each column names its ticks.

    Args:
        count: panels.
        most: columns at most; fewer where the last row would be emptier.
        width, height: of a panel, inches.
        margins: inches beside and above them.
    """
    from matplotlib.figure import Figure

    rows = -(-count // most)
    columns = -(-count // rows)
    figure = Figure(figsize=(width * columns + margins[0], height * rows + margins[1]), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for i in range(count, rows * columns):
        grid.flat[i].set_visible(False)
        grid.flat[i - columns].tick_params(labelbottom=True)
    return figure, list(grid.flat[:count])


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Dashes and markers, so that the curves are told apart in greyscale, too."""
    colours = ("#8c9bab", "#5b8c5a", "#2f6690", "#a0522d", "#b8860b", "#c8500a", "#1b3a5c", "#6a4c93")
    markers, dashes = "xsvD^oP*", ("-", "--", "-.", ":")
    return {
        name: {
            "color": colours[i % 8],
            "marker": markers[i % 8],
            "linestyle": dashes[i % 4],
            "markersize": 4,
            "linewidth": 1.4,
        }
        for i, name in enumerate(names)
    }
