"""Embeddings on disk: read as they were stored, and never shared between layers. Their use: tests/training/test_frozen.py."""

import numpy as np
import pytest

from keras_ser.errors import UserError
from keras_ser.models.wav2vec2 import EmbeddingCache, layer_hash, load
from tests.models.wav2vec2.reference import STORED


def test_arrays_are_read_as_they_were_stored(rng, tmp_path):
    """Also by another process, and beside those of another layer."""
    frames = rng.normal(size=(3, 4))
    stored = EmbeddingCache(tmp_path, "key").put("a", frames)
    found = EmbeddingCache(tmp_path, "key").get("a")
    assert stored.dtype == found.dtype == np.float32
    np.testing.assert_array_equal(stored, frames.astype("float32"))
    np.testing.assert_array_equal(found, stored)
    assert EmbeddingCache(tmp_path, "key").get("b") is None
    assert EmbeddingCache(tmp_path, "other").get("a") is None


def test_layers_of_different_answers_do_not_share():
    layers = [load(STORED / "group"), load(STORED / "layer"), load(STORED / "group", states="weighted")]
    changed = load(STORED / "group")
    changed.projection.bias.assign(changed.projection.bias + 1e-3)
    layers += [changed, load(STORED / "group", dtype="mixed_bfloat16"), load(STORED / "group", states="stacked")]
    keys = [layer_hash(layer) for layer in layers]
    assert len(set(keys)) == len(keys)
    assert layer_hash(load(STORED / "group", trainable=False, name="other")) == keys[0]


def test_damaged_file_is_missing(rng, tmp_path):
    cache = EmbeddingCache(tmp_path, "key")
    cache.put("a", rng.normal(size=(3, 4)))
    file = cache.folder / "a.npy"
    whole = file.read_bytes()
    for damaged in (b"", whole[:-5], b"x" + whole[1:]):
        file.write_bytes(damaged)
        assert cache.get("a") is None


def test_key_that_is_no_folder_name_is_refused(tmp_path):
    with pytest.raises(UserError, match="key"):
        EmbeddingCache(tmp_path, "../elsewhere")
