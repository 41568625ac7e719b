"""Epoch after epoch, on a network small enough to do it often: which weights are kept, when it ends, and going on after a stop."""

import functools
import math

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import ops

from keras_ser import metrics
from keras_ser.errors import DivergenceError
from keras_ser.files import read_exact
from keras_ser.pipelines.sources import Source
from keras_ser.settings import OptimizerConfig
from keras_ser.training.loop import side_scores, train_epochs
from tests.training import tiny

SCORES = [0.3, 0.6, 0.5, 0.6, 0.4, 0.2, 0.1]
RECIPE = tiny.SINGLE.replace(epochs=7, patience=0)
STEPS = 3


class Stopped(Exception):
    pass


def network(seed=0, units=4):
    """Everything that a resumed run must find again: dropout, Adam's moments, a schedule, moving averages."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((3,), name="x")
    h = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(keras.layers.Dense(units, "relu")(x)))
    made = keras.Model({"x": x}, {"emotion": keras.layers.Dense(2, activation="softmax", name="emotion")(h)})
    schedule = keras.optimizers.schedules.CosineDecay(0.05, STEPS * RECIPE.epochs)
    made.compile(keras.optimizers.AdamW(schedule), {"emotion": "sparse_categorical_crossentropy"}, jit_compile=False)
    made.optimizer.build(made.trainable_variables)
    return made


def epochs(epoch, scale=1.0):
    rng = np.random.default_rng([5, epoch])
    x = scale * rng.normal(size=(STEPS * 8, 3)).astype("float32")
    y = (x[:, 0] > x[:, 1]).astype("int32")
    return tf.data.Dataset.from_tensor_slices(({"x": x}, {"emotion": y})).batch(8)


def train(recipe, epochs, network, *given, **named):
    """`train_epochs` on the data set of each epoch, one after another."""

    def batches(first):
        made = [epochs(epoch) for epoch in range(first, recipe.epochs)]
        return functools.reduce(tf.data.Dataset.concatenate, made)

    return train_epochs(recipe, batches, STEPS, network, *given, **named)


def scripted(scores=SCORES):
    """Validation scores that go by the epoch, whatever the network."""
    left = iter(scores)
    return lambda: {"emotion_uar": next(left), "emotion_loss": 1.0}


def values(model):
    return [ops.convert_to_numpy(v) for v in model.variables]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("patience", "trained"), [(0, 7), (1, 3)])
def test_the_first_of_the_best_epochs_is_kept_and_patience_ends_the_training(tmp_path, patience, trained):
    model, seen = network(), []
    on_epoch = lambda stage, epoch, epochs, logs: seen.append(values(model))  # noqa: E731
    about = train(RECIPE.replace(patience=patience), epochs, model, scripted(), tmp_path, 0, "tiny", on_epoch)
    assert about["best_epoch"] == 2, "of equal scores the first counts"
    assert len(seen) == len(about["epochs"]) == trained
    assert equal(values(model), seen[1])
    assert not equal(values(model), seen[-1])


def test_without_a_validation_side_every_epoch_is_trained_and_the_last_kept(tmp_path):
    model, seen = network(), []
    on_epoch = lambda stage, epoch, epochs, logs: seen.append(values(model))  # noqa: E731
    about = train(RECIPE.replace(patience=1), epochs, model, None, tmp_path, 0, "tiny", on_epoch)
    assert (about["best_epoch"], about["monitor"], len(seen)) == (7, None, 7)
    assert equal(values(model), seen[-1])


def test_logs_of_the_main_task_are_handed_on_first(tmp_path):
    seen, left = [], iter([0.5] * 7)
    validate = lambda: {"gender_uar": 0.1, "emotion_uar": next(left)}  # noqa: E731
    train(RECIPE, epochs, network(), validate, tmp_path, 0, "tiny", lambda *call: seen.append(list(call[-1])))
    first = [name for name in seen[0] if name.startswith(("emotion_", "val_emotion_"))]
    assert seen[0][: len(first)] == first and {"val_emotion_uar"} <= set(first) < set(seen[0])


def test_a_score_that_jumps_once_chooses_nothing(tmp_path):
    """The mean of two epochs is largest at 4; alone, epoch 1 would be."""
    model, seen = network(), []
    on_epoch = lambda stage, epoch, epochs, logs: seen.append(values(model))  # noqa: E731
    scores = [0.8, 0.1, 0.5, 0.6, 0.3, 0.2, 0.1]
    about = train(RECIPE.replace(smoothing=2), epochs, model, scripted(scores), tmp_path, 0, "tiny", on_epoch)
    assert [row["val_emotion_uar"] for row in about["epochs"]] == scores
    assert about["best_epoch"] == 4 and equal(values(model), seen[3])


@pytest.mark.parametrize(("steps", "trained"), [(0, 3), (STEPS, 3), (STEPS + 1, 4), (3 * STEPS, 5)])
def test_patience_waits_for_steps_too(tmp_path, steps, trained):
    recipe = RECIPE.replace(patience=1, patience_steps=steps)
    assert len(train(recipe, epochs, network(), scripted(), tmp_path, 0, "tiny")["epochs"]) == trained


def test_a_learning_rate_that_falls_to_zero_keeps_the_last_epoch(tmp_path):
    """Validation is logged, and chooses nothing, unless a monitor is named."""
    recipe = RECIPE.replace(monitor="", patience=1)
    about = train(recipe, epochs, network(), scripted(), tmp_path / "last", 0, "tiny")
    assert (about["best_epoch"], about["monitor"]) == (7, None) and about["epochs"][0]["val_emotion_uar"] == SCORES[0]
    named = train(RECIPE, epochs, network(), scripted(), tmp_path / "named", 0, "tiny")
    assert (named["best_epoch"], named["monitor"]) == (2, "val_emotion_uar")


OTHER_STOPS = [pytest.param(stop, 0, marks=pytest.mark.slow) for stop in (1, 5, RECIPE.epochs)]


@pytest.mark.parametrize(("stop", "patience"), [(2, 2), *OTHER_STOPS])
def test_resumed_is_bit_equal_to_unbroken(tmp_path, stop, patience):
    recipe = RECIPE.replace(patience=patience)
    unbroken = network(seed=1)
    train(recipe, epochs, unbroken, scripted(), tmp_path / "a", 0, "tiny")

    def interrupt(stage, epoch, epochs, logs):
        if epoch == stop:
            raise Stopped

    (tmp_path / "b").mkdir()
    broken = network(seed=1)
    with pytest.raises(Stopped):
        train(recipe, epochs, broken, scripted(), tmp_path / "b", 0, "tiny", interrupt)
    # another seed: what is not restored would show
    resumed = network(seed=2)
    train(recipe, epochs, resumed, scripted(SCORES[stop:]), tmp_path / "b", 0, "tiny")
    assert equal(values(unbroken), values(resumed))
    assert (tmp_path / "a" / "history.csv").read_text() == (tmp_path / "b" / "history.csv").read_text()


def test_history_on_disk(tmp_path):
    logs = []
    about = train(RECIPE, epochs, network(), scripted(), tmp_path, 4, "stage", lambda *call: logs.append(call))
    assert (about["seed"], about["monitor"]) == (4, "val_emotion_uar")
    assert [call[:3] for call in logs] == [("stage", epoch, RECIPE.epochs) for epoch in range(1, 8)]
    table = read_exact(tmp_path / "history.csv")
    for row, (_, epoch, _, shown), written in zip(about["epochs"], logs, table.to_dict("records"), strict=True):
        assert row == {"epoch": epoch, **shown} == written
    assert [row["val_emotion_uar"] for row in about["epochs"]] == SCORES
    schedule = [0.025 * (1 + np.cos(np.pi * epoch / 7)) for epoch in range(1, 8)]
    np.testing.assert_allclose([row["learning_rate"] for row in about["epochs"]], schedule, atol=1e-7)
    scalars = tensorboard(tmp_path / "tensorboard")
    assert set(scalars) == set(about["epochs"][0]) - {"epoch"}
    for name, found in scalars.items():
        expected = {row["epoch"]: row[name] for row in about["epochs"]}
        assert found == pytest.approx(expected, rel=1e-6)


def tensorboard(folder) -> dict[str, dict[int, float]]:
    found = {}
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_a_loss_that_is_not_finite_stops_with_advice_and_closes_the_writer(tmp_path, monkeypatch):
    made, create = [], tf.summary.create_file_writer
    monkeypatch.setattr(tf.summary, "create_file_writer", lambda *given: made.append(create(*given)) or made[-1])

    def broken(epoch):
        return epochs(epoch, np.inf if epoch == 1 else 1.0)

    with pytest.raises(
        FloatingPointError,
        match=r"^tiny, fold 2, seed 7: the loss is .* in epoch 2, or .* Lower optimizer.learning_rate",
    ):
        train(RECIPE, broken, network(), scripted(), tmp_path, 7, "tiny", where="fold 2, ")
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1, "what was finished before stays"
    (writer,) = made
    with pytest.raises(RuntimeError, match="already closed"):
        writer.as_default()


def test_a_weight_that_is_not_finite_stops_though_the_loss_is_finite(tmp_path):
    """Moving averages are not used in training."""
    model = network()

    def spoil(*_):
        model.layers[2].moving_mean.assign([np.nan, 0, 0, 0])

    with pytest.raises(
        DivergenceError, match=r"tiny, seed 0: the loss is \d+\.\d+ in epoch 2, or a weight is not finite"
    ):
        train(RECIPE, epochs, model, None, tmp_path, 0, "tiny", spoil)


@pytest.mark.parametrize(
    ("smoothing", "scores", "best"),
    [(1, [math.nan, 0.1, 0.3, math.nan, 0.2, 0.1, 0.0], 3), (3, [math.nan, math.nan, 0.9, 0.1, 0.2, 0.1, 0.0], 4)],
)
def test_an_undefined_score_gives_way_to_a_defined_one(smoothing, scores, best, tmp_path):
    """So does the mean of epochs of which fewer than half have a score."""
    recipe = RECIPE.replace(smoothing=smoothing)
    assert train(recipe, epochs, network(), scripted(scores), tmp_path, 0, "tiny")["best_epoch"] == best


def test_side_scores(rng):
    """Labelled clips of the first stream for its tasks; every stream's for the noise."""
    tasks = (tiny.EMOTION, tiny.NOISE, tiny.AROUSAL)
    count = 9
    labels = {
        "emotion": (rng.integers(0, 3, count), (np.arange(count) % 4 > 0).astype("float32")),
        "arousal": (rng.uniform(-1, 1, count).astype("float32"), (np.arange(count) % 3 > 0).astype("float32")),
    }
    made = []

    class Side(Source):
        def __init__(self, indices, noises):
            super().__init__("side", 0, None, indices, labels, mixed={"noise": (0, 1, 2)})
            object.__setattr__(self, "batches", [])
            self.batches[:] = [
                ({"batch": len(made), "part": part}, {"index": indices[part], "mixed": noises[part]})
                for part in (slice(0, 3), slice(3, None))
            ]
            p = {task.name: rng.dirichlet(np.ones(task.size), len(indices)) for task in tasks}
            p["arousal"] = rng.uniform(-1, 1, (len(indices), 1))
            made.append((indices, noises, p))

    sides = [Side(np.array([1, 2, 4, 5, 8]), np.zeros(5, int)), Side(np.array([1, 2, 4, 5, 8]), rng.integers(1, 3, 5))]

    def score(x):
        return {name: value[x["part"]] for name, value in made[x["batch"]][2].items()}

    logs = side_scores(score, [(side, side.batches) for side in sides], tasks)
    index, _, p = made[0]
    known = labels["emotion"][1][index] > 0
    truth = labels["emotion"][0][index][known]
    guess = p["emotion"][known].argmax(1)
    recalls = [(guess[truth == c] == c).mean() for c in set(truth)]
    assert logs["emotion_uar"] == pytest.approx(np.mean(recalls))
    assert logs["emotion_accuracy"] == pytest.approx((guess == truth).mean())
    assert logs["emotion_loss"] == pytest.approx(-np.log(p["emotion"][known][range(len(truth)), truth]).mean())
    noises = np.concatenate([n for _, n, _ in made])
    heard = np.concatenate([p["noise"].argmax(1) for *_, p in made])
    assert logs["noise_accuracy"] == pytest.approx((noises == heard).mean())
    known = labels["arousal"][1][index] > 0
    x, y = labels["arousal"][0][index][known], p["arousal"][known, 0]
    assert logs["arousal_rmse"] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))
    assert logs["arousal_ccc"] == pytest.approx(float(metrics.ccc(metrics.sums(x, y))))


