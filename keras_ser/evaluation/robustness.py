"""UAR of a classifier in noise: predictions at many SNRs, UAR with intervals, and the area under the curves.

The table has one row per (fold, seed, system, noise, snr, id) with `seen` (whether a file of the noise was trained on), `group`
(the speaker), `truth` and `prediction`; clean clips have the noise "clean" and an infinite SNR. UAR is computed on the pooled
predictions of all folds of a seed and averaged over seeds; intervals are those of a report's UAR (`intervals.py`). The area under
UAR over SNR in dB follows the trapezoid rule and is divided by the range, so it is a mean UAR.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from keras_ser import metrics
from keras_ser.evaluation.group_sums import degrees
from keras_ser.evaluation.intervals import estimate, jackknife
from keras_ser.evaluation.tables import Cell, form_of
from keras_ser.settings import CLEAN
from keras_ser.tasks import Task


@dataclass(frozen=True)
class NoiseCurves:
    """UAR against SNR, for every noise and system."""

    table: pd.DataFrame = field(repr=False)  # see the module
    labels: Sequence[str]  # the classes

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(self.table["system"]))

    @property
    def noises(self) -> list[str]:
        return [name for name in dict.fromkeys(self.table["noise"]) if name != CLEAN]

    @property
    def snrs(self) -> list[float]:
        """The SNRs in decreasing order, without the clean clips."""
        return sorted({s for s in self.table["snr"] if np.isfinite(s)}, reverse=True)

    def seen(self, noise: str) -> bool:
        return bool(self.table.loc[self.table["noise"] == noise, "seen"].all())

    def uar(self, system: str, noise: str, snr: float = np.inf) -> Cell:
        return self._cell(self._sums(system, [(noise, snr)]), np.ones(1))

    def area(self, system: str, noise: str) -> Cell:
        """Return the area under UAR over SNR, without clean clips."""
        return self._cell(self._curve(system, noise), self._widths())

    def area_difference(self, a: str, b: str, noise: str) -> Cell:
        """Return area a - area b of two systems that share a network, paired by seed, too."""
        both = np.concatenate([self._curve(a, noise), self._curve(b, noise)], axis=2)
        found = self._cell(both, np.concatenate([self._widths(), -self._widths()]), "plain")
        return replace(found, form=form_of("uar", "+"))

    def _curve(self, system: str, noise: str) -> np.ndarray:
        return self._sums(system, [(noise, snr) for snr in self.snrs])

    def _widths(self) -> np.ndarray:
        """Return the weight of each SNR in the trapezoid rule, (snrs,)."""
        gaps = -np.diff(np.array(self.snrs))
        if not len(gaps):
            return np.ones(1)
        return (np.append(gaps, 0.0) + np.append(0.0, gaps)) / (2 * gaps.sum())

    def _sums(self, system: str, points: Sequence[tuple[str, float]]) -> np.ndarray:
        """Return confusion matrices, (groups, seeds, points, classes, classes)."""
        part = self.table[self.table["system"] == system]
        groups, seeds = (sorted(set(self.table[name])) for name in ("group", "seed"))
        sums = np.zeros((len(groups), len(seeds), len(points), len(self.labels), len(self.labels)))
        order = {"group": groups, "seed": seeds, "truth": self.labels, "prediction": self.labels}
        for p, (noise, snr) in enumerate(points):
            rows = part[(part["noise"] == noise) & (part["snr"] == snr)]
            group, seed, truth, named = (pd.Index(known).get_indexer(rows[name]) for name, known in order.items())
            np.add.at(sums, (group, seed, p, truth, named), 1.0)
        return sums

    def _cell(self, sums: np.ndarray, weights: np.ndarray, scale: str = "logit") -> Cell:
        """Return the weighted sum of the points' UAR."""
        found = jackknife(sums, lambda x: (metrics.uar(x) @ weights)[..., None])
        free = degrees(metrics.margins(sums[:, :, 0]), Task("scored", tuple(self.labels)))[1]
        return estimate(found, clips=int(sums[:, 0, 0].sum()), scale=scale, degrees=free)
