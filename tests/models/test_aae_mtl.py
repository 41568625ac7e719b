"""AAE-MTL: which variables each phase of a step changes, what the discriminator learns, the kinds, and what is refused."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ser.errors import UserError
from keras_ser.features import Frontend
from keras_ser.models import aae_mtl
from keras_ser.models.aae_mtl import IMAGE, Config
from keras_ser.models.aae_mtl.phases import MeanFrameError, prior_distance
from keras_ser.models.whole_model import assembled, embedder, extractor, inner_network, network_inputs, scorer
from keras_ser.recipe import OptimizerConfig, Sampling
from keras_ser.tasks import Task
from keras_ser.training.loop import train_epochs
from keras_ser.training.network import build, compiled
from keras_ser.training.targets import targets_of
from tests.models.papers import NETWORKS, TASKS
from tests.models.rows import randomized
from tests.models.wholes import FRONTEND, clips
from tests.training import tiny

FRAMES, BINS, BATCH = 16, 12, 6
SMALL = {
    "filters": (3, 4),
    "kernels": (3, 3),
    "pools": ((2, 2), (2, 3)),
    "head_filters": 5,
    "dense": (6, 7),
    "dropout": 0.0,
}
PHASES = {
    "reconstruct": ("encoder", "decoder"),
    "discriminate": ("discriminator",),
    "regularise": ("encoder",),
    "classify": ("encoder", *(task.name for task in TASKS)),
}


def small(changes, **settings):
    """The recipe of the row "aae" with a small network; `changes` are fields of its `Config`, `settings` of the recipe."""
    return NETWORKS["aae"].replace(
        config=Config(**{**SMALL, **changes}),
        sampling=Sampling("segments", frames=FRAMES, hop=FRAMES, balance=False),
        **settings,
    )


def made(precision="float32", **changes):
    """A small model with random weights, compiled."""
    recipe = small(changes, precision=precision, optimizer=OptimizerConfig("adam", 0.02))
    keras.config.set_dtype_policy(precision)
    try:
        network, _ = build(recipe, {"linear_bands": (FRAMES, BINS)})
    finally:
        keras.config.set_dtype_policy("float32")
    randomized(network.model)
    return network.model


def batch(rng):
    mask = np.arange(FRAMES) < np.array([16, 9, 16, 13, 16, 16])[:, None]
    x = rng.normal(size=(BATCH, FRAMES, BINS)).astype("float32") * mask[..., None]
    y = {task.name: rng.integers(0, task.size, BATCH) for task in TASKS} | {IMAGE: x}
    w = {task.name: np.ones(BATCH, "float32") for task in TASKS} | {IMAGE: mask.astype("float32")}
    return tuple(
        {n: keras.ops.convert_to_tensor(v) for n, v in d.items()} for d in ({"linear_bands": x, "mask": mask}, y, w)
    )


def values(model):
    """{layer/weight: (value)} of what optimizers train."""
    return {"/".join(v.path.split("/")[-2:]): keras.ops.convert_to_numpy(v) for v in model.trainable_variables}


def of(model, *parts):
    """The trainable variables of parts, by the names of their layers."""
    return {name for name in values(model) if name.startswith(tuple(part + mark for part in parts for mark in "_/"))}


def changed(model, phase, *arguments):
    """The trainable variables that a phase changes."""
    before = values(model)
    phase(*arguments)
    return {name for name, value in values(model).items() if (value != before[name]).any()}


def score(model, z):
    """(batch,) the discriminator's probability that z is of the prior, class 1."""
    return keras.ops.convert_to_numpy(keras.ops.softmax(model.critic(z)))[:, 1]


@pytest.fixture
def far():
    """A model without adversary whose codes lie about 4 from the prior, and its discriminator after 25 steps."""
    model, (x, _, _) = made(adversary=0.0), batch(np.random.default_rng(1))
    model.get_layer("encoder_2_norm").beta.assign(4.0 * np.ones(4))
    for _ in range(25):
        model._regularise(x)
    return model, x


def test_phase_1_changes_encoder_and_decoder(rng):
    model, (x, y, w) = made(), batch(rng)
    assert changed(model, model._reconstruct, x, y, w) == of(model, *PHASES["reconstruct"])


def test_phase_2_changes_discriminator_and_encoder(rng):
    model, (x, _, _) = made(), batch(rng)
    assert changed(model, model._regularise, x) == of(model, *PHASES["discriminate"], *PHASES["regularise"])


