import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from keras_ser.evaluation import compare, score


def test_difference_interval_and_p_are_those_of_a_slow_loop(make_table, emotion):
    a, b = make_table(seeds=(0, 1), skill=1.3, draw=1), make_table(seeds=(5, 6, 7), skill=1.0, draw=2)
    found = compare(a, b.sample(frac=1, random_state=1), emotion, resamples=50, seed=8)
    groups = sorted(a["group"].unique())

    def uar(table):
        parts = [(p["emotion"], p["emotion/prediction"]) for _, p in table.groupby("seed")]
        return np.mean([recall_score(t, p, labels=sorted(set(t)), average="macro") for t, p in parts])

    differences = []
    for draw in np.random.default_rng(8).integers(8, size=(50, 8)):
        first, second = (pd.concat([t[t["group"] == groups[g]] for g in draw]) for t in (a, b))
        differences.append(uar(first) - uar(second))
    differences = np.array(differences)
    assert (found.a, found.b) == pytest.approx((uar(a), uar(b)))
    assert found.difference == pytest.approx(uar(a) - uar(b))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])))
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    assert found.p == pytest.approx(min(1, 2 * (1 + tail) / 51))
    assert (found.groups, found.unit, found.clips) == (8, "speakers", a["id"].nunique())
    assert (found.seeds_a, found.seeds_b) == ((0, 1), (5, 6, 7))
    assert found.too_narrow and "8 speakers: likely too narrow" in found.notes[0]


def test_a_run_does_not_differ_from_itself_and_sides_swap(make_table, emotion, arousal):
    a, b = make_table(draw=1), make_table(draw=2, skill=0.7)
    for task, metric in ((emotion, "uar"), (emotion, "recall/joy"), (arousal, "ccc"), (arousal, "rmse")):
        same = compare(a, a, task, metric)
        assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
        there, back = compare(a, b, task, metric), compare(b, a, task, metric)
        assert there.difference == pytest.approx(-back.difference)
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
        assert there.p == pytest.approx(back.p)
        assert there.a == pytest.approx(score(a, task, "disjoint")[metric].value)


def test_pairing_is_narrower_than_two_intervals(make_table, emotion, name_label):
    """B is A but for a few clips: speakers differ a lot, the difference hardly."""
    a = make_table(speakers=20)
    b = a.copy()
    name_label(b, emotion, b["id"].str.endswith("c01"), "anger")
    found, alone = compare(a, b, emotion), score(a, emotion, "disjoint")["uar"]
    assert found.high - found.low < 0.7 * (alone.high - alone.low)


def test_a_clear_difference_is_found_and_no_difference_is_not(make_table, emotion):
    strong, weak = make_table(skill=2.5, draw=1, speakers=20), make_table(skill=0.5, draw=2, speakers=20)
    found = compare(strong, weak, emotion, resamples=999)
    assert found.low > 0 and found.p == pytest.approx(2 / 1000) and not found.too_narrow
    again = compare(make_table(draw=3, speakers=20), make_table(draw=4, speakers=20), emotion)
    assert again.p > 0.05 and again.low < 0 < again.high


def test_incomplete_seeds_are_left_out_and_named(make_table, emotion):
    a, b = make_table(draw=1), make_table(draw=2)
    cut = b[~((b["seed"] == 2) & (b["fold"] == 1))]
    found = compare(a, cut, emotion)
    assert found.seeds_b == (0, 1) and "second: seed 2 is incomplete and left out." in found.notes
    assert found.b == pytest.approx(score(b[b["seed"] < 2], emotion, "disjoint")["uar"].value)


def test_tables_that_do_not_match_are_refused(make_table, emotion):
    a = make_table(seeds=(0,))
    fewer = a[a["speaker"] != "s03"]
    with pytest.raises(ValueError, match=r"14 that only one of them has: fold 1 s03/c00, .*fold 1 s03/c09\.") as error:
        compare(a, fewer, emotion)
    assert str(error.value).count("fold 1") == 10
    other = a.assign(emotion=a["emotion"].where(a["id"] != "s02/c04", "joy"))
    if other["emotion"].equals(a["emotion"]):
        other = a.assign(emotion=a["emotion"].where(a["id"] != "s02/c04", "fear"))
    with pytest.raises(ValueError, match=r"same truth .*1 that differ: fold 1 s02/c04\."):
        compare(a, other, emotion)
    with pytest.raises(ValueError, match="same group"):
        compare(a, a.assign(group="x"), emotion)
    with pytest.raises(ValueError, match="`metric` of task 'emotion' must be one of accuracy, uar"):
        compare(a, a, emotion, "ccc")
    with pytest.raises(ValueError, match="none in the second"):
        compare(a, a.assign(emotion=""), emotion)
    with pytest.raises(ValueError, match="none in the first"):
        compare(a.assign(emotion=""), a, emotion)


def test_several_protocols_need_a_name(make_table, emotion):
    a = make_table(seeds=(0,), protocols=("disjoint", "random"), draw=1)
    b = make_table(seeds=(0,), protocols=("disjoint", "random"), draw=2)
    with pytest.raises(ValueError, match="`protocol` must be one of disjoint, random. Received: None"):
        compare(a, b, emotion)
    one = compare(a, b, emotion, protocol="random")
    keep = [t[t["protocol"] == "random"] for t in (a, b)]
    assert one == compare(*keep, emotion)


def test_streams_may_have_other_names(make_table, emotion):
    """The same clips, called "main" by one recipe and "clean" by another, which has a noisy stream beside it."""
    a, b, noisy = make_table(draw=1), make_table(draw=2, skill=0.6), make_table(draw=3, streams=("noisy",))
    expected = compare(a, b, emotion, resamples=100)
    found = compare(a.assign(stream="main"), pd.concat([b, noisy]), emotion, resamples=100)
    assert (found.difference, found.low, found.high) == (expected.difference, expected.low, expected.high)
    assert "The first is scored on its stream 'main', the second on its stream 'clean'." in found.notes
    with pytest.raises(ValueError, match="the stream for task 'emotion' must be one of main"):
        compare(a.assign(stream="main"), b, emotion, stream="clean")
