import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from scipy import signal

from keras_ser.audio import colour, mix, snr
from keras_ser.audio.denoise import (
    DENOISERS,
    leading_pause,
    line_enhancer,
    minimum_statistics,
    spectral_subtraction,
    wavelet_lms,
    wavelet_shrinkage,
)
from keras_ser.audio.quality import si_sdr
from keras_ser.corpora import demo


@pytest.fixture
def clips(request) -> list[np.ndarray]:
    """Real speech where it is, else the demo corpus's."""
    try:
        root = request.getfixturevalue("shared_data")
    except pytest.skip.Exception:
        made = [demo.clip(k, "fm"[k % 2], k, "anger", 0) for k in range(3)]
        return [soundfile.read(io.BytesIO(data), dtype="float32")[0] for data in made]
    files = sorted((root / "emodb").rglob("*.flac")) or sorted((root / "emodb").rglob("*.wav"))
    assert len(files) > 400
    return [soundfile.read(path, dtype="float32")[0] for path in files[7::180]]


def voice(rng, samples):
    """Harmonics with syllables, asymmetric."""
    t = np.arange(samples) / 16000
    phase = 2 * np.pi * (130 * t + 25 * t**2)
    sound = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 15))
    return (0.2 * sound * np.clip(np.sin(2 * np.pi * 2.5 * t - 0.6), 0, None) + 0.002).astype(np.float32)


def denoisers():
    for name, denoise in DENOISERS.items():
        if name == "wavelet-lms":
            pytest.importorskip("pywt")
        yield name, denoise


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


@pytest.mark.parametrize(("alpha", "beta", "hop_seconds"), [(2.0, 0.5, 0.008), (1.0, 1.3, 0.016), (2.7, 0.8, 0.005)])
def test_spectral_subtraction_equals_the_loop(rng, alpha, beta, hop_seconds):
    # 8 kHz and a length that no hop divides
    x = voice(rng, 1777) + 0.05 * rng.standard_normal(1777)
    noise = 0.05 * rng.standard_normal(1500)
    ours = spectral_subtraction(x, 8000, alpha, beta, noise=noise, hop_seconds=hop_seconds)
    expected = subtraction_by_loop(x, noise, alpha, beta, 256, round(hop_seconds * 8000))
    assert ours.dtype == np.float32 and np.abs(x - expected).max() > 0.01
    np.testing.assert_allclose(ours, expected, atol=2e-7)


def test_spectral_subtraction_without_a_pause_equals_the_loop(rng):
    """Noise that grows all the time: a frame's estimate is the one of its own time."""
    x = rng.standard_normal(20000) * np.geomspace(0.05, 0.1, 20000)
    x[:600] *= 3  # no pause at the beginning
    assert leading_pause(x, 8000) < 800
    ours = spectral_subtraction(x, 8000)
    np.testing.assert_allclose(ours, subtraction_by_loop(x, None, 2.0, 0.5, 256, 64), atol=2e-7)


@pytest.mark.parametrize("samples", [512, 513, 700, 16001])
@pytest.mark.parametrize("hop_seconds", [0.016, 0.008, 0.007])
def test_nothing_subtracted_gives_the_input(rng, samples, hop_seconds):
    x = rng.standard_normal(samples).astype(np.float32)
    np.testing.assert_allclose(spectral_subtraction(x, beta=0, hop_seconds=hop_seconds), x, atol=1e-6)
    silence = np.zeros(600)
    np.testing.assert_allclose(spectral_subtraction(x, beta=3, noise=silence, hop_seconds=hop_seconds), x, atol=1e-6)


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
    for clip in [fricative, *clips, *(mix(c, colour("pink", c.size, 3), 15)[0] for c in clips), voice(rng, 30000)]:
        clip = np.concatenate([clip[:1] * 0, 1e-3 * rng.standard_normal(rng.integers(9000)), clip]).astype(np.float32)
        energy, crossings = short_time_energy(clip[None]), zero_crossing_rate(clip[None])
        kept = np.asarray(detect_endpoints(energy, crossings, np.ones(energy.shape, bool)))[0]
        first = int(np.argmax(kept))
        assert leading_pause(clip) == ((first - 1) * 160 + 400 if first else 0)
        longer += first > 10
    assert longer > 3


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


