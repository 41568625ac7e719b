"""Report whether a run has learned: its optimizer steps, the scores of its sides at the kept epoch, and a verdict.

A test score describes a method only if the network was trained to its end. `keras_ser.evaluation.verdict` has the rules.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ser.evaluation.tables import PERCENT, UNDEFINED, Form, Table, form_of
from keras_ser.evaluation.verdict import FAR, fault_of, mean_of_known
from keras_ser.models import is_baseline, model_module
from keras_ser.recipe import Recipe
from keras_ser.tasks import Task

if TYPE_CHECKING:
    from keras_ser.training import Run

NEAR = 0.05  # networks whose training scores differ by this or more should not be compared
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


def monitored_task(recipe: Recipe) -> Task:
    """Return the task whose score selects the epoch; the main task by default."""
    named = [task for task in recipe.tasks if recipe.monitor.startswith(f"val_{task.name}_")]
    return max(named, key=lambda task: len(task.name), default=recipe.tasks[0])


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
    fault = UNKNOWN if math.isnan(training) and not baseline else fault_of(recipe, about, task, training, validation)
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


def judge(run: Run, recipe: Recipe | None = None) -> Learning:
    """Judge a finished run on its own; of a cascade, a model 1 that has not learned is named unless model 2 has not, either.

    Args:
        run: the run.
        recipe: what was trained. Default: the run's own recipe.
    """
    recipe = recipe or run.recipe
    found = run_learning(recipe, run.about, run.split.protocol, run.split.fold, run.seed)
    if recipe.first is None:
        return found
    first = judge(run.first) if run.first else None
    found = replace(found, remarks=(*found.remarks, *(first.remarks if first else ())))
    if found.verdict != LEARNED or (first and first.verdict == LEARNED):
        return found
    kind, _, what = first.verdict.partition(": ") if first and first.fault else ("", "", "")
    return replace(found, verdict=f"{kind}: model 1: {what}" if kind else UNKNOWN)


def learning_of(runs: Iterable[Run]) -> list[Learning]:
    """Judge finished runs of one recipe."""
    return together([judge(run) for run in runs])


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


def _percent(run: Learning, value: float | None = None) -> str:
    return form_of(run.metric)(run.training if value is None else value)


def _mean(values: Sequence[float], form: Form = PERCENT) -> str:
    mean = mean_of_known(values)
    return form(mean) if math.isfinite(mean) else UNDEFINED
