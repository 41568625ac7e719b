"""`export`: a run becomes one SavedModel, audio in, named probabilities out, laid out as TensorFlow Serving takes it.

    saved_models/NAME/VERSION/
        saved_model.pb, variables/
        assets/keras_ser.json                       labels, rates, recipe, metrics: read by `read_facts`, without TensorFlow
        assets.extra/tf_serving_warmup_requests     played by the server when it loads the model

| signature | inputs | outputs |
| --- | --- | --- |
| predict_bytes, serving_default | audio (batch,) string: WAV files | answers |
| predict | waveform (batch, samples) float32 at the model's rate, lengths (batch,) int32 | answers |
| embed | the same as predict | embedding (batch, features): the shared features, pooled |

Answers: `<task>/probabilities` (batch, classes), `<task>/label` (batch,) and `<task>/score` (batch,), the largest of them; of a
continuous task `<task>/value` (batch,); of a cascade also `emptied` (batch,).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ser._version import __version__
from keras_ser.checks import check_name
from keras_ser.errors import UserError
from keras_ser.serving.facts import FACTS, FORMAT

if TYPE_CHECKING:
    from keras_ser.training.run import Run

MAX_SECONDS = 60.0
SHORTEST, LONGEST = 0.1, 36000.0  # what `max_seconds` may be; far longer clips have no int32 for a length


def export(
    run: Run,
    out: str | os.PathLike = "saved_models",
    name: str | None = None,
    max_seconds: float = MAX_SECONDS,
    temperature: Mapping[str, float] | None = None,
) -> Path:
    """Write a run's model as a SavedModel, compare it with Keras, and only then give it its number.

    Args:
        run: a finished run.
        out: where exports go.
        name: the model's name. Default: the recipe's.
        max_seconds: longer clips are refused by the export.
        temperature: task -> T of softmax(log p / T). Default: 1, not calibrated.

    Returns:
        out/NAME/VERSION, VERSION the next integer.

    Raises:
        ExportError: an answer differs from Keras, or the graph holds an op that a stock server lacks; nothing is left.
        ValueError: a name that is no name of a folder, a `max_seconds` out of range, a temperature that is
            not positive and finite, another backend than TensorFlow.
    """
    import keras

    from keras_ser.serving.facts import ExportError
    from keras_ser.serving.fused import fuse_recurrent_layers
    from keras_ser.serving.gate import LOOSE, TOLERANCE, check_ops, check_parity

    if run.kind != "network":
        raise ExportError(
            f"{run.folder} holds scikit-learn pipelines, which TF Serving can't serve: use keras-ser predict."
        )
    name = run.recipe.name if name is None else name
    check_name("a model", name)
    if keras.backend.backend() != "tensorflow":
        raise UserError(f"a SavedModel is written by TensorFlow. Received: KERAS_BACKEND={keras.backend.backend()}.")
    if not SHORTEST <= max_seconds <= LONGEST:
        raise UserError(f"`max_seconds` must be from {SHORTEST:g} to {LONGEST:g}. Received: {max_seconds}.")
    temperature = _temperatures(run, temperature or {})
    model = run.model()
    fuse_recurrent_layers(model)
    _stop_counting(model)
    rate = run.recipe.frontend.sample_rate
    home = Path(out) / name
    home.mkdir(parents=True, exist_ok=True)
    part = home / f".{os.getpid()}.part"  # a server that watches the folder takes integers only
    try:
        _save(part, model, *_functions(run, model, temperature), rate, max_seconds)
        ops = check_ops(part)
        tolerance = TOLERANCE if run.recipe.precision == "float32" else LOOSE
        offline = _functions(run, run.model(), temperature)
        parity = check_parity(part, *offline, rate, tolerance, max_seconds)
        facts = _facts(run, name, max_seconds, temperature) | {
            "parity": parity,
            "tolerance": tolerance,
            "ops": sorted(ops),
        }
        (part / FACTS).parent.mkdir(exist_ok=True)
        (part / FACTS).write_text(json.dumps(facts, indent=1))
        _warm_up(part, name, rate, max_seconds)
        return _number(part, home)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if not any(home.iterdir()):
            home.rmdir()


def _stop_counting(model) -> None:
    """A loss that a layer logs in Keras's own loops would be counted by every request.

    That the call is none of theirs (`training=None`) a layer can't tell in a cascade: the first dropout layer's own default,
    False, holds for all layers after it.
    """
    from keras_ser.layers import OrthogonalityLoss
    from keras_ser.serving.fused import layers_inside

    for layer in layers_inside(model):
        if isinstance(layer, OrthogonalityLoss):
            layer.tracker = None


def _functions(run: Run, model, temperature):
    """(score, embed) as graphs."""
    import tensorflow as tf

    from keras_ser.models.whole_model import recipe_embedder
    from keras_ser.serving.graph import answers

    extra = [name for name in model.output if name not in {task.name for task in run.recipe.tasks}]
    named = answers(run.recipe.tasks, temperature, extra)
    embedding = recipe_embedder(run.recipe, model)
    spec = {"waveform": tf.TensorSpec((None, None), tf.float32), "length": tf.TensorSpec((None,), tf.int32)}
    return (
        tf.function(lambda given: named(model(given, training=False)), input_signature=[spec], autograph=False),
        tf.function(
            lambda given: {"embedding": tf.cast(embedding(given, training=False), tf.float32)},
            input_signature=[spec],
            autograph=False,
        ),
    )


def _save(folder: Path, model, score, embed, sample_rate: int, max_seconds: float) -> None:
    import tensorflow as tf

    from keras_ser.serving.graph import from_bytes, from_waveforms

    module = tf.Module()
    module.tracked = [variable.value for variable in model.variables]
    predict_bytes = from_bytes(score, sample_rate, max_seconds)
    signatures = {
        "serving_default": predict_bytes,
        "predict_bytes": predict_bytes,
        "predict": from_waveforms(score, sample_rate, max_seconds),
        "embed": from_waveforms(embed, sample_rate, max_seconds),
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _temperatures(run: Run, given: Mapping[str, float]) -> dict[str, float]:
    known = [task.name for task in run.recipe.tasks if not task.continuous]
    strays = [name for name in given if name not in known]
    if strays:
        raise UserError(f"`temperature` is for {', '.join(known)}. Received: {', '.join(strays)}.")
    if any(not 0 < value < float("inf") for value in given.values()):
        raise UserError(f"a temperature must be positive and finite. Received: {dict(given)}.")
    return {name: float(given.get(name, 1.0)) for name in known}


def _facts(run: Run, name: str, max_seconds: float, temperature: Mapping[str, float]) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    return {
        "format": FORMAT,
        "name": name,
        "keras_ser": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "sample_rate": run.recipe.frontend.sample_rate,
        "minimum_samples": run.recipe.frontend.window,
        "max_seconds": max_seconds,
        "tasks": [task.to_dict() for task in run.recipe.tasks],
        "temperature": dict(temperature),
        "recipe": json.loads(run.recipe.to_json()),
        "run": {"protocol": run.split.protocol, "fold": run.split.fold, "seed": run.seed},
        "metrics": _metrics(run),
    }


def _metrics(run: Run) -> dict[str, Any]:
    """UAR and accuracy on the run's own test side, each task on the stream that a report scores it on.

    With what they are worth: whether speakers are shared with the training side, and how many there are.
    """
    import numpy as np

    from keras_ser import metrics
    from keras_ser.evaluation import read_predictions
    from keras_ser.evaluation.measures import choose_stream
    from keras_ser.training.predict import judged

    file = run.folder / "predictions.csv"
    if not file.exists():
        return {}
    table = read_predictions(file)
    speakers = set(table["speaker"]) - {""}
    found: dict[str, Any] = {"speaker_dependent": run.split.speaker_dependent, "speakers": len(speakers)}
    for task in judged(run.recipe.tasks, run.split):
        stream = choose_stream(table, task) if task.name in table else None
        if task.continuous or stream is None:
            continue
        scored = table[(table["stream"] == stream) & (table[task.name] != "")]
        classes = {label: i for i, label in enumerate(task.labels)}
        truth, predicted = (np.array(scored[c].map(classes)) for c in (task.name, f"{task.name}/prediction"))
        matrix = metrics.confusion(truth, predicted, task.size)
        found[task.name] = {
            "uar": float(metrics.uar(matrix)),
            "accuracy": float(metrics.accuracy(matrix)),
            "clips": len(scored),
        }
    return found


def _warm_up(folder: Path, name: str, sample_rate: int, max_seconds: float) -> None:
    import numpy as np

    from keras_ser.serving.gate import batch, golden
    from keras_ser.serving.warmup import write_warmup

    clips = golden(sample_rate, max_seconds=max_seconds)[3:5]
    waveform, lengths = batch(clips)
    given = {"waveform": waveform, "lengths": lengths}
    audio = {"audio": np.array([clip.contents for clip in clips], object)}
    write_warmup(folder, name, {"serving_default": audio, "predict_bytes": audio, "predict": given, "embed": given})


def _number(part: Path, home: Path) -> Path:
    """Rename to the next integer; another export may take it first."""
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
