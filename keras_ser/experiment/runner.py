"""Train and test every job of an experiment that is not finished, then report."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ser.evaluation import write_predictions
from keras_ser.experiment.failures import attempt, failure, named
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
    # what the report would refuse after hours of training is refused now
    paper_by_task(paper_figures(recipe), recipe.tasks)
    check_jobs(recipe, data, folds)
    todo = jobs(recipe, data, folds)
    _claim(folder, recipe, data, read_options or {}, todo)
    todo = [job for job in todo if only is None or job.folder in only]
    for i, job in enumerate(todo):
        target = folder / job.folder
        if finished(folder, job):
            continue
        with lock(target, wait=False) as mine:
            if not mine:
                (on_taken or _left)(job)
                continue
            if finished(folder, job):
                continue
            if not again and failure(target):
                (on_failure or _warn)(job, failure(target))
                continue
            if on_job:
                on_job(i + 1, len(todo), job)
            first = not any(finished(folder, other) for other in todo)
            reason = attempt(
                lambda job=job, target=target: _run(recipe, data, job, target, options), job, target, first
            )
        if reason:
            (on_failure or _warn)(job, reason)


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
        # where the corpus lay is noted for `evaluate`, and is no part of what the experiment is
        options = dict(read_options)
        about |= {"root": str(Path(options.pop("root", data.corpus.root)).resolve()), "options": options}
        if data.noise_root:
            about["noise_root"] = str(Path(data.noise_root).resolve())
        # the owner first: a folder with anything in it and no owner is refused
        write_json(folder / EXPERIMENT, about)
        write_text(folder / RECIPE, recipe.to_json())
