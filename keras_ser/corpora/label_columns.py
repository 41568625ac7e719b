"""What the fields of a label column are: numbers, words, or no value at all."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from keras_ser.corpora.corpus import CorpusError, listed
from keras_ser.corpora.spelling import quoted, shown

# Fields that say that there is no value: those that `pandas.read_csv` reads as missing, and a hyphen.
NO_VALUE = frozenset(
    ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL")
    + ("NaN", "None", "n/a", "nan", "null", "-")
)
_NO_NUMBER = frozenset(word.casefold() for word in NO_VALUE)  # among numbers, whatever the case
# How numbers are written elsewhere: 0,5, 50 %, 1 000, a typographic minus, infinity.
_DIGITS = r"(\d+(\.\d+)?|\d*,\d+|[1-9]\d{0,2}([ .,'\xa0\u202f]\d{3})+)"
_ALMOST = re.compile(rf"[-+\u2212\u2013]?\s*{_DIGITS}\s*%?|[-+]?(inf|infinity|\u221e)", re.IGNORECASE)


def number(text: str) -> float | None:
    """The finite number that a field spells, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None  # Python reads 01_02 as 102


def without_value(text: str, numeric: bool = False) -> bool:
    """Whether a field says that there is no value; in a column that holds numbers the case of "none" does not matter."""
    return not text or text in NO_VALUE or (numeric and text.casefold() in _NO_NUMBER)


def numeric_columns(rows: Sequence[tuple[int | str, Mapping[str, str]]], columns: Iterable[str]) -> set[str]:
    """The columns that hold numbers and nothing else, apart from fields without a value; `rows` are (line, column -> field).

    Integers beside words may be classes ("3", "high"): such a column is text.

    Raises:
        CorpusError: a column of numbers with something else in it: fractions beside words, or fields that are nearly
            numbers ("0,5", "50 %"), in a column at least half of which is numbers or nearly so.
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
