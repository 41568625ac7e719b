"""Table 9 of the ASP-MTL paper: of each cascade, model 1 alone is one more system."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from keras_ser.evaluation import read_predictions, write_predictions
from keras_ser.experiment.jobs import jobs, tested
from keras_ser.experiment.stored import PREDICTIONS, read_or_refuse
from keras_ser.experiment.systems import System
from keras_ser.training import Data, Run


def with_first_alone(
    systems: Mapping[str, System], data: Data, folds: Sequence[int] | None = None
) -> dict[str, System]:
    """The systems, and of each cascade its model 1 as "B (name)"; its predictions are kept beside it, run by run."""
    found = dict(systems)
    for name, system in systems.items():
        if system.recipe.first is not None:
            found[f"B ({name})"] = replace(system, predictions=_first_alone(system, data, folds))
    return found


def _first_alone(system: System, data: Data, folds: Sequence[int] | None) -> pd.DataFrame:
    tables = []
    for job in jobs(system.recipe, data, folds):
        if (job.protocol.name, job.split.fold, job.seed) not in system.runs:
            continue
        target = system.folder / job.folder / "model_1"
        file = target / PREDICTIONS
        if not file.exists():
            write_predictions(tested(Run.load(target), data, job.protocol.name), file)
        again = "Remove it and run the command again: the trained model predicts again"
        tables.append(read_or_refuse(file, lambda file=file: read_predictions(file), again))
    return pd.concat(tables, ignore_index=True)
