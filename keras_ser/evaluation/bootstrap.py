"""The bootstrap over groups: draw speakers with replacement, add up their sums, take percentiles.

Every score of this package is a function of sums over clips (counts, or moments), so a resample needs no clips: with
w_g the number of times that group g was drawn and T_g the sums of its clips,

    theta* = f(sum_g w_g T_g),    w ~ Multinomial(G; 1/G, .., 1/G)

for G groups. The draws come from `numpy.random.default_rng(seed).integers(groups, size=(resamples, groups))`.

Reference: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 (percentiles) and 16 (tests).
"""

from collections.abc import Callable, Iterator

import numpy as np

from keras_ser.errors import UserError

RESAMPLES = 2000
LEVEL = 0.95
FEW_GROUPS = 20  # under this many groups a percentile interval covers visibly less than it says

_CELLS = 2**22  # most numbers held at once per array, so that memory does not grow with the number of resamples


def _chunks(groups: int, resamples: int, seed: int, width: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // max(groups, width))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(groups, size=(rows, groups)) + np.arange(rows)[:, None] * groups
        yield np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups).astype(np.float64)


def weights(groups: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each group is drawn in each resample.

    Args:
        groups: number of groups, at least 1.
        resamples: number of resamples, at least 1.
        seed: of the draws.

    Returns:
        (resamples, groups), whole numbers as float64; every row sums to `groups`.

    Raises:
        ValueError: `groups` or `resamples` under 1.
    """
    _positive(groups, resamples)
    return np.concatenate(list(_chunks(groups, resamples, seed, groups)))


def resample(
    sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """The statistic of every resample.

    Args:
        sums: (groups, ...), each group's sums.
        statistic: maps (resamples, ...) to (resamples, metrics).
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        (resamples, metrics); NaN where a resample leaves a metric undefined.

    Raises:
        ValueError: no group, or `resamples` under 1.
    """
    groups = len(sums)
    _positive(groups, resamples)
    flat = np.asarray(sums, np.float64).reshape(groups, -1)
    chunks = _chunks(groups, resamples, seed, flat.shape[1])
    return np.concatenate([statistic((w @ flat).reshape(len(w), *sums.shape[1:])) for w in chunks])


def interval(samples: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval of each column; resamples where the metric is undefined (NaN) are left out.

    Args:
        samples: (resamples, metrics).
        level: coverage, in (0, 1).

    Returns:
        (metrics,) lower and (metrics,) upper ends; NaN where every resample is.
    """
    ends = ((1 - level) / 2, (1 + level) / 2)
    if not np.isnan(samples).any():
        low, high = np.quantile(samples, ends, axis=0)
        return low, high
    columns = [column[~np.isnan(column)] for column in samples.T]
    pairs = [np.quantile(c, ends) if len(c) else np.full(2, np.nan) for c in columns]
    low, high = np.stack(pairs, axis=1)
    return low, high


def resampling(groups: int, unit: str) -> str:
    """What an interval's bootstrap draws, in words."""
    if unit == "none":
        return "resampling clips, since the corpus names no speakers: too narrow"
    if groups < 2:
        return f"none: there is one {unit}"
    return f"resampling {groups} {unit}s" + (": likely too narrow" if groups < FEW_GROUPS else "")


def p_value(differences: np.ndarray) -> float:
    """Two-sided bootstrap p of "the difference is 0": the interval's level turned around.

        p = min(1, 2 min(1 + #{d* <= 0}, 1 + #{d* >= 0}) / (R + 1))

    with d* the differences of the R resamples. The added ones keep it from being 0: the smallest is 2 / (R + 1).

    Args:
        differences: (resamples,).

    Reference: Davison & Hinkley, Bootstrap Methods and their Application (1997), chapter 4.
    """
    d = np.asarray(differences, np.float64)
    d = d[~np.isnan(d)]
    tail = min(np.count_nonzero(d <= 0), np.count_nonzero(d >= 0))
    return float(min(1.0, 2 * (1 + tail) / (len(d) + 1)))


def _positive(groups: int, resamples: int) -> None:
    if groups < 1 or resamples < 1:
        raise UserError(
            f"a bootstrap needs at least one group and one resample. Received: {groups} groups, {resamples} resamples."
        )
