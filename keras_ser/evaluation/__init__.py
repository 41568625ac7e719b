"""Evaluation: from a table of predictions to scores with intervals, a comparison of two runs, and a report on disk.

The contract of this room:

* What comes in is the predictions table, one row per (protocol, fold, seed, stream, id); see `predictions.py`. Nothing
  else is needed: every figure of a report can be computed again from its predictions.csv.
* A score is that of the *pooled* predictions of all folds of one seed; `value` is the mean over seeds.
* An interval is a 95 % percentile bootstrap over *groups* (speakers), for the mean over seeds: a speaker's clips are
  drawn together, since they are not independent. Without groups it is over clips, and the report says so.
* Accuracy, UAR, F1 and recall are fractions in [0, 1] everywhere but in print, where they are percent.
* Pure NumPy, pandas and Matplotlib without pyplot; nothing here imports TensorFlow.
"""

from keras_ser.evaluation.bootstrap import FEW_GROUPS, RESAMPLES, interval, p_value, resample, weights
from keras_ser.evaluation.comparison import Comparison, compare
from keras_ser.evaluation.measures import metric_names
from keras_ser.evaluation.predictions import check_predictions, read_predictions, write_predictions
from keras_ser.evaluation.report import Report, report
from keras_ser.evaluation.scores import Confusion, Score, Subset, TaskScores, score

__all__ = [
    "FEW_GROUPS",
    "RESAMPLES",
    "Comparison",
    "Confusion",
    "Report",
    "Score",
    "Subset",
    "TaskScores",
    "check_predictions",
    "compare",
    "interval",
    "metric_names",
    "p_value",
    "read_predictions",
    "report",
    "resample",
    "score",
    "weights",
    "write_predictions",
]
