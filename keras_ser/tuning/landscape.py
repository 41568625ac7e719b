"""Plots of a search's scores over its space: parallel coordinates, importance, and a map over two settings."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ser.reports import pictures
from keras_ser.tuning.space import Choice, Range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_ser.tuning.search_report import Found
    from keras_ser.tuning.trial import Trial

LEAST = 8  # minimum number of trials for fitting the scores
SHADES, GRID_POINTS = "viridis", 60


def position(each: Range | Choice, value: Any) -> float:
    """Map a value to its position in its range, 0 to 1, on a log scale if that is searched; a choice to its place in `order`."""
    if isinstance(each, Choice):
        text, values = each.text(value), each.order(())
        return values.index(text) / (len(values) - 1) if text in values else float("nan")
    low, high, value = each.low, each.high, float(value)
    if each.log:
        if value <= 0:
            return float("nan")
        low, high, value = np.log([low, high, value])
    return (value - low) / (high - low)


def value_at(each: Range, place: float) -> float:
    """The inverse of `position`."""
    if each.log:
        return float(each.low ** (1 - place) * each.high**place)
    return each.low + place * (each.high - each.low)


def positions(found: Found, trials: Sequence[Trial]) -> np.ndarray:
    """Return positions (trials, keys); NaN if the unchanged recipe's value is not among the choices."""
    return np.array([[position(each, found.value(trial, each.key)) for each in found.space] for trial in trials])


def fitted(found: Found) -> tuple[list[Trial], np.ndarray, np.ndarray]:
    """Return the complete trials within the space, their positions (trials, keys) and scores (trials,)."""
    trials = sorted((t for t in found.ranked if not t.stopped), key=lambda trial: trial.number)
    places = positions(found, trials).reshape(len(trials), len(found.space))
    inside = [i for i, place in enumerate(places) if ((place >= 0) & (place <= 1)).all()]
    trials = [trials[i] for i in inside]
    return trials, places[inside], np.array([trial.score for trial in trials])


def importance(places: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, float]:
    """Estimate the permutation importance of each setting for a random forest's prediction of the score.

    Returns:
        (repetitions, keys), as shares of the scores' variance, and the forest's R² on trials not used for fitting.
    """
    return _importance(tuple(map(tuple, places.tolist())), tuple(scores.tolist()))


@functools.lru_cache(maxsize=1)  # two pictures of a search need it
def _importance(places: tuple[tuple[float, ...], ...], scores: tuple[float, ...]) -> tuple[np.ndarray, float]:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with few trials, some are in every tree
        forest = RandomForestRegressor(100, min_samples_leaf=2, oob_score=True, random_state=0).fit(places, scores)
    lost = permutation_importance(forest, places, scores, n_repeats=10, random_state=0)
    return lost.importances.T, float(forest.oob_score_)


def _ticks(each: Range | Choice) -> tuple[list[float], list[str]]:
    """Return five tick positions and their labels, however narrow the range."""
    if isinstance(each, Choice):
        return np.linspace(0, 1, len(each.values)).tolist(), each.order(())
    places = np.linspace(0, 1, 5)
    values = [value_at(each, place) for place in places]
    for digits in range(2, 7):
        words = [f"{value:.{digits}g}" for value in values]
        if len(set(words)) == len(words):
            break
    return places.tolist(), words


def _shades(scores: np.ndarray):
    """Return a colour scale for the upper part of the scores, so that poor trials do not compress it."""
    from matplotlib.colors import Normalize

    low, high = np.quantile(scores, 0.1), scores.max()
    return Normalize(low, high if high > low else low + 1e-9)


