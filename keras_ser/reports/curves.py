"""Pictures of curves: quantities over the epochs of a training, and a measure against a level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.tables import Cell
from keras_ser.reports.pictures import COLOURS, DASHES, GREY, MARKERS, mark, new, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_CURVE = {"epoch", "step", "time", "seconds"}


def epochs(histories: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """Learning curves: a panel per quantity, a thin line per run (fold and seed), their mean thick; validation dashed.

    Args:
        histories: run name -> history with a column `epoch` and others such as `loss`, `<task>_loss`, `val_<task>_uar`.
        title: above the panels.
    """
    # A resumed run may have written an epoch twice: the last one counts.
    histories = {name: h.drop_duplicates("epoch", keep="last").set_index("epoch") for name, h in histories.items()}
    quantities = _quantities(histories.values())
    if not quantities:
        raise UserError(f"learning curves need a history with a column beside the epoch. Received: {list(histories)}.")
    figure, grid = panels(len(quantities), 3, 3.6, 2.5, (0.4, 1.0), shared=False)
    sides = (("", "training", "-", COLOURS[0]), ("val_", "validation", (0, (4, 2)), COLOURS[1]))
    for axes, quantity in zip(grid, quantities, strict=True):
        for prefix, _, dash, colour in sides:
            runs = [h[prefix + quantity] for h in histories.values() if prefix + quantity in h.columns]
            for run in runs:
                thin = {"linewidth": 0.6, "alpha": 0.35} if len(runs) > 1 else {"linewidth": 1.8}
                axes.plot(run.index, run, color=colour, linestyle=dash, **thin)
            if len(runs) > 1:
                mean = pd.concat(runs, axis=1).mean(axis=1).sort_index()
                axes.plot(mean.index, mean, color=colour, linestyle=dash, linewidth=2)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(quantity.replace("_", " "), fontsize=9.5, loc="left")
        axes.set_xlabel("epoch", fontsize=8)
        tidy(axes)
    handles = [mark(name, color=colour, linestyle=dash, linewidth=2) for _, name, dash, colour in sides]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    runs = f"{len(histories)} runs (thin) and their mean" if len(histories) > 1 else next(iter(histories))
    figure.suptitle(f"{title}: {runs}" if title else runs, fontsize=10)
    return figure


def by_panel(parts: Mapping[str, Mapping[str, pd.Series]], ylabel: str) -> Figure:
    """A quantity over the epochs: a panel for each part, a curve for each system.

    Args:
        parts: part -> system -> the quantity by epoch.
        ylabel: of all panels.
    """
    figure, grid = panels(len(parts), 3, 3.4, 2.7, (0.6, 1.0))
    names = list(dict.fromkeys(name for systems in parts.values() for name in systems))
    styles = {name: {"color": COLOURS[k % 8], "linestyle": DASHES[k % 4]} for k, name in enumerate(names)}
    for axes, (part, systems) in zip(grid, parts.items(), strict=True):
        for name, values in systems.items():
            axes.plot(values.index, values, lw=1.4, **styles[name])
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(part, fontsize=10)
        tidy(axes)
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    handles = [mark(name, **style) for name, style in styles.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def _quantities(histories: Iterable[pd.DataFrame]) -> list[str]:
    """What is plotted: every numeric column but the epoch, `val_x` beside `x`; losses before scores."""
    numeric = [c for history in histories for c in history.select_dtypes("number").columns if c not in NO_CURVE]
    found = dict.fromkeys(column.removeprefix("val_") for column in numeric)

    def rank(quantity: str) -> int:
        if quantity == "loss":
            return 0
        return 1 if quantity.endswith("loss") else 3 if quantity.endswith(("learning_rate", "lr")) else 2

    return sorted(found, key=rank)


def panels(
    count: int, most: int, width: float, height: float, margins: tuple[float, float], shared: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of `width` x `height` inches in rows of at most `most`, with `margins` beside and above them.

    Where the panels have `shared` axes, the lowest of each column names its ticks.
    """
    rows = -(-count // most)
    columns = -(-count // rows)
    figure = new(width * columns + margins[0], height * rows + margins[1])
    grid = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False)
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
) -> Figure:
    """A measure against a level: a panel for each part, a curve for each system.

    Args:
        parts: part -> system -> a cell for each place.
        places: (places,) on the horizontal axis; ticks: what they are called.
        xlabel, ylabel: of all panels.
        bands: the systems whose intervals are shaded.
        line: a dotted horizontal line, as of chance.
    """
    figure, grid = panels(len(parts), 3, 3.4, 2.7, (0.6, 1.0))
    for axes, (part, systems) in zip(grid, parts.items(), strict=True):
        for k, (system, cells) in enumerate(systems.items()):
            style = {"color": COLOURS[k % 8], "marker": MARKERS[k % 8], "linestyle": DASHES[k % 4]}
            axes.plot(places, [c.form.scale * c.value for c in cells], label=system, ms=4, lw=1.4, **style)
            if system in bands and all(c.low is not None for c in cells):
                ends = [[c.form.scale * getattr(c, end) for c in cells] for end in ("low", "high")]
                axes.fill_between(places, *ends, color=style["color"], alpha=0.15, linewidth=0)
        if line is not None:
            axes.axhline(line, color=GREY, linewidth=1, linestyle=":")
        axes.set_title(part, fontsize=10)
        axes.set_xticks(places, ticks)
        tidy(axes)
    figure.supxlabel(xlabel, fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure
