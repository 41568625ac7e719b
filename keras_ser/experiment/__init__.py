"""An experiment: one recipe over its protocols, folds and seeds, skipping what is finished, ending in one report.

    saved_models/<recipe>-<hash>/<protocol>/fold-00-seed-0/    a run (see keras_ser.training), with its predictions.csv
    saved_models/<recipe>-<hash>/                              recipe.json, experiment.json, predictions.csv, report.md, ..

Several processes may work on one experiment, each with protocols, folds and seeds of its own: each run is locked while it trains,
a process that finds a run locked goes on with the next, and the last report is of all that was asked for. A run that fails leaves
failed.json in its folder and does not end the experiment; the report says which failed and why, and the next call tries them again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_ser.experiment.comparing import compare_folders

if TYPE_CHECKING:
    from keras_ser.experiment.failures import AllFailedError
    from keras_ser.experiment.planning import Job, experiment_folder, jobs, unit
    from keras_ser.experiment.reporting import summarise
    from keras_ser.experiment.rescoring import evaluate
    from keras_ser.experiment.runner import run_experiment

__all__ = [
    "AllFailedError",
    "Job",
    "compare_folders",
    "evaluate",
    "experiment_folder",
    "jobs",
    "run_experiment",
    "summarise",
    "unit",
]

# what imports TensorFlow is imported where it is used, so that finished experiments can be read without it
_HEAVY = {
    "AllFailedError": "failures",
    "Job": "planning",
    "evaluate": "rescoring",
    "experiment_folder": "planning",
    "jobs": "planning",
    "run_experiment": "runner",
    "summarise": "reporting",
    "unit": "planning",
}


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HEAVY[name]}"), name)
