import librosa
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features import delta, mel_filters
from keras_ser.features.descriptors import chroma_matrix
from keras_ser.features.mel import dct_matrix, mel_spectrogram
from keras_ser.features.short_term_features import talkbox_filters
from keras_ser.features.spectrogram import analysis_window
from tests.features.clips import batch, close_to_peak, found_by


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


@pytest.mark.parametrize("bins", [1, 40, 41])
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


SIZES = [
    {},
    {"window": 331, "hop": 77, "fft": 512, "bins": 23},
    {"window": 512, "hop": 128, "fft": 600, "fmin": 50.0, "fmax": 7000.0},
]


@pytest.mark.parametrize("sizes", SIZES)
def test_log_mel_and_mfcc_equal_librosa_clip_by_clip(rng, sizes):
    clips = [rng.standard_normal(n).astype(np.float32) * scale for n, scale in ((8191, 1), (4003, 0.01), (333, 0.1))]
    waveform, length = batch(clips, extra=501, fill=7.0)
    log_mels, mfccs = (found_by(waveform, length, features=name, **sizes) for name in ("log_mel", "mfcc"))
    for row, clip in enumerate(clips):
        theirs = librosa_log_mel(clip, **sizes)
        frames = theirs.shape[1]
        close_to_peak(log_mels[row, :frames], theirs.T)
        static = librosa.feature.mfcc(S=theirs, n_mfcc=13)
        deltas = [librosa.feature.delta(static, order=order, mode="nearest") for order in (1, 2)]
        close_to_peak(mfccs[row, :frames], np.concatenate([static, *deltas]).T)
        for features in (log_mels, mfccs):
            assert not features[row, frames:].any()


@pytest.mark.parametrize("order", [1, 2])
def test_delta_equals_librosa_of_each_clip_alone(rng, order):
    lengths = [1, 2, 8, 9, 40]
    x = rng.standard_normal((len(lengths), 43, 3)).astype(np.float32) * 9
    mask = np.arange(43) < np.array(lengths)[:, None]
    ours = np.asarray(delta(x, mask, order))
    for row, n in enumerate(lengths):
        theirs = librosa.feature.delta(x[row, :n], order=order, axis=0, mode="nearest")
        np.testing.assert_allclose(ours[row, :n], theirs, atol=2e-5)
        assert not ours[row, n:].any()


@pytest.mark.parametrize("order", [0, 3])
def test_delta_of_another_order_is_an_error(order):
    with pytest.raises(UserError, match=f"`order` must be 1 .delta. or 2 .delta-delta.. Received: order={order}"):
        delta(np.zeros((1, 9, 2), np.float32), np.ones((1, 9), bool), order)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (mel_filters, ()),
        (dct_matrix, (40, 13)),
        (analysis_window, (400,)),
        (chroma_matrix, (256, 16000)),
        (talkbox_filters, (200, 16000)),
    ],
)
def test_a_change_of_a_cached_array_changes_no_other(function, arguments):
    first = function(*arguments)
    expected = first.copy()
    first *= 2.0
    np.testing.assert_array_equal(function(*arguments), expected)
