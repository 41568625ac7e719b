"""Decide whether the fields of a label column are numbers, words or missing values."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from keras_ser.checks import listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.corpora.spelling import quoted, shown

# Fields that stand for a missing value: those of `pandas.read_csv`, and a hyphen.
NO_VALUE = frozenset(
    ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL")
    + ("NaN", "None", "n/a", "nan", "null", "-")
)
_NO_NUMBER = frozenset(word.casefold() for word in NO_VALUE)  # in columns of numbers, in any case
# Other ways to write numbers: 0,5, 50 %, 1 000, a typographic minus, infinity.
_DIGITS = r"(\d+(\.\d+)?|\d*,\d+|[1-9]\d{0,2}([ .,'\xa0\u202f]\d{3})+)"
_ALMOST = re.compile(rf"[-+\u2212\u2013]?\s*{_DIGITS}\s*%?|[-+]?(inf|infinity|\u221e)", re.IGNORECASE)


def number(text: str) -> float | None:
    """Parse a field as a finite number; return None if it is not one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None  # Python reads 01_02 as 102


def without_value(text: str, numeric: bool = False) -> bool:
    """Return whether a field stands for a missing value; in a column of numbers (`numeric`), in any case ("none")."""
    return not text or text in NO_VALUE or (numeric and text.casefold() in _NO_NUMBER)


def numeric_columns(rows: Sequence[tuple[int | str, Mapping[str, str]]], columns: Iterable[str]) -> set[str]:
    """Return the columns that hold only numbers, apart from missing values; `rows` are (line, column -> field).

    A column of integers and words ("3", "high") is text, since the integers may be classes.

    Raises:
        CorpusError: a column in which at least half of the fields are numbers, or nearly so ("0,5", "50 %"), and which also holds
            fields that are nearly numbers, or fractions together with any other text.
    """
    found, wrong = set(), []
    for column in columns:
        fields = [(line, row[column]) for line, row in rows if not without_value(row[column], numeric=True)]
        odd = [(line, field) for line, field in fields if number(field) is None]
        if not odd:
            found.add(column)
            continue
        almost = [(line, field) for line, field in odd if _ALMOST.fullmatch(field)]
        numbers = [field for _, field in fields if number(field) is not None]
        if 2 * (len(numbers) + len(almost)) < len(fields):
            continue
        fractions = any(not float(field).is_integer() for field in numbers)
        wrong += [
            f"{quoted(field)} (line {line}, column {shown(column)})" for line, field in (odd if fractions else almost)
        ]
    if wrong:
        raise CorpusError(
            f"manifest: a column of numbers must hold nothing else. Received: {listed(wrong)}. Write a number with a decimal "
            "point, e.g. 0.5, leave the field empty where there is no value, or write all classes as words."
        )
    return found
