import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from keras_ser.evaluation.measures import Items, _name_groups, measure, measure_resamples, metric_names, select, tally
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.tasks import Task


def test_sums_are_of_the_groups(make_table, emotion):
    table = check_predictions(make_table(seeds=(4, 9)), [emotion])
    items = select(table, emotion, "disjoint", "clean")
    assert isinstance(items, Items)
    sums = tally(items, items.predicted, emotion)
    assert sums.shape == (8, 2, 3, 4)
    for g, group in enumerate(sorted(table["group"].unique())):
        for s, seed in enumerate((4, 9)):
            part = table[(table["group"] == group) & (table["seed"] == seed)]
            for k, label in enumerate(emotion.labels):
                true, named = part["emotion"] == label, part["emotion/prediction"] == label
                assert sums[g, s, :, k].tolist() == [(true & named).sum(), true.sum(), named.sum()]


@pytest.mark.parametrize("labels", [(0, 1, 2, 3), (0, 2), (3,)])
def test_classes_without_clips_are_left_out(rng, emotion, labels):
    truth, predicted = rng.choice(labels, 90), rng.integers(4, size=90)
    counts = np.zeros((3, 4))
    for t, p in zip(truth, predicted, strict=True):
        counts[0, t] += t == p
        counts[1, t] += 1
        counts[2, p] += 1
    found = dict(zip(metric_names(emotion), measure(counts, emotion), strict=True))
    _, recall, f1, _ = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    weighted = f1_score(truth, predicted, labels=labels, average="weighted", zero_division=0)
    assert found["accuracy"] == pytest.approx((truth == predicted).mean())
    assert found["uar"] == pytest.approx(recall.mean())
    assert found["macro_f1"] == pytest.approx(f1.mean())
    assert found["weighted_f1"] == pytest.approx(weighted)
    for k, label in enumerate(emotion.labels):
        expected = recall[labels.index(k)] if k in labels else np.nan
        assert found[f"recall/{label}"] == pytest.approx(expected, nan_ok=True)


def test_ccc_is_unhurt_by_a_far_mean(make_table, arousal):
    table = make_table(seeds=(0,))
    near = check_predictions(table, [arousal])
    far = near.assign(**{c: near[c] + 1e7 for c in ("arousal", "arousal/prediction")})
    values = []
    for frame in (near, far):
        items = select(frame, arousal, "disjoint", "clean")
        values.append(measure(tally(items, items.predicted, arousal).sum(axis=0), arousal)[0])
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)


def test_ccc_of_constants_is_undefined(arousal):
    sums = np.array([5.0, 0, 0, 0, 0, 0, 0])  # five clips, truth and prediction always 0
    ccc, rmse = measure(sums, arousal)
    assert np.isnan(ccc) and rmse == 0


def test_resamples_that_lack_a_class(rng):
    """Two speakers of each gender: one draw in eight knows one gender only, whose UAR would be that class's recall."""
    task = Task("gender", ("female", "male"))
    sums = np.zeros((4, 1, 3, 2))
    for speaker, (gender, hits) in enumerate([(0, 9), (0, 8), (1, 1), (1, 2)]):
        sums[speaker, 0, 0, gender], sums[speaker, 0, 1, gender], sums[speaker, 0, 2] = hits, 10, 10
    found = measure_resamples(sums, task, 4000, 1)
    lacks = np.isnan(found[:, 0, 1])
    assert lacks.mean() == pytest.approx(1 / 8, abs=0.02) and np.array_equal(
        lacks, np.isnan(found[:, 0, 4:]).any(axis=1)
    )
    assert (np.nanmin(found[:, 0, 1]), np.nanmax(found[:, 0, 1])) == pytest.approx((0.45, 0.55))
    assert not np.isnan(found[:, 0, 0]).any()
    # each speaker a class of its own: nearly every resample lacks one, and its UAR is of those drawn
    sums = np.zeros((5, 2, 3, 5))
    hits = rng.integers(1, 10, (2, 5))
    for speaker in range(5):
        sums[speaker, :, 0, speaker], sums[speaker, :, 1, speaker], sums[speaker, :, 2] = hits[:, speaker], 10, 2
    found = measure_resamples(sums, Task("speaker", tuple("abcde")), 50, 2)
    drawn = np.random.default_rng(2).integers(5, size=(50, 5))
    for row, values in zip(drawn, found, strict=True):
        np.testing.assert_allclose(values[:, 1], hits[:, sorted(set(row))].mean(axis=1) / 10)


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
