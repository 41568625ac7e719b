"""Error rates of verification, as loops and scikit-learn give them."""

import numpy as np
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn import metrics as sk


def brute(scores, same):
    """(threshold, false alarm, miss) for every threshold that can matter."""
    for t in sorted({*scores, np.inf}, reverse=True):
        yield t, np.mean(scores[~same] >= t), np.mean(scores[same] < t)


def root(scores, same):
    """The EER as speaker verification toolkits find it."""
    false_alarm, hit, _ = sk.roc_curve(same, scores)
    return brentq(lambda x: 1 - x - interp1d(false_alarm, hit)(x), 0, 1)
