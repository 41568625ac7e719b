"""Plots of curves: quantities over training epochs, and a measure against a level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.tables import PERCENT, Cell
from keras_ser.reports.pictures import COLOURS, DASHES, GREY, look, mark, new, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDES = (("", "training (batches)", "-", COLOURS[0]), ("val_", "validation", (0, (4, 2)), COLOURS[1]))


def training(
    histories: Mapping[str, pd.DataFrame],
    task: str,
    continuous: bool = False,
    kept: Mapping[str, int] | None = None,
    title: str = "",
    axis: str = "epoch",
) -> Figure:
    """Draw loss and score of a task by epoch: a thin line per run (fold and seed), the mean thick, validation dashed.

    If a history has no loss of the task, the total loss is drawn under its own title.

    Training curves show the loss and the UAR (or, in histories of earlier versions, the accuracy) of the sampled and augmented
    batches; validation curves show loss and UAR (CCC) clip by clip.

    Args:
        histories: run name -> history with the column `epoch`, and `<task>_loss` (or `loss`), `val_<task>_uar`, ..
        task: name of the task.
        continuous: whether the task is continuous.
        kept: run name -> the kept epoch, which is marked.
        title: title above the panels.
        axis: what the rows of a history are; see `score_report`.

    Raises:
        UserError: no history has a loss or score of the task.
    """
    histories = _by_epoch(histories)
    parts = {}
    for name, columns, scale in _quantities(task, continuous):
        found = [{run: _first(h, side, scale) for run, h in histories.items()} for side in columns]
        found = [{run: values for run, values in side.items() if values is not None} for side in found]
        if any(found):
            parts[name] = found
    if not parts:
        raise UserError(f"learning curves need a loss or a score of {task!r} by epoch. Received: {list(histories)}.")
    if f"{task} loss" in parts:
        parts.pop("loss", None)
    figure, grid = panels(len(parts), 2, 4.2, 2.9, (0.4, 1.0), shared=False)
    for axes, (name, sides) in zip(grid, parts.items(), strict=True):
        for runs, (_, _, dash, colour) in zip(sides, SIDES, strict=True):
            for run, values in runs.items():
                thin = {"linewidth": 0.6, "alpha": 0.35} if len(runs) > 1 else {"linewidth": 1.8}
                axes.plot(values.index, values, color=colour, linestyle=dash, **thin)
                if kept and kept.get(run) in values.index and (runs is sides[1] or not sides[1]):
                    axes.plot(kept[run], values[kept[run]], "o", color=colour, markersize=4, zorder=5)
            if len(runs) > 1:
                mean = _mean(runs)
                axes.plot(mean.index, mean, color=colour, linestyle=dash, linewidth=2)
        axes.ticklabel_format(axis="y", useOffset=False)
        _whole_epochs(axes)
        if name.endswith("%"):
            axes.set_ylim(0, 103)
        # histories of versions before training UAR was recorded
        old = name.endswith("%") and any(f"{task}_uar" not in histories[run] for run in sides[0])
        axes.set_title(f"{name} (training: accuracy)" if old else name, fontsize=9.5, loc="left")
        axes.set_xlabel(axis, fontsize=8)
        tidy(axes)
    drawn = [any(sides[k] for sides in parts.values()) for k in range(len(SIDES))]
    handles = [
        mark(name, color=colour, linestyle=dash, linewidth=2)
        for (_, name, dash, colour), there in zip(SIDES, drawn, strict=True)
        if there
    ]
    if kept:
        handles.append(mark(f"kept {axis}", color=GREY, marker="o", markersize=4, linestyle=""))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    runs = next(iter(histories))
    if len(histories) > 1:
        ends = {history.index.max() for history in histories.values()}
        runs = f"{len(histories)} runs (thin) and their mean{' until the first ends' if len(ends) > 1 else ''}"
    figure.suptitle(f"{title}: {runs}" if title else runs, fontsize=10)
    return figure


def drawable(histories: Iterable[pd.DataFrame], task: str, continuous: bool = False) -> bool:
    """Return whether `training` finds anything to draw."""
    columns = [names for _, sides, _ in _quantities(task, continuous) for names in sides]
    return any(_first(history, names, 1) is not None for history in histories for names in columns)


def _quantities(task: str, continuous: bool) -> list[tuple[str, tuple[tuple[str, ...], tuple[str, ...]], float]]:
    """Return (title, training and validation columns, scale) for the task's loss, the total loss and the score."""
    losses = [
        (f"{task} loss", ((f"{task}_loss",), (f"val_{task}_loss",)), 1.0),
        ("loss", (("loss",), ("val_loss",)), 1.0),
    ]
    if continuous:
        return [*losses, (f"{task} CCC", ((f"{task}_ccc",), (f"val_{task}_ccc",)), 1.0)]
    return [*losses, (f"{task} UAR, %", ((f"{task}_uar", f"{task}_accuracy"), (f"val_{task}_uar",)), 100.0)]


