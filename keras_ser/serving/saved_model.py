"""`export`: write a run's model, or the mean of several, as a SavedModel for TensorFlow Serving: audio in, named probabilities
out.

    exports/NAME/VERSION/
        saved_model.pb, variables/
        assets/keras_ser.json                       labels, rates, recipe, metrics; `read_facts` needs no TensorFlow
        assets.extra/tf_serving_warmup_requests     replayed by the server when it loads the model

The signatures are defined in `signatures`; `embed` returns the pooled shared features.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ser._version import __version__
from keras_ser.audio.waveforms import SHORTEST_SECONDS
from keras_ser.checks import check_name
from keras_ser.errors import UserError
from keras_ser.files import TEMPORARY, remove_parts, user_path
from keras_ser.machine import check_backend
from keras_ser.serving.facts import FACTS, FORMAT, ExportError, centre_seconds

if TYPE_CHECKING:
    from keras_ser.settings import FrontendConfig
    from keras_ser.training.run import Run

MAX_SECONDS = 60.0
SHORTEST, LONGEST = 0.1, 36000.0  # limits of `max_seconds`: the sample count of a far longer clip overflows an int32


def export(
    run: Run | str | os.PathLike | Iterable[Run | str | os.PathLike],
    out: str | os.PathLike = "exports",
    name: str | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Path:
    """Write a run's model as a SavedModel. The export gets its version number only after its predictions equal Keras's.

    Args:
        run: A finished run, or its folder; several are served as one graph, the mean of their probabilities (see `averaging`).
        out: Folder of all exports.
        name: Name of the model. Default: the (first) recipe's.
        max_seconds: Longest clip that the export accepts.

    Returns:
        out/NAME/VERSION, where VERSION is the next integer.

    Raises:
        ExportError: A prediction differs from Keras's, the graph holds an op that a stock server lacks, or the run is not a
            network. Nothing is left on disk.
        UserError: there is no run, `name` is not a valid folder name, `max_seconds` is out of range, the backend is not
            TensorFlow, or the runs have other tasks, classes or sample rates.
    """
    from keras_ser.serving.averaging import check_together
    from keras_ser.serving.export_checks import LOOSE, TOLERANCE, check_ops, check_parity

    runs = _runs(run)
    for each in runs:
        if each.kind != "network":
            raise ExportError(
                f"{each.folder} holds scikit-learn pipelines, which TensorFlow Serving cannot serve: use keras-ser predict."
            )
    check_together(runs)
    name = runs[0].recipe.name if name is None else name
    check_name("a model", name)
    check_backend("a SavedModel")
    if not SHORTEST <= max_seconds <= LONGEST:
        raise UserError(f"`max_seconds` must be from {SHORTEST:g} to {LONGEST:g}. Received: {max_seconds}.")
    models = [each.model() for each in runs]
    for model in models:
        _prepare(model)
    rate = runs[0].recipe.frontend.sample_rate
    home = user_path(out) / name
    home.mkdir(parents=True, exist_ok=True)
    remove_parts(home)
    part = home / f".{uuid.uuid4().hex[:12]}{TEMPORARY}"  # a server that watches the folder loads integers only
    try:
        _save(part, models, *_functions(runs, models), rate, max_seconds)
        ops = check_ops(part)
        tolerance = TOLERANCE if all(each.recipe.precision == "float32" for each in runs) else LOOSE
        parity = check_parity(part, *_reference(runs), rate, tolerance, max_seconds)
        facts = _facts(runs, name, max_seconds) | {"parity": parity, "tolerance": tolerance, "ops": sorted(ops)}
        (part / FACTS).parent.mkdir(exist_ok=True)
        (part / FACTS).write_text(json.dumps(facts, indent=1))
        _warm_up(part, name, rate, max_seconds)
        return _number(part, home)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):  # it holds another version, or another export is being written
            home.rmdir()


def _runs(given: Any) -> list[Run]:
    """Runs from what `export` takes."""
    from keras_ser.training.run import Run

    every = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if not every or not all(isinstance(each, Run | str | os.PathLike) for each in every):
        received = ", ".join(sorted({type(each).__name__ for each in every})) or "an empty sequence"
        raise UserError(f"expected a run, its folder, or several of them. Received: {received}.")
    return [each if isinstance(each, Run) else Run.load(Run.find(each)) for each in every]


def _prepare(model) -> None:
    """Remove what a server cannot run, and what every request would update.

    cuDNN's op would be traced where a GPU is visible, and fails on CPU. The trackers of losses that layers log would count on:
    `training=None` does not prevent that in a cascade: its first dropout layer's default, False, holds for all later layers.
    """
    from keras_ser.layers import OrthogonalityLoss

    for layer in _layers_inside(model):
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False
        if isinstance(layer, OrthogonalityLoss):
            layer.tracker = None


def _layers_inside(layer) -> Iterator:
    """Yield a layer and every layer inside it once: those of a model, and those in a layer's attributes and lists.

    Keras has no public access to a layer's sublayers.
    """
    import keras

    found, waiting = {}, [layer]
    while waiting:
        each = waiting.pop()
        if id(each) in found:
            continue
        found[id(each)] = each
        held = [each.layers] if isinstance(each, keras.Model) else [v for k, v in vars(each).items() if k[0] != "_"]
        for value in held:
            waiting += [x for x in (value if isinstance(value, list) else [value]) if isinstance(x, keras.layers.Layer)]
    yield from found.values()


def _functions(runs: Sequence[Run], models: Sequence):
    """(score, embed) as graphs: {"waveform", "length"} -> predictions, and -> {"embedding"}."""
    import tensorflow as tf

    from keras_ser.serving.averaging import averaged, embeddings
    from keras_ser.serving.signatures import answers

    tasks = runs[0].recipe.tasks
    names = {task.name for task in tasks}
    named = answers(tasks, sorted({name for model in models for name in model.output} - names))
    score = averaged(runs, models) if len(runs) > 1 else partial(models[0], training=False)
    embed = embeddings(runs, models)
    spec = {"waveform": tf.TensorSpec((None, None), tf.float32), "length": tf.TensorSpec((None,), tf.int32)}
    traced = tf.function(input_signature=[spec], autograph=False)
    return (
        traced(lambda given: named(score(given))),
        traced(lambda given: {"embedding": tf.cast(embed(given), tf.float32)}),
    )


def _reference(runs: Sequence[Run]):
    """Return the reference for the export: `_functions` of a freshly loaded run, or the mean of several runs' predictions."""
    import tensorflow as tf

    from keras_ser.serving.averaging import mean
    from keras_ser.serving.signatures import answers

    alone = [_functions([run], [run.model()]) for run in runs]
    if len(runs) == 1:
        return alone[0]
    tasks = runs[0].recipe.tasks

    def score(given):
        found = [score(given) for score, _ in alone]
        names = {t.name: f"{t.name}/{'value' if t.continuous else 'probabilities'}" for t in tasks}
        means = {task: mean([each[name] for each in found]) for task, name in names.items()}
        flags = {name for each in found for name in each if "/" not in name}
        means |= {t.name: means[t.name][:, None] for t in tasks if t.continuous}
        any_of = {name: tf.reduce_any([each[name] for each in found if name in each], axis=0) for name in flags}
        return answers(tasks, sorted(flags))(means | any_of)

    return score, lambda given: {"embedding": tf.concat([embed(given)["embedding"] for _, embed in alone], axis=-1)}


