"""Tables of several systems (`keras_ser.evaluation.systems`)."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from keras_ser.evaluation import score
from keras_ser.evaluation.systems import Systems, over_all_labels
from keras_ser.tasks import Task


def test_an_identity_that_a_system_does_not_know_has_probability_0():
    """One system also learns a speaker of an auxiliary corpus, and takes one clip for that speaker."""
    truth = ["a", "b", "a", "b", "b", "a"]
    told = {"alone": ["a", "a", "a", "b", "b", "b"], "with others": ["a", "b", "z", "b", "b", "a"]}
    known = {"alone": ("a", "b"), "with others": ("a", "b", "z")}
    tasks = {name: Task("speaker", labels, identity=True) for name, labels in known.items()}
    facts = {"protocol": "clips", "fold": 0, "seed": 0, "stream": "own", "id": list("123456"), "speaker": truth}
    facts |= {"gender": "", "group": list("gghhii")}
    tables = {
        name: pd.DataFrame(
            {
                **facts,
                "speaker/prediction": given,
                **{f"speaker/{i}": [float(g == i) for g in given] for i in known[name]},
            }
        )
        for name, given in told.items()
    }
    found, task = over_all_labels(tables, tasks)
    assert task.labels == ("a", "b", "z") and found["with others"] is tables["with others"]
    # a clip without a label and without a prediction stays one
    none = tables["alone"].assign(id=list("uvwxyz"), speaker="", **{c: np.nan for c in ("speaker/a", "speaker/b")})
    told_nothing = pd.concat([tables["alone"], none.assign(**{"speaker/prediction": ""})], ignore_index=True)
    filled = over_all_labels({**tables, "alone": told_nothing}, tasks)[0]["alone"]
    assert filled["speaker/z"].isna().tolist() == [False] * 6 + [True] * 6
    systems = Systems(found, task, "clips", pairs=[("with others", "alone")])
    expected = {n: recall_score(truth, given, average="macro", labels=["a", "b"]) for n, given in told.items()}
    assert {name: scores["uar"].value for name, scores in systems.scores.items()} == pytest.approx(expected)
    uar = systems.differences[0][2]
    assert uar.difference == pytest.approx(expected["with others"] - expected["alone"])


def test_folds_that_predict_the_same_clips_are_no_seeds():
    """Each of three folds predicts every clip of another corpus: their mean, with the interval of one seed."""
    rng, task = np.random.default_rng(0), Task("emotion", ("joy", "fear"))
    facts = pd.DataFrame({"id": [f"c{i:02}" for i in range(40)], "speaker": [f"s{i % 8}" for i in range(40)]})
    facts["emotion"] = np.where(rng.random(40) < 0.5, "joy", "fear")
    parts = []
    for fold in range(3):
        right = rng.random(40) < 0.7
        told = np.where(right, facts["emotion"], np.where(facts["emotion"] == "joy", "fear", "joy"))
        given = {f"emotion/{label}": (told == label).astype(float) for label in task.labels}
        parts.append(facts.assign(**{"emotion/prediction": told}, **given, fold=fold, seed=0))
    table = pd.concat(parts).assign(protocol="other", stream="clips", gender="", group=lambda t: t["speaker"])
    found = score(table, task, "other")
    folds = [recall_score(p["emotion"], p["emotion/prediction"], average="macro") for p in parts]
    assert found["uar"].value == pytest.approx(np.mean(folds))
    assert (found.clips, found.groups, found.seeds, found.folds) == (40, 8, (0,), (0, 1, 2))
    assert any(note.startswith("One seed: ") for note in found.notes)


def test_means_over_speakers_beside_a_papers():
    """Two speakers with unlike numbers of clips, two seeds; a system of the paper alone has a row without a value."""
    rng, task = np.random.default_rng(1), Task("emotion", ("joy", "fear"))
    facts = pd.DataFrame({"id": [f"c{i:02}" for i in range(40)], "speaker": ["a"] * 30 + ["b"] * 10})
    facts["emotion"] = np.where(rng.random(40) < 0.4, "joy", "fear")
    parts = []
    for seed in range(2):
        told = np.where(rng.random(40) < 0.6, facts["emotion"], "joy")
        given = {f"emotion/{label}": (told == label).astype(float) for label in task.labels}
        parts.append(facts.assign(**{"emotion/prediction": told}, **given, seed=seed))
    table = pd.concat(parts).assign(protocol="clips", stream="clips", gender="", fold=0, group=lambda t: t["speaker"])
    groups = [p[p["speaker"] == who] for p in parts for who in "ab"]
    expected = np.mean([recall_score(g["emotion"], g["emotion/prediction"], average="macro") for g in groups])
    unnamed = table[table["id"] < "c05"].assign(speaker="", id=lambda t: "u" + t["id"], group="")
    table = pd.concat([table, unnamed])  # the clips of unknown speakers are not one more speaker
    made = Systems({"ser": table}, task, "clips").speaker_means({"ser": {"uar": 0.7}, "w2e": {"uar": 0.6}})
    (_, uar, _), (name, missing, _) = made.rows
    assert (uar.value, uar.paper) == (pytest.approx(expected), 0.7)
    assert name == "w2e" and np.isnan(missing.value) and missing.paper == 0.6
