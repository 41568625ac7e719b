"""Predictions over time in a recording of any length: overlapping windows, and segments of equal labels."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio import pad
from keras_ser.audio.io import blocks, mixing_of
from keras_ser.audio.waveforms import Levels
from keras_ser.errors import UserError
from keras_ser.files import printable
from keras_ser.reports import pictures
from keras_ser.reports.render import aligned
from keras_ser.serving.predictor import BATCH_CLIPS, Predictor, answer, cells, columns, output
from keras_ser.tasks import Task

WINDOW_SECONDS, HOP_SECONDS = 3.0, 1.0
FORMATS = ("json", "csv", "table", "rttm", "audacity")
# Okabe and Ito's palette, distinguishable for colour-blind readers
_PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#666666", "#C9B800")
_DARK = ("#0072B2", "#666666", "#009E73", "#D55E00")


@dataclass(frozen=True)
class Timeline:
    """A model's predictions over windows of one recording.

    Args:
        path: The recording.
        task: The predicted task.
        starts, ends: (windows,) seconds; the last window may be shorter than the others.
        values: (windows, classes) probabilities, or (windows, 1) for a continuous task.
        problems: The problems of the whole recording; see `keras_ser.audio.problems`.
    """

    path: Path
    task: Task
    starts: np.ndarray
    ends: np.ndarray
    values: np.ndarray
    problems: tuple[str, ...] = ()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a dict per window: file, start, end, and the task's label, score and probabilities, or value."""
        for start, end, row in zip(self.starts, self.ends, self.values, strict=True):
            about = {"file": printable(self.path), "start": round(float(start), 3), "end": round(float(end), 3)}
            yield about | {self.task.name: answer(self.task, row)}

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Average overlapping windows between their starts and ends: borders (cells + 1,) in seconds, means (cells, classes).

        Borders are whole milliseconds, as they are written, so that no segment is written with a length of 0.
        """
        times = np.concatenate([self.starts, self.ends])
        borders = np.unique(np.round(times, 3))
        if len(borders) == 1:
            borders = np.unique(times)
        middles = (borders[:-1] + borders[1:]) / 2
        # windows are sorted by start and by end, so those over a point are consecutive
        first = np.searchsorted(self.ends, middles, side="right")
        last = np.searchsorted(self.starts, middles, side="right")
        sums = np.concatenate([np.zeros((1, self.values.shape[1])), np.cumsum(self.values, axis=0, dtype=np.float64)])
        return borders, (sums[last] - sums[first]) / (last - first)[:, None]

    def segments(self) -> list[tuple[float, float, str, float]]:
        """Join neighbouring cells of the same label: (start, end, label, mean probability); UserError for a continuous task."""
        if self.task.continuous:
            raise UserError(
                f"segments have labels, and the task {self.task.name!r} is continuous. Use the format json or csv."
            )
        borders, means = self.cells()
        labels = means.argmax(axis=1)
        cuts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
        found = []
        for a, b in zip(cuts[:-1], cuts[1:], strict=True):
            weights = np.diff(borders[a : b + 1])
            score = float(np.average(means[a:b, labels[a]], weights=weights))
            found.append((float(borders[a]), float(borders[b]), self.task.labels[labels[a]], score))
        return found

    def write(self, form: str, recording: str | None = None) -> Iterator[str]:
        """Yield the lines of a file in the form "json" (one object per window), "csv", "table" (aligned: a row for each
        segment, or window of a continuous task), "rttm" or "audacity" (a label track).

        `recording` names the recording in "rttm"; by default it is the file's stem. White space in names and labels is written
        as _ there.
        """
        if form == "json":
            yield from (json.dumps(row) for row in self.rows())
        elif form == "csv":
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(["file", "start", "end", *columns(self.task)])
            for row in self.rows():
                writer.writerow([row["file"], row["start"], row["end"], *cells(self.task, row[self.task.name])])
            yield from text.getvalue().split("\n")[:-1]
        elif form == "table":
            yield from aligned(self._table(), left=1)
        elif form == "rttm":
            name = _word(recording or self.path.stem)
            for start, end, label, score in self.segments():
                # type, file, channel, onset, duration, text, subtype, name, confidence, lookahead
                yield f"SPEAKER {name} 1 {start:.3f} {end - start:.3f} <NA> <NA> {_word(label)} {score:.3f} <NA>"
        elif form == "audacity":
            yield from (f"{start:.3f}\t{end:.3f}\t{label}" for start, end, label, _ in self.segments())
        else:
            raise UserError(f"`form` must be one of {', '.join(FORMATS)}. Received: {form!r}.")

    def _table(self) -> list[list[str]]:
        """Header and rows for a reader: seconds, and label and mean probability, or value."""
        name = printable(self.path.name)
        if self.task.continuous:
            found = [(row["start"], row["end"], f"{row[self.task.name]['value']:.3f}") for row in self.rows()]
            return [["file", "start", "end", self.task.name], *([name, f"{a:.2f}", f"{b:.2f}", v] for a, b, v in found)]
        found = [[name, f"{a:.2f}", f"{b:.2f}", label, f"{score:.2f}"] for a, b, label, score in self.segments()]
        return [["file", "start", "end", self.task.name, "score"], *found]

    def figure(self):
        """Draw a matplotlib Figure: probabilities over time, above a band of the most probable labels."""
        borders, means = _coarser(*self.cells())
        figure = pictures.new(10, 3.6)
        if self.task.continuous:
            axes = figure.subplots()
            axes.stairs(means[:, 0], borders, baseline=None, linewidth=1.5)
            axes.set(
                xlim=(borders[0], borders[-1]),
                xlabel="seconds",
                ylabel=self.task.name,
                title=pictures.file_title(self.path),
            )
            return figure
        top, band = figure.subplots(2, 1, sharex=True, height_ratios=[8, 1])
        for i, label in enumerate(self.task.labels):
            top.stairs(means[:, i], borders, baseline=None, label=label, **_line(i))
        top.set(ylim=(0, 1), xlim=(borders[0], borders[-1]), ylabel="probability", title=pictures.file_title(self.path))
        top.grid(alpha=0.3)
        top.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        for start, end, label, _ in self.segments():
            colour = _line(self.task.labels.index(label))["color"]
            band.axvspan(start, end, color=colour, linewidth=0)
            if end - start > 0.07 * (borders[-1] - borders[0]):
                text = "white" if colour in _DARK else "black"
                band.text((start + end) / 2, 0.5, label, ha="center", va="center", fontsize=8, color=text)
        band.set(yticks=[], xlabel="seconds")
        return figure


def recording_names(paths: Sequence[Path]) -> list[str]:
    """Return the name of each recording in RTTM, no two the same: its stem, or else its path, numbered if need be."""
    stems = [_word(path.stem) for path in paths]
    counts = Counter(stems)
    taken = {stem for stem, count in counts.items() if count == 1}
    found = []
    for path, stem in zip(paths, stems, strict=True):
        if counts[stem] > 1:
            whole = _word(path.as_posix())
            stem = next(
                name for name in (whole, *(f"{whole}-{n}" for n in range(2, len(paths) + 2))) if name not in taken
            )
            taken.add(stem)
        found.append(stem)
    return found


def _word(text: str) -> str:
    """A text as one field of RTTM, whose fields are separated by white space."""
    return "_".join(printable(text).split())


def _coarser(borders: np.ndarray, means: np.ndarray, most: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Average neighbouring cells over time until at most `most` are left."""
    step = -(-len(means) // most)
    if step == 1:
        return borders, means
    firsts = np.arange(0, len(means), step)
    widths = np.diff(borders)[:, None]
    joined = np.add.reduceat(means * widths, firsts) / np.add.reduceat(widths, firsts)
    return np.append(borders[firsts], borders[-1]), joined


def _line(number: int) -> dict[str, Any]:
    """Colour and dashes of a class: neighbours differ in both, so that the plot is readable in black and white."""
    dashes = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)))
    return {"color": _PALETTE[number % len(_PALETTE)], "linestyle": dashes[number % len(dashes)], "linewidth": 1.7}


