"""Speaker verification: whether two clips are of the same unseen speaker. Error rates over all trials of all runs.

`verification_trials.py` defines a trial and the equal error rate (EER).

The table has one row per (fold, seed, system, trial), see `COLUMNS`. Scores of different networks have no common scale, so trials
of different folds or seeds are never pooled: a score is computed for each (fold, seed) with its own threshold, averaged over the
folds with equal weights, and then over the seeds.

Intervals are over speakers and seeds (`intervals.py`). A trial depends on two speakers: leaving out speaker s removes all trials
that involve s, which is Arvesen's jackknife of a U-statistic. A fold that then lacks either kind of trial is excluded from that
mean. Bisani & Ney (2004) resample utterances; here speakers are left out, since the clips of a speaker are dependent, and so are
trials that share a speaker (Wu et al. 2017; Fogliato et al. 2024 review intervals for such data). If errors are rare, their
variation is hard to estimate.

References:
    Martin et al., The DET Curve in Assessment of Detection Task Performance, Eurospeech 1997.
    Arvesen, Jackknifing U-Statistics, The Annals of Mathematical Statistics 40 (1969).
    Bisani & Ney, Bootstrap Estimates for Confidence Intervals in ASR Performance Evaluation, ICASSP 2004.
    Wu, Martin, Greenberg & Kacker, The Impact of Data Dependency on Speaker Recognition Evaluation, IEEE/ACM Transactions on
    Audio, Speech, and Language Processing 25(1), 2017.
    Fogliato, Patil & Perona, Confidence Intervals for Error Rates in 1:1 Matching Tasks, International Journal of Computer
    Vision, 2024 (arXiv 2306.01198).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from keras_ser import metrics
from keras_ser.evaluation.intervals import Jackknife, estimate
from keras_ser.evaluation.tables import Cell, form_of
from keras_ser.evaluation.verification_trials import crossing, least_cost, rates

# a and b are the clips' ids; gender "" = unknown
COLUMNS = ("fold", "seed", "system", "a", "b", "speaker_a", "speaker_b", "gender_a", "gender_b", "same", "score")
# minDCF weighs false alarms 99 times, so that its spread remains wide near its largest value 1, where logits have no limit
SCALES = {"eer": "logit", "accuracy": "logit", "min_dcf": "log"}
METRICS = {"eer": "EER, %", "accuracy": "accuracy, %", "min_dcf": "minDCF"}


@dataclass(frozen=True)
class Verification:
    """How well each system's embeddings tell speakers apart."""

    # see the module; the others are compared with the first system
    table: pd.DataFrame = field(repr=False)
    _known: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(self.table["system"]))

    @property
    def speakers(self) -> list[str]:
        return sorted({*self.table["speaker_a"].unique(), *self.table["speaker_b"].unique()})

    @property
    def kinds(self) -> dict[str, bool]:
        """Kind of trials -> same_gender_only; same-gender only if there are different-speaker trials of one known gender."""
        known = (_same_gender(self.table) & ~self.table["same"].astype(bool)).any()
        return {"all": False} | ({"same-gender": True} if known else {})

    def score(self, system: str, metric: str, same_gender_only: bool = False) -> Cell:
        """Return the mean of a metric over folds, then seeds, with its interval; `clips` is trials per seed. NaN without trials.

        Args:
            system: name of a system in the table.
            metric: "eer", "accuracy" (at the equal-error threshold) or "min_dcf".
            same_gender_only: leave out trials of two genders, which are easy, or of an unknown gender.
        """
        found, count = self._measured(system, metric, same_gender_only)
        if not found.seeds:
            return Cell(float("nan"), clips=count, form=form_of(metric))
        cell = estimate(found, clips=count, scale=SCALES[metric])
        return replace(cell, high=None if cell.high is None else min(cell.high, 1.0), form=form_of(metric))

    def difference(self, a: str, b: str, metric: str, same_gender_only: bool = False) -> Cell:
        """Return the metric of system a minus that of system b, paired by speaker; both are scored on the same trials."""
        speakers = tuple(sorted({s for name in (a, b) for s in self._compared(name, same_gender_only)}))
        (first, count), (second, _) = (self._measured(name, metric, same_gender_only, speakers) for name in (a, b))
        if not (first.seeds and second.seeds):
            return Cell(float("nan"), clips=count, form=form_of(metric, "+"))
        return replace(estimate(first, second, clips=count), form=form_of(metric, "+"))

    def pairs(self) -> list[tuple[str, str, str, Cell]]:
        """List (kind, system, first system, difference of EER) of the systems scored on the same trials."""
        first, *others = self.systems
        same = [name for name in others if np.array_equal(self._trials(name), self._trials(first))]
        return [
            (kind, name, first, self.difference(name, first, "eer", only))
            for kind, only in self.kinds.items()
            for name in same
        ]

    def _trials(self, system: str) -> np.ndarray:
        """Return a sorted number for each trial."""
        rows = self.table.loc[self.table["system"] == system, ["fold", "seed", "a", "b"]]
        return np.sort(pd.util.hash_pandas_object(rows, index=False))

    def runs(self, system: str, same_gender_only: bool) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
        """Yield (fold, seed) and its trials."""
        yield from self._rows(system, same_gender_only).groupby(["fold", "seed"], sort=True)

    def _rows(self, system: str, same_gender_only: bool) -> pd.DataFrame:
        rows = self.table[self.table["system"] == system]
        return rows[_same_gender(rows) | (not same_gender_only)]

    def _compared(self, system: str, same_gender_only: bool) -> tuple[str, ...]:
        """Return the speakers with a trial of this system, and of this kind."""
        rows = self._rows(system, same_gender_only)
        return tuple(sorted({*rows["speaker_a"].unique(), *rows["speaker_b"].unique()}))

    def _measured(
        self, system: str, metric: str, same_gender_only: bool, speakers: tuple[str, ...] = ()
    ) -> tuple[Jackknife, int]:
        """Return the metric over all trials and leaving out each speaker, for seeds with trials, and trials per seed.

        Args:
            speakers: whom to leave out. Default: those with such a trial.
        """
        key = (system, same_gender_only, speakers or self._compared(system, same_gender_only))
        if key not in self._known:
            self._known[key] = self._figures(*key)
        figures, count = self._known[key]
        figures = figures[..., list(METRICS).index(metric)]
        figures = figures[:, ~np.isnan(figures[0])]
        return Jackknife(figures[0], figures[1:]), count

    def _figures(self, system: str, same_gender_only: bool, speakers: tuple[str, ...]) -> tuple[np.ndarray, int]:
        """Return metrics (1 + speakers, seeds, metrics), with all speakers first, and the number of trials per seed."""
        every = self.table[self.table["system"] == system]
        folds, seeds = sorted(every["fold"].unique()), sorted(every["seed"].unique())
        found = np.full((len(folds), 1 + len(speakers), len(seeds), len(METRICS)), np.nan)
        count = 0
        for (fold, seed), rows in self.runs(system, same_gender_only):
            a, b, same, score = (rows[c].to_numpy() for c in ("speaker_a", "speaker_b", "same", "score"))
            for i, left_out in enumerate((None, *speakers)):
                kept = (a != left_out) & (b != left_out)
                found[folds.index(fold), i, seeds.index(seed)] = _rates(
                    score[kept].astype(float), same[kept].astype(bool)
                )
            count += len(rows)
        there = ~np.isnan(found)
        return metrics.ratio(np.where(there, found, 0.0).sum(axis=0), there.sum(axis=0)), round(count / len(seeds))


def _same_gender(rows: pd.DataFrame) -> pd.Series:
    return (rows["gender_a"] == rows["gender_b"]) & (rows["gender_a"] != "")


def _rates(scores: np.ndarray, same: np.ndarray) -> tuple[float, float, float]:
    """Compute EER, accuracy at its threshold and minDCF; NaN if a kind of trial is absent."""
    found = rates(scores, same)
    if found is None:
        return np.nan, np.nan, np.nan
    eer, point = crossing(*found)
    false_alarm, miss = (rate[point] for rate in found)
    accuracy = 1 - (miss * same.sum() + false_alarm * (~same).sum()) / len(same)
    return eer, accuracy, least_cost(*found)
