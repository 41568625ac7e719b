"""Loading checkpoints: every tensor used or known to be of no use, and one line for everything else."""

import hashlib
import json
import shutil
import subprocess
import sys

import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_ser.errors import UserError
from keras_ser.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config, load, weights_hash
from keras_ser.models.wav2vec2.checkpoint import assign
from keras_ser.models.wav2vec2.embeddings import layer_hash
from tests.models.wav2vec2.reference import STORED, waveforms

FORMS = ("group", "layer")
PREFIX = {"group": "wav2vec2.", "layer": "hubert."}
ORIGINAL = "encoder.pos_conv_embed.conv.parametrizations.weight.original"


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.fixture
def folder(form, tmp_path):
    """A copy of a stored checkpoint."""
    return shutil.copytree(STORED / form, tmp_path / "checkpoint")


def rewrite(folder, change):
    """Put what `change` makes of the tensors in the place of the weights."""
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors) or tensors, folder / "model.safetensors")


def answers(layer) -> list[np.ndarray]:
    return [np.array(layer(wave[None])) for wave in waveforms()]


def same(layer, form, atol=0.0):
    for a, b in zip(answers(layer), answers(load(STORED / form)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def refused(folder) -> str:
    with pytest.raises(UserError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_hidden_states_are_those_that_transformers_computed(form):
    layer = load(STORED / form, states="all")
    with np.load(STORED / form / "expected.npz") as expected:
        for i, wave in enumerate(waveforms()):
            states = layer(wave[None])
            for j, state in enumerate(states):
                np.testing.assert_allclose(np.array(state)[0], expected[f"clip {i}, state {j}"], atol=1e-4)
        assert len(expected) == len(waveforms()) * len(states)


def test_every_weight_comes_from_the_checkpoint(form):
    layer = Wav2Vec2(Wav2Vec2Config.from_folder(STORED / form))
    layer.build((None, None))
    for weight in layer.trainable_variables:
        weight.assign(np.full(weight.shape, 123.0, "float32"))
    assert assign(layer, STORED / form) == ()
    assert not [weight.path for weight in layer.trainable_variables if (np.array(weight) == 123.0).any()]
    # a magnitude for each frame of the positional kernel is multiplied in
    stored = load_file(STORED / form / "model.safetensors")
    sizes = sum(value.size for value in stored.values())
    assert sum(np.prod(weight.shape) for weight in layer.trainable_variables) == sizes - stored[ORIGINAL + "0"].size


def test_positional_kernel_has_the_norms_of_its_magnitudes(form):
    stored = load_file(STORED / form / "model.safetensors")
    kernel = np.array(load(STORED / form).positional.kernel)  # (frames, inputs, outputs)
    np.testing.assert_allclose(np.sqrt((kernel**2).sum((1, 2))), stored[ORIGINAL + "0"].ravel(), rtol=1e-5)
    direction = stored[ORIGINAL + "1"].transpose(2, 1, 0)
    cosines = (
        (kernel * direction).sum((1, 2)) / np.linalg.norm(kernel, axis=(1, 2)) / np.linalg.norm(direction, axis=(1, 2))
    )
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-5)


def test_names_of_a_model_with_a_head_and_older_weight_norm(form, folder):
    def change(tensors):
        renamed = {
            PREFIX[form]
            + name.replace("parametrizations.weight.original0", "weight_g").replace(
                "parametrizations.weight.original1", "weight_v"
            ): value
            for name, value in tensors.items()
        }
        heads = ("lm_head.weight", "quantizer.codevectors", "project_q.bias", "classifier.weight", "layer_weights")
        return renamed | {name: np.ones((3, 2), "float32") for name in (*heads, "feature_extractor.bias")}

    rewrite(folder, change)
    layer = load(folder)
    same(layer, form)
    assert set(assign(layer, folder)) == {
        "lm_head.weight",
        "quantizer.codevectors",
        "project_q.bias",
        "classifier.weight",
        "layer_weights",
        "feature_extractor.bias",
    }


def test_two_names_of_one_tensor_are_refused(form, folder):
    """Which of the two is meant cannot be known: with and without prefix, or in the older and the newer form of weight norm."""
    names = load_file(folder / "model.safetensors")
    norm = next(name for name in names if name.endswith("original0"))
    older = norm.replace("parametrizations.weight.original0", "weight_g")
    rewrite(folder, lambda tensors: tensors | {older: tensors[norm]})
    with pytest.raises(UserError, match="expected each tensor once. Received: .* two names of one tensor"):
        load(folder)
    prefixed = lambda tensors: {PREFIX[form] + n: v for n, v in tensors.items() if n != older}  # noqa: E731
    rewrite(folder, lambda tensors: prefixed(tensors) | {"encoder.layer_norm.bias": tensors["encoder.layer_norm.bias"]})
    with pytest.raises(UserError, match="encoder.layer_norm.bias and|and encoder.layer_norm.bias"):
        load(folder)


def test_mask_embedding_is_skipped_where_nothing_is_masked(form, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "apply_spec_augment": False}))
    layer = load(folder)
    assert assign(layer, folder) == ("masked_spec_embed",)
    same(layer, form)