def _first(history: pd.DataFrame, columns: Iterable[str], scale: float) -> pd.Series | None:
    """Return the first of the columns that exists and has a number."""
    found = (scale * history[column] for column in columns if column in history and history[column].notna().any())
    return next(found, None)


def _by_epoch(histories: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Index histories by epoch; of an epoch that a resumed run has written twice, use the last row."""
    return {name: h.drop_duplicates("epoch", keep="last").set_index("epoch") for name, h in histories.items()}


def _mean(runs: Mapping[str, pd.Series]) -> pd.Series:
    """Return the mean as far as all runs go: where one has ended, that of the others is not comparable."""
    return pd.concat(list(runs.values()), axis=1).sort_index().dropna().mean(axis=1)


def _whole_epochs(axes: Axes) -> None:
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def by_panel(parts: Mapping[str, Mapping[str, pd.Series]], ylabel: str) -> Figure:
    """Draw a quantity over the epochs: a panel for each part, a curve for each system.

    Args:
        parts: part -> system -> the quantity by epoch.
        ylabel: label of the vertical axis of all panels.
    """
    figure, grid = panels(len(parts), 3, 3.4, 2.7, (0.6, 1.0))
    names = list(dict.fromkeys(name for systems in parts.values() for name in systems))
    # 32 combinations
    styles = {name: {"color": COLOURS[k % 8], "linestyle": DASHES[(k + k // 8) % 4]} for k, name in enumerate(names)}
    for axes, (part, systems) in zip(grid, parts.items(), strict=True):
        for name, values in systems.items():
            axes.plot(values.index, values, lw=1.4, marker="o" if len(values) == 1 else "", **styles[name])
        _whole_epochs(axes)
        axes.set_title(part, fontsize=10)
        tidy(axes)
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    handles = [mark(name, **style) for name, style in styles.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def diagnostics(histories: Mapping[str, pd.DataFrame], watched: Mapping[str, Sequence[Any]], title: str) -> Figure:
    """Draw logs of a training by epoch: a panel for each, a thin line per run and the mean thick; failing values dashed.

    Args:
        histories: run name -> history with the column `epoch`.
        watched: log -> (what it is, values that are a failure, ..); logs that no history has are left out.
        title: title above the panels.
    """
    histories = _by_epoch(histories)
    found = {name: {run: h[name] for run, h in histories.items() if name in h} for name in watched}
    found = {name: runs for name, runs in found.items() if runs}
    figure, grid = panels(len(found), 2, 4.2, 2.6, (0.4, 0.8), shared=False)
    for axes, (name, runs) in zip(grid, found.items(), strict=True):
        what, failing, *_ = watched[name]
        for values in runs.values() if len(runs) > 1 else ():
            axes.plot(values.index, values, color=COLOURS[0], linewidth=0.6, alpha=0.35)
        mean = _mean(runs)
        axes.plot(mean.index, mean, color=COLOURS[0], linewidth=2, marker="o" if len(mean) == 1 else "")
        for value in failing:
            axes.axhline(value, color=GREY, linestyle=(0, (4, 2)), linewidth=1)
        _whole_epochs(axes)
        axes.set_title(what, fontsize=9.5, loc="left")
        axes.set_xlabel("epoch", fontsize=8)
        tidy(axes)
    handles = [mark("mean", color=COLOURS[0], linewidth=2)] if len(histories) > 1 else []
    handles.append(mark("a failure", color=GREY, linestyle=(0, (4, 2)), linewidth=1))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def panels(
    count: int,
    most: int,
    width: float,
    height: float,
    margins: tuple[float, float],
    shared: bool = True,
    quantities: Sequence[str] = (),
) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels of `width` x `height` inches in rows of at most `most`, with `margins` beside and above.

    If the panels have `shared` axes, only the lowest of each column has tick labels. With `quantities`, one for each panel, only
    panels of the same quantity share their vertical axis.
    """
    rows = -(-count // most)
    columns = -(-count // rows)
    figure = new(width * columns + margins[0], height * rows + margins[1])
    grid = figure.subplots(rows, columns, sharex=shared, sharey=shared and not quantities, squeeze=False)
    for k, quantity in enumerate(quantities):
        if (first := quantities.index(quantity)) < k:
            grid.flat[k].sharey(grid.flat[first])
    for i in range(count, rows * columns):
        grid.flat[i].set_visible(False)
        grid.flat[i - columns].tick_params(labelbottom=True)
    return figure, list(grid.flat[:count])


def lines(
    parts: Mapping[str, Mapping[str, Sequence[Cell]]],
    places: Sequence[float],
    ticks: Sequence[str],
    xlabel: str,
    ylabel: str,
    bands: Sequence[str] = (),
    line: float | None = None,
    apart: int = 0,
    quantities: Sequence[str] = (),
) -> Figure:
    """Draw a measure against a level: a panel for each part, a curve for each system.

    Args:
        parts: part -> system -> a cell for each position.
        places: positions on the horizontal axis, (places,); ticks: their labels.
        xlabel, ylabel: axis labels of all panels; no `ylabel` if "".
        bands: the systems whose intervals are shaded.
        line: height of a dotted horizontal line, e.g. chance.
        apart: number of final places without a value on the axis (clean speech among levels in dB). Their points are drawn behind
            a line, not joined to the curve, with whiskers as intervals.
        quantities: what each panel shows. Only panels of the same quantity share their vertical axis, and each has a label "%" if
            its cells are percentages. Default: all show the same.
    """
    joined = len(places) - apart
    figure, grid = panels(len(parts), 3, 3.4, 2.7, (0.6, 1.0), quantities=quantities)
    for axes, (part, systems) in zip(grid, parts.items(), strict=True):
        for k, (system, cells) in enumerate(systems.items()):
            style = look(k)
            values = [c.form.scale * c.value for c in cells]
            axes.plot(places[:joined], values[:joined], label=system, ms=4, lw=1.4, **style)
            # side by side
            shift = 0.025 * (places[-1] - places[0]) * (k - (len(systems) - 1) / 2)
            beside = [place + shift for place in places[joined:]]
            axes.plot(beside, values[joined:], ms=4, **{**style, "linestyle": ""})
            if system in bands and all(c.low is not None for c in cells):
                ends = [[c.form.scale * getattr(c, end) for c in cells] for end in ("low", "high")]
                shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
                axes.fill_between(places[:joined], *(end[:joined] for end in ends), **shade)
                axes.vlines(beside, *(end[joined:] for end in ends), color=style["color"], linewidth=1)
        if apart:
            axes.axvline((places[joined - 1] + places[joined]) / 2, color=GREY, linewidth=0.8)
        if line is not None:
            axes.axhline(line, color=GREY, linewidth=1, linestyle=":")
        axes.set_title(part, fontsize=10)
        axes.set_xticks(places, ticks)
        if quantities and all(cell.form.scale == PERCENT.scale for cells in systems.values() for cell in cells):
            axes.set_ylabel("%", fontsize=8)
        tidy(axes)
    figure.supxlabel(xlabel, fontsize=10)
    if ylabel:
        figure.supylabel(ylabel, fontsize=10)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure
