"""How well noise is removed: a table of clips x noises x SNRs x methods, its means with intervals, and a report on disk.

The table has one row a (fold, seed, noise, snr_in, id, method), with the columns `seen` (whether the noise's type was trained
on), `group` (the speaker) and one for each measure of `keras_ser.audio.quality`; NaN where a measure is not defined for a clip.
Intervals are over groups and seeds (`intervals.py`); a difference is paired, clip by clip and network by network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_ser.evaluation import markdown
from keras_ser.evaluation.intervals import FEW_GROUPS, Jackknife, basis, interval, jackknife, over_seeds, variance
from keras_ser.evaluation.plots import panels, styles
from keras_ser.files import write_figure, write_json, write_table, write_text
from keras_ser.metrics import ratio

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"snr_out": "SNR_out (eq. 23), dB", "si_sdr": "SI-SDR, dB", "pesq": "PESQ (MOS-LQO)", "stoi": "STOI"}
DIGITS = {"snr_out": 2, "si_sdr": 2, "pesq": 2, "stoi": 3}
QUIETEST = -60.0  # dB that minus infinity (an estimate that holds nothing of the speech) counts as in a mean


@dataclass(frozen=True)
class Cell:
    """A mean over clips, or a mean of paired differences.

    Args:
        value, low, high: the mean and the ends of its 95 % interval (None where there is none).
        clips: how many had the measure.
    """

    value: float
    low: float | None
    high: float | None
    clips: int


@dataclass(frozen=True)
class DenoisingReport:
    """What each method leaves of the noise.

    Args:
        title: the report's heading.
        table: see the module.
        methods: name -> what it is, in the order of the columns.
        paper: (noise, snr_in) -> {method: the paper's SNR_out}; a name that is no method stands before `ours`.
        ours: the methods that are compared with the others, pairwise.
        against: the methods they are compared with.
        notes: sentences for the reader.
        unit: what a group is: "speaker", "film", "session", or "none": each clip is one.
    """

    title: str
    table: pd.DataFrame = field(repr=False)
    methods: Mapping[str, str]
    paper: Mapping[tuple[str, float], Mapping[str, float]] = field(default_factory=dict)
    ours: Sequence[str] = ()
    against: Sequence[str] = ()
    notes: Sequence[str] = ()
    unit: str = "speaker"

    @property
    def measures(self) -> list[str]:
        return [name for name in TITLES if name in self.table]

    @property
    def cells(self) -> list[tuple[str, float]]:
        """(noise, snr_in) in the order of the table, loud speech first."""
        noises = list(dict.fromkeys(self.table["noise"]))
        return [(n, s) for n in noises for s in sorted(set(self.table["snr_in"]), reverse=True)]

    def mean(self, measure: str, noise: str, snr_in: float, method: str) -> Cell:
        return _cell(self._values(measure, noise, snr_in, method))

    def difference(self, measure: str, noise: str, snr_in: float, a: str, b: str) -> Cell:
        """The paired difference a - b."""
        return _cell(self._values(measure, noise, snr_in, a) - self._values(measure, noise, snr_in, b))

    def wins(self, measure: str, method: str, seen_only: bool = True) -> tuple[int, int, int]:
        """(cells in which a method beats every compared one, those in which each interval is above 0, all cells)."""
        better = sure = total = 0
        for noise, snr_in in self.cells:
            if seen_only and not self._seen(noise):
                continue
            found = [self.difference(measure, noise, snr_in, method, other) for other in self.against]
            if not all(cell.clips for cell in found):
                continue  # not measured
            total += 1
            better += all(cell.value > 0 for cell in found)
            sure += all(cell.low is not None and cell.low > 0 for cell in found)
        return better, sure, total

    def _seen(self, noise: str) -> bool:
        return bool(self.table.loc[self.table["noise"] == noise, "seen"].all())

    def _values(self, measure: str, noise: str, snr_in: float, method: str) -> pd.DataFrame:
        """(group, id) x seed."""
        part = self.table[(self.table["noise"] == noise) & (self.table["snr_in"] == snr_in)]
        part = part[part["method"] == method]
        part = part.assign(**{measure: part[measure].clip(lower=QUIETEST) if measure != "pesq" else part[measure]})
        return part.pivot_table(index=["group", "id"], columns="seed", values=measure, aggfunc="mean", dropna=False)

    def lines(self) -> list[str]:
        """The tables of SNR_out and SI-SDR for the terminal."""
        found = [self.title, ""]
        for measure in self.measures[:2]:
            found += [TITLES[measure], *markdown.aligned(self._rows(measure)), ""]
        return found + self._verdicts()

    def _rows(self, measure: str, intervals: bool = False) -> list[list[str]]:
        digits = DIGITS[measure]
        columns = self._columns(measure)
        rows = [["noise", "SNR_in", *(f"{name} (paper)" if paper else name for name, paper in columns)]]
        for noise, snr_in in self.cells:
            name = noise if self._seen(noise) else f"{noise} (unseen)"
            row = [name, f"{snr_in:g}"]
            for method, paper in columns:
                if paper:
                    figure = self.paper.get((noise, snr_in), {}).get(method)
                    row.append("" if figure is None else f"{figure:.2f}")
                else:
                    row.append(_shown(self.mean(measure, noise, snr_in, method), digits, intervals))
            rows.append(row)
        return rows

    def _columns(self, measure: str) -> list[tuple[str, bool]]:
        """(name, whether it is the paper's): a paper's column before the method's own, its "proposed" before ours."""
        paper = (
            dict.fromkeys(name for figures in self.paper.values() for name in figures) if measure == "snr_out" else {}
        )
        found: list[tuple[str, bool]] = []
        for method in self.methods:
            if self.ours and method == self.ours[0]:
                found += [(name, True) for name in paper if name not in self.methods]
            found += [(method, True)] if method in paper else []
            found.append((method, False))
        return found

    def _verdicts(self) -> list[str]:
        found = []
        for method in self.ours:
            for measure in self.measures:
                better, sure, total = self.wins(measure, method)
                found.append(
                    f"{method} beats {' and '.join(self.against)} in {TITLES[measure].split(',')[0]} in {better} of {total} "
                    f"cells of seen noises, in {sure} with the paired interval above 0."
                )
        return found

    def to_markdown(self, pictures: Sequence[tuple[str, str]] = ()) -> str:
        over = basis(self.table["group"].nunique(), self.unit, over_seeds(self.table["seed"].nunique()))
        text = [f"# {self.title}", ""]
        text += [f"- {note}" for note in (*self.notes, *self._verdicts())]
        text += [
            f"- Means over {self.table['id'].nunique()} clips [{over}].",
            "- SNR_out alone rewards silence: an output of zeros has 0 dB, which is a gain wherever the noise is louder than "
            "the speech. SI-SDR, PESQ and STOI do not.",
            "",
            markdown.table([["column", "what"], *map(list, self.methods.items())], left=2),
            "",
        ]
        for measure in self.measures:
            text += [f"## {TITLES[measure]}", "", markdown.table(self._rows(measure, intervals=True)), ""]
        if self.ours and self.against:
            text += ["## Paired differences", ""]
            header = ["noise", "SNR_in"]
            pairs = [(measure, a, b) for measure in self.measures[:2] for a in self.ours for b in self.against]
            rows = [header + [f"{TITLES[m].split(',')[0]}: {a} - {b}" for m, a, b in pairs]]
            for noise, snr_in in self.cells:
                cells = [self.difference(m, noise, snr_in, a, b) for m, a, b in pairs]
                shown = [_shown(c, DIGITS[m], True, "+") for c, (m, _, _) in zip(cells, pairs, strict=True)]
                rows.append([noise, f"{snr_in:g}", *shown])
            text += [markdown.table(rows), ""]
        for name, caption in pictures:
            text += [f"![{caption}]({name})", ""]
        return "\n".join(text)

    def figures(self) -> list[tuple[str, str, Any]]:
        """(file name, caption, Matplotlib figure): each measure against SNR_in."""
        return [(f"{m}.png", f"{TITLES[m]} against SNR_in", self._figure(m)) for m in self.measures]

    def _figure(self, measure: str) -> Figure:
        noises = list(dict.fromkeys(self.table["noise"]))
        figure, axes = panels(len(noises), 4, 3.2, 3.0, (1.4, 0.3))
        looks = styles(list(self.methods))
        for axis, noise in zip(axes, noises, strict=True):
            levels = sorted({s for n, s in self.cells if n == noise})
            for method, style in looks.items():
                cells = [self.mean(measure, noise, s, method) for s in levels]
                axis.plot(levels, [c.value for c in cells], label=method, **style)
                if method in self.ours and all(c.low is not None for c in cells):
                    ends = [[c.low for c in cells], [c.high for c in cells]]
                    axis.fill_between(levels, *ends, color=style["color"], alpha=0.15, linewidth=0)
            axis.set_title(noise if self._seen(noise) else f"{noise} (unseen)", fontsize=10)
            axis.set_xticks(levels)
            axis.grid(alpha=0.3)
        # dropped segments cost up to 60 dB, and the others are to be told apart
        steady = [self.mean(measure, n, s, m).value for n, s in self.cells for m in self.methods if m != "drop"]
        if measure == "si_sdr" and np.isfinite(steady).all():
            axes[0].set_ylim(bottom=min(steady) - 5)
        figure.supxlabel("SNR_in, dB", fontsize=10)
        figure.supylabel(TITLES[measure], fontsize=10)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
        return figure

    def to_dict(self) -> dict[str, Any]:
        def plain(cell: Cell) -> dict[str, Any]:
            keep = {"value": cell.value, "low": cell.low, "high": cell.high, "clips": cell.clips}
            return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in keep.items()}

        return {
            "title": self.title,
            "methods": dict(self.methods),
            "notes": [*self.notes, *self._verdicts()],
            "paper": [{"noise": n, "snr_in": s, **figures} for (n, s), figures in self.paper.items()],
            "means": [
                {"measure": m, "noise": n, "snr_in": s, "method": method, **plain(self.mean(m, n, s, method))}
                for m in self.measures
                for n, s in self.cells
                for method in self.methods
            ],
        }

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write denoising.csv, denoising.json, denoising.md and the pictures."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "denoising.csv", self.table, float_format="%.4f")
        write_json(folder / "denoising.json", self.to_dict())
        pictures = []
        for name, caption, figure in self.figures():
            write_figure(folder / name, figure)
            pictures.append((name, caption))
        write_text(folder / "denoising.md", self.to_markdown(pictures))
        return folder


def _cell(values: pd.DataFrame) -> Cell:
    """The mean over clips, then seeds, of (group, id) x seed; where a seed lacks clips, of the clips' means over seeds."""
    values = values.dropna(how="all")
    if not len(values):
        return Cell(float("nan"), None, None, 0)
    if values.isna().any(axis=None):
        values = values.mean(axis=1).to_frame()
    by_group = values.groupby(level="group").agg(["sum", "count"]).to_numpy(float)
    sums = by_group.reshape(len(by_group), -1, 2)  # (groups, seeds, 2)
    return estimate(jackknife(sums, lambda s: ratio(s[..., :1], s[..., 1:])), clips=len(values))


def estimate(*systems: Jackknife, clips: int, scale: str = "plain", degrees: float | np.ndarray | None = None) -> Cell:
    """The mean over seeds of one score or, of two systems, of the first's less the second's, with its interval.

    Args:
        systems: one or two, of one metric each: (1, seeds) and (1, groups, seeds).
        clips: how many it is of.
        scale, degrees: see `intervals.interval` and `intervals.variance`.
    """
    value = float(systems[0].whole.mean() - sum(other.whole.mean() for other in systems[1:]))
    if systems[0].groups < FEW_GROUPS:
        return Cell(value, None, None, clips)
    ends = interval(value, *variance(*systems, degrees=degrees), scale)
    return Cell(value, *(None if np.isnan(end).all() else float(end.item()) for end in ends), clips)


def _shown(cell: Cell, digits: int, intervals: bool = False, sign: str = "") -> str:
    if not cell.clips:
        return "-"
    text = f"{cell.value:{sign}.{digits}f}"
    if intervals and cell.low is not None:
        text += f" [{cell.low:{sign}.{digits}f}, {cell.high:{sign}.{digits}f}]"
    return text
