"""The level of wav2vec 2.0: what it hears, how its frames are pooled, and that a checkpoint's weights arrive."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_ser.errors import UserError
from keras_ser.models import multilevel
from keras_ser.models.multilevel import Config
from keras_ser.models.multilevel.samples import Samples
from keras_ser.models.paper import build_again, build_network
from keras_ser.recipe import OptimizerConfig, Sampling
from keras_ser.tasks import Task
from keras_ser.training.network import compiled
from tests.models.papers import LEVELS, THREE
from tests.models.rows import randomized

wav2vec2 = pytest.importorskip("keras_ser.models.wav2vec2")

CHECKPOINT = str(Path(__file__).parent / "wav2vec2" / "stored" / "group")
EMOTION = Task("emotion", ("anger", "neutral", "sadness"))
INPUTS = {"mfcc": (30, 20), "image.spectrogram": (28, 50), "raw.waveform": (25, 160)}
ALONE = {"waveform": (25, 160)}


def made(inputs=INPUTS, **config):
    network = multilevel.build(Config(**{**LEVELS, **config}), inputs, (EMOTION,))
    randomized(network.model)
    return network


def batch(rng, inputs=INPUTS, real=20):
    found = {}
    for name, (frames, bins) in inputs.items():
        valid = np.broadcast_to(np.arange(frames) < real, (3, frames))
        found[name] = np.where(valid[..., None], rng.normal(size=(3, frames, bins)), np.nan).astype("float32")
        found[name.rpartition(".")[0] + "." * ("." in name) + "mask"] = valid
    return found


def inside(network, x, name):
    return np.asarray(keras.Model(network.model.input, network.model.get_layer(name).output)(x))


def test_samples_are_those_of_the_frames(rng):
    x = batch(rng, ALONE)
    waveform, samples, frames = Samples(400, 320)(x["waveform"], mask=x["mask"])
    assert waveform.shape == samples.shape == (3, 4000) and frames.shape == (3, 1 + 3600 // 320)
    np.testing.assert_array_equal(waveform[:, :3200], x["waveform"][:, :20].reshape(3, -1))
    assert not np.asarray(waveform)[:, 3200:].any() and np.asarray(samples).sum() == 3 * 3200
    # a frame is real where all its samples are: 1 + (3200 - 400) // 320
    assert np.asarray(frames).sum(1).tolist() == [9, 9, 9]


def test_a_clip_of_a_receptive_field_has_a_frame(rng):
    """Of 400 to 479 samples, 320 fill frames of the input: the answer is its own. One input frame is too short, or padding."""
    network, x = made(ALONE, levels=("wav2vec2",), wav2vec2=CHECKPOINT), batch(rng, ALONE, real=2)
    x["mask"] = x["mask"] & (np.arange(len(x["mask"][0])) < [[2], [2], [1]])
    waveform, samples, frames = map(np.asarray, Samples(400, 320)(x["waveform"], mask=x["mask"]))
    assert samples.sum(1).tolist() == [400, 400, 160] and frames.sum(1).tolist() == [1, 1, 0]
    np.testing.assert_array_equal(waveform[:2, :320], x["waveform"][:2, :2].reshape(2, -1))
    assert not waveform[:2, 320:].any()
    found = np.asarray(network.model(x)["emotion"])
    assert np.isfinite(found).all() and np.abs(found[0] - found[1]).max() > 1e-4


def test_weights_of_the_states_do_not_learn_at_the_checkpoints_rate():
    given = {"levels": ("wav2vec2",), "wav2vec2_states": "weighted", "wav2vec2_rate": 0.03}
    network = made(ALONE, wav2vec2=CHECKPOINT, **given)
    layer, held = network.model.get_layer("wav2vec2"), {id(v) for v in network.optimizers["wav2vec2"].variables}
    own = {id(v) for v in layer.weighting.trainable_variables}
    assert own and held == {id(v) for v in layer.trainable_variables} - own


def test_a_checkpoints_weights_arrive(rng):
    network, x = made(ALONE, levels=("wav2vec2",), wav2vec2=CHECKPOINT), batch(rng, ALONE)
    layer = wav2vec2.load(CHECKPOINT)
    waveform = x["waveform"][:, :20].reshape(3, -1)
    expected = np.asarray(layer(waveform, mask=np.ones(waveform.shape, bool)))
    before = inside(network, x, "wav2vec2")
    network.initialise()
    found = inside(network, x, "wav2vec2")
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, atol=1e-5)
    assert np.abs(found - before).max() > 1e-2
    pooled = inside(network, x, "wav2vec2_mean")
    np.testing.assert_allclose(pooled, expected.mean(1), atol=1e-5)


def test_the_other_levels_weigh_its_frames(rng):
    network, x = made(**THREE), batch(rng)
    weights = [inside(network, x, name).astype("float64") for name in ("mfcc_vector", "spectrogram_vector")]
    kernel, bias = network.model.get_layer("co_attention").get_weights()
    scores = (np.concatenate(weights, axis=1) @ kernel + bias)[:, :9]
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    frames = inside(network, x, "wav2vec2")[:, :9]
    expected = (weights[..., None] * frames).sum(1)
    np.testing.assert_allclose(inside(network, x, "co_attention"), expected, atol=1e-4)


def test_convolutions_of_a_checkpoint_are_frozen_and_random_ones_are_not():
    for kind, frozen in ((CHECKPOINT, True), ("random", False)):
        layer = made(ALONE, levels=("wav2vec2",), wav2vec2=kind, wav2vec2_size=(16, 1)).model.get_layer("wav2vec2")
        assert layer.trainable_variables and bool(layer.feature_encoder.trainable_variables) != frozen


def test_random_weights_that_are_not_tuned_come_from_the_seed_and_not_from_a_state():
    given = {"levels": ("wav2vec2",), "wav2vec2": "random", "wav2vec2_size": (16, 1), "wav2vec2_tuned": False}
    drawn = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        network = multilevel.build(Config(**{**LEVELS, **given}), ALONE, (EMOTION,))
        held = network.model.get_layer("wav2vec2").weights
        assert {id(v) for v in network.frozen} == {id(v) for v in held}
        drawn.append(np.concatenate([np.ravel(v) for v in held]))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > 0.01


def test_the_network_takes_the_frames_of_a_checkpoint_that_is_not_tuned(rng):
    """It needs no checkpoint then, which may be gone when a trained network is built again."""
    frames = {"waveform": (9, 16)}
    network = made(frames, levels=("wav2vec2",), wav2vec2="gone", wav2vec2_tuned=False)
    x = batch(rng, frames, real=7)
    np.testing.assert_allclose(inside(network, x, "wav2vec2_mean"), x["waveform"][:, :7].mean(1), atol=1e-6)
    assert not network.frozen and network.initialise is None


def test_states_are_weighted_where_that_is_asked_for(rng):
    network, x = made(ALONE, levels=("wav2vec2",), wav2vec2=CHECKPOINT, wav2vec2_states="weighted"), batch(rng, ALONE)
    network.initialise()
    layer = network.model.get_layer("wav2vec2")
    layer.weighting.logits.assign(np.zeros(layer.weighting.logits.shape))
    states = wav2vec2.load(CHECKPOINT, states="all")(
        x["waveform"][:, :20].reshape(3, -1), mask=np.ones((3, 3200), bool)
    )
    expected = np.mean([np.asarray(state) for state in states], axis=0)
    np.testing.assert_allclose(inside(network, x, "wav2vec2")[:, : expected.shape[1]], expected, atol=1e-5)


def test_states_of_a_checkpoint_that_is_not_tuned_are_weighted_in_the_network(rng):
    """Its three hidden states come stacked; rebuilt without the checkpoint, the trained network says how many there are."""
    frames, given = (
        {"waveform": (9, 48)},
        {"levels": ("wav2vec2",), "wav2vec2_tuned": False, "wav2vec2_states": "weighted"},
    )
    network, x = made(frames, wav2vec2=CHECKPOINT, **given), batch(rng, frames, real=7)
    layer = network.model.get_layer("wav2vec2_states")
    layer.weighting.logits.assign([0.3, -1.0, 2.0])
    weights = np.exp([0.3, -1.0, 2.0]) / np.exp([0.3, -1.0, 2.0]).sum()
    expected = np.tensordot(x["waveform"].reshape(3, 9, 3, 16), weights, (2, 0))
    np.testing.assert_allclose(inside(network, x, "wav2vec2_states"), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(inside(network, x, "wav2vec2_mean"), expected[:, :7].mean(1), rtol=1e-5, atol=1e-5)
    config = Config(**{**LEVELS, **given, "wav2vec2": "/moved/away"})
    recipe = SimpleNamespace(model="multilevel", config=config, tasks=(EMOTION,), streams=(None,), frontend=None)
    assert build_again(recipe, frames, network.model).model.get_layer("wav2vec2_states").states == 3


@pytest.mark.parametrize("extractor", ["nlinear", "dlinear"])
def test_linear_maps_over_its_frames(rng, extractor):
    network = made(ALONE, levels=("wav2vec2",), wav2vec2=CHECKPOINT, extractor=extractor)
    assert np.isfinite(inside(network, batch(rng, ALONE), f"wav2vec2_{extractor}")).all()


def stepped(network, x, lr: float = 0.1) -> dict[str, np.ndarray]:
    """Path of a variable -> by how much one step of SGD moves it."""
    model = network.model
    losses = {name: output.loss for name, output in network.outputs.items()}
    model.compile(keras.optimizers.SGD(lr), loss=losses, run_eagerly=True)
    model.optimizers = {name: keras.optimizers.SGD(lr * part.rate) for name, part in network.optimizers.items()}
    before = {v.path: np.array(v) for v in model.trainable_variables}
    model.train_on_batch(x, {"emotion": np.arange(3)}, {"emotion": np.array([1.0, 0.5, 2.0])})
    return {v.path: np.array(v) - before[v.path] for v in model.trainable_variables}


def test_the_checkpoint_learns_at_its_own_rate(rng):
    given = {"levels": ("wav2vec2",), "wav2vec2": "random", "wav2vec2_size": (16, 1), "dropout": 0.0}
    x = batch(rng, ALONE)
    x = {name: np.nan_to_num(value) for name, value in x.items()}
    plain, slow = made(ALONE, **given), made(ALONE, **given, wav2vec2_rate=0.25)
    # nothing is drawn
    for network in (plain, slow):
        network.model.get_layer("wav2vec2").config.__dict__.update(
            hidden_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0
        )
        for layer in network.model._flatten_layers():
            if getattr(layer, "rate", 0):
                layer.rate = 0.0
    whole, parted = stepped(plain, x), stepped(slow, x)
    held = {v.path for v in slow.optimizers["wav2vec2"].variables}
    assert held and held < set(parted) and whole.keys() == parted.keys()
    for path, moved in parted.items():
        np.testing.assert_allclose(moved, (0.25 if path in held else 1.0) * whole[path], atol=2e-6, err_msg=path)
    assert max(np.abs(parted[path]).max() for path in held) > 1e-5


def test_gradients_of_both_rates_are_clipped_as_a_whole(rng):
    """To the global norm of all, not to that of each optimizer's share."""
    recipe = SimpleNamespace(
        model="multilevel",
        precision="float32",
        epochs=1,
        optimizer=OptimizerConfig("sgd", 1.0, momentum=0.0, clip_norm=1e-3),
    )
    given = {"levels": ("wav2vec2",), "wav2vec2": "random", "wav2vec2_size": (16, 1), "dropout": 0.0}
    recipe.tasks, recipe.sampling = (EMOTION,), Sampling("whole")
    x = {name: np.nan_to_num(value) for name, value in batch(rng, ALONE).items()}
    for rate in (1.0, 1 - 1e-7):
        network = made(ALONE, **given, wav2vec2_rate=rate)
        compiled(recipe, network)
        model, before = network.model, [np.array(v) for v in network.model.trainable_variables]
        model.train_on_batch(x, {"emotion": np.arange(3)}, {"emotion": np.ones(3)})
        moves = [np.array(v) - b for v, b in zip(model.trainable_variables, before, strict=True)]
        assert np.sqrt(sum((move**2).sum() for move in moves)) == pytest.approx(1e-3, rel=0.02)


