"""Train one model on all data, for deployment, with the settings selected by cross-validation.

    saved_models/<recipe>-<hash>/final/seed-0/    a run whose split is `final`, and final.md, which refers to the cross-validation

A network is trained for the median of the epochs kept in the folds, a baseline with the setting kept in most folds. The model
cannot be tested: its expected score is that of the cross-validation.
"""

import dataclasses
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_ser.errors import RunError, UserError
from keras_ser.evaluation import score
from keras_ser.evaluation.learning import judge, learning_of
from keras_ser.evaluation.tables import form_of, metric_title
from keras_ser.experiment.changes import check_claim
from keras_ser.experiment.planning import jobs
from keras_ser.experiment.rescoring import runs_of
from keras_ser.experiment.stored import EXPERIMENT, finished_predictions, stored_recipe
from keras_ser.files import lock, write_text
from keras_ser.models import is_baseline, model_module
from keras_ser.recipe import Recipe
from keras_ser.reports.headline import trained
from keras_ser.splits import Split
from keras_ser.training import Data, Run, fit
from keras_ser.training.owner import is_of
from keras_ser.training.run import FIRST

FINAL = "final"


def final_runs(recipe: Recipe, folder: Path) -> list[Run]:
    """Return the finished runs of the recipe's cross-validation in an experiment's folder.

    Raises:
        UserError: there is none yet, it is of another recipe, or the recipe cannot be trained without a validation set.
    """
    if "plateau" in {each.optimizer.schedule for each in (recipe, recipe.first) if each is not None}:
        raise UserError(
            f"{recipe.name} lowers its learning rate by the validation set (schedule 'plateau'), and a model on all clips has "
            "none: use another schedule, e.g. --set optimizer.schedule=cosine."
        )
    try:
        found = runs_of(folder) if (folder / EXPERIMENT).exists() and is_of(folder, recipe) else []
    except RunError:
        found = []
    if not found:
        raise UserError(
            f"expected a finished cross-validation of {recipe.name} in {folder}, which says how long to train. Received: no "
            "finished run. Run the same command without --final first."
        )
    return found


def final_recipe(recipe: Recipe, runs: Sequence[Run]) -> tuple[Recipe, str]:
    """Return the recipe with the epochs, or the setting, kept in the runs, and a sentence on them."""
    if is_baseline(recipe):
        numbers = Counter(run.about["best_epoch"] for run in runs)
        number = min(numbers, key=lambda n: (-numbers[n], n))
        setting = model_module(recipe.model).candidates(recipe.config)[number - 1]
        config = dataclasses.replace(recipe.config, **{name: (value,) for name, value in setting.items()})
        chosen = ", ".join(f"{name}={value}" for name, value in setting.items())
        return recipe.replace(config=config), f"Setting: {chosen}, kept by {numbers[number]} of {len(runs)} runs."
    kept = [run.about["best_epoch"] for run in runs]
    epochs = max(1, round(statistics.median(kept)))
    text = f"Epochs: {epochs}, the median of those kept in {len(runs)} runs ({', '.join(map(str, sorted(kept)))})."
    first = recipe.first
    if first is not None:
        first, of_first = final_recipe(first, [Run.load(run.folder / FIRST) for run in runs])
        text += f" Model 1: {of_first}"
    return recipe.replace(epochs=epochs, patience=0, first=first), text


def train_final(
    recipe: Recipe,
    data: Data,
    folder: Path,
    into: Path | None = None,
    on_job: Callable[[int, int, str], None] | None = None,
    **options: Any,
) -> list[Path]:
    """Train a model on all readable clips for each seed of the recipe; return the runs' folders.

    Args:
        recipe: the cross-validated recipe.
        data: the same corpora.
        folder: the experiment's folder.
        into: where the models go (default: "final" in `folder`).
        on_job: called with (number, number of trainings, description) before each training.
        **options: passed to `keras_ser.training.fit`.

    Raises:
        UserError: see `final_runs`.
        RunError: the cross-validation is of other data.
    """
    runs = final_runs(recipe, folder)
    check_claim(folder, recipe, data)
    made, said = final_recipe(recipe, runs)
    split = Split(FINAL, 0, tuple(u.id for u in data.readable), (), (), final=True)
    found = []
    for number, seed in enumerate(recipe.seeds, start=1):
        target = (into or folder / FINAL) / f"seed-{seed}"
        if on_job:
            on_job(number, len(recipe.seeds), f"{recipe.name}: all {len(split.train)} clips, seed {seed}")
        with lock(target):
            fit(made, data, split, target, seed, **options)
        own = f"{said} {_learned(Run.load(target))}"
        write_text(target / "final.md", "\n".join(_lines(recipe, data, folder, runs, split, own, bool(into))))
        found.append(target)
    return found


def _learned(run: Run) -> str:
    """Return a sentence on how the final model itself was trained."""
    found = judge(run)
    steps = f"{found.steps} optimizer steps, " if found.steps is not None else ""
    value = f"{metric_title(found.metric)} {form_of(found.metric)(found.training)}"
    return f"Its own training: {steps}{value} on the training clips; {found.verdict}."


def _of(speakers: int) -> str:
    return f" of {speakers} speaker{'s' if speakers > 1 else ''}" if speakers else ""


def _lines(
    recipe: Recipe, data: Data, folder: Path, runs: Sequence[Run], split: Split, said: str, apart: bool
) -> list[str]:
    """Return the report: what was trained, and the score of the cross-validation."""
    task, protocol = recipe.tasks[0], runs[0].split.protocol
    scored = score(finished_predictions(folder, runs), task, protocol)
    asked = [job for job in jobs(stored_recipe(folder), data) if job.protocol.name == protocol]
    number = (
        f"{len(runs)} of {len(asked)} runs, which is not finished" if len(runs) < len(asked) else f"{len(runs)} runs"
    )
    number = "1 run" if number == "1 runs" else number
    line = (
        f"This model has no test set. For its expected score see the cross-validation ({protocol}, {number}), "
        f"{folder / 'report.md' if apart else '../../report.md'}."
    )
    if scored:
        metrics = ("ccc", "rmse") if task.continuous else ("uar", "accuracy")
        figures = ", ".join(f"{metric_title(m)} {scored[m].cell().text()}" for m in metrics)
        line += f" There: {task.name} {figures}, {scored.clips} clips{_of(scored.speakers)}. "
        line += trained({"": learning_of(runs)})
    return [
        f"# {recipe.name} on all of {data.corpus.name}",
        "",
        f"Trained on {len(split.train)} clips{_of(len(data.readable.counts('speaker')))}. {said}",
        "",
        line,
    ]
