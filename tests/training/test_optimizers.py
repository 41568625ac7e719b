"""SGD with the literature's weight decay: against a loop of its equations, and PyTorch."""

import keras
import numpy as np
import pytest

from keras_ser.training.optimizers import CoupledSGD

RATE, MOMENTUM, DECAY, STEPS = 0.05, 0.9, 0.03, 7


def problem(rng):
    """A kernel and a bias, and a gradient of each for every step."""
    start = {"kernel": rng.normal(size=(3, 2)).astype("float32"), "bias": rng.normal(size=2).astype("float32")}
    gradients = [{name: rng.normal(size=x.shape).astype("float32") for name, x in start.items()} for _ in range(STEPS)]
    return start, gradients


def trained(start, gradients, **options):
    made = CoupledSGD(RATE, momentum=MOMENTUM, **options)
    variables = {name: keras.Variable(x, name=name) for name, x in start.items()}
    made.build(list(variables.values()))
    for each in gradients:
        made.apply([keras.ops.convert_to_tensor(each[name]) for name in variables])
    return {name: keras.ops.convert_to_numpy(v) for name, v in variables.items()}


def test_the_equations(rng):
    start, gradients = problem(rng)
    found = trained(start, gradients, decay=DECAY)
    for name, decay in (("kernel", DECAY), ("bias", 0.0)):
        w, v = start[name].astype(float), 0.0
        for each in gradients:
            v = MOMENTUM * v - RATE * (each[name] + decay * w)
            w = w + v
        np.testing.assert_allclose(found[name], w, rtol=1e-5)
    # Keras's own weight decay is another thing: a tenth of it after many steps
    other = keras.optimizers.SGD(RATE, momentum=MOMENTUM, weight_decay=DECAY)
    kernel = keras.Variable(start["kernel"], name="kernel")
    other.build([kernel])
    for each in gradients:
        other.apply([keras.ops.convert_to_tensor(each["kernel"])])
    assert np.abs(keras.ops.convert_to_numpy(kernel) - found["kernel"]).max() > 1e-3


def test_it_is_pytorchs(rng):
    torch = pytest.importorskip("torch", reason="the extra `backends` is not installed: pip install '.[backends]'")
    start, gradients = problem(rng)
    found = trained(start, gradients, decay=DECAY)
    theirs = {name: torch.nn.Parameter(torch.tensor(x)) for name, x in start.items()}
    groups = [{"params": [theirs["kernel"]], "weight_decay": DECAY}, {"params": [theirs["bias"]], "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM)
    for each in gradients:
        for name, gradient in each.items():
            theirs[name].grad = torch.tensor(gradient)
        optimizer.step()
    for name, x in theirs.items():
        np.testing.assert_allclose(found[name], x.detach().numpy(), rtol=1e-5)


def test_config_round_trip():
    made = CoupledSGD(0.2, momentum=0.5, decay=0.01, global_clipnorm=3.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    assert type(again) is CoupledSGD and again.get_config() == made.get_config()


def test_a_decay_that_is_none():
    with pytest.raises(ValueError, match="`decay` must be at least 0"):
        CoupledSGD(decay=-1.0)