def test_what_is_reconstructed_is_standardised_as_what_enters(rng):
    (network, _), (x, y, w) = build(small({}), {"linear_bands": (FRAMES, BINS)}), batch(rng)
    (layer,) = network.normalizations.values()
    layer.set_statistics(rng.normal(size=BINS), rng.uniform(0.1, 4.0, BINS))
    _, found, weights = targets_of(small({}), network)(x, y, w, (0, 0))
    np.testing.assert_allclose(found[IMAGE], layer(x["linear_bands"], x["mask"]), atol=1e-6)
    np.testing.assert_array_equal(weights[IMAGE], w[IMAGE])


def test_a_summed_error_moves_by_the_valid_entries_of_a_clip(rng):
    """With SGD, in a graph for batches of any size, as training traces it."""
    given, moves = batch(rng), {}
    anysize = tf.nest.map_structure(lambda v: tf.TensorSpec([None, *v.shape[1:]], v.dtype), given)
    for error in ("mean", "sum"):
        model = made(error=error)
        model.optimizers["reconstruct"] = keras.optimizers.SGD(1e-3)
        model.optimizers["reconstruct"].build(model.encoder.trainable_variables + model.decoder.trainable_variables)
        before = values(model)
        tf.function(model._reconstruct, input_signature=anysize)(*given)
        moves[error] = {name: value - before[name] for name, value in values(model).items()}
    entries = BINS * np.sum(given[2][IMAGE]) / BATCH
    for name in of(model, "decoder"):
        np.testing.assert_allclose(
            moves["sum"][name], entries * moves["mean"][name], rtol=0.01, atol=1e-4, err_msg=name
        )
        assert np.abs(moves["sum"][name]).max() > 1e-3


@pytest.mark.parametrize(("weight", "phase"), [("alpha", "_reconstruct"), ("adversary", "_regularise")])
def test_a_weight_of_a_phase_has_its_effect_with_adam(weight, phase, rng):
    """Adam ignores the scale of a loss: a quarter of the weight must move the encoder a quarter as far; none, not at all."""
    x, y, w = batch(rng)
    moves = {}
    for value in (1.0, 0.25, 0.0):
        model = made(**{weight: value})
        model.prior = keras.random.SeedGenerator(1)
        before = values(model)
        getattr(model, phase)(*((x, y, w) if weight == "alpha" else (x,)))
        after = values(model)
        moves[value] = {name: after[name] - before[name] for name in of(model, "encoder")}
    for name, move in moves[1.0].items():
        np.testing.assert_allclose(moves[0.25][name], move / 4, rtol=1e-3, atol=1e-6, err_msg=name)
        assert np.abs(move).max() > 0.01 and not moves[0.0][name].any()


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weights_decay_once_a_step_though_several_optimizers_train_them(name, rng):
    """With losses of 0, and gradients of 0: the encoder's kernels shrink as those of the other parts do."""
    recipe = NETWORKS["aae"].replace(
        config=Config(**{**SMALL, "alpha": 0.0, "adversary": 0.0}),
        sampling=Sampling("segments", frames=FRAMES, hop=FRAMES, balance=False),
        optimizer=OptimizerConfig(name, 0.1, weight_decay=0.01, momentum=0.0),
    )
    model = randomized(build(recipe, {"linear_bands": (FRAMES, BINS)})[0].model)
    x, y, w = batch(rng)
    before = values(model)
    model.train_step((x, y, {each: 0 * value for each, value in w.items()}))
    kept = {each: value / before[each] for each, value in values(model).items() if each.endswith("/kernel")}
    kept = {each: ratio for each, ratio in kept.items() if not each.startswith("discriminator")}  # which has a loss
    assert len(kept) > 6
    for each, ratio in kept.items():
        np.testing.assert_allclose(ratio, 0.999, atol=1e-5, err_msg=each)


def test_phase_2_without_adversary_leaves_the_encoder(rng):
    model, (x, _, _) = made(adversary=0.0), batch(rng)
    assert changed(model, model._regularise, x) == of(model, "discriminator")


def test_phase_3_changes_encoder_and_classifiers(rng):
    model, (x, y, w) = made(), batch(rng)
    assert changed(model, model._classify, x, y, w, y[IMAGE]) == of(model, *PHASES["classify"])


def test_recordings_without_emotions_leave_its_classifier(rng):
    model, (x, y, w) = made(), batch(rng)
    w["emotion"] = 0 * w["emotion"]
    assert changed(model, model._classify, x, y, w, y[IMAGE]) == of(model, "encoder", "gender")
    assert all(np.isfinite(value).all() for value in values(model).values())


def test_the_discriminator_calls_the_prior_1_and_codes_0(far, rng):
    model, x = far
    code = model.encoder(x, training=True)
    assert score(model, rng.normal(size=(200, *code.shape[1:])).astype("float32")).mean() > 0.9
    assert score(model, code).mean() < 0.1


@pytest.mark.parametrize("saturating", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_encoder_learns_to_be_called_prior(far, saturating):
    model, x = far
    before = score(model, model.encoder(x, training=True)).mean()
    model.settings = Config(**SMALL, saturating=saturating)
    model.optimizers["discriminate"].learning_rate = 0.0
    for _ in range(10):
        model._regularise(x)
    assert score(model, model.encoder(x, training=True)).mean() > 5 * before


def test_gradients_of_all_phases_survive_float16(rng):
    """Losses so small that their gradients would vanish in float16: each phase still changes its weights, and nothing overflows."""
    model, (x, y, w) = made("mixed_float16", alpha=1e-6, adversary=1e-6), batch(rng)
    assert model.get_layer("encoder_1").compute_dtype == "float16"
    phases = {
        "reconstruct": lambda: model._reconstruct(x, y, w),
        "regularise": lambda: model._regularise(x),
        "classify": lambda: model._classify(x, y, w, y[IMAGE]),
    }
    for name, phase in phases.items():
        optimizer = model.optimizer if name == "classify" else model.optimizers[name]
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert any(name.startswith("encoder") for name in changed(model, phase)), name
    for _ in range(3):
        logs = model.train_step((x, y, w))
    assert all(np.isfinite(keras.ops.convert_to_numpy(value)).all() for value in logs.values())
    assert all(np.isfinite(value).all() for value in values(model).values())


def test_the_plateau_halves_the_rates_of_all_phases(tmp_path, rng):
    """The paper's 1e-4 until it is below 1e-5, without a better score; alpha and the adversary's weight are part of their rates."""
    paper = OptimizerConfig("sgd", 1e-4, momentum=0.0, schedule="plateau", factor=0.5)
    rates = {"alpha": 0.4, "adversary": 0.2, "discriminator_rate": 0.1}
    training = {"epochs": 20, "patience": 2, "patience_steps": 0, "smoothing": 1, "protocols": (tiny.SPEAKERS,)}
    recipe = small(rates, optimizer=paper, **training)
    model, data = build(recipe, {"linear_bands": (FRAMES, BINS)})[0].model, batch(rng)
    same = lambda first: tf.data.Dataset.from_tensors(data).repeat(recipe.epochs)  # noqa: E731
    about = train_epochs(recipe, same, 1, model, lambda: {"emotion_uar": 0.5}, tmp_path, 0, "aae")
    expected = np.repeat([1e-4, 5e-5, 2.5e-5, 1.25e-5], [3, 2, 2, 2])
    for phase, factor in {"": 1, "reconstruct_": 0.4, "regularise_": 0.2, "discriminate_": 0.1}.items():
        rates = [row[f"{phase}learning_rate"] for row in about["epochs"]]
        np.testing.assert_allclose(rates, factor * expected, rtol=1e-5, err_msg=phase)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_several_optimizers_are_refused_on_other_backends(backend, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    with pytest.raises(UserError, match=f"trains on TensorFlow alone. Received: the backend {backend}"):
        compiled(NETWORKS["aae"], SimpleNamespace(optimizers={"reconstruct": None}, model=None))


def test_losses_that_are_not_scaled_are_refused_in_float16():
    network = SimpleNamespace(model=SimpleNamespace(), optimizers={"own": None})
    with pytest.raises(UserError, match="set precision=mixed_bfloat16, or scale its losses"):
        compiled(NETWORKS["aae"].replace(precision="mixed_float16"), network)


def test_the_distance_from_the_prior_is_the_unbiased_mmd(rng):
    """Against sums over all pairs; near 0 for the prior itself, and not fooled by units that have its moments but move together."""
    z, prior = rng.normal(0.3, 2.0, (5, 7)).astype("float32"), rng.normal(size=(5, 7)).astype("float32")

    def kernel(a, b):
        return 14 / (14 + np.sum((a - b) ** 2))

    pairs = [(i, j) for i in range(5) for j in range(5)]
    within = sum(kernel(x[i], x[j]) for x in (z, prior) for i, j in pairs if i != j) / 20
    expected = within - 2 * np.mean([kernel(z[i], prior[j]) for i, j in pairs])
    np.testing.assert_allclose(prior_distance(z, prior), expected, rtol=1e-4, atol=1e-6)
    same, other = rng.normal(size=(2, 400, 50)).astype("float32")
    together = np.repeat(rng.normal(size=(400, 1)), 50, axis=1).astype("float32")
    assert abs(float(prior_distance(same, other))) < 2e-3 < 0.05 < float(prior_distance(together, other))


def test_the_error_of_the_mean_frame_is_that_of_all_valid_frames_of_an_epoch(rng):
    """Two batches of different means, with garbage in the padding."""
    metric, kept = MeanFrameError(BINS, name="x"), []
    for mean in (0.5, -2.0):
        x, valid = rng.normal(mean, 1.5, (BATCH, FRAMES, BINS)), rng.random((BATCH, FRAMES)) < 0.6
        metric.update_state(x.astype("float32"), valid.astype("float32"))
        kept.append(x[valid])
    frames = np.concatenate(kept)
    assert float(metric.result()) == pytest.approx(np.mean((frames - frames.mean(0)) ** 2), rel=1e-4)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_the_error_of_the_mean_frame_is_logged_beside_that_of_the_reconstruction(rng):
    for kind in ("aae", "ae"):
        model, (x, y, w) = made(kind=kind), batch(rng)
        logs = model.train_step((x, y, w))
        frames = np.asarray(y[IMAGE])[np.asarray(w[IMAGE]) > 0]
        assert float(logs["mean_frame_error"]) == pytest.approx(np.mean((frames - frames.mean(0)) ** 2), rel=1e-4)


def test_what_is_logged_of_code_and_discriminator_is_that_of_the_step(rng, monkeypatch):
    """With learning rates of 0, codes and discriminator are known; the samples of the prior are given. One channel is constant."""
    model, (x, y, w) = made(adversary=0.0), batch(rng)
    norm = model.get_layer("encoder_2_norm")
    norm.gamma.assign([1.5, 0.0, 0.8, 2.0])
    norm.beta.assign([0.3, -0.2, 1.0, 0.4])
    z = keras.ops.convert_to_numpy(model.encoder(x, training=True))
    prior = 2 * rng.normal(size=z.shape).astype("float32") + 0.5
    monkeypatch.setattr(keras.random, "normal", lambda shape, seed: keras.ops.convert_to_tensor(prior))
    for _ in range(5):  # a discriminator that is right more often than not
        model._regularise(x)
    for optimizer in (model.optimizer, *model.optimizers.values()):
        optimizer.learning_rate = 0.0
    right = np.mean([*(score(model, prior) > 0.5), *(score(model, z) <= 0.5)])
    active = (z.var(axis=0) > 0.01).mean()
    assert 0.2 < active < 0.9 and right > 0.55 and abs(z.mean() - z.std()) > 0.1
    model.reset_metrics()
    logs = {name: float(value) for name, value in model.train_step((x, y, w)).items()}
    assert logs["code_mean"] == pytest.approx(z.mean(), abs=1e-6)
    assert logs["code_deviation"] == pytest.approx(z.std(), rel=1e-5)
    assert logs["code_active"] == pytest.approx(active, abs=1e-6)
    assert logs["code_mmd"] == pytest.approx(float(prior_distance(z, prior)), abs=1e-5)
    assert logs["discriminator_right"] == pytest.approx(right, abs=1e-6)


def test_d_vectors_are_of_the_speaker_classifier_and_without_one_of_the_main_task():
    speaker = Task("speaker", ("a", "b"), identity=True)
    for tasks, layer in (((*TASKS, speaker), "speaker_dense_2"), (TASKS, "emotion_dense_2")):
        network, _ = build(small({}).replace(tasks=tasks), {"linear_bands": (FRAMES, BINS)})
        assert network.layer_of(network.embedding) == layer


def test_each_optimizer_has_the_variables_of_its_phase():
    """By the names of Adam's moments."""
    model = made()
    for phase, optimizer in {"classify": model.optimizer, **model.optimizers}.items():
        moments = {v.name.removesuffix("_momentum") for v in optimizer.variables if v.name.endswith("_momentum")}
        assert moments == {name.replace("/", "_") for name in of(model, *PHASES[phase])}, phase
    assert {"classify", *model.optimizers} == set(PHASES)


def test_the_autoencoder_has_no_discriminator(rng):
    model = made(kind="ae")
    assert model.critic is None and not of(model, "discriminator") and set(model.optimizers) == {"reconstruct"}
    assert changed(model, model.train_step, batch(rng)) == of(model, *PHASES["reconstruct"], *PHASES["classify"])


def test_the_cnn_has_no_decoder():
    model = made(kind="cnn")
    assert set(model.output) == {task.name for task in TASKS}
    assert set(values(model)) == of(model, *PHASES["classify"])


def test_the_code_of_the_paper_is_16_16_32():
    assert aae_mtl.build(Config(), {"linear_bands": (256, 128)}, TASKS).model.encoder.output.shape[1:] == (16, 16, 32)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"linear_bands": (None, 12)}, "takes segments of one length: set sampling.kind=segments"),
        ({"linear_bands": (18, 12)}, "need a multiple of 4 frames. Received: 18"),
        ({"linear_bands": (16, 14)}, "need a multiple of 6 bins. Received: 14"),
        (
            {"linear_bands": (16, 12), "energy": (16, 1)},
            "takes one feature, a spectrogram. Received: linear_bands, energy",
        ),
    ],
)
def test_what_it_does_not_take(inputs, words):
    with pytest.raises(UserError, match=words) as error:
        aae_mtl.build(Config(**SMALL), inputs, TASKS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": (3,)},
        {"kernels": (3, 3, 3)},
        {"pools": ((2, 2),)},
        {"pools": ((2, 2), (0, 3))},
        {"kind": "vae"},
        {"code": "tanh"},
        {"error": "max"},
        {"beta": 1.1},
        {"alpha": -0.1},
        {"dropout": 1.0},
        {"head_pool": 0},
    ],
)
def test_bad_settings(changes):
    with pytest.raises(UserError, match=f"`{next(iter(changes))}`") as error:
        Config(**{**SMALL, **changes})
    assert "\n" not in str(error.value)


