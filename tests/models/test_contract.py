"""The contract of `keras_ser.models.paper`, for one small recipe of each network of MODELS (`tests.models.papers`)."""

from dataclasses import dataclass, replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ser.models import MODELS, aspmtl
from keras_ser.models.paper import Label, Network, Reconstruction, build_network
from keras_ser.models.whole_model import assembled, inner_network, known_prior, recipe_embedder
from keras_ser.recipe import Recipe
from keras_ser.serving.integrated_gradients import Attributor
from keras_ser.settings import mask_of
from keras_ser.training.fitting import recipe_extractor
from keras_ser.training.network import build
from keras_ser.training.preflight import frontends, input_shapes
from keras_ser.training.transfer import begin_from, save_rest
from tests.models.papers import NETWORKS, RECIPES
from tests.models.rows import EMOTION, INPUTS, NOISE, features, randomized
from tests.models.wholes import run_model
from tests.serving import runs


@dataclass(frozen=True)
class Made:
    """A recipe's network and whole model with random weights, clips, and the network's inputs for these."""

    recipe: Recipe
    network: Network
    whole: keras.Model
    waveform: np.ndarray
    length: np.ndarray
    x: dict


@pytest.fixture(scope="module", params=NETWORKS)
def made(request):
    recipe = NETWORKS[request.param]
    if recipe.sampling.kind == "segments":  # short ones, since recurrent layers are slow here
        recipe = recipe.replace(sampling=replace(recipe.sampling, frames=16, hop=16))
    extract = recipe_extractor(recipe, frontends(recipe))
    network, score = build(recipe, input_shapes(recipe, frontends(recipe)))
    rng = np.random.default_rng(1)
    for weight in randomized(network.model).trainable_weights:
        if len(weight.shape) > 1:
            weight.assign(2 * weight / np.sqrt(np.prod(weight.shape[:-1])))
    waveform, length = clips(rng)
    x = dict(extract({"waveform": waveform, "length": length}))
    for names, layer in network.normalizations.items():
        numbers = np.concatenate([np.asarray(x[name])[np.asarray(x[mask_of(name)])] for name in names], axis=-1)
        layer.set_statistics(numbers.mean(0), numbers.var(0) + 1e-3)
    x = {name: x[name][:, : value.shape[1] or 16] for name, value in network.model.input.items()}
    return Made(recipe, network, assembled(extract, score, "whole"), waveform, length, x)


def clips(rng) -> tuple[np.ndarray, np.ndarray]:
    """Tones of different pitch in noise of different level, and garbage behind the end of each."""
    length = np.array([6000, 3500, 2000, 8000], "int32")
    time = np.arange(12000) / 16000
    tones = [
        0.2 * np.sin(2 * np.pi * pitch * time) + noise * rng.normal(size=12000)
        for pitch, noise in ((120, 0.01), (300, 0.2), (900, 0.05), (210, 0.1))
    ]
    return np.where(np.arange(12000) < length[:, None], tones, np.nan).astype("float32"), length


def test_every_model_has_a_row():
    assert {recipe.model for recipe in RECIPES.values()} == set(MODELS)


def test_alone_in_a_batch_padded_and_reloaded(made, tmp_path):
    """The whole model: clips in a batch with NaN behind their ends, and each clip alone through the saved file."""
    together = run_model(made.whole, made.waveform, made.length)
    made.whole.save(tmp_path / "whole.keras")
    again = keras.saving.load_model(tmp_path / "whole.keras", compile=False)
    for i, n in enumerate(made.length):
        for name, value in run_model(again, made.waveform[i : i + 1, :n], made.length[i : i + 1]).items():
            np.testing.assert_allclose(value[0], together[name][i], atol=1e-5, err_msg=name)
    for name, value in together.items():
        np.testing.assert_allclose(value.sum(-1), 1, atol=1e-6)
        assert value.std(0).max() > 1e-3, f"the clips differ, and their {name} should"


def test_every_output_has_a_target_and_every_variable_a_gradient(made, rng):
    network, outputs = made.network.model, made.network.outputs
    assert set(network.output) == set(outputs) >= {task.name for task in made.recipe.tasks}
    rows = len(next(iter(made.x.values())))  # clips, or stretches of them
    y = {name: rng.integers(0, value.shape[-1], rows) for name, value in network.output.items()}
    others = {name: output.target for name, output in outputs.items() if not isinstance(output.target, Label)}
    assert {type(target) for target in others.values()} <= {Reconstruction}, "of no other target are there values here"
    y |= {name: rng.normal(size=made.x[target.feature].shape) for name, target in others.items()}
    with tf.GradientTape() as tape:
        found = network(made.x, training=False)
        losses = {name: output.loss(y[name], found[name]) for name, output in outputs.items()}
        total = sum(output.weight * losses[name] for name, output in outputs.items()) + sum(network.losses)
    assert all(np.isfinite(loss) and loss > 0 for loss in losses.values()), losses
    # without a discriminator, which sees no output
    variables = keras.Model(network.input, network.output).trainable_variables
    for variable, gradient in zip(variables, tape.gradient(total, [v.value for v in variables]), strict=True):
        assert gradient is not None and np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path


