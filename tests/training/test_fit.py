"""`fit` from clips on disk to a run's folder: what is trained on what, what is kept, and going on after a kill."""

import dataclasses
import functools
import random
import sys

import keras
import numpy as np
import pytest

from keras_ser import metrics
from keras_ser.errors import DivergenceError, UserError
from keras_ser.models.whole_model import inner_network
from keras_ser.pipelines.sources import evaluation_batches
from keras_ser.pipelines.streams import SOURCE
from keras_ser.recipe import OptimizerConfig, Sampling, Stream
from keras_ser.splits import LeakageError, Protocol, Split
from keras_ser.training import Run, RunError, build, fit, optimizer, predict
from keras_ser.training.preflight import check_network, frontends
from keras_ser.training.targets import another, spread_over, targets_of
from tests.training import tiny

# the module, whose name in its package is the function's
ROOM = sys.modules["keras_ser.training.fitting"]


class Reached(Exception):
    """Raised where a test has seen enough."""


def ids(data, numbers):
    return {data.corpus.utterances[i].id for i in numbers}


def test_the_run(trained, split):
    run = trained.run
    assert {path.name for path in run.folder.iterdir()} == {
        "model.keras",
        "run.json",
        "recipe.json",
        "split.json",
        "history.json",
        "history.csv",
        "made.json",
        "tensorboard",
        "training_only.npz",
        "heard.json",
    }
    assert (run.recipe, run.split, run.seed) == (tiny.TRAINED, split, 3)
    assert [call[:3] for call in trained.calls] == [("trained", epoch, 3) for epoch in (1, 2, 3)]
    assert [{"epoch": epoch, **logs} for _, epoch, _, logs in trained.calls] == run.history


def test_every_part_of_the_loss_is_logged_by_name(trained):
    config = tiny.TRAINED.config
    outputs = ("emotion", "gender", "adversary")
    parts = {f"{name}_{what}" for name in outputs for what in ("loss", "accuracy")} | {"emotion_uar", "gender_uar"}
    scores = {f"val_{name}_{what}" for name in outputs[:2] for what in ("uar", "accuracy", "loss")}
    for row in trained.run.history:
        assert set(row) == {"epoch", "loss", "orthogonality", "learning_rate"} | parts | scores
        assert np.isfinite(list(row.values())).all()
        # one batch is not like the next in size, and Keras weighs the parts and the total differently: near, not equal
        total = config.alpha * row["emotion_loss"] + config.beta * row["gender_loss"]
        total += config.gamma * row["adversary_loss"] + config.mu * row["orthogonality"]
        assert row["loss"] == pytest.approx(total, rel=0.1)


def test_every_step_is_a_batch(trained):
    """The schedule stands where it should: at its peak after one epoch of warm-up, at 0 after the last."""
    rates = [row["learning_rate"] for row in trained.run.history]
    assert rates[0] == pytest.approx(tiny.TRAINED.optimizer.learning_rate, rel=1e-6)
    assert rates[1] == pytest.approx(rates[0] / 2, rel=1e-6)
    assert rates[2] == pytest.approx(0, abs=1e-9)


def test_no_graph_is_traced_after_the_first_epoch(trained):
    assert len(trained.counts) == 3 and trained.counts[0] > 10
    assert trained.traced[trained.counts[0] : trained.counts[-1]] == []


def test_statistics_are_those_of_the_training_side(trained, data, split):
    """Over the clips of both streams, the noises being those of the run's seed."""
    run, names, frames = trained.run, tiny.TRAINED.frontend.features, []
    model = run.model()
    for number in range(2):
        source = data.source(run.recipe, number, split, "train", run.seed)
        for x, _ in evaluation_batches(source, model.get_layer("extractor"), names, run.seed):
            frames.append(np.concatenate([x[name] for name in names], -1)[np.asarray(x["mask"])])
    layer = model.get_layer("scorer").get_layer("aspmtl").get_layer("normalization")
    np.testing.assert_allclose(layer.mean, np.concatenate(frames).mean(0), rtol=1e-4)
    np.testing.assert_allclose(layer.variance, np.concatenate(frames).var(0), rtol=1e-3)


