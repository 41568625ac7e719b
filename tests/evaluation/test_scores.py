import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, mean_squared_error, recall_score

from keras_ser.evaluation import score
from tests.evaluation import slow


def _sklearn(truth, predicted):
    labels = sorted(set(truth))
    return {
        "accuracy": accuracy_score(truth, predicted),
        "uar": recall_score(truth, predicted, labels=labels, average="macro", zero_division=0),
        "macro_f1": f1_score(truth, predicted, average="macro", zero_division=0),
        "weighted_f1": f1_score(truth, predicted, labels=labels, average="weighted", zero_division=0),
    }


def _ccc(t, p):
    return 2 * np.cov(t, p, bias=True)[0, 1] / (np.var(t) + np.var(p) + (np.mean(t) - np.mean(p)) ** 2)


def test_scores_are_scikit_learns(make_table, emotion):
    table = make_table()
    result = score(table, emotion, "disjoint")
    parts = [part for _, part in table.groupby("seed")]
    expected = [_sklearn(p["emotion"], p["emotion/prediction"]) for p in parts]
    for metric in ("accuracy", "uar", "macro_f1", "weighted_f1"):
        values = [e[metric] for e in expected]
        found = result[metric]
        assert found.seeds == pytest.approx(values)
        assert found.value == pytest.approx(np.mean(values))
        assert found.std == pytest.approx(np.std(values, ddof=1))
        assert (found.minimum, found.maximum) == pytest.approx((min(values), max(values)))
        assert found.low < found.value < found.high
    matrix = sum(confusion_matrix(p["emotion"], p["emotion/prediction"], labels=emotion.labels) for p in parts)
    assert np.array_equal(result.confusion.counts, matrix)
    np.testing.assert_allclose(result.confusion.share, matrix / matrix.sum(axis=1, keepdims=True))
    for k, label in enumerate(emotion.labels):
        recall = result[f"recall/{label}"]
        assert recall.value == pytest.approx(result.confusion.share[k][k])
        ends = result.confusion.low[k][k], result.confusion.high[k][k]
        assert ends == pytest.approx((recall.low, recall.high) if recall.low else (np.nan, np.nan), nan_ok=True)
    assert sum(result[f"recall/{label}"].low is not None for label in emotion.labels) >= 3
    assert (result.clips, result.groups, result.unit, result.folds) == (len(parts[0]), 8, "speakers", (0, 1, 2, 3))


@pytest.mark.parametrize("metric", ["accuracy", "uar", "macro_f1", "weighted_f1"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 1, 2, 3)])
def test_intervals_are_those_of_a_slow_loop(make_table, emotion, metric, seeds):
    table = make_table(seeds=seeds)
    found = score(table, emotion, "disjoint")[metric]
    free = slow.degrees(table, "emotion", metric)
    spread = slow.variance(
        table, None, lambda t: _sklearn(t["emotion"].tolist(), t["emotion/prediction"].tolist())[metric], free
    )
    assert (found.low, found.high) == pytest.approx(slow.logit_interval(found.value, *spread))


def test_continuous_scores_and_intervals(make_table, arousal):
    table = make_table()
    result = score(table, arousal, "disjoint")
    parts = {s: part for s, part in table.groupby("seed")}
    pairs = [(p["arousal"].to_numpy(), p["arousal/prediction"].to_numpy()) for p in parts.values()]
    assert result["ccc"].seeds == pytest.approx([_ccc(t, p) for t, p in pairs])
    assert result["rmse"].seeds == pytest.approx([mean_squared_error(t, p) ** 0.5 for t, p in pairs])
    assert (result["ccc"].chance, result["rmse"].chance) == (0, None)
    for metric, measure in (("ccc", _ccc), ("rmse", lambda t, p: mean_squared_error(t, p) ** 0.5)):
        spread = slow.variance(
            table, None, lambda t, m=measure: m(t["arousal"].to_numpy(), t["arousal/prediction"].to_numpy())
        )
        found = result[metric]
        assert (found.low, found.high) == pytest.approx(slow.interval(metric)(found.value, *spread))
    together = sum(p for _, p in pairs) / 3
    assert result.ensemble[0].value == pytest.approx(_ccc(pairs[0][0], together))
    assert result.confusion is None


def test_ensemble_averages_probabilities(make_table, emotion):
    table = make_table()
    result = score(table, emotion, "disjoint")
    columns = [f"emotion/{label}" for label in emotion.labels]
    mean = table.groupby("id")[columns].mean()
    named = np.array(emotion.labels)[mean.to_numpy().argmax(axis=1)]
    expected = _sklearn(table[table["seed"] == 0].set_index("id").loc[mean.index, "emotion"], named)
    assert {s.metric: s.value for s in result.ensemble[:4]} == pytest.approx(expected)
    assert score(make_table(seeds=(3,)), emotion, "disjoint").ensemble == ()


def test_per_gender_and_per_speaker(make_table, emotion):
    table = make_table()
    result = score(table, emotion, "disjoint")
    for column, subsets in (("gender", result.by_gender), ("speaker", result.by_speaker)):
        assert [s.value for s in subsets] == sorted(table[column].unique())
        for subset in subsets:
            mine = table[table[column] == subset.value]
            values = [_sklearn(p["emotion"], p["emotion/prediction"]) for _, p in mine.groupby("seed")]
            for item in subset.scores[:4]:
                assert item.seeds == pytest.approx([v[item.metric] for v in values])
            assert set(subset.absent) == set(emotion.labels) - set(mine["emotion"])
            assert (subset.clips, subset.groups) == (mine["id"].nunique(), mine["speaker"].nunique())
    assert all(s.low is None for subset in result.by_gender for s in subset.scores), "four speakers of each gender"
    assert all(s.low is None for subset in result.by_speaker for s in subset.scores)
    many = make_table(speakers=12)
    women = score(many[many["gender"] == "female"], emotion, "disjoint")
    assert score(many, emotion, "disjoint").by_gender[0].scores == women.scores
    assert women["uar"].low is not None


