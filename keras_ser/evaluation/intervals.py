"""95 % intervals and p values over groups (speakers) and seeds (initialisations), by the jackknife and Student's t.

A score is the mean over S seeds of theta_s, each a function of sums over clips. With theta_s(-g) the score of seed s without
the clips of group g, one of G, the pseudo-values form a table of groups and seeds, of which the variance of the mean has the
components of a two-way analysis of variance:

    P_gs = G theta_s - (G - 1) theta_s(-g)
    V_G  = sum_g (P_g. - P_..)^2 / (G (G - 1))                                 which speakers were recorded
    V_S  = sum_s (theta_s - theta_.)^2 / (S (S - 1))                           which initialisations were drawn
    V_GS = sum_gs (P_gs - P_g. - P_.s + P_..)^2 / (G S (G - 1) (S - 1))        what V_S has of the sampling in V_G

    V    = V_G + max(V_S - V_GS, 0)
    df   = V^2 / (V_G^2 / df_G + V_S^2 / (S - 1) + V_GS^2 / ((G - 1) (S - 1)))         df_G = G - 1 unless given

with the terms of the seeds in df only if V_S > V_GS. The interval is theta +- t(df) sqrt(V). For the difference of two systems on
the same clips, P_g. is the difference of theirs (paired), while each system has its own V_S and V_GS: initialisations of two
systems are not paired, even if their seeds have the same numbers.

With fewer than `FEW_GROUPS` groups there is no interval and no p value: resampling so few groups does not keep its level, and the
smallest p value of an exact sign-flip test, 2^(1 - G), is over 5 %. The spread over seeds needs two degrees of freedom (three
seeds, or two for each of two systems; with fewer, simulated intervals cover less than 92 %). If it cannot be estimated, V = V_G:
the interval is that of these networks alone, and there is no p value unless the system is deterministic.

`tests/evaluation/test_coverage.py` simulates the levels.

References:
    Satterthwaite, An Approximate Distribution of Estimates of Variance Components, Biometrics Bulletin 2 (1946).
    Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 11 (jackknife).
    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6 (1979).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, stdtr, stdtrit

from keras_ser.evaluation.tables import Cell

LEVEL = 0.95
FEW_GROUPS = 6  # minimum number of groups for an interval, see above
SEED_DEGREES = 2  # minimum degrees of freedom of a spread over seeds

NO_INTERVAL = "no 95 % CI: "

_NOTHING = 1e-18  # variances below this are rounding errors


class Jackknife(NamedTuple):
    """A system's scores over all groups, and leaving out each group."""

    whole: np.ndarray  # (..., seeds)
    left_out: np.ndarray  # (..., groups, seeds)
    deterministic: bool = False  # whether all seeds give the same model, so that one seed suffices

    @property
    def seeds(self) -> int:
        return self.whole.shape[-1]

    @property
    def groups(self) -> int:
        return self.left_out.shape[-2]

    @property
    def pseudo(self) -> np.ndarray:
        """(..., groups, seeds)."""
        return self.groups * self.whole[..., None, :] - (self.groups - 1) * self.left_out


def jackknife(
    sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], deterministic: bool = False
) -> Jackknife:
    """Compute a statistic over all groups, and leaving out each, from the groups' sums (groups, seeds, ...).

    `statistic` maps (..., seeds, ...) to (..., seeds, metrics), NaN where it is undefined. In the result the metrics come first.
    """
    total = sums.sum(axis=0)
    whole, left_out = statistic(total), statistic(total - sums)
    return Jackknife(np.moveaxis(whole, -1, 0), np.moveaxis(left_out, -1, 0), deterministic)


def seeds_known(*systems: Jackknife) -> bool:
    """Return whether the spread over initialisations can be estimated, or is zero."""
    drawn = [system.seeds for system in systems if not system.deterministic]
    return not drawn or (min(drawn) > 1 and sum(drawn) - len(drawn) >= SEED_DEGREES)


