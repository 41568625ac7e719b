"""An experiment: one recipe over its protocols, folds and seeds, skipping what is finished, ending in one report.

    saved_models/<recipe>-<hash>/<protocol>/fold-00-seed-0/    a run (see keras_ser.training), with its predictions.csv
    saved_models/<recipe>-<hash>/                              recipe.json, experiment.json, predictions.csv, report.md, ..

Several processes may share an experiment: each run is claimed by a lock file while it trains, and who finds a live lock goes
on with the next.
"""

from keras_ser.experiment.jobs import Job, experiment_folder, jobs, unit
from keras_ser.experiment.reporting import compare_folders, evaluate, summarise
from keras_ser.experiment.runner import run_experiment

__all__ = ["Job", "compare_folders", "evaluate", "experiment_folder", "jobs", "run_experiment", "summarise", "unit"]
