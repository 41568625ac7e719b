"""Checks of a finished run, each reported in a line."""

import contextlib
import math
import tempfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.learning import LEARNED, UNKNOWN, Learning, learning_of
from keras_ser.evaluation.scores import uar_or_ccc
from keras_ser.evaluation.tables import form_of
from keras_ser.experiment.rescoring import ALL_CLIPS
from keras_ser.files import lock
from keras_ser.pipelines.sources import waveforms
from keras_ser.serving.facts import ExportError
from keras_ser.settings import of_stream
from keras_ser.tasks import Task
from keras_ser.training import Data, Run, fit, predict
from keras_ser.training.inference import OnEpoch, forward
from keras_ser.training.predictions import own_source
from keras_ser.training.run import RunError, model_file

TOLERANCE = 1e-5
LEVEL = 10  # dB
CLIPS = 8  # number of test clips predicted alone and in a batch
SIGMAS = 3.0
CONTROLS = 3  # number of controls away from chance that fail the check


class Check(NamedTuple):
    """The result of a check; `passed` is None if it does not apply to the run."""

    name: str
    passed: bool | None
    said: str


def check_run(run: Run, data: Data | None, train: bool = True, on_epoch: OnEpoch | None = None) -> Iterator[Check]:
    """Check one run, and yield each result as soon as it is known.

    * learned: optimizer steps, the scores of all sides, and the verdict of `keras_ser.evaluation.verdict` among the other runs of
      its experiment.
    * alone = in a batch: probabilities of a clip do not depend on the rest of its batch.
    * recording level: the test score if all clips are 10 dB quieter or louder, for information.
    * export: its SavedModel gives the same predictions as Keras.
    * shuffled labels: the same recipe, trained on shuffled labels of the main task, is at chance on the test set, so that nothing
      about the test clips reaches it. It takes as long as the run did, and is kept in RUN/check. A control away from chance is
      trained again in up to two other random orders: a leak would show in all of them.

    A run on all clips of its corpus has no test set: its training score and its export are checked.

    Args:
        run: a finished run.
        data: its decoded corpora; None if it was trained on all clips.
        train: whether to make the last check, which trains.
        on_epoch: see `keras_ser.training.fit`.
    """
    found = _among_others(run)
    if run.split.final:
        yield _learned(found, {"training": found.training})
        yield Check("test set", None, ALL_CLIPS)
        yield _exported(run)
        return
    model, form = run.model(), form_of(found.metric)
    task = next(task for task in run.recipe.tasks if task.name == found.task)
    tested, _ = _score(predict(model, run.recipe, data, run.split), task)
    yield _learned(found, {"training": found.training, "validation": found.validation, "test": tested})
    if run.kind == "network":
        difference = _alone(model, run, data)
        limit = TOLERANCE if run.recipe.precision == "float32" else 0.02
        yield Check(
            "alone = in a batch", difference <= limit, f"largest difference {difference:.1g}, at most {limit:g}"
        )
        levels = {gain: predict(_amplified(model, gain), run.recipe, data, run.split) for gain in (-LEVEL, LEVEL)}
        less, more = (form(_score(table, task)[0]) for table in levels.values())
        said = f"{found.metric.upper()} {form(tested)}; {less} with clips {LEVEL} dB quieter, {more} with clips {LEVEL} dB louder"
        yield Check("recording level", None, said)
    yield _exported(run)
    if train and task.name not in run.recipe.shuffle:
        yield _shuffled(run, data, task, math.isnan(tested), on_epoch)


def _shuffled(run: Run, data: Data, task: Task, unknown: bool, on_epoch: OnEpoch | None) -> Check:
    """Train controls until one is at chance: the first misses it by luck now and then, since clips of a speaker are alike."""
    name, form = "shuffled labels", form_of("ccc" if task.continuous else "uar")
    lacking = sorted({stream.corpus for stream in run.recipe.streams if stream.corpus} - set(data.auxiliary))
    if lacking:
        return Check(name, None, f"training needs {', '.join(lacking)}, no longer where it was read from")
    if unknown:
        return Check(name, None, f"no {task.name} of the test set occurs in training")
    control = run.recipe.replace(shuffle=(*run.recipe.shuffle, task.name))
    recordings = {u.id: u.column("origin") or u.id for u in data.corpus}
    values: list[str] = []
    for number in range(CONTROLS):
        target = run.folder / "check" / (f"{control.hash}-{number + 1}" if number else control.hash)
        with lock(target, wait=False) as mine:
            if not mine:
                return Check(name, None, f"another process is training this control in {target}")
            try:
                made = fit(control, data, run.split, target, run.seed + number, on_epoch=on_epoch)
            except UserError as error:  # e.g. pretrained weights that are no longer where they were
                return Check(name, None, f"cannot be trained: {error}")
        value, (chance, spread) = _score(predict(made.model(), control, data, run.split), task, recordings)
        values.append(form(value))
        if passed := abs(value - chance) <= SIGMAS * spread:
            break
    what = "CCC" if task.continuous else "UAR"
    again = " (each trained on labels in another random order)" if len(values) > 1 else ""
    said = f"{what} {', then '.join(values)}{again}, chance {form(chance)} ± {form(SIGMAS * spread)}"
    return Check(name, passed, said)


