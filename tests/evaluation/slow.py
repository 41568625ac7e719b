"""What `keras_ser.evaluation.intervals` computes, in loops over tables, with SciPy's t."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

Measure = Callable[[pd.DataFrame], float]


def components(table: pd.DataFrame, measure: Measure) -> tuple[np.ndarray, float, float]:
    """Pseudo-values (groups, seeds) and the variances V_S and V_GS of a predictions table."""
    groups, seeds = sorted(table["group"].unique()), sorted(table["seed"].unique())
    n, s = len(groups), len(seeds)
    pseudo, scores = np.empty((n, s)), []
    for j, seed in enumerate(seeds):
        own = table[table["seed"] == seed]
        scores.append(measure(own))
        for i, group in enumerate(groups):
            pseudo[i, j] = n * scores[-1] - (n - 1) * measure(own[own["group"] != group])
    if s == 1:
        return pseudo, 0.0, 0.0
    over_seeds = sum((x - np.mean(scores)) ** 2 for x in scores) / (s * (s - 1))
    mixed = 0.0
    for i in range(n):
        for j in range(s):
            mixed += (pseudo[i, j] - pseudo[i].mean() - pseudo[:, j].mean() + pseudo.mean()) ** 2
    return pseudo, over_seeds, mixed / (n * s * (n - 1) * (s - 1))


def variance(
    first: pd.DataFrame, second: pd.DataFrame | None, measure: Measure, degrees: float | None = None
) -> tuple[float, float]:
    """V and its degrees of freedom, of a score or of the difference of two; of these networks alone with few seeds."""
    parts = [components(table, measure) for table in (first, second) if table is not None]
    by_group = parts[0][0].mean(axis=1) - (parts[1][0].mean(axis=1) if second is not None else 0)
    n = len(by_group)
    over_groups = sum((x - by_group.mean()) ** 2 for x in by_group) / (n * (n - 1))
    total, below = over_groups, over_groups**2 / (degrees or n - 1)
    seeds = [pseudo.shape[1] for pseudo, *_ in parts]
    for pseudo, over_seeds, mixed in parts if min(seeds) > 1 and sum(seeds) - len(seeds) > 1 else ():
        free = pseudo.shape[1] - 1
        if over_seeds > mixed:
            total += over_seeds - mixed
            below += over_seeds**2 / free + mixed**2 / ((n - 1) * free)
    return total, max(1.0, total**2 / below) if total > 1e-18 else np.nan


def degrees(table: pd.DataFrame, truth: str, metric: str) -> float | None:
    """Degrees of freedom over groups; None: no interval."""
    groups = table["group"].nunique()
    holders = [part["group"].nunique() for _, part in table.groupby(truth)]
    if metric.startswith("recall/"):
        groups = table.loc[table[truth] == metric.removeprefix("recall/"), "group"].nunique()
    if groups < 6:
        return None
    if metric not in ("uar", "macro_f1"):
        return groups - 1
    if min(holders) == 1:
        return None
    return min(groups - 1, sum(1 / h for h in holders) ** 2 / sum(1 / h**2 / (h - 1) for h in holders))


SCALES = {
    "plain": (lambda x: x, lambda x: 1, lambda y: y),
    "logit": (lambda x: np.log(x / (1 - x)), lambda x: 1 / (x * (1 - x)), lambda y: 1 / (1 + np.exp(-y))),
    "ccc": (np.arctanh, lambda x: 1 / (1 - x**2), np.tanh),
    "rmse": (np.log, lambda x: 1 / x, np.exp),
}


def interval(metric: str, value: float, total: float, free: float) -> tuple[float, float]:
    """The ends on the scale of a metric; "plain" and "logit" are scales themselves."""
    to, slope, back = SCALES.get(metric, SCALES["logit"])
    half = stats.t.ppf(0.975, free) * total**0.5 * slope(value)
    return back(to(value) - half), back(to(value) + half)
