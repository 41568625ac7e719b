"""Several recipes on the same splits of the same corpus, trained one after another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.corpora.corpus import listed
from keras_ser.experiment.jobs import check_jobs, experiment_folder, jobs
from keras_ser.experiment.runner import run_experiment
from keras_ser.models import deterministic_model
from keras_ser.recipe import Recipe
from keras_ser.training import Data, RunError


@dataclass(frozen=True)
class System:
    """A recipe whose runs are finished.

    Args:
        recipe: what was trained.
        folder: the experiment's.
        predictions: of the test sides of the runs that were asked for.
    """

    recipe: Recipe
    folder: Path
    predictions: pd.DataFrame

    @property
    def deterministic(self) -> bool:
        """Whether another seed would give the same model."""
        return deterministic_model(self.recipe)


def run_systems(
    recipes: Mapping[str, Recipe],
    data: Data,
    out: Path | str,
    *,
    folds: Sequence[int] | None = None,
    on_job: Callable[[int, int, Any], None] | None = None,
    read_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, System]:
    """Train every system that is not finished, each in its own experiment.

    Args:
        recipes: system -> recipe.
        data: the corpora.
        out: where the experiments go.
        folds, on_job, read_options, **options: see `run_experiment`.

    Raises:
        RunError: other processes are still training some of the runs; see `run_experiment`, too.
    """
    for recipe in recipes.values():
        check_jobs(recipe, data, folds)
    found = {}
    for name, recipe in recipes.items():
        folder = experiment_folder(recipe, out)
        made = run_experiment(recipe, data, folder, folds=folds, on_job=on_job, read_options=read_options, **options)
        # the folder may hold more: systems are compared over the runs that were asked for
        asked = {(job.protocol.name, job.split.fold, job.seed) for job in jobs(recipe, data, folds)}
        table = made.predictions
        runs = zip(table["protocol"], table["fold"], table["seed"], strict=True)
        found[name] = System(recipe, folder, table[[run in asked for run in runs]])
    # systems are compared on the same clips
    theirs = [
        f"{system.recipe.name}/{job.folder}"
        for system in found.values()
        for job in jobs(system.recipe, data, folds)
        if not (system.folder / job.folder / "predictions.csv").exists()
    ]
    if theirs:
        raise RunError(
            f"other processes are still training {listed(theirs)}. When they have ended, the same command makes the table."
        )
    return found
