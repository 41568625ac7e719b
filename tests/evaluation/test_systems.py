"""Several systems in one table: the scores are the report's, the differences are `compare`'s."""

import json

import pytest

from keras_ser.evaluation import compare, corrected, report
from keras_ser.evaluation.systems import SystemsReport


@pytest.fixture
def made(make_table, emotion):
    tables = {name: make_table(skill=skill, draw=i) for i, (name, skill) in enumerate((("full", 1.5), ("A", 0.3)))}
    return SystemsReport(
        "title",
        tables,
        {"full": "both", "A": "one"},
        emotion,
        tables["full"]["protocol"].iloc[0],
        {"full": {"accuracy": 0.9013}},
        (("full", "A"),),
        notes=("a note",),
    )


def test_scores_and_differences(made, emotion):
    for system, table in made.tables.items():
        own = report(table, [emotion], title="x").result(made.protocol, emotion.name)
        assert made.scores[system] == {score.metric: score for score in own.scores}
    ((a, b, found),) = [d for d in made.differences if d[2].metric == "uar"]
    assert (a, b) == ("full", "A")
    expected = [
        compare(made.tables["full"], made.tables["A"], emotion, metric, protocol=made.protocol)
        for metric in made.metrics
    ]
    # a table's p values are corrected for all that it shows
    assert [c for *_, c in made.differences] == corrected(expected)
    assert found.p_holm >= found.p and "p (Holm)" in "\n".join(made.lines())


def test_deterministic_systems_are_compared_with_one_seed(made):
    one = {name: table[table["seed"] == 0] for name, table in made.tables.items()}
    drawn = SystemsReport("t", one, made.about, made.task, made.protocol, pairs=made.pairs)
    known = SystemsReport("t", one, made.about, made.task, made.protocol, pairs=made.pairs, deterministic=("full", "A"))
    assert all(
        c.p is None and "no p (one seed" in line
        for (*_, c), line in zip(drawn.differences, drawn.verdicts(), strict=True)
    )
    assert all(c.p is not None for *_, c in known.differences)
    assert "of this one network" in drawn.scale() and "95 % CI over 8 speakers (t)" in known.scale()


def test_what_is_printed_and_written(made, tmp_path):
    header, full, alone = made.rows()
    assert header == ["system", "accuracy (WA) (paper)", "accuracy (WA)", "UAR (UA)"]
    assert full[:2] == ["full", "90.13"] and alone[:2] == ["A", ""]
    assert full[3].startswith(f"{100 * made.scores['full']['uar'].value:.1f}")
    path = made.save(tmp_path, "table")
    assert path.name == "table.md" and {p.name for p in tmp_path.iterdir()} == {"table.md", "table.json", "table.png"}
    text = path.read_text()
    assert "- a note" in text and "| A | one |" in text and "full - A: " in text
    told = json.loads((tmp_path / "table.json").read_text())
    assert told["systems"]["A"]["uar"]["value"] == pytest.approx(made.scores["A"]["uar"].value)
    assert {d["metric"] for d in told["differences"]} == {"accuracy", "uar"}


def test_other_clips_are_refused(made):
    other = made.tables["A"]
    tables = {**made.tables, "A": other[other["id"] != other["id"].iloc[0]]}
    broken = SystemsReport("t", tables, made.about, made.task, made.protocol, pairs=made.pairs)
    with pytest.raises(ValueError, match="clips"):
        broken.verdicts()
