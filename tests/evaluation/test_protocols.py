"""Systems under two protocols: the scores are each protocol's own report's, and what is written."""

import json

import numpy as np
import pytest
from keras_ser.evaluation.protocols import ProtocolsReport

from keras_ser.evaluation import report
from keras_ser.evaluation.systems import SystemsReport

PAPER = ((0.5, 0.3, 0.1, 0.1), (0.1, 0.7, 0.1, 0.1), (0.0, 0.2, 0.6, 0.2), (0.25, 0.25, 0.25, 0.25))


@pytest.fixture
def made(make_table, emotion):
    protocols = ("leaking", "disjoint")
    tables = {
        name: make_table(protocols=protocols, seeds=(0,), skill=skill, draw=i)
        for i, (name, skill) in enumerate((("net", 1.5), ("svm", 0.3)))
    }
    reports = [
        SystemsReport(
            name, tables, {"net": "ours", "svm": "old"}, emotion, name, {"net": {"accuracy": 0.6}}, (("net", "svm"),)
        )
        for name in protocols
    ]
    return ProtocolsReport(
        "title", reports, {"leaking": "random (LEAKING)", "disjoint": "speakers apart"}, "net", PAPER, notes=("a note",)
    )


def test_a_column_each_protocol_and_the_difference(made, emotion):
    header, net, svm = made.rows("accuracy")
    assert header == ["accuracy (WA), %", "paper", "leaking", "disjoint", "first - last"]
    assert net[:2] == ["net", "60.00"] and svm[:2] == ["svm", ""]
    assert made.rows("uar")[0] == ["UAR (UA), %", "leaking", "disjoint", "first - last"]
    table = made.reports[0].tables["net"]
    values = []
    for k, protocol in enumerate(("leaking", "disjoint")):
        mine = table[table["protocol"] == protocol]
        values.append(100 * (mine["emotion"] == mine["emotion/prediction"]).mean())
        assert net[2 + k].startswith(f"{values[k]:.1f} [")
    assert net[4] == f"{values[0] - values[1]:+.1f}"


def test_confusion_beside_the_papers(made, emotion):
    rows = made.confusion_rows()
    assert rows[0] == ["true", "", *emotion.labels]
    assert rows[1] == ["anger", "paper", "50.00", "30.00", "10.00", "10.00"]
    assert [row[1] for row in rows[1:4]] == ["paper", "leaking", "disjoint"] and len(rows) == 1 + 3 * 4
    table = made.reports[0].tables["net"]
    own = report(table, [emotion], title="x").result("disjoint", "emotion").confusion
    assert [cell.split()[0] for cell in rows[3][2:]] == [f"{100 * share:.1f}" for share in own.share[0]]


def test_what_is_written(made, tmp_path):
    path = made.save(tmp_path, "systems")
    assert {p.name for p in tmp_path.iterdir()} == {
        "systems.md",
        "systems.json",
        "systems.png",
        "systems-confusion.png",
    }
    text = path.read_text()
    for words in ("a note", "random (LEAKING)", "## leaking", "net - svm: emotion accuracy", "| net | ours |", "paper"):
        assert words in text, words
    told = json.loads((tmp_path / "systems.json").read_text())
    assert set(told["protocols"]) == {"leaking", "disjoint"}
    np.testing.assert_allclose(np.sum(told["confusion"]["disjoint"], axis=1), 1)
    shown = "\n".join(made.lines())
    assert "protocol disjoint: speakers apart" in shown and "confusion of net" in shown


def test_without_a_matrix(made, tmp_path):
    bare = ProtocolsReport("t", made.reports[:1], made.described)
    bare.save(tmp_path, "systems")
    assert not (tmp_path / "systems-confusion.png").exists() and "confusion" not in "\n".join(bare.lines())
    assert bare.rows("accuracy")[0] == ["accuracy (WA), %", "paper", "leaking"]