@pytest.mark.slow
def test_global_generators_are_left_alone_and_do_not_matter(data, split, tmp_path, monkeypatch):
    """Whatever the caller has drawn: the same initial weights, and its own generators as they were, after an error, too."""
    seen = []

    def look(recipe, batches, steps, network, *_, **options):
        seen.append([np.array(v) for v in network.weights])
        raise Reached

    monkeypatch.setattr(ROOM, "train_epochs", look)
    for number, seed in enumerate((3, 3, 4)):
        random.seed(100 + number)
        np.random.seed(100 + number)
        expected = random.Random(100 + number).random(), np.random.RandomState(100 + number).random()
        with pytest.raises(Reached):
            fit(tiny.SINGLE, data, split, tmp_path / str(number), seed)
        assert (random.random(), np.random.random()) == expected
    first, same, other = seen
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.slow
def test_an_epoch_has_the_steps_that_the_schedule_counts(data, split, tmp_path, monkeypatch):
    """Also where tempo changes the number of segments from epoch to epoch."""
    seen = []

    def look(recipe, batches, steps, network, *_, **options):
        rate = network.optimizer._learning_rate
        assert steps * recipe.epochs == rate.decay_steps + rate.warmup_steps
        for first in range(3):
            assert sum(1 for _ in batches(first)) == steps * (recipe.epochs - first)
        seen.append(steps * recipe.epochs)
        raise Reached

    monkeypatch.setattr(ROOM, "train_epochs", look)
    recipe = tiny.SINGLE.replace(streams=tiny.EVERYTHING.streams, batch_size=4)
    with pytest.raises(Reached):
        fit(recipe, data, split, tmp_path / "run")
    assert seen[0] >= 2 * recipe.epochs


def test_the_test_side_is_never_read(trained, data, split):
    read = ids(data, trained.read)
    assert read == set(split.train) | set(split.validation)


def test_the_best_epoch_is_what_was_saved(trained, data, split):
    """Validation clips through the saved model score what the best epoch scored."""
    run = trained.run
    best = run.history[run.about["best_epoch"] - 1]
    scores = [row["val_emotion_uar"] for row in run.history]
    assert best["val_emotion_uar"] == max(scores)
    table = predict(run.model(), run.recipe, data, split, "validation", seed=run.seed)
    table = table[table["stream"] == "clean"]
    truth = table["emotion"].map(tiny.EMOTION.labels.index)
    p = table[[f"emotion/{label}" for label in tiny.EMOTION.labels]].to_numpy()
    matrix = metrics.confusion(truth, p.argmax(1), 3)
    assert float(metrics.uar(matrix)) == pytest.approx(best["val_emotion_uar"])
    assert -np.log(p[range(len(p)), truth]).mean() == pytest.approx(best["val_emotion_loss"], rel=1e-4)


def test_a_finished_run_is_returned_as_it_is(trained, data, split, monkeypatch):
    def never(*_):
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr(ROOM, "_train", never)
    before = (trained.run.folder / "model.keras").stat().st_mtime_ns
    again = fit(tiny.TRAINED, data, split, trained.run.folder, seed=3)
    assert again == trained.run
    assert (trained.run.folder / "model.keras").stat().st_mtime_ns == before


def test_another_run_in_its_folder_is_refused(trained, data, split):
    before = sorted(path.name for path in trained.run.folder.iterdir())
    with pytest.raises(RunError, match="holds another run"):
        fit(tiny.TRAINED, data, split, trained.run.folder, seed=4)
    assert sorted(path.name for path in trained.run.folder.iterdir()) == before
    assert Run.load(trained.run.folder) == trained.run


