"""The report on speaker verification, with detection error trade-off (DET) curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from keras_ser.errors import UserError
from keras_ser.evaluation.intervals import basis, over_seeds, too_few
from keras_ser.evaluation.learning import Learning, faults, untrained
from keras_ser.evaluation.tables import Cell, Table
from keras_ser.evaluation.verification import COLUMNS, METRICS, Verification
from keras_ser.evaluation.verification_trials import P_TARGET, rates
from keras_ser.reports import pictures
from keras_ser.reports.headline import trained
from keras_ser.reports.report import Picture, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[np.ndarray, np.ndarray]

TICKS = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99, 99.5, 99.9]) / 100


def verification_report(
    title: str,
    table: pd.DataFrame,
    *,
    paper: Mapping[str, Mapping[str, float]] | None = None,
    missing: Sequence[str] = (),
    notes: Sequence[str] = (),
    learned: Mapping[str, Sequence[Learning]] | None = None,
) -> Report:
    """Report how well each system's embeddings distinguish speakers; raise UserError for an unknown metric of the paper.

    Args:
        title: the heading.
        table: see `keras_ser.evaluation.verification`; the others are compared with the first system.
        paper: system -> {metric: the paper's score}, rates as fractions, over all trials. A name that is not a system of the
            table has its own row.
        missing, notes: sentences on excluded runs; further sentences.
        learned: system -> the verdicts on its runs.
    """
    learned = learned or {}
    found, paper = Verification(table), paper or {}
    unknown = {metric for figures in paper.values() for metric in figures} - set(METRICS)
    if unknown:
        raise UserError(f"the paper's metrics must be among {', '.join(METRICS)}. Received: {sorted(unknown)}.")
    cells = {
        (kind, system, metric): found.score(system, metric, only)
        for kind, only in found.kinds.items()
        for system in found.systems
        for metric in METRICS
    }
    shown = _table(found, cells, paper)
    pairs = found.pairs()
    unlike = [name for name in found.systems[1:] if name not in {system for _, system, *_ in pairs}]
    apart = [
        f"Scored on other trials than {found.systems[0]}, so that the error rates cannot be compared: {', '.join(unlike)}."
    ]
    missing = [*missing, *(apart if unlike else [])]
    differences = [f"{kind} trials: EER of {a} minus that of {b}: {cell.text()}" for kind, a, b, cell in pairs]
    seeds, speakers = table["seed"].nunique(), len(found.speakers)
    return Report(
        title=title,
        summary=[replace(shown, intervals=False)],
        sections=[
            f"[{basis(speakers, 'speaker', over_seeds(seeds))}]. Folds: {table['fold'].nunique()}, seeds: {seeds}. Each has its "
            "own network and threshold; figures are means over folds, then seeds, and `number` is the number of trials per seed.",
            "Accuracy is taken at the equal-error threshold, selected on the same trials: it equals 1 - EER up to a step of the "
            "curve. Chance is an EER of 50 %.",
            f"minDCF: the minimum detection cost at p = {P_TARGET:g}, with both costs 1; 1 is the cost of deciding without "
            "listening.",
            shown,
        ],
        caution=" ".join([*untrained(learned), *([f"{few}."] if (few := too_few(speakers, "speaker")) else [])]),
        missing=tuple(missing),
        head=(trained(learned),) if learned else (),
        notes=(*notes, *differences),
        data={
            "notes": [*missing, *faults(learned), *notes],
            "speakers": speakers,
            "p_target": P_TARGET,
            "paper": paper,
            "scores": [
                {"trials": kind, "number": cell.clips, "system": system, "metric": metric, **cell.ends()}
                for (kind, system, metric), cell in cells.items()
            ],
            "differences": [
                {"trials": kind, "metric": "eer", "of": a, "less": b, **cell.ends()} for kind, a, b, cell in pairs
            ],
        },
        figures=[Picture("verification.png", "DET curves", partial(_figure, found, cells))],
        predictions=table[list(COLUMNS)],
        name="verification",
        csv="verification.csv.gz",
    )


def _table(found: Verification, cells: Mapping, paper: Mapping[str, Mapping[str, float]]) -> Table:
    rows = []
    for kind in found.kinds:
        own = paper if kind == "all" else {}
        for system in found.systems:
            figures = own.get(system, {})
            row = [replace(cells[kind, system, m], paper=figures.get(m)) for m in METRICS]
            rows.append([kind, system, str(row[0].clips), *row])
        for system in own.keys() - set(found.systems):
            rows.append([kind, system, "", *(Cell(float("nan"), paper=own[system].get(m)) for m in METRICS)])
    return Table("", ["trials", "system", "number", *METRICS.values()], rows, 2)


def _figure(found: Verification, cells: Mapping) -> Figure:
    """Draw a panel for all trials and one for same-gender trials."""
    curves = {
        kind: {
            system: (mean_curve(found.runs(system, only)), cells[kind, system, "eer"].value) for system in found.systems
        }
        for kind, only in found.kinds.items()
    }
    return det(curves)


def mean_curve(runs: Iterable[tuple[tuple[int, int], pd.DataFrame]]) -> Curve:
    """Return mean false-alarm and miss rates, (levels,) each, of runs ((fold, seed), trials); NaN if no run has both kinds.

    The runs' curves are averaged along the lines false alarm - miss = constant, folds first: on the diagonal this is the mean
    equal-error rate. The levels are a few hundred of these differences, including 0.
    """
    seeds: dict[int, list[Curve]] = {}
    levels = [np.zeros(1)]
    for (_, seed), rows in runs:
        found = rates(rows["score"].to_numpy(float), rows["same"].to_numpy(bool))
        if found is None:
            continue
        false_alarm, miss = found
        gap = false_alarm - miss
        marks = ndtr(np.linspace(-4, 4, 161))
        places = np.concatenate([np.searchsorted(false_alarm, marks), np.searchsorted(-miss, -marks)])
        levels.append(gap[np.minimum(places, len(gap) - 1)])
        seeds.setdefault(seed, []).append((gap, false_alarm))
    level = np.unique(np.concatenate(levels))
    means = [np.mean([np.interp(level, *run) for run in of_seed], axis=0) for of_seed in seeds.values()]
    false_alarm = np.mean(means, axis=0) if means else np.full(len(level), np.nan)
    return false_alarm, false_alarm - level


def det(panels: Mapping[str, Mapping[str, tuple[Curve, float]]]) -> Figure:
    """Draw DET curves on normal-deviate axes; the equal-error rate is marked on the diagonal.

    `panels`: kind of trials -> {system: (curve, equal-error rate)}; a system with a NaN rate is left out.
    """
    low, high = _limits([curve for systems in panels.values() for curve, _ in systems.values()])
    figure = pictures.new(4.3 * len(panels) + 0.3, 4.6)
    drawn = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (kind, systems) in zip(drawn, panels.items(), strict=True):
        _panel(axes, systems, low, high)
        axes.set_title(f"{kind} trials", fontsize=10)
    drawn[0].set_ylabel("miss, %")
    return figure


def _panel(axes: Axes, systems: Mapping[str, tuple[Curve, float]], low: float, high: float) -> None:
    axes.plot(ndtri([low, high]), ndtri([low, high]), color=pictures.GREY, linewidth=0.8, linestyle=":")
    for k, (system, ((false_alarm, miss), eer)) in enumerate(systems.items()):
        if np.isnan(eer):
            continue
        # clip slightly outside the panel, since infinity would break the line
        x, y = (ndtri(np.clip(rate, low / 10, 1 - (1 - high) / 10)) for rate in (false_alarm, miss))
        equal = int(np.abs(false_alarm - miss).argmin())
        style = {"markersize": 8, "markeredgecolor": "black", "markeredgewidth": 0.7, "linewidth": 1.4}
        name = f"{system}: EER {100 * eer:.1f} %"
        axes.plot(x, y, markevery=[equal], label=name, zorder=3, **style, **pictures.look(k))
    ticks = TICKS[(low <= TICKS) & (high >= TICKS)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(ticks), [f"{100 * t:g}" for t in ticks])
    pictures.tidy(axes)
    axes.set_xlim(*ndtri([low, high]))
    axes.set_ylim(*ndtri([low, high]))
    axes.set_aspect("equal")
    axes.set_xlabel("false alarm, %")
    # the legend fits in the upper right corner, which curves better than chance leave free
    axes.legend(loc="upper right", fontsize=8, framealpha=0.9, handlelength=3.2)


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the limits of both axes: an eighth of the lowest EER, and the largest rate of the curves within that limit."""
    lowest, reached = 0.5, 0.5
    curves = [curve for curve in curves if not np.isnan(curve[0]).any()]
    for false_alarm, miss in curves:
        lowest = min(lowest, false_alarm[np.abs(false_alarm - miss).argmin()])
    low = TICKS[max(0, np.searchsorted(TICKS, lowest / 8, side="right") - 1)]
    for false_alarm, miss in curves:
        reached = max(reached, miss[false_alarm >= low].max(), false_alarm[miss >= low].max())
    return low, TICKS[min(len(TICKS) - 1, np.searchsorted(TICKS, min(reached, 0.95)))]
