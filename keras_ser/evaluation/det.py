"""Curves of the detection error trade-off: misses against false alarms, on axes of normal deviates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from keras_ser.evaluation.plots import styles
from keras_ser.evaluation.trials import Steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[np.ndarray, np.ndarray]

_TICKS = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99, 99.5, 99.9]) / 100


def mean_curve(runs: Iterable[tuple[tuple[int, int], pd.DataFrame]]) -> Curve:
    """Mean false-alarm and miss rates at a few hundred levels of their difference, 0 among them.

    The mean of the runs' curves along the lines false alarm - miss = constant, folds first: on the diagonal that is the mean
    equal-error rate.

    Args:
        runs: (fold, seed) and its trials, with the columns "score" and "same".

    Returns:
        false alarms and misses, (levels,) each; NaN where no run has trials of both kinds.
    """
    seeds: dict[int, list[Curve]] = {}
    levels = [np.zeros(1)]
    for (_, seed), rows in runs:
        found = Steps(rows["score"].to_numpy(), rows["same"].to_numpy()).rates()
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


def det_figure(panels: Mapping[str, Mapping[str, tuple[Curve, float]]]) -> Figure:
    """DET curves; the equal-error rate is marked on the diagonal.

    Args:
        panels: kind of trials -> {system: (curve, equal-error rate)}; a system without the latter is left out.
    """
    from matplotlib.figure import Figure

    low, high = _limits([curve for systems in panels.values() for curve, _ in systems.values()])
    figure = Figure(figsize=(4.3 * len(panels) + 0.3, 4.6), layout="constrained")
    drawn = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (kind, systems) in zip(drawn, panels.items(), strict=True):
        _panel(axes, systems, low, high)
        axes.set_title(f"{kind} trials", fontsize=10)
    drawn[0].set_ylabel("miss, %")
    return figure


def _panel(axes: Axes, systems: Mapping[str, tuple[Curve, float]], low: float, high: float) -> None:
    axes.plot(ndtri([low, high]), ndtri([low, high]), color="#8c9bab", linewidth=0.8, linestyle=":")
    looks = styles(["", *systems])
    for system, ((false_alarm, miss), eer) in systems.items():
        if np.isnan(eer):
            continue
        # a little outside the panel, where infinity would break the line
        x, y = (ndtri(np.clip(rate, low / 10, 1 - (1 - high) / 10)) for rate in (false_alarm, miss))
        equal = int(np.abs(false_alarm - miss).argmin())
        look = looks[system] | {"markersize": 8, "markeredgecolor": "black", "markeredgewidth": 0.7}
        axes.plot(x, y, markevery=[equal], label=f"{system}: EER {100 * eer:.1f} %", zorder=3, **look)
    ticks = _TICKS[(low <= _TICKS) & (high >= _TICKS)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(ticks), [f"{100 * t:g}" for t in ticks], fontsize=8)
    axes.set_xlim(*ndtri([low, high]))
    axes.set_ylim(*ndtri([low, high]))
    axes.set_aspect("equal")
    axes.set_axisbelow(True)
    axes.grid(color="#e3e6ea", linewidth=0.8)
    axes.set_xlabel("false alarm, %")
    # a curve that is better than chance leaves the upper right corner free
    axes.legend(loc="upper right", fontsize=8, framealpha=0.9, handlelength=3.2)


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """The ends of both axes: an eighth of the lowest EER, and what the curves reach where they enter there."""
    lowest, reached = 0.5, 0.5
    curves = [curve for curve in curves if not np.isnan(curve[0]).any()]
    for false_alarm, miss in curves:
        lowest = min(lowest, false_alarm[np.abs(false_alarm - miss).argmin()])
    low = _TICKS[max(0, np.searchsorted(_TICKS, lowest / 8, side="right") - 1)]
    for false_alarm, miss in curves:
        reached = max(reached, miss[false_alarm >= low].max(), false_alarm[miss >= low].max())
    return low, _TICKS[min(len(_TICKS) - 1, np.searchsorted(_TICKS, min(reached, 0.95)))]
