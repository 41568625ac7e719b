"""Compare two experiments by their predictions, without TensorFlow."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from keras_ser.checks import listed
from keras_ser.corpora.spelling import comparable, difference
from keras_ser.errors import RunError, UserError
from keras_ser.evaluation.learning import faults, judge, learning_table, together
from keras_ser.experiment.listing import listed_experiment
from keras_ser.experiment.stored import EXPERIMENT, PREDICTIONS, RECIPE, run_folder, stored_predictions, stored_recipe
from keras_ser.models import deterministic_model
from keras_ser.tasks import Task
from keras_ser.training.run import Run, model_file


def compare_folders(a: Path, b: Path, task: str, metric: str, protocol: str | None = None) -> str:
    """Describe the paired difference of two experiments on the same clips.

    A folder's recipe tells whether its model is deterministic; a predictions.csv alone with one seed gives no p value.

    Args:
        a, b: folders of experiments, or predictions.csv files.
        task: name of the task to compare.
        metric: name of the metric; see `keras_ser.evaluation.metric_names`.
        protocol: name of the protocol. Default: the only one that both experiments have.

    Raises:
        RunError: there are no predictions. See also `keras_ser.evaluation.compare`.
    """
    from keras_ser.evaluation import compare, read_predictions

    tables, known = [], []
    for path in (a, b):
        file = path / PREDICTIONS if path.is_dir() else path
        if not file.exists():
            raise RunError(f"expected an experiment's folder or a predictions.csv. Received: {path}.")
        if (file.parent / EXPERIMENT).exists():
            tables.append(stored_predictions(file, f"Recreate it: keras-ser evaluate {file.parent}"))
        else:
            tables.append(read_predictions(file))
        known.append((file.parent / RECIPE).exists() and deterministic_model(stored_recipe(file.parent)))
    for path, table in zip((a, b), tables, strict=True):
        if f"{task}/prediction" not in table:
            there = [c.removesuffix("/prediction") for c in table.columns if c.endswith("/prediction")]
            if not there:
                raise RunError(
                    f"expected an experiment's folder or a predictions.csv. Received: {path}, which has no predictions."
                )
            raise RunError(f"the task must be one of {', '.join(there)}. Received: {task!r}.")
    labels, others = (_labels(table, task) for table in tables)
    if sorted(labels) != sorted(others):
        raise RunError(f"the two must have the same classes of {task!r}. {_difference(labels, others)}")
    known_task = Task(task, tuple(labels)) if labels else Task(task, low=-1e9, high=1e9)
    unfinished = [
        line for name, path, table in zip("ab", (a, b), tables, strict=True) for line in _runs(name, path, table)
    ]
    try:
        found = compare(*tables, known_task, metric, protocol=protocol, deterministic=tuple(known))
    except UserError as error:
        raise RunError(" ".join([str(error), *unfinished])) from error
    trained = (
        _trained(name, path, table, found.protocol) for name, path, table in zip("ab", (a, b), tables, strict=True)
    )
    return "\n".join([*found.lines(), *unfinished, *(line for lines in trained for line in lines)])


def _runs(name: str, folder: Path, table: pd.DataFrame) -> list[str]:
    """Return sentences on an experiment's runs that are not in its table of predictions."""
    if not (folder / EXPERIMENT).exists():
        return []
    inside = len(table[["protocol", "fold", "seed"]].drop_duplicates())
    finished, asked = len(list(folder.glob(f"*/fold-*/{PREDICTIONS}"))), listed_experiment(folder).runs or 0
    told = [f"{name}: {inside} of {asked} runs are compared."] if inside < asked else []
    if inside < finished:
        told.append(
            f"{name}: {finished} runs are finished, more than were scored. Score them: keras-ser evaluate {folder}."
        )
    return told


def _labels(table: pd.DataFrame, task: str) -> list[str]:
    """Return the classes of a task that have probabilities in a table."""
    found = [c.removeprefix(f"{task}/") for c in table.columns if c.startswith(f"{task}/")]
    return [label for label in found if label != "prediction"]


def _difference(a: Sequence[str], b: Sequence[str]) -> str:
    """Describe how two sets of classes differ, or that they are the same up to case or spaces."""
    if sorted(map(comparable, a)) == sorted(map(comparable, b)):
        same = f"They are the same up to {difference((*a, *b))}: {listed(a)}; {listed(b)}."
        return f"{same} Rename the labels of one, and train it again."
    more = [("a", sorted(set(a) - set(b))), ("b", sorted(set(b) - set(a)))]
    return f"{'; '.join(f'only {name} has {listed(found)}' for name, found in more if found)}."


def _trained(name: str, folder: Path, table: pd.DataFrame, protocol: str) -> list[str]:
    """Return a line on whether an experiment's runs have learned."""
    keys = table[["protocol", "fold", "seed"]].drop_duplicates().itertuples(index=False)
    runs = [(folder if model_file(folder) else folder / run_folder(*key), *key) for key in keys]
    mine = [model_file(path) for path, its, *_ in runs if its == protocol]
    if not any(mine):
        return [f"{name}: whether its runs have learned is unknown, since only predictions were found"]
    lacking = f"; {mine.count(None)} of {len(mine)} runs unknown (no model found)" if not all(mine) else ""
    # judged with those of the other protocols, as in the experiment's report
    every = together([judge(Run.load(path)) for path, *_ in runs if model_file(path)])
    learned = [each for each in every if each.protocol == protocol]
    header, row = learning_table({"": learned}, {}).text()
    said = "; ".join(f"{what} {cell}" for what, cell in zip(header[1:], row[1:], strict=True) if what != "test")
    return [f"{name}: {said}{lacking}", *faults({name: learned})]
