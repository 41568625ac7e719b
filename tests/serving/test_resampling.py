"""Resampling in the graph equals soxr's "VHQ", which resamples clips on ingest."""

import numpy as np
import pytest
import soxr
import tensorflow as tf

from keras_ser.serving.resampling import resample

TARGET = 16000
RATES = (8000, 11025, 12345, 44100, 47999, 48000)


@tf.function(input_signature=[tf.TensorSpec((None,), tf.float32), tf.TensorSpec((), tf.int64)], autograph=False)
def to_target(waveform, rate):
    return resample(waveform, rate, TARGET)


def resampled(waveform, rate: int) -> np.ndarray:
    return to_target(tf.constant(waveform, tf.float32), tf.constant(rate, tf.int64)).numpy()


def band_limited(rng, samples: int, rate: int, share: float = 0.85) -> np.ndarray:
    """Noise up to a share of the lower Nyquist frequency, fading in and out as a clip does."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum[np.fft.rfftfreq(samples, 1 / rate) > share * min(rate, TARGET) / 2] = 0
    t = np.linspace(0, 1, samples)
    x = np.fft.irfft(spectrum, samples) * np.sin(np.pi * t) ** 2 * (1 + 0.5 * np.sin(17 * t))
    return (0.3 * x / x.std()).astype("float32")


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("samples", [4001, 15000])
def test_band_limited_noise_equals_soxr(rng, rate, samples):
    x = band_limited(rng, samples, rate)
    expected = soxr.resample(x, rate, TARGET, quality="VHQ")
    found = resampled(x, rate)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 3e-4 * np.abs(expected).max()


@pytest.mark.parametrize("rate", RATES)
def test_white_noise_nearly_equals_soxr(rng, rate):
    """In the transition band the two filters differ a little; at the first samples of a hard cut soxr itself is inexact."""
    x = (0.2 * rng.standard_normal(9001)).astype("float32")
    expected = soxr.resample(x, rate, TARGET, quality="VHQ")
    difference = np.abs(resampled(x, rate) - expected) / np.abs(expected).max()
    assert difference[200:].max() < 2e-3 and difference.max() < 5e-2


@pytest.mark.parametrize("rate", RATES)
def test_length_equals_soxrs(rng, rate):
    for samples in (1, 2, 3, 5, 31, 441, 999, 1000, 1001, 12345):
        x = (0.2 * rng.standard_normal(samples)).astype("float32")
        expected = soxr.resample(x, rate, TARGET, quality="VHQ").size
        found = resampled(x, rate)
        assert found.size == max(expected, 1), (rate, samples)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("samples", [1, 16000])
def test_same_rate_changes_nothing(rng, samples):
    x = rng.standard_normal(samples).astype("float32")
    assert np.array_equal(resampled(x, TARGET), x)


@pytest.mark.parametrize("rate", [44100, 47999])
def test_frequencies_above_the_new_nyquist_are_removed(rate):
    x = 0.7 * np.sin(2 * np.pi * 0.51 * TARGET * np.arange(rate) / rate)
    assert np.abs(resampled(x, rate)[1000:-1000]).max() < 1e-5


@pytest.mark.parametrize(("rate", "samples"), [(8000, 4096), (44100, 16 * 441), (47999, 47999), (48000, 3 * 2048)])
def test_end_does_not_wrap_around_to_the_beginning(rng, rate, samples):
    """Silence, then noise, of a length that needs no other padding."""
    x = np.zeros(samples, "float32")
    x[-300:] = 0.5 * rng.standard_normal(300)
    assert np.abs(resampled(x, rate)[:1000]).max() < 1e-5
