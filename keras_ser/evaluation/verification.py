"""Speaker verification: are two clips of unseen speakers one speaker's? Error rates over all trials of all runs.

`trials.py` says what a trial and an equal error rate (EER) are.

The table has one row a (fold, seed, system, trial), see `COLUMNS`. Scores of two networks have no common scale, so
trials of two folds or seeds are never pooled: a figure is that of each (fold, seed) with its own threshold, its mean over the
folds, each counting alike, and then over the seeds.

Intervals are over speakers and seeds (`intervals.py`). A trial hangs on two speakers: without speaker s all trials go that s has
a part in, which is Arvesen's jackknife of a U-statistic. A fold that is then left without either kind of trial is left out of that
mean. Bisani & Ney (2004) draw utterances; since the clips of a speaker depend on each other, speakers are left out here, and
since trials share speakers, too, both of a trial (Wu et al. 2017; Fogliato et al. 2024 review intervals for such data). Where
errors are rare there is little to see variation of.

References:
    Martin et al., The DET Curve in Assessment of Detection Task Performance, Eurospeech 1997.
    Arvesen, Jackknifing U-Statistics, The Annals of Mathematical Statistics 40 (1969).
    Bisani & Ney, Bootstrap Estimates for Confidence Intervals in ASR Performance Evaluation, ICASSP 2004.
    Wu, Martin, Greenberg & Kacker, The Impact of Data Dependency on Speaker Recognition Evaluation, IEEE/ACM Transactions on
    Audio, Speech, and Language Processing 25(1), 2017.
    Fogliato, Patil & Perona, Confidence Intervals for Error Rates in 1:1 Matching Tasks, International Journal of Computer
    Vision, 2024 (arXiv 2306.01198).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.intervals import Jackknife, estimate
from keras_ser.evaluation.tables import Cell, form_of
from keras_ser.evaluation.trials import P_TARGET, crossing, least_cost, rates

# a and b are the clips' ids; a gender may be "": unknown
COLUMNS = ("fold", "seed", "system", "a", "b", "speaker_a", "speaker_b", "gender_a", "gender_b", "same", "score")
METRICS = {"eer": "EER, %", "accuracy": "accuracy, %", "min_dcf": "minDCF"}


@dataclass(frozen=True)
class Verification:
    """How well each system's embeddings tell speakers apart.

    Args:
        table: see the module; the first system is the one that the others are compared with.
        p_target: of the detection cost; both costs are 1.

    Raises:
        UserError: a column, a score or a kind of trial is missing, or `same` is not what the speakers say.
    """

    table: pd.DataFrame = field(repr=False)
    p_target: float = P_TARGET
    _known: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self):
        missing = [name for name in COLUMNS if name not in self.table]
        if missing or not len(self.table):
            raise UserError(
                f"a table of trials must have the columns {', '.join(COLUMNS)}, and rows. "
                f"Received: {len(self.table)} rows, without {', '.join(missing) or 'no column'}."
            )
        same = self.table["same"].to_numpy(bool)
        false = int((same != (self.table["speaker_a"] == self.table["speaker_b"]).to_numpy()).sum())
        if false:
            raise UserError(f"`same` must say whether speaker_a is speaker_b. Received: {false} rows that do not.")
        if not np.isfinite(self.table["score"].to_numpy(float)).all():
            raise UserError("scores must be finite. Received: NaN or infinity.")
        for key, rows in self.table.groupby(["system", "fold", "seed"], sort=False)["same"]:
            if rows.nunique() < 2:
                raise UserError(
                    "each system, fold and seed must have trials of one speaker and trials of two. "
                    f"Received: {len(rows)} trials of one kind for {key}; see `trials`."
                )

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(self.table["system"]))

    @property
    def speakers(self) -> list[str]:
        return sorted({*self.table["speaker_a"].unique(), *self.table["speaker_b"].unique()})

    @property
    def genders_known(self) -> bool:
        """Whether there are different-speaker trials of one known gender."""
        return bool((self._same_gender(self.table) & ~self.table["same"].to_numpy(bool)).any())

    def score(self, system: str, metric: str, same_gender_only: bool = False) -> Cell:
        """A metric with its interval.

        Args:
            system: of the table.
            metric: "eer", "accuracy" (at the equal-error threshold) or "min_dcf".
            same_gender_only: leave out trials of two genders, which are easy, and those of an unknown one.

        Returns:
            The mean over folds, then seeds; `clips` is the number of trials a seed. NaN where there are none.

        Raises:
            ValueError: an unknown system or metric.
        """
        column = _column(metric)
        found, count = self._figures(system, same_gender_only)
        return _cell([_only(found, column)], count, metric)

    def difference(self, a: str, b: str, metric: str, same_gender_only: bool = False) -> Cell:
        """The metric of system a less that of system b, paired by speaker.

        Raises:
            ValueError: as `score`; systems that were not scored on the same trials.
        """
        column = _column(metric)
        if not self.comparable(a, b):
            raise UserError(f"only systems scored on the same trials can be compared. Received: {a!r} and {b!r}.")
        (of_a, count), (of_b, _) = self._figures(a, same_gender_only), self._figures(b, same_gender_only)
        return _cell([_only(of_a, column), _only(of_b, column)], count, metric)

    @staticmethod
    def _same_gender(rows: pd.DataFrame) -> np.ndarray:
        return ((rows["gender_a"] == rows["gender_b"]) & (rows["gender_a"] != "")).to_numpy()

    def _rows(self, system: str, same_gender_only: bool = False) -> pd.DataFrame:
        rows = self.table[self.table["system"] == system]
        if not len(rows):
            raise UserError(f"a system must be one of {', '.join(self.systems)}. Received: {system!r}.")
        return rows[self._same_gender(rows)] if same_gender_only else rows

    def comparable(self, a: str, b: str) -> bool:
        """Whether two systems were scored on the same trials."""
        return np.array_equal(self._trials(a), self._trials(b))

    def _trials(self, system: str) -> np.ndarray:
        """A number for each trial, sorted."""
        return np.sort(pd.util.hash_pandas_object(self._rows(system)[["fold", "seed", "a", "b"]], index=False))

    def runs(self, system: str, same_gender_only: bool) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
        """(fold, seed) and its trials."""
        yield from self._rows(system, same_gender_only).groupby(["fold", "seed"], sort=True)

    def _figures(self, system: str, same_gender_only: bool) -> tuple[Jackknife, int]:
        """Metrics of all trials and of those without each speaker, metrics in front, and the number of trials a seed."""
        key = (system, same_gender_only)
        if key not in self._known:
            self._known[key] = self._measure(*key)
        return self._known[key]

    def _measure(self, system: str, same_gender_only: bool) -> tuple[Jackknife, int]:
        every = self._rows(system)
        folds, seeds = sorted(every["fold"].unique()), sorted(every["seed"].unique())
        found = np.full(
            (len(METRICS), 1 + len(self.speakers), len(folds), len(seeds)), np.nan
        )  # first with all speakers
        count = 0
        for (fold, seed), rows in self.runs(system, same_gender_only):
            a, b, same, score = (rows[c].to_numpy() for c in ("speaker_a", "speaker_b", "same", "score"))
            for i, left_out in enumerate((None, *self.speakers)):
                kept = (a != left_out) & (b != left_out)
                place = i, folds.index(fold), seeds.index(seed)
                found[:, *place] = self._metrics(score[kept].astype(np.float64), same[kept].astype(bool))
            count += len(rows)
        means = _mean(found, axis=2)  # (metrics, 1 + speakers, seeds)
        return Jackknife(means[:, 0], means[:, 1:]), round(count / len(seeds))

    def _metrics(self, scores: np.ndarray, same: np.ndarray) -> tuple[float, float, float]:
        found = rates(scores, same)
        if found is None:
            return np.nan, np.nan, np.nan
        eer, point = crossing(*found)
        false_alarm, miss = (rate[point] for rate in found)
        accuracy = 1 - (miss * same.sum() + false_alarm * (~same).sum()) / len(same)
        return eer, accuracy, least_cost(*found, self.p_target)

    @property
    def kinds(self) -> dict[str, bool]:
        """Kind of trials -> same_gender_only."""
        return {"all": False} | ({"same-gender": True} if self.genders_known else {})

    def pairs(self) -> list[tuple[str, str, str, Cell]]:
        """(kind, system, first system, difference of their EER), of the systems scored on the same trials."""
        first, *others = self.systems
        return [
            (kind, name, first, self.difference(name, first, "eer", only))
            for kind, only in self.kinds.items()
            for name in others
            if self.comparable(name, first)
        ]


def _column(metric: str) -> int:
    if metric not in METRICS:
        raise UserError(f"a metric must be one of {', '.join(METRICS)}. Received: {metric!r}.")
    return list(METRICS).index(metric)


def _mean(x: np.ndarray, axis: int) -> np.ndarray:
    """The mean of what is not NaN; NaN of nothing, without a warning."""
    there = ~np.isnan(x)
    number = there.sum(axis=axis)
    total = np.where(there, x, 0.0).sum(axis=axis)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def _only(found: Jackknife, column: int) -> Jackknife:
    """One metric, and the seeds that have trials for it."""
    known = ~np.isnan(found.whole[column])
    return Jackknife(found.whole[column][known], found.left_out[column][:, known])


def _cell(systems: Sequence[Jackknife], count: int, metric: str) -> Cell:
    paired = len(systems) == 2
    form = form_of(metric, "+" if paired else "")
    if not all(system.seeds for system in systems):
        return Cell(float("nan"), clips=count, form=form)
    return replace(estimate(*systems, clips=count, scale="plain" if paired else "logit"), form=form)
