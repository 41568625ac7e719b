"""state.npz: all optimizers of a model are restored, and what cannot be restored is refused by name."""

import gc
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ser.errors import DiskError
from keras_ser.training import state
from keras_ser.training.run import RunError
from tests import disk
from tests.training import test_loop
from tests.training.test_loop import RECIPE, SCORES, Stopped, epochs, equal, scripted, train, values


class Players(keras.Model):
    """Two players with an optimizer each and a train_step of their own; `hold` is where the second optimizer stays."""

    def __init__(self, hold: str, units: int = 4):
        super().__init__(name="players")
        self.encoder = keras.layers.Dense(units, "relu", name="encoder")
        self.drop = keras.layers.Dropout(0.5, name="drop")
        self.head = keras.layers.Dense(2, name="head")
        self.critic = keras.layers.Dense(1, name="critic")
        self.hold = hold
        self.mean = keras.metrics.Mean(name="loss")
        second = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.03, 1, 0.9))
        if hold == "list":
            self.others = [{"critic": second}]
        elif hold == "model":
            self.inner = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
            self.inner.compile(second, jit_compile=False)
        else:
            setattr(self, hold, second)
        self.second = lambda: second
        self(keras.ops.zeros((1, 3)))
        self.compile(keras.optimizers.AdamW(0.05), jit_compile=False)
        players = [*self.encoder.trainable_variables, *self.head.trainable_variables]
        self.optimizer.build(players)
        second.build(self.critic.trainable_variables)

    def call(self, x, training=None):
        h = self.drop(self.encoder(x), training=training)
        return {"emotion": self.head(h), "critic": self.critic(h)}

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            found = self(x["x"], training=True)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y["emotion"], found["emotion"])
            wrong = tf.square(found["critic"][:, 0] - loss)
            loss = tf.reduce_mean(loss)
        players = [*self.encoder.trainable_variables, *self.head.trainable_variables]
        for optimizer, value, trained in (
            (self.optimizer, loss, players),
            (self.second(), wrong, self.critic.trainable_variables),
        ):
            optimizer.apply(tape.gradient(value, [v.value for v in trained]), trained)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}


def made(hold: str, seed: int, units: int = 4) -> Players:
    keras.utils.set_random_seed(seed)
    return Players(hold, units)


def stored(path, network):
    state.save(path / "state.npz", network, [{"epoch": 1}], {"value": 0.5, "epoch": 1, "weights": values(network)})
    return path / "state.npz"


def stopped(tmp_path, network) -> None:
    def interrupt(stage, epoch, epochs, logs):
        if epoch == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train(RECIPE, epochs, network, scripted(), tmp_path, 0, "tiny", interrupt)


@pytest.mark.parametrize(("hold", "name"), [("list", "others/0/critic"), ("model", "inner/optimizer")])
def test_a_second_optimizer_is_resumed_bit_equal(tmp_path, hold, name):
    unbroken = made(hold, 1)
    assert set(state.optimizers(unbroken)) == {"optimizer", name}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = train(RECIPE, epochs, unbroken, scripted(), tmp_path / "a", 0, "tiny")
    stopped(tmp_path / "b", made(hold, 1))
    resumed = made(hold, 2)
    about = train(RECIPE, epochs, resumed, scripted(SCORES[3:]), tmp_path / "b", 0, "tiny")
    assert equal(values(unbroken), values(resumed)) and about == whole
    for a, b in zip(state.optimizers(unbroken).values(), state.optimizers(resumed).values(), strict=True):
        assert equal(state.values(a.variables), state.values(b.variables))
        assert len(a.variables) > 4, "a moment of each variable at least"
    rates = [row[f"{name}_learning_rate"] for row in about["epochs"]]
    np.testing.assert_allclose(rates, 0.03 * 0.9 ** (test_loop.STEPS * np.arange(1, 8)), rtol=1e-5)


def test_an_optimizer_that_is_not_built_is_refused_before_training(tmp_path):
    network = made("critic_optimizer", 0)
    network.third_optimizer = keras.optimizers.SGD(momentum=0.9)
    with pytest.raises(ValueError, match="the optimizer 'third_optimizer' of the network must be built"):
        train(RECIPE, epochs, network, scripted(), tmp_path, 0, "tiny")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            lambda: made("critic_optimizer", 0, units=5),
            r"network/0/players/encoder/kernel has shape \(3, 4\) instead of \(3, 5\)",
        ),
        (
            lambda: made("_critic_optimizer", 0),
            r"it lacks _critic_optimizer/0/adam/iteration and 4 more, it has critic_optimizer/0/",
        ),
        (lambda: test_loop.network(units=4), r"it lacks network/\S+ and \d+ more, it has network/"),
    ],
    ids=["other size", "other optimizer", "other model"],
)
def test_the_state_of_another_network_is_refused_by_name(tmp_path, other, words):
    path = stored(tmp_path, made("critic_optimizer", 0))
    network = other()
    before = values(network)
    with pytest.raises(RunError, match=f"was written by another network .*{words}.*Give another --out") as caught:
        state.restore(path, network)
    assert "\n" not in str(caught.value)
    assert equal(before, values(network)), "nothing is assigned"


def test_a_state_without_names_is_restored_by_order(tmp_path):
    """As earlier versions wrote it. The process has made other networks before, whose numbers are in no name."""
    network, other = test_loop.network(seed=1), test_loop.network(seed=2)
    for number, variable in enumerate(network.optimizer.variables[2:]):
        variable.assign(variable + number + 1)
    assert list(state.variables(network)) == list(state.variables(other))
    path = stored(tmp_path, network)
    with np.load(path) as saved:
        arrays = dict(saved)
    meta = json.loads(str(arrays.pop("meta")))
    del meta["names"]
    np.savez(path, meta=json.dumps(meta), **arrays)
    rows, _ = state.restore(path, other)
    assert rows == [{"epoch": 1}] and equal(values(network), values(other))
    assert equal(state.values(network.optimizer.variables), state.values(other.optimizer.variables))


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - b for b in data[middle : middle + 40]) + data[middle + 40 :]


def _without(key: str):
    def damage(data: bytes) -> bytes:
        import io

        with np.load(io.BytesIO(data)) as saved:
            kept = {name: saved[name] for name in saved.files if name != key}
        file = io.BytesIO()
        np.savez(file, **kept)
        return file.getvalue()

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"no archive",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-20],
        _flip,
        _without("meta"),
        _without("variable_0"),
    ],
    ids=["empty", "text", "half", "cut short", "flipped", "no meta", "no variable"],
)
def test_a_damaged_state_is_one_line(tmp_path, damage):
    path = stored(tmp_path, test_loop.network())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=r"state.npz is damaged: .+ Remove it to train from the start") as caught:
        state.restore(path, test_loop.network())
    assert "\n" not in str(caught.value)


def test_a_state_on_a_full_disk_is_one_error_and_no_exception_of_a_destructor(tmp_path):
    """The old state stays."""
    network = test_loop.network()
    path = stored(tmp_path, network)
    old, best = path.read_bytes(), {"value": 0.0, "epoch": 1, "weights": values(network)}
    for share in (0.0, 0.3, 0.6, 0.99):  # in the first array, between them, and in the archive's list of its members
        with disk.at_most(int(share * len(old))), pytest.raises(DiskError, match="cannot write state.npz"):
            state.save(path, network, [], best)
        gc.collect()  # pytest fails on what a destructor raises
        assert path.read_bytes() == old and sorted(tmp_path.glob(".*.part.*")) == []