def test_the_view_of_the_code_does_not_depend_on_padding(rng):
    """A clip alone and in a batch, in a segment of its length and in one twice as long: the mean over its valid positions."""
    waveform, length = clips(rng, lengths=(1900, 1500, 700))
    found, encoder = [], None
    for frames in (32, 64):
        network = aae_mtl.build(Config("cnn", **SMALL), {"linear_bands": (frames, BINS)}, TASKS)
        if encoder is None:
            encoder = randomized(network.model)
        for layer in network.model.layers:
            if layer.name.startswith("encoder") and layer.weights:
                layer.set_weights(encoder.get_layer(layer.name).get_weights())
        network.model.get_layer("normalization").set_statistics(np.full(BINS, -60.0), np.full(BINS, 300.0))
        front = Frontend(**{**FRONTEND, "features": ("linear_bands",), "bins": BINS})
        whole = assembled(extractor(front), scorer(network, TASKS, frames), "whole")
        view = embedder(whole, network.layer_of(network.views["code"]))
        found.append(np.asarray(view({"waveform": waveform, "length": length})))
        for i, n in enumerate(length):
            alone = {"waveform": waveform[i : i + 1, :n], "length": length[i : i + 1]}
            np.testing.assert_allclose(np.asarray(view(alone))[0], found[-1][i], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)
    assert found[0].shape == (3, BINS // 6 * 4) and found[0].std(0).max() > 1e-3, "the clips differ"
    x, _ = network_inputs(whole, {"waveform": waveform, "length": length})
    inner = inner_network(whole)
    code = keras.Model(inner.input, inner.get_layer(network.layer_of(network.views["code"])).output)(x)
    mask = np.asarray(x["mask"])  # one segment each
    every = np.repeat(np.asarray(code).reshape(3, frames // 4, -1), 4, axis=1)
    for i in range(3):
        np.testing.assert_allclose(found[1][i], every[i, mask[i]].mean(0), rtol=1e-4, atol=1e-5)


def test_the_loss_of_a_discriminator_that_cannot_tell_is_2_log_2(rng):
    """A sum of two means (eq. 4)."""
    model, (x, _, _) = made(), batch(rng)
    for weight in model.critic.get_layer("discriminator").weights:
        weight.assign(0 * weight)
    model.optimizers["discriminate"].learning_rate = 0.0
    assert float(model._regularise(x)["discriminator_loss"]) == pytest.approx(2 * np.log(2), rel=1e-5)
