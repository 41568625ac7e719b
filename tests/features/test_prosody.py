import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import tensorflow as tf

from keras_ser.features import pitch_features, yin
from keras_ser.features.prosody import yin_lags, yin_of_frames, yin_span
from tests.features.clips import batch, found_by, speech, speech_like


@pytest.mark.parametrize(("window", "hop"), [(400, 160), (401, 77)])
def test_zero_crossing_rate_equals_librosa(rng, window, hop):
    clips = [rng.standard_normal(n).astype(np.float32) for n in (5003, 1201, window)]
    clips[1][300:700] = 0.0
    clips[0][::7] *= 1e-6
    waveform, length = batch(clips, extra=99, fill=-1.0)
    ours = found_by(waveform, length, features="zero_crossing_rate", window=window, hop=hop)
    for row, clip in enumerate(clips):
        sizes = {"frame_length": window, "hop_length": hop}
        theirs = librosa.feature.zero_crossing_rate(clip, **sizes, center=False, threshold=1e-5)[0]
        np.testing.assert_allclose(ours[row, : len(theirs), 0], theirs, atol=1e-6)
        assert not ours[row, len(theirs) :].any()


@pytest.mark.parametrize(("window", "hop"), [(400, 160), (401, 77)])
def test_energy_equals_numpy(rng, window, hop):
    clips = [rng.standard_normal(n).astype(np.float32) * scale for n, scale in ((5003, 1), (1201, 1e-3), (150, 0.1))]
    clips[0][900:2500] = 0
    waveform, length = batch(clips, extra=99, fill=np.nan)
    ours = found_by(waveform, length, features="energy", window=window, hop=hop)
    for row, clip in enumerate(clips):
        clip = np.pad(clip, (0, max(0, window - len(clip)))).astype(np.float64)
        starts = range(0, len(clip) - window + 1, hop)
        power = [np.mean(clip[s : s + window] ** 2) for s in starts]
        np.testing.assert_allclose(ours[row, : len(power), 0], 10 * np.log10(np.maximum(power, 1e-10)), atol=1e-4)


