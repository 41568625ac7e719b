"""Tables that are scored once and kept beside the run they are of."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.files import write_json, write_table

WORDS = ("id", "group", "truth", "prediction", "a", "b", "speaker_a", "speaker_b", "gender_a", "gender_b")


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
    """
    table, question = folder / f"{name}.csv", folder / f"{name}.json"
    if question.exists() and table.exists() and json.loads(question.read_text()) == json.loads(json.dumps(asked)):
        words = dict.fromkeys(WORDS, str)
        numbers = {name: [""] for name in pd.read_csv(table, nrows=0).columns if name not in words}
        return pd.read_csv(table, dtype=words, keep_default_na=False, na_values=numbers), True
    made = score()
    question.unlink(missing_ok=True)  # which says whose figures they are
    write_table(table, made)
    write_json(question, asked)
    return made, False
