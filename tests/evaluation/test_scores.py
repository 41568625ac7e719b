import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from keras_ser.evaluation import score


def _sklearn(truth, predicted):
    labels = sorted(set(truth))
    return {
        "accuracy": accuracy_score(truth, predicted),
        "uar": recall_score(truth, predicted, labels=labels, average="macro", zero_division=0),
        "macro_f1": f1_score(truth, predicted, average="macro", zero_division=0),
        "weighted_f1": f1_score(truth, predicted, labels=labels, average="weighted", zero_division=0),
    }


def test_the_perfect_and_the_constant_predictor(make_table, emotion, name_label):
    table = make_table()
    for label in emotion.labels:
        name_label(table, emotion, table["emotion"] == label, label)
    perfect = score(table, emotion, "disjoint")
    for item in perfect.scores:
        assert (item.value, item.low, item.high, item.std) == (1, None, None, 0)
    names = ["accuracy", "UAR", "macro F1", "weighted F1", *(f"recall {label}" for label in emotion.labels[:3])]
    assert perfect["uar"].without == "no 95 % CI: the score does not vary over the speakers"
    assert f"No interval (–): {', '.join(names)} (the score does not vary over the speakers); " in str(perfect.notes)
    name_label(table, emotion, table["emotion"] != "", "anger")
    constant = score(table, emotion, "disjoint")
    assert constant["uar"].value == pytest.approx(1 / 4) and constant["uar"].chance == 1 / 4
    # the commonest class is one of the training set, which is not here
    assert all(constant[metric].chance is None for metric in ("accuracy", "macro_f1", "weighted_f1", "recall/anger"))


def test_a_class_absent_from_a_fold_and_one_absent_altogether(make_table, emotion):
    table = make_table()
    table = table[(table["emotion"] != "sadness") & ~((table["emotion"] == "joy") & table["fold"].isin([1, 3]))]
    result = score(table, emotion, "disjoint")
    assert result.absent["joy"] == (1, 3)
    assert result.absent_altogether == ("sadness",)
    part = table[table["seed"] == 0]
    present = ["anger", "fear", "joy"]
    recalls = [(part["emotion/prediction"] == c)[part["emotion"] == c].mean() for c in present]
    assert result["uar"].seeds[0] == pytest.approx(np.mean(recalls))
    assert np.isnan(result["recall/sadness"].value) and result["recall/sadness"].low is None
    assert np.isnan(result.confusion.share[3]).all() and np.isnan(result.confusion.low[3]).all()
    assert result["uar"].chance == pytest.approx(1 / 3)
    assert "No clip is sadness: left out of UAR." in result.notes
    assert "joy is absent from 2 of 4 folds (1, 3)." in result.notes


def test_one_class_alone_has_no_chance_level(make_table, emotion):
    """Not 100 %: the score of always naming that class, which nobody would call chance."""
    result = score(make_table().query("emotion == 'joy'"), emotion, "disjoint")
    assert 0 < result["uar"].value < 1 and result["uar"].chance is None


def test_an_incomplete_seed_is_named_and_not_pooled(make_table, emotion):
    table = make_table(seeds=(0, 1, 2, 3))
    whole = score(table[table["seed"].isin([0, 2])], emotion, "disjoint")
    lost = ((table["seed"] == 1) & (table["fold"] == 2)) | ((table["seed"] == 3) & (table["id"] == "s05/c01"))
    clips = int((lost & (table["seed"] == 1)).sum())
    result = score(table[~lost], emotion, "disjoint")
    assert result.seeds == (0, 2)
    assert result.incomplete == {1: ((2,), clips), 3: ((), 1)}
    assert result.scores == whole.scores
    assert f"Seed 1 is incomplete and left out: fold 2 missing ({clips} clips)." in result.notes
    assert "Seed 3 is incomplete and left out: clips missing (1 clips)." in result.notes


def test_no_complete_seed_is_said(make_table, emotion):
    table = make_table(seeds=(0, 1))
    table = table[~((table["seed"] == 1) & (table["fold"] == 3))]
    result = score(table, emotion, "disjoint", folds=range(5))
    assert result.seeds == (0,) and set(result.incomplete) == {1}
    assert "No seed is complete: scored on seed 0, fold 0, 1, 2, 3. Missing folds: 4." in result.notes
    assert score(table.assign(seed=1 - table["seed"]), emotion, "disjoint", folds=range(5)).seeds == (1,), "the fullest"
    complete = score(table, emotion, "disjoint")
    assert complete.seeds == (0,) and not any("No seed is complete" in note for note in complete.notes)


