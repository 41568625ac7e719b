import warnings

import keras
import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.stats

from keras_ser.features import MFCC, ClipStatistics, frame_count, frame_mask
from keras_ser.features.framing import FrameLayer
from keras_ser.features.short_term import SHORT_TERM_FEATURES, ShortTerm, short_term
from tests.features.clips import batch, speech, speech_like

FORMS = pytest.mark.parametrize("compatible", [False, True])
SIZES = pytest.mark.parametrize(
    ("sample_rate", "window", "hop"), [(16000, 400, 160), (16000, 457, 77), (8000, 200, 80)]
)
EPS = np.finfo(float).eps


@pytest.fixture
def pyaudioanalysis():
    """`ShortTermFeatures.feature_extraction` of pyAudioAnalysis 0.3.14: (clip in [-1, 1], ..) -> (frames, 34)."""
    reason = (
        "needs `pip install --no-deps pyAudioAnalysis==0.3.14 tqdm`; its other requirements are of parts not used here, "
        "or installed with this package"
    )
    with warnings.catch_warnings():
        # It takes the cosine transform out of a module that scipy has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        module = pytest.importorskip("pyAudioAnalysis.ShortTermFeatures", reason=reason)

    def features(clip, sample_rate=16000, window=400, hop=160):
        scaled = clip.astype(np.float64) * 2**15
        found, names = module.feature_extraction(scaled, sample_rate, window, hop, deltas=False)
        assert len(names) == len(SHORT_TERM_FEATURES)
        return found.T

    return features


def frames_of(clip, window, hop):
    clip = np.pad(clip, (0, max(0, window - len(clip))))
    return [clip[start : start + window] for start in range(0, len(clip) - window + 1, hop)]


def talkbox(bins, sample_rate):
    """The filters of scikits.talkbox, bin by bin, over a whole spectrum of `bins`."""
    edges = [133.33 + i * 200 / 3 for i in range(13)]
    edges += [edges[-1] * 1.0711703**i for i in range(1, 30)]
    filters = np.zeros((40, bins))
    for i, (low, centre, high) in enumerate(zip(edges[:-2], edges[1:-1], edges[2:], strict=True)):
        for k in range(bins):
            f, height = k * sample_rate / bins, 2 / (high - low)
            if low < f <= centre:
                filters[i, k] = height * (f - low) / (centre - low)
            elif centre < f <= high:
                filters[i, k] = height * (high - f) / (high - centre)
    return filters


