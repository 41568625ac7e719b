"""Scores, in NumPy: of classes from counts, of numbers from six sums. Every score of the package is computed here.

Both are additive: the counts (or the sums) of a set of speakers are the sum of theirs, so that folds are pooled and speakers
left out by adding. Every score therefore takes matrices (..., classes, classes), or sums (..., 6), and returns one value per
leading index; `classification` takes the margins of the matrix, which are enough where there are many classes. A score that is
not defined (no example, no spread) is NaN, without a warning.

With n_ij examples of class i called j, hits h_i = n_ii, r_i = sum_j n_ij true and c_i = sum_j n_ji predicted ones,

    accuracy (WA) = sum_i h_i / sum_i r_i      recall_i = h_i / r_i      UAR (UA) = mean of recall_i over i with r_i > 0
    F1_i = 2 h_i / (r_i + c_i)      macro F1 = mean of F1_i over i with r_i + c_i > 0      weighted F1 = sum_i r_i F1_i / sum_i r_i

as in scikit-learn: a class that no example has is not in UAR, and is in macro F1 where it is predicted.
"""

from typing import NamedTuple

import numpy as np

from keras_ser.errors import UserError


def confusion(truth, predicted, classes: int) -> np.ndarray:
    """Confusion matrix: entry (t, p) counts examples of class t that were called p.

    Args:
        truth, predicted: class indices, (examples,). A negative `truth` means a missing label and is left out.
        classes: number of classes.

    Returns:
        float64 (classes, classes).

    Raises:
        UserError: lengths that differ, or an index of `classes` or more.

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
    """The scores of a classification: (...,) each, `recall` and `f1` (..., classes)."""

    accuracy: np.ndarray
    uar: np.ndarray
    macro_f1: np.ndarray
    weighted_f1: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def margins(matrix) -> np.ndarray:
    """What the scores need of confusion matrices: hits, true and predicted examples of each class, (..., 3, classes)."""
    matrix = np.asarray(matrix, np.float64)
    return np.stack([np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2)], axis=-2)


def classification(counts) -> Scores:
    """All scores of `margins`, (..., 3, classes)."""
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
    """Share of all examples that are right (WA)."""
    return classification(margins(matrix)).accuracy


def uar(matrix) -> np.ndarray:
    """Unweighted average recall (UA): mean recall over the classes that have examples (equation 22 of ASP-MTL).

    Example:
        >>> float(uar([[9, 1], [3, 1]]))  # recalls 0.9 and 0.25
        0.575
    """
    return classification(margins(matrix)).uar


def moments(truth, predicted) -> np.ndarray:
    """1, x, y, x^2, y^2, x y of each example, for x = truth, y = predicted: (...,) -> (..., 6). Their sums are what `ccc` and
    `rmse` take."""
    x, y = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    return np.stack([np.ones_like(y), x, y, x * x, y * y, x * y], axis=-1)


def sums(truth, predicted) -> np.ndarray:
    """The sums of `moments`.

    Args:
        truth, predicted: numbers, any shape of one size, e.g. (examples,) and (examples, 1). NaN in `truth` means a
            missing label and is left out.

    Returns:
        float64 (6,).

    Raises:
        UserError: sizes that differ.
    """
    x, y = np.ravel(truth).astype(np.float64), np.ravel(predicted).astype(np.float64)
    if x.shape != y.shape:
        raise UserError(f"`truth` and `predicted` must be of one size. Received: {x.size}, {y.size}.")
    labelled = ~np.isnan(x)
    return np.ones(labelled.sum()) @ moments(x[labelled], y[labelled])


def ccc(total) -> np.ndarray:
    """Concordance correlation coefficient (Lin 1989) from `sums` (..., 6).

    CCC = 2 cov(x, y) / (var x + var y + (mean x - mean y)^2), moments of the population.

    Example:
        >>> float(ccc(sums([1, 2, 3], [2, 3, 4])))  # off by one: 2 (2/3) / (2/3 + 2/3 + 1)
        0.5714285714285714
    """
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(total, np.float64), -1, 0)
    # Multiplied by n^2: no mean is taken, so that no division can fail twice.
    spread = n * xx - x * x + n * yy - y * y + (x - y) ** 2
    return ratio(2.0 * (n * xy - x * y), np.where(spread > 1e-12 * n * (xx + yy), spread, 0.0))


def rmse(total) -> np.ndarray:
    """Root of the mean squared error from `sums` (..., 6)."""
    n, _, _, xx, yy, xy = np.moveaxis(np.asarray(total, np.float64), -1, 0)
    return np.sqrt(ratio(np.maximum(xx + yy - 2.0 * xy, 0.0), n))


def ratio(numerator, denominator) -> np.ndarray:
    """numerator / denominator, NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result[()]


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of what is defined."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0).sum(-1), there.sum(-1))
