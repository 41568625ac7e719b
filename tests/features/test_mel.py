import librosa
import numpy as np
import pytest
import scipy.fft
import tensorflow as tf
from keras import ops

from keras_ser.features import MFCC, LogMel, dct_matrix, delta, mel_filters, mfcc
from keras_ser.features.mel import hz_to_mel, mel_spectrogram, mel_to_hz
from tests.features.clips import batch, close_to_peak, speech


def librosa_log_mel(x, window=400, hop=160, fft=512, bins=40, fmin=20.0, fmax=None, norm=None):
    margin = fft - window
    x = np.pad(x, (margin // 2, margin - margin // 2 + max(0, window - len(x))))
    mel = librosa.feature.melspectrogram(
        y=x,
        sr=16000,
        n_fft=fft,
        hop_length=hop,
        win_length=window,
        window="hamming",
        center=False,
        n_mels=bins,
        fmin=fmin,
        fmax=fmax,
        htk=True,
        norm=norm,
    )
    return librosa.power_to_db(mel, top_db=None)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(
    ("rate", "fft", "bins", "fmin", "fmax"),
    [(16000, 512, 40, 20.0, None), (16000, 511, 23, 0.0, 7600.0), (8000, 256, 20, 100.0, 3500.0)],
)
def test_filters_equal_librosa(rate, fft, bins, fmin, fmax, normalised):
    norm = "slaney" if normalised else None
    theirs = librosa.filters.mel(sr=rate, n_fft=fft, n_mels=bins, fmin=fmin, fmax=fmax, htk=True, norm=norm)
    close_to_peak(mel_filters(rate, fft, bins, fmin, fmax, normalised), theirs.T, 1e-6)


def test_mel_scale_is_htk(rng):
    hz = rng.uniform(0, 8000, 100)
    np.testing.assert_allclose(hz_to_mel(hz), librosa.hz_to_mel(hz, htk=True), rtol=1e-4)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, rtol=1e-12)


def test_dct_equals_scipy(rng):
    x = rng.standard_normal((7, 37))
    np.testing.assert_allclose(x @ dct_matrix(37, 20), scipy.fft.dct(x, norm="ortho")[:, :20], atol=1e-5)


@pytest.mark.parametrize("bins", [1, 9, 10, 40, 41])
def test_mel_spectrum_is_a_matrix_product_whether_shapes_are_known_or_not(rng, bins):
    filters = mel_filters(16000, 512, bins)
    power = rng.gamma(1.0, 2.0, (3, 7, 257)).astype(np.float32)
    unknown = tf.function(
        lambda x: mel_spectrogram(x, filters), input_signature=[tf.TensorSpec((None, None, 257), tf.float32)]
    )
    known = ops.convert_to_tensor(power)
    ways = [mel_spectrogram(known, filters), mel_spectrogram(known, ops.convert_to_tensor(filters)), unknown(power)]
    for found in ways:
        np.testing.assert_allclose(found, power.astype(np.float64) @ filters, rtol=2e-6)


def test_mfcc_of_a_log_mel_equals_librosa(rng):
    log_mel = rng.standard_normal((2, 31, 23)).astype(np.float32) * 20 - 40
    for ours, x in zip(np.asarray(mfcc(log_mel, 11)), log_mel, strict=True):
        close_to_peak(ours, librosa.feature.mfcc(S=x.T, n_mfcc=11).T)


SIZES = [
    {},
    {"window": 331, "hop": 77, "fft": 512, "bins": 23},
    {"window": 512, "hop": 128, "fft": 600, "fmin": 50.0, "fmax": 7000.0},
]


@pytest.mark.parametrize("sizes", SIZES)
def test_layers_equal_librosa_clip_by_clip(rng, sizes):
    clips = [rng.standard_normal(n).astype(np.float32) * scale for n, scale in ((8191, 1), (4003, 0.01), (333, 0.1))]
    waveform, length = batch(clips, extra=501, fill=7.0)
    log_mels = np.asarray(LogMel(coefficient=0.0, **sizes)(waveform, length))
    mfccs = np.asarray(MFCC(13, 2, coefficient=0.0, **sizes)(waveform, length))
    for row, clip in enumerate(clips):
        theirs = librosa_log_mel(clip, **sizes)
        frames = theirs.shape[1]
        close_to_peak(log_mels[row, :frames], theirs.T)
        static = librosa.feature.mfcc(S=theirs, n_mfcc=13)
        deltas = [librosa.feature.delta(static, order=order, mode="nearest") for order in (1, 2)]
        close_to_peak(mfccs[row, :frames], np.concatenate([static, *deltas]).T)
        for features in (log_mels, mfccs):
            assert not features[row, frames:].any()


def test_mfcc_of_real_speech_equals_librosa(shared_data):
    clips = speech(shared_data, "emodb", 4) + speech(shared_data, "ravdess", 4)
    waveform, length = batch(clips)
    ours = np.asarray(MFCC(20, 0, coefficient=0.0, area_normalised=True)(waveform, length))
    for row, clip in enumerate(clips):
        theirs = librosa.feature.mfcc(S=librosa_log_mel(clip, norm="slaney"), n_mfcc=20).T
        close_to_peak(ours[row, : len(theirs)], theirs)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("width", [3, 5, 9])
def test_delta_equals_librosa_of_each_clip_alone(rng, order, width):
    if width <= order:
        pytest.skip("a parabola needs three points")
    lengths = [1, 2, width - 1, width, 40]
    x = rng.standard_normal((len(lengths), 43, 3)).astype(np.float32) * 9
    mask = np.arange(43) < np.array(lengths)[:, None]
    ours = np.asarray(delta(x, mask, order, width))
    for row, n in enumerate(lengths):
        theirs = librosa.feature.delta(x[row, :n], width=width, order=order, axis=0, mode="nearest")
        np.testing.assert_allclose(ours[row, :n], theirs, atol=2e-5)
        assert not ours[row, n:].any()


def test_errors():
    with pytest.raises(ValueError, match=r"0 <= fmin < fmax <= 8000 Hz .* Received: fmin=20.0, fmax=9000"):
        LogMel(fmax=9000.0)
    with pytest.raises(ValueError, match="every mel filter must cover a bin .* Take fewer bins or a longer fft"):
        LogMel(bins=128)
    with pytest.raises(ValueError, match="`coefficients` must be at most `bins`. Received: coefficients=41, bins=40"):
        MFCC(41)
    with pytest.raises(ValueError, match="`deltas` must be 0, 1 or 2. Received: deltas=3"):
        MFCC(deltas=3)
