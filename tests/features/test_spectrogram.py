import librosa
import numpy as np
import pytest

from keras_ser.features import decibels, power_spectrogram, preemphasis
from tests.features.clips import close_to_peak, found_by


def librosa_power(x, window, hop, fft, shape):
    margin = fft - window
    x = np.pad(x, ((0, 0), (margin // 2, margin - margin // 2)))
    return np.abs(librosa.stft(x, n_fft=fft, hop_length=hop, win_length=window, window=shape, center=False)) ** 2


@pytest.mark.parametrize("shape", ["hamming", "hann"])
@pytest.mark.parametrize(
    ("window", "hop", "fft", "samples"),
    [(400, 160, 512, 16001), (400, 160, 400, 4243), (331, 77, 511, 5003), (512, 128, 512, 8191), (400, 160, 512, 400)],
)
def test_equals_librosa(rng, window, hop, fft, samples, shape):
    x = rng.standard_normal((3, samples)).astype(np.float32) * np.array([[1.0], [0.1], [0.003]], np.float32)
    theirs = librosa_power(x, window, hop, fft, shape).swapaxes(1, 2)
    ours = np.asarray(power_spectrogram(x, window, hop, fft, shape))
    for a, b in zip(ours, theirs, strict=True):
        close_to_peak(a, b)


def test_decibels_equal_librosa(rng):
    power = (rng.standard_normal((50, 40)) ** 8).astype(np.float32)
    power[3] = 0
    np.testing.assert_allclose(decibels(power), librosa.power_to_db(power, top_db=None), atol=2e-5)


def test_frontend_spectrogram_is_decibels_of_the_emphasised_power(rng):
    x = rng.standard_normal((2, 4001)).astype(np.float32)
    emphasised = x - 0.9 * np.concatenate([x[:, :1], x[:, :-1]], axis=1)
    theirs = librosa.power_to_db(librosa_power(emphasised, 400, 160, 512, "hann"), top_db=None).swapaxes(1, 2)
    ours = found_by(x, features="spectrogram", preemphasis=0.9, window_shape="hann")
    # A bin near the floor of float32 may be off by more dB than its neighbours; relative to the peak power it is not.
    close_to_peak(10 ** (ours / 10), 10 ** (theirs / 10), 2e-5)


@pytest.mark.parametrize("coefficient", [0.5, 0.97])
def test_preemphasis_equals_librosa_from_the_second_sample(rng, coefficient):
    x = rng.standard_normal((3, 1001)).astype(np.float32)
    theirs = librosa.effects.preemphasis(x, coef=coefficient)
    ours = np.asarray(preemphasis(x, coefficient))
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], atol=1e-6)
    np.testing.assert_allclose(ours[:, 0], (1 - coefficient) * x[:, 0], atol=1e-6)


def test_linear_bands_are_means_of_neighbouring_bins(rng):
    """128 bands of a 512-point DFT: pairs, in decibels; 100: two or three bins each, in order."""
    x = rng.standard_normal((2, 4001)).astype(np.float32)
    power = librosa_power(x, 400, 160, 512, "hamming").swapaxes(1, 2)[..., :256]
    ours = found_by(x, features="linear_bands", bins=128, preemphasis=0.0)
    close_to_peak(10 ** (ours / 10), (power[..., ::2] + power[..., 1::2]) / 2, 2e-5)
    edges = [-(-256 * band // 100) for band in range(101)]
    expected = np.stack([power[..., a:b].mean(-1) for a, b in zip(edges[:-1], edges[1:], strict=True)], -1)
    close_to_peak(10 ** (found_by(x, features="linear_bands", bins=100, preemphasis=0.0) / 10), expected, 2e-5)
