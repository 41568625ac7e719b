import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import recall_score

from keras_ser.evaluation import compare, score
from tests.evaluation import slow


def _uar(table):
    return recall_score(
        table["emotion"], table["emotion/prediction"], labels=sorted(set(table["emotion"])), average="macro"
    )


@pytest.mark.parametrize("seeds", [((0, 1, 2), (5, 6)), ((0, 1), (0, 1)), ((0, 1, 2, 3), (0, 1, 2, 3, 4))])
def test_difference_interval_and_p_are_those_of_a_slow_loop(make_table, emotion, seeds):
    a, b = make_table(seeds=seeds[0], skill=1.3, draw=1), make_table(seeds=seeds[1], skill=1.0, draw=2)
    # an initialisation that is luckier than the others
    lucky = (a["seed"] == 1) & (np.arange(len(a)) % 4 == 0)
    a.loc[lucky, [f"emotion/{label}" for label in emotion.labels]] = 0.0
    for label in emotion.labels:
        a.loc[lucky & (a["emotion"] == label), ["emotion/prediction", f"emotion/{label}"]] = label, 1.0
    found = compare(a, b.sample(frac=1, random_state=1), emotion)
    first, second = (np.mean([_uar(part) for _, part in t.groupby("seed")]) for t in (a, b))
    assert (found.a, found.b) == pytest.approx((first, second))
    assert found.difference == pytest.approx(first - second)
    total, free = slow.variance(a, b, _uar, slow.degrees(a, "emotion", "uar"))
    assert (found.low, found.high) == pytest.approx(slow.interval("plain", first - second, total, free))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(first - second) / total**0.5, free))
    assert (found.groups, found.unit, found.clips) == (8, "speakers", a["id"].nunique())
    assert found.basis == f"95 % CI over 8 speakers and {len(seeds[0])} + {len(seeds[1])} seeds (t)"


def test_a_run_does_not_differ_from_itself_and_sides_swap(make_table, emotion, arousal):
    a, b = make_table(draw=1), make_table(draw=2, skill=0.7)
    for task, metric in ((emotion, "uar"), (emotion, "recall/joy"), (arousal, "ccc"), (arousal, "rmse")):
        same = compare(a, a, task, metric)
        assert (same.difference, same.p) == (0, 1)
        there, back = compare(a, b, task, metric), compare(b, a, task, metric)
        assert there.difference == pytest.approx(-back.difference)
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
        assert there.p == pytest.approx(back.p)
        assert there.a == pytest.approx(score(a, task, "disjoint")[metric].value)


def test_without_an_interval_its_reason_stands_in_its_place(make_table, emotion):
    table = make_table(clips=4)
    a = table[(table["emotion"] != "joy") | (table["speaker"] == "s02")]
    b = make_table(clips=4, draw=1).loc[a.index]
    found = compare(a, b, emotion)
    assert found.low is None and found.basis == "no 95 % CI: joy occurs with one speaker only"
    assert found.tested == "no p (joy occurs with one speaker only)"
    assert (
        compare(a, a.assign(seed=a["seed"] + 5), emotion, "accuracy").basis
        == "no 95 % CI: the difference does not vary over the speakers"
    )


def test_deterministic_systems_have_a_p_with_one_seed(make_table, emotion):
    a, b = make_table(seeds=(0,), skill=2.5, draw=1), make_table(seeds=(0,), skill=0.2, draw=2)
    found = compare(a, b, emotion, deterministic=(True, True))
    total, free = slow.variance(a, b, _uar, slow.degrees(a, "emotion", "uar"))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.difference) / total**0.5, free))
    assert found.basis == "95 % CI over 8 speakers (t)"
    same = compare(a, a, emotion, deterministic=(True, True))
    assert (same.difference, same.p, same.low) == (0, 1, None)
    # beside one whose seeds differ
    found = compare(a, b, emotion, deterministic=(True, False))
    assert found.p is None and found.low is not None
    assert found.lines()[0].endswith("no p (one seed: the spread over initialisations is not known)")
    assert found.basis == "95 % CI over 8 speakers, between these models alone (t)"
    nameless = [t.assign(group="", speaker="") for t in (a, b)]
    assert "speakers are unknown" in compare(*nameless, emotion, deterministic=(True, True)).without_p
    three = make_table(skill=0.2, draw=2)
    assert compare(a, three, emotion, deterministic=(True, False)).p is not None
    assert compare(a, three, emotion, deterministic=(False, True)).p is None


