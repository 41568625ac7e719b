"""How a classifier's UAR falls with the noise: predictions at many SNRs, curves with intervals, the area under them.

The table has one row a (fold, seed, system, noise, snr, id) with `seen` (whether the noise's type was trained on), `group` (the
speaker), `truth` and `prediction`; the clean clips stand under the noise "clean" with an infinite SNR. UAR is that of the pooled
predictions of all folds of a seed, the mean over seeds; intervals are those of a report's UAR (`intervals.py`). The area is that
under UAR over SNR in dB by the trapezoid rule, divided by the range: a mean UAR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_ser import metrics
from keras_ser.evaluation import markdown
from keras_ser.evaluation.denoising import Cell, estimate
from keras_ser.evaluation.intervals import basis, jackknife, over_seeds
from keras_ser.evaluation.measures import chance, degrees
from keras_ser.evaluation.plots import panels, styles
from keras_ser.files import write_figure, write_json, write_table, write_text
from keras_ser.tasks import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLEAN = "clean"


@dataclass(frozen=True)
class RobustnessReport:
    """UAR against SNR, for every noise and system.

    Args:
        title: the report's heading.
        table: see the module.
        labels: the classes.
        notes: sentences for the reader.
        unit: what a group is, see `DenoisingReport`.
    """

    title: str
    table: pd.DataFrame = field(repr=False)
    labels: Sequence[str]
    notes: Sequence[str] = ()
    unit: str = "speaker"

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(self.table["system"]))

    @property
    def noises(self) -> list[str]:
        return [name for name in dict.fromkeys(self.table["noise"]) if name != CLEAN]

    @property
    def snrs(self) -> list[float]:
        """Louder speech first, without the clean clips."""
        return sorted({s for s in self.table["snr"] if np.isfinite(s)}, reverse=True)

    def seen(self, noise: str) -> bool:
        return bool(self.table.loc[self.table["noise"] == noise, "seen"].all())

    def uar(self, system: str, noise: str, snr: float = np.inf) -> Cell:
        return self._cell(self._sums(system, [(noise, snr)]), np.ones(1))

    def area(self, system: str, noise: str) -> Cell:
        """Under UAR over SNR, clean clips apart."""
        return self._cell(self._sums(system, self._curve(noise)), self._widths())

    def area_difference(self, a: str, b: str, noise: str) -> Cell:
        """The area of system a less that of system b, which are one network with and without something: paired by seed, too."""
        both = np.concatenate([self._sums(a, self._curve(noise)), self._sums(b, self._curve(noise))], axis=2)
        return self._cell(both, np.concatenate([self._widths(), -self._widths()]), "plain")

    def _curve(self, noise: str) -> list[tuple[str, float]]:
        return [(noise, snr) for snr in self.snrs]

    def _widths(self) -> np.ndarray:
        """What each SNR weighs in the trapezoid rule, (snrs,)."""
        gaps = -np.diff(np.array(self.snrs))
        if not len(gaps):
            return np.ones(1)
        return (np.append(gaps, 0.0) + np.append(0.0, gaps)) / (2 * gaps.sum())

    def _sums(self, system: str, points: Sequence[tuple[str, float]]) -> np.ndarray:
        """Confusion matrices: (groups, seeds, points, classes, classes)."""
        part = self.table[self.table["system"] == system]
        groups, seeds = sorted(set(self.table["group"])), sorted(set(self.table["seed"]))
        number = {label: i for i, label in enumerate(self.labels)}
        sums = np.zeros((len(groups), len(seeds), len(points), len(self.labels), len(self.labels)))
        for p, (noise, snr) in enumerate(points):
            rows = part[(part["noise"] == noise) & (part["snr"] == snr)]
            at = (
                rows["group"].map({g: i for i, g in enumerate(groups)}).to_numpy(int),
                rows["seed"].map({s: i for i, s in enumerate(seeds)}).to_numpy(int),
                np.full(len(rows), p),
                rows["truth"].map(number).to_numpy(int),
                rows["prediction"].map(number).to_numpy(int),
            )
            np.add.at(sums, at, 1.0)
        return sums

    def _cell(self, sums: np.ndarray, weights: np.ndarray, scale: str = "logit") -> Cell:
        """The weighted sum of the points' UAR."""
        found = jackknife(sums, lambda x: (metrics.uar(x) @ weights)[..., None])
        free = degrees(metrics.margins(sums[:, :, 0]), Task("scored", tuple(self.labels)))[1]
        return estimate(found, clips=int(sums[:, 0, 0].sum()), scale=scale, degrees=free)

    def _rows(self) -> list[list[str]]:
        rows = [["noise", "system", CLEAN, *(f"{s:g} dB" for s in self.snrs), "area"]]
        for noise in self.noises:
            for system in self.systems:
                cells = [
                    self.uar(system, CLEAN),
                    *(self.uar(system, noise, s) for s in self.snrs),
                    self.area(system, noise),
                ]
                name = noise if self.seen(noise) else f"{noise} (unseen)"
                rows.append([name, system, *(_percent(cell) for cell in cells)])
        return rows

    def lines(self) -> list[str]:
        rows = [[cell.split(" [")[0] for cell in row] for row in self._rows()]
        return [self.title, "", "UAR, %", *markdown.aligned(rows, left=2), "", *self._differences()]

    def _differences(self) -> list[str]:
        found = []
        if len(self.systems) == 2:
            a, b = self.systems
            for noise in self.noises:
                cell = self.area_difference(a, b, noise)
                found.append(f"{noise}: area of {a} less that of {b}: {_percent(cell, '+')}")
        return found

    def to_markdown(self, pictures: Sequence[tuple[str, str]] = ()) -> str:
        over = basis(self.table["group"].nunique(), self.unit, over_seeds(self.table["seed"].nunique()))
        text = [f"# {self.title}", ""]
        text += [f"- {note}" for note in (*self.notes, *self._differences())]
        text += [
            f"- UAR in % [{over}].",
            "- The area is the mean of UAR over SNR in dB (trapezoids), clean clips apart. Noises in their test stretch, which "
            "no training has heard.",
            "",
            markdown.table(self._rows(), left=2),
            "",
        ]
        for name, caption in pictures:
            text += [f"![{caption}]({name})", ""]
        return "\n".join(text)

    def figure(self) -> Figure:
        """UAR against SNR, a panel for each noise."""
        figure, axes = panels(len(self.noises), 3, 3.4, 2.7, (0.6, 0.8))
        levels = self.snrs[::-1]
        step = levels[-1] - levels[-2] if len(levels) > 1 else 5.0
        places = [*levels, levels[-1] + step]
        looks = styles(["", *self.systems])
        for axis, noise in zip(axes, self.noises, strict=True):
            for system in self.systems:
                cells = [*(self.uar(system, noise, s) for s in levels), self.uar(system, CLEAN)]
                axis.plot(places, [100 * c.value for c in cells], label=system, **looks[system])
                if all(c.low is not None for c in cells):
                    ends = [[100 * c.low for c in cells], [100 * c.high for c in cells]]
                    axis.fill_between(places, *ends, color=looks[system]["color"], alpha=0.15, linewidth=0)
            axis.axhline(
                100 * chance("uar", self.table["truth"].nunique()), color="#8c9bab", linewidth=1, linestyle=":"
            )
            axis.set_title(noise if self.seen(noise) else f"{noise} (unseen)", fontsize=10)
            axis.set_xticks(places, [*(f"{s:g}" for s in levels), CLEAN], fontsize=8)
            axis.grid(alpha=0.3)
        figure.supxlabel("SNR, dB", fontsize=10)
        figure.supylabel("UAR, % (dotted: chance)", fontsize=10)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
        return figure

    def to_dict(self) -> dict[str, Any]:
        def plain(cell: Cell) -> dict[str, Any]:
            return {"value": cell.value, "low": cell.low, "high": cell.high}

        return {
            "title": self.title,
            "notes": list(self.notes),
            "clean": {system: plain(self.uar(system, CLEAN)) for system in self.systems},
            "curves": [
                {"noise": n, "seen": self.seen(n), "system": system, "snr": s, **plain(self.uar(system, n, s))}
                for n in self.noises
                for system in self.systems
                for s in self.snrs
            ],
            "areas": [
                {"noise": n, "system": system, **plain(self.area(system, n))}
                for n in self.noises
                for system in self.systems
            ],
        }

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write robustness.csv, robustness.json, robustness.md and robustness.png."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "robustness.csv", self.table)
        write_json(folder / "robustness.json", self.to_dict())
        write_figure(folder / "robustness.png", self.figure())
        write_text(folder / "robustness.md", self.to_markdown([("robustness.png", "UAR against SNR")]))
        return folder


def _percent(cell: Cell, sign: str = "") -> str:
    text = f"{100 * cell.value:{sign}.1f}"
    return text if cell.low is None else f"{text} [{100 * cell.low:{sign}.1f}, {100 * cell.high:{sign}.1f}]"
