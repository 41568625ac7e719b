"""Clips of one length, magnitudes, and bins normalised over a clip: against loops, librosa and scikit-learn."""

import librosa
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from keras_ser.features import Frontend, fixed_length, normalized
from tests.features.clips import batch, speech_like


@pytest.mark.parametrize("samples", [50, 51, 64])
def test_the_middle_of_long_clips_and_zeros_behind_short_ones(rng, samples):
    lengths = np.array([0, 1, 49, 50, 51, 52, 90, 91], "int32")
    wave = rng.normal(size=(8, 91)).astype("float32")
    found, length = fixed_length(wave, lengths, samples, margin=7)
    assert np.asarray(length).tolist() == [samples + 7] * 8
    for row, x, n in zip(np.asarray(found), wave, lengths, strict=True):
        expected = np.zeros(samples + 7, "float32")
        first = max(0, n - samples) // 2
        kept = x[first : min(n, first + samples)]
        expected[: len(kept)] = kept
        np.testing.assert_array_equal(row, expected)


def test_each_bin_is_scaled_over_the_frames_of_its_own_clip(rng):
    x = rng.normal(3.0, [0.1, 5.0, 40.0], size=(3, 20, 3)).astype("float32")
    mask = np.arange(20) < np.array([[20], [13], [2]])
    found = np.asarray(normalized(np.where(mask[..., None], x, np.float32(7e4)), mask))
    for row, clip, valid in zip(found, x, mask, strict=True):
        np.testing.assert_allclose(row[valid], StandardScaler().fit_transform(clip[valid]), atol=2e-4)
        assert not row[~valid].any()
    # a bin that is silent (far under -100 dB) stays so
    assert 0 < np.abs(normalized(np.float32(1e-7) * x / 40, mask)).max() < 0.05


@pytest.mark.slow
def test_the_spectrogram_of_the_paper(rng):
    """512 x 400: 4 s, 25 ms Hamming windows every 10 ms, a 1024-point transform; magnitudes by librosa."""
    frontend = Frontend(("magnitude",), fft=1024, preemphasis=0.0, endpoint=False, seconds=4.0)
    clips = [speech_like(rng, n, 120.0) for n in (64000, 50001, 70007)]
    waveform, length = batch(clips)
    found = frontend(waveform, length)
    assert found["magnitude"].shape == (3, 400, 512) and np.asarray(found["mask"]).all()
    for row, clip in zip(np.asarray(found["magnitude"]), clips, strict=True):
        first = max(0, len(clip) - 64000) // 2
        cut = np.zeros(64240, "float32")
        kept = clip[first : first + 64000]
        cut[: len(kept)] = kept
        # librosa puts the window into the middle of its frame
        padded = np.pad(cut, 312)
        theirs = np.abs(
            librosa.stft(padded, n_fft=1024, hop_length=160, win_length=400, window="hamming", center=False)
        )
        np.testing.assert_allclose(row, theirs[:512].T, atol=1e-5 * theirs.max())
