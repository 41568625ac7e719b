"""Judge a search's scores: whether they exceed chance, and the spread over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats

if TYPE_CHECKING:
    from keras_ser.tuning.search_report import Found

LEVEL = 0.05


def verdict(found: Found) -> list[str]:
    """Return sentences for the report; empty if nothing has a score."""
    if not found.ranked:
        return []
    return [*_chance(found), *_noise(found)]


def _chance(found: Found) -> list[str]:
    """Return a sentence if no trial is better than guessing, for the main task's UAR."""
    main = found.recipe.tasks[0]
    if main.continuous or found.monitor != f"val_{main.name}_uar":
        return []
    most, best = limit(found), found.ranked[0].score
    if best > most:
        return []
    return [
        f"The search is within chance: the best of {len(found.ranked)} trials scores {best:.3f}, and guessing alone may reach "
        f"{most:.3f}: at most one of twenty such searches exceeds it (chance {1 / main.size:.3f}). No setting can be preferred to "
        "another."
    ]


def limit(found: Found) -> float:
    """Return a UAR that guessing exceeds in at most `LEVEL` of searches like this one.

    The score of a trial is the mean over folds of the largest of a run's epochs: of trials of E_i epochs on F folds, one of
    sum_i E_i^F means of guesses (E_i = 1 where the last epoch is kept). A mean exceeds s with a probability of at most

        exp(-t s) prod_c (1 - p + p exp(t w_c))^n_c, for every t > 0 (Chernoff's bound)

    where n_c clips of a class on a fold's side are guessed with probability p = 1 / (number of classes), and each has the weight
    w_c = 1 / (F n_c times the fold's number of classes). The union bound over all means holds for any dependence between them.
    Several seeds count as one guess, since their errors may be equal.
    """
    main, corpus = found.recipe.tasks[0], found.data.corpus
    sides = {job.split.fold: set(job.split.validation) for job in found.jobs}
    clips, weights = [], []
    for side in sides.values():
        encoded = (main.encode_utterance(u, corpus.name) for u in corpus if u.id in side)
        counts = Counter(value for value, weight in encoded if weight)
        clips += counts.values()
        weights += [1 / (len(sides) * len(counts) * n) for n in counts.values()]
    n, w, p = np.array(clips), np.array(weights), 1 / main.size
    tried = [found.recipe.change(trial.values) for trial in found.ranked]
    epochs = np.array([1 if recipe.keeps_last else recipe.epochs for recipe in tried])
    searched = np.logaddexp.reduce(len(sides) * np.log(epochs)) - np.log(LEVEL)

    def bound(log_t: float) -> float:
        t = np.exp(log_t)
        # log(1 - p + p exp(t w)), which overflows for no t
        return float((searched + n @ np.logaddexp(np.log1p(-p), np.log(p) + t * w)) / t)

    return min(1.0, float(optimize.minimize_scalar(bound, bounds=(-5, 15), method="bounded").fun))


def _noise(found: Found) -> list[str]:
    """Return sentences on whether the best setting beats the unchanged recipe with seeds not used in the search."""
    if len(found.ranked) == 1 and not found.ranked[0].number:
        return ["No other setting than the unchanged recipe has a score.", *_alone(found.confirmed.get("baseline", ()))]
    if not found.ranked[0].number:
        return ["No setting scores better than the unchanged recipe.", *_alone(found.confirmed.get("baseline", ()))]
    if not found.confirmed:
        return [
            "It is not tested whether the best setting is more than the luckiest of several draws: --confirm 5 trains it and the "
            "unchanged recipe with 5 further seeds."
        ]
    best, baseline = (np.array(found.confirmed[name]) for name in ("best", "baseline"))
    best, baseline = best[np.isfinite(best)], baseline[np.isfinite(baseline)]
    if min(len(best), len(baseline)) < 2:
        return ["Too few of the further seeds have a score to tell whether the best setting is more than noise."]
    gain, spread = best.mean() - baseline.mean(), baseline.std(ddof=1)
    low, high = interval(best, baseline)
    seeds = str(len(best)) if len(best) == len(baseline) else f"{len(best)} and {len(baseline)}"
    told = (
        f"Over {seeds} further seeds the best setting scores {best.mean():.3f} (sd {best.std(ddof=1):.3f}) and the unchanged "
        f"recipe {baseline.mean():.3f} (sd {spread:.3f}); the difference is {gain:+.3f} [{low:+.3f}, {high:+.3f}], "
    )
    if low > 0:
        told += "so the gain is more than the spread over seeds."
    elif high < 0:
        told += "so the best setting of the search is worse than the unchanged recipe."
    else:
        told += "so the gain may be noise: the unchanged recipe may be as good."
    found_scores = np.array([trial.score for trial in found.ranked if not trial.stopped])
    if len(found_scores) > 2 and found_scores.std(ddof=1) <= spread:
        return [
            told,
            f"All trials' scores spread (sd {found_scores.std(ddof=1):.3f}) no more than the seeds of one setting do "
            f"(sd {spread:.3f}): the search shows noise.",
        ]
    return [told]


def _alone(scores: Sequence[float]) -> list[str]:
    """Return a sentence on the unchanged recipe's scores with further seeds, where it is the best itself."""
    known = np.array([score for score in scores if np.isfinite(score)])
    if not len(known):
        return []
    spread = f" (sd {known.std(ddof=1):.3f})" if len(known) > 1 else ""
    return [f"Over {len(known)} further seed{'s' * (len(known) > 1)} it scores {known.mean():.3f}{spread}."]


def interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two means by Welch's t; the difference itself if nothing varies."""
    if a.var() + b.var() == 0:
        return (a.mean() - b.mean(),) * 2
    found = stats.ttest_ind(a, b, equal_var=False).confidence_interval(1 - LEVEL)
    return float(found.low), float(found.high)
