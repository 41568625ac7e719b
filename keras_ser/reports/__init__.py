"""Reports: the one package that prints, writes and draws what `keras_ser.evaluation` computes.

The contract: a function makes a `Report` (tables, notes, pictures, figures for JSON, the predictions they follow from) from
what was measured. `Report.lines()` is a short table for the terminal with at most one line of caution; `Report.save` writes every
detail. A table is rendered by `render.py`, a picture by `pictures.py`, and by nothing else. Nothing here imports TensorFlow.
"""

from keras_ser.reports.noise import denoising_report, robustness_report
from keras_ser.reports.report import Picture, Report
from keras_ser.reports.scores import score_report
from keras_ser.reports.systems import Swept, gain_report, systems_report
from keras_ser.reports.verification import verification_report

__all__ = [
    "Picture",
    "Report",
    "Swept",
    "denoising_report",
    "gain_report",
    "robustness_report",
    "score_report",
    "systems_report",
    "verification_report",
]
