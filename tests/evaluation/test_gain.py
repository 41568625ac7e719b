"""The gain of one system over another: each figure again from the predictions, by scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest
from keras_ser.evaluation.gain import GainReport
from scipy import stats
from sklearn.metrics import accuracy_score, recall_score

from keras_ser.evaluation import compare, holm
from keras_ser.tasks import Task

TASK = Task("emotion", ("anger", "joy", "fear"))


def table(rng, right, speakers=6, clips=12):
    """Predictions that are right so often, as `keras_ser.evaluation` takes them; the truths are the same for any `right`."""
    truths = np.random.default_rng(1).integers(0, 3, (speakers, clips))
    rows = []
    for s in range(speakers):
        for c in range(clips):
            p = rng.dirichlet(np.ones(3))
            told = truths[s, c] if rng.random() < right else rng.integers(3)
            p[[told, p.argmax()]] = p[[p.argmax(), told]]
            row = {"protocol": "apart", "fold": 0, "seed": 0, "stream": "clips", "id": f"{s}-{c}", "speaker": f"s{s}"}
            row |= {"gender": "", "group": f"s{s}", "emotion": TASK.labels[truths[s, c]]}
            row["emotion/prediction"] = TASK.labels[int(p.argmax())]
            rows.append(row | {f"emotion/{label}": p[i] for i, label in enumerate(TASK.labels)})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(7)
    tables = {"alone": table(rng, 0.4), "both": table(rng, 0.8)}
    paper = {"alone": {"recall/joy": 0.371, "accuracy": 0.445}, "both": {"recall/joy": 0.435, "accuracy": 0.515}}
    return GainReport("both over alone", tables, TASK, "apart", paper)


def test_every_figure_is_scikit_learns(made):
    header, *rows = made.rows()
    assert header == [
        "%",
        "alone (paper)",
        "alone",
        "both (paper)",
        "both",
        "gain (paper)",
        "gain",
        "difference",
        "p (Holm)",
    ]
    found = {row[0]: row for row in rows}
    assert list(found) == ["anger", "joy", "fear", "accuracy (WA)", "UAR (UA)"]
    scores = {}
    for system, t in made.tables.items():
        truth, told = t["emotion"], t["emotion/prediction"]
        recalls = recall_score(truth, told, average=None, labels=list(TASK.labels))
        scores[system] = [*recalls, accuracy_score(truth, told), recalls.mean()]
    for name, a, b in zip(found, scores["alone"], scores["both"], strict=True):
        assert found[name][2].split(" [")[0] == f"{100 * a:.1f}" and found[name][4].split(" [")[0] == f"{100 * b:.1f}"
        assert (
            found[name][6] == f"{100 * (b - a) / a:+.1f}" and found[name][7].split(" [")[0] == f"{100 * (b - a):+.1f}"
        )
    assert found["joy"][1] == "37.1" and found["joy"][5] == "+17.3"  # 6.4 of 37.1, as the paper's gain is
    assert found["anger"][1] == found["anger"][5] == ""


def test_the_interval_is_of_paired_speakers(made):
    a, b = made.tables.values()
    right = [(t["emotion"] == t["emotion/prediction"]).groupby(t["group"]).mean() for t in (a, b)]
    expected = stats.ttest_rel(right[1], right[0]).confidence_interval(0.95)  # speakers have as many clips each
    found = made.differences["accuracy"]
    assert (found.low, found.high) == pytest.approx(tuple(expected))


def test_p_values_are_corrected_over_the_rows():
    tables = {
        name: pd.concat([table(np.random.default_rng(9 * i + s), right, 8).assign(seed=s) for s in range(3)])
        for i, (name, right) in enumerate((("alone", 0.5), ("both", 0.75)))
    }
    made = GainReport("t", tables, TASK, "apart")
    header, *rows = made.rows()
    assert header[-1] == "p (Holm)"
    alone = [compare(tables["both"], tables["alone"], TASK, metric).p for metric in made.metrics]
    expected = holm(alone)
    assert [float(row[-1]) for row in rows] == pytest.approx(expected, abs=5e-4)
    assert "p values corrected for their number (Holm)" in made.to_markdown()
    assert "95 % CI over 8 speakers and 3 + 3 seeds (t)" in made.to_markdown()


def test_saved(made, tmp_path):
    path = made.save(tmp_path, "gain")
    text = path.read_text()
    assert "| joy | 37.1 |" in text and "![Scores with 95 % intervals](gain.png)" in text
    assert (tmp_path / "gain.png").stat().st_size > 10_000 and (tmp_path / "gain.json").exists()
    assert "95 % CI over 6 speakers, of this one network (t)" in text
    assert "No p: one seed: the spread over initialisations is not known." in text


def test_a_class_that_nobody_was_tested_on(made, tmp_path):
    """It has no figure, in print as in JSON."""
    tables = {name: t[t["emotion"] != "fear"] for name, t in made.tables.items()}
    less = GainReport("t", tables, TASK, "apart", {"both": {"recall/fear": 0.42}})
    rows = {row[0]: row for row in less.rows()}
    assert rows["fear"] == ["fear", "", "–", "42.0", "–", "", "", "–", "–"]
    less.save(tmp_path, "less")
    told = json.loads((tmp_path / "less.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert next(row for row in told["rows"] if row["metric"] == "recall/fear")["measured"]["both"]["value"] is None


def test_one_system_gains_over_none(made):
    with pytest.raises(ValueError, match="a gain is of one system over another. Received: alone"):
        GainReport("t", {"alone": made.tables["alone"]}, TASK, "apart")
