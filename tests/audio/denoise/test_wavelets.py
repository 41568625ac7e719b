import sys

import numpy as np
import pytest

from keras_ser.audio.denoise.wavelets import line_enhancer, wavelet_lms, wavelet_shrinkage
from keras_ser.audio.noise import snr
from tests.audio.denoise.voices import voice


def test_wavelet_shrinkage_equals_the_loop(rng):
    pywt = pytest.importorskip("pywt")
    wavelet, levels, threshold, quiet = "db8", 6, 0.3, 0.1
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
    ours = wavelet_shrinkage(x, 16000)
    assert np.abs(rest[:7001] - x).max() > 0.02
    np.testing.assert_allclose(ours, rest[:7001], atol=2e-7)


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


def test_line_enhancer_equals_the_vectors(rng):
    d = voice(rng, 3000) + 0.02 * rng.standard_normal(3000)
    expected = enhancer_by_vectors(d, 16, 1, 0.97, 0.01, 0.01, 0.3)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(line_enhancer(d), expected, atol=1e-6)


def test_line_enhancer_predicts_a_line(rng):
    line = np.sin(0.31 * np.arange(32000) + 0.4)
    noisy = line + rng.standard_normal(32000)
    assert snr(line[16000:], line_enhancer(noisy)[16000:]) > snr(line, noisy) + 3


def test_line_enhancer_is_stable(rng):
    """Pauses and jumps of 80 dB: the output keeps the size of the input."""
    d = rng.standard_normal(20000) * 10.0 ** rng.integers(-4, 1, 40).repeat(500)
    d[3000:6000] = 0
    y = line_enhancer(d)
    assert np.isfinite(y).all() and np.abs(y).max() < 2 * np.abs(d).max()


def test_missing_package_is_named(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "pywt", None)
    with pytest.raises(ValueError, match=r'pip install "keras-ser\[denoise\]"') as caught:
        wavelet_lms(rng.standard_normal(2000))
    assert "\n" not in str(caught.value)
