"""One row per way to build a model: what the tests of this package loop over."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import ops

from keras_ser.models import aspmtl
from keras_ser.models.aspmtl import Config
from keras_ser.models.paper import Network
from keras_ser.tasks import Task
from tests import checks

EMOTION = Task("emotion", ("anger", "neutral", "sadness"), weight=0.8)
GENDER = Task("gender", ("female", "male"))
NOISE = Task("noise", ("clean", "white", "pink", "babble"), weight=1.5)
AROUSAL = Task("arousal", low=-1.0, high=1.0)
INPUTS = {"log_mel": (None, 7), "energy": (None, 1)}
CONV = {"encoder": "conv", "filters": (3, 4, 5), "kernels": (5, 3, 2), "pools": ((2, 2), (1, 2), (2, 1)), "stem": 2}
CONV |= {"projection": 6}
STREAMS = 3


@dataclass(frozen=True)
class Row:
    """How to build one network.

    Args:
        name: id of the row in the tests.
        tasks: the main task first.
        config: arguments of its `Config`.
    """

    name: str
    tasks: tuple[Task, ...]
    config: Mapping = field(default_factory=dict)

    @property
    def settings(self) -> Config:
        weights = {"alpha": 1.3, "beta": 0.7, "gamma": 0.4, "mu": 2.5, "label_smoothing": 0.15, "reversal": 0.6}
        return Config(**{"units": 4, "dense": 5, "dropout": 0.4, **weights, **self.config})

    def network(self, seed: int = 0) -> Network:
        """The network with random, asymmetric weights and statistics."""
        network = aspmtl.build(self.settings, INPUTS, self.tasks, streams=STREAMS)
        randomized(network.model, seed)
        return network

    def build(self, seed: int = 0) -> keras.Model:
        return self.network(seed).model


ROWS = [
    Row("lstm source", (EMOTION, GENDER), {"adversary": "source"}),
    Row("lstm label attention", (EMOTION, GENDER), {"adversary": "label", "pooling": "attention", "layers": 1}),
    Row(
        "lstm two auxiliary",
        (EMOTION, NOISE, GENDER),
        {"adversary": "source", "normalize": False, "mu": 1e-3, "layers": 1},
    ),
    Row("lstm no adversary", (EMOTION, GENDER), {"adversary": None, "dense": 0}),
    Row("lstm single statistics", (EMOTION,), {"layers": 3, "pooling": "statistics"}),
    Row("lstm continuous", (AROUSAL, GENDER), {"adversary": "label", "layers": 1}),
    Row(
        "lstm mask frame level",
        (EMOTION, NOISE, GENDER),
        {"adversary": "source", "layers": 1, "frame_level": True, "mask_bins": 6, "mask_weight": 1.7},
    ),
    Row("conv label", (EMOTION, GENDER), {**CONV, "adversary": "label", "layers": 0, "stride": 2, "pool_first": True}),
    Row("conv lstm source", (EMOTION, NOISE), {**CONV, "adversary": "source", "layers": 1, "pooling": "attention"}),
    Row("conv without stem", (EMOTION, GENDER), {**CONV, "adversary": "source", "layers": 0, "stem": 0, "stride": 3}),
    Row("conv single", (EMOTION,), {**CONV, "layers": 0}),
]


def by_name(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def randomized(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with random weights, as `checks.randomize` makes them."""
    checks.randomize(model, np.random.default_rng(seed), scale=0.5)
    return model


def features(rng: np.random.Generator, lengths, frames: int | None = None) -> dict[str, np.ndarray]:
    """Different signals of different lengths, 0 in the padding."""
    lengths = np.asarray(lengths)
    frames = frames or int(lengths.max())
    mask = np.arange(frames) < lengths[:, None]
    x = {name: rng.normal(size=(*mask.shape, bins)).astype("float32") for name, (_, bins) in INPUTS.items()}
    return {**{name: value * mask[..., None] for name, value in x.items()}, "mask": mask}


def outputs(model, x, training: bool = False) -> dict[str, np.ndarray]:
    found = model({name: ops.convert_to_tensor(value) for name, value in x.items()}, training=training)
    return {name: ops.convert_to_numpy(value) for name, value in found.items()}
