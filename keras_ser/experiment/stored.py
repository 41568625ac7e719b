"""Read the files of an experiment's folder; for a damaged file, raise an error that names it and the remedy."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from keras_ser.checks import listed
from keras_ser.errors import RunError, UserError
from keras_ser.evaluation import read_predictions
from keras_ser.files import lock, read_exact, refusal, write_json, write_table
from keras_ser.recipe import Recipe
from keras_ser.training.owner import OWNER
from keras_ser.training.run import Run, as_object, stored

if TYPE_CHECKING:
    from keras_ser.experiment.planning import Job
    from keras_ser.training import Data

EXPERIMENT, RECIPE, PREDICTIONS = "experiment.json", "recipe.json", "predictions.csv"
WORDS = ("id", "group", "truth", "prediction", "a", "b", "speaker_a", "speaker_b", "gender_a", "gender_b")
ROWS = "rows in the table"
PREDICTED_AGAIN = "Remove it and run the recipe again: the trained model predicts again"
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
LOG = logging.getLogger(__name__)
Value = TypeVar("Value")
Step = Callable[[int, int, str], None]  # number, number of steps, description


def run_folder(protocol: str, fold: int, seed: int) -> str:
    """Return the folder of a run within that of its experiment."""
    return f"{protocol}/fold-{fold:02d}-seed-{seed}"


def is_experiment_or_run(folder: Path) -> bool:
    return (folder / EXPERIMENT).exists() or (folder / OWNER).exists()


def stored_recipe(folder: Path) -> Recipe:
    """Return the recipe of an experiment, with all protocols and seeds requested so far."""
    again = "Remove it and run the recipe again, which rewrites it; finished runs are kept"
    return stored(folder / RECIPE, Recipe.from_dict, again)


def stored_facts(folder: Path) -> dict[str, Any]:
    """Return the contents of experiment.json: the locations of the corpus and the cache, and how the corpus was read."""

    def read(data: Any) -> dict[str, Any]:
        found = as_object(data)
        texts = [found[name] for name in ("root", "noise_root", "cache") if name in found]
        if not all(isinstance(text, str) for text in texts) or not isinstance(found.get("options", {}), dict):
            raise UserError("expected texts as root, noise_root and cache, and an object as options.")
        for by in as_object(found.get("auxiliary", {})).values():
            if not isinstance(as_object(by).get("root"), str):
                raise UserError("expected a text as the root of each auxiliary corpus.")
        return found

    return stored(
        folder / EXPERIMENT, read, f"Replace it by a copy, or give another --out; the runs in {folder} are kept"
    )


def finished(folder: Path, job: Job) -> bool:
    """Return whether a job of an experiment is trained and tested."""
    return (folder / job.folder / PREDICTIONS).exists()


def run_predictions(folder: Path, job: Job, data: Data) -> pd.DataFrame:
    """Return the predictions of a finished job.

    Raises:
        RunError: the file is damaged, or lacks clips of the test set.
    """
    path = folder / job.folder / PREDICTIONS

    def read() -> pd.DataFrame:
        table = read_predictions(path)
        lacking = sorted(set(job.split.test) - set(data.cache.dropped) - set(table["id"]))
        if lacking:
            raise ValueError(f"{len(lacking)} of {len(job.split.test)} test clips are missing, the first {lacking[0]}")
        return table

    return read_or_refuse(path, read, PREDICTED_AGAIN)


def stored_predictions(path: Path, way_out: str = PREDICTED_AGAIN) -> pd.DataFrame:
    """Return the predictions in a file; raise RunError, which names the way out, if it is damaged."""
    return read_or_refuse(path, lambda: read_predictions(path), way_out)


def finished_predictions(folder: Path, runs: Iterable[Run]) -> pd.DataFrame:
    """Return the concatenated test predictions of an experiment's finished runs."""
    paths = [run.folder / PREDICTIONS for run in runs]
    tables = [stored_predictions(path) for path in paths if path.exists()]
    if not tables:
        raise RunError(f"{folder} holds no predictions yet. Run the recipe again, which makes them.")
    return pd.concat(tables, ignore_index=True)


