import sys

import numpy as np
import pytest
from scipy import signal

from keras_ser.audio.quality import pesq, si_sdr, snr_out, stoi


@pytest.fixture
def pair(rng) -> tuple[np.ndarray, np.ndarray]:
    """Three seconds of syllables, and the same in noise."""
    t = np.arange(48000) / 16000
    phase = 2 * np.pi * (130 * t + 15 * t**2)
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 15))
    clean = 0.2 * voice * np.clip(np.sin(2 * np.pi * 2.5 * t - 0.6), 0, None) + 1e-3 * rng.standard_normal(48000)
    return clean, clean + 0.03 * rng.standard_normal(48000)


def test_equal_the_loops(rng):
    clean, estimate = rng.gamma(2.0, size=77) - 1.3, rng.normal(0.4, 1.0, 77)
    signal_power = error = 0.0
    for s, e in zip(clean, estimate, strict=True):
        signal_power += s * s
        error += (e - s) ** 2
    assert snr_out(clean, estimate) == pytest.approx(10 * np.log10(signal_power / error), abs=1e-9)
    s, e = clean - clean.mean(), estimate - estimate.mean()
    # The multiple of s next to e, by least squares.
    target = np.linalg.lstsq(s[:, None], e, rcond=None)[0][0] * s
    expected = 10 * np.log10(sum(v * v for v in target) / sum((v - w) ** 2 for v, w in zip(target, e, strict=True)))
    assert si_sdr(clean, estimate) == pytest.approx(expected, abs=1e-9)


def test_si_sdr_is_the_ratio_of_what_was_mixed(rng):
    """Noise made orthogonal to the speech: the ratio is that of the powers, whatever gain and offset follow."""
    s, n = rng.gamma(2.0, size=5000), rng.standard_normal(5000)
    s, n = s - s.mean(), n - n.mean()
    n -= (n @ s) / (s @ s) * s
    n *= np.sqrt((s @ s) / (n @ n)) * 10 ** (-7.3 / 20)
    for gain, offset in ((1, 0), (-0.01, 3.0), (400.0, -1.0)):
        assert si_sdr(s + 0.2, gain * (s + n) + offset) == pytest.approx(7.3, abs=1e-6)
    assert snr_out(s, s + n) == pytest.approx(7.3, abs=1e-9)
    assert snr_out(s, 0.1 * (s + n)) < 1  # eq. 23 falls with the gain


@pytest.mark.parametrize("measure", [si_sdr, stoi])
def test_signals_that_cannot_be_compared_are_refused(measure, rng):
    s = rng.standard_normal(9000)
    with pytest.raises(ValueError, match=r"same length. Received: \(9000,\), \(8999,\)"):
        measure(s, s[1:])
    with pytest.raises(ValueError, match="same length"):
        measure(s[:, None], s[:, None])
    with pytest.raises(ValueError, match="same length"):
        measure(s[:0], s[:0])
    with pytest.raises(ValueError, match="must be finite"):
        measure(s, np.where(s > 2, np.nan, s))


@pytest.mark.parametrize("measure", [snr_out, si_sdr])
def test_silent_reference(measure, rng):
    with pytest.raises(ValueError, match="`clean` is silent"):
        measure(np.zeros(90), rng.standard_normal(90))


@pytest.mark.parametrize("rate", [8000, 16000])
def test_pesq_is_the_package(pair, rate):
    package = pytest.importorskip("pesq", reason="the package pesq is not installed")
    s, e = (signal.resample_poly(x, rate, 16000) for x in pair)
    score = pesq(s, e, rate)
    assert score == pytest.approx(package.pesq(rate, s, e, {8000: "nb", 16000: "wb"}[rate]), abs=1e-6)
    assert 1.0 < score < pesq(s, s, rate) <= 4.65


def test_pesq_refuses(pair):
    s, e = pair
    with pytest.raises(ValueError, match="8000 and 16000 Hz; resample first. Received: 44100"):
        pesq(s, e, 44100)
    pytest.importorskip("pesq", reason="the package pesq is not installed")
    with pytest.raises(ValueError, match="not defined for silence"):
        pesq(s, 0 * s)
    with pytest.raises(ValueError, match="can't score this clip"):
        pesq(s[:900], e[:900])


def test_stoi_is_the_package(pair):
    package = pytest.importorskip("pystoi", reason="the package pystoi is not installed")
    s, e = pair
    assert stoi(s, e) == pytest.approx(package.stoi(s, e, 16000), abs=1e-6)
    assert stoi(s, e) < stoi(s, s) == pytest.approx(1, abs=1e-6)


def test_stoi_refuses(pair):
    pytest.importorskip("pystoi", reason="the package pystoi is not installed")
    s, e = pair
    with pytest.raises(ValueError, match="`clean` is silent"):
        stoi(0 * s, e)
    for samples in (1, 100, 400, 3000):
        with pytest.raises(ValueError, match="can't score this clip") as caught:
            stoi(s[9000 : 9000 + samples], e[9000 : 9000 + samples])
        assert "\n" not in str(caught.value)


def test_missing_packages_are_named(pair, monkeypatch):
    for name, measure in (("pesq", pesq), ("pystoi", stoi)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ValueError, match=rf"the package {name}: pip install {name}"):
            measure(*pair)