def test_leaks_are_refused_before_anything_is_written(data, tmp_path):
    leaky = Split("speakers", 0, ("f01_anger_s1",), (), ("f01_sadness_s1",), ("speaker",))
    with pytest.raises(LeakageError, match="f01"):
        fit(tiny.SINGLE, data, leaky, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "encoder"), [("mixed_bfloat16", "lstm"), ("mixed_float16", "conv")])
def test_mixed_precision(data, split, tmp_path, precision, encoder):
    configs = {"conv": tiny.CONV, "lstm": tiny.LSTM}
    recipe = tiny.SINGLE.replace(
        tasks=(tiny.EMOTION, tiny.GENDER),
        config=dataclasses.replace(configs[encoder], adversary="label"),
        precision=precision,
        epochs=1,
    )
    run = fit(recipe, data, split, tmp_path / "run")
    assert keras.config.dtype_policy().name == "float32", "the process's policy is as it was"
    assert np.isfinite(list(run.history[0].values())).all()
    model = run.model()
    assert inner_network(model).get_layer("shared").compute_dtype == precision.removeprefix("mixed_")
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    table = predict(model, recipe, data, split)
    assert np.isfinite(table[[f"emotion/{label}" for label in tiny.EMOTION.labels]].to_numpy()).all()


@pytest.mark.slow
def test_a_continuous_task_trains(data, split, tmp_path):
    recipe = tiny.SINGLE.replace(tasks=(tiny.AROUSAL,), sampling=Sampling("whole"), monitor="val_arousal_ccc")
    run = fit(recipe, data, split, tmp_path / "run")
    row = run.history[-1]
    assert run.about["monitor"] == "val_arousal_ccc"
    assert {"val_arousal_ccc", "val_arousal_rmse"} <= set(row)
    assert row["arousal_loss"] == pytest.approx(row["loss"], rel=1e-5)
    table = predict(run.model(), recipe, data, split, "validation")
    errors = table["arousal/prediction"] - table["arousal"]
    best = run.history[run.about["best_epoch"] - 1]
    assert np.sqrt((errors**2).mean()) == pytest.approx(best["val_arousal_rmse"], rel=1e-4)


def test_a_mask_needs_the_frames_as_they_are(data, split, tmp_path):
    for i, change in enumerate(
        (
            {"frontend": dataclasses.replace(tiny.MASKED.frontend, endpoint=True)},
            {"augment": tiny.EVERYTHING.augment},
            {"config": dataclasses.replace(tiny.MASKED.config, mask_bins=129)},
        )
    ):
        with pytest.raises(UserError, match="frontend.endpoint=false.*no augmentation|set config.mask_bins=257"):
            fit(tiny.MASKED.replace(**change), data, split, tmp_path / str(i))


def test_validation_features_are_kept_as_far_as_there_is_room(data, split, monkeypatch):
    """By their size with the padding, one stream after the other; noises take of it, too."""
    import keras_ser.training.data as reading

    recipe, kept = tiny.EVERYTHING, []
    extract = ROOM.recipe_extractor(recipe, frontends(recipe))
    monkeypatch.setattr(reading, "noise_bank", functools.partial(reading.noise_bank, seconds=1.0))
    monkeypatch.setattr(ROOM, "Kept", lambda batches: kept.append(batches) or batches)
    sources = [data.source(recipe, k, split, "validation", 5) for k in range(2)]
    bank = 2 * 16000 * 4  # two noises of a second
    assert [source.noise_bytes for source in sources] == [0, bank]
    (longest,) = {max(source.cache.lengths[source.indices]) for source in sources}
    size = len(split.validation) * longest / recipe.frontend.hop * 9 * 4  # log_mel of 8 bins, energy
    for room, count in ((bank + 1.99 * size, 1), (bank + 0.99 * size, 0)):
        kept.clear()
        ROOM._judge(recipe, data, split, extract, extract, None, 5, "validation", room)
        assert len(kept) == count


