"""What holds of every denoiser."""

import numpy as np
import pytest

from keras_ser.audio.denoise import DENOISERS, spectral_subtraction, wavelet_lms
from keras_ser.audio.denoise.wavelets import line_enhancer
from keras_ser.audio.noise import colour, mix, snr
from keras_ser.audio.quality import si_sdr
from tests.audio.denoise.voices import voice


def denoisers():
    for name, denoise in DENOISERS.items():
        if name == "wavelet-lms":
            pytest.importorskip("pywt")
        yield name, denoise


def test_each_denoiser_improves_speech_in_white_noise(clips):
    for name, denoise in denoisers():
        for level in (5, -5):
            gains = []
            for k, clip in enumerate(clips):
                noisy, _ = mix(clip, colour("white", clip.size, k), level)
                clean = denoise(noisy, 16000)
                assert clean.shape == noisy.shape and clean.dtype == np.float32
                gains.append((snr(clip, clean) - snr(clip, noisy), si_sdr(clip, clean) - si_sdr(clip, noisy)))
            assert np.min(np.mean(gains, axis=0)) > 1, f"{name} at {level} dB: {gains}"


def test_level_does_not_matter_and_the_input_stays(clips):
    noisy, _ = mix(clips[0], colour("pink", clips[0].size, 3), 3)
    before = noisy.copy()
    for name, denoise in denoisers():
        clean = denoise(noisy, 16000)
        for factor in (2.0**-90, 1e-4, -3.0, 2.0**100):
            scaled = denoise(factor * noisy.astype(float), 16000) / factor
            np.testing.assert_allclose(scaled, clean, atol=1e-5 * np.abs(clean).max(), err_msg=name)
        # 16-bit integers are samples as well
        integers = np.round(8000 * noisy).astype(np.int16)
        np.testing.assert_array_equal(denoise(integers, 16000), denoise(integers.astype(float), 16000))
    np.testing.assert_array_equal(noisy, before)


@pytest.mark.parametrize("samples", [1, 15, 160, 511, 512, 1111])
def test_short_clips(rng, samples):
    x = rng.standard_normal(samples).astype(np.float32)
    for name, denoise in denoisers():
        clean = denoise(x, 16000)
        assert clean.shape == x.shape and np.isfinite(clean).all(), name
    if samples < 512:
        np.testing.assert_array_equal(spectral_subtraction(x), x)


def test_odd_clips(rng):
    silent, constant = np.zeros(5000, np.float32), np.full(5000, 0.3, np.float32)
    clipped = np.clip(9 * voice(rng, 16000), -1, 1)
    half_silent = np.concatenate([np.zeros(9000), 0.1 * rng.standard_normal(9000)])
    click = np.eye(1, 5000, 2500)[0]
    for name, denoise in denoisers():
        np.testing.assert_array_equal(denoise(silent, 16000), silent)
        for x in (constant, clipped, half_silent, click):
            clean = denoise(x, 16000)
            assert clean.shape == x.shape and np.isfinite(clean).all(), name
            assert np.abs(clean).max() < 2 * np.abs(x).max(), name


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (np.array([0.1, np.nan, -np.inf]), "`waveform` must be finite. Received: 2 of 3 samples"),
        (np.zeros(0), r"one dimension. Received: float64 \(0,\)"),
        (np.zeros((2, 700)), r"one dimension. Received: float64 \(2, 700\)"),
    ],
)
def test_what_is_not_a_waveform_is_refused(waveform, words):
    for denoise in (spectral_subtraction, wavelet_lms, line_enhancer):
        with pytest.raises(ValueError, match=words) as caught:
            denoise(waveform)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: spectral_subtraction(x, alpha=0), "alpha > 0 and beta >= 0. Received: alpha=0"),
        (lambda x: spectral_subtraction(x, beta=-0.1), "beta=-0.1"),
        (lambda x: spectral_subtraction(x, 10), "`sample_rate` must be at least 62.5 Hz. Received: 10"),
        (lambda x: spectral_subtraction(x, 0), "`sample_rate` must be positive. Received: 0"),
        (lambda x: spectral_subtraction(x, noise=x[:511]), "at least 512 samples, one window. Received: 511"),
        (lambda x: spectral_subtraction(x, noise=x * np.nan), "`noise` must be finite"),
        (lambda x: wavelet_lms(x, 0), "`sample_rate` must be positive"),
    ],
)
def test_arguments_out_of_range(rng, call, words):
    with pytest.raises(ValueError, match=words):
        call(rng.standard_normal(2000))
