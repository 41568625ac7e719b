"""Speaker verification: are two clips of unseen speakers one speaker's? The report over all trials of all runs.

`trials.py` says what a trial and an equal error rate (EER) are.

The report's table has one row a (fold, seed, system, trial), see `COLUMNS`. Scores of two networks have no common scale, so
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

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation import markdown
from keras_ser.evaluation.denoising import Cell, estimate
from keras_ser.evaluation.det import det_figure, mean_curve
from keras_ser.evaluation.intervals import Jackknife, basis, over_seeds
from keras_ser.evaluation.trials import P_TARGET, Steps, crossing, least_cost
from keras_ser.files import write_figure, write_json, write_table, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# a and b are the clips' ids; a gender may be "": unknown
COLUMNS = ("fold", "seed", "system", "a", "b", "speaker_a", "speaker_b", "gender_a", "gender_b", "same", "score")
METRICS = {"eer": "EER, %", "accuracy": "accuracy, %", "min_dcf": "minDCF"}


def read_trials(path: str | PathLike[str]) -> pd.DataFrame:
    """A table of trials as `VerificationReport.save` writes it; ids, speakers and genders stay text."""
    kinds = {name: str for name in COLUMNS} | {"fold": int, "seed": int, "same": bool}
    table = pd.read_csv(path, dtype=kinds, keep_default_na=False)
    # Python reads the very number that was written, pandas by default one near it
    return table.assign(score=[float(text) for text in table["score"]])


@dataclass(frozen=True)
class VerificationReport:
    """How well each system's embeddings tell speakers apart.

    Args:
        title: the report's heading.
        table: see the module; the first system is the one that the others are compared with.
        paper: system -> {metric: the paper's figure}, rates as fractions; for all trials. A name that is no system of the
            table has a line of its own.
        notes: sentences for the reader.
        p_target: of the detection cost; both costs are 1.

    Raises:
        ValueError: a column, a score or a kind of trial is missing, or `same` is not what the speakers say.
    """

    title: str
    table: pd.DataFrame = field(repr=False)
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()
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
        unknown = {metric for figures in self.paper.values() for metric in figures} - set(METRICS)
        if unknown:
            raise UserError(f"the paper's metrics must be among {', '.join(METRICS)}. Received: {sorted(unknown)}.")

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
        return _cell([_only(found, column)], count, "logit")

    def difference(self, a: str, b: str, metric: str, same_gender_only: bool = False) -> Cell:
        """The metric of system a less that of system b, paired by speaker.

        Raises:
            ValueError: as `score`; systems that were not scored on the same trials.
        """
        column = _column(metric)
        if not np.array_equal(self._trials(a), self._trials(b)):
            raise UserError(f"only systems scored on the same trials can be compared. Received: {a!r} and {b!r}.")
        (of_a, count), (of_b, _) = self._figures(a, same_gender_only), self._figures(b, same_gender_only)
        return _cell([_only(of_a, column), _only(of_b, column)], count, "plain")

    @staticmethod
    def _same_gender(rows: pd.DataFrame) -> np.ndarray:
        return ((rows["gender_a"] == rows["gender_b"]) & (rows["gender_a"] != "")).to_numpy()

    def _rows(self, system: str, same_gender_only: bool = False) -> pd.DataFrame:
        rows = self.table[self.table["system"] == system]
        if not len(rows):
            raise UserError(f"a system must be one of {', '.join(self.systems)}. Received: {system!r}.")
        return rows[self._same_gender(rows)] if same_gender_only else rows

    def _trials(self, system: str) -> np.ndarray:
        """A number for each trial, sorted."""
        return np.sort(pd.util.hash_pandas_object(self._rows(system)[["fold", "seed", "a", "b"]], index=False))

    def _runs(self, system: str, same_gender_only: bool) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
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
        speakers = self.speakers
        number = {name: i for i, name in enumerate(speakers)}
        found = np.full((len(METRICS), 1 + len(speakers), len(folds), len(seeds)), np.nan)  # first with all speakers
        count = 0
        for (fold, seed), rows in self._runs(system, same_gender_only):
            steps = Steps(rows["score"].to_numpy(), rows["same"].to_numpy())
            a, b = (rows[c].map(number).to_numpy(int)[steps.order] for c in ("speaker_a", "speaker_b"))
            for left_out in range(-1, len(speakers)):
                kept = ((a != left_out) & (b != left_out)).astype(np.float64)
                at = 1 + left_out, folds.index(fold), seeds.index(seed)
                found[:, *at] = self._metrics(steps, kept)
            count += len(rows)
        means = _mean(found, axis=2)  # (metrics, 1 + speakers, seeds)
        return Jackknife(means[:, 0], means[:, 1:]), round(count / len(seeds))

    def _metrics(self, steps: Steps, weight: np.ndarray) -> tuple[float, float, float]:
        wrong, right = steps.counts(weight)
        different, same = wrong[-1], right[-1]
        if not (different and same):
            return np.nan, np.nan, np.nan
        false_alarm, miss = wrong / different, 1 - right / same
        eer, point = crossing(false_alarm, miss)
        accuracy = (right[point] + different - wrong[point]) / (same + different)
        return eer, accuracy, least_cost(false_alarm, miss, self.p_target, 1 - self.p_target)

    @property
    def _kinds(self) -> dict[str, bool]:
        """Line of the report -> same_gender_only."""
        return {"all": False} | ({"same-gender": True} if self.genders_known else {})

    def _table(self, intervals: bool) -> list[list[str]]:
        printed = {metric for figures in self.paper.values() for metric in figures}
        header = ["trials", "system", "number"]
        for metric, name in METRICS.items():
            header += [name, *(["paper"] if metric in printed else [])]
        rows = [header]
        for kind, same_gender_only in self._kinds.items():
            others = [name for name in self.paper if name not in self.systems] if kind == "all" else []
            for system in (*self.systems, *others):
                row = [kind, system, ""]
                for metric in METRICS:
                    cell = None if system in others else self.score(system, metric, same_gender_only)
                    row.append("" if cell is None else _shown(cell, metric, intervals))
                    if metric in printed:
                        figure = self.paper.get(system, {}).get(metric) if kind == "all" else None
                        row.append("" if figure is None else _number(figure, metric))
                    if cell is not None:
                        row[2] = str(cell.clips)
                rows.append(row)
        return rows

    def _pairs(self) -> list[tuple[str, str, str, Cell]]:
        """(kind, system, first system, difference of their EER)."""
        first, *others = self.systems
        comparable = [name for name in others if np.array_equal(self._trials(name), self._trials(first))]
        return [
            (kind, name, first, self.difference(name, first, "eer", same_gender_only))
            for kind, same_gender_only in self._kinds.items()
            for name in comparable
        ]

    def _differences(self) -> list[str]:
        return [
            f"{kind} trials: EER of {a} less that of {b}: {_shown(cell, 'eer', True, '+')}"
            for kind, a, b, cell in self._pairs()
        ]

    def lines(self) -> list[str]:
        """The table for the terminal."""
        return [self.title, "", *markdown.aligned(self._table(intervals=False), left=2), "", *self._differences()]

    def to_markdown(self, pictures: Sequence[tuple[str, str]] = ()) -> str:
        folds, seeds = self.table["fold"].nunique(), self.table["seed"].nunique()
        text = [f"# {self.title}", ""]
        text += [f"- {note}" for note in (*self.notes, *self._differences())]
        text += [
            f"- [{basis(len(self.speakers), 'speaker', over_seeds(seeds))}].",
            f"- Folds: {folds}, seeds: {seeds}. Each has its own network and so its own threshold; figures are means over "
            "folds, then seeds, and `number` is the trials a seed.",
            "- Accuracy is that at the equal-error threshold, which is chosen on the trials that it decides: 1 - EER, up to a "
            "step of the curve. Chance is an EER of 50 %.",
            f"- minDCF: the least detection cost at p = {self.p_target:g}, both costs 1; 1 is the cost of deciding without "
            "listening.",
            "",
            markdown.table(self._table(intervals=True), left=2),
            "",
        ]
        for name, caption in pictures:
            text += [f"![{caption}]({name})", ""]
        return "\n".join(text)

    def figure(self) -> Figure:
        """`det_figure`: a panel for all and for same-gender trials."""
        return det_figure(
            {
                kind: {
                    name: (mean_curve(self._runs(name, only)), self.score(name, "eer", only).value)
                    for name in self.systems
                }
                for kind, only in self._kinds.items()
            }
        )

    def to_dict(self) -> dict[str, Any]:
        def plain(cell: Cell) -> dict[str, Any]:
            return {"value": _finite(cell.value), "low": cell.low, "high": cell.high}

        return {
            "title": self.title,
            "notes": list(self.notes),
            "speakers": len(self.speakers),
            "p_target": self.p_target,
            "paper": {system: dict(figures) for system, figures in self.paper.items()},
            "scores": [
                {"trials": kind, "number": cell.clips, "system": system, "metric": metric, **plain(cell)}
                for kind, same_gender_only in self._kinds.items()
                for system in self.systems
                for metric in METRICS
                for cell in [self.score(system, metric, same_gender_only)]
            ],
            "differences": [
                {"trials": kind, "metric": "eer", "of": a, "less": b, **plain(cell)}
                for kind, a, b, cell in self._pairs()
            ],
        }

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write verification.csv.gz (the trials), verification.json, verification.md and verification.png."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "verification.csv.gz", self.table[list(COLUMNS)])
        write_json(folder / "verification.json", self.to_dict())
        write_figure(folder / "verification.png", self.figure())
        write_text(folder / "verification.md", self.to_markdown([("verification.png", "DET curves")]))
        return folder


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


def _cell(systems: Sequence[Jackknife], count: int, scale: str) -> Cell:
    if not all(system.seeds for system in systems):
        return Cell(float("nan"), None, None, count)
    return estimate(*systems, clips=count, scale=scale)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _number(value: float, metric: str, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if metric == "min_dcf" else f"{100 * value:{sign}.1f}"


def _shown(cell: Cell, metric: str, intervals: bool, sign: str = "") -> str:
    if np.isnan(cell.value):
        return "–"
    text = _number(cell.value, metric, sign)
    if intervals and cell.low is not None and cell.high is not None:
        text += f" [{_number(cell.low, metric, sign)}, {_number(cell.high, metric, sign)}]"
    return text