def variance(*systems: Jackknife, degrees: float | np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Compute V and df (see the module) of a score's mean over seeds, or of the difference first - second of two systems.

    Args:
        systems: one or two systems over the same groups, of which there are at least two.
        degrees: df_G, (...,); NaN where the variance is unknown. Default: groups - 1.
    """
    groups = systems[0].groups
    pseudo = [system.pseudo for system in systems]
    by_group = [p.mean(axis=-1) for p in pseudo]
    spread = by_group[0] - by_group[1] if len(systems) == 2 else by_group[0]
    total = spread.var(axis=-1, ddof=1) / groups
    below = total**2 / (groups - 1 if degrees is None else degrees)
    for system, p in zip(systems, pseudo, strict=True):
        if system.deterministic or system.seeds < 2 or not seeds_known(*systems):
            continue
        free = system.seeds - 1
        over_seeds = system.whole.var(axis=-1, ddof=1) / system.seeds
        rest = p - p.mean(axis=-1, keepdims=True) - p.mean(axis=-2, keepdims=True) + p.mean((-2, -1), keepdims=True)
        mixed = (rest**2).sum(axis=(-2, -1)) / (groups * system.seeds * (groups - 1) * free)
        more = over_seeds > mixed
        total = total + np.where(more, over_seeds - mixed, 0.0)
        below = below + np.where(more, over_seeds**2 / free + mixed**2 / ((groups - 1) * free), 0.0)
    total = np.where(total > _NOTHING, total, 0.0)
    free = np.divide(total**2, below, out=np.full(np.shape(total), np.nan), where=(total > 0) & (below > 0))
    return total, np.maximum(free, 1.0)


def interval(
    value: np.ndarray, total: np.ndarray, degrees: np.ndarray, scale: str = "plain"
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the ends of Student's t interval of values (...,) with variances `total` (...,) and `degrees` of freedom (...,).

    The interval is symmetric on `scale`, so that its ends stay in the range of the score: "logit" for shares, "z" (Fisher's) for
    correlations, "log" for errors, or "plain". The ends are NaN where the variance is 0 or unknown: if every clip is correct, the
    spread of the score cannot be estimated.
    """
    forward, slope, back = _SCALES[scale]
    value, total = np.asarray(value, np.float64), np.asarray(total, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = (total > 0) & np.isfinite(slope(value)) & ~np.isnan(degrees)
        half = stdtrit(degrees, (1 + LEVEL) / 2) * np.sqrt(total) * slope(value)
        low, high = back(forward(value) - half), back(forward(value) + half)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


_SCALES = {
    "plain": (lambda x: x, np.ones_like, lambda x: x),
    "logit": (logit, lambda x: 1 / (x * (1 - x)), expit),
    "z": (np.arctanh, lambda x: 1 / (1 - x * x), np.tanh),
    "log": (np.log, lambda x: 1 / x, np.exp),
}


def estimate(*systems: Jackknife, clips: int, scale: str = "plain", degrees: float | np.ndarray | None = None) -> Cell:
    """Estimate the mean over seeds of a score, or of the difference first - second of two systems, with its interval.

    Each system has one metric, (1, seeds) and (1, groups, seeds); `scale` and `degrees` are those of `interval` and `variance`.
    """
    value = float(systems[0].whole.mean() - sum(other.whole.mean() for other in systems[1:]))
    if systems[0].groups < FEW_GROUPS:
        return Cell(value, clips=clips)
    ends = interval(value, *variance(*systems, degrees=degrees), scale)
    return Cell(value, *(None if np.isnan(end).all() else float(end.item()) for end in ends), clips=clips)


def p_value(difference: np.ndarray, total: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Compute the two-sided p value of "the difference is 0", from the same t as `interval`; NaN if the variance is 0 or unknown.

    A difference of 0 has a p value of 1 regardless of its variance.
    """
    difference, total = np.asarray(difference, np.float64), np.asarray(total, np.float64)
    t = np.divide(difference, np.sqrt(total), out=np.full(np.shape(difference), np.nan), where=total > 0)
    return np.where(difference == 0, 1.0, 2 * stdtr(degrees, -np.abs(t)))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number, which bounds the probability of any false rejection (Holm 1979).

        p'_(i) = max over j <= i of min(1, (m - j + 1) p_(j)),    p_(1) <= .. <= p_(m)

    None and NaN are not counted.

    Example:
        >>> holm([0.01, None, 0.04, 0.03])
        [0.03, None, 0.06, 0.06]
    """
    found: list[float | None] = [None] * len(p)
    known = sorted((value, i) for i, value in enumerate(p) if value is not None and not np.isnan(value))
    largest = 0.0
    for rank, (value, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        found[i] = largest
    return found


def basis(groups: int, unit: str, seeds: str = "") -> str:
    """Describe what an interval is taken over: the number of groups, their `unit`, and `seeds` (see `over_seeds`).

    The units "none" and "clip" are clips of unknown speakers.
    """
    unit = "clip" if unit == "none" else unit
    counted = f"{groups} {unit}{'' if groups == 1 else 's'}"
    if groups < FEW_GROUPS:
        return f"{NO_INTERVAL}{counted}, and {FEW_GROUPS} are needed"
    narrow = ": too narrow, since speakers are unknown" if unit == "clip" else ""
    return f"95 % CI over {counted}{seeds} (t){narrow}"


def too_few(groups: int, unit: str) -> str:
    """Return the remark on too few groups for an interval (see `basis`); "" if there are enough."""
    return "" if groups >= FEW_GROUPS else basis(groups, unit)


def over_seeds(*seeds: int) -> str:
    """Describe whether an interval covers initialisations; `seeds` are the numbers of seeds of a table's systems."""
    few, most = min(seeds), max(seeds)
    if most <= SEED_DEGREES:
        return ", of this one model" if most == 1 else f", of these {most} models"
    if few <= SEED_DEGREES:
        return f" and seeds, where there are {SEED_DEGREES + 1}"
    return f" and {' or '.join(map(str, sorted(set(seeds))))} seeds"