@pytest.mark.parametrize(("speakers", "smallest"), [(1, "1"), (2, "0.5"), (5, "0.062")])
def test_under_six_speakers_there_is_no_p(make_table, emotion, speakers, smallest):
    """Two test speakers once gave p = 0.001."""
    a, b = make_table(speakers=speakers, skill=3.0, draw=1), make_table(speakers=speakers, skill=0.0, draw=2)
    found = compare(a, b, emotion)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.without_p.endswith(f"the smallest that an exact test can give is {smallest}")
    assert found.basis == f"no 95 % CI: {speakers} speaker{'s' * (speakers > 1)}, and 6 are needed"
    assert "[" not in found.lines()[0]


def test_incomplete_seeds_are_left_out_and_named(make_table, emotion):
    a, b = make_table(draw=1), make_table(draw=2)
    cut = b[~((b["seed"] == 2) & (b["fold"] == 1))]
    found = compare(a, cut, emotion)
    assert "second: seed 2 is incomplete and left out." in found.notes
    alone = a[a["seed"] == 2]
    parts = [alone[alone["fold"] != fold].assign(seed=seed) for seed, fold in ((0, 0), (1, 1))]
    (told, _, left) = compare(*[pd.concat(parts)] * 2, emotion).notes[:3]
    assert told.startswith("first: no seed is complete: seed ") and told.endswith(" is compared.")
    assert found.b == pytest.approx(score(b[b["seed"] < 2], emotion, "disjoint")["uar"].value)


def test_tables_that_do_not_match_are_refused(make_table, emotion):
    a = make_table(seeds=(0,))
    fewer = a[a["speaker"] != "s03"]
    with pytest.raises(
        ValueError, match=r"14 that only one of them has: fold 1 s03/c00, .*fold 1 s03/c09 and 4 more\."
    ) as error:
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


@pytest.mark.parametrize("speakers", [5, 6])
def test_a_class_of_five_speakers_has_neither_interval_nor_p(make_table, emotion, speakers):
    """Whatever the number of speakers of the other classes."""
    a, b = make_table(draw=1, clips=3), make_table(draw=2, clips=3, skill=0.3)
    few = (a["emotion"] == "sadness") & (a["speaker"] >= f"s{speakers:02d}")
    a, b = (table.assign(emotion=table["emotion"].mask(few, "joy")) for table in (a, b))
    assert a.loc[a["emotion"] == "sadness", "speaker"].nunique() == speakers
    found = compare(a, b, emotion, "recall/sadness")
    assert all((value is None) == (speakers < 6) for value in (found.low, found.high, found.p))
    assert compare(a, b, emotion, "accuracy").p is not None


def test_several_protocols_need_a_name(make_table, emotion):
    a = make_table(seeds=(0,), protocols=("disjoint", "random"), draw=1)
    b = make_table(seeds=(0,), protocols=("disjoint", "random"), draw=2)
    with pytest.raises(ValueError, match="several protocols: disjoint, random. Choose one, --protocol random"):
        compare(a, b, emotion)
    with pytest.raises(ValueError, match="`protocol` must be one of disjoint, random. Received: 'paper'"):
        compare(a, b, emotion, protocol="paper")
    first, second = a[a["protocol"] == "disjoint"], b[b["protocol"] == "random"]
    with pytest.raises(
        ValueError, match="must share a protocol. Received: disjoint in the first, random in the second"
    ):
        compare(first, second, emotion)
    assert compare(a, second, emotion).protocol == "random", "the only one of both"
    one = compare(a, b, emotion, protocol="random")
    keep = [t[t["protocol"] == "random"] for t in (a, b)]
    assert one == compare(*keep, emotion)


def test_streams_may_have_other_names(make_table, emotion):
    """The same clips, called "main" by one recipe and "clean" by another, which has a noisy stream beside it."""
    a, b, noisy = make_table(draw=1), make_table(draw=2, skill=0.6), make_table(draw=3, streams=("noisy",))
    expected = compare(a, b, emotion)
    found = compare(a.assign(stream="main"), pd.concat([b, noisy]), emotion)
    assert (found.difference, found.low, found.high) == (expected.difference, expected.low, expected.high)
    assert "The first is scored on its stream 'main', the second on its stream 'clean'." in found.notes
