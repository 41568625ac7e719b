import io

import pandas
import pytest

from keras_ser.corpora import CorpusError
from keras_ser.corpora.label_columns import NO_VALUE, numeric_columns, without_value


def rows_of(*fields):
    return [(line, {"c": field}) for line, field in enumerate(fields, 2)]


def test_no_value_is_what_pandas_reads_as_missing():
    for text in sorted(NO_VALUE - {"-"}) + ["none", "None ", "x", "0", "N\\A", "."]:
        missing = bool(pandas.read_csv(io.StringIO(f"c,d\n{text},1\n"), dtype=str)["c"].isna()[0])
        assert without_value(text) is missing, text


@pytest.mark.parametrize("fields", [("1", "2.5", "-1e-3"), ("1", "", "n/a", "NONE", "nan", "-"), ("", ""), ("+3",)])
def test_columns_of_numbers(fields):
    assert numeric_columns(rows_of(*fields), ["c"]) == {"c"}


@pytest.mark.parametrize(
    "fields",
    [
        ("3", "high"),
        ("high", "low"),
        ("1", "2", "3a"),
        ("01_02", "03_04"),
        ("2021.01.05", "2021.02.05"),
        ("1:30", "2:30"),
        ("he said 3,5", "yes", "50 %"),
        ("0.5", "yes", "no"),
        ("1", "1.000,5"),
    ],
)
def test_columns_of_words(fields):
    assert numeric_columns(rows_of(*fields), ["c"]) == set()


@pytest.mark.parametrize(
    "fields, culprits",
    [
        (("0.5", "n/a", "0,5"), ["'0,5' (line 4, column c)"]),
        (("0,5", "0,25", "1"), ["'0,5' (line 2, column c)", "'0,25' (line 3, column c)"]),
        (("1", "inf", "-Infinity"), ["'inf' (line 3, column c)", "'-Infinity' (line 4, column c)"]),
        (("1", "50 %"), ["'50 %' (line 3, column c)"]),
        (("1", "1 000"), ["'1 000' (line 3, column c)"]),
        (("1", "\u22125"), ["'\u22125' (line 3, column c)"]),
        (("0.5", "high"), ["'high' (line 3, column c)"]),
        (("0.5", "0.7", "?"), ["'?' (line 4, column c)"]),
    ],
)
def test_what_is_nearly_a_number_is_not_made_a_class(fields, culprits):
    with pytest.raises(CorpusError) as caught:
        numeric_columns(rows_of(*fields), ["c"])
    assert f"Received: {', '.join(culprits)}. Write a number with a decimal point" in str(caught.value)
