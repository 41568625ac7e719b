"""Contributions of a clip's frames and bins to a network's predictions: tables, JSON and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.files import printable
from keras_ser.reports import pictures
from keras_ser.reports.render import aligned

CLOSE, FLOOR = 0.01, 2e-3  # tolerance of the sum: relative to the difference, and absolute in log p
STRETCHES = 10  # default number of segments of a clip in a table
SPECTRA = ("log_mel", "linear_bands", "spectrogram", "magnitude")


@dataclass(frozen=True)
class TaskAttribution:
    """One task's prediction and what it depends on.

    Args:
        task: name of the task.
        label: the predicted class, or "value" of a continuous task.
        probability: probability of that class, or the value.
        difference: log p(x) - log p(x'), or the difference of the values.
        contributions: feature -> (frames, bins); together they sum to `difference`.
    """

    task: str
    label: str
    probability: float
    difference: float
    contributions: Mapping[str, np.ndarray]

    @property
    def total(self) -> float:
        return float(sum(values.sum() for values in self.contributions.values()))

    def gap(self) -> str:
        """A sentence if the contributions are far from complete, e.g. for a network that stops gradients; else ""."""
        if abs(self.total - self.difference) <= 2 * (CLOSE * abs(self.difference) + FLOOR):
            return ""
        return f"{self.task}: the outputs differ by {self.difference:+.3f}, so part of it is not explained by these contributions."


@dataclass(frozen=True)
class Attribution:
    """The explanation of one file.

    Args:
        path: the file.
        tasks: a `TaskAttribution` for each task.
        features: feature -> (frames, bins), the clip's valid frames.
        times: feature -> (frames,), start of each frame in seconds.
        cut: whether the front end drops frames, so that times refer to the remaining ones.
        against: name of the baseline that the clip is compared with.
        problems: the problems of its audio; see `keras_ser.audio.problems`.
    """

    path: Path
    tasks: tuple[TaskAttribution, ...]
    features: Mapping[str, np.ndarray]
    times: Mapping[str, np.ndarray]
    cut: bool = False
    against: str = "0"
    problems: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The end of the last frame's hop, over all features."""
        ends = (float(t[-1] + (t[1] - t[0] if len(t) > 1 else 0.01)) for t in self.times.values() if len(t))
        return max(ends, default=0.01)

    def by_time(self, task: TaskAttribution, edges: np.ndarray) -> np.ndarray:
        """Return (segments,) sums of a task's contributions over frames that start between two `edges` (seconds)."""
        found = np.zeros(len(edges) - 1)
        for name, values in task.contributions.items():
            place = np.clip(np.searchsorted(edges, self.times[name], side="right") - 1, 0, len(found) - 1)
            np.add.at(found, place, values.sum(axis=1))
        return found

    def lines(self, top: int = STRETCHES) -> list[str]:
        """Return a table with a row for each of `top` segments of equal length and a column for each task."""
        edges = np.linspace(0, self.seconds, top + 1)
        header = ["seconds", *(f"{each.task}: {each.label} ({each.probability:.3f})" for each in self.tasks)]
        sums = [self.by_time(each, edges) for each in self.tasks]
        rows = [[f"{edges[i]:.2f} - {edges[i + 1]:.2f}", *(f"{s[i]:+.3f}" for s in sums)] for i in range(top)]
        for name in self.features if len(self.features) > 1 else ():
            rows.append([f"all {name}", *(f"{each.contributions[name].sum():+.3f}" for each in self.tasks)])
        rows.append(["sum", *(f"{each.total:+.3f}" for each in self.tasks)])
        where = "; times without the frames that the front end drops" if self.cut else ""
        return [
            *heading(self.path, self.problems),
            "",
            *aligned([header, *rows]),
            "",
            f"Contribution to {outputs(self.tasks)}, against {self.against}{where}.",
            *(each.gap() for each in self.tasks if each.gap()),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: each frame's contribution, summed over bins, and each bin's, summed over frames."""
        found = {}
        for each in self.tasks:
            features = {
                name: {"frames": values.sum(axis=1).tolist(), "bins": values.sum(axis=0).tolist()}
                for name, values in each.contributions.items()
            }
            answer = {"label": each.label, "probability": each.probability, "difference": each.difference}
            found[each.task] = answer | {"features": features}
        times = {name: values.tolist() for name, values in self.times.items()}
        return about(self.path, self.problems) | {"seconds": times, "cut": self.cut, "tasks": found}

    def _pictured(self) -> tuple[str, np.ndarray]:
        """Return the first spectrum, or without one the first feature, each bin standardised over the clip."""
        for name, values in self.features.items():
            if name.rpartition(".")[2] in SPECTRA:
                return name, values
        name, values = next(iter(self.features.items()))
        return f"{name}, standardised", (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)

    def figure(self, top: int = STRETCHES):
        """Draw a matplotlib Figure: the first feature over time, and each task's contributions below it."""
        figure = pictures.new(8, 2.3 + 1.5 * len(self.tasks))
        first, *rows = figure.subplots(1 + len(self.tasks), 1, sharex=True, height_ratios=[1.6] + [1] * len(self.tasks))
        name, shown = self._pictured()
        low, high = np.percentile(shown, (1, 99))
        extent = (0, self.seconds, -0.5, shown.shape[1] - 0.5)
        first.imshow(shown.T, origin="lower", aspect="auto", cmap="Greys", extent=extent, vmin=low, vmax=high)
        first.set_ylabel("bin", fontsize=8)
        first.tick_params(labelsize=8)
        first.set_title(f"{pictures.file_title(self.path)}: {name.replace('_', ' ')}", fontsize=10, loc="left")
        edges = np.linspace(0, self.seconds, min(60, max(len(t) for t in self.times.values())) + 1)
        for axes, each in zip(rows, self.tasks, strict=True):
            sums = self.by_time(each, edges)
            axes.bar(
                edges[:-1], sums, np.diff(edges), align="edge", color=signed(sums), edgecolor="black", linewidth=0.3
            )
            axes.axhline(0, color="black", linewidth=0.8)
            axes.set_title(f"{each.task}: {each.label} ({each.probability:.2f})", fontsize=10, loc="left")
            axes.set_ylabel(f"contribution to\n{output(each.label)}", fontsize=8)
            pictures.tidy(axes)
        rows[-1].set_xlabel("seconds, without dropped frames" if self.cut else "seconds", fontsize=8)
        return figure


def heading(path: Path, problems: Sequence[str]) -> list[str]:
    """Return the first lines on an explained file: its name, and the problems of its audio, if any."""
    return [printable(path), *([f"problems of its audio: {', '.join(problems)}"] if problems else [])]


def about(path: Path, problems: Sequence[str]) -> dict[str, Any]:
    """Return the first entries on an explained file, as in its prediction: "file", and "problems" of its audio, if any."""
    return {"file": printable(path)} | ({"problems": list(problems)} if problems else {})


def signed(contributions: np.ndarray) -> np.ndarray:
    """Return the colours of bars: one for the contributions above 0, one for the others."""
    return np.where(np.asarray(contributions) > 0, pictures.COLOURS[0], "#d9a066")


def output(label: str) -> str:
    """Return the quantity that the contributions of one task add up to."""
    return "the value" if label == "value" else f"log p({label})"


def outputs(tasks: Sequence[Any]) -> str:
    """Return the quantity that the contributions of several explained tasks add up to."""
    kinds = {each.label == "value" for each in tasks}
    if kinds == {True}:
        return "the value"
    return f"log p of the predicted class{' (of a continuous task: to the value)' * (True in kinds)}"
