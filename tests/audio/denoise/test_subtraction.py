import numpy as np
import pytest
from scipy import signal

from keras_ser.audio.denoise.subtraction import leading_pause, minimum_statistics, spectral_subtraction
from keras_ser.audio.noise import colour, mix, snr
from tests.audio.denoise.voices import voice


def subtraction_by_loop(x, noise, alpha, beta, window, hop):
    """One frame, one bin at a time, in the letters of the equation; without noise, by the minimum at the same place."""
    shape = [np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * n / window)) for n in range(window)]
    kernel = np.exp(-2j * np.pi * np.outer(np.arange(window // 2 + 1), np.arange(window)) / window)
    alone = x if noise is None else noise
    cuts = range(0, len(alone) - window + 1, hop)
    powers = np.array([np.abs(kernel @ (alone[c : c + window] * shape)) ** alpha for c in cuts])
    if noise is None:
        powers = minimum_statistics(powers, 8000, window, hop, alpha)
    total, weight = np.zeros(len(x)), np.zeros(len(x))
    for start in range(-window, len(x) + window, hop):
        frame = np.array([x[start + n] if 0 <= start + n < len(x) else 0.0 for n in range(window)])
        y = kernel @ (frame * shape)
        n_alpha = powers.mean(0) if noise is not None else powers[min(max(start // hop, 0), len(powers) - 1)]
        for k in range(len(y)):
            size = max(abs(y[k]) ** alpha - beta * n_alpha[k], 0.0) ** (1 / alpha)
            y[k] = size * np.exp(1j * np.angle(y[k]))
        back = np.fft.irfft(y, window) * shape
        for n in range(window):
            if 0 <= start + n < len(x):
                total[start + n] += back[n]
                weight[start + n] += shape[n] ** 2
    return total / weight


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.5), (2.7, 1.3)])
def test_spectral_subtraction_equals_the_loop(rng, alpha, beta):
    # 8 kHz and a length that no hop divides
    x = voice(rng, 1777) + 0.05 * rng.standard_normal(1777)
    noise = 0.05 * rng.standard_normal(1500)
    ours = spectral_subtraction(x, 8000, alpha, beta, noise=noise)
    expected = subtraction_by_loop(x, noise, alpha, beta, 256, 64)
    assert ours.dtype == np.float32 and np.abs(x - expected).max() > 0.01
    np.testing.assert_allclose(ours, expected, atol=2e-7)


def test_spectral_subtraction_without_a_pause_equals_the_loop(rng):
    """Noise that grows all the time: a frame's estimate is the one of its own time."""
    x = rng.standard_normal(20000) * np.geomspace(0.05, 0.1, 20000)
    x[:600] *= 3  # no pause at the beginning
    assert leading_pause(x, 8000) < 800
    ours = spectral_subtraction(x, 8000)
    np.testing.assert_allclose(ours, subtraction_by_loop(x, None, 2.0, 0.5, 256, 64), atol=2e-7)


@pytest.mark.parametrize("samples", [512, 513, 16001])
def test_nothing_subtracted_gives_the_input(rng, samples):
    x = rng.standard_normal(samples).astype(np.float32)
    np.testing.assert_allclose(spectral_subtraction(x, beta=0), x, atol=1e-6)
    silence = np.zeros(600)
    np.testing.assert_allclose(spectral_subtraction(x, beta=3, noise=silence), x, atol=1e-6)


def test_white_noise_keeps_the_share_that_the_exponential_law_says(rng):
    """|Y|^2 is exponential: what is left of its mean is e^-beta, less where frames that differ are added up."""
    noise = rng.standard_normal(200_000)
    for beta, least in ((0.5, 0.9), (2.0, 0.6)):
        left = spectral_subtraction(noise[:100_000], beta=beta, noise=noise[100_000:])
        assert least < np.mean(left.astype(float) ** 2) / np.exp(-beta) < 1.0


def test_takes_the_noise_from_the_pause_before_the_speech(rng):
    speech = np.concatenate([np.zeros(8000, np.float32), voice(rng, 24000)])
    noisy = speech + 0.01 * rng.standard_normal(32000)
    pause = leading_pause(noisy)
    assert 1600 <= pause <= 8000 + 4800
    np.testing.assert_array_equal(spectral_subtraction(noisy), spectral_subtraction(noisy, noise=noisy[:pause]))
    # From the middle of a syllable on there is none, and the minimum decides.
    assert leading_pause(noisy[10000:]) == 0
    assert snr(speech[10000:], spectral_subtraction(noisy[10000:])) > snr(speech[10000:], noisy[10000:]) + 1


def test_pause_ends_where_the_front_end_finds_speech(clips, rng):
    from keras_ser.features import detect_endpoints, short_time_energy, zero_crossing_rate

    # A faint fricative before the voice, over the hum of a pause.
    fricative = np.concatenate([np.zeros(16000), voice(rng, 20000)]) + 0.003 * np.sin(0.03 * np.arange(36000))
    fricative[14000:16800] += np.diff(0.004 * rng.standard_normal(2801))
    longer = 0
    for clip in [fricative, *clips, mix(clips[0], colour("pink", clips[0].size, 3), 15)[0]]:
        clip = np.concatenate([clip[:1] * 0, 1e-3 * rng.standard_normal(rng.integers(9000)), clip]).astype(np.float32)
        energy, crossings = short_time_energy(clip[None]), zero_crossing_rate(clip[None])
        kept = np.asarray(detect_endpoints(energy, crossings, np.ones(energy.shape, bool)))[0]
        first = int(np.argmax(kept))
        assert leading_pause(clip) == ((first - 1) * 160 + 400 if first else 0)
        longer += first > 10
    assert longer > 1


def test_minimum_statistics_finds_the_level_of_the_noise(rng):
    """Stationary coloured noise with bursts that fill half of the time: the noise's own spectrum comes out."""
    n = 160_000
    noise = signal.lfilter([1.0, 0.7], [1.0, -0.6], rng.standard_normal(n))
    bursts = 10 * rng.standard_normal(n) * (np.arange(n) % 8000 < 4000)

    def power(x, exponent):
        frames = np.lib.stride_tricks.sliding_window_view(x, 512)[::128] * np.sin(np.pi * np.arange(512) / 512)
        return np.abs(np.fft.rfft(frames)) ** exponent

    for exponent in (2.0, 1.0):
        truth = power(noise, exponent).mean(0)
        for x, tolerance in ((noise, 1.0), (noise + bursts, 1.5)):
            found = minimum_statistics(power(x, exponent), 16000, 512, 128, exponent)
            assert found.shape == power(x, exponent).shape
            decibels = 20 / exponent * np.log10(found[:, 1:-1].mean(0) / truth[1:-1])
            assert abs(np.mean(decibels)) < tolerance and np.std(decibels) < 1.5
        assert 20 / exponent * np.log10(power(noise + bursts, exponent).mean() / truth.mean()) > 8
