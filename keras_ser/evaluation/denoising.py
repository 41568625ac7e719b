"""Scores of denoisers: means over a table of clips x noises x SNRs x methods, with intervals, and paired differences.

The table has one row per (fold, seed, noise, snr_in, id, method), with the columns `seen` (whether a file of the noise was
trained on), `group` (the speaker) and one per measure of `keras_ser.audio.quality`, NaN where a measure is undefined for a clip.
Intervals are over groups and seeds (`intervals.py`); a difference is paired, clip by clip and network by network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from keras_ser.evaluation.intervals import estimate, jackknife
from keras_ser.evaluation.tables import Cell, Form
from keras_ser.metrics import ratio

TITLES = {"snr_out": "SNR_out (eq. 23), dB", "si_sdr": "SI-SDR, dB", "pesq": "PESQ (MOS-LQO)", "stoi": "STOI"}
FORMS = {"snr_out": Form(1, 2), "si_sdr": Form(1, 2), "pesq": Form(1, 2), "stoi": Form(1, 3)}
QUIETEST = -60.0  # dB, used in means in place of minus infinity (an estimate without any speech)


@dataclass(frozen=True)
class Denoising:
    """Scores of denoising methods; for `table` see the module."""

    table: pd.DataFrame = field(repr=False)
    # a report shows each mean several times: in a table, in a figure and in its JSON
    _kept: dict[tuple[Any, ...], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def measures(self) -> list[str]:
        return [name for name in TITLES if name in self.table]

    @property
    def cells(self) -> list[tuple[str, float]]:
        """All (noise, snr_in): noises in the order of the table, highest SNR first."""
        noises = dict.fromkeys(self.table["noise"])
        return [(n, s) for n in noises for s in sorted(set(self.table["snr_in"]), reverse=True)]

    def seen(self, noise: str) -> bool:
        return bool(self.table.loc[self.table["noise"] == noise, "seen"].all())

    def mean(self, measure: str, noise: str, snr_in: float, method: str) -> Cell:
        key = "mean", measure, noise, snr_in, method
        if key not in self._kept:
            self._kept[key] = _cell(self._values(measure, noise, snr_in, method), FORMS[measure])
        return self._kept[key]

    def difference(self, measure: str, noise: str, snr_in: float, a: str, b: str) -> Cell:
        """Return the paired difference a - b."""
        key = "difference", measure, noise, snr_in, a, b
        if key not in self._kept:
            values = self._values(measure, noise, snr_in, a) - self._values(measure, noise, snr_in, b)
            self._kept[key] = _cell(values, FORMS[measure]._replace(sign="+"))
        return self._kept[key]

    def wins(self, measure: str, method: str, against: Sequence[str]) -> tuple[int, int, int]:
        """Count, for the noises trained on: (cells in which a method beats all others, those with each interval above 0, all
        cells)."""
        better = sure = total = 0
        for noise, snr_in in self.cells:
            found = [self.difference(measure, noise, snr_in, method, other) for other in against if self.seen(noise)]
            if found and all(cell.clips for cell in found):
                total += 1
                better += all(cell.value > 0 for cell in found)
                sure += all(cell.low is not None and cell.low > 0 for cell in found)
        return better, sure, total

    def _values(self, measure: str, noise: str, snr_in: float, method: str) -> pd.DataFrame:
        """(group, id) x seed."""
        key = "values", measure, noise, snr_in, method
        if key in self._kept:
            return self._kept[key]
        rows = self.table
        part = rows[(rows["noise"] == noise) & (rows["snr_in"] == snr_in) & (rows["method"] == method)]
        part = part.assign(**{measure: part[measure].clip(lower=QUIETEST) if measure != "pesq" else part[measure]})
        made = part.pivot_table(index=["group", "id"], columns="seed", values=measure, aggfunc="mean", dropna=False)
        return self._kept.setdefault(key, made)


def _cell(values: pd.DataFrame, form: Form) -> Cell:
    """Return the mean of (group, id) x seed over the clips for which all seeds are defined, then over seeds."""
    values = values.dropna()
    if not len(values):
        return Cell(float("nan"), form=form)
    by_group = values.groupby(level="group").agg(["sum", "count"]).to_numpy(float)
    sums = by_group.reshape(len(by_group), -1, 2)  # (groups, seeds, 2)
    return replace(estimate(jackknife(sums, lambda s: ratio(s[..., :1], s[..., 1:])), clips=len(values)), form=form)