def test_plateau_restores_the_best_epoch_and_multiplies_the_rate(tmp_path):
    """Patience 2: epoch 2 is the best and restored after 4; then 6, restored after 8, where the rate falls under the floor."""
    scores = [0.3, 0.6, 0.5, 0.4, 0.5, 0.7, 0.7, 0.6, 0.9]
    recipe = RECIPE.replace(
        patience=2, epochs=20, optimizer=OptimizerConfig("adam", 0.04, schedule="plateau", factor=0.5, floor=0.015)
    )
    model, seen = network(), []
    model.compile(keras.optimizers.Adam(0.04), {"emotion": "sparse_categorical_crossentropy"}, jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    on_epoch = lambda stage, epoch, epochs, logs: seen.append(values(model))  # noqa: E731
    about = train(recipe, epochs, model, scripted(scores), tmp_path, 0, "tiny", on_epoch)
    rates = [row["learning_rate"] for row in about["epochs"]]
    np.testing.assert_allclose(rates, [0.04] * 4 + [0.02] * 4)
    assert about["best_epoch"] == 6 and float(model.optimizer.learning_rate) == pytest.approx(0.01)
    drawn = [v.name == "seed_generator_state" for v in model.variables]
    weights, seeds = (
        [[x for x, d in zip(found, drawn, strict=True) if d == kind] for found in seen] for kind in (False, True)
    )
    assert equal(weights[3], weights[1]) and not equal(weights[2], weights[1]), (
        "restored at the end of the fourth epoch"
    )
    assert equal(values(model), seen[5]) and equal(weights[7], weights[5])
    # dropout draws on, or the epochs after a restore would repeat those before it
    assert len(seeds[0]) == 1 and len({str(found) for found in seeds[:4]}) == 4


@pytest.mark.parametrize(
    "rate, factor, floor, stages", [(1e-4, 0.1, 1e-5, 2), (2e-4, 0.5, 1e-4, 2), (1e-5, 0.5, 1e-5, 1)]
)
def test_a_plateau_at_the_floor_is_trained(tmp_path, rate, factor, floor, stages):
    """In float32 these rates are a little less than the floor, below which training ends."""
    settings = OptimizerConfig("adam", rate, schedule="plateau", factor=factor, floor=floor)
    recipe = RECIPE.replace(patience=1, epochs=9, optimizer=settings)
    model = network()
    model.compile(keras.optimizers.Adam(rate), {"emotion": "sparse_categorical_crossentropy"}, jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    about = train(recipe, epochs, model, scripted(9 * [0.5]), tmp_path, 0, "tiny")
    rates = [row["learning_rate"] for row in about["epochs"]]
    assert sorted(set(rates), reverse=True) == pytest.approx([rate * factor**k for k in range(stages)])
