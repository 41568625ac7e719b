"""Tables of several systems (`keras_ser.evaluation.systems`)."""

import pandas as pd
import pytest
from sklearn.metrics import recall_score

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
    systems = Systems(found, task, "clips", pairs=[("with others", "alone")])
    expected = {n: recall_score(truth, given, average="macro", labels=["a", "b"]) for n, given in told.items()}
    assert {name: scores["uar"].value for name, scores in systems.scores.items()} == pytest.approx(expected)
    uar = systems.differences[0][2]
    assert uar.difference == pytest.approx(expected["with others"] - expected["alone"])
