"""Train and test all unfinished jobs of an experiment, then report."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

from keras_ser.engines import Engine, WorkerDied, must_see
from keras_ser.evaluation import write_predictions
from keras_ser.experiment.changes import check_claim
from keras_ser.experiment.failures import TakenError, attempt, failure, named, note
from keras_ser.experiment.planning import Job, by_validity, check_jobs, jobs, tested
from keras_ser.experiment.reporting import paper_figures, summarise
from keras_ser.experiment.stored import (
    EXPERIMENT,
    PREDICTIONS,
    RECIPE,
    finished,
    run_predictions,
    stored_recipe,
)
from keras_ser.files import lock, remove_parts, write_json, write_text
from keras_ser.recipe import Recipe
from keras_ser.reports import Report
from keras_ser.reports.scores import paper_by_task
from keras_ser.training import Data, fit
from keras_ser.training.owner import OWNER, check_owner
from keras_ser.training.run import check_whole

LOG = logging.getLogger(__name__)
TAKEN = "another process is training it"
LAST_BREATH = 10.0  # seconds for which a dead worker may still hold its lock


def run_experiment(recipe: Recipe, data: Data, folder: Path | str, **options: Any) -> Report:
    """Train and test every unfinished job, then write the report of all jobs in the folder.

    Args:
        recipe, data, folder, **options: see `train_experiment`.

    Raises:
        RunError: no job has finished (`AllFailedError` if a job failed, `TakenError` if other processes are training).
        See also `train_experiment`.
    """
    folder, taken = Path(folder), []
    on_taken = options.pop("on_taken", None) or warn_of_taken

    def left(job: Job) -> None:
        taken.append(job)
        on_taken(job)

    train_experiment(recipe, data, folder, on_taken=left, **options)
    # another process may have requested more jobs since: the last report covers all
    with lock(folder / "report"):
        asked = stored_recipe(folder)
        if taken and not any(finished(folder, job) or failure(folder / job.folder) for job in jobs(asked, data)):
            raise TakenError(f"{job.recipe}/{job.folder}" for job in taken)
        return summarise(asked, data, folder)


def train_experiment(
    recipe: Recipe,
    data: Data,
    folder: Path | str,
    *,
    folds: Sequence[int] | None = None,
    only: Collection[str] | None = None,
    on_job: Callable[[int, int, Job], None] | None = None,
    on_failure: Callable[[Job, str], None] | None = None,
    on_taken: Callable[[Job], None] | None = None,
    again: bool = True,
    read_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Train and test every unfinished job that no other process is training.

    An experiment can be extended by protocols, folds and seeds; finished ones stay in its report. A failed job does not end the
    experiment: the report says which jobs failed and why, and the next call tries them again. The experiment ends on a full disk,
    a bug of this package, or a mistake in the settings found in the first job. Several processes may work on one experiment, each
    with its own protocols, folds and seeds.

    Args:
        recipe: the recipe to run.
        data: its corpora, decoded.
        folder: the experiment's folder.
        folds: see `jobs`.
        only: folders of the jobs to train (default: all).
        on_job: called with (number, number of jobs, job) before each job.
        on_failure: called with (job, reason) after a failed job (default: log a warning).
        on_taken: called with a job that another process is training (default: log a warning).
        again: whether to retry jobs that failed before; otherwise they are reported as failed.
        read_options: arguments of `read_corpus` besides the recipe's own options ("root", "metadata"), stored for `evaluate`.
        **options: passed to `train_job` (wait) and on to `keras_ser.training.fit` (strategy, on_epoch).

    Raises:
        RunError: the folder holds an experiment of another recipe or another corpus, a run of another split, or a damaged file.
        DiskError: the disk is full, or the folder is not writable.
        LeakageError, ValueError: see `check_jobs`; a paper's score is for a task or metric that the report lacks.
    """
    folder = Path(folder)
    todo = begin(recipe, data, folder, folds, read_options, options.get("initial"))
    todo = [job for job in todo if only is None or job.folder in only]
    for i, job in enumerate(todo):

        def start(job: Job, number: int = i + 1) -> None:
            if on_job:
                on_job(number, len(todo), job)

        first = not any(finished(folder, other) for other in todo)
        outcome = train_job(data, recipe, job, folder, first, again, on_start=start, **options)
        if outcome == TAKEN:
            (on_taken or warn_of_taken)(job)
        elif outcome:
            (on_failure or warn_of_failure)(job, outcome)


def train_experiments(
    engine: Engine,
    recipes: Mapping[str, Recipe],
    data: Data,
    folders: Mapping[str, Path],
    *,
    folds: Sequence[int] | None = None,
    read_options: Mapping[str, Any] | None = None,
    on_done: Callable[[int, int, Job], None] | None = None,
    **options: Any,
) -> None:
    """Train and test every unfinished job of several experiments by the workers of an engine.

    Jobs that failed before are retried once; see `train_experiment`. Failures are recorded in the jobs' folders. Jobs that another
    process is training are skipped.

    Args:
        engine: the engine, whose workers share `data`.
        recipes, folders: name -> recipe, and name -> the experiment's folder.
        on_done: called with (number, number of jobs, job) after each job.
        data, folds, read_options, **options: see `train_experiment`.
    """
    every = [
        (recipe, job, Path(folders[name]))
        for name, recipe in recipes.items()
        for job in begin(recipe, data, Path(folders[name]), folds, read_options, options.get("initial"))
    ]
    todo = [each for each in every if not finished(each[2], each[1])]
    asked: dict[Future, tuple[Job, Path]] = {}
    for place, (recipe, job, folder) in enumerate(todo):
        # a mistake in the settings is found in the first job
        first = len(todo) == len(every) and place < engine.jobs
        asked[engine.submit(_train_by_worker, recipe, job, folder, first, options)] = job, folder
    for number, future in enumerate(as_completed(asked)):
        job, folder = asked[future]
        try:
            future.result()
        except WorkerDied as error:
            note(job, folder / job.folder, str(error))
        if on_done:
            on_done(len(every) - len(todo) + number + 1, len(every), job)


