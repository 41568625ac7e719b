"""Evaluation: from a table of predictions to scores with intervals, and to the comparison of two runs.

The contract of this package:

* What comes in is the predictions table, one row per (protocol, fold, seed, stream, id); see `predictions.py`. Nothing
  else is needed: every figure of a report can be computed again from its predictions.csv.
* A score is that of the *pooled* predictions of all folds of one seed; `value` is the mean over seeds.
* An interval is a 95 % interval over *groups* (speakers, whose clips are not independent) and seeds, or it says what else it is
  over; `intervals.py` has the equations, which every score and every difference goes by.
* Accuracy, UAR, F1 and recall are fractions in [0, 1] everywhere but in print, where they are percent.
* What is printed, written or drawn is a value here (`tables.py`); `keras_ser.reports` renders it.
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
