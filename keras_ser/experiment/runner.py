"""Train and test every job of an experiment that is not finished, then report."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

from keras_ser.engines import Engine, WorkerDied, must_see
from keras_ser.evaluation import write_predictions
from keras_ser.experiment.failures import attempt, failure, named, note
from keras_ser.experiment.planning import Job, check_jobs, jobs, tested
from keras_ser.experiment.reporting import paper_figures, summarise
from keras_ser.experiment.stored import EXPERIMENT, PREDICTIONS, RECIPE, finished, run_predictions, stored_recipe
from keras_ser.files import lock, remove_parts, write_json, write_text
from keras_ser.recipe import Recipe
from keras_ser.reports import Report
from keras_ser.reports.scores import paper_by_task
from keras_ser.training import Data, fit
from keras_ser.training.run import OWNER, check_free, check_owner

LOG = logging.getLogger(__name__)
TAKEN = "another process is training it"
LAST_BREATH = 10.0  # seconds that a worker whose death is reported may still hold its lock


def run_experiment(recipe: Recipe, data: Data, folder: Path | str, **options: Any) -> Report:
    """Train and test every job that is not finished, then write the report of all that the folder holds.

    Args:
        recipe, data, folder, **options: see `train_experiment`.

    Raises:
        RunError: no job has finished (`AllFailedError` where one failed).
        See also `train_experiment`.
    """
    train_experiment(recipe, data, folder, **options)
    # another process may have asked for more since: the last report is of all
    with lock(Path(folder) / "report"):
        return summarise(stored_recipe(Path(folder)), data, Path(folder))


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
    """Train and test every job that is not finished and that no other process is training.

    An experiment can go on with more protocols, folds and seeds: those that are finished stay in its report. A job that fails does
    not end the experiment: the report says which failed and why, and the next call tries them again. What ends it is a full disk, a
    fault of this package, and a mistake in the settings that the first job shows. Several processes may work on one experiment,
    each with protocols, folds and seeds of its own.

    Args:
        recipe: what to run.
        data: its corpora, decoded.
        folder: the experiment's folder.
        folds: see `jobs`.
        only: folders of the jobs to train (default: all).
        on_job: called with (number, jobs in all, job) before each job.
        on_failure: called with (job, reason) after a job that failed (default: a warning in the log).
        on_taken: called with a job that another process is training (default: a warning in the log).
        again: Try jobs again that failed before; otherwise they are reported as they failed.
        read_options: what `read_corpus` was given beside the recipe's own options ("root", "metadata"), noted for `evaluate`.
        **options: of `keras_ser.training.fit` (strategy, on_epoch).

    Raises:
        RunError: the folder holds an experiment of another recipe or another corpus, a run of another split, or a damaged file.
        DiskError: the disk is full, or the folder may not be written.
        LeakageError, ValueError: see `check_jobs`; a figure of the paper for a task or a metric that the report does not have.
    """
    folder = Path(folder)
    todo = begin(recipe, data, folder, folds, read_options)
    todo = [job for job in todo if only is None or job.folder in only]
    for i, job in enumerate(todo):

        def start(job: Job, number: int = i + 1) -> None:
            if on_job:
                on_job(number, len(todo), job)

        first = not any(finished(folder, other) for other in todo)
        outcome = train_job(data, recipe, job, folder, first, again, on_start=start, **options)
        if outcome == TAKEN:
            (on_taken or _left)(job)
        elif outcome:
            (on_failure or _warn)(job, outcome)


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
    """Train and test every job of several experiments that is not finished, by the workers of an engine.

    What failed before is tried again once; see `train_experiment`. What fails is noted in the jobs' folders. A job that another
    process is training is left to it.

    Args:
        engine: its workers share `data`.
        recipes, folders: name -> recipe, and the experiment's folder.
        on_done: called with (number, jobs in all, job) after each job.
        data, folds, read_options, **options: see `train_experiment`.
    """
    every = [
        (recipe, job, Path(folders[name]))
        for name, recipe in recipes.items()
        for job in begin(recipe, data, Path(folders[name]), folds, read_options)
    ]
    todo = [each for each in every if not finished(each[2], each[1])]
    asked: dict[Future, tuple[Job, Path]] = {}
    for place, (recipe, job, folder) in enumerate(todo):
        # a mistake in the settings shows in the first
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
    # the worker that died before may take a while to be gone
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
        wait: seconds for another process to let go of it.
        on_start: called with the job before it is trained.

    Returns:
        Why it failed, `TAKEN` where another process is training it, else "".
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
) -> list[Job]:
    """Check an experiment, take its folder, and list its jobs; see `train_experiment`."""
    # what the report would refuse after hours of training is refused now
    paper_by_task(paper_figures(recipe), recipe.tasks)
    check_jobs(recipe, data, folds)
    todo = jobs(recipe, data, folds)
    _claim(folder, recipe, data, read_options or {}, todo)
    return todo


def _left(job: Job) -> None:
    LOG.warning("%s: another process is training %s, which is left to it.", job.recipe, named(job))


def _warn(job: Job, reason: str) -> None:
    LOG.warning("%s: %s failed: %s", job.recipe, named(job), reason)


def _run(recipe: Recipe, data: Data, job: Job, target: Path, options: Mapping[str, Any]) -> None:
    import keras

    try:
        run = fit(recipe, data, job.split, target, job.seed, **options)
        write_predictions(tested(run, data, job.protocol.name), target / PREDICTIONS)
    finally:
        # graphs of past runs would pile up in memory
        keras.backend.clear_session()


def _claim(folder: Path, recipe: Recipe, data: Data, read_options: Mapping[str, Any], todo: Sequence[Job]) -> None:
    """Take the folder; its recipe.json gets the protocols and seeds of all that it holds, those that keep nothing apart first."""
    about = {"recipe": recipe.hash, "data": data.digest}
    with lock(folder):
        check_free(folder, EXPERIMENT, about, "experiment", recipe)
        remove_parts(folder)
        # a protocol's settings are no part of the folder's name: figures of another split must not pass for this one's
        for job in todo:
            if (folder / job.folder / OWNER).exists():
                check_owner(
                    folder / job.folder, recipe.for_split(data.readable, job.split), job.split, job.seed, data.digest
                )
        if (folder / RECIPE).exists():
            before = stored_recipe(folder)
            protocols = {protocol.name: protocol for protocol in (*before.protocols, *recipe.protocols)}
            recipe = recipe.replace(
                protocols=tuple(sorted(protocols.values(), key=lambda protocol: bool(protocol.columns_apart))),
                seeds=tuple(sorted({*before.seeds, *recipe.seeds})),
            )
        for job in jobs(recipe, data):
            if finished(folder, job):
                check_owner(
                    folder / job.folder, recipe.for_split(data.readable, job.split), job.split, job.seed, data.digest
                )
                # what the report would refuse after hours of training is refused now
                run_predictions(folder, job, data)
        # where the corpus and its decoded waveforms lay is noted for `evaluate`, and is no part of what the experiment is
        options = dict(read_options)
        about |= {"root": str(Path(options.pop("root", data.corpus.root)).resolve()), "options": options}
        about["cache"] = str(data.cache.path.parent.resolve())
        if data.noise_root:
            about["noise_root"] = str(Path(data.noise_root).resolve())
        # the owner first: a folder with anything in it and no owner is refused
        write_json(folder / EXPERIMENT, about)
        write_text(folder / RECIPE, recipe.to_json())