@pytest.mark.parametrize(
    ("changes", "kind", "config"),
    [
        ({"name": "adam"}, "Adam", {"learning_rate": 1e-3, "weight_decay": None, "global_clipnorm": None}),
        ({"name": "adamw"}, "AdamW", {"weight_decay": 0.0}),
        ({"name": "adamw", "weight_decay": 0.02}, "AdamW", {"weight_decay": 0.02}),
        (
            {"name": "sgd", "clip_norm": 3.0, "weight_decay": 5e-4, "momentum": 0.8},
            "CoupledSGD",
            {"momentum": 0.8, "global_clipnorm": 3.0, "decay": 5e-4, "weight_decay": None},
        ),
    ],
)
def test_optimizer(changes, kind, config):
    made = optimizer(OptimizerConfig(**changes), 5, 2)
    assert type(made).__name__ == kind
    found = made.get_config()
    assert {key: found[key] for key in config} == pytest.approx(config)


def test_an_adversary_of_streams_needs_two_that_train():
    """Across corpora those of the tested corpus do not."""
    other = Stream("other", corpus="ravdess", teaches=True)
    recipe = tiny.SINGLE.replace(
        config=dataclasses.replace(tiny.LSTM, layers=1),
        streams=(tiny.CLEAN, other),
        protocols=(Protocol("across", "cross-corpus", validation=0.3),),
        tasks=(tiny.EMOTION, tiny.GENDER),
    )
    with pytest.raises(
        ValueError, match="tells streams apart, but in the protocol 'across' only streams of other corpora"
    ):
        check_network(recipe)
    check_network(
        recipe.replace(streams=(tiny.CLEAN, other, dataclasses.replace(other, name="third", corpus="crema_d")))
    )
    check_network(recipe.replace(protocols=(tiny.SPEAKERS,)))


def test_cosine_schedule():
    settings = dataclasses.replace(tiny.EVERYTHING.optimizer, learning_rate=0.5, warmup_epochs=1.5)
    steps, epochs = 4, 5
    schedule = optimizer(settings, steps, epochs)._learning_rate
    for step in range(steps * epochs + 1):
        warm = 6
        if step < warm:
            expected = 0.05 + (0.5 - 0.05) * step / warm
        else:
            expected = 0.25 * (1 + np.cos(np.pi * (step - warm) / (steps * epochs - warm)))
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("epochs, warmup_epochs", [(1, 1.0), (10, 20.0), (1, 0.6)])
def test_the_warm_up_ends_half_way_at_the_latest(epochs, warmup_epochs):
    """The last epoch is kept because the rate ends at 0, so that it must be reached."""
    settings = OptimizerConfig("adam", 0.5, schedule="cosine", warmup_epochs=warmup_epochs)
    schedule = optimizer(settings, 10, epochs)._learning_rate
    rates = [float(schedule(step)) for step in range(10 * epochs + 1)]
    assert int(np.argmax(rates)) == 5 * epochs and rates[-1] == pytest.approx(0, abs=1e-7)


def test_step_schedule():
    """A tenth after the 2nd and after the 3rd epoch, to the step."""
    settings = OptimizerConfig("sgd", 0.5, schedule="step", steps=(2, 3))
    schedule = optimizer(settings, 4, 5)._learning_rate
    rates = [float(schedule(step)) for step in range(20)]
    np.testing.assert_allclose(rates, [0.5] * 8 + [0.05] * 4 + [0.005] * 8, rtol=1e-6)


def test_bad_strategy(data, split, tmp_path):
    with pytest.raises(ValueError, match="`strategy` must be None or 'mirrored'. Received: 'tpu'"):
        fit(tiny.SINGLE, data, split, tmp_path / "run", strategy="tpu")


