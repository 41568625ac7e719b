"""Table 9 of the ASP-MTL paper: the whole cascade, without model 1, without model 2, and controls, in added noise."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.evaluation import read_predictions, write_predictions
from keras_ser.evaluation.systems import SystemsReport
from keras_ser.experiment.jobs import jobs, tested, unit
from keras_ser.experiment.systems import run_systems
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
            tables[f"{FIRST_ALONE} ({name})"] = _first_alone(system.recipe, data, system.folder, folds)
    protocol = next(iter(systems.values())).protocols[0].name
    return SystemsReport(
        title=f"{next(iter(systems.values())).name.split('-', 1)[0]}: ablation on {data.corpus.name}",
        tables={name: tables[name] for name in about if name in tables},
        about=about,
        task=next(iter(systems.values())).tasks[0],
        protocol=protocol,
        paper=paper or {},
        pairs=pairs,
        notes=notes,
        unit=unit(data),
    )


def _first_alone(recipe: Recipe, data: Data, folder: Path, folds: Sequence[int] | None) -> pd.DataFrame:
    """The predictions of a cascade's model 1, run by run; kept beside it."""
    assert recipe.first is not None
    tables = []
    for job in jobs(recipe, data, folds):
        target = folder / job.folder / "model_1"
        file = target / "predictions.csv"
        if not file.exists():
            table = tested(Run.load(target), data, job.protocol.name)
            write_predictions(table, file)
        tables.append(read_predictions(file))
    return pd.concat(tables, ignore_index=True)
