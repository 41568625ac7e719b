import dataclasses

import numpy as np
import pandas as pd
import pytest

from keras_ser.evaluation import check_predictions, read_predictions, write_predictions
from keras_ser.reports import score_report
from keras_ser.tasks import Task


def test_csv_round_trip_is_exact(make_table, emotion, gender, arousal, tmp_path):
    table = make_table(seeds=(0,))
    table.loc[3, "emotion"] = ""
    table.loc[5, "arousal"] = np.nan
    table.loc[7, ["speaker", "gender", "group"]] = ""
    tasks = [emotion, gender, arousal]
    table = check_predictions(table, tasks)
    write_predictions(table, tmp_path / "predictions.csv")
    again = read_predictions(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(check_predictions(again, tasks), table, check_exact=True)


def test_labels_that_look_like_missing_values_survive(tmp_path):
    task = Task("noise", ("None", "NA", "nan", "1"))
    table = pd.DataFrame(
        {c: ["NA", "nan", "None", "null"] for c in ("protocol", "stream", "speaker", "gender", "group")}
    )
    table["fold"], table["seed"], table["id"] = 0, 1, ["1", "02", "3.0", "NaN"]
    table["noise"] = ["None", "NA", "", "1"]
    table["noise/prediction"] = ["NA", "1", "None", "nan"]
    table[[f"noise/{label}" for label in task.labels]] = np.eye(4)[[1, 3, 0, 2]]
    table = check_predictions(table, [task])
    write_predictions(table, tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(check_predictions(read_predictions(tmp_path / "predictions.csv"), [task]), table)


def test_a_row_without_label_needs_no_prediction(make_table, emotion, arousal):
    table = make_table(seeds=(0,))
    table.loc[2, "emotion"], table.loc[2, "emotion/prediction"] = "", ""
    table.loc[2, [c for c in table if c.startswith("emotion/") and c != "emotion/prediction"]] = np.nan
    table.loc[2, ["arousal", "arousal/prediction"]] = np.nan
    assert len(check_predictions(table, [emotion, arousal])) == len(table)


def test_a_protocol_may_judge_less_than_another(make_table, emotion, gender):
    """Where nothing was told of a task under a protocol it is not scored there; where something was, every row must be."""
    one, other = make_table(seeds=(0,)), make_table(seeds=(0,)).assign(protocol="other")
    other = other.drop(columns=[c for c in other if c.startswith("gender_task/")])
    both = pd.concat([one, other], ignore_index=True)
    made = score_report(both, [emotion, gender], title="t")
    assert {(r.protocol, r.task) for r in made.results} == {
        (one["protocol"][0], "emotion"),
        (one["protocol"][0], gender.name),
        ("other", "emotion"),
    }
    assert "No clip has a label of gender_task under protocol other: not scored." in made.notes
    # identities that the split keeps apart have labels; the notes of an experiment say why they are not scored
    people, apart = dataclasses.replace(gender, identity=True), {"other": {"description": "", "apart": [gender.column]}}
    made = score_report(both, [emotion, people], title="t", protocols=apart)
    assert not [note for note in made.notes if "No clip has a label" in note]
    both.loc[len(one), ["gender_task/prediction", *(f"gender_task/{label}" for label in gender.labels)]] = [
        gender.labels[0],
        1.0,
        0.0,
    ]
    with pytest.raises(ValueError, match="probabilities of 'gender_task' must be finite"):
        score_report(both, [emotion, gender], title="t")


def _spoil(column, value, row=4):
    def change(table):
        table.loc[row, column] = value
        return table

    return change


def _name(column, row=4):
    """The least probable label in place of the named one."""

    def change(table):
        probabilities = table.loc[row, ["emotion/anger", "emotion/fear", "emotion/joy", "emotion/sadness"]].astype(
            float
        )
        table.loc[row, column] = probabilities.idxmin().removeprefix("emotion/")
        return table

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns=["group", "emotion/joy"]), "needs the columns group, emotion/joy"),
        (lambda t: t.iloc[:0], "at least one row"),
        (lambda t: pd.concat([t, t.iloc[[4]]]), "Received twice: disjoint/0/0/clean/s00/c04"),
        (_spoil("emotion", "rage"), r"one of anger, fear, joy, sadness.*rage.*disjoint/0/0/clean/s00/c04"),
        (_spoil("emotion/joy", 7.0), "must sum to 1.*Received 1 bad rows: disjoint/0/0/clean/s00/c04"),
        (_spoil("emotion/joy", np.nan), "must be finite.*s00/c04"),
        (_spoil("emotion/joy", np.inf), "must be finite.*s00/c04"),
        (_spoil(["emotion/anger", "emotion/fear", "emotion/joy", "emotion/sadness"], [1.2, -0.2, 0, 0]), "negative"),
        (_spoil("emotion/prediction", "rage"), "'emotion/prediction' must be one of"),
        (_name("emotion/prediction"), "most probable label.*s00/c04"),
        (_spoil("arousal/prediction", np.nan), "'arousal/prediction' must be finite.*s00/c04"),
        (_spoil("speaker", "someone"), "'speaker' of a clip must be the same for every seed.*s00/c04"),
        (_spoil("arousal", np.nan), "'arousal' of a clip must be the same for every seed.*s00/c04"),
        (_spoil("arousal", 0.123), "'arousal' of a clip must be the same for every seed.*s00/c04"),
    ],
)
def test_a_bad_table_is_refused(make_table, emotion, arousal, change, message):
    with pytest.raises(ValueError, match=message):
        check_predictions(change(make_table(seeds=(0, 1))), [emotion, arousal])
