"""One model on all data, for use: what cross-validation has chosen, trained once more with every clip.

    saved_models/<recipe>-<hash>/final/seed-0/    a run whose split is `final`, and final.md, which refers to the cross-validation

A network is trained for the median of the epochs that the folds have kept, a baseline with the setting that most of them have kept.
Nothing tests it: the score that stands for it is that of the cross-validation.
"""

import dataclasses
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_ser.errors import RunError, UserError
from keras_ser.evaluation import score
from keras_ser.evaluation.tables import metric_title
from keras_ser.experiment.planning import experiment_folder
from keras_ser.experiment.rescoring import runs_of
from keras_ser.experiment.stored import EXPERIMENT, finished_predictions
from keras_ser.files import lock, write_text
from keras_ser.models import is_baseline, model_module
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.training import Data, Run, fit

FINAL = "final"


def final_runs(recipe: Recipe, out: Path | str) -> list[Run]:
    """The finished runs of the recipe's cross-validation.

    Raises:
        UserError: there is none yet, or the recipe needs a validation side to be trained at all.
    """
    folder = experiment_folder(recipe, out)
    if recipe.optimizer.schedule == "plateau":
        raise UserError(
            f"{recipe.name} lowers its learning rate by the validation side (schedule 'plateau'), and a model on all clips has "
            "none: use another schedule, e.g. --set optimizer.schedule=cosine."
        )
    try:
        found = runs_of(folder) if (folder / EXPERIMENT).exists() else []
    except RunError:
        found = []
    if not found:
        raise UserError(
            f"expected a finished cross-validation of {recipe.name} in {folder}, which says how long to train. Received: no "
            "finished run. Run the same command without --final first."
        )
    return found


def final_recipe(recipe: Recipe, runs: Sequence[Run]) -> tuple[Recipe, str]:
    """The recipe with the epochs, or the setting, that the runs have kept; and a sentence on them."""
    if is_baseline(recipe):
        numbers = Counter(run.about["best_epoch"] for run in runs)
        number = min(numbers, key=lambda n: (-numbers[n], n))
        setting = model_module(recipe.model).candidates(recipe.config)[number - 1]
        config = dataclasses.replace(recipe.config, **{name: (value,) for name, value in setting.items()})
        chosen = ", ".join(f"{name}={value}" for name, value in setting.items())
        return recipe.replace(config=config), f"Setting: {chosen}, kept by {numbers[number]} of {len(runs)} runs."
    kept = [run.about["best_epoch"] for run in runs]
    epochs = max(1, round(statistics.median(kept)))
    text = (
        f"Epochs: {epochs}, the median of those that {len(runs)} runs have kept ({', '.join(map(str, sorted(kept)))})."
    )
    first = recipe.first
    if first is not None:
        first, of_first = final_recipe(first, [Run.load(run.folder / "model_1") for run in runs])
        text += f" Model 1: {of_first}"
    return recipe.replace(epochs=epochs, patience=0, first=first), text


def train_final(
    recipe: Recipe, data: Data, out: Path | str, on_job: Callable[[int, int, str], None] | None = None, **options: Any
) -> list[Path]:
    """Train a model on all readable clips for each seed of the recipe; return the runs' folders.

    Args:
        recipe: what has been cross-validated.
        data: the same corpora.
        out: where the experiments lie.
        on_job: called with (number, how many, what) before each training.
        **options: of `keras_ser.training.fit`.

    Raises:
        UserError: see `final_runs`.
    """
    runs = final_runs(recipe, out)
    folder = experiment_folder(recipe, out)
    made, said = final_recipe(recipe, runs)
    split = Split(FINAL, 0, tuple(u.id for u in data.readable), (), (), final=True)
    found = []
    for number, seed in enumerate(recipe.seeds, start=1):
        target = folder / FINAL / f"seed-{seed}"
        if on_job:
            on_job(number, len(recipe.seeds), f"{recipe.name}: all {len(split.train)} clips, seed {seed}")
        with lock(target):
            fit(made, data, split, target, seed, **options)
        write_text(target / "final.md", "\n".join(_lines(recipe, data, folder, runs, split, said)))
        found.append(target)
    return found


def _lines(recipe: Recipe, data: Data, folder: Path, runs: Sequence[Run], split: Split, said: str) -> list[str]:
    """The report: what was trained, and what the cross-validation says of it."""
    task, protocol = recipe.tasks[0], runs[0].split.protocol
    scored = score(finished_predictions(folder, runs), task, protocol)
    what = f"{protocol}, {len(runs)} run{'s' if len(runs) > 1 else ''}"
    line = f"Nothing tests this model. The cross-validation ({what}) says what to expect of it; see ../../report.md."
    if scored:
        metrics = ("ccc", "rmse") if task.continuous else ("uar", "accuracy")
        figures = ", ".join(f"{metric_title(m)} {scored[m].cell().text()}" for m in metrics)
        line += f" There: {task.name} {figures}, {scored.clips} clips of {scored.speakers} speakers."
    speakers = len({u.speaker for u in data.readable} - {None})
    of = f" of {speakers} speakers" if speakers else ""
    return [
        f"# {recipe.name} on all of {data.corpus.name}",
        "",
        f"Trained on {len(split.train)} clips{of}. {said}",
        "",
        line,
    ]
