"""Train and test every job of an experiment that is not finished, then report."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_ser.evaluation import Report, write_predictions
from keras_ser.evaluation.report import paper_by_protocol
from keras_ser.experiment.jobs import Job, jobs, tested
from keras_ser.experiment.reporting import paper_figures, summarise
from keras_ser.recipe import Recipe
from keras_ser.training import Data, RunError, fit
from keras_ser.training.run import check_owner, write_atomically


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
    """Train and test every job that is not finished, then write the report.

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
        ValueError: a figure of the paper for a task or a metric that the report does not have.
    """
    folder = Path(folder)
    # what the report would refuse after hours of training is refused now
    paper_by_protocol(paper_figures(recipe), recipe.tasks, [protocol.name for protocol in recipe.protocols])
    _claim(folder, recipe, data, read_options or {})
    todo = jobs(recipe, data, folds)
    for i, job in enumerate(todo):
        target = folder / job.folder
        if (target / "predictions.csv").exists():
            # a protocol's settings are no part of the folder's name: figures of another split must not pass for this one's
            check_owner(target, recipe, job.split, job.seed, data.digest)
            continue
        with _lock(target) as mine:
            if not mine or (target / "predictions.csv").exists():
                continue
            if on_job:
                on_job(i + 1, len(todo), job)
            _run(recipe, data, job, target, options)
    return summarise(recipe, data, folder, folds)


def _run(recipe: Recipe, data: Data, job: Job, target: Path, options: Mapping[str, Any]) -> None:
    import keras

    run = fit(recipe, data, job.split, target, job.seed, **options)
    table = tested(run, data, job.protocol.name)
    write_atomically(target / "predictions.csv", lambda path: write_predictions(table, path))
    # graphs of finished runs would pile up in memory
    keras.backend.clear_session()


def _claim(folder: Path, recipe: Recipe, data: Data, read_options: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / "experiment.json"
    about = {
        "recipe": recipe.hash,
        "data": data.digest,
    }
    if owner.exists():
        found = json.loads(owner.read_text())
        other = [key for key in about if found.get(key) != about[key]]
        if other:
            raise RunError(
                f"{folder} holds another experiment (other {', '.join(other)}). Give another --out, or remove that folder."
            )
    elif any(not path.name.startswith(".") for path in folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no experiment. Give another --out.")
    write_atomically(folder / "recipe.json", lambda p: p.write_text(recipe.to_json()))
    # where the corpus lay is noted for `evaluate`, and is no part of what the experiment is
    options = dict(read_options)
    about |= {"root": str(Path(options.pop("root", data.corpus.root)).resolve()), "options": options}
    if data.noise_root:
        about["noise_root"] = str(Path(data.noise_root).resolve())
    write_atomically(owner, lambda p: p.write_text(json.dumps(about, indent=1)))


@contextmanager
def _lock(target: Path) -> Iterator[bool]:
    """True if this process now owns the run's folder; a lock left by a dead process of this machine is taken over."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(target.name + ".lock")
    try:
        with open(path, "x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        try:
            os.kill(int(path.read_text() or 0) or os.getpid(), 0)
            alive = path.read_text() != ""
        except (ProcessLookupError, ValueError):
            alive = False
        if alive:
            yield False
            return
        path.write_text(str(os.getpid()))
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
