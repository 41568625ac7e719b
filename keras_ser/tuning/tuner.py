"""`search`: choose a recipe's hyperparameters by KerasTuner, on validation sides only."""

import contextlib
import io
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from keras_ser.corpora import CorpusError
from keras_ser.errors import DivergenceError, UserError
from keras_ser.experiment.failures import reason_of_job
from keras_ser.experiment.planning import Job, check_jobs, jobs
from keras_ser.files import lock, remove_parts, write_json
from keras_ser.recipe import Recipe
from keras_ser.training import Data, RunError, fit
from keras_ser.training.loop import monitored, smoothed
from keras_ser.training.run import check_free
from keras_ser.tuning.search_report import Found, Trial
from keras_ser.tuning.space import Choice, Space, check_space, judging, whole_numbers

METHODS = {
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "random": keras_tuner.oracles.RandomSearchOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}
OWNER = "search.json"


def search(
    recipe: Recipe,
    data: Data,
    space: Space,
    folder: Path | str,
    *,
    trials: int = 20,
    folds: Sequence[int] = (0,),
    seeds: int = 1,
    method: str = "bayesian",
    on_trial: Callable[[int, int], None] | None = None,
    on_job: Callable[[int, int, Job], None] | None = None,
    **options: Any,
) -> Found:
    """Train a recipe with different hyperparameters and keep those with the best validation score.

    A trial's score is the monitored score (`Recipe.monitor`) of the kept epoch, mean over folds and seeds; no test side is
    used. The unchanged recipe is the first trial, so that the result cannot be worse. An interrupted search continues where it
    stopped, and a finished one can be extended by more trials: finished runs are not trained again, nor are settings that
    diverged or cannot be trained. A failed trial does not end the search: it has no score, and the report gives the reason. If
    the setting is not the reason (a damaged folder, too little memory), the next call repeats the trial.

    Args:
        recipe: The recipe to start from; `judging` says which of its protocols is used.
        data: Its decoded corpora.
        space: The keys to change, with their ranges or values.
        folder: Folder of the search: runs/, tuner/ (KerasTuner's files), trials.csv, tuning.md, tuning.png, recipe.json.
        trials: Number of trials besides the unchanged recipe; upper limit of the size of a grid.
        folds: Folds whose validation sides are scored.
        seeds: Number of the recipe's seeds that each trial is trained with.
        method: "bayesian" (a Gaussian process), "random" or "grid" (choices only): KerasTuner's oracles, on the first seed.
        on_trial, on_job: Called with (number, trials) before each trial, and with (number, jobs, job) before each run of it.
        **options: Passed to `keras_ser.training.fit` (strategy, on_epoch).

    Raises:
        UserError: See `check_space` and `check_jobs`; no validation side; an unknown method.
        RunError: The folder holds another search, another process searches in it, or every trial failed.
    """
    if method not in METHODS:
        raise UserError(f"`method` must be one of {', '.join(METHODS)}. Received: {method!r}.")
    check_space(recipe, space)
    narrow = recipe.replace(protocols=(judging(recipe),), seeds=recipe.seeds[:seeds])
    check_jobs(narrow, data, folds)
    todo = jobs(narrow, data, folds)
    blind = [f"{job.protocol.name}, fold {job.split.fold}" for job in todo if not job.split.validation]
    if blind:
        raise UserError(f"a search needs a validation side, and {blind[0]} has none. Name another protocol or fold.")
    if method == "grid":
        _check_grid(space, trials)
    folder = Path(folder)
    with lock(folder, wait=False) as mine:
        if not mine:
            raise RunError(f"another process searches in {folder}. Wait for it, or give another --out.")
        _claim(folder, recipe, data, space, todo, method)
        remove_parts(folder, older=0)
        found = Found(recipe, tuple(space), tuple(todo), method, data)
        found.load(folder)
        try:
            _search(found, narrow, folder, trials, on_trial, on_job, options)
        finally:
            found.save(folder)
            with contextlib.suppress(ValueError):  # a plot that fails must not hide another error
                found.draw(folder)
    if not found.ranked:
        raise RunError(f"every trial in {folder} failed: {found.trials[0].failed}")
    return found


