import warnings

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.stats

from keras_ser.features import SHORT_TERM_FEATURES, frame_count, short_term
from tests.features.clips import batch, found_by, speech, speech_like

FORMS = pytest.mark.parametrize("compatible", [False, True])
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
        scaled = np.round(clip.astype(np.float64) * 2**15)
        found, names = module.feature_extraction(scaled, sample_rate, window, hop, deltas=False)
        assert len(names) == len(SHORT_TERM_FEATURES)
        return found.T

    return features


def frames_of(clip, window, hop):
    clip = np.pad(clip, (0, max(0, window - len(clip))))
    return [clip[start : start + window] for start in range(0, len(clip) - window + 1, hop)]


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


def of_clips(clips, sample_rate=16000, window=400, hop=160, compatible=False):
    """The features of clips in one batch with NaN behind them, cut to each clip's frames."""
    waveform, length = batch(clips, extra=333, fill=np.nan)
    sizes = {"sample_rate": sample_rate, "window": window, "hop": hop, "fft": 4096}
    found = found_by(waveform, length, features="short_term", compatible=compatible, **sizes)
    return [row[:n] for row, n in zip(found, frame_count(length, window, hop), strict=True)]


def test_compatible_form_of_real_speech_equals_pyaudioanalysis(shared_data, pyaudioanalysis):
    clips = speech(shared_data, "emodb", 4) + speech(shared_data, "ravdess", 4)
    assert_within_range(of_clips(clips, compatible=True), [pyaudioanalysis(clip) for clip in clips])


@pytest.mark.parametrize(
    ("sample_rate", "window", "hop"), [(16000, 400, 160), (16000, 457, 77), (8000, 200, 80), (44100, 2205, 441)]
)
def test_compatible_form_equals_pyaudioanalysis(rng, pyaudioanalysis, sample_rate, window, hop):
    clips = [np.tile(clip, 1 if window < 2000 else 5) for clip in random_clips(rng)]
    clips = [clip for clip in clips if len(clip) >= window]
    ours = of_clips(clips, sample_rate, window, hop, compatible=True)
    assert_within_range(ours, [pyaudioanalysis(clip, sample_rate, window, hop) for clip in clips])


@pytest.mark.parametrize(("sample_rate", "window", "hop"), [(16000, 400, 160), (16000, 457, 77), (8000, 200, 80)])
def test_clean_form_equals_librosa_and_scipy(rng, sample_rate, window, hop):
    clips = [*random_clips(rng), rng.standard_normal(150).astype(np.float32) * 0.1]
    theirs = [clean_oracle(clip, sample_rate, window, hop) for clip in clips]
    assert_within_range(of_clips(clips, sample_rate, window, hop), theirs)


@FORMS
def test_traces_of_resampling_in_silence_change_nothing(rng, compatible):
    """A clip that is sent at another rate has them (1e-9) where the original has digital silence."""
    clip = np.zeros((1, 8000), np.float32)
    clip[0, 3000:6000] = np.round(speech_like(rng, 3000) * 2**15) / 2**15
    traces = clip + (1e-9 * rng.standard_normal(clip.shape)).astype(np.float32)
    there, with_traces = (np.asarray(short_term(x, compatible=compatible)) for x in (clip, traces))
    assert np.abs(with_traces - there).max() < 1e-4


@FORMS
def test_silence_is_finite(compatible):
    waveform = np.zeros((3, 5000), np.float32)
    waveform[1] = 0.25
    found = np.asarray(short_term(waveform, np.array([5000, 4000, 0]), compatible=compatible))
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
    a, b = (np.asarray(short_term(x[None]))[0][:, keep] for x in (clean, traced))
    silent = np.arange(len(a)) * 160 + 400 <= 3200
    assert silent.sum() == 18
    assert not a[silent].any()
    np.testing.assert_allclose(b[silent], 0, atol=1e-9)
    np.testing.assert_allclose(a, b, atol=2e-3)
