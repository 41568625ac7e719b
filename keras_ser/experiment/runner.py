"""Train and test every job of an experiment that is not finished, then report."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: two processes with one --out are not kept apart there
    fcntl = None

from keras_ser.evaluation import Report, write_predictions
from keras_ser.evaluation.report import paper_by_protocol
from keras_ser.experiment.jobs import Job, check_jobs, jobs, tested
from keras_ser.experiment.reporting import paper_figures, summarise
from keras_ser.files import write_json, write_text
from keras_ser.recipe import Recipe
from keras_ser.training import Data, fit
from keras_ser.training.run import check_free, check_owner, stored

LOG = logging.getLogger(__name__)
OWNER = "experiment.json"


def run_experiment(
    recipe: Recipe,
    data: Data,
    folder: Path | str,
    *,
    folds: Sequence[int] | None = None,
    on_job: Callable[[int, int, Job], None] | None = None,
    read_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Report:
    """Train and test every job that is not finished, then write the report of all that the folder holds.

    An experiment can go on with more protocols, folds and seeds: those that are finished stay in its report.

    Args:
        recipe: what to run.
        data: its corpora, decoded.
        folder: the experiment's folder.
        folds: see `jobs`.
        on_job: called with (number, jobs in all, job) before each job.
        read_options: what `read_corpus` was given beside the recipe's own options ("root", "metadata"), noted for `evaluate`.
        **options: of `keras_ser.training.fit` (strategy, on_epoch).

    Raises:
        RunError: the folder holds an experiment of another recipe or another corpus, or a run of another split.
        LeakageError, ValueError: see `check_jobs`; a figure of the paper for a task or a metric that the report does not have.
    """
    folder = Path(folder)
    # what the report would refuse after hours of training is refused now
    paper_by_protocol(paper_figures(recipe), recipe.tasks, [protocol.name for protocol in recipe.protocols])
    check_jobs(recipe, data, folds)
    todo = jobs(recipe, data, folds)
    whole = _claim(folder, recipe, data, read_options or {})
    for i, job in enumerate(todo):
        target = folder / job.folder
        if (target / "predictions.csv").exists():
            continue
        with lock(target) as mine:
            if not mine or (target / "predictions.csv").exists():
                continue
            if on_job:
                on_job(i + 1, len(todo), job)
            _run(recipe, data, job, target, options)
    return summarise(whole, data, folder)


def _run(recipe: Recipe, data: Data, job: Job, target: Path, options: Mapping[str, Any]) -> None:
    import keras

    run = fit(recipe, data, job.split, target, job.seed, **options)
    table = tested(run, data, job.protocol.name)
    write_predictions(table, target / "predictions.csv")
    # graphs of finished runs would pile up in memory
    keras.backend.clear_session()


def _claim(folder: Path, recipe: Recipe, data: Data, read_options: Mapping[str, Any]) -> Recipe:
    """Take the folder; the recipe with the protocols and seeds of all that it holds, those that keep nothing apart first."""
    about = {"recipe": recipe.hash, "data": data.digest}
    check_free(folder, OWNER, about, "experiment", recipe)
    if (folder / "recipe.json").exists():
        before = stored(folder / "recipe.json", Recipe.from_dict)
        protocols = {protocol.name: protocol for protocol in (*before.protocols, *recipe.protocols)}
        recipe = recipe.replace(
            protocols=tuple(sorted(protocols.values(), key=lambda protocol: bool(protocol.columns_apart))),
            seeds=tuple(sorted({*before.seeds, *recipe.seeds})),
        )
    # a protocol's settings are no part of the folder's name: figures of another split must not pass for this one's
    for job in jobs(recipe, data):
        if (folder / job.folder / "predictions.csv").exists():
            check_owner(folder / job.folder, recipe, job.split, job.seed, data.digest)
    write_text(folder / "recipe.json", recipe.to_json())
    # where the corpus lay is noted for `evaluate`, and is no part of what the experiment is
    options = dict(read_options)
    about |= {"root": str(Path(options.pop("root", data.corpus.root)).resolve()), "options": options}
    if data.noise_root:
        about["noise_root"] = str(Path(data.noise_root).resolve())
    write_json(folder / OWNER, about)
    return recipe


@contextmanager
def lock(target: Path) -> Iterator[bool]:
    """True if this process now owns the run's folder; the lock ends with its process, whatever ends that."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(target.name + ".lock")
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(open(path, "a+"))
            try:
                if fcntl:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                LOG.warning("%s: process %s is at work on it; it is left to that one.", target, file.read() or "?")
                yield False
                return
            # the owner before may have removed the file that was opened here
            if path.exists() and os.path.sameopenfile(file.fileno(), stack.enter_context(open(path)).fileno()):
                break
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
