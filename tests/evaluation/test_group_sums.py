import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from keras_ser.evaluation import compare, score
from keras_ser.evaluation.group_sums import (
    _name_groups,
    degrees,
    left_out,
    measure,
    metric_names,
    select,
    tally,
)
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.tasks import Task


@pytest.mark.parametrize("labels", [(0, 1, 2, 3), (0, 2), (3,)])
@pytest.mark.parametrize("named", [(0, 1, 2, 3), (1, 2), (0,)])
def test_scores_are_scikit_learns_with_absent_and_predicted_only_classes(rng, emotion, labels, named):
    truth, predicted = rng.choice(labels, 90), rng.choice(named, 90)
    counts = np.zeros((3, 4))
    for t, p in zip(truth, predicted, strict=True):
        counts[0, t] += t == p
        counts[1, t] += 1
        counts[2, p] += 1
    found = dict(zip(metric_names(emotion), measure(counts, emotion), strict=True))
    recall = recall_score(truth, predicted, labels=labels, average=None, zero_division=0)
    assert found["accuracy"] == pytest.approx((truth == predicted).mean())
    assert found["uar"] == pytest.approx(recall.mean())
    assert found["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    assert found["weighted_f1"] == pytest.approx(f1_score(truth, predicted, average="weighted", zero_division=0))
    for k, label in enumerate(emotion.labels):
        expected = recall[labels.index(k)] if k in labels else np.nan
        assert found[f"recall/{label}"] == pytest.approx(expected, nan_ok=True)


def test_ccc_is_unhurt_by_a_far_mean(make_table, arousal):
    table = make_table(seeds=(0,))
    near = check_predictions(table, [arousal])
    far = near.assign(**{c: near[c] + 1e7 for c in ("arousal", "arousal/prediction")})
    values = []
    for frame in (near, far):
        items = select(frame, arousal, "disjoint", ("clean",))
        values.append(measure(tally(items, items.predicted, arousal).sum(axis=0), arousal)[0])
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)


def of_gender(holders: tuple[int, int], clips: int = 10) -> np.ndarray:
    """Sums of speakers of one gender each."""
    sums = np.zeros((sum(holders), 1, 3, 2))
    for speaker in range(sum(holders)):
        gender = int(speaker >= holders[0])
        sums[speaker, 0, 0, gender], sums[speaker, 0, 1, gender], sums[speaker, 0, 2] = 3 + speaker, clips, clips // 2
    return sums


@pytest.mark.parametrize(
    ("holders", "over_classes", "recalls"),
    [
        ((5, 5), (2 / 5) ** 2 / (2 / 25 / 4), (np.nan, np.nan)),
        ((2, 8), (1 / 2 + 1 / 8) ** 2 / (1 / 4 / 1 + 1 / 64 / 7), (np.nan, 7)),
        ((1, 9), np.nan, (np.nan, 8)),  # who is the only one of a gender has no spread
        ((2, 3), np.nan, (np.nan, np.nan)),  # five speakers
    ],
)
def test_degrees_of_classes_that_few_speakers_have(holders, over_classes, recalls):
    found = degrees(of_gender(holders), Task("gender", ("female", "male")))
    whole = sum(holders) - 1 if sum(holders) >= 6 else np.nan
    np.testing.assert_allclose(found, [whole, over_classes, over_classes, whole, *recalls])


@pytest.mark.parametrize(("alone", "free"), [(4, np.nan), (5, 9), (7, 9), (10, 9)])
def test_uar_is_a_mean_over_speakers_where_half_of_them_have_a_class_to_themselves(alone, free):
    """Of ten; the others share one class."""
    sums = np.zeros((10, 1, 3, 11))
    for speaker in range(10):
        sums[speaker, 0, :, speaker if speaker < alone else 10] = 4
    found = degrees(sums, Task("speaker", tuple("abcdefghijk")))
    np.testing.assert_array_equal(found[:4], [9, free, free, 9])


def test_uar_without_a_speaker_who_is_a_class_is_that_of_the_others(rng):
    sums = np.zeros((7, 2, 3, 7))
    hits = rng.integers(1, 10, (2, 7))
    for speaker in range(7):
        sums[speaker, :, 0, speaker], sums[speaker, :, 1, speaker], sums[speaker, :, 2] = hits[:, speaker], 10, 2
    task = Task("speaker", tuple("abcdefg"))
    found = left_out(sums, task)
    for speaker in range(7):
        np.testing.assert_allclose(found.left_out[1, speaker], np.delete(hits, speaker, axis=1).mean(axis=1) / 10)
    assert degrees(sums, task)[1] == 6


@pytest.mark.parametrize(
    ("speakers", "groups", "unit"),
    [
        (["a", "b"], ["a", "b"], "speakers"),
        (["emodb/a", "other/b"], ["a", "b"], "speakers"),
        (["a", "b"], ["x", "x"], "groups"),
        (["emodb/a", "emodb/b"], ["emodb", "emodb"], "groups"),
        (["a", "b"], ["", ""], "clips"),
    ],
)
def test_groups_are_called_speakers_where_they_are_speakers(speakers, groups, unit):
    """Also where speakers are a task's classes, which name their corpus."""
    facts = pd.DataFrame({"id": ["1", "2"], "speaker": speakers, "group": groups})
    assert _name_groups(facts)[1] == unit


def test_macro_f1_has_no_interval_where_one_speaker_alone_is_given_a_class_without_clips(make_table, emotion):
    table = make_table(clips=6)
    table = table[table["emotion"] != "joy"]
    given = {f"emotion/{label}": float(label == "joy") for label in emotion.labels} | {"emotion/prediction": "joy"}
    told = table["emotion/prediction"] == "joy"
    other = {f"emotion/{label}": float(label == "fear") for label in emotion.labels} | {"emotion/prediction": "fear"}
    table.loc[told, list(other)] = list(other.values())
    at = [table.index[(table["speaker"] == who) & (table["seed"] == 0)][0] for who in ("s01", "s02")]
    one, two, none = table.copy(), table.copy(), score(table, emotion, "disjoint")
    one.loc[at[0], list(given)] = list(given.values())
    two.loc[at, list(given)] = list(given.values())
    found = score(one, emotion, "disjoint")
    why = "no 95 % CI: joy, of which there is no clip, is predicted for one speaker only"
    assert found["macro_f1"].low is None and found["macro_f1"].without == why
    assert found["uar"].low == pytest.approx(none["uar"].low, abs=0.05) and none["macro_f1"].low is not None
    assert score(two, emotion, "disjoint")["macro_f1"].low is not None
    for pair in ((one, table), (table, one)):
        compared = compare(*pair, emotion, "macro_f1")
        assert compared.low is None and compared.p is None and compared.basis == why
