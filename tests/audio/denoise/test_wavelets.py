import sys

import numpy as np
import pytest

from keras_ser.audio import snr
from keras_ser.audio.denoise import line_enhancer, wavelet_lms, wavelet_shrinkage
from tests.audio.denoise.voices import voice


@pytest.mark.parametrize(("wavelet", "levels", "threshold", "quiet"), [("db4", 3, 0.7, 0.5), ("sym8", 5, 0.3, 0.1)])
def test_wavelet_shrinkage_equals_the_loop(rng, wavelet, levels, threshold, quiet):
    pywt = pytest.importorskip("pywt")
    x = voice(rng, 7001) + 0.05 * rng.standard_normal(7001)
    bands, rest = [], x
    for _ in range(levels):
        rest, detail = pywt.dwt(rest, wavelet, mode="symmetric")
        bands.append(detail)
    bands.append(rest)
    for j, c in enumerate(bands):
        block = round(1600 / 2 ** min(j + 1, levels))
        medians = [np.median(np.abs(c[b : b + block])) for b in range(0, len(c) - block + 1, block)]
        limit = threshold * np.quantile(medians, quiet) / 0.6745 * np.sqrt(2 * np.log(len(x)))
        for i in range(len(c)):
            c[i] = np.sign(c[i]) * max(abs(c[i]) - limit, 0)
    rest = bands.pop()
    for detail in reversed(bands):
        rest = pywt.idwt(rest[: len(detail)], detail, wavelet, mode="symmetric")
    ours = wavelet_shrinkage(x, 16000, wavelet, levels, threshold, quiet)
    assert np.abs(rest[:7001] - x).max() > 0.05
    np.testing.assert_allclose(ours, rest[:7001], atol=2e-7)


def test_the_universal_threshold_removes_white_noise(rng):
    pytest.importorskip("pywt")
    noise = rng.standard_normal(32000)
    assert np.mean(wavelet_shrinkage(noise, threshold=1, quiet=0.5) ** 2) < 1e-2


@pytest.mark.parametrize("samples", [100, 1001, 16000])
def test_no_threshold_gives_the_input(rng, samples):
    pytest.importorskip("pywt")
    x = rng.standard_normal(samples).astype(np.float32)
    np.testing.assert_allclose(wavelet_shrinkage(x, threshold=0), x, atol=2e-6)


def enhancer_by_vectors(d, order, delay, memory, gain, smallest, largest):
    floor = 0.01 * order * np.mean(d**2)
    past = np.concatenate([np.zeros(order + delay), d])
    w, mu, y = np.zeros(order), largest, np.zeros(len(d))
    for n in range(len(d)):
        x = past[n + 1 : n + 1 + order][::-1]  # d[n - delay], d[n - delay - 1], ..
        y[n] = w @ x
        e = d[n] - y[n]
        power = floor + x @ x
        w = w + mu * e * x / power
        mu = np.clip(memory * mu + gain * e**2 / (power / order), smallest, largest)
    return y


@pytest.mark.parametrize(
    ("order", "delay", "memory", "gain", "smallest", "largest"),
    [
        (16, 1, 0.97, 0.01, 0.01, 0.3),
        (5, 7, 0.5, 0.4, 0.1, 1.9),
        (1, 1, 0.0, 0.0, 0.2, 0.2),
        (40, 3, 0.9, 2.0, 1e-3, 1.0),
    ],
)
def test_line_enhancer_equals_the_vectors(rng, order, delay, memory, gain, smallest, largest):
    d = voice(rng, 3000) + 0.02 * rng.standard_normal(3000)
    ours = line_enhancer(d, order, delay, memory, gain, smallest, largest)
    expected = enhancer_by_vectors(d, order, delay, memory, gain, smallest, largest)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_line_enhancer_predicts_a_line_and_not_noise(rng):
    line = np.sin(0.31 * np.arange(32000) + 0.4)
    noise = rng.standard_normal(32000)
    found = line_enhancer(line + noise, order=64, delay=1, smallest=0.002, largest=0.01)[16000:]
    assert snr(line[16000:], found) > snr(line, line + noise) + 8
    assert np.mean(line_enhancer(noise, smallest=0.002, largest=0.01)[16000:] ** 2) < 0.05


def test_line_enhancer_is_stable(rng):
    """Pauses, jumps of 80 dB and the largest step: the output keeps the size of the input."""
    for delay in (1, 50):
        d = rng.standard_normal(20000) * 10.0 ** rng.integers(-4, 1, 40).repeat(500)
        d[3000:6000] = 0
        y = line_enhancer(d, order=8, delay=delay, memory=0.99, gain=50.0, largest=1.99)
        assert np.isfinite(y).all() and np.abs(y).max() < 20 * np.abs(d).max()


def test_unknown_wavelet(rng):
    pytest.importorskip("pywt")
    with pytest.raises(ValueError, match="discrete wavelet of PyWavelets, like 'db8'. Received: 'morl'"):
        wavelet_lms(rng.standard_normal(2000), wavelet="morl")


def test_says_how_to_get_the_wavelets(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "pywt", None)
    with pytest.raises(ValueError, match=r'pip install "keras-ser\[denoise\]"') as caught:
        wavelet_lms(rng.standard_normal(2000))
    assert "\n" not in str(caught.value)
