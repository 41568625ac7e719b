"""Progress of commands on a terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from keras_ser.cli.error_handling import check_interrupt

EVERY = 5.0  # minimum seconds between two lines on epochs


class Progress:
    """Progress bars for jobs and epochs on a terminal; elsewhere a line per job, and one on epochs every `EVERY` seconds.

    `failures` counts the jobs that failed.
    """

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self.failures = self.started = self.number = self.total = 0
        self.spoken = self.began = time.monotonic()
        self.first: tuple[str, int, float] | None = None  # stage, epoch and time of a job's first finished epoch
        self.stage = ""  # that of the last epoch
        self.bar: Any = None
        self.tasks: dict[str, Any] = {}
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> "Progress":
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = self.stack.enter_context(Progress(*columns, console=Console(stderr=True)))
        return self

    def __exit__(self, *error) -> None:
        self.stack.close()

    def job(self, number: int, total: int, job) -> None:
        check_interrupt()
        title, self.total, self.first, self.stage = _title(job), total, None, ""
        self.number = number
        self.spoken = self.began = time.monotonic()
        if self.bar is None:
            if not self.quiet:
                print(f"[{number}/{total}] {title}", file=sys.stderr, flush=True)
            return
        if "jobs" not in self.tasks:
            self.tasks["jobs"] = self.bar.add_task("", total=total)
        self.started = number - 1
        self.bar.update(self.tasks["jobs"], description=title, completed=self.started, total=total)
        for stage in [stage for stage in self.tasks if stage != "jobs"]:
            self.bar.remove_task(self.tasks.pop(stage))

    def done(self, number: int, total: int, job) -> None:
        """Report that a worker has finished a job, the `number`-th so far."""
        self.job(number, total, job)
        if self.bar is not None:
            self.bar.update(self.tasks["jobs"], completed=number)

    def failure(self, job, reason: str) -> None:
        self.failures += 1
        self.say(f"{_title(job)} failed: {reason}", always=True)

    def say(self, text: str, always: bool = False) -> None:
        """Print a line above the bars, or on standard error; with `quiet` only if `always`."""
        if self.bar is not None:
            self.bar.console.print(text, markup=False, highlight=False)
        elif always or not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def epoch(self, stage: str, epoch: int, epochs: int, logs: Mapping[str, float]) -> None:
        check_interrupt()
        self._continued(stage, epoch, logs)
        shown = _shown(logs)
        if self.bar is None:
            # a baseline counts settings, or clips
            text = f"{stage}: {'epoch ' if 'loss' in logs else ''}{epoch} of {epochs}"
            self._epoch_line(stage, epoch, epochs, text + (f": {', '.join(shown)}" if shown else ""))
            return
        if stage not in self.tasks:
            self.tasks[stage] = self.bar.add_task(stage, total=epochs)
        text = f"{stage}: {' '.join(shown)}" if shown else stage
        self.bar.update(self.tasks[stage], completed=epoch, total=epochs, description=text)
        if "jobs" in self.tasks:
            # count part of the run as done, so that the remaining time can be estimated
            place, stages = {"model 1": (0, 2), "model 2": (1, 2)}.get(stage, (0, 1))
            self.bar.update(self.tasks["jobs"], completed=self.started + (place + epoch / epochs) / stages)

    def _continued(self, stage: str, epoch: int, logs: Mapping[str, float]) -> None:
        """Say after the first epoch of a call that an earlier call has finished those before it."""
        if self.stage != stage and epoch > 1 and "loss" in logs:
            self.say(f"{stage}: continued after epoch {epoch - 1}")
        self.stage = stage

    def _epoch_line(self, stage: str, epoch: int, epochs: int, text: str) -> None:
        """Print `text` on an epoch, with the remaining time of all runs once two epochs have been timed."""
        now = time.monotonic()
        if self.first is None or self.first[0] != stage:
            self.first = (stage, epoch, now)
        if self.quiet or now - self.spoken < EVERY:
            return
        self.spoken = now
        left = ""
        if epoch > self.first[1] and self.total and not stage.startswith("model"):
            each = (now - self.first[2]) / (epoch - self.first[1])
            run = (
                self.first[2] - self.began + each * (epochs - self.first[1])
            )  # including the time until the first epoch's end
            seconds = each * (epochs - epoch) + run * (self.total - self.number)
            left = f"; about {duration(seconds)} left at most"
        print(f"  {text}{left}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Format a duration in seconds, to about two digits.

    Example:
        >>> duration(42), duration(750), duration(9000)
        ('42 s', '12 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _shown(logs: Mapping[str, float]) -> list[str]:
    """Return the main task's loss and its validation score; without a validation set, its score in training.

    The total loss may rise although the main task is learned, because it contains the loss of an adversary.
    """
    scores = [name for name in logs if name.endswith(("_uar", "_ccc"))]
    training = [name for name in scores if not name.startswith("val_")]
    own = f"{training[0].rpartition('_')[0]}_loss" if training else ""
    loss = own if own in logs else "loss"
    shown = [f"{loss} {logs[loss]:.3f}"] if loss in logs else []
    found = [f"{name.removeprefix('val_')} {logs[name]:.3f}" for name in scores if name not in training]
    return shown + (found or [f"{name} in training {logs[name]:.3f}" for name in training])[:1]


def _title(job) -> str:
    return f"{job.recipe}: {job.protocol.name}, fold {job.split.fold}, seed {job.seed}"


def step_printer(quiet: bool = False) -> Callable[[int, int, str], None]:
    """Return a function (number, total, description) that prints a step: overwriting its line on a terminal, else a line each."""

    def on_step(number: int, total: int, what: str) -> None:
        check_interrupt()
        if quiet:
            return
        live = sys.stderr.isatty()
        line = f"[{number}/{total}] {what}"
        print(f"\x1b[2K{line}" if live else line, end="\r" if live else "\n", file=sys.stderr, flush=True)

    return on_step


def show(report: Any, path: Any) -> None:
    """Print the summary of a report and its path."""
    print("\n".join([*report.lines(), "", f"report: {path}"]))
