"""The predictions table: its columns, checks, reading and writing.

One row per (protocol, fold, seed, stream, id). Columns: protocol, fold (int), seed (int), stream, id, speaker, gender,
group (unit of the intervals; "" if none); per classification task T: `T` (true label, "" = missing), `T/prediction`,
`T/<label>` (a probability per label); per continuous task: `T` (float, NaN = missing), `T/prediction` (float).
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from keras_ser.checks import listed
from keras_ser.errors import UserError
from keras_ser.files import write_table
from keras_ser.tasks import Task

KEY = ["protocol", "fold", "seed", "stream", "id"]
TEXT = ["protocol", "stream", "id", "speaker", "gender", "group"]
_SUM_TOLERANCE = 1e-3
_ARGMAX_TOLERANCE = 1e-6


def probability_columns(task: Task) -> list[str]:
    """Return the columns of a classification task's probabilities, in the order of its labels."""
    return [f"{task.name}/{label}" for label in task.labels]


def labelled(frame: pd.DataFrame, task: Task) -> np.ndarray:
    """Return a mask (rows,) of rows with a true label of the task, under protocols that have predictions of it."""
    truth, told = frame[task.name], frame[f"{task.name}/prediction"]
    there = truth.notna() if task.continuous else truth != ""
    judged = (told.notna() & (told != "")).groupby(frame["protocol"]).transform("any")
    return (there & judged).to_numpy()


def check_predictions(predictions: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return a copy of the table with normalised types, after all checks that scores rely on.

    A row without a true label may lack predictions (all NaN); every other row must have them, except under a protocol without any
    prediction of the task.

    Args:
        predictions: the table; see the module for its columns.
        tasks: the tasks whose columns are checked.

    Raises:
        UserError: a column is missing, there are no rows, a row is duplicated, a true label is not among the task's,
            probabilities are not finite or do not sum to 1 (to 1e-3), a prediction is not the most probable label, or the truth,
            speaker, gender or group of a clip differs between seeds.
    """
    columns = [c for t in tasks for c in (t.name, f"{t.name}/prediction", *probability_columns(t))]
    missing = [c for c in dict.fromkeys([*KEY, *TEXT, *columns]) if c not in predictions.columns]
    if missing:
        raise UserError(
            f"a predictions table needs the columns {listed(missing)}. Received: {listed(predictions.columns)}."
        )
    if not len(predictions):
        raise UserError("a predictions table needs at least one row. Received: none.")
    frame = predictions.reset_index(drop=True).copy()
    for column in TEXT:
        frame[column] = _text(frame[column])
    for column in ("fold", "seed"):
        frame[column] = frame[column].astype(np.int64)
    doubled = frame.duplicated(KEY).to_numpy()
    if doubled.any():
        raise UserError(
            f"each protocol, fold, seed, stream and id must have a single row. Received twice: {rows(frame, doubled)}."
        )
    for task in tasks:
        _check_task(frame, task)
    facts = ["speaker", "gender", "group", *(t.name for t in tasks)]
    different = frame.groupby(["protocol", "fold", "stream", "id"])[facts].transform("nunique", dropna=False) > 1
    for column in facts:
        bad = different[column].to_numpy()
        if bad.any():
            raise UserError(
                f"{column!r} of a clip must be the same for every seed. Received different values at {rows(frame, bad)}."
            )
    return frame


def _check_task(frame: pd.DataFrame, task: Task) -> None:
    name, predicted = task.name, f"{task.name}/prediction"
    if task.continuous:
        frame[name] = frame[name].astype(np.float64)
        frame[predicted] = frame[predicted].astype(np.float64)
        _refuse(frame, labelled(frame, task) & ~np.isfinite(frame[predicted]), f"{predicted!r} must be finite")
        return
    if "prediction" in task.labels:
        raise UserError(
            f"a label of task {name!r} cannot be named 'prediction', the name of another column. Rename it."
        )
    frame[name], frame[predicted] = _text(frame[name]), _text(frame[predicted])
    columns = probability_columns(task)
    frame[columns] = frame[columns].astype(np.float64)
    probabilities = frame[columns].to_numpy()
    known = labelled(frame, task)
    strange = known & ~frame[name].isin(task.labels).to_numpy()
    _refuse(frame, strange, f"{name!r} must be one of {', '.join(task.labels)}, or '' where it is missing", name)
    scored = known | ~np.isnan(probabilities).all(axis=1)
    _refuse(frame, scored & ~np.isfinite(probabilities).all(axis=1), f"probabilities of {name!r} must be finite")
    _refuse(frame, scored & (probabilities < 0).any(axis=1), f"probabilities of {name!r} must not be negative")
    off = scored & (np.abs(probabilities.sum(axis=1) - 1) > _SUM_TOLERANCE)
    _refuse(frame, off, f"probabilities of {name!r} must sum to 1")
    index = pd.Index(task.labels).get_indexer(frame[predicted])
    _refuse(frame, scored & (index < 0), f"{predicted!r} must be one of {', '.join(task.labels)}", predicted)
    own = probabilities[np.arange(len(frame)), index]
    best = np.where(scored, probabilities.max(axis=1, initial=-np.inf), np.nan)
    _refuse(
        frame, scored & (own < best - _ARGMAX_TOLERANCE), f"{predicted!r} must be the most probable label", predicted
    )


def _refuse(frame: pd.DataFrame, bad: np.ndarray, expected: str, column: str | None = None) -> None:
    bad = np.asarray(bad, bool)
    if bad.any():
        values = f" (there: {listed(frame.loc[bad, column].unique())})" if column else ""
        raise UserError(f"{expected}. Received {bad.sum()} bad rows{values}: {rows(frame, bad)}.")


def rows(frame: pd.DataFrame, chosen: np.ndarray) -> str:
    """List the first ten of the chosen rows by protocol, fold, seed, stream and id."""
    found = frame.loc[chosen, [c for c in KEY if c in frame.columns]]
    return listed(["/".join(map(str, row)) for row in found.itertuples(index=False)])


def _text(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "").map(str).astype(object)


def write_predictions(predictions: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write the table as CSV with full precision."""
    write_table(Path(path), predictions)


def read_predictions(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a predictions.csv as written: the labels "NA" and "None" stay labels, "" stays missing.

    Args:
        path: path of the file.

    Raises:
        UserError: the file is not a predictions table, or is damaged.
    """
    try:
        return _read(path)
    except ValueError as error:  # includes pandas' errors for text that is not a table, and decoding errors
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            f"{path} is damaged, or not a table of predictions: {reason}. Test the run again, or give another file."
        ) from error


def _read(path: str | PathLike[str]) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8").astype(object)
    names = {c.removesuffix("/prediction") for c in frame.columns if c.endswith("/prediction")}
    for column in frame.columns:
        task = next(
            (n for n in sorted(names, key=len, reverse=True) if column == n or column.startswith(f"{n}/")), None
        )
        if column in ("fold", "seed"):
            frame[column] = frame[column].astype(np.int64)
        elif task is not None:
            classes = any(c.startswith(f"{task}/") and c != f"{task}/prediction" for c in frame.columns)
            if not classes or column not in (task, f"{task}/prediction"):
                frame[column] = frame[column].map(lambda text: float(text) if text else np.nan).astype(np.float64)
    return frame