def _search(found: Found, narrow: Recipe, folder: Path, trials: int, on_trial, on_job, options) -> None:
    failed = {}
    for trial in found.trials.values():
        if trial.failed and not trial.again:
            with contextlib.suppress(UserError):  # an invalid recipe is refused again below
                failed[narrow.change(trial.values).hash] = trial.failed
    known: dict[str, float] = {}

    def judge(number: int, values: Mapping[str, Any]) -> float | None:
        """A setting's score; None if the trial failed."""
        try:
            tried, refused = narrow.change(values), ""
        except UserError as error:  # values that are valid one by one, but not together
            tried, refused = narrow, str(error)
        if not refused and tried.hash in known:
            found.repeats += 1
            return known[tried.hash]
        if on_trial:
            on_trial(number, trials)
        trial = Trial(number, dict(values), failed=refused or failed.get(tried.hash, ""))
        if not trial.failed:
            try:
                trial = _trained(trial, tried)
            except Exception as error:
                reason = reason_of_job(error, folder)
                # a fault of ours, or an unchanged recipe that cannot be trained, ends the search
                if reason is None or (number == 0 and not isinstance(error, DivergenceError)):
                    raise
                own = isinstance(error, UserError) and not isinstance(error, RunError | CorpusError)
                trial = replace(trial, failed=reason, again=not own)
            finally:
                keras.backend.clear_session()  # graphs of past trials would accumulate in memory
        found.trials[trial.number] = trial
        found.save(folder)
        if trial.failed:
            return None
        known[tried.hash] = trial.score
        return trial.score

    def _trained(trial: Trial, tried: Recipe) -> Trial:
        scores, epochs = [], []
        for i, job in enumerate(found.jobs):
            if on_job:
                on_job(i + 1, len(found.jobs), job)
            run = fit(tried, found.data, job.split, folder / "runs" / tried.hash / job.folder, job.seed, **options)
            kept = run.about["best_epoch"]
            scores.append(smoothed(run.history[:kept], monitored(tried), tried.smoothing))
            epochs.append(kept)
        if not np.isfinite(scores).all():
            return replace(trial, failed=f"{monitored(tried)} is undefined.")
        return replace(trial, scores=tuple(scores), epochs=tuple(epochs))

    judge(0, {})
    # A continued search starts anew: with the same seed and scores the method proposes the same trials, whose finished runs are
    # read, not trained. KerasTuner does not restore its own state completely.
    oracle = _oracle(found.method, narrow, found.space, trials)
    shown = sys.stdout, sys.stderr
    try:
        # KerasTuner prints a table for each trial, and a traceback for each that diverges
        hidden = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        with hidden[0], hidden[1], warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of a Gaussian process on few trials
            tuner = _Tuner(judge, shown, oracle=oracle, directory=folder, project_name="tuner", overwrite=True)
            tuner.search(verbose=0)
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ from None


def _check_grid(space: Space, trials: int) -> None:
    ranges = [str(each) for each in space if not isinstance(each, Choice)]
    if ranges:
        raise UserError(f"a grid takes choices only (KEY=A,B[,..]). Received: {', '.join(ranges)}.")
    settings = math.prod(len(each.values) for each in space)
    if settings > trials:
        raise UserError(
            f"the grid has {settings} settings, more than {trials} trials: set --trials {settings} or remove values."
        )


class _Tuner(keras_tuner.Tuner):
    """`judge` scores the trials that KerasTuner proposes; its callbacks print to `shown`: (stdout, stderr)."""

    def __init__(self, judge: Callable[[int, Mapping[str, Any]], float | None], shown, **kwargs):
        self.judge, self.shown = judge, shown
        super().__init__(**kwargs)

    def run_trial(self, trial, **kwargs):
        try:
            with contextlib.redirect_stdout(self.shown[0]), contextlib.redirect_stderr(self.shown[1]):
                score = self.judge(int(trial.trial_id) + 1, trial.hyperparameters.values)
        except Exception as error:
            # any other exception would let KerasTuner continue with the next trial
            raise keras_tuner.errors.FatalError(str(error)) from error
        if score is None:
            raise keras_tuner.errors.FailedTrialError
        return {"score": score}


def _oracle(method: str, recipe: Recipe, space: Space, trials: int):
    numbers = keras_tuner.HyperParameters()
    for each in space:
        if isinstance(each, Choice):
            numbers.Choice(each.key, list(each.values))
            continue
        sampling = "log" if each.log else "linear"
        if whole_numbers(recipe, each.key):
            numbers.Int(each.key, int(each.low), int(each.high), sampling=sampling)
        else:
            numbers.Float(each.key, each.low, each.high, sampling=sampling)
    return METHODS[method](
        objective=keras_tuner.Objective("score", "max"),
        max_trials=trials,
        hyperparameters=numbers,
        seed=recipe.seeds[0] + 1,  # KerasTuner takes 0 for no seed
        # settings that diverge do not end the search
        max_consecutive_failed_trials=sys.maxsize,
    )


def _claim(folder: Path, recipe: Recipe, data: Data, space: Space, todo: Sequence[Job], method: str) -> None:
    """Claim the folder for this search, or continue the same one."""
    about = {
        "recipe": recipe.hash,
        "data": data.digest,
        "space": [str(each) for each in space],
        "runs": [job.folder for job in todo],
        "method": method,
    }
    check_free(folder, OWNER, about, "search")
    write_json(folder / OWNER, about)
