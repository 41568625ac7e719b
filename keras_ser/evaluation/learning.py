"""Report whether a run has learned: its optimizer steps, the scores of its sides at the kept epoch, and a verdict.

A test score describes a method only if the network was trained to its end. A run is called *underfit* if

* its epochs ended while the training and validation scores were still rising,
* patience, or the last epoch of a run without epoch selection, ended it while the training score was still rising below `KNOWN`,
* its learning rate had fallen to 0, the training score is below `SHORT` and had risen by `ROSE` over the last half of the epochs
  (while the rate falls every score rises to the last epoch, so that the two rules above do not apply),
* the training score is `FAR` below what it reached in another epoch of the run, or what other runs of the recipe reach,
* the training score is nearer to chance than to 1,
* or there are fewer than `FEW` epochs, too few to judge their course, and the training score is below `KNOWN`;

and *overfit* if the validation score had fallen by `FELL` before the kept epoch. Curves are compared by means over fifths of the
epochs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ser.evaluation.tables import PERCENT, UNDEFINED, Form, Table, form_of
from keras_ser.models import is_baseline, model_module
from keras_ser.recipe import Recipe
from keras_ser.tasks import Task

if TYPE_CHECKING:
    from keras_ser.training import Run

RISING = 0.01  # minimum rise of a score from the fourth fifth of the epochs to the last
KNOWN = 0.9  # training scores above this may still rise
FAR = 0.1
NEAR = 0.05  # networks whose training scores differ by this or more should not be compared
FELL = 0.05
SHORT = KNOWN - FAR  # a schedule that ended at a training score above this was long enough
ROSE = 0.05
HALF = 0.5  # fraction of the way from chance to 1
FEW = 5
SHOWN = 3
LEARNED, UNKNOWN = "learned", "unknown: trained by a version that did not note it"


@dataclass(frozen=True)
class Learning:
    """The verdict on one run's training.

    Args:
        protocol, fold, seed: identify the run.
        task: name of the task whose score selects the epoch.
        metric: metric of `training` and `validation`, the scores at the kept epoch: "uar" or "ccc" of the monitored task, clip by
            clip; NaN if unavailable.
        steps: optimizer steps up to the kept epoch; None for models that are not trained by steps.
        remarks: other problems, reported by the model's module.
        kept, epochs: the kept epoch, and the number of trained epochs; 0 if unknown.
        verdict: "learned", or "underfit: ..", "overfit: ..", "unknown: ..".
    """

    protocol: str
    fold: int
    seed: int
    task: str
    metric: str
    training: float
    validation: float
    steps: int | None
    verdict: str
    remarks: tuple[str, ...] = ()
    kept: int = 0
    epochs: int = 0

    @property
    def fault(self) -> bool:
        """Whether the verdict is underfit or overfit."""
        return self.verdict not in (LEARNED, UNKNOWN)

    @property
    def where(self) -> str:
        return f"{self.protocol}, fold {self.fold}, seed {self.seed}"


def run_learning(recipe: Recipe, about: Mapping[str, Any], protocol: str, fold: int, seed: int) -> Learning:
    """Judge one run on its own.

    Args:
        recipe: the recipe that was trained.
        about: contents of the run's history.json.
        protocol, fold, seed: identify the run.
    """
    task = monitored_task(recipe)
    metric = "ccc" if task.continuous else "uar"
    rows, kept = about["epochs"], about["best_epoch"]
    validation = [row.get(f"val_{task.name}_{metric}", math.nan) for row in rows]
    training = about.get("training", {}).get(f"{task.name}_{metric}", math.nan)
    baseline = is_baseline(recipe)
    fault = UNKNOWN if math.isnan(training) and not baseline else _fault(recipe, about, task, training, validation)
    return Learning(
        protocol,
        fold,
        seed,
        task.name,
        metric,
        training,
        validation[kept - 1] if rows else math.nan,
        None if baseline or "steps" not in about else kept * about["steps"],
        fault or LEARNED,
        tuple(getattr(model_module(recipe.model), "remarks", lambda *_: ())(rows, recipe.config)),
        kept if rows else 0,
        len(rows),
    )


def learning_of(runs: Iterable[Run]) -> list[Learning]:
    """Judge finished runs of one recipe."""
    return together([run_learning(r.recipe, r.about, r.split.protocol, r.split.fold, r.seed) for r in runs])


def together(runs: Sequence[Learning]) -> list[Learning]:
    """Judge the runs of one recipe together: those far below the training scores of the others are underfit, too."""
    reached = (
        np.nanmax([run.training for run in runs]) if any(math.isfinite(run.training) for run in runs) else math.nan
    )
    return [
        replace(
            run,
            verdict=f"underfit: {_percent(run)} on the training set, where other runs reach {_percent(run, reached)}",
        )
        if run.verdict == LEARNED and run.steps is not None and run.training < reached - FAR
        else run
        for run in runs
    ]


def learning_table(systems: Mapping[str, Sequence[Learning]], tested: Mapping[tuple[str, str], float]) -> Table:
    """Make a table with a row for each system and protocol: training length, score of each side, and verdict.

    Args:
        systems: system -> its runs.
        tested: (system, protocol) -> the score of the test set.
    """
    rows = []
    for name, runs in systems.items():
        for protocol in dict.fromkeys(run.protocol for run in runs):
            mine = [run for run in runs if run.protocol == protocol]
            form = form_of(mine[0].metric)
            steps = sorted(run.steps for run in mine if run.steps is not None)
            spread = f" ({steps[0]} to {steps[-1]})" if steps and steps[0] < steps[-1] else ""
            rows.append(
                [
                    *([name] if len(systems) > 1 else []),
                    protocol,
                    str(len(mine)),
                    f"{int(np.median(steps))}{spread}" if steps else UNDEFINED,
                    *(_mean([getattr(run, side) for run in mine], form) for side in ("training", "validation")),
                    form(tested.get((name, protocol))),
                    verdicts(mine),
                ]
            )
    columns = ["protocol", "runs", "optimizer steps", "training", "validation", "test", "verdict"]
    labels = 2 if len(systems) > 1 else 1
    return Table("Training", ["system"] * (labels - 1) + columns, rows, labels)


def verdicts(runs: Sequence[Learning]) -> str:
    """Return "learned", or the number of runs with each verdict: "3 of 10 underfit"."""
    return _counted([run.verdict for run in runs])


def stored_verdicts(report: Mapping[str, Any], protocol: str) -> str:
    """Return the `verdicts` on the runs of a protocol in the contents of report.json; "" if it has none."""
    found = [str(run["verdict"]) for run in report.get("learned", ()) if run["protocol"] == protocol]
    return _counted(found) if found else ""


def untrained(systems: Mapping[str, Sequence[Learning]]) -> list[str]:
    """Return a line for the terminal for each system with underfit or overfit runs."""
    return [
        f"{f'{name}: ' if name else ''}{verdicts(runs)}."
        for name, runs in systems.items()
        if any(run.fault for run in runs)
    ]


def _counted(found: Sequence[str]) -> str:
    kinds = [verdict.split(":")[0] for verdict in found]
    told = [f"{kinds.count(kind)} of {len(kinds)} {kind}" for kind in dict.fromkeys(kinds) if kind != LEARNED]
    return ", ".join(told) or LEARNED


def faults(systems: Mapping[str, Sequence[Learning]]) -> list[str]:
    """Return a sentence for each system that was not trained to its end, naming its first runs, and for each remark."""
    found = []
    for name, runs in systems.items():
        bad = [run for run in runs if run.fault]
        if bad:
            first = "; ".join(f"{run.where}: {run.verdict}" for run in bad[:SHOWN])
            more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
            found.append(f"{f'{name}: ' if name else ''}{verdicts(runs)} ({first}{more}).")
        for remark, count in Counter(remark for run in runs for remark in run.remarks).items():
            found.append(f"{f'{name}: in' if name else 'In'} {count} of {len(runs)} runs {remark}.")
    return found


def trained_unlike(systems: Mapping[str, Sequence[Learning]]) -> list[str]:
    """Return a sentence for each protocol that names the networks trained to a mean score `NEAR` or more below the best.

    Baselines, and systems whose runs are all called underfit or overfit, are left out.
    """
    found = []
    of_networks = [(name, run) for name, runs in systems.items() for run in runs if run.steps is not None]
    kinds = dict.fromkeys((run.protocol, run.task, run.metric) for _, run in of_networks)
    for protocol, task, metric in kinds:
        means = {}
        for name in dict.fromkeys(name for name, _ in of_networks):
            mine = [run for run in systems[name] if (run.protocol, run.task, run.metric) == (protocol, task, metric)]
            scores = [run.training for run in mine if math.isfinite(run.training)]
            if scores and not all(run.fault for run in mine):
                means[name] = float(np.mean(scores))
        form, best = form_of(metric), max(means, key=means.__getitem__, default="")
        below = [f"{name} {form(mean)}" for name, mean in means.items() if round(means[best] - mean, 9) >= NEAR]
        if below:
            where = f" under {protocol}" if len({run.protocol for _, run in of_networks}) > 1 else ""
            found.append(
                f"Training scores{where}: {', '.join(below)}, but {best} {form(means[best])}: compare them after longer training."
            )
    return found


def monitored_task(recipe: Recipe) -> Task:
    """Return the task whose score selects the epoch; the main task by default."""
    named = [task for task in recipe.tasks if recipe.monitor.startswith(f"val_{task.name}_")]
    return max(named, key=lambda task: len(task.name), default=recipe.tasks[0])


def _fault(recipe: Recipe, about: Mapping[str, Any], task: Task, training: float, validation: Sequence[float]) -> str:
    rows, kept = about["epochs"], about["best_epoch"]
    if not rows:
        return ""
    form = form_of("ccc" if task.continuous else "uar")
    # the training set that is scored holds the recipe's own corpus alone; speakers of others are "CORPUS/SPEAKER"
    others = tuple(f"{stream.corpus}/" for stream in recipe.streams if stream.corpus)
    own = [label for label in task.labels if not (task.identity and label.startswith(others))]
    chance = 0.0 if task.continuous else 1 / len(own)
    if training < chance + HALF * (1 - chance):
        return (
            f"underfit: {form(training)} on the training set, nearer to chance ({form(chance)}) than to a perfect score"
        )
    if is_baseline(recipe):  # whose rows are settings
        return ""
    if len(rows) < FEW and training < KNOWN:
        steps = len(rows) * about.get("steps", 0)
        return f"underfit: {len(rows)} epochs, {steps} steps, with {form(training)} on the training set"
    curve = [row.get(f"{task.name}_{'ccc' if task.continuous else 'accuracy'}", math.nan) for row in rows]
    rising, ended = _rise(curve) > RISING, len(rows) >= recipe.epochs
    annealed = ended and recipe.optimizer.schedule == "cosine"
    if ended and not annealed and rising and _rise(validation) > RISING:
        return f"underfit: both scores were still rising when its {len(rows)} epochs ended"
    smooth = _smooth(curve)
    if np.nanmax(smooth, initial=-math.inf) - smooth[kept - 1] > FAR:
        highest = int(np.nanargmax(smooth))
        when = "later" if highest >= kept else f"before, at epoch {highest + 1}"
        said = f"{form(smooth[kept - 1])} in training, which reached {form(smooth[highest])} {when}"
        return f"underfit: kept at epoch {kept} of {len(rows)}, {said}"
    if rising and training < KNOWN and not annealed and (not ended or about.get("monitor") is None):
        what, steps = "its epochs" if ended else "patience", len(rows) * about["steps"]
        return f"underfit: {what} ended it at {steps} steps, when the training set had {form(training)} and was still rising"
    if annealed and training < SHORT and smooth[-1] - smooth[(len(rows) - 1) // 2] > ROSE:
        steps = len(rows) * about.get("steps", 0)
        return f"underfit: the learning rate had fallen to 0 after {steps} steps, with {form(training)} on the training set"
    smooth = _smooth(validation)
    best = int(np.nanargmax(smooth[:kept])) if np.isfinite(smooth[:kept]).any() else kept - 1
    if smooth[best] - smooth[kept - 1] > FELL:
        return f"overfit: validation fell from {form(smooth[best])} at epoch {best + 1} to {form(smooth[kept - 1])} at the kept one"
    return ""


def _smooth(curve: Sequence[float]) -> np.ndarray:
    """Return means over a fifth of the epochs, ending at each epoch."""
    width = max(1, len(curve) // 5)
    parts = (np.array(curve[max(0, i + 1 - width) : i + 1], float) for i in range(len(curve)))
    return np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else math.nan for part in parts])


def _rise(curve: Sequence[float]) -> float:
    """Return how much the last fifth of a curve is above the fifth before; NaN if it is too short."""
    width = max(1, len(curve) // 5)
    return float(np.mean(curve[-width:]) - np.mean(curve[-2 * width : -width])) if len(curve) > 2 * width else math.nan


def _percent(run: Learning, value: float | None = None) -> str:
    return form_of(run.metric)(run.training if value is None else value)


def _mean(values: Sequence[float], form: Form = PERCENT) -> str:
    known = [value for value in values if math.isfinite(value)]
    return form(float(np.mean(known))) if known else UNDEFINED