def test_minimum_statistics_equals_the_loop(rng):
    """Up to the constant of the bias, on frames of no particular law."""
    power = rng.gamma(0.7, size=(83, 3)) * [1.0, 5.0, 0.1]
    smoothing, search = 5, 12
    means = np.array([power[t : t + smoothing].mean(0) for t in range(83 - smoothing + 1)])
    minima = np.array([means[t : t + search].min(0) for t in range(len(means) - search + 1)])
    centre = (smoothing + search - 1) // 2
    expected = np.array([minima[min(max(t - centre, 0), len(minima) - 1)] for t in range(83)])
    found = minimum_statistics(power, 1000, 20, 10, smoothing_seconds=0.05, search_seconds=0.12)
    ratio = found / expected
    assert ratio.min() > 1
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-9)
    # Shorter than both windows: one number per bin.
    short = minimum_statistics(power[:4], 1000, 20, 10, smoothing_seconds=0.05, search_seconds=0.12)
    np.testing.assert_allclose(short, np.tile(power[:4].mean(0), (4, 1)), rtol=1e-9)


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


def test_both_help_speech_in_white_noise(clips):
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


def test_a_sample_rate_changes_seconds_only(rng):
    """The same samples at half the rate, cut into windows of as many samples."""
    x = voice(rng, 9001) + 0.05 * rng.standard_normal(9001)
    noise = rng.standard_normal(4000) * 0.05
    half = spectral_subtraction(x, 8000, noise=noise, window_seconds=0.064, hop_seconds=0.016)
    np.testing.assert_array_equal(half, spectral_subtraction(x, 16000, noise=noise))


@pytest.mark.parametrize("samples", [1, 2, 15, 160, 399, 511, 512, 513, 640, 1111])
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
        (np.array([0.1, 1e60]), "must be finite"),
        (np.zeros(0), r"one dimension. Received: float64 \(0,\)"),
        (np.zeros((2, 700)), r"one dimension. Received: float64 \(2, 700\)"),
        (np.zeros(700, complex), "real samples"),
    ],
)
def test_refuses_what_is_not_a_waveform(waveform, words):
    for denoise in (spectral_subtraction, wavelet_lms, line_enhancer):
        with pytest.raises(ValueError, match=words) as caught:
            denoise(waveform)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: spectral_subtraction(x, alpha=0), "alpha > 0 and beta >= 0. Received: alpha=0"),
        (lambda x: spectral_subtraction(x, beta=-0.1), "beta=-0.1"),
        (lambda x: spectral_subtraction(x, beta=np.nan), "beta=nan"),
        (lambda x: spectral_subtraction(x, hop_seconds=0.02), "at most half the window"),
        (lambda x: spectral_subtraction(x, 10), "at least a sample"),
        (lambda x: spectral_subtraction(x, 0), "`sample_rate` must be positive. Received: 0"),
        (lambda x: spectral_subtraction(x, noise=x[:511]), "at least 512 samples, one window. Received: 511"),
        (lambda x: spectral_subtraction(x, noise=x * np.nan), "`noise` must be finite"),
        (lambda x: line_enhancer(x, order=0), "`order` and `delay` must be at least 1"),
        (lambda x: line_enhancer(x, delay=0), "delay=0"),
        (lambda x: line_enhancer(x, largest=2.0), "smallest <= largest < 2"),
        (lambda x: line_enhancer(x, smallest=0.0), "0 < smallest"),
        (lambda x: line_enhancer(x, memory=1.0), "0 <= memory < 1"),
        (lambda x: line_enhancer(x, gain=-1.0), "gain >= 0"),
        (lambda x: wavelet_shrinkage(x, 0), "`sample_rate` must be positive"),
        (lambda x: wavelet_shrinkage(x, levels=0), "levels >= 1"),
        (lambda x: wavelet_shrinkage(x, threshold=-1), "threshold >= 0"),
        (lambda x: wavelet_lms(x, quiet=1.5), "quiet <= 1"),
    ],
)
def test_arguments_out_of_range(rng, call, words):
    with pytest.raises(ValueError, match=words):
        call(rng.standard_normal(2000))


def test_unknown_wavelet(rng):
    pytest.importorskip("pywt")
    with pytest.raises(ValueError, match="discrete wavelet of PyWavelets, like 'db8'. Received: 'morl'"):
        wavelet_lms(rng.standard_normal(2000), wavelet="morl")


def test_says_how_to_get_the_wavelets(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "pywt", None)
    with pytest.raises(ValueError, match=r'pip install "keras-ser\[denoise\]"') as caught:
        wavelet_lms(rng.standard_normal(2000))
    assert "\n" not in str(caught.value)


def test_import_is_light():
    code = (
        "import sys, keras_ser.audio.denoise, keras_ser.audio.quality;"
        "print([m for m in ('tensorflow', 'keras', 'pywt', 'numba', 'pesq', 'pystoi') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
