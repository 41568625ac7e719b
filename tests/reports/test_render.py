"""A table as terminal text and as Markdown; plain values for JSON."""

import numpy as np
import pytest

from keras_ser.evaluation.tables import Cell, Form, Table
from keras_ser.reports import Report
from keras_ser.reports.latex import escaped, to_latex
from keras_ser.reports.render import markdown, strict_json, terminal

TABLE = Table(
    "",
    ["system", "UAR, %", "dB"],
    [
        ["a|b", Cell(0.6123, 0.5, 0.7, std=0.0081, paper=0.445), Cell(1.5, form=Form(1, 2, "+"))],
        ["c", Cell(float("nan"), paper=0.9013), Cell(-2.0, note="(3)", form=Form(1, 2))],
    ],
)


def test_cells_are_value_spread_and_interval_beside_the_papers_figure():
    assert terminal(TABLE) == [
        "system  UAR, % (paper)                   UAR, %         dB",
        "a|b               44.5  61.2 ± 0.8 [50.0, 70.0]      +1.50",
        "c                90.13                        –  -2.00 (3)",
    ]
    assert markdown(TABLE).splitlines()[1:3] == [
        "| --- | ---: | ---: | ---: |",
        "| a\\|b | 44.5 | 61.2 ± 0.8 [50.0, 70.0] | +1.50 |",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Form(1, 2), [1, 2, ""]),  # a tuple
        (Cell(float("nan"), 0.25), {"value": None, "low": 0.25, "high": None, "clips": 0}),
        ({1: np.float32(np.inf), "b": np.int64(4)}, {"1": None, "b": 4}),
        ([np.array([[1.0, np.nan]]), True, range(2)], [[[1.0, None]], True, [0, 1]]),
    ],
)
def test_plain_values_are_strict_json(value, expected):
    found = strict_json(value)
    assert ({k: found[k] for k in expected} if isinstance(expected, dict) else found) == expected


def test_latex_has_every_table_once_and_escapes_what_latex_reads():
    made = Report("5 % of_all", [TABLE], ["## Noise & speech", "Per speaker:", TABLE, Table("Own", ["a"], [["x"]])])
    text = to_latex(made)
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 2
    assert "\\caption{Noise \\& speech: Per speaker}" in text and "\\caption{Own}" in text
    (first, *_) = [line for line in text.splitlines() if "textbar" in line]
    assert first == r"a\textbar{}b & 44.5 & 61.2 $\pm$ 0.8 [50.0, 70.0] & +1.50 \\"
    rows = [["[0, 1]", "x"], ["*", "y"], ["z", "[a]"]]
    starred = to_latex(Report("t", [], [Table("Own", ["[a]", "b"], rows)]))
    assert all(f"\n{line}" in starred for line in ("{}[a] & b", "{}[0, 1] & x", "{}* & y", "z & [a]"))
    assert r"c & 90.13 & -- & $-$2.00 (3) \\" in text and text.startswith("% 5 % of_all")
    assert (
        escaped(r"a_b\{c}~^<>")
        == r"a\_b\textbackslash{}\{c\}\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}"
    )
