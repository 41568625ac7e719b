"""Table 9 of the ASP-MTL paper: the whole cascade, without model 1, without model 2, and controls, in added noise."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.evaluation import read_predictions, write_predictions
from keras_ser.evaluation.systems import SystemsReport
from keras_ser.experiment.jobs import jobs, tested, unit
from keras_ser.experiment.stored import PREDICTIONS, read_or_refuse
from keras_ser.experiment.systems import System, run_systems
from keras_ser.recipe import Recipe
from keras_ser.training import Data, Run

FIRST_ALONE = "B"


def run_ablation(
    systems: Mapping[str, Recipe],
    data: Data,
    out: Path | str,
    *,
    about: Mapping[str, str],
    paper: Mapping[str, Mapping[str, float]] | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    folds: Sequence[int] | None = None,
    notes: Sequence[str] = (),
    on_job: Callable[[int, int, Any], None] | None = None,
    read_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> SystemsReport:
    """Train every system that is not finished, each in its own experiment, and compare them on the same clips.

    Args:
        systems: name -> recipe; all have the same protocol, the same main stream and the same main task. Of each cascade,
            model 1 alone is scored, too, as "B (name)".
        data: the corpora.
        out: where the experiments go.
        about: system -> what it is, "B (name)" among them.
        paper, pairs, notes: see `SystemsReport`.
        folds, on_job, read_options, **options: see `run_experiment`.
    """
    found = run_systems(systems, data, out, folds=folds, on_job=on_job, read_options=read_options, **options)
    tables: dict[str, pd.DataFrame] = {}
    for name, system in found.items():
        tables[name] = system.predictions
        if f"{FIRST_ALONE} ({name})" in about:
            tables[f"{FIRST_ALONE} ({name})"] = _first_alone(system, data, folds)
    first = next(iter(found.values()))
    return SystemsReport(
        title=f"{first.recipe.name.split('-', 1)[0]}: ablation on {data.corpus.name}",
        tables={name: tables[name] for name in about if name in tables},
        about=about,
        task=first.recipe.tasks[0],
        protocol=first.recipe.protocols[0].name,
        paper=paper or {},
        pairs=[pair for pair in pairs if set(pair) <= set(tables)],
        notes=[*first.missing, *notes],
        unit=unit(data),
    )


def _first_alone(system: System, data: Data, folds: Sequence[int] | None) -> pd.DataFrame:
    """The predictions of a cascade's model 1, run by run; kept beside it."""
    assert system.recipe.first is not None
    tables = []
    for job in jobs(system.recipe, data, folds):
        if (job.protocol.name, job.split.fold, job.seed) not in system.runs:
            continue
        target = system.folder / job.folder / "model_1"
        file = target / PREDICTIONS
        if not file.exists():
            table = tested(Run.load(target), data, job.protocol.name)
            write_predictions(table, file)
        again = "Remove it and run the command again: the trained model predicts again"
        tables.append(read_or_refuse(file, lambda file=file: read_predictions(file), again))
    return pd.concat(tables, ignore_index=True)
