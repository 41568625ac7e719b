"""Scores, in NumPy: classification scores from counts, regression scores from six sums. The package computes all its scores here.

Counts and sums are additive over speakers, so that folds are pooled by addition and speakers are left out by subtraction. Every
score therefore takes matrices (..., classes, classes), or sums (..., 6), and returns one value per leading index;
`classification` takes the margins of the matrix, which suffice and are smaller with many classes. An undefined score (no
example, no spread) is NaN, without a warning.

With n_ij examples of class i predicted as j, hits h_i = n_ii, r_i = sum_j n_ij true and c_i = sum_j n_ji predicted examples,

    accuracy (WA) = sum_i h_i / sum_i r_i      recall_i = h_i / r_i      UAR (UA) = mean of recall_i over i with r_i > 0
    F1_i = 2 h_i / (r_i + c_i)      macro F1 = mean of F1_i over i with r_i + c_i > 0      weighted F1 = sum_i r_i F1_i / sum_i r_i

as in scikit-learn: a class without examples is excluded from UAR, but included in macro F1 if it is predicted.
"""

from typing import NamedTuple

import numpy as np

from keras_ser.errors import UserError


def confusion(truth, predicted, classes: int) -> np.ndarray:
    """Compute the confusion matrix: entry (t, p) counts the examples of class t predicted as p.

    Args:
        truth, predicted: class indices, (examples,). A negative `truth` means a missing label; the example is ignored.
        classes: number of classes.

    Returns:
        float64 (classes, classes).

    Raises:
        UserError: the lengths differ, or a class index is out of range.

    Example:
        >>> confusion([0, 0, 1, -1], [0, 1, 1, 0], classes=2)
        array([[1., 1.],
               [0., 1.]])
    """
    truth, predicted = np.ravel(truth).astype(np.int64), np.ravel(predicted).astype(np.int64)
    if truth.shape != predicted.shape:
        raise UserError(f"`truth` and `predicted` must be of one length. Received: {truth.size}, {predicted.size}.")
    labelled = truth >= 0
    truth, predicted = truth[labelled], predicted[labelled]
    if truth.size and (max(truth.max(), predicted.max()) >= classes or predicted.min() < 0):
        raise UserError(
            f"class indices must be in [0, {classes}). "
            f"Received: truth up to {truth.max()}, predicted from {predicted.min()} to {predicted.max()}."
        )
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


class Scores(NamedTuple):
    """Classification scores, each (...,), except `recall` and `f1`, which are (..., classes)."""

    accuracy: np.ndarray
    uar: np.ndarray
    macro_f1: np.ndarray
    weighted_f1: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def margins(matrix) -> np.ndarray:
    """Reduce confusion matrices (..., classes, classes) to hits, true and predicted examples of each class, (..., 3, classes)."""
    matrix = np.asarray(matrix, np.float64)
    return np.stack([np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2)], axis=-2)


def classification(counts) -> Scores:
    """Compute all classification scores from `margins`, (..., 3, classes)."""
    hits, true, predicted = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    total = true.sum(-1)
    recall, f1 = ratio(hits, true), ratio(2.0 * hits, true + predicted)
    return Scores(
        accuracy=ratio(hits.sum(-1), total),
        uar=_mean(recall),
        macro_f1=_mean(f1),
        weighted_f1=ratio((np.nan_to_num(f1) * true).sum(-1), total),
        recall=recall,
        f1=f1,
    )


def accuracy(matrix) -> np.ndarray:
    """Compute the accuracy (WA) from confusion matrices (..., classes, classes); returns (...,)."""
    return classification(margins(matrix)).accuracy


def uar(matrix) -> np.ndarray:
    """Compute the unweighted average recall (UA): mean recall over the classes with examples (equation 22 of ASP-MTL).

    Takes confusion matrices (..., classes, classes) and returns (...,).

    Example:
        >>> float(uar([[9, 1], [3, 1]]))  # recalls 0.9 and 0.25
        0.575
    """
    return classification(margins(matrix)).uar


def moments(truth, predicted) -> np.ndarray:
    """Return 1, x, y, x^2, y^2, x y of each example, with x = truth and y = predicted: (...,) -> (..., 6).

    Their sums are the input of `ccc` and `rmse`.
    """
    x, y = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    return np.stack([np.ones_like(y), x, y, x * x, y * y, x * y], axis=-1)


def sums(truth, predicted) -> np.ndarray:
    """Sum `moments` over the labelled examples.

    Args:
        truth, predicted: numbers, of any shapes with the same size, e.g. (examples,) and (examples, 1). NaN in `truth`
            means a missing label; the example is ignored.

    Returns:
        float64 (6,).

    Raises:
        UserError: the sizes differ.
    """
    x, y = np.ravel(truth).astype(np.float64), np.ravel(predicted).astype(np.float64)
    if x.shape != y.shape:
        raise UserError(f"`truth` and `predicted` must be of one size. Received: {x.size}, {y.size}.")
    labelled = ~np.isnan(x)
    return np.ones(labelled.sum()) @ moments(x[labelled], y[labelled])


def ccc(total) -> np.ndarray:
    """Compute the concordance correlation coefficient (Lin 1989) from `sums` (..., 6); returns (...,).

    CCC = 2 cov(x, y) / (var x + var y + (mean x - mean y)^2), with population moments.

    Example:
        >>> float(ccc(sums([1, 2, 3], [2, 3, 4])))  # off by one: 2 (2/3) / (2/3 + 2/3 + 1)
        0.5714285714285714
    """
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(total, np.float64), -1, 0)
    # Both terms are multiplied by n^2, so that there is a single division.
    spread = n * xx - x * x + n * yy - y * y + (x - y) ** 2
    return ratio(2.0 * (n * xy - x * y), np.where(spread > 1e-12 * n * (xx + yy), spread, 0.0))


def rmse(total) -> np.ndarray:
    """Compute the root mean squared error from `sums` (..., 6); returns (...,)."""
    n, _, _, xx, yy, xy = np.moveaxis(np.asarray(total, np.float64), -1, 0)
    return np.sqrt(ratio(np.maximum(xx + yy - 2.0 * xy, 0.0), n))


def ratio(numerator, denominator) -> np.ndarray:
    """Divide, with NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result[()]


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean of the defined values over the last axis."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0).sum(-1), there.sum(-1))