def read_or_refuse(path: Path, read: Callable[[], Value], way_out: str) -> Value:
    """Return `read()`, converting any error caused by a damaged file to a RunError."""
    try:
        return read()
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{path} is damaged: {reason.rstrip('.')}. {way_out}.") from error


def kept(
    folder: Path, name: str, asked: Mapping[str, Any], score: Callable[[], pd.DataFrame], store: bool = True
) -> pd.DataFrame:
    """Return the table NAME.csv of a run's folder if NAME.json matches the question `asked`; otherwise compute and store it.

    The question, as JSON, contains everything that the table depends on. Without `store`, nothing is written to the folder.

    Raises:
        RunError: the stored table is damaged.
    """
    table, question = folder / f"{name}.csv", folder / f"{name}.json"
    asked = json.loads(json.dumps(asked))
    with lock(table) if store else contextlib.nullcontext():
        if question.exists() and table.exists():
            found = read_or_refuse(table, lambda: _answer(table, question, asked), f"Remove {table} to score it again")
            if found is not None:
                return found
    # not locked: another process may ask another question meanwhile; the answer to the last one is kept
    made = score()
    if not store:
        return made
    with lock(table):
        question.unlink(missing_ok=True)  # which says whose figures they are
        write_table(table, made)
        write_json(question, {**asked, ROWS: len(made)})
    return made


def _answer(table: Path, question: Path, asked: Mapping[str, Any]) -> pd.DataFrame | None:
    """Return the table, or None if it answers another question."""
    about = json.loads(question.read_text(encoding="utf-8"))
    rows = about.pop(ROWS, None)  # missing in files of earlier versions
    if about != asked:
        return None
    words = dict.fromkeys(WORDS, str)
    numbers = {name: [""] for name in pd.read_csv(table, nrows=0).columns if name not in words}
    found = read_exact(table, dtype=words, keep_default_na=False, na_values=numbers)
    if rows is not None and len(found) != rows:
        raise ValueError(f"{len(found)} of {rows} rows are there")
    return found


def kept_tables(
    name: str,
    parts: Iterable[tuple[Run, Mapping[str, Any], Mapping[str, Any], Callable[[Callable[[str], None]], pd.DataFrame]]],
    steps: int = 1,
    on_step: Step | None = None,
) -> pd.DataFrame:
    """Return the concatenated tables of several runs, each `kept` in its run's folder if that is writable.

    Args:
        name: see `kept`.
        parts: (run, columns to put before the table's own, see `kept`, a function: (called before each step with what it is) ->
            the run's table).
        steps: number of steps of a run.
        on_step: called with (number, number of steps, description) before each step; steps of stored tables are skipped.

    Returns:
        The columns of `parts`, fold, seed, and then the tables' own.
    """
    parts, tables = list(parts), []
    closed = {run.folder: why for run, *_ in parts if (why := refusal(run.folder))}
    if closed:
        LOG.warning("%s.csv is not kept in %s: %s.", name, listed(closed), next(iter(closed.values())))
    for place, (run, columns, asked, score) in enumerate(parts):
        number = iter(range(1 + place * steps, 1 + (place + 1) * steps))
        who = ", ".join([*map(str, columns.values()), f"fold {run.split.fold}", f"seed {run.seed}"])

        def step(what: str, number=number, who=who) -> None:
            if on_step:
                on_step(next(number), len(parts) * steps, f"{who}: {what}")

        table = kept(run.folder, name, asked, lambda score=score, step=step: score(step), run.folder not in closed)
        columns = {**columns, "fold": run.split.fold, "seed": run.seed}
        tables.append(table.assign(**columns)[[*columns, *(column for column in table if column not in columns)]])
    return pd.concat(tables, ignore_index=True)
