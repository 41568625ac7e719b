"""Every network is trained on logits: an output has its gradient at any gap between them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.models import MODELS, aspmtl, attention_dnn, vggvox
from tests.models.rows import EMOTION, GENDER, NOISE

FRAMES = 131


@dataclass(frozen=True)
class Network:
    """One network with classifying outputs.

    Args:
        model: its key in MODELS.
        config: its settings.
        tasks: the main task first.
        heads: output -> name of the dense layer that gives its logits, where that is not the output's own.
    """

    model: str
    config: Any
    tasks: tuple
    heads: tuple[tuple[str, str], ...] = ()


SMALL = {"units": 3, "layers": 1, "dense": 4}
FRAME_LEVEL = aspmtl.Config(**SMALL, frame_level=True)
NETWORKS = {
    "aspmtl": Network("aspmtl", aspmtl.Config(**SMALL), (EMOTION, GENDER)),
    "aspmtl frame level": Network("aspmtl", FRAME_LEVEL, (EMOTION, NOISE), (("noise", "noise_frames"),)),
    "attention_dnn": Network("attention_dnn", attention_dnn.Config(units=(4,)), (EMOTION, GENDER)),
    "vggvox": Network("vggvox", vggvox.Config(filters=(3, 4, 5, 6, 7), fc6=9, fc7=8), (EMOTION, GENDER)),
}


def modules() -> dict[str, Callable]:
    """The models that are networks."""
    found = {name: importlib.import_module(path) for name, path in MODELS.items()}
    return {name: module for name, module in found.items() if hasattr(module, "build")}


def test_every_network_has_a_row():
    assert {row.model for row in NETWORKS.values()} == set(modules())


@pytest.mark.parametrize("gap", [3.0, 90.0, 1e4])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_output_has_its_gradient_at_any_gap(name, gap, rng):
    """With kernels of 0 the logits are the bias; its gradient is the weight of the output times p - q."""
    row = NETWORKS[name]
    module = modules()[row.model]
    made = module.build(row.config, {"magnitude": (FRAMES, 128)}, row.tasks, streams=2)
    network, outputs = made.model, made.outputs
    assert {task.name for task in row.tasks} <= set(outputs)
    heads = {output: network.get_layer(dict(row.heads).get(output, output)) for output in outputs}
    expected = {}
    for output, layer in heads.items():
        kernel, bias = layer.get_weights()
        bias = np.zeros_like(bias)
        bias[1] = gap
        layer.set_weights([0 * kernel, bias])
        z = bias.astype("float64")
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        expected[output] = outputs[output].weight * (p - np.eye(len(p))[0])
    x = {
        "magnitude": rng.normal(size=(2, FRAMES, 128)).astype("float32"),
        "mask": np.arange(FRAMES) < np.array([[FRAMES], [100]]),
    }
    with tf.GradientTape() as tape:
        found = network(x, training=False)
        total = sum(o.weight * o.loss(np.zeros(2, int), found[name]) for name, o in outputs.items())
    gradients = tape.gradient(total, [layer.bias.value for layer in heads.values()])
    for (output, value), gradient in zip(expected.items(), gradients, strict=True):
        np.testing.assert_allclose(gradient, value, atol=1e-5, err_msg=output)
