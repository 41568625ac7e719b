"""Multilevel: what each addition changes, where gradients go, the centres in a step of training, and what is refused."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ser.errors import UserError
from keras_ser.models import multilevel
from keras_ser.models.multilevel import Config, note
from keras_ser.models.paper import Label
from keras_ser.tasks import Task
from tests.models.papers import LEVELS, NETWORKS, RECIPES
from tests.models.rows import randomized
from tests.models.wav2vec2.reference import STORED

EMOTION = Task("emotion", ("anger", "neutral", "sadness"))
GENDER = Task("gender", ("female", "male"))
INPUTS = {"mfcc": (30, 20), "image.spectrogram": (28, 50)}
EVERYTHING = {"gender_prior": True, "level_heads": 0.4, "center": 0.02}
ROWS = 5


def made(tasks=(EMOTION, GENDER), inputs=INPUTS, **config):
    network = multilevel.build(Config(**{**LEVELS, **config}), inputs, tasks)
    randomized(network.model)
    for weight in network.model.trainable_weights:  # so that no ReLU is dead, and no logit huge
        if len(weight.shape) > 1:
            weight.assign(2 * weight / np.sqrt(np.prod(weight.shape[:-1])))
    return network


def batch(rng, inputs=INPUTS, real=None):
    found = {}
    for name, (frames, bins) in inputs.items():
        valid = np.arange(frames) < (frames if real is None else real)
        found[name] = rng.normal(size=(ROWS, frames, bins)).astype("float32") * valid[:, None]
        found[multilevel.network.mask_of(name)] = np.broadcast_to(valid, (ROWS, frames))
    return {name: keras.ops.convert_to_tensor(value) for name, value in found.items()}


def gradients(network, x, *names):
    """{layer/variable: largest gradient of the sum of these outputs' losses}; variables that none reaches are left out."""
    truth = np.arange(ROWS) % 2
    with tf.GradientTape() as tape:
        found = network.model(x)
        loss = sum(network.outputs[name].loss(truth, found[name]) for name in names)
    variables = network.model.trainable_variables
    slopes = tape.gradient(loss, [v.value for v in variables])
    every = zip(variables, slopes, strict=True)
    return {"/".join(v.path.split("/")[-2:]): float(np.abs(g).max()) for v, g in every if g is not None}


def layers_of(found):
    return {name.split("/")[0] for name in found}


def test_outputs_of_the_papers_systems():
    """What each addition adds, with its weight; the main task's label for all but the gender."""
    assert set(made((EMOTION,)).outputs) == {"emotion"}
    assert set(made(gender_prior=True).outputs) == {"emotion", "gender"}
    every = made((replace(EMOTION, weight=0.5), GENDER), **EVERYTHING).outputs
    weights = {name: output.weight for name, output in every.items()}
    assert weights == {"emotion": 0.5, "gender": 1.0, "level_mfcc": 0.2, "level_spectrogram": 0.2, "center": 0.02}
    assert {output.target for name, output in every.items() if name != "gender"} == {Label("emotion")}


def test_dropout_is_before_each_dense_layer():
    """And of each of the rates that are given."""
    network = made(**EVERYTHING, dropout=0.2, lstm_dropout=0.4)
    rates = {layer.name: layer.rate for layer in network.model.layers if isinstance(layer, keras.layers.Dropout)}
    dense = [layer.name for layer in network.model.layers if isinstance(layer, keras.layers.Dense)]
    expected = {f"{name.removesuffix('_vector')}_dropout": 0.2 for name in dense}
    assert rates == {**expected, "mfcc_lstm_dropout": 0.4} and len(dense) == 8


def test_emotion_sees_the_gender_and_teaches_it_nothing(rng):
    network, x = made(gender_prior=True), batch(rng)
    found = gradients(network, x, "emotion")
    assert not any(name.startswith("gender") for name in found)
    assert any(name.startswith("gender") for name in gradients(network, x, "gender"))
    before = np.asarray(network.model(x)["emotion"])
    bias = network.model.get_layer("gender").bias
    bias.assign(bias + np.array([3.0, -3.0], "float32"))
    assert np.abs(np.asarray(network.model(x)["emotion"]) - before).max() > 1e-2


def test_joined_posterior_is_the_softmax_of_the_genders_logits(rng):
    network, x = made(gender_prior=True), batch(rng)
    fused = keras.Model(network.model.input, network.embedding)(x).numpy()
    logits = np.asarray(network.model(x)["gender"], "float64")
    posterior = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    kernel, bias = network.model.get_layer("emotion").get_weights()
    assert kernel.shape == (LEVELS["dense"] + 2, 3)
    expected = np.concatenate([fused, posterior], axis=1) @ kernel + bias
    np.testing.assert_allclose(network.model(x)["emotion"], expected, atol=1e-4)


def test_a_levels_head_teaches_its_own_level_alone(rng):
    network, x = made(**EVERYTHING), batch(rng)
    found = layers_of(gradients(network, x, "level_mfcc"))
    assert "mfcc_vector" in found and not {name for name in found if "alexnet" in name or "fused" in name}
    found = layers_of(gradients(network, x, "level_spectrogram"))
    assert "alexnet_0" in found and not {name for name in found if "mfcc" in name or "fused" in name}


def test_centre_loss_is_of_the_fused_features(rng):
    network, x = made(**EVERYTHING), batch(rng)
    fused = keras.Model(network.model.input, network.embedding)(x).numpy()
    centers = network.model.get_layer("center").centers.numpy()
    expected = 0.5 * ((fused[:, None] - centers) ** 2).sum(-1)
    np.testing.assert_allclose(network.model(x)["center"], expected, rtol=1e-4, atol=1e-4)
    assert not {name for name in layers_of(gradients(network, x, "center")) if name in ("emotion", "gender")}


@pytest.mark.slow
def test_a_step_of_training_moves_the_centres_of_the_classes_that_are_there(rng):
    """As the recipe compiles it: AdamW, every output; the new centres are those of the paper's rule."""
    from keras_ser.training.network import compiled

    recipe = NETWORKS["multilevel-all"].replace(tasks=(EMOTION, GENDER))
    network, x = made(**EVERYTHING), batch(rng)
    compiled(recipe, network)
    layer = network.model.get_layer("center")
    before, fused = layer.centers.numpy(), keras.Model(network.model.input, network.embedding)(x).numpy()
    labels, weight = np.array([0, 2, 0, 2, 0]), np.array([1, 1, 1, 0, 1], "float32")
    y = {name: labels % (2 if name == "gender" else 3) for name in network.outputs}
    network.model.train_on_batch(x, y, {name: weight for name in y})
    for c in range(3):
        own = fused[(labels == c) & (weight > 0)]
        expected = before[c] - 0.5 * (before[c] - own).sum(0) / (1 + len(own))
        np.testing.assert_allclose(layer.centers.numpy()[c], expected, atol=1e-4)


def test_what_lies_in_the_padding_does_not_matter(rng):
    network, x = made(**EVERYTHING), batch(rng, real=17)
    dirty = {
        name: value if value.dtype == bool else tf.where(x[multilevel.network.mask_of(name)][..., None], value, np.nan)
        for name, value in x.items()
    }
    for name, value in network.model(x).items():
        np.testing.assert_allclose(network.model(dirty)[name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("extractor", ["own", "nlinear", "dlinear"])
@pytest.mark.parametrize("level", ["mfcc", "spectrogram"])
def test_a_single_level_has_its_own_parts_alone(level, extractor):
    name = {"mfcc": "mfcc", "spectrogram": "image.spectrogram"}[level]
    network = made((EMOTION,), {name: INPUTS[name]}, levels=(level,), extractor=extractor)
    names = {layer.name for layer in network.model.layers}
    parts = {"mfcc": "mfcc_lstm_1", "spectrogram": "alexnet_0"}
    assert (f"{level}_{extractor}" in names) == (extractor != "own")
    assert {part for part in parts.values() if part in names} == ({parts[level]} if extractor == "own" else set())


def test_sizes_of_the_papers_network():
    """PyTorch's counts of the base network's code, without wav2vec 2.0; its LSTM has two biases where Keras has one."""
    network = multilevel.build(Config(), {"mfcc": (300, 40), "spectrogram": (300, 200)}, (EMOTION,))
    counts = {layer.name: layer.count_params() for layer in network.model.layers}
    assert counts["mfcc_vector"] == 153600 * 128 + 128 and counts["spectrogram_vector"] == 9216 * 128 + 128
    assert counts["mfcc_lstm_1"] == 2 * 4 * 256 * (40 + 256 + 1) and counts["mfcc_lstm_2"] == 2 * 4 * 256 * (512 + 257)
    assert sum(count for name, count in counts.items() if name.startswith("alexnet")) == 2469696
    assert counts["fused_1"] == 256 * 128 + 128 and counts["fused_2"] == 128 * 128 + 128
    assert network.embedding.shape == (None, 128)


def test_a_report_says_what_is_not_the_papers():
    assert note(Config()) == "without wav2vec 2.0, AlexNet from random weights"
    assert note(Config(levels=("mfcc",))) == ""
    assert note(Config(levels=("spectrogram",))) == "AlexNet from random weights"
    whole = Config(
        levels=("mfcc", "spectrogram", "wav2vec2"), wav2vec2="/their/w2v", alexnet="/their/alexnet.safetensors"
    )
    assert note(whole) == "wav2vec 2.0 fine-tuned from w2v, AlexNet from alexnet.safetensors"
    assert note(replace(whole, wav2vec2_tuned=False)).startswith("wav2vec 2.0 frozen from w2v, ")
    assert note(replace(whole, wav2vec2="random")).startswith("wav2vec 2.0 from random weights, ")


@pytest.mark.parametrize(
    ("inputs", "tasks", "config", "words"),
    [
        ({"mfcc": (30, 20)}, (EMOTION,), {}, "take the features mfcc, spectrogram"),
        ({**INPUTS, "energy": (30, 1)}, (EMOTION,), {}, "Received: mfcc, image.spectrogram, energy"),
        ({"mfcc": (30, 20), "other.mfcc": (30, 20)}, (EMOTION,), {"levels": ("mfcc",)}, "one of each"),
        ({"mfcc": (None, 20), "spectrogram": (None, 50)}, (EMOTION,), {}, "takes stretches of one length"),
        (INPUTS, (EMOTION,), {"gender_prior": True}, "needs a task of the column 'gender'"),
        (INPUTS, (Task("arousal", low=1.0, high=5.0),), {"center": 0.1}, "set config.center=0"),
    ],
)
def test_what_it_does_not_take(inputs, tasks, config, words):
    with pytest.raises(UserError, match=words) as error:
        multilevel.build(Config(**{**LEVELS, **config}), inputs, tasks)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("levels", {"levels": ()}),
        ("levels", {"levels": ("mfcc", "mfcc")}),
        ("levels", {"levels": ("video",)}),
        ("wav2vec2", {"levels": ("mfcc", "wav2vec2")}),
        ("wav2vec2", {"wav2vec2": "random"}),
        ("extractor", {"extractor": "linear"}),
        ("wav2vec2_states", {"wav2vec2_states": "all"}),
        (
            "wav2vec2_states",
            {
                "levels": ("wav2vec2",),
                "wav2vec2": "random",
                "wav2vec2_states": "weighted",
                "wav2vec2_tuned": False,
            },
        ),
        ("center", {"center": -1.0}),
        ("center_rate", {"center_rate": 0.0}),
        ("dropout", {"dropout": 1.0}),
        ("filters", {"filters": (3, 4)}),
        ("image", {"image": (62, 100)}),
        ("alexnet", {"alexnet": "a", "levels": ("mfcc",)}),
    ],
)
def test_bad_settings(name, changes):
    with pytest.raises(UserError, match=f"`{name}`") as error:
        Config(**changes)
    assert "\n" not in str(error.value)


def test_a_checkpoint_for_another_sampling_rate_is_refused(tmp_path):
    """The preprocessor's file names the rate; the package's waveforms have the recipe's."""
    folder = shutil.copytree(STORED / "group", tmp_path / "w2v")
    recipe = RECIPES["multilevel-wav2vec2"].replace(
        config=replace(RECIPES["multilevel-wav2vec2"].config, wav2vec2=str(folder))
    )
    multilevel.check(recipe)
    (folder / "preprocessor_config.json").write_text('{"sampling_rate": 8000}')
    with pytest.raises(UserError, match=r"w2v is for waveforms of 8000 Hz\. .* a recipe of 16000 Hz"):
        multilevel.check(recipe)
    assert folder / "preprocessor_config.json" in multilevel.weight_files(recipe.config)
    (folder / "preprocessor_config.json").rename(folder / "processor_config.json")
    multilevel.check(recipe)
    (folder / "processor_config.json").write_text('{"feature_extractor": {"sampling_rate": 8000}}')
    with pytest.raises(UserError, match="8000 Hz"):
        multilevel.check(recipe)
    assert folder / "processor_config.json" in multilevel.weight_files(recipe.config)


def test_pretrained_files_that_cannot_be_read_are_refused_before_training(tmp_path):
    recipe = RECIPES["multilevel-wav2vec2"]
    folder = shutil.copytree(STORED / "group", tmp_path / "w2v")
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    with pytest.raises(UserError, match=r"w2v: expected model.safetensors"):
        multilevel.check(recipe.replace(config=replace(recipe.config, wav2vec2=str(folder))))
    with pytest.raises(UserError, match="expected a whole safetensors file"):
        multilevel.check(recipe.replace(config=replace(recipe.config, alexnet=str(tmp_path))))


@pytest.mark.slow
def test_its_export_passes_the_gate_and_answers_as_keras_does(tmp_path, rng):
    """A clip of less than a stretch, and one of three."""
    from keras_ser.serving import Predictor, export
    from keras_ser.training import Data, fit
    from tests.training import resume, tiny

    corpus = tiny.corpus(tmp_path)
    recipe = resume.RECIPES["levels"].replace(epochs=1, patience=0).for_corpus(corpus)
    data = Data.load(recipe, corpus, tmp_path / "cache", progress=False)
    run = fit(recipe, data, tiny.SPEAKERS.splits(corpus)[0], tmp_path / "run")
    model, served = run.model(), Predictor.load(export(run, tmp_path / "exports"))
    assert set(model.output) == {"emotion", "gender"}, "neither levels nor centres"
    waves = [rng.normal(scale=0.1, size=n).astype("float32") for n in (3000, 23000)]
    for wave, answer in zip(waves, served(waves), strict=True):
        expected = model({"waveform": wave[None], "length": np.array([len(wave)], "int32")})
        for task, value in expected.items():
            found = list(answer[task]["probabilities"].values())
            np.testing.assert_allclose(found, np.asarray(value)[0], atol=1e-5)