@pytest.mark.parametrize("samples", [399, 400 + 160 * 63, 400 + 160 * 321 + 159])
def test_pitch_in_blocks_is_pitch_of_all_frames_at_once(rng, samples):
    """As many frames as fill a block, one fewer and one more; a clip that ends before the batch does."""
    x = np.stack([speech_like(rng, samples, f0) for f0 in (110.0, 230.0)])
    x[1, samples // 2 :] = 0
    blocks = tf.function(yin, input_signature=[tf.TensorSpec((None, None), tf.float32)])(x)
    span, frames = yin_span(16000, 65.0), max(1, 1 + (samples - 400) // 160)
    padded = np.pad(x, ((0, 0), (span // 2 - 200, span)))
    cut = np.stack([padded[:, t * 160 : t * 160 + span] for t in range(frames)], axis=1)
    whole = yin_of_frames(cut, 16000, *yin_lags(16000, 65.0, 500.0), 65.0, 500.0)
    for found, expected in zip(blocks, whole, strict=True):
        assert found.shape == (2, frames)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


ROOT = Path(__file__).resolve().parents[2]
MEMORY = """
import numpy as np
import tensorflow as tf
from keras_ser.features import yin
from tests.memory import peak

infer = tf.function(yin, input_signature=[tf.TensorSpec((None, None), tf.float32)])
x = np.random.default_rng(0).normal(size=(1, 16000 * 900)).astype("float32")
infer(x[:, :16000 * 30])
before = peak()
infer(x)
print(peak() - before)
"""


@pytest.mark.slow
def test_pitch_of_a_long_clip_never_holds_all_frames():
    """15 minutes are 356 MB of frames, of which there were a dozen arrays, and 58 MB of samples, of which there are some copies."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    assert 0 < int(run.stdout) < 2 * 90000 * yin_span(16000, 65.0) * 4


def librosa_yin(clip, frames, span=988):
    left = span // 2 - 200
    padded = np.pad(clip, (left, span))
    f0 = librosa.yin(padded, fmin=65, fmax=500, sr=16000, frame_length=span, hop_length=160, center=False)
    return f0[:frames]


def test_pitch_of_real_speech_is_librosas(shared_data):
    clips = speech(shared_data, "emodb", 6) + speech(shared_data, "ravdess", 6)
    ours = found_by(*batch(clips, extra=1001, fill=0.5), features="pitch")
    close, frames = 0, 0
    for row, clip in enumerate(clips):
        octaves, periodicity = ours[row, : 1 + (len(clip) - 400) // 160].T
        voiced = periodicity > 0.7
        close += np.sum(np.abs(65 * 2**octaves / librosa_yin(clip, len(octaves)) - 1)[voiced] < 0.01)
        frames += voiced.sum()
    assert frames > 700
    assert close / frames >= 0.95


@pytest.mark.parametrize("f0", [70.3, 97.0, 181.7, 333.3, 480.0])
def test_pitch_of_a_known_tone_within_one_percent(rng, f0):
    t = np.arange(9000) / 16000
    x = sum(np.sin(2 * np.pi * k * f0 * t + rng.uniform(0, 6)) / k for k in range(1, 9)) * 0.1 + 0.05
    found, aperiodicity = (np.asarray(v)[0, 4:-4] for v in yin(x[None].astype(np.float32)))
    np.testing.assert_allclose(found, f0, rtol=0.01)
    assert aperiodicity.max() < 0.05


def test_noise_and_silence_are_aperiodic(rng):
    x = np.stack([rng.standard_normal(8000), np.zeros(8000), np.full(8000, 0.4)]).astype(np.float32)
    found, aperiodicity = (np.asarray(v) for v in yin(x))
    assert aperiodicity[0].min() > 0.7
    np.testing.assert_allclose(aperiodicity[1], 1.0)
    # Away from its ends, where the zeros beyond the clip make an edge.
    assert aperiodicity[2, 4:-4].min() > 0.9
    assert np.isfinite(found).all() and (found >= 65).all() and (found <= 500).all()


def test_window_stands_on_the_frames_centre(rng):
    """Each frame that lies wholly on one side of a jump in pitch has that side's, before and after alike."""
    f0 = np.where(np.arange(16000) < 8000, 120.0, 240.0)
    phase = 2 * np.pi * np.cumsum(f0) / 16000
    x = sum(np.sin(k * phase) / k for k in range(1, 6)) * 0.1
    found = np.asarray(yin(x[None].astype(np.float32))[0])[0]
    centres = np.arange(len(found)) * 160 + 200
    np.testing.assert_allclose(found[(centres < 8000 - 494) & (centres > 494)], 120, rtol=0.01)
    np.testing.assert_allclose(found[(centres > 8000 + 494) & (centres < 16000 - 494)], 240, rtol=0.01)


def test_pitch_features_are_octaves_where_voiced(rng):
    f0, aperiodicity = rng.uniform(65, 500, (2, 30)), rng.uniform(0, 0.6, (2, 30))
    expected = np.stack([np.where(aperiodicity < 0.3, np.log2(f0 / 65), 0), 1 - aperiodicity], -1)
    got = pitch_features(f0.astype(np.float32), aperiodicity.astype(np.float32), 65.0)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_aperiodicity_is_that_of_the_overlap_where_the_energy_falls(rng):
    """d(lag) / (energy of both halves) of each frame; the parabola moves the lag by less than a sample."""
    span, (shortest, longest) = yin_span(16000, 65.0), yin_lags(16000, 65.0, 500.0)
    t = np.arange(span) / 16000
    x = [np.exp(-t * 53) * (np.sin(2 * np.pi * f * t) + 0.2 * rng.normal(size=span)) for f in (90.0, 130.0, 210.0)]
    frames = np.stack(x)[None].astype("float32")
    f0, found = (np.asarray(v)[0] for v in yin_of_frames(frames, 16000, shortest, longest, 65.0, 500.0))
    for row, clip in enumerate(frames[0] - frames[0].mean(axis=1, keepdims=True)):
        halves = [(clip[:-n], clip[n:]) for n in (int(16000 / f0[row]), int(16000 / f0[row]) + 1)]
        near = [((a - b) ** 2).sum() / (a**2 + b**2).sum() for a, b in halves]
        assert min(abs(found[row] - value) for value in near) < 1e-3


def test_pitch_of_a_window_longer_than_the_span_is_that_of_its_centre():
    x = np.sin(2 * np.pi * np.cumsum(np.linspace(220.0, 440.0, 8000)) / 16000)[None].astype("float32")
    wide = yin(x, window=400, fmin=210.0, fmax=480.0)
    narrow = yin(x[:, 40:], window=320, fmin=210.0, fmax=480.0)
    for a, b in zip(wide, narrow, strict=True):
        np.testing.assert_allclose(a, np.asarray(b)[:, : a.shape[1]], rtol=1e-4, atol=1e-4)