def test_a_trained_network_is_built_again_without_its_checkpoint(rng):
    network = made(ALONE, levels=("wav2vec2",), wav2vec2=CHECKPOINT)
    config = Config(**{**LEVELS, "levels": ("wav2vec2",), "wav2vec2": "/moved/away"})
    recipe = SimpleNamespace(model="multilevel", config=config, tasks=(EMOTION,), streams=(None,), frontend=None)
    again = build_again(recipe, ALONE, network.model)
    again.model.set_weights(network.model.get_weights())
    x = batch(rng, ALONE)
    np.testing.assert_array_equal(again.model(x)["emotion"], network.model(x)["emotion"])
    with pytest.raises(UserError, match="expected the folder of a Hugging Face checkpoint"):
        build_network(recipe, ALONE)


def test_a_state_holds_no_frozen_weights(tmp_path):
    from keras_ser.training import state

    network = made(ALONE, levels=("wav2vec2",), wav2vec2=CHECKPOINT)
    network.model.compile(keras.optimizers.SGD(0.1))
    network.model.optimizer.build(network.model.trainable_variables)
    network.model.frozen = list(network.frozen)
    layer = network.model.get_layer("wav2vec2")
    held = {id(v) for v in state.members(network.model)}
    assert not held & {id(v) for v in layer.feature_encoder.weights}
    assert {id(v) for v in network.model.trainable_variables} <= held
    # the draws of dropout and masks go on after a resume
    drawn = [v for v in layer.variables if "seed_generator" in v.path]
    assert drawn and {id(v) for v in drawn} <= held
    best = {"value": 0.5, "epoch": 1, "weights": state.values(state.members(network.model))}
    state.save(tmp_path / "state.npz", network.model, [{"epoch": 1}], best)
    assert state.restore(tmp_path / "state.npz", network.model)[1]["epoch"] == 1