def parallel(found: Found) -> Figure:
    """Draw a line per trial through its values and score, highlighting the best and the unchanged recipe."""
    from matplotlib import colormaps

    trials = [trial for trial in found.ranked if not np.isnan(positions(found, [trial])).any()]
    if not trials:
        return pictures.new(1.7 * len(found.space) + 2.6, 3.8)  # the unchanged recipe has values that are no choice
    places, scores = positions(found, trials), np.array([trial.score for trial in trials])
    norm, low, high = _shades(scores), scores.min(), max(scores.max(), scores.min() + 1e-9)
    figure = pictures.new(1.7 * len(found.space) + 2.6, 3.8)
    axes = figure.subplots()
    across = np.arange(len(found.space) + 1)
    lines = np.column_stack([places, (scores - low) / (high - low)])
    for line, trial in reversed(list(zip(lines, trials, strict=True))):
        style = {"color": colormaps[SHADES](norm(trial.score)), "linewidth": 1.2, "alpha": 0.85}
        if trial.stopped:
            style |= {"color": pictures.GREY, "linestyle": ":"}
        if not trial.number:
            style |= {"color": pictures.COLOURS[1], "linewidth": 2.2, "linestyle": "--", "label": "unchanged recipe"}
        if trial is found.ranked[0]:
            style |= {"color": "black", "linewidth": 2.6, "linestyle": "-", "alpha": 1, "label": _name(trial, True)}
        axes.plot(across, line, zorder=3 if "label" in style else 2, clip_on=False, **style)
    for x, each in enumerate(found.space):
        _column(axes, x, *_ticks(each))
    marks = np.linspace(0, 1, 5)
    _column(axes, len(found.space), marks.tolist(), [f"{low + mark * (high - low):.3f}" for mark in marks])
    axes.set_xticks(across, [*(each.key for each in found.space), found.monitor])
    axes.set_yticks([])
    axes.set_xlim(-0.45, len(found.space) + 0.25)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(labelsize=9, length=0, pad=8)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    return figure


def _name(trial: Trial, best: bool) -> str:
    return " and ".join((["best"] if best else []) + ([] if trial.number else ["unchanged recipe"]))


def _column(axes: Axes, x: float, places: Sequence[float], words: Sequence[str]) -> None:
    axes.plot([x, x], [0, 1], color="#4a5560", linewidth=1, zorder=1)
    for place, word in zip(places, words, strict=True):
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
        axes.text(x - 0.04, place, word, ha="right", va="center", fontsize=8, zorder=4, bbox=box)


def bars(found: Found) -> Figure:
    """Draw the importance of each setting, and its rank correlation with the score."""
    from scipy.stats import spearmanr

    _, places, scores = fitted(found)
    shares, known = importance(places, scores)
    order = np.argsort(shares.mean(0))
    figure = pictures.new(6.4, 0.5 * len(order) + 1.5)
    axes = figure.subplots()
    axes.barh(range(len(order)), shares.mean(0)[order], color=pictures.COLOURS[0], height=0.6)
    axes.errorbar(
        shares.mean(0)[order], range(len(order)), xerr=shares.std(0)[order], fmt="none", ecolor="#6b7682", capsize=3
    )
    words = []
    for key in order:
        varies = np.ptp(places[:, key]) > 0 and np.ptp(scores) > 0
        ordered = isinstance(found.space[key], Range) or found.space[key].ordered
        correlation = spearmanr(places[:, key], scores) if varies and ordered else None
        sign = "constant" if ordered else "values without an order"
        if correlation:
            chance = "p < 0.01" if correlation.pvalue < 0.01 else f"p = {correlation.pvalue:.2f}"
            sign = f"ρ = {correlation.statistic:+.2f}, {chance}"
        words.append(f"{found.space[key].key}\n{sign}")
    axes.set_yticks(range(len(order)), words)
    axes.set_xlabel("loss of the forest's R² when the setting is shuffled")
    unknown = " or less: nothing can be read from this" if known <= 0 else ""
    axes.set_title(f"R² on trials not fitted to: {max(known, 0):.2f}{unknown}", fontsize=9)
    pictures.tidy(axes, "x")
    return figure