def test_mask_embedding_may_be_missing(form, folder):
    """wav2vec2-base-960h has none, and its config.json asks for SpecAugment."""
    rewrite(folder, lambda tensors: {name: value for name, value in tensors.items() if "masked_spec" not in name})
    assert json.loads((folder / "config.json").read_text())["apply_spec_augment"]
    keras.utils.set_random_seed(1)
    first = load(folder)
    same(first, form)
    keras.utils.set_random_seed(2)
    # frames of a frozen layer are kept by it, for every seed of an experiment
    assert layer_hash(load(folder)) == layer_hash(first)


@pytest.mark.parametrize(("dtype", "atol"), [("float64", 1e-6), ("float16", 0.05), (ml_dtypes.bfloat16, 0.4)])
def test_other_float_types_are_read(form, folder, dtype, atol):
    tensors = load_file(folder / "model.safetensors")
    rewrite(folder, lambda tensors: {name: value.astype(dtype) for name, value in tensors.items()})
    layer = load(folder)
    np.testing.assert_array_equal(
        np.array(layer.projection.kernel),
        tensors["feature_projection.projection.weight"].astype(dtype).astype("float32").T,
    )
    same(layer, form, atol)


def test_bfloat16_is_read_in_a_process_without_keras(tmp_path):
    save_file({"x": np.array([1.5, -2.0], ml_dtypes.bfloat16)}, tmp_path / "x.safetensors")
    program = (
        "import sys, pathlib; from keras_ser.models.tensor_files import tensors\n"
        "with tensors([pathlib.Path(sys.argv[1])]) as found: print(found['x'].tolist(), 'keras' in sys.modules)"
    )
    given = [sys.executable, "-c", program, str(tmp_path / "x.safetensors")]
    assert subprocess.run(given, capture_output=True, text=True, check=True).stdout == "[1.5, -2.0] False\n"