def _save(folder: Path, models: Sequence, score, embed, sample_rate: int, max_seconds: float) -> None:
    import tensorflow as tf

    from keras_ser.serving.signatures import from_bytes, from_waveforms

    module = tf.Module()
    module.tracked = [variable.value for model in models for variable in model.variables]
    predict_bytes = from_bytes(score, sample_rate, max_seconds)
    signatures = {
        "serving_default": predict_bytes,
        "predict_bytes": predict_bytes,
        "predict": from_waveforms(score, sample_rate, max_seconds),
        "embed": from_waveforms(embed, sample_rate, max_seconds),
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _facts(runs: Sequence[Run], name: str, max_seconds: float) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    run = runs[0]
    several = [_facts_of_run(each) for each in runs]
    return {
        "format": FORMAT,
        "name": name,
        "keras_ser": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "sample_rate": run.recipe.frontend.sample_rate,
        "minimum_samples": _shortest(each for run in runs for each in run.recipe.every_frontend),
        "max_seconds": max_seconds,
        "centre_seconds": centre_seconds(run.recipe.frontend.seconds for run in runs),
        "tasks": [task.to_dict() for task in run.recipe.tasks],
        "recipe": json.loads(run.recipe.to_json()),
        "run": several[0],
        # the mean has not been tested; each run's metrics are in "runs"
        "metrics": _metrics(run) if len(runs) == 1 else {},
    } | (
        {"runs": [each | {"metrics": _metrics(run)} for each, run in zip(several, runs, strict=True)]}
        if len(runs) > 1
        else {}
    )


def _shortest(frontends: Iterable[FrontendConfig]) -> int:
    """Return the least number of samples of a clip that all front ends describe and that `predict` does not call too short."""
    return max(max(each.window, round(SHORTEST_SECONDS * each.sample_rate)) for each in frontends)


def _facts_of_run(run: Run) -> dict[str, Any]:
    return {"protocol": run.split.protocol, "fold": run.split.fold, "seed": run.seed}


def _metrics(run: Run) -> dict[str, Any]:
    """UAR and accuracy on the run's own test set, each task on the stream that a report scores it on.

    Includes the number of test speakers, and whether the training set shares them.
    """
    from keras_ser.evaluation import read_predictions
    from keras_ser.evaluation.scores import score
    from keras_ser.experiment.stored import PREDICTIONS
    from keras_ser.training.predictions import judged

    file = run.folder / PREDICTIONS
    # no metrics if the test set selected the model
    if not file.exists() or run.split.chosen_on_test:
        return {}
    table = read_predictions(file)
    speakers = set(table["speaker"]) - {""}
    found: dict[str, Any] = {"speaker_dependent": run.split.speaker_dependent, "speakers": len(speakers)}
    for task in judged(run.recipe.tasks, run.split):
        known = task.name in table and not task.continuous
        result = score(table, task, table["protocol"].iloc[0]) if known else None
        if result:
            found[task.name] = {name: result[name].value for name in ("uar", "accuracy")} | {"clips": result.clips}
    return found


def _warm_up(folder: Path, name: str, sample_rate: int, max_seconds: float) -> None:
    import numpy as np

    from keras_ser.serving.export_checks import batch, golden
    from keras_ser.serving.warmup import write_warmup

    clips = golden(sample_rate, max_seconds=max_seconds)[3:5]
    waveform, lengths = batch(clips)
    given = {"waveform": waveform, "lengths": lengths}
    audio = {"audio": np.array([clip.contents for clip in clips], object)}
    write_warmup(folder, name, {"serving_default": audio, "predict_bytes": audio, "predict": given, "embed": given})


def _number(part: Path, home: Path) -> Path:
    """Rename to the next integer, which another export may take first."""
    while True:
        taken = [int(path.name) for path in home.iterdir() if path.name.isdigit()]
        version = home / str(max(taken, default=0) + 1)
        try:
            os.rename(part, version)
        except OSError:
            if not version.exists():
                raise
            continue
        return version