def timeline(
    predictor: Predictor,
    path: str | os.PathLike,
    window_seconds: float = WINDOW_SECONDS,
    hop_seconds: float = HOP_SECONDS,
    task: str | None = None,
) -> Timeline:
    """Predict every window of a recording, which is read block by block.

    Args:
        predictor: The model.
        path: The recording.
        window_seconds: Duration of a window; a shorter recording is one window.
        hop_seconds: Time between the starts of two windows, at most `window_seconds`. The last window holds the end of the
            recording; where less than half a hop of it is new, it begins earlier and is as long as the others.
        task: Name of a task of the model. Default: its first.

    Raises:
        AudioError: The file cannot be read.
        UserError: The windows leave gaps, are longer than the model accepts, or the model lacks the task.
    """
    names = [t.name for t in predictor.tasks]
    if task is not None and task not in names:
        raise UserError(f"`task` must be one of {', '.join(names)}. Received: {task!r}.")
    if not 0 < hop_seconds <= window_seconds <= predictor.max_seconds:
        raise UserError(
            f"expected 0 < hop <= window <= {predictor.max_seconds:g} s. Received: window {window_seconds:g} s, hop "
            f"{hop_seconds:g} s."
        )
    rate = predictor.sample_rate
    window, hop = round(window_seconds * rate), max(1, round(hop_seconds * rate))
    if not window:
        raise UserError(f"expected a window of at least one sample, {1 / rate:g} s. Received: {window_seconds:g} s.")
    if 0 < predictor.centre_seconds < window_seconds:
        raise UserError(
            f"this model crops clips to their middle {predictor.centre_seconds:g} s and would skip the rest of each window: "
            f"choose a window of at most that. Received: {window_seconds:g} s."
        )
    chosen = predictor.tasks[names.index(task) if task else 0]
    starts, ends, values = [], [], []
    waiting: list[np.ndarray] = []

    def score() -> None:
        if not waiting:
            return
        values.append(np.asarray(predictor.score(*pad(waiting))[output(chosen)]).reshape(len(waiting), -1))
        waiting.clear()

    def ask(start: int, waveform: np.ndarray) -> None:
        starts.append(start)
        ends.append(start + len(waveform))
        waiting.append(waveform)
        if len(waiting) >= BATCH_CLIPS:
            score()

    mixed, levels = mixing_of(path), Levels()
    kept, begin = np.zeros(0, np.float32), 0  # samples of windows to come, and the position of the first
    before = kept  # the hop that was cut off before them
    for piece in blocks(path, rate, mixed=mixed, levels=levels):
        kept = np.concatenate([kept, piece])
        while len(kept) > window:
            ask(begin, kept[:window])
            before, kept, begin = kept[:hop], kept[hop:], begin + hop
    missing = window - len(kept)
    if begin and missing > hop / 2:  # less than half a hop is new
        kept, begin = np.concatenate([before[-missing:], kept]), begin - missing
    ask(begin, kept)
    score()
    seconds = np.array([starts, ends]) / rate
    problems = (*mixed[0].problems, *levels.problems(mixed[1]))
    return Timeline(Path(path), chosen, *seconds, np.concatenate(values), problems)