def test_shards_are_read_as_one_file(form, folder):
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in parts.items():
        save_file({name: tensors[name] for name in own}, folder / file)
    index = {"weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    same(load(folder), form)
    both = b"".join((folder / file).read_bytes() for file in parts)
    assert weights_hash(folder) == hashlib.sha256(both).hexdigest()[:12]
    (folder / "b.safetensors").unlink()
    assert "b.safetensors" in refused(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": 3}')
    assert "weight_map" in refused(folder)


def test_weights_hash_is_that_of_the_file(form, folder):
    expected = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]
    assert weights_hash(folder) == weights_hash(str(folder)) == expected
    rewrite(folder, lambda tensors: {name: value * 1.5 for name, value in tensors.items()})
    assert weights_hash(folder) != expected


def test_missing_unknown_and_misshapen_tensors_are_named(form, folder):
    def change(tensors):
        tensors.pop("encoder.layers.1.final_layer_norm.bias")
        tensors["feature_projection.projection.weight"] = np.ones((16, 5), "float32")
        tensors["encoder.layers.2.attention.k_proj.weight"] = np.ones((16, 16), "float32")

    rewrite(folder, change)
    text = refused(folder)
    assert "1 missing: encoder.layers.1.final_layer_norm.bias" in text
    assert "1 not known: encoder.layers.2.attention.k_proj.weight" in text
    assert "feature_projection.projection.weight (expected (16, 8), received (16, 5))" in text


def test_weights_without_magnitudes_are_refused(form, folder):
    rewrite(folder, lambda tensors: {name: value for name, value in tensors.items() if name != ORIGINAL + "0"})
    assert "missing: encoder.pos_conv_embed.conv.weight_g" in refused(folder)


def test_a_refused_checkpoint_changes_no_weight(form, folder):
    rewrite(folder, lambda tensors: {name: value for name, value in tensors.items() if "layers.1" not in name})
    layer = load(STORED / form)
    for weight in layer.trainable_variables:
        weight.assign(np.full(weight.shape, 123.0, "float32"))
    with pytest.raises(UserError, match="missing"):
        assign(layer, folder)
    assert all((np.array(weight) == 123.0).all() for weight in layer.trainable_variables)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(form, folder, value):
    name = next(name for name in load_file(folder / "model.safetensors") if name.endswith("layers.1.layer_norm.bias"))
    rewrite(
        folder, lambda tensors: {**tensors, name: np.where(np.arange(len(tensors[name])) == 3, value, tensors[name])}
    )
    layer = load(STORED / form)
    before = [np.array(weight) for weight in layer.trainable_variables]
    with pytest.raises(UserError, match=f"the tensor {name} of the checkpoint holds NaN or infinite values"):
        assign(layer, folder)
    assert all(np.array_equal(a, np.array(b)) for a, b in zip(before, layer.trainable_variables, strict=True))


def test_more_layers_in_the_file_than_in_the_config_are_refused(form, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    assert "16 not known" in refused(folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hidden_size", "encoder.layer_norm.weight (expected (1000000000,), received"),
        ("intermediate_size", "intermediate_dense.weight (expected (1000000000, "),
        ("num_hidden_layers", "expected the tensors of 1000000000 layers (config.json). Received: "),
        ("num_conv_pos_embeddings", "encoder.pos_conv_embed.conv.weight_g (expected (1, 1, 1000000000), received"),
    ],
)
def test_sizes_of_another_checkpoint_are_refused_before_a_layer_of_them_is_made(form, folder, name, words, monkeypatch):
    monkeypatch.setattr(Wav2Vec2, "__init__", lambda *given, **options: pytest.fail("a layer was made"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, name: 10**9}))
    monkeypatch.setattr("keras_ser.models.wav2vec2.header.listed", lambda names, most: ", ".join(names))
    assert words in refused(folder)


@pytest.mark.parametrize("left", [0, 5, 300, -1], ids=["empty", "no header", "half a header", "a byte short"])
def test_truncated_weights_are_refused_in_one_line(form, folder, left):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:left])
    text = refused(folder)
    assert "model.safetensors: expected a whole safetensors file" in text
    assert "Download it again" in text


def test_a_pointer_of_git_lfs_is_named(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n")
    assert "git lfs pull" in refused(folder)


def test_quantised_weights_are_refused(folder):
    rewrite(folder, lambda tensors: {name: value.astype("int8") for name, value in tensors.items()})
    assert "not quantised" in refused(folder)
    assert "I8" in refused(folder)


def test_a_folder_with_pytorch_weights_alone_tells_how_to_convert_them(folder):
    (folder / "model.safetensors").unlink()
    assert "without them" in refused(folder)
    (folder / "pytorch_model.bin").write_bytes(b"x")
    text = refused(folder)
    assert "pytorch_model.bin" in text
    assert "save_pretrained" in text


def test_options_are_those_of_the_layer(form):
    layer = load(STORED / form, states="weighted", freeze_feature_encoder=True, seed=3, trainable=False, name="level")
    config = layer.get_config()
    assert (config["states"], config["freeze_feature_encoder"], config["seed"]) == ("weighted", True, 3)
    assert (layer.name, layer.trainable, layer.trainable_variables) == ("level", False, [])
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).get_config() == config