@pytest.mark.parametrize("size", [2, 7])
def test_no_example_of_a_control_keeps_its_own_mask(size):
    """Every distance but 0 is as likely as the others."""
    counts = np.zeros(size, int)
    for step in range(300):
        (first, *_) = found = another(np.arange(size), (3, step)).numpy()
        np.testing.assert_array_equal(found, (np.arange(size) + first) % size)
        counts[-first % size] += 1
    assert counts[0] == 0
    assert np.abs(counts[1:] - 300 / (size - 1)).max() < 5 * np.sqrt(300 / (size - 1))


@pytest.mark.parametrize("size", [1, 2])
def test_an_example_of_a_control_that_is_alone_learns_no_mask(size):
    import tensorflow as tf

    recipe = tiny.MASKED.replace(shuffle=("noise",))
    network, _ = build(recipe, {"log_mel": (None, 8)})
    mask = tf.constant([[True, True, False], [True, False, False]])[:size]
    x = {
        "log_mel": tf.zeros((size, 3, 8)),
        "mask": mask,
        "target/gain": tf.ones((size, 3, 1)) * tf.range(size, dtype=tf.float32)[:, None, None],
    }
    told = {name: tf.zeros(size) for name in ("emotion", "noise", SOURCE)}
    x, y, w = targets_of(recipe, network)(x, told, told, seed=(1, 2))
    assert set(x) == {"log_mel", "mask"}
    # where both examples are valid; the other one's mask
    assert w["gain"].numpy().tolist() == ([[0, 0, 0]] if size == 1 else [[1, 0, 0], [1, 0, 0]])
    assert y["gain"][:, 0, 0].numpy().tolist() == ([0] if size == 1 else [1, 0])


def test_spread_gives_each_replica_a_part_like_the_whole(rng):
    """Streams stand one after the other in a batch; a replica takes a contiguous part of it."""
    import tensorflow as tf

    stream = np.repeat([0, 1], [9, 4])
    x = {"mask": tf.ones((13, 2), tf.bool), "a": tf.constant(rng.normal(size=(13, 2)))}
    batch = (x, {"source": tf.constant(stream)}, {"source": tf.range(13)})
    same = spread_over(1)(*batch)
    assert same is batch or all(a is b for a, b in zip(same, batch, strict=True))
    found, y, w = spread_over(2)(*batch)
    order = w["source"].numpy()
    assert sorted(order) == list(range(13))
    np.testing.assert_array_equal(y["source"], stream[order])
    np.testing.assert_array_equal(found["a"], x["a"].numpy()[order])
    assert found["mask"].shape == (13, 2)
    assert stream[order][:7].sum() == 2 and stream[order][7:].sum() == 2


@pytest.mark.slow
def test_a_speaker_who_trains_nothing_is_not_named(corpus, data, split, tmp_path):
    """Validation speakers stand apart: nothing is said of the task, and another choice by it is refused."""
    recipe = tiny.STRETCHED.replace(epochs=1).for_corpus(corpus)
    (row,) = fit(recipe, data, split, tmp_path / "run").history
    assert "speaker_accuracy" in row and not [name for name in row if name.startswith("val_speaker")]
    with pytest.raises(
        ValueError,
        match="cannot select the epoch by 'val_speaker_accuracy': .* Choose another monitor: val_emotion_uar, val_emotion_accuracy",
    ):
        fit(recipe.replace(monitor="val_speaker_accuracy"), data, split, tmp_path / "other")
    with pytest.raises(ValueError, match="the task 'speaker' has no classes yet: call `recipe.for_corpus"):
        fit(tiny.STRETCHED, data, split, tmp_path / "nameless")


@pytest.mark.slow
def test_a_diverging_model_names_protocol_fold_and_seed(data, split, tmp_path):
    alone = tiny.SINGLE.override("optimizer.learning_rate", 1e38).override("optimizer.clip_norm", 0.0)
    with pytest.raises(
        DivergenceError, match=r"^single, protocol 'speakers', fold 1, seed 4: the loss is nan in epoch 1, or"
    ):
        fit(alone, data, split, tmp_path / "alone", seed=4)