def test_the_perfect_and_the_constant_predictor(make_table, emotion, name_label):
    table = make_table()
    for label in emotion.labels:
        name_label(table, emotion, table["emotion"] == label, label)
    perfect = score(table, emotion, "disjoint")
    for item in perfect.scores:
        assert (item.value, item.low, item.high, item.std) == (1, None, None, 0)
    assert any("the same score of all of them" in note for note in perfect.notes)
    name_label(table, emotion, table["emotion"] != "", "anger")
    constant = score(table, emotion, "disjoint")
    assert constant["uar"].value == pytest.approx(1 / 4) and constant["uar"].chance == 1 / 4
    # the commonest class is one of the training side, which is not here
    assert all(constant[metric].chance is None for metric in ("accuracy", "macro_f1", "weighted_f1", "recall/anger"))


def test_guesses_that_know_nothing_hold_chance_in_the_interval(make_table, emotion):
    for draw in range(3):
        found = score(make_table(skill=0.0, draw=draw, speakers=24, clips=3), emotion, "disjoint")["uar"]
        assert found.low < 0.25 < found.high


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


def test_row_order_changes_nothing(make_table, emotion, arousal):
    table = make_table()
    mixed = table.sample(frac=1, random_state=3)
    for task in (emotion, arousal):
        assert repr(score(mixed, task, "disjoint")) == repr(score(table, task, "disjoint"))


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
    complete = score(table, emotion, "disjoint")
    assert complete.seeds == (0,) and not any("No seed is complete" in note for note in complete.notes)


def test_units_of_the_intervals(make_table, emotion):
    table = make_table()
    alone = score(table.assign(group=""), emotion, "disjoint")
    assert (alone.unit, alone.groups) == ("clips", alone.clips)
    assert f"95 % CI over {alone.clips} clips and 3 seeds (t): too narrow, since no speakers are known." in alone.notes
    thirds = score(table.assign(group=np.char.add("film ", table["id"].str[-1].to_numpy(str))), emotion, "disjoint")
    assert (thirds.unit, thirds.groups, thirds.speakers) == ("groups", 10, 8)
    assert thirds["uar"].low < thirds["uar"].value < thirds["uar"].high
    some = score(table.assign(group=table["group"].where(table["fold"] > 0, "")), emotion, "disjoint")
    first = table[table["fold"] == 0]["id"].nunique()
    assert some.groups == 6 + first
    assert f"{first} clips name no group; each is a group of its own." in some.notes


@pytest.mark.parametrize("speakers", [1, 2, 5])
def test_under_six_speakers_there_is_no_interval(make_table, emotion, speakers):
    few = score(make_table(speakers=speakers), emotion, "disjoint")
    assert all(s.low is None and s.high is None for s in (*few.scores, *few.ensemble))
    assert few.confusion.low is None
    assert f"No 95 % CI: {speakers} speaker{'s' * (speakers > 1)}, and it takes 6." in few.notes
    assert score(make_table(speakers=6), emotion, "disjoint")["uar"].low is not None


def test_a_recall_needs_six_speakers_with_such_clips(make_table, emotion):
    table = make_table(clips=4)
    rare = table[(table["emotion"] != "joy") | (table["speaker"] < "s05")]
    result = score(rare, emotion, "disjoint")
    assert result["recall/joy"].low is None and result["recall/fear"].low is not None
    assert np.isnan(result.confusion.low[2]).all() and result["uar"].low is not None
    assert any("under 6 speakers with such clips" in note for note in result.notes)


def test_intervals_say_what_they_are_over(make_table, emotion):
    for seeds, said in (
        ((0, 1, 2), "95 % CI over 8 speakers and 3 seeds (t)."),
        ((0,), "95 % CI over 8 speakers, of this one network (t)."),
        ((0, 1), "95 % CI over 8 speakers, of these 2 networks (t)."),
    ):
        result = score(make_table(seeds=seeds), emotion, "disjoint")
        assert said in result.notes
        assert any("leave out the spread over initialisations" in note for note in result.notes) == (len(seeds) < 3)
    known = score(make_table(seeds=(0,)), emotion, "disjoint", deterministic=True)
    assert "95 % CI over 8 speakers (t)." in known.notes
    assert not any("initialisation" in note for note in known.notes)


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
    assert score(table, emotion, "disjoint").stream == "noise"
    assert score(table, emotion, "disjoint", stream="clean").scores == clean.scores
    unlabelled = table.assign(emotion=table["emotion"].where(table["stream"] == "clean", ""))
    assert score(unlabelled, emotion, "disjoint").scores == clean.scores
    with pytest.raises(ValueError, match="must be one of clean, noise. Received: 'dirty'"):
        score(table, emotion, "disjoint", stream="dirty")


def test_a_clip_in_two_folds_counts_in_both(make_table, emotion):
    table = make_table()
    twice = pd.concat([table, table[table["fold"] == 0].assign(fold=9)])
    result = score(twice, emotion, "disjoint")
    assert result.clips == len(twice) // 3 and result.groups == 8
    part = twice[twice["seed"] == 1]
    assert result["uar"].seeds[1] == pytest.approx(_sklearn(part["emotion"], part["emotion/prediction"])["uar"])


def test_an_unknown_metric_lists_the_known(make_table, emotion):
    with pytest.raises(KeyError, match="accuracy, uar"):
        score(make_table(), emotion, "disjoint")["war"]