def mapped(found: Found) -> list[int]:
    """Return the indices of the two most important ranges, if the space has two or more."""
    ranges = [i for i, each in enumerate(found.space) if isinstance(each, Range)]
    _, places, scores = fitted(found)
    shares = importance(places, scores)[0].mean(0)
    return sorted(sorted(ranges, key=lambda i: -shares[i])[:2])


def smooth(places: np.ndarray, scores: np.ndarray, seeds: float = 0.0) -> tuple[Any, float]:
    """Fit a Gaussian process with noise over positions (trials, 2); return it and the standard deviation of its noise.

    The noise is at least the standard deviation of `seeds` and a twentieth of the variance: otherwise a few trials are easily
    fitted exactly.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    least = max(0.05, (seeds / scores.std()) ** 2) if scores.std() else 1.0
    kernel = ConstantKernel(1.0, (0.01, 100)) * RBF([0.3, 0.3], (0.2, 3.0)) + WhiteKernel(
        2 * least, (least, 10 + 10 * least)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a parameter at its bound
        process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=2, random_state=0)
        process.fit(places, scores)
    return process, float(np.sqrt(process.kernel_.k2.noise_level) * scores.std())


def surface(found: Found) -> Figure:
    """Draw the scores over the two most important settings: each trial, and a smooth surface behind them."""
    pair = mapped(found)
    trials, places, scores = fitted(found)
    places = places[:, pair]
    seeds = found.confirmed.get("baseline", ())
    process, noise = smooth(places, scores, float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0)
    steps = np.linspace(0, 1, GRID_POINTS)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    height = process.predict(grid).reshape(GRID_POINTS, GRID_POINTS)
    norm = _shades(scores)
    figure = pictures.new(6.2, 4.8)
    axes = figure.subplots()
    levels = np.linspace(norm.vmin, max(norm.vmax, norm.vmin + 1e-6), 15)
    axes.contourf(steps, steps, height, levels=levels, cmap=SHADES, norm=norm, extend="both", alpha=0.85)
    dots = axes.scatter(*places.T, c=scores, cmap=SHADES, norm=norm, s=46, edgecolor="white", linewidth=1.1, zorder=3)
    for trial, place in zip(trials, places, strict=True):
        if trial is found.ranked[0] or trial.number == 0:
            best = trial is found.ranked[0]
            axes.scatter(
                *place,
                marker="*" if best else "s",
                s=300 if best else 130,
                facecolor="none",
                edgecolor="black" if best else pictures.COLOURS[1],
                linewidth=1.6,
                label=_name(trial, best),
                zorder=4,
            )
        axes.annotate(
            f"{trial.score:.3f}",
            place,
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
            bbox={"facecolor": "white", "alpha": 0.65, "edgecolor": "none", "pad": 0.5},
            zorder=5,
        )
    for number, axis, name in zip(pair, (axes.xaxis, axes.yaxis), "xy", strict=True):
        each = found.space[number]
        axis.set_ticks(*_ticks(each))
        getattr(axes, f"set_{name}label")(each.key + (" (log)" if each.log else ""))
        getattr(axes, f"set_{name}lim")(-0.04, 1.06)
    bar = figure.colorbar(dots, ax=axes, extend="min")
    bar.set_label(found.monitor)
    _spread(bar.ax, found, norm)
    others = ", the other settings vary" if len(found.space) > 2 else ""
    axes.set_title(f"the surface treats sd {noise:.3f} as noise{others}", fontsize=9)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def _spread(axes: Axes, found: Found, norm) -> None:
    """Draw the spread of further seeds of the unchanged recipe beside the colour bar."""
    scores = found.confirmed.get("baseline", ())
    if len(scores) < 2:
        return
    middle, spread = float(np.mean(scores)), float(np.std(scores, ddof=1))
    ends = np.clip([middle - spread, middle + spread], norm.vmin, norm.vmax)
    axes.plot([0.5, 0.5], ends, color=pictures.COLOURS[1], linewidth=3)
    axes.set_title("| seeds\n± 1 sd", fontsize=7, color=pictures.COLOURS[1])