def test_units_of_the_intervals(make_table, emotion):
    table = make_table()
    alone = score(table.assign(group=""), emotion, "disjoint")
    assert (alone.unit, alone.groups) == ("clips", alone.clips)
    assert f"95 % CI over {alone.clips} clips and 3 seeds (t): too narrow, since speakers are unknown." in alone.notes
    thirds = score(table.assign(group=np.char.add("film ", table["id"].str[-1].to_numpy(str))), emotion, "disjoint")
    assert (thirds.unit, thirds.groups, thirds.speakers) == ("groups", 10, 8)
    assert thirds["uar"].low < thirds["uar"].value < thirds["uar"].high
    some = score(table.assign(group=table["group"].where(table["fold"] > 0, "")), emotion, "disjoint")
    first = table[table["fold"] == 0]["id"].nunique()
    assert some.groups == 6 + first
    assert f"{first} clips have no group; each forms its own." in some.notes


@pytest.mark.parametrize("speakers", [1, 2, 5])
def test_under_six_speakers_there_is_no_interval(make_table, emotion, speakers):
    few = score(make_table(speakers=speakers), emotion, "disjoint")
    assert all(s.low is None and s.high is None for s in (*few.scores, *few.ensemble))
    assert few.confusion.low is None
    assert f"No 95 % CI: {speakers} speaker{'s' * (speakers > 1)}, and 6 are needed." in few.notes
    assert score(make_table(speakers=6), emotion, "disjoint")["uar"].low is not None


def test_a_recall_needs_six_speakers_with_such_clips(make_table, emotion):
    table = make_table(clips=4)
    rare = table[(table["emotion"] != "joy") | (table["speaker"] < "s05")]
    result = score(rare, emotion, "disjoint")
    assert result["recall/joy"].low is None and result["recall/fear"].low is not None
    assert np.isnan(result.confusion.low[2]).all() and result["uar"].low is not None
    assert "No interval (–): recall joy (4 speakers with such clips, and 6 are needed)." in result.notes
    assert result["recall/joy"].without == "no 95 % CI: 4 speakers with such clips, and 6 are needed"
    alone = rare[(rare["emotion"] != "joy") | (rare["speaker"] == "s02")]
    result = score(alone, emotion, "disjoint")
    assert result["uar"].low is None and result["accuracy"].low is not None and result["accuracy"].without == ""
    assert result["uar"].without == result["macro_f1"].without == "no 95 % CI: joy occurs with one speaker only"
    assert "UAR, macro F1 (joy occurs with one speaker only); recall joy (1 speaker with such clips" in str(
        result.notes
    )


def test_clips_without_label_are_left_out_and_counted(make_table, emotion):
    table = make_table()
    gone = table["id"].isin(["s01/c00", "s06/c03"])
    unlabelled = table.assign(emotion=table["emotion"].where(~gone, ""))
    result = score(unlabelled, emotion, "disjoint")
    assert result.scores == score(table[~gone], emotion, "disjoint").scores
    assert result.unlabelled == 2
    assert score(table.assign(emotion=""), emotion, "disjoint") is None


def test_the_stream_is_chosen(make_table, emotion):
    table = pd.concat([make_table(streams=("noise",), draw=1), make_table(streams=("clean",), draw=2)])
    clean = score(table[table["stream"] == "clean"], emotion, "disjoint")
    assert score(table, emotion, "disjoint").streams == ("noise",)
    unlabelled = table.assign(emotion=table["emotion"].where(table["stream"] == "clean", ""))
    assert score(unlabelled, emotion, "disjoint").scores == clean.scores


def test_a_clip_in_two_folds_counts_in_both(make_table, emotion):
    table = make_table()
    twice = pd.concat([table, table[table["fold"] == 0].assign(fold=9)])
    result = score(twice, emotion, "disjoint")
    assert result.clips == len(table) // 3 and result.groups == 8
    part = twice[twice["seed"] == 1]
    assert result["uar"].seeds[1] == pytest.approx(_sklearn(part["emotion"], part["emotion/prediction"])["uar"])
    assert (result.repeats, result.summed) == (0, ", summed over folds and seeds")


@pytest.mark.parametrize("deterministic", [True, False])
def test_clips_that_every_fold_predicts_are_counted_once_and_summed_over_the_runs(make_table, emotion, deterministic):
    """As another corpus is, by the runs of a cross-validation."""
    table = make_table(seeds=(0,)).assign(fold=0)
    lost = table["id"].isin(["s01/c00", "s06/c03"])
    table.loc[lost, "emotion"] = ""
    table.loc[table["speaker"] == "s07", ["group", "speaker"]] = ""
    every = pd.concat([table.assign(fold=fold) for fold in range(5)])
    result = score(every, emotion, "disjoint", deterministic=deterministic)
    assert (result.repeats, result.summed) == (5, ", summed over 5 runs")
    assert result.confusion.counts.sum() == 5 * result.clips and result.unlabelled == 2
    assert result.notes[0].endswith(", of these 5 models (t).")
    assert f"{(table['group'] == '').sum()} clips have no group; each forms its own." in result.notes
    once = score(table, emotion, "disjoint", deterministic=deterministic)
    assert once.summed == "" and ("of this one model" in once.notes[0]) != deterministic
    assert score(make_table(), emotion, "disjoint").summed == ", summed over 3 seeds"
