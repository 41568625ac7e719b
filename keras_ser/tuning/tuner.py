"""`search`: select a recipe's hyperparameters with KerasTuner, on validation sets only."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_ser.engines import Engine, Sequential
from keras_ser.errors import UserError
from keras_ser.experiment.planning import Job, check_jobs, jobs
from keras_ser.files import lock, remove_parts, write_json
from keras_ser.models import is_baseline
from keras_ser.recipe import Recipe
from keras_ser.training import Data, RunError
from keras_ser.training.owner import check_free
from keras_ser.training.run import as_object, stored
from keras_ser.tuning.chief import Chief
from keras_ser.tuning.proposals import METHODS, check_grid
from keras_ser.tuning.runs import OWNER
from keras_ser.tuning.search_report import Found
from keras_ser.tuning.space import Space, check_search, judging

TRIALS = 20


def search(
    recipe: Recipe,
    data: Data,
    space: Space,
    folder: Path | str,
    *,
    trials: int | None = None,
    folds: Sequence[int] = (0,),
    seeds: int = 1,
    method: str = "bayesian",
    prune: str | None = None,
    confirm: int = 0,
    engine: Engine | None = None,
    ahead: int | None = None,
    on_trial: Callable[[int, int], None] | None = None,
    on_job: Callable[[int, int, Job], None] | None = None,
    **options: Any,
) -> Found:
    """Train a recipe with different hyperparameters and keep those with the best validation score.

    A trial's score is the monitored score (`Recipe.monitor`) of the kept epoch, or its mean over the `smoothing` epochs up to that
    one where the score chooses the epoch, averaged over folds and seeds; no test set is used. The unchanged recipe is the first
    trial, so its validation score is a lower bound of the best. An interrupted search continues where it stopped, and a finished
    one can be extended by more trials: finished runs are not trained again, nor are settings that diverged or cannot be trained. A
    failed trial does not end the search: it has no score, and the report gives the reason. If the setting is not the reason (a
    damaged folder, too little memory), the next call repeats the trial. The settings of later trials stay as they are: the method
    chose them without this score.

    With an engine of several workers, `ahead` trials run at the same time. A setting is proposed when the trial `ahead` places
    before it has been scored, and scores are reported in the order of the trials: the result depends on `ahead`, but not on which
    worker is faster or dies.

    Args:
        recipe: The recipe to start from; `judging` says which of its protocols is used.
        data: Its decoded corpora.
        space: The keys to change, with their ranges or values.
        folder: Folder of the search: runs/, tuner/ (KerasTuner's files), trials.csv, tuning.md, its plots, recipe.json.
        trials: Number of trials besides the unchanged recipe (default: `TRIALS`; for a grid all its settings).
        folds: Folds whose validation sets are scored.
        seeds: Number of the recipe's seeds that each trial is trained with.
        method: "bayesian" (a Gaussian process), "random" or "grid" (choices only): KerasTuner's oracles, on the first seed.
        prune: "median" stops a trial whose best score so far in its first run is below the median of the finished trials at the
            same epoch; see `keras_ser.tuning.pruning`. None: no trial is stopped.
        confirm: Number of further seeds with which the best setting and the unchanged recipe are trained after the search.
        engine: Where runs are trained; its workers share `data` (default: in this process).
        ahead: See above (default: as many as keep the engine's workers busy). A continued search keeps its value.
        on_trial, on_job: Called with (number, trials) before each trial, and with (number, jobs, job) before each run, of all
            runs of all trials.
        **options: Passed to `keras_ser.training.fit` (strategy, on_epoch).

    Raises:
        UserError: See `check_space` and `check_jobs`; no validation set; an unknown method; more seeds than the recipe's.
        RunError: The folder holds another search, another process searches in it, or every trial failed.
    """
    if method not in METHODS:
        raise UserError(f"`method` must be one of {', '.join(METHODS)}. Received: {method!r}.")
    if prune not in (None, "median"):
        raise UserError(f"`prune` must be None or 'median'. Received: {prune!r}.")
    if prune and is_baseline(recipe):
        raise UserError(f"--prune compares epochs, and {recipe.name} is a baseline without epochs: omit --prune.")
    if not 1 <= seeds <= len(recipe.seeds):
        raise UserError(
            f"`seeds` must be from 1 to the recipe's number of seeds, {len(recipe.seeds)}. Received: {seeds}."
        )
    check_search(recipe, space, confirm)
    narrow = recipe.replace(protocols=(judging(recipe),), seeds=recipe.seeds[:seeds])
    check_jobs(narrow, data, folds)
    todo = jobs(narrow, data, folds)
    blind = [f"{job.protocol.name}, fold {job.split.fold}" for job in todo if not job.split.validation]
    if blind:
        raise UserError(f"a search needs a validation set, and {blind[0]} has none. Choose another protocol or fold.")
    if method == "grid":
        trials = check_grid(space, trials)
    trials = trials or TRIALS
    folder, engine = Path(folder), engine or Sequential(data)
    with lock(folder, wait=False) as mine:
        if not mine:
            raise RunError(f"another process is searching in {folder}. Wait for it, or give another --out.")
        # the first run of a trial decides whether the others are trained
        ahead = min(ahead or (engine.jobs if prune else -(-engine.jobs // len(todo))), trials)
        ahead = _claim(folder, recipe, data, space, todo, method, prune, ahead)
        remove_parts(folder, older=0)
        found = Found(recipe, tuple(space), tuple(todo), method, data, ahead=ahead, prune=prune)
        found.load(folder)
        chief = Chief(found, narrow, folder, engine, on_job, options)
        try:
            chief.search(trials, on_trial)
            if confirm and found.ranked:
                chief.confirm(confirm)
        finally:
            found.save(folder)
            with contextlib.suppress(ValueError):  # a plot that fails must not hide another error
                found.draw(folder)
    if not found.ranked:
        raise RunError(f"every trial in {folder} failed: {found.trials[0].failed}")
    return found


def _claim(folder: Path, recipe: Recipe, data: Data, space: Space, todo: Sequence[Job], method, prune, ahead) -> int:
    """Claim the folder for this search, or continue the same one; return the number of concurrent trials."""
    about = {
        "recipe": recipe.hash,
        "data": data.digest_of(recipe),
        "space": [str(each) for each in space],
        "runs": [job.folder for job in todo],
        "method": method,
        **({"prune": prune} if prune else {}),
    }
    check_free(folder, OWNER, about, "search")
    if (folder / OWNER).exists():
        ahead = stored(folder / OWNER, _ahead, "Correct the number, or give another --out")
    write_json(folder / OWNER, {**about, "ahead": ahead})
    return ahead


def _ahead(data: Any) -> int:
    """Return the number of concurrent trials in search.json; 1 for files of earlier versions, which lack it."""
    ahead = as_object(data).get("ahead", 1)
    if type(ahead) is not int or ahead < 1:
        raise UserError(f"`ahead` must be a whole number of 1 or more. Received: {ahead!r}.")
    return ahead
