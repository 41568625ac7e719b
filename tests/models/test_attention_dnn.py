"""MT-A-DNN: the equations against NumPy, the settings that the papers compare with, and a run over derived tasks."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_ser.models import attention_dnn
from keras_ser.models.attention_dnn import DNN, DNN_MTL, Config
from keras_ser.tasks import Task
from tests.models.rows import randomized

EMOTION = Task("emotion", ("anger", "happiness", "neutral", "sadness"), weight=0.9)
# a label map on the task is all that a derived task takes
ACTIVATION = Task(
    "activation",
    ("high", "low"),
    merge={"anger": "high", "happiness": "high", "neutral": "low", "sadness": "low"},
    column="emotion",
    weight=0.3,
)
TASKS = (EMOTION, ACTIVATION)
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(x):
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * (np.exp(x) - 1))


def relu(x):
    return np.maximum(x, 0)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "config",
    [Config(units=(6,)), Config(units=(5, 4), attention="scalar"), dataclasses.replace(DNN_MTL, units=(7, 3)), DNN],
    ids=["vector", "scalar", "two relu layers", "without attention"],
)
def test_the_equations(config, rng):
    made = attention_dnn.build(config, {"short_term": (1, 5), "energy": (1, 2)}, TASKS)
    assert {name: output.weight for name, output in made.outputs.items()} == {"emotion": 0.9, "activation": 0.3}
    network = randomized(made.model)
    network.get_layer("normalization").set_statistics(np.linspace(-1, 2, 7), np.linspace(0.5, 3, 7))
    x = {
        "short_term": rng.normal(size=(4, 1, 5)).astype("float32"),
        "energy": rng.normal(size=(4, 1, 2)).astype("float32"),
    }
    found = network({**x, "mask": np.ones((4, 1), bool)}, training=False)
    h = (np.concatenate([x["short_term"], x["energy"]], -1)[:, 0] - np.linspace(-1, 2, 7)) / np.sqrt(
        np.linspace(0.5, 3, 7)
    )
    for i in range(len(config.units)):
        kernel, bias = (np.asarray(w, float) for w in network.get_layer(f"shared_{i + 1}").get_weights())
        h = {"selu": selu, "relu": relu}[config.activation](h @ kernel + bias)
    for task in TASKS:
        z = h
        if config.attention:
            u = np.asarray(network.get_layer(f"attention_{task.name}").get_weights()[0], float)
            assert u.shape == ((1,) if config.attention == "scalar" else h.shape[-1:])
            z = softmax(u * h) * h
        kernel, bias = (np.asarray(w, float) for w in network.get_layer(task.name).get_weights())
        np.testing.assert_allclose(np.asarray(found[task.name]), z @ kernel + bias, rtol=1e-4, atol=1e-4)
    shared = keras.Model(network.input, made.embedding)({**x, "mask": np.ones((4, 1), bool)})
    np.testing.assert_allclose(np.asarray(shared), h, rtol=1e-3, atol=1e-3)


def test_the_sizes_of_the_papers():
    ours = attention_dnn.build(Config(), {"short_term": (1, 68)}, TASKS).model
    assert ours.count_params() == 2 * 68 + 68 * 128 + 128 + 2 * 128 + 129 * 4 + 129 * 2
    letter = attention_dnn.build(Config(attention="scalar"), {"short_term": (1, 68)}, TASKS).model
    assert letter.count_params() == ours.count_params() - 2 * 127
    other = attention_dnn.build(DNN_MTL, {"short_term": (1, 68)}, TASKS).model
    assert other.count_params() == 2 * 68 + 69 * 256 + 257 * 256 + 257 * 4 + 257 * 2
    initial = [type(model.get_layer("shared_1").kernel_initializer).__name__ for model in (ours, other)]
    assert initial == ["LecunNormal", "HeUniform"]


@pytest.mark.parametrize(
    "changes", [{"units": ()}, {"units": (0,)}, {"activation": "tanh"}, {"attention": "matrix"}, {"dropout": 1.0}]
)
def test_bad_settings(changes):
    with pytest.raises(ValueError, match=f"`{next(iter(changes))}` must be"):
        Config(**changes)
