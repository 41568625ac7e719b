"""Evaluation: scores with intervals, and comparisons of runs, computed from a table of predictions.

The contract of this package:

* The input is the predictions table, one row per (protocol, fold, seed, stream, id); see `predictions.py`. Nothing else is
  needed: every score of a report can be recomputed from its predictions.csv.
* A score is computed on the *pooled* predictions of all folds of one seed; `value` is the mean over seeds.
* An interval is a 95 % interval over *groups* (speakers, whose clips are not independent) and seeds, unless stated otherwise.
  All scores and differences use the equations in `intervals.py`.
* Accuracy, UAR, F1 and recall are fractions in [0, 1], except in print, where they are percentages.
* Results are values (`tables.py`); `keras_ser.reports` prints, writes and draws them.
* Pure NumPy and pandas; nothing here imports TensorFlow.
"""

from keras_ser.evaluation.comparison import Comparison, compare, corrected
from keras_ser.evaluation.group_sums import metric_names
from keras_ser.evaluation.predictions import check_predictions, read_predictions, write_predictions
from keras_ser.evaluation.scores import score

__all__ = [
    "Comparison",
    "check_predictions",
    "compare",
    "corrected",
    "metric_names",
    "read_predictions",
    "score",
    "write_predictions",
]
