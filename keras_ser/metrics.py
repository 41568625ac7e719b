"""Scores, in NumPy: of classes from a confusion matrix, of numbers from six sums.

Both are additive: the matrix (or the sums) of a set of speakers is the sum of theirs, so that folds are pooled and
speakers resampled by adding. Every score therefore takes matrices (..., classes, classes) or sums (..., 6) and
returns one value per leading index. A score that is not defined (no example, no spread) is NaN, without a warning.

Words: a row of a confusion matrix is the true class, a column the predicted one. WA is `accuracy`, UA is `uar`.
"""

import numpy as np

from keras_ser.errors import UserError


def confusion(truth, predicted, classes: int, weight=None) -> np.ndarray:
    """Confusion matrix: entry (t, p) counts examples of class t that were called p.

    Args:
        truth, predicted: class indices, (examples,). A negative `truth` means a missing label and is left out.
        classes: number of classes.
        weight: (examples,), or None: 1 each.

    Returns:
        float64 (classes, classes).

    Raises:
        ValueError: lengths that differ, or an index of `classes` or more.
    """
    truth, predicted = np.ravel(truth).astype(np.int64), np.ravel(predicted).astype(np.int64)
    weight = np.ones(truth.shape) if weight is None else np.ravel(weight).astype(np.float64)
    if not truth.shape == predicted.shape == weight.shape:
        raise UserError(
            "`truth`, `predicted` and `weight` must be of one length. "
            f"Received: {truth.size}, {predicted.size}, {weight.size}."
        )
    labelled = truth >= 0
    truth, predicted, weight = truth[labelled], predicted[labelled], weight[labelled]
    if truth.size and (max(truth.max(), predicted.max()) >= classes or predicted.min() < 0):
        raise UserError(
            f"class indices must be in [0, {classes}). "
            f"Received: truth up to {truth.max()}, predicted from {predicted.min()} to {predicted.max()}."
        )
    counts = np.bincount(truth * classes + predicted, weights=weight, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


def accuracy(matrix) -> np.ndarray:
    """Share of all examples that are right (WA)."""
    matrix = np.asarray(matrix, np.float64)
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))


def recall(matrix) -> np.ndarray:
    """Share of each class's examples that are right: (..., classes), NaN for a class without examples."""
    matrix = np.asarray(matrix, np.float64)
    return _ratio(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1))


def present(matrix) -> np.ndarray:
    """Whether each class has examples: bool (..., classes)."""
    return np.asarray(matrix).sum(-1) > 0


def absent(matrix) -> np.ndarray:
    """How many classes have no example, and so are left out of `uar`."""
    return (~present(matrix)).sum(-1)


def uar(matrix) -> np.ndarray:
    """Unweighted average recall (UA): mean recall over the classes that have examples (equation 22 of ASP-MTL)."""
    there = present(matrix)
    return _ratio(np.where(there, recall(matrix), 0.0).sum(-1), there.sum(-1))


def f1(matrix) -> np.ndarray:
    """F1 of each class, (..., classes): 2 TP / (true + predicted); NaN for a class neither true nor predicted."""
    matrix = np.asarray(matrix, np.float64)
    return _ratio(2.0 * np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1) + matrix.sum(-2))


def macro_f1(matrix) -> np.ndarray:
    """Mean F1 over the classes that are true or predicted anywhere, as in scikit-learn."""
    scores = f1(matrix)
    return _ratio(np.nan_to_num(scores).sum(-1), (~np.isnan(scores)).sum(-1))


def weighted_f1(matrix) -> np.ndarray:
    """Mean F1 weighted by each class's number of examples, as in scikit-learn."""
    matrix = np.asarray(matrix, np.float64)
    return _ratio((np.nan_to_num(f1(matrix)) * matrix.sum(-1)).sum(-1), matrix.sum((-2, -1)))


def sums(truth, predicted, weight=None) -> np.ndarray:
    """The six sums that `ccc` and `rmse` need: of 1, x, y, x^2, y^2, x y, for x = truth, y = predicted.

    Args:
        truth, predicted: numbers, any shape of one size, e.g. (examples,) and (examples, 1). NaN in `truth` means a
            missing label and is left out.
        weight: likewise, or None: 1 each.

    Returns:
        float64 (6,).

    Raises:
        ValueError: sizes that differ.
    """
    x, y = np.ravel(truth).astype(np.float64), np.ravel(predicted).astype(np.float64)
    w = np.ones(x.shape) if weight is None else np.ravel(weight).astype(np.float64)
    if not x.shape == y.shape == w.shape:
        raise UserError(
            f"`truth`, `predicted` and `weight` must be of one size. Received: {x.size}, {y.size}, {w.size}."
        )
    labelled = ~np.isnan(x) & (w != 0)
    x, y, w = x[labelled], y[labelled], w[labelled]
    return np.array([w.sum(), w @ x, w @ y, w @ (x * x), w @ (y * y), w @ (x * y)])


def ccc(total) -> np.ndarray:
    """Concordance correlation coefficient (Lin 1989) from `sums` (..., 6).

    CCC = 2 cov(x, y) / (var x + var y + (mean x - mean y)^2), moments of the population.
    """
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(total, np.float64), -1, 0)
    # Multiplied by n^2: no mean is taken, so that no division can fail twice.
    spread = n * xx - x * x + n * yy - y * y + (x - y) ** 2
    return _ratio(2.0 * (n * xy - x * y), np.where(spread > 1e-12 * n * (xx + yy), spread, 0.0))


def rmse(total) -> np.ndarray:
    """Root of the mean squared error from `sums` (..., 6)."""
    n, _, _, xx, yy, xy = np.moveaxis(np.asarray(total, np.float64), -1, 0)
    return np.sqrt(_ratio(np.maximum(xx + yy - 2.0 * xy, 0.0), n))


def _ratio(numerator, denominator):
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result[()]
