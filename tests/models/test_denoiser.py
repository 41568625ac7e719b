"""Model 1 as a denoiser: what it leaves of a waveform, against plain loops and its own network."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from keras_ser.features import Frontend, apply_gain, ideal_ratio_mask
from keras_ser.features.segments import segment
from keras_ser.models import aspmtl
from keras_ser.models.aspmtl import Config
from keras_ser.models.aspmtl.cascade import mask_extractor
from keras_ser.models.aspmtl.denoiser import drop_denoiser, ideal, mask_denoiser, noise_segments
from keras_ser.models.whole_model import assembled, extractor, scorer
from tests.models import wholes
from tests.models.rows import EMOTION, GENDER, NOISE, randomized
from tests.models.wholes import FRONTEND, SEGMENT, clips, run_model
from tests.training import tiny

SIZES = (FRONTEND["window"], FRONTEND["hop"], FRONTEND["fft"])


def model_1(endpoint: bool = False, seed: int = 3, stretch: int = 0, **config) -> keras.Model:
    config = Config(**{"units": 3, "layers": 1, "dense": 4, "frame_level": True, "mask_bins": 129, **config})
    network = aspmtl.build(config, {"log_mel": (None, 7), "energy": (None, 1)}, (EMOTION, NOISE), streams=2)
    randomized(network.model, seed)
    network.model.get_layer("normalization").set_statistics(np.linspace(-45, -25, 8), np.linspace(300, 200, 8))
    extract = extractor(Frontend(**FRONTEND, endpoint=endpoint), stretch=stretch)
    score = scorer(network, (EMOTION, NOISE), 0 if stretch else SEGMENT, stretched=stretch > 0)
    return assembled(extract, score, "model_1")


@pytest.fixture(scope="module")
def first():
    model = model_1()
    network = model.get_layer("scorer").get_layer("aspmtl")
    waveform, length = clips(np.random.default_rng(0))
    x = dict(model.get_layer("extractor")({"waveform": waveform, "length": length}))
    # a bias that lets clean win somewhere, as a trained model's does
    logits = np.log(np.asarray(network(x, training=False)["noise"]))
    kernel, bias = network.get_layer("noise_frames").get_weights()
    network.get_layer("noise_frames").set_weights([kernel, bias - logits.mean(0)])
    return model


def test_mask_is_the_networks_gain_on_the_whole_clip(first, rng):
    waveform, length = clips(rng)
    found = run_model(mask_denoiser(first), waveform, length)["waveform"]
    x = first.get_layer("extractor")({"waveform": waveform, "length": length})
    gain = first.get_layer("scorer").get_layer("aspmtl")(dict(x), training=False)["gain"]
    np.testing.assert_allclose(found, apply_gain(waveform, length, gain, *SIZES), atol=1e-6)
    assert np.abs(found - waveform).max() > 1e-3


def test_drop_silences_the_segments_that_a_noise_wins(first, rng):
    waveform, length = clips(rng)
    found = run_model(drop_denoiser(first, SEGMENT), waveform, length)
    x = {k: np.asarray(v) for k, v in first.get_layer("extractor")({"waveform": waveform, "length": length}).items()}
    mask = x.pop("mask")
    cut = {name: segment(value, ops.convert_to_tensor(mask), SEGMENT) for name, value in x.items()}
    given = {name: value for name, (value, _) in cut.items()} | {"mask": cut["energy"][1]}
    noise = np.asarray(first.get_layer("scorer").get_layer("aspmtl")(given, training=False)["noise"])
    per_clip = len(noise) // len(mask)
    for i, n in enumerate(length):
        own = noise[i * per_clip : (i + 1) * per_clip][: -(-int(mask[i].sum()) // SEGMENT)]
        stays = own.argmax(1) == 0
        assert found["emptied"][i] == (not stays.any())
        if not stays.any():
            stays[own[:, 0].argmax()] = True
        expected = waveform[i].copy()
        for j, stay in enumerate(stays):
            end = n if j == len(stays) - 1 else (j + 1) * SEGMENT * FRONTEND["hop"]
            if not stay:
                expected[j * SEGMENT * FRONTEND["hop"] : end] = 0
        np.testing.assert_array_equal(found["waveform"][i], expected)
    assert not np.array_equal(found["waveform"], waveform)


@pytest.mark.parametrize("method", ["mask", "drop", pytest.param("cascade", marks=pytest.mark.slow)])
def test_alone_in_a_batch_or_padded_with_garbage(first, method, rng):
    if method == "cascade":
        model = mask_extractor(first, Frontend(features=("mfcc", "energy"), sample_rate=8000, bins=20))
    else:
        model = mask_denoiser(first) if method == "mask" else drop_denoiser(first, SEGMENT)
    waveform, length = clips(rng)
    together = run_model(model, waveform, length)
    longer = np.full((len(waveform), 2500), np.nan, "float32")
    for i, n in enumerate(length):
        longer[i, :n] = waveform[i, :n]
    padded = run_model(model, longer, length)
    for i, n in enumerate(length):
        for name, value in run_model(model, waveform[i : i + 1, :n], length[i : i + 1]).items():
            size = slice(value.shape[1]) if value.ndim > 1 else ...
            np.testing.assert_allclose(together[name][i][size], value[0], atol=2e-5)
            np.testing.assert_allclose(padded[name][i][size], value[0], atol=2e-5)
            if value.ndim == 2:
                assert not padded[name][i][value.shape[1] :].any()


def test_ideal_is_the_masks_limit(rng):
    clean, length = clips(rng)
    noisy = clean + 0.1 * rng.normal(size=clean.shape).astype("float32") * (np.arange(clean.shape[1]) < length[:, None])
    expected = apply_gain(noisy, length, ideal_ratio_mask(clean, noisy, length, *SIZES), *SIZES)
    np.testing.assert_allclose(ideal(clean, noisy, length, Frontend(**FRONTEND)), expected, atol=1e-6)


def test_mask_cascade_is_one_keras_file(first, rng, tmp_path):
    """Model 1, its mask, another front end, model 2."""
    extract = mask_extractor(first, Frontend(features=("log_mel", "energy"), sample_rate=8000, bins=7, name="frontend"))
    network = wholes._network((EMOTION, GENDER), 5)
    whole = assembled(extract, scorer(network, (EMOTION, GENDER), 6), "mask_cascade")
    assert set(whole.output) == {"emotion", "gender"}
    waveform, length = clips(rng)
    expected = run_model(whole, waveform, length)
    heard = run_model(mask_denoiser(first), waveform, length)["waveform"]
    alone = assembled(extractor(extract.get_layer("frontend")), whole.get_layer("scorer"), "model_2")
    assert set(run_model(alone, heard, length)) == set(expected)
    whole.save(tmp_path / "whole.keras")
    again = run_model(keras.saving.load_model(tmp_path / "whole.keras", compile=False), waveform, length)
    for name, value in expected.items():
        np.testing.assert_allclose(run_model(alone, heard, length)[name], value, atol=1e-6)
        np.testing.assert_allclose(again[name], value, atol=1e-6)


def test_clean_is_found_by_its_name():
    noise = dataclasses.replace(tiny.NOISE, labels=("white", "pink", "clean"))
    assert noise_segments(tiny.FIRST.replace(tasks=(tiny.EMOTION, noise))) == (30, 2, "noise")


def test_what_is_no_denoiser_says_so():
    with pytest.raises(ValueError, match="estimates no mask: train it with config.mask_bins"):
        mask_denoiser(model_1(mask_bins=0))
    with pytest.raises(ValueError, match="train it with --set frontend.endpoint=false"):
        mask_denoiser(model_1(endpoint=True))
    with pytest.raises(ValueError, match="this is a cascade: name its model_1"):
        drop_denoiser(wholes.cascade(), SEGMENT)
    with pytest.raises(ValueError, match="needs whole clips, but this model cuts stretches"):
        drop_denoiser(model_1(stretch=4000), SEGMENT)
