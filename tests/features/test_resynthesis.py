"""Ratio masks and resynthesis against NumPy loops, closed forms and SciPy."""

import numpy as np
import pytest
import scipy.signal

from keras_ser.errors import UserError
from keras_ser.features import ApplyGain, apply_gain, ideal_ratio_mask, loudness_weights
from keras_ser.features.spectrogram import analysis_window
from tests.features.clips import batch, speech_like

SIZES = [(400, 160, 512), (331, 77, 511), (400, 400, 400), (512, 128, 512), (160, 80, 256)]


def frames_of(samples, window, hop):
    return max(1, 1 + (samples - window) // hop)


def loop(y, gain, window, hop, fft, shape="hamming"):
    """One clip, frame by frame in float64: frames that overlap an end take the gain of the first or the last."""
    w = analysis_window(window, shape).astype(float)
    n, valid = len(y), frames_of(len(y), window, hop)
    total, weight = np.zeros(n + 2 * window), np.zeros(n + 2 * window)
    padded = np.pad(y.astype(float), window)  # sample i of the clip is i + window here
    t = -((window - 1) // hop)
    while t * hop < n:
        at = slice(t * hop + window, t * hop + 2 * window)
        g = gain[min(max(t, 0), valid - 1)]
        total[at] += np.fft.irfft(np.fft.rfft(padded[at] * w, fft) * g, fft)[:window] * w
        weight[at] += w**2
        t += 1
    return (total / np.maximum(weight, 1e-30))[window : window + n]


@pytest.mark.parametrize("shape", ["hamming", "hann"])
@pytest.mark.parametrize(("window", "hop", "fft"), SIZES)
def test_gain_of_one_is_the_input(rng, window, hop, fft, shape):
    if shape == "hann" and hop == window:
        with pytest.raises(UserError, match="hann windows of 400 samples every 400 are nearly 0 at some samples"):
            ApplyGain(window, hop, fft, shape)
        return
    y, length = batch([rng.standard_normal(n).astype("float32") for n in (4003, 1, window - 1, window + hop + 1)])
    gain = np.ones((4, frames_of(y.shape[1], window, hop), fft // 2 + 1), "float32")
    found = np.asarray(apply_gain(y, length, gain, window, hop, fft, shape))
    np.testing.assert_allclose(found, y, atol=2e-5)


@pytest.mark.parametrize(("window", "hop", "fft"), SIZES)
def test_any_gain_is_the_plain_loop(rng, window, hop, fft):
    y, length = batch([rng.standard_normal(n).astype("float32") for n in (4003, 1, window - 1, 2 * window + 1)])
    gain = rng.uniform(0, 1.5, (4, frames_of(y.shape[1], window, hop), fft // 2 + 1)).astype("float32")
    found = np.asarray(apply_gain(y, length, gain, window, hop, fft))
    for i, n in enumerate(length):
        np.testing.assert_allclose(found[i, :n], loop(y[i, :n], gain[i], window, hop, fft), atol=2e-4)
        assert not found[i, n:].any()


def test_alone_in_a_batch_or_padded_with_garbage(rng):
    y, length = batch([speech_like(rng, n) for n in (9000, 350, 5000)])
    gain = rng.uniform(0, 1, (3, frames_of(9000, 400, 160), 257)).astype("float32")
    together = np.asarray(apply_gain(y, length, gain))
    dirty = np.full((3, 12000), np.nan, "float32")
    more = np.full((3, frames_of(12000, 400, 160), 257), 7.0, "float32")
    for i, n in enumerate(length):
        dirty[i, :n] = y[i, :n]
        more[i, : frames_of(n, 400, 160)] = gain[i, : frames_of(n, 400, 160)]
    padded = np.asarray(apply_gain(dirty, length, more))
    assert padded.shape == dirty.shape
    for i, n in enumerate(length):
        alone = np.asarray(apply_gain(y[i : i + 1, :n], None, gain[i : i + 1, : frames_of(n, 400, 160)]))[0]
        np.testing.assert_allclose(together[i, :n], alone, atol=1e-6)
        np.testing.assert_allclose(padded[i, :n], alone, atol=1e-6)
        assert not padded[i, n:].any()


def test_ideal_ratio_mask_is_its_equation(rng):
    clean, length = batch([speech_like(rng, n) for n in (6000, 2000)])
    noise = (0.05 * rng.standard_normal(clean.shape)).astype("float32") * (np.arange(6000) < length[:, None])
    for exponent in (0.5, 1.0):
        found = np.asarray(ideal_ratio_mask(clean, clean + noise, length, exponent=exponent))
        assert found.shape == (2, frames_of(6000, 400, 160), 257)
        for i, n in enumerate(length):
            for t in (0, 3, frames_of(n, 400, 160) - 1):
                cut = slice(t * 160, t * 160 + 400)
                w = scipy.signal.get_window("hamming", 400)
                s, v = (np.abs(np.fft.rfft(x[i, cut] * w, 512)) ** 2 for x in (clean, noise))
                np.testing.assert_allclose(found[i, t], (s / (s + v)) ** exponent, atol=2e-3)


def test_ideal_ratio_mask_at_its_ends(rng):
    speech = speech_like(rng, 3000)[None]
    noise = rng.standard_normal((1, 3000)).astype("float32")
    assert np.asarray(ideal_ratio_mask(speech, speech)).min() == 1
    assert np.asarray(ideal_ratio_mask(0 * speech, 0 * speech)).min() == 1
    assert np.asarray(ideal_ratio_mask(0 * speech, noise)).max() == 0


def test_loudness_weights(rng):
    y, length = batch([speech_like(rng, n) for n in (6000, 2000)] + [np.zeros(3000, "float32")])
    dirty = np.where(np.arange(6000) < length[:, None], y, np.nan)
    for exponent in (0.5, 1.0, 2.0):
        found = np.asarray(loudness_weights(dirty, length, exponent=exponent))
        for i, n in enumerate(length):
            valid = frames_of(n, 400, 160)
            assert not found[i, valid:].any()
            w = scipy.signal.get_window("hamming", 400)
            cut = np.stack([y[i, t * 160 : t * 160 + 400] * w for t in range(valid)])
            loud = np.abs(np.fft.rfft(cut, 512)) ** exponent
            np.testing.assert_allclose(found[i, :valid], loud / loud.mean() if loud.any() else 1, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(loudness_weights(y, length, exponent=0.0)[0], 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((400, 401, 512), "`hop` must be at most `window`"), ((400, 160, 256), "`fft` must be at least `window`")],
)
def test_errors(sizes, words):
    with pytest.raises(ValueError, match=words):
        ApplyGain(*sizes)
