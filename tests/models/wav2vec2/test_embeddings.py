"""Embeddings on disk: computed once, never shared between layers, and the same whether computed or read."""

import numpy as np
import pytest

from keras_ser.audio.waveforms import content_hash
from keras_ser.errors import UserError
from keras_ser.models.wav2vec2 import EmbeddingCache, embed, layer_hash, load
from tests.models.wav2vec2.reference import STORED, waveforms


@pytest.fixture(params=["group", "layer"])
def layer(request):
    return load(STORED / request.param, trainable=False)


class Counted:
    """A layer that counts its calls."""

    def __init__(self, layer):
        self.layer, self.calls = layer, 0

    def __getattr__(self, name):
        return getattr(self.layer, name)

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.layer(*args, **kwargs)


def test_embeddings_are_what_the_layer_gives_each_clip_alone(layer, tmp_path):
    clips = waveforms()
    cache = EmbeddingCache(tmp_path, layer_hash(layer))
    for found in (list(embed(layer, clips)), list(embed(layer, clips, cache)), list(embed(layer, clips, cache))):
        assert len(found) == len(clips)
        for value, clip in zip(found, clips, strict=True):
            assert value.dtype == np.float32
            assert value.shape == (layer.frames(len(clip)), layer.hidden)
            np.testing.assert_array_equal(value, np.array(layer(clip[None]))[0])


def test_all_states_are_kept_together(tmp_path):
    layer = load(STORED / "layer", states="all")
    cache = EmbeddingCache(tmp_path, layer_hash(layer))
    for _ in range(2):
        (found,) = embed(layer, waveforms()[:1], cache)
        np.testing.assert_array_equal(found, np.stack([np.array(state)[0] for state in layer(waveforms()[0][None])]))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_second_run_computes_nothing_and_an_interrupted_one_goes_on(layer, dtype, tmp_path):
    counted = Counted(layer)
    cache = EmbeddingCache(tmp_path, layer_hash(layer), dtype)
    first = next(embed(counted, waveforms(), cache))  # interrupted after one clip
    assert counted.calls == 1
    made = list(embed(counted, waveforms(), EmbeddingCache(tmp_path, layer_hash(layer), dtype)))
    assert counted.calls == 3
    again = list(embed(counted, waveforms()[::-1], cache))[::-1]
    assert counted.calls == 3
    np.testing.assert_array_equal(first, made[0])
    for a, b in zip(made, again, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, a.astype(dtype))
    assert {path.name for path in tmp_path.rglob("*.npy")} == {f"{content_hash(wave)}.npy" for wave in waveforms()}


def test_float16_takes_half_of_the_disk(layer, tmp_path):
    sizes = []
    for dtype in ("float32", "float16"):
        cache = EmbeddingCache(tmp_path / dtype, layer_hash(layer), dtype)
        list(embed(layer, waveforms(), cache))
        sizes.append(sum(path.stat().st_size - 128 for path in cache.folder.iterdir()))  # 128: header
    assert sizes[0] == 2 * sizes[1]


def test_layers_of_different_answers_do_not_share(tmp_path):
    layers = [load(STORED / "group"), load(STORED / "layer"), load(STORED / "group", states="weighted")]
    changed = load(STORED / "group")
    changed.projection.bias.assign(changed.projection.bias + 1e-3)
    layers += [changed, load(STORED / "group", dtype="mixed_bfloat16")]
    keys = [layer_hash(layer) for layer in layers]
    assert len(set(keys)) == len(keys)
    assert layer_hash(load(STORED / "group", trainable=False, name="other")) == keys[0]
    for layer, key in zip(layers, keys, strict=True):
        counted = Counted(layer)
        list(embed(counted, waveforms(), EmbeddingCache(tmp_path, key)))
        assert counted.calls == 3
    with pytest.raises(UserError, match=f"key {keys[0]}.*Received: key {keys[1]}"):
        embed(layers[0], waveforms(), EmbeddingCache(tmp_path, keys[1]))


def test_damaged_file_is_computed_again(layer, tmp_path):
    cache = EmbeddingCache(tmp_path, layer_hash(layer))
    made = list(embed(layer, waveforms(), cache))
    file = cache.folder / f"{content_hash(waveforms()[1])}.npy"
    whole = file.read_bytes()
    for damaged in (b"", whole[:-5], b"x" + whole[1:]):
        file.write_bytes(damaged)
        counted = Counted(layer)
        np.testing.assert_array_equal(list(embed(counted, waveforms(), cache))[1], made[1])
        assert counted.calls == 1
        assert file.read_bytes() == whole


def test_clip_below_the_receptive_field_is_named(layer):
    clips = [waveforms()[0], np.zeros(399, "float32")]
    with pytest.raises(UserError, match=r"clip 1 must have at least 400 samples.*Received: 399"):
        list(embed(layer, clips))


def test_numbers_beyond_float16_are_refused(tmp_path):
    cache = EmbeddingCache(tmp_path, "key", "float16")
    with pytest.raises(UserError, match="float32"):
        cache.put("a", np.array([1.0, 7e4], "float32"))
    assert cache.get("a") is None


def test_other_precisions_and_keys_are_refused(tmp_path):
    with pytest.raises(UserError, match="float32, float16"):
        EmbeddingCache(tmp_path, "key", "float64")
    with pytest.raises(UserError, match="key"):
        EmbeddingCache(tmp_path, "../elsewhere")


def test_progress_wraps_the_clips(layer):
    seen = []
    list(embed(layer, waveforms()[2:], progress=lambda clips: seen.append(len(clips)) or clips))
    assert seen == [1]
