"""The papers' networks at the papers' sizes, compiled, and batches of random data for them."""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_ser.models import aspmtl, attention_dnn, multilevel, vggvox
from keras_ser.models.heads import task_outputs
from keras_ser.models.paper import Network, build_network
from keras_ser.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config
from keras_ser.recipe import OptimizerConfig, Recipe, Sampling
from keras_ser.settings import mask_of
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.training.network import compiled

SEVEN = Task("emotion", ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"))
GENDER = Task("gender", ("female", "male"))
FOUR = Task("emotion", ("anger", "happiness", "neutral", "sadness"))
HALVES = (Task("activation", ("high", "low"), weight=0.5), Task("valence", ("positive", "negative"), weight=0.5))
SIX = Task("emotion", ("anger", "disgust", "fear", "happiness", "neutral", "sadness"))
SPEAKERS = Task("speaker", tuple(f"{i:04d}" for i in range(91)), identity=True)
PAPER = {"mfcc": 39, "zero_crossing_rate": 1, "energy": 1, "pitch": 2}
ADAMW = OptimizerConfig("adamw", 1e-5, weight_decay=0.01)


@dataclass(frozen=True)
class Row:
    """A network to measure.

    Args:
        tasks, model, config, optimizer, batch: as of its recipe.
        inputs: name -> (frames, bins) of an example.
        loops: Compute LSTMs by a loop and not by cuDNN.
        about: of the sizes, for the table.
    """

    tasks: tuple[Task, ...]
    model: str
    config: Any
    inputs: dict[str, tuple[int, int]]
    batch: int
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loops: bool = False
    about: str = ""


def rows() -> dict[str, Row]:
    """Name -> row, the papers' sizes: recipes/aspmtl.py, vggvox.py, mt_a_dnn.py, multilevel.py."""
    segment = {name: (96, bins) for name, bins in PAPER.items()}
    lstm = aspmtl.Config(adversary="label")
    conv = {"encoder": "conv", "adversary": "label", "layers": 0, "dropout": 0.2, "dense": 0, "label_smoothing": 0.1}
    conv = aspmtl.Config(**conv, stride=2, pool_first=True, stem=3)
    both, slow = (SEVEN, GENDER), OptimizerConfig("adamw", 1.5e-3, weight_decay=0.01, clip_norm=5.0)
    sgd, image = OptimizerConfig("sgd", 1e-2, weight_decay=5e-4), {"magnitude": (400, 512)}
    clip, three = {"short_term": (1, 68)}, (FOUR, *HALVES)
    levels = {"mfcc": (288, 40), "image.spectrogram": (297, 200)}
    every = multilevel.Config(gender_prior=True, level_heads=0.5, center=0.01)
    found = {
        f"ASP-MTL, batch {batch}{', loops' if loops else ''}": Row(
            both, "aspmtl", lstm, segment, batch, loops=loops, about="96 frames of 43"
        )
        for batch in (32, 256)
        for loops in (False, True)
    }
    return found | {
        "ASP-MTL, convolutional": Row(both, "aspmtl", conv, {"log_mel": (200, 64)}, 16, slow, about="200 frames of 64"),
        "VGGVox-MTL": Row((SIX, SPEAKERS), "vggvox", vggvox.Config(), image, 64, sgd, about="400 frames of 512"),
        "MT-A-DNN": Row(three, "attention_dnn", attention_dnn.Config(), clip, 128, about="68 numbers"),
        "Multilevel": Row((FOUR, GENDER), "multilevel", every, levels, 64, ADAMW, about="3 s, without wav2vec 2.0"),
        "Multilevel, loops": Row(
            (FOUR, GENDER), "multilevel", every, levels, 64, ADAMW, True, "3 s, without wav2vec 2.0"
        ),
        "wav2vec 2.0 base": Row(
            (FOUR,), "", None, {"waveform": (300, 160)}, 32, ADAMW, about="3 s, encoder's convolutions frozen"
        ),
    }


def built(row: Row, precision: str) -> Any:
    """A row's network, compiled."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    try:
        if row.model:
            protocol = (Protocol("none", "random", test=0.2),)
            settings = {"model": row.model, "config": row.config, "optimizer": row.optimizer, "precision": precision}
            # the front end has no say: the inputs are given
            recipe = Recipe("steps", "demo", row.tasks, protocol, **settings, sampling=Sampling("whole"))
            network = build_network(recipe, row.inputs)
        else:
            recipe, network = fine_tuned(row)
        for layer in network.model.layers if row.loops else ():
            lstms = getattr(layer, "lstms", None) or [
                getattr(layer, f"{way}_layer", None) for way in ("forward", "backward")
            ]
            for lstm in filter(None, lstms):
                lstm.use_cudnn = False
        compiled(recipe, network)
    finally:
        keras.config.set_dtype_policy("float32")
    return network


def fine_tuned(row: Row) -> tuple[Recipe, Network]:
    """wav2vec 2.0 base with random weights, its convolutions frozen, and a dense layer on the mean of its frames."""
    ((name, (frames, bins)),), (task,) = row.inputs.items(), row.tasks
    inside = {
        name: keras.Input((frames, bins), name=name),
        mask_of(name): keras.Input((frames,), dtype="bool", name="mask"),
    }
    layer = Wav2Vec2(Wav2Vec2Config(layerdrop=0.0, apply_spec_augment=False), freeze_feature_encoder=True)
    x = layer(keras.layers.Reshape((frames * bins,), dtype="float32")(inside[name]))
    x = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    model = keras.Model(inside, {task.name: keras.layers.Dense(task.size, dtype="float32", name=task.name)(x)})
    recipe = Recipe(
        "steps",
        "demo",
        row.tasks,
        (Protocol("none", "random", test=0.2),),
        optimizer=row.optimizer,
        sampling=Sampling("whole"),
    )
    return recipe, Network(model, task_outputs(row.tasks), x)


def batch_of(network: Network, row: Row, batch: int) -> tuple[dict, dict, dict]:
    """Random inputs, targets and weights of 1."""
    rng, sizes = np.random.default_rng(0), {task.name: task.size for task in row.tasks}
    x = {}
    for name, (frames, bins) in row.inputs.items():
        x[name] = rng.normal(size=(batch, frames, bins)).astype("float32")
        x[mask_of(name)] = np.ones((batch, frames), bool)
    drawn = {task: rng.integers(0, size, batch).astype("int32") for task, size in sizes.items()}
    y = {name: drawn[output.target.task] for name, output in network.outputs.items()}
    return x, y, {name: np.ones(batch, "float32") for name in y}


def with_metrics(network: Network) -> Any:
    """The model, its metrics' variables made; Keras makes them in its first step, which `train_step` alone is not."""
    model = network.model
    predicted = {name: np.zeros([n or 1 for n in value.shape], "float32") for name, value in model.output.items()}
    zeros = {name: np.zeros(1, "int32") for name in predicted}
    model.compute_metrics(None, zeros, predicted, {name: np.ones(1, "float32") for name in predicted})
    model.reset_metrics()
    return model