def compatible_oracle(clip, sample_rate, window, hop):
    """pyAudioAnalysis's features by their definition, frame by frame in float64."""
    clip = clip.astype(np.float64) - clip.mean(dtype=np.float64)
    clip /= np.abs(clip).max() + 1e-10
    n = window // 2
    filters = talkbox(n, sample_rate)
    frequencies = [(k + 1) * sample_rate / (2 * n) for k in range(n)]
    notes = [int(np.round(12 * np.log2(f / 27.5))) for f in frequencies]
    rows, before = [], None
    for x in frames_of(clip, window, hop):
        spectrum = np.abs(scipy.fft.fft(x))[:n] / n
        power = spectrum**2
        before = spectrum if before is None else before

        def entropy(values, size):
            shares = [sum(values[j * size : (j + 1) * size]) / (sum(values) + EPS) for j in range(10)]
            return -sum(s * np.log2(s + EPS) for s in shares)

        signs = np.sign(x)
        weights = spectrum / spectrum.max() if spectrum.max() else spectrum
        centroid = sum(f * a for f, a in zip(frequencies, weights, strict=True)) / (sum(weights) + EPS)
        moment = sum((f - centroid) ** 2 * a for f, a in zip(frequencies, weights, strict=True))
        shares, past = (s / (s + EPS).sum() for s in (spectrum, before))
        last = {note: power[k] for k, note in enumerate(notes)}
        classes = np.zeros(12)
        for slot in range(n):
            # A negative note stands at the end of the list.
            held = last.get(slot, last.get(slot - n, 0.0))
            classes[slot % 12] += held / notes.count(notes[notes[slot]])
        classes /= power.sum() or 1.0
        row = [np.abs(np.diff(signs)).sum() / 2 / (window - 1), np.mean(x**2), entropy(x**2, window // 10)]
        row += [centroid / (sample_rate / 2), np.sqrt(moment / (sum(weights) + EPS)) / (sample_rate / 2)]
        row += [entropy(power, n // 10), np.sum((shares - past) ** 2)]
        row += [np.flatnonzero(np.cumsum(power) + EPS > 0.9 * power.sum())[0] / n]
        row += list(scipy.fft.dct(np.log10(filters @ spectrum + EPS), norm="ortho")[:13])
        rows.append([*row, *classes, classes.std()])
        before = spectrum
    return np.array(rows)


def clean_oracle(clip, sample_rate, window, hop):
    """The clean features from librosa and scipy, frame by frame in float64."""
    clip = clip.astype(np.float64)
    fft = {400: 512, 457: 512, 200: 256}[window]
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(window) / window)
    mel = librosa.filters.mel(sr=sample_rate, n_fft=fft, n_mels=40, fmin=20, htk=True, norm=None)
    frequencies = np.arange(1, fft // 2 + 1) * sample_rate / fft
    rows, before = [], None
    for x in frames_of(clip, window, hop):
        power = np.abs(scipy.fft.rfft(x * hamming, fft)) ** 2
        log_mel = librosa.power_to_db(mel @ power, amin=1e-10, top_db=None)
        crossings = librosa.zero_crossings(x, threshold=1e-5, pad=False).sum() / window
        row = np.zeros(34)
        row[[0, 1]] = crossings, np.mean(x**2)
        row[8:21] = scipy.fft.dct(log_mel, norm="ortho")[:13]
        power = power[1:] if np.mean(x**2) > 1e-10 else np.zeros(fft // 2)
        shares = np.sqrt(power) / (np.sqrt(power).sum() or 1.0)
        if power.any():
            sizes = {"S": np.sqrt(power)[:, None], "sr": sample_rate, "freq": frequencies}
            centroid, spread = librosa.feature.spectral_centroid(**sizes), librosa.feature.spectral_bandwidth(**sizes)
            rolloff = librosa.feature.spectral_rolloff(S=power[:, None], freq=frequencies, roll_percent=0.9)
            row[[3, 4, 7]] = np.array([centroid, spread, rolloff]).ravel() / (sample_rate / 2)
            blocks = [(x**2)[: 10 * (window // 10)], power[: 10 * (fft // 20)]]
            row[[2, 5]] = [scipy.stats.entropy(b.reshape(10, -1).sum(1), base=2) for b in blocks]
            for f, p in zip(frequencies, power, strict=True):
                # librosa's note 0 is C, ours A, its MIDI note 69.
                row[21 + (round(float(librosa.hz_to_midi(f))) - 69) % 12] += p / power.sum()
            row[33] = row[21:33].std()
        row[6] = 0.0 if before is None else np.sum((shares - before) ** 2)
        rows.append(row)
        before = shares
    return np.array(rows)


def assert_within_range(ours, theirs, tolerance=1e-4):
    """Each feature within `tolerance` of the range it takes, over all clips."""
    ours, theirs = np.concatenate(ours), np.concatenate(theirs)
    assert ours.shape == theirs.shape
    apart = np.abs(ours - theirs).max(axis=0) / np.ptp(theirs, axis=0)
    bad = {name: float(a) for name, a in zip(SHORT_TERM_FEATURES, apart, strict=True) if not a <= tolerance}
    assert not bad


def random_clips(rng):
    """Noise, speech-like sound, digital silence in both, clicks of one bit in it, an offset, one frame."""
    clips = [rng.standard_normal(n) * scale for n, scale in ((5003, 0.1), (6001, 0.01), (457, 0.3), (4807, 0.2))]
    clips.append(speech_like(rng, 9000))
    clips[1][1000:3000] = 0
    clips[3][700:2000] = 0
    # Four clicks whose spectrum is exactly 0 in some bins.
    clips[1][np.array([36, 82, 96, 222]) + 1600] = 2**-15
    clips[3] += 0.05
    return [(np.round(clip * 2**15) / 2**15).astype(np.float32) for clip in clips]


def of_clips(layer, clips, extra=333):
    """The layer's features of clips in one batch with NaN behind them, cut to each clip's frames."""
    waveform, length = batch(clips, extra=extra, fill=np.nan)
    found = keras.ops.convert_to_numpy(layer(waveform, length))
    count = frame_count(length, layer.window, layer.hop)
    assert all(not row[n:].any() for row, n in zip(found, count, strict=True))
    return [row[:n] for row, n in zip(found, count, strict=True)]


@pytest.mark.parametrize("source", ["emodb", "ravdess", "random"])
def test_equals_pyaudioanalysis(request, rng, pyaudioanalysis, source):
    if source == "random":
        clips = random_clips(rng)
    else:
        clips = speech(request.getfixturevalue("shared_data"), source, 6)
    ours = of_clips(ShortTerm(compatible=True), clips)
    assert_within_range(ours, [pyaudioanalysis(clip) for clip in clips])


@pytest.mark.parametrize(("sample_rate", "window", "hop"), [(16000, 457, 77), (8000, 200, 80), (44100, 2205, 441)])
def test_equals_pyaudioanalysis_at_other_sizes(rng, pyaudioanalysis, sample_rate, window, hop):
    clips = [np.tile(clip, 5) for clip in random_clips(rng)]
    ours = of_clips(ShortTerm(sample_rate, window, hop, compatible=True), clips)
    assert_within_range(ours, [pyaudioanalysis(clip, sample_rate, window, hop) for clip in clips])


@SIZES
@FORMS
def test_equals_its_definition(rng, compatible, sample_rate, window, hop):
    clips = [*random_clips(rng), rng.standard_normal(150).astype(np.float32) * 0.1]
    ours = of_clips(ShortTerm(sample_rate, window, hop, compatible), clips)
    if compatible:
        # The clip shorter than a window is centred and scaled before zeros follow it, and so is the oracle's.
        theirs = [compatible_oracle(clip, sample_rate, window, hop) for clip in clips]
    else:
        theirs = [clean_oracle(clip, sample_rate, window, hop) for clip in clips]
    assert_within_range(ours, theirs)


def test_real_speech_equals_its_definition(shared_data):
    clips = [clip[:16000] for corpus in ("emodb", "ravdess") for clip in speech(shared_data, corpus, 3)]
    ours = of_clips(ShortTerm(), clips)
    assert_within_range(ours, [clean_oracle(clip, 16000, 400, 160) for clip in clips])


def test_mfcc_is_the_rooms(rng):
    waveform, length = batch(random_clips(rng), extra=50)
    expected = MFCC(coefficients=13, deltas=0, coefficient=0.0)(waveform, length)
    np.testing.assert_allclose(ShortTerm()(waveform, length)[..., 8:21], expected, atol=1e-3)


@FORMS
def test_alone_as_in_a_batch(rng, compatible):
    clips = [*random_clips(rng), rng.standard_normal(150).astype(np.float32)]
    layer = ShortTerm(compatible=compatible)
    for clip, together in zip(clips, of_clips(layer, clips), strict=True):
        alone = keras.ops.convert_to_numpy(layer(clip[None]))[0]
        np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-4)


@FORMS
def test_what_is_behind_a_clip_never_matters(rng, compatible):
    clips = random_clips(rng)
    layer = ShortTerm(compatible=compatible)
    waveform, length = batch(clips, extra=700)
    clean = keras.ops.convert_to_numpy(layer(waveform, length))
    for garbage in (np.nan, np.inf, 1e30):
        waveform, _ = batch(clips, extra=700, fill=garbage)
        np.testing.assert_array_equal(layer(waveform, length), clean)


@FORMS
def test_silence_is_finite(compatible):
    waveform = np.zeros((3, 5000), np.float32)
    waveform[1] = 0.25
    found = keras.ops.convert_to_numpy(ShortTerm(compatible=compatible)(waveform, np.array([5000, 4000, 0])))
    assert np.isfinite(found).all()
    silent = found[0].copy()
    silent[:, 8:21] = 0
    assert not silent.any()
    np.testing.assert_allclose(found[0, :, 8], (np.log10(EPS) if compatible else -100.0) * np.sqrt(40), rtol=1e-5)
    np.testing.assert_allclose(found[0, :, 9:21], 0, atol=1e-3)


def test_what_resampling_leaves_of_digital_silence_is_silence(rng):
    """Of the clean form: traces of 1e-6 have no shares, centroid or pitch classes; loud frames keep theirs."""
    clean = np.concatenate([np.zeros(3200), speech_like(rng, 6400), np.zeros(3200)]).astype(np.float32)
    traced = clean + (1e-6 * rng.standard_normal(clean.size)).astype(np.float32)
    keep = [i for i in range(34) if not 8 <= i < 21]
    a, b = (np.asarray(ShortTerm()(x[None]))[0][:, keep] for x in (clean, traced))
    silent = np.arange(len(a)) * 160 + 400 <= 3200
    assert silent.sum() == 18
    assert not a[silent].any()
    np.testing.assert_allclose(b[silent], 0, atol=1e-9)
    np.testing.assert_allclose(a, b, atol=2e-3)


def test_compatible_knows_no_loudness_and_no_offset(rng):
    x = speech_like(rng, 8000)[None]
    layer = ShortTerm(compatible=True)
    np.testing.assert_allclose(layer(0.03125 * x), layer(x), atol=2e-4)
    np.testing.assert_allclose(layer(x + 0.125), layer(x), atol=2e-3)


def test_clean_knows_loudness(rng):
    x = speech_like(rng, 8000)[None] + np.float32(1e-2) * rng.standard_normal((1, 8000)).astype(np.float32)
    a, b = (np.asarray(ShortTerm()(y)) for y in (x, 0.5 * x))
    np.testing.assert_allclose(b[..., 1], a[..., 1] / 4, rtol=1e-5)
    np.testing.assert_allclose(b[..., 8], a[..., 8] - 20 * np.log10(2) * np.sqrt(40), atol=1e-3)
    rest = [i for i in range(2, 34) if i != 8]
    np.testing.assert_allclose(b[..., rest], a[..., rest], atol=1e-3)


@pytest.mark.parametrize(("frequency", "note"), [(440.0, 1), (1046.5, 4), (2489.0, 7), (3520.0, 1)])
def test_a_tone_is_at_its_frequency_and_note(frequency, note):
    """In the clean form; pyAudioAnalysis's spectrum without a window spreads it, and puts it a bin too high."""
    x = np.sin(2 * np.pi * frequency * np.arange(8000) / 16000)[None].astype(np.float32)
    found = dict(zip(SHORT_TERM_FEATURES, np.asarray(ShortTerm()(x))[0].T, strict=True))
    notes = np.stack([found[f"chroma_{i}"] for i in range(1, 13)])
    assert (notes.argmax(axis=0) == note - 1).all()
    np.testing.assert_allclose(notes.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(found["spectral_rolloff"] * 8000, frequency, atol=64)
    np.testing.assert_allclose(found["zero_crossing_rate"] * 8000, frequency, atol=45)
    np.testing.assert_allclose(found["energy"], 0.5, atol=0.02)


def test_centroids_of_an_exact_tone_are_one_bin_apart():
    """A quarter of the rate, in the middle of both spectra: there in the clean form, 40 Hz over it in the other."""
    x = np.cos(2 * np.pi * 4000 * np.arange(8000) / 16000)[None].astype(np.float32)
    clean, other = (8000 * np.asarray(ShortTerm(compatible=c)(x))[0, :, 3] for c in (False, True))
    np.testing.assert_allclose(clean, 4000, atol=1)
    np.testing.assert_allclose(other, 4040, atol=1)


@FORMS
def test_reloads(rng, tmp_path, compatible):
    waveform, length = batch(random_clips(rng))
    mask = np.asarray(frame_mask(waveform.shape[1], length, 320, 100))
    inputs = [keras.Input((None,)), keras.Input((), dtype="int32"), keras.Input((None,), dtype="bool")]
    x = ShortTerm(window=320, hop=100, compatible=compatible, name="short_term")(*inputs[:2])
    assert x.shape == (None, None, 34) and x.dtype == "float32"
    statistics = ClipStatistics(deviation=True)(x, inputs[2])
    assert statistics.shape == (None, 68)
    model = keras.Model(inputs, [x, statistics])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_layer("short_term").get_config() == model.get_layer("short_term").get_config()
    expected = model.predict([waveform, length, mask], verbose=0)
    for a, b in zip(expected, again.predict([waveform, length, mask], verbose=0), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(expected[0], ShortTerm(16000, 320, 100, compatible)(waveform, length), atol=1e-4)


@pytest.mark.parametrize("samples", [None, 150, 400, 5003])
def test_symbolic_shapes(samples):
    layer = ShortTerm()
    assert isinstance(layer, FrameLayer)
    shape = layer(keras.KerasTensor((3, samples)), keras.KerasTensor((3,), dtype="int32")).shape
    assert shape == (3, samples and frame_count(samples, 400, 160), 34)


def test_float32_whatever_the_policy(rng):
    x = speech_like(rng, 3000)[None]
    for compatible in (False, True):
        layer = ShortTerm(compatible=compatible, dtype="mixed_float16")
        np.testing.assert_array_equal(layer(x), ShortTerm(compatible=compatible)(x))
    found = ClipStatistics(dtype="mixed_float16")(layer(x))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


def test_the_function_is_the_layers(rng):
    waveform, length = batch(random_clips(rng))
    mask = np.asarray(frame_mask(waveform.shape[1], length, 400, 160))
    found = np.asarray(short_term(waveform, length))
    np.testing.assert_allclose(found[mask], np.asarray(ShortTerm()(waveform, length))[mask], atol=1e-4)
    assert found[~mask].any()


def test_errors():
    with pytest.raises(ValueError, match=r"chroma needs a window of more than 196 samples at 16000 Hz"):
        ShortTerm(window=160, compatible=True)
    with pytest.raises(ValueError, match=r"filters need a sample rate of more than 6854 Hz.*sample_rate=4000"):
        ShortTerm(sample_rate=4000, compatible=True)
    with pytest.raises(ValueError, match=r"each of 40 mel filters covers .* Received: window=100, sample_rate=16000"):
        ShortTerm(window=100)
    with pytest.raises(ValueError, match=r"at least 20 samples\. Received: window=19"):
        ShortTerm(window=19)
    with pytest.raises(ValueError, match="`sample_rate` must be a positive integer"):
        ShortTerm(sample_rate=0)
