import numpy as np
import pytest
from sklearn import metrics as theirs

from keras_ser import metrics


def classified(matrix):
    return metrics.classification(metrics.margins(matrix))


def labels(seed, examples=200, classes=5, missing=()):
    """Skewed classes, a skilled but biased guess; classes in `missing` are never true."""
    rng = np.random.default_rng(seed)
    share = np.arange(1, classes + 1, dtype=float) ** 2
    share[list(missing)] = 0
    truth = rng.choice(classes, examples, p=share / share.sum())
    predicted = np.where(rng.random(examples) < 0.5, truth, rng.integers(0, classes, examples))
    return truth, predicted


@pytest.mark.parametrize("missing", [(), (1,), (0, 4)])
def test_scores_against_scikit_learn(missing):
    truth, predicted = labels(0, missing=missing)
    matrix = metrics.confusion(truth, predicted, 5)
    there = sorted(set(truth))
    np.testing.assert_allclose(matrix, theirs.confusion_matrix(truth, predicted, labels=range(5)))
    np.testing.assert_allclose(metrics.accuracy(matrix), theirs.accuracy_score(truth, predicted))
    recall = theirs.recall_score(truth, predicted, labels=there, average=None)
    np.testing.assert_allclose(classified(matrix).recall[there], recall)
    assert np.isnan(classified(matrix).recall[list(missing)]).all()
    np.testing.assert_allclose(metrics.uar(matrix), recall.mean())
    np.testing.assert_allclose(classified(matrix).macro_f1, theirs.f1_score(truth, predicted, average="macro"))
    np.testing.assert_allclose(classified(matrix).weighted_f1, theirs.f1_score(truth, predicted, average="weighted"))


def test_a_class_neither_true_nor_predicted_is_in_no_mean():
    truth, predicted = labels(1)
    keep = (truth != 2) & (predicted != 2)
    matrix = metrics.confusion(truth[keep], predicted[keep], 5)
    np.testing.assert_allclose(
        classified(matrix).macro_f1, theirs.f1_score(truth[keep], predicted[keep], average="macro")
    )
    np.testing.assert_allclose(metrics.uar(matrix), theirs.balanced_accuracy_score(truth[keep], predicted[keep]))
    assert np.isnan(classified(matrix).f1[2])


def test_many_matrices_at_once_are_each_by_itself():
    matrices = np.stack([metrics.confusion(*labels(seed, missing=[seed]), 5) for seed in range(4)]).reshape(2, 2, 5, 5)
    for name, together in classified(matrices)._asdict().items():
        for i in range(2):
            for j in range(2):
                np.testing.assert_array_equal(together[i, j], getattr(classified(matrices[i, j]), name))


def test_missing_labels_are_left_out_and_wrong_ones_refused():
    truth, predicted = labels(2)
    hidden = np.where(np.arange(200) % 3, truth, -1)
    np.testing.assert_array_equal(
        metrics.confusion(hidden, predicted, 5), metrics.confusion(truth[hidden >= 0], predicted[hidden >= 0], 5)
    )
    with pytest.raises(ValueError, match=r"must be in \[0, 4\)"):
        metrics.confusion(truth, predicted, 4)
    with pytest.raises(ValueError, match="of one length. Received: 200, 199"):
        metrics.confusion(truth, predicted[1:], 5)


def test_nothing_gives_nan_without_a_warning():
    empty = np.zeros((3, 3))
    assert all(np.isnan(score).all() for score in classified(empty))
    assert np.isnan(metrics.ccc(np.zeros(6))) and np.isnan(metrics.rmse(np.zeros(6)))
    assert np.isnan(metrics.ccc(metrics.sums([0.3, 0.3], [0.3, 0.3]))), "no spread"


def numbers(seed=3, examples=60):
    rng = np.random.default_rng(seed)
    x = rng.normal(loc=3, size=examples)
    return x, 0.6 * x + rng.normal(scale=0.5, size=examples)


def test_ccc_and_rmse_against_their_definitions():
    x, y = numbers()
    expected = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    total = metrics.sums(x, y[:, None])
    np.testing.assert_allclose(metrics.ccc(total), expected, rtol=1e-10)
    np.testing.assert_allclose(metrics.rmse(total), theirs.root_mean_squared_error(x, y), rtol=1e-10)


def test_sums_add_up_over_any_partition_and_skip_missing_labels():
    x, y = numbers()
    parts = np.stack([metrics.sums(x[i::3], y[i::3]) for i in range(3)])
    np.testing.assert_allclose(metrics.ccc(parts.sum(0)), metrics.ccc(metrics.sums(x, y)), rtol=1e-12)
    np.testing.assert_array_equal(metrics.ccc(parts)[1], metrics.ccc(parts[1]))
    hidden = np.where(np.arange(60) % 4, x, np.nan)
    keep = ~np.isnan(hidden)
    np.testing.assert_allclose(metrics.sums(hidden, y), metrics.sums(x[keep], y[keep]))
    with pytest.raises(ValueError, match="of one size. Received: 60, 59"):
        metrics.sums(x, y[1:])