def _train_by_worker(
    data: Data, recipe: Recipe, job: Job, folder: Path, first: bool, options: Mapping[str, Any]
) -> str:
    must_see(folder / RECIPE)
    # a dead worker may take a while to release its lock
    return train_job(data, recipe, job, folder, first, wait=LAST_BREATH, **options)


def train_job(
    data: Data,
    recipe: Recipe,
    job: Job,
    folder: Path,
    first: bool = False,
    again: bool = True,
    wait: float = 0,
    on_start: Callable[[Job], None] | None = None,
    **options: Any,
) -> str:
    """Train and test one job, unless it is finished; idempotent.

    Args:
        data, recipe, job, folder, again, **options: see `train_experiment`.
        first: see `attempt`.
        wait: seconds to wait for another process to release the job.
        on_start: called with the job before it is trained.

    Returns:
        Why it failed, `TAKEN` if another process is training it, else "".
    """
    target = folder / job.folder
    if finished(folder, job):
        return ""
    with lock(target, wait=wait) as mine:
        if not mine:
            return TAKEN
        if finished(folder, job):
            return ""
        if not again and failure(target):
            return failure(target)
        if on_start:
            on_start(job)
        return attempt(lambda: _run(recipe, data, job, target, options), job, target, first)


def begin(
    recipe: Recipe,
    data: Data,
    folder: Path,
    folds: Sequence[int] | None = None,
    read_options: Mapping[str, Any] | None = None,
    initial: Path | str | None = None,
) -> list[Job]:
    """Check an experiment, claim its folder, and list its jobs; see `train_experiment`."""
    # what the report would refuse after hours of training is refused now
    paper_by_task(paper_figures(recipe), recipe.tasks)
    check_jobs(recipe, data, folds, initial if recipe.initial else None, folder)
    todo = jobs(recipe, data, folds)
    _claim(folder, recipe, data, read_options or {}, todo)
    return todo


def warn_of_taken(job: Job) -> None:
    LOG.warning("%s: another process is training %s, which is left to it.", job.recipe, named(job))


def warn_of_failure(job: Job, reason: str) -> None:
    LOG.warning("%s: %s failed: %s", job.recipe, named(job), reason)


def _run(recipe: Recipe, data: Data, job: Job, target: Path, options: Mapping[str, Any]) -> None:
    import keras

    try:
        run = fit(recipe, data, job.split, target, job.seed, **options)
        write_predictions(tested(run, data, job.protocol.name), target / PREDICTIONS)
    finally:
        # graphs of past runs would accumulate in memory
        keras.backend.clear_session()


def _claim(folder: Path, recipe: Recipe, data: Data, read_options: Mapping[str, Any], todo: Sequence[Job]) -> None:
    """Claim the folder; write to recipe.json the protocols and seeds of all its runs, the most valid protocol last."""
    with lock(folder):
        about = check_claim(folder, recipe, data)
        remove_parts(folder)
        # protocol settings are not part of the folder's name: runs of another split must not be mistaken for this one's
        for job in todo:
            if (folder / job.folder / OWNER).exists():
                _check_job(folder, recipe, data, job)
        before = [stored_recipe(folder)] if (folder / RECIPE).exists() else []
        protocols = {protocol.name: protocol for each in (*before, recipe) for protocol in each.protocols}
        recipe = recipe.replace(
            protocols=by_validity(protocols.values()),
            seeds=tuple(sorted({seed for each in (*before, recipe) for seed in each.seeds})),
        )
        for job in jobs(recipe, data):
            if finished(folder, job):
                _check_job(folder, recipe, data, job)
                # what the report would refuse after hours of training is refused now
                run_predictions(folder, job, data)
                check_whole(folder / job.folder)
        # the locations of the corpus and the cache are stored for `evaluate` only; they do not define the experiment
        options = dict(read_options)
        about |= {"root": str(Path(options.pop("root", data.corpus.root)).resolve()), "options": options}
        about["cache"] = str(data.cache.path.parent.resolve())
        about["corpus"] = Data(data.corpus, data.cache).digest
        if data.auxiliary:
            about["auxiliary"] = {
                name: corpus.read_by for name, (corpus, _) in data.auxiliary.items() if corpus.read_by
            }
        if data.noise_root:
            about["noise_root"] = str(Path(data.noise_root).resolve())
        # write the owner first: a non-empty folder without an owner is refused
        write_json(folder / EXPERIMENT, about)
        write_text(folder / RECIPE, recipe.to_json())


def _check_job(folder: Path, recipe: Recipe, data: Data, job: Job) -> None:
    recipe = recipe.for_split(data.readable, job.split)
    check_owner(folder / job.folder, recipe, job.split, job.seed, data.digest_of(recipe))
