"""Reports: print, write and draw the results of `keras_ser.evaluation`.

Each function makes a `Report` (tables, notes, plots, numbers for JSON, and the predictions they follow from) from measured
results. `Report.lines()` is a short table for the terminal with at most one line of caution; `Report.save` writes every detail.
Only `render.py` renders tables, and only `pictures.py` draws plots. Nothing here imports TensorFlow.
"""

from keras_ser.reports.noise import denoising_report, robustness_report
from keras_ser.reports.report import Picture, Report
from keras_ser.reports.scores import score_report
from keras_ser.reports.systems import Swept, gain_report, sweep_picture, systems_report
from keras_ser.reports.verification import verification_report

__all__ = [
    "Picture",
    "Report",
    "Swept",
    "denoising_report",
    "gain_report",
    "robustness_report",
    "score_report",
    "sweep_picture",
    "systems_report",
    "verification_report",
]
