"""Tables that are scored once and kept beside the run they are of."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.experiment.stored import read_or_refuse
from keras_ser.files import lock, write_json, write_table

WORDS = ("id", "group", "truth", "prediction", "a", "b", "speaker_a", "speaker_b", "gender_a", "gender_b")
ROWS = "rows in the table"


def kept(
    folder: Path, name: str, asked: Mapping[str, Any], score: Callable[[], pd.DataFrame]
) -> tuple[pd.DataFrame, bool]:
    """The table NAME.csv of a run's folder, if it answers the same question; else it is scored, and kept.

    Args:
        folder: of the run.
        name: of the files: NAME.csv holds the table, NAME.json the question.
        asked: the question, as JSON: all that the table depends on.
        score: makes the table.

    Returns:
        The table, and whether it was there.

    Raises:
        RunError: the table that is there is damaged.
    """
    table, question = folder / f"{name}.csv", folder / f"{name}.json"
    asked = json.loads(json.dumps(asked))
    with lock(table):
        if question.exists() and table.exists():
            found = read_or_refuse(table, lambda: _read(table, question, asked), f"Remove {table} to score it again")
            if found is not None:
                return found, True
    # not locked: another process may ask another question meanwhile, and what is kept is the answer to the last one
    made = score()
    with lock(table):
        question.unlink(missing_ok=True)  # which says whose figures they are
        write_table(table, made)
        write_json(question, {**asked, ROWS: len(made)})
    return made, False


def _read(table: Path, question: Path, asked: Mapping[str, Any]) -> pd.DataFrame | None:
    """The table; None where it answers another question."""
    about = json.loads(question.read_text(encoding="utf-8"))
    rows = about.pop(ROWS, None)  # which files of earlier versions lack
    if about != asked:
        return None
    words = dict.fromkeys(WORDS, str)
    numbers = {name: [""] for name in pd.read_csv(table, nrows=0).columns if name not in words}
    found = pd.read_csv(table, dtype=words, keep_default_na=False, na_values=numbers, float_precision="round_trip")
    if rows is not None and len(found) != rows:
        raise ValueError(f"{len(found)} of {rows} rows are there")
    return found