def _among_others(run: Run) -> Learning:
    """Judge a run together with the other finished runs of its experiment, as the experiment's report does."""
    every, experiment = [run], run.folder.resolve().parents[1]
    for path in sorted(experiment.glob("*/fold-*")) if (experiment / "experiment.json").exists() else ():
        if path != run.folder.resolve() and model_file(path):
            with contextlib.suppress(RunError):  # another run that is damaged
                every.append(Run.load(path))
    return learning_of(every)[0]


def _learned(found: Learning, scores: Mapping[str, float]) -> Check:
    steps = f"{found.steps} optimizer steps, " if found.steps is not None else ""
    sides = ", ".join(f"{side} {form_of(found.metric)(value)}" for side, value in scores.items())
    passed = None if found.verdict == UNKNOWN else found.verdict == LEARNED
    return Check("learned", passed, f"{steps}{found.metric.upper()}: {sides}; {found.verdict}")


def _score(
    table: pd.DataFrame, task: Task, recordings: Mapping[str, str] | None = None
) -> tuple[float, tuple[float, float]]:
    """Return UAR or CCC of a predictions table, and its mean and standard deviation by chance, for independent recordings.

    `recordings` maps a clip's id to the recording that it was cut from (default: each clip is one). The score is NaN if the table
    has no predictions of the task: identities that do not occur in training.
    """
    if f"{task.name}/prediction" not in table:
        return math.nan, (math.nan, math.nan)
    table = table if of_stream(task) else table[table["stream"] == table["stream"].iloc[0]]
    whole = table["id"].map(recordings) if recordings else pd.Series(np.arange(len(table)), table.index)
    if task.continuous:
        return uar_or_ccc(table, task), (0.0, 1 / np.sqrt(max(1, whole[table[task.name].notna()].nunique())))
    there = table[task.name] != ""
    counts = whole[there].groupby(table.loc[there, task.name]).nunique()
    chance = 1 / task.size
    spread = np.sqrt(chance * (1 - chance) * (1 / counts).sum()) / len(counts)
    return uar_or_ccc(table, task), (chance, float(spread))


def _alone(model, run: Run, data: Data) -> float:
    """Return the largest difference between a clip's predictions in a padded batch and alone."""
    source = own_source(run, data)
    infer, largest = forward(model), 0.0
    given, _ = next(iter(waveforms(source, source.draw(run.seed))))
    lengths = np.asarray(given["length"])[:CLIPS]
    waves = np.asarray(given["waveform"])[: len(lengths), : lengths.max()]
    names = [task.name for task in run.recipe.tasks]
    both = infer({"waveform": np.pad(waves, ((0, 0), (0, 1600))), "length": lengths})
    for i, length in enumerate(lengths):
        one = infer({"waveform": waves[i : i + 1, :length], "length": lengths[i : i + 1]})
        largest = max([largest, *(float(np.abs(np.asarray(both[n][i]) - np.asarray(one[n][0])).max()) for n in names)])
    return largest


def _amplified(model, gain: float):
    """Return a whole model that first amplifies its waveforms by `gain` dB."""
    import keras

    waveform, length = model.input["waveform"], model.input["length"]
    return keras.Model(model.input, model({"waveform": waveform * 10.0 ** (gain / 20), "length": length}))


def _exported(run: Run) -> Check:
    from keras_ser.serving import export, read_facts
    from keras_ser.serving.export_checks import own_and_other

    if run.kind != "network":
        return Check("export", None, "TensorFlow Serving cannot serve scikit-learn pipelines")
    try:
        with tempfile.TemporaryDirectory() as folder:
            facts = read_facts(export(run, folder))
    except ExportError as error:
        return Check("export", False, str(error))
    own, _ = own_and_other(facts["parity"])
    return Check("export", True, f"same answers as Keras, largest difference {own:.1g} at its own sample rate")
