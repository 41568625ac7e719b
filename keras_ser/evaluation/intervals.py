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

with the terms of the seeds in df only where V_S > V_GS, and the interval theta +- t(df) sqrt(V). Of a difference of two systems
on the same clips P_g. is the difference of theirs (paired), and both have their own V_S and V_GS: the initialisations of two
systems are not paired, even where their seeds have the same numbers.

What is not known is left out. Under `FEW_GROUPS` groups there is no interval and no p: the resampling of so few holds no level,
and of an exact sign-flip test the smallest p, 2^(1 - G), is over 5 %. A spread over seeds needs two degrees of freedom
(three seeds, or two of each of two systems; with fewer, simulated intervals cover under 92 %). Where it cannot be estimated,
V = V_G: the interval is that of these networks alone, and there is no p, unless the system is deterministic.

`tests/evaluation/test_coverage.py` simulates what the levels are.

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
FEW_GROUPS = 6  # under this many groups nothing is said: see above
SEED_DEGREES = 2  # degrees of freedom that a spread over seeds needs

_NOTHING = 1e-18  # a variance that is rounding


class Jackknife(NamedTuple):
    """A system's scores, of all groups and without each."""

    whole: np.ndarray  # (..., seeds)
    left_out: np.ndarray  # (..., groups, seeds)
    deterministic: bool = False  # whether another seed would give the same model, so that one seed is all there is

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
    """The statistic of all groups, and without each of them, from each group's sums (groups, seeds, ...).

    `statistic` maps (..., seeds, ...) to (..., seeds, metrics), NaN where it is undefined. In the result the metrics come first.
    """
    total = sums.sum(axis=0)
    whole, left_out = statistic(total), statistic(total - sums)
    return Jackknife(np.moveaxis(whole, -1, 0), np.moveaxis(left_out, -1, 0), deterministic)


def seeds_known(*systems: Jackknife) -> bool:
    """Whether the spread over initialisations is known, or there is none."""
    drawn = [system.seeds for system in systems if not system.deterministic]
    return not drawn or (min(drawn) > 1 and sum(drawn) - len(drawn) >= SEED_DEGREES)


def variance(*systems: Jackknife, degrees: float | np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """V and df (see the module) of a score's mean over seeds or, of two systems, of the first's less the second's.

    Args:
        systems: one or two, over the same groups, at least two of them.
        degrees: df_G, (...,); NaN where no variance is known. Default: groups - 1.
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
    """The ends of Student's interval of values (...,) with variances `total` (...,) and `degrees` of freedom (...,).

    The interval is symmetric on `scale`, so that its ends stay in the range of the score: "logit" of shares, "z" (Fisher's) of
    correlations, "log" of errors, or "plain". The ends are NaN where the variance is 0 or unknown: a score whose every clip is
    right says nothing of its spread.
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
    """The mean over seeds of one score or, of two systems, of the first's less the second's, with its interval.

    The systems are of one metric each, (1, seeds) and (1, groups, seeds); `scale` and `degrees` as for `interval` and `variance`.
    """
    value = float(systems[0].whole.mean() - sum(other.whole.mean() for other in systems[1:]))
    if systems[0].groups < FEW_GROUPS:
        return Cell(value, clips=clips)
    ends = interval(value, *variance(*systems, degrees=degrees), scale)
    return Cell(value, *(None if np.isnan(end).all() else float(end.item()) for end in ends), clips=clips)


def p_value(difference: np.ndarray, total: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Two-sided p of "the difference is 0", from the same t as `interval`; NaN where the variance is 0 or unknown.

    A difference of 0 has a p of 1 whatever its variance.
    """
    difference, total = np.asarray(difference, np.float64), np.asarray(total, np.float64)
    t = np.divide(difference, np.sqrt(total), out=np.full(np.shape(difference), np.nan), where=total > 0)
    return np.where(difference == 0, 1.0, 2 * stdtr(degrees, -np.abs(t)))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p values corrected for their number, so that the chance of any false one is that of one p alone (Holm 1979).

        p'_(i) = max over j <= i of min(1, (m - j + 1) p_(j)),    p_(1) <= .. <= p_(m)

    Those that are None (or NaN) are not counted.

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
    """What an interval is over, in a few words: how many groups of what `unit`, and `seeds` (`over_seeds`).

    "none" and "clip" are clips whose speakers are unknown.
    """
    unit = "clip" if unit == "none" else unit
    counted = f"{groups} {unit}{'' if groups == 1 else 's'}"
    if groups < FEW_GROUPS:
        return f"no 95 % CI: {counted}, and it takes {FEW_GROUPS}"
    narrow = ": too narrow, since no speakers are known" if unit == "clip" else ""
    return f"95 % CI over {counted}{seeds} (t){narrow}"


def too_few(groups: int, unit: str) -> str:
    """What every table, plot and comparison says where there are too few groups for an interval (see `basis`); "" with enough."""
    return "" if groups >= FEW_GROUPS else basis(groups, unit)


def over_seeds(*seeds: int) -> str:
    """Whether an interval is over initialisations, in words; `seeds` are the numbers that the systems of a table have."""
    few, most = min(seeds), max(seeds)
    if most <= SEED_DEGREES:
        return ", of this one network" if most == 1 else f", of these {most} networks"
    if few <= SEED_DEGREES:
        return f" and seeds, where there are {SEED_DEGREES + 1}"
    return f" and {' or '.join(map(str, sorted(set(seeds))))} seeds"