def check_gradient_at_gaps(network: Network, x, heads: dict) -> None:
    """With kernels of 0 the logits are the bias; its gradient is the weight of the output times p - q."""
    kept, truth = network.model.get_weights(), np.zeros(len(next(iter(x.values()))), int)
    layers = {
        name: network.model.get_layer(heads.get(name, name))
        for name, output in network.outputs.items()
        if isinstance(output.target, Label)
    }
    # a centre loss has no logits
    layers = {name: layer for name, layer in layers.items() if isinstance(layer, keras.layers.Dense)}
    outputs = {name: network.outputs[name] for name in layers}
    for gap in (90.0, 1e4):
        for layer in layers.values():
            kernel, bias = layer.get_weights()
            layer.set_weights([0 * kernel, gap * np.eye(len(bias))[1]])
        with tf.GradientTape() as tape:
            found = network.model(x, training=False)
            total = sum(output.weight * output.loss(truth, found[name]) for name, output in outputs.items())
        gradients = tape.gradient(total, {name: layer.bias.value for name, layer in layers.items()})
        for name, gradient in gradients.items():
            first, second, *_ = np.eye(len(gradient))  # q, and p, whose other classes are nothing beside the gap
            expected = outputs[name].weight * (second - first)
            np.testing.assert_allclose(gradient, expected, atol=1e-5, err_msg=name)
    network.model.set_weights(kept)


def test_every_output_has_its_gradient_at_any_gap_between_logits(made):
    check_gradient_at_gaps(made.network, {name: value[:2] for name, value in made.x.items()}, {})


def test_frame_level_output_has_its_gradient_at_any_gap_between_logits(rng):
    config = aspmtl.Config(units=3, layers=1, dense=4, frame_level=True)
    network = aspmtl.build(config, INPUTS, (EMOTION, NOISE), streams=2)
    check_gradient_at_gaps(network, features(rng, (5, 3)), {"noise": "noise_frames"})


def test_embedding_is_found_and_differs_between_clips(made):
    layer = inner_network(made.whole).get_layer(made.network.layer_of(made.network.embedding))
    assert layer.output.shape == made.network.embedding.shape
    vectors = recipe_embedder(made.recipe, made.whole)({"waveform": made.waveform, "length": made.length})
    vectors = np.asarray(vectors)
    assert vectors.shape == (len(made.length), layer.output.shape[-1]) and np.isfinite(vectors).all()
    distances = np.abs(vectors[:, None] - vectors).max(-1)
    assert (distances + np.eye(len(vectors)) > 1e-3).all()


def test_a_known_prior_is_that_of_a_head_certain_of_the_label(made):
    for task, posterior in made.network.priors.items():
        head = inner_network(made.whole).get_layer(task)
        kept = head.get_weights()
        for label in range(head.units):
            known = known_prior(made.whole, made.network.layer_of(posterior), label)
            found = run_model(known, made.waveform, made.length)["emotion"]
            head.set_weights([kept[0], kept[1] + 1e4 * np.eye(head.units)[label]])
            expected = run_model(made.whole, made.waveform, made.length)["emotion"]
            head.set_weights(kept)
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_normalizations_cover_every_input(made):
    """But for waveforms, which the layers that hear them normalise."""
    inputs = {name: x for name, x in made.network.model.input.items() if not name.endswith("waveform")}
    covered = [name for names in made.network.normalizations for name in names]
    assert sorted(covered) == sorted(name for name, value in inputs.items() if value.dtype != "bool")
    for names, layer in made.network.normalizations.items():
        assert layer.mean.shape == (sum(inputs[name].shape[-1] for name in names),)


def test_outputs_are_float32_under_bfloat16(made):
    """And layers before them compute in bfloat16."""
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        network = build_network(made.recipe, input_shapes(made.recipe, frontends(made.recipe))).model
    finally:
        keras.config.set_dtype_policy("float32")
    assert "bfloat16" in {layer.compute_dtype for layer in network.layers}
    for name, value in network(made.x, training=False).items():
        assert value.dtype == "float32" and np.isfinite(value).all(), name


@pytest.mark.slow
def test_it_begins_with_all_weights_of_its_run(made, tmp_path):
    """Loaded from its file, where Keras names the inner layers of a bidirectional LSTM anew."""
    made.whole.save(tmp_path / "model.keras")
    save_rest(made.network.model, made.whole.get_layer("scorer"), tmp_path)
    runs.describe(made.recipe, tmp_path)

    def begun(tasks):
        recipe = made.recipe.replace(tasks=tasks)
        network = build_network(recipe, input_shapes(recipe, frontends(recipe)))
        return network, begin_from(network, tasks, tmp_path)

    fresh, anew = begun(made.recipe.tasks)
    assert anew == []
    for mine, theirs in zip(fresh.model.layers, made.network.model.layers, strict=True):
        assert mine.name == theirs.name
        for a, b in zip(mine.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(np.array(a), np.array(b))
    # levels' classifiers and centres learn the labels of the main task, too
    emotion, *rest = made.recipe.tasks
    fresh, anew = begun((replace(emotion, labels=("joy", "fear", "disgust", "surprise")), *rest))
    learning = {n for n, o in fresh.outputs.items() if getattr(o.target, "task", "") == "emotion"}
    assert {path.split("/")[0] for path in anew} == learning | {"emotion"}
    assert len(learning) == (4 if made.recipe.name == "multilevel-all" else 1)


@pytest.mark.slow
def test_contributions_of_all_frames_sum_to_the_difference_of_the_outputs(made):
    """Completeness of integrated gradients, against the whole model's own answer; padding contributes nothing."""
    attributor = Attributor(made.recipe, made.whole)
    clip = made.waveform[0, : made.length[0]]
    found = attributor(clip)
    answers = run_model(made.whole, clip[None], made.length[:1])
    for told, task in zip(found.tasks, made.recipe.tasks, strict=True):
        p = answers[task.name][0]
        assert told.label == task.labels[p.argmax()] and told.probability == pytest.approx(p.max(), abs=1e-5)
        assert told.total == pytest.approx(told.difference, rel=0.02, abs=5e-3)
        edges = np.linspace(0, found.seconds, 4)
        assert found.by_time(told, edges).sum() == pytest.approx(told.total)
        for name, values in told.contributions.items():
            assert values.shape == found.features[name].shape and len(found.times[name]) == len(values)
