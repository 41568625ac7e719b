import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from keras_ser.errors import UserError
from keras_ser.features import (
    FEATURES,
    Frontend,
    Segment,
    detect_endpoints,
    pack,
    power_spectrogram,
    preemphasis,
    short_time_energy,
    zero_crossing_rate,
)
from keras_ser.features.prosody import yin_span
from tests.features.clips import batch, speech_like

SIGNATURE = [tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((None,), tf.int32)]

OVERLAPPING = tuple(name for name in FEATURES if name != "waveform")


def some_clips(rng):
    clips = [speech_like(rng, 20011, 110.0), speech_like(rng, 9003, 230.0)]
    clips[0][5000:13000] = 1e-4 * rng.standard_normal(8000)
    noise = 0.1 * rng.standard_normal(3001)
    return [*clips, noise.astype(np.float32), noise[:77].astype(np.float32), np.zeros(4000, np.float32)]


def same(a, b, tolerance=1e-6):
    """Two answers of a frontend, the first perhaps with less padding."""
    assert set(a) == set(b)
    for name in a:
        x, y = np.asarray(a[name]), np.asarray(b[name])
        frames = x.shape[1]
        if name == "mask":
            np.testing.assert_array_equal(x, y[:, :frames])
        else:
            scale = max(1.0, np.abs(y).max())
            assert np.abs(x - y[:, :frames]).max() <= tolerance * scale, name
        assert not y[:, frames:].any()


def test_alone_in_a_batch_and_padded_with_garbage(rng):
    frontend = Frontend(OVERLAPPING)
    graph = tf.function(lambda waveform, length: frontend(waveform, length), input_signature=SIGNATURE)
    clips = some_clips(rng)
    waveform, length = batch(clips)
    together = graph(waveform, length)
    for fill, extra in ((np.nan, 1), (30.0, 4999)):
        same(together, graph(batch(clips, extra, fill)[0], length))
    loud = graph(waveform * np.array([[1.0], [30.0], [30.0], [30.0], [30.0]], np.float32), length)
    same({k: v[:1] for k, v in together.items()}, {k: v[:1] for k, v in loud.items()})
    for row, clip in enumerate(clips):
        same(graph(clip[None], length[row : row + 1]), {k: v[row : row + 1] for k, v in together.items()})


@pytest.mark.parametrize("endpoint", [True, False])
def test_statistics_are_numpys_over_the_frames_that_are_left(rng, endpoint):
    waveform, length = batch(some_clips(rng), 51, 0.2)
    names = ("short_term", "pitch", "mfcc")
    every = Frontend(names, endpoint=endpoint, compatible=True)(waveform, length)
    mask = np.asarray(every["mask"])
    found = Frontend(names, endpoint=endpoint, compatible=True, statistics=True)(waveform, length)
    assert found["mask"].shape == (len(length), 1) and np.asarray(found["mask"]).all()
    for name in names:
        for row, x, valid in zip(np.asarray(found[name]), np.asarray(every[name], float), mask, strict=True):
            expected = np.concatenate([x[valid].mean(axis=0), x[valid].var(axis=0)])
            np.testing.assert_allclose(row[0], expected, rtol=1e-3, atol=1e-4)
    symbolic = Frontend(names, endpoint=endpoint, statistics=True)(keras.Input((None,)), keras.Input((), dtype="int32"))
    assert symbolic["short_term"].shape == (None, 1, 68) and symbolic["mask"].shape == (None, 1)


def test_endpoints_only_move_frames(rng):
    waveform, length = batch(some_clips(rng))
    every = Frontend(OVERLAPPING, endpoint=False)(waveform, length)
    mask = every.pop("mask")
    keep = detect_endpoints(every["energy"][..., 0], every["zero_crossing_rate"][..., 0], mask)
    expected, kept = pack(every, keep)
    found = Frontend(OVERLAPPING)(waveform, length)
    same(found, {**expected, "mask": kept})
    counts = np.asarray(kept).sum(1)
    assert (counts >= 1).all() and (np.diff(np.asarray(kept).astype(int), axis=1) <= 0).all()
    assert counts[0] < np.asarray(mask).sum(1)[0] - 30
    assert counts[3:].tolist() == Frontend().frames(length)[3:].tolist()


def test_shapes_and_sizes_are_known_before_a_call(rng):
    frontend = Frontend(OVERLAPPING, fft=1024, bins=50, coefficients=20, deltas=1)
    waveform, length = batch(some_clips(rng))
    spec = frontend.compute_output_spec(keras.KerasTensor(waveform.shape), keras.KerasTensor(length.shape, "int32"))
    out = frontend(waveform, length)
    assert list(frontend.sizes) == list(OVERLAPPING)
    for name in (*OVERLAPPING, "mask"):
        assert tuple(out[name].shape) == spec[name].shape
        assert keras.backend.standardize_dtype(out[name].dtype) == spec[name].dtype
        assert name == "mask" or out[name].shape[-1] == frontend.sizes[name]
    assert frontend.frames(waveform.shape[1]) == out["mask"].shape[1]


def test_silent_constant_and_tiny_clips_are_finite():
    clips = [np.zeros(4001), np.full(4001, 0.7), np.full(4001, 1e-9), np.array([0.5]), np.zeros(1), np.ones(399)]
    waveform, length = batch([clip.astype(np.float32) for clip in clips], 200, np.nan)
    length[4] = 0
    out = Frontend(OVERLAPPING)(waveform, length)
    for name in OVERLAPPING:
        assert np.isfinite(out[name]).all(), name
    assert (np.asarray(out["mask"]).sum(1) >= 1).all()


def test_dtype_policy_changes_nothing(rng):
    waveform, length = batch(some_clips(rng))
    expected = Frontend(OVERLAPPING)(waveform, length)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = Frontend(OVERLAPPING)(waveform, length)
    finally:
        keras.config.set_dtype_policy(before)
    same(found, expected, 0.0)


def test_keras_file_and_data_map(rng, tmp_path):
    waveform, length = batch(some_clips(rng))
    inputs = {
        "waveform": keras.Input((None,), name="waveform"),
        "length": keras.Input((), dtype="int32", name="length"),
    }
    names = ("log_mel", "pitch", "short_term")
    frontend = Frontend(names, window=320, hop=100, fmax=7000.0, pitch_fmin=80.0, endpoint_hangover=3)
    model = keras.Model(inputs, frontend(inputs["waveform"], inputs["length"]))
    expected = model({"waveform": waveform, "length": length})
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_layer(frontend.name).get_config() == frontend.get_config()
    same(again({"waveform": waveform, "length": length}), expected)

    data = tf.data.Dataset.from_tensor_slices((waveform, length)).batch(2).map(lambda w, n: frontend(w, n))
    mapped = list(data)
    same({k: np.concatenate([part[k] for part in mapped]) for k in expected}, expected, 2e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": ("mfcc", "chroma")}, "distinct names from spectrogram, magnitude, linear_bands, log_mel"),
        ({"coefficients": 41}, "`coefficients` must be at most `bins`"),
        ({"fmax": 9000.0}, r"0 <= fmin < fmax <= 8000 Hz .* Received: fmin=20.0, fmax=9000"),
        ({"pitch_fmax": 40.0}, "pitch range must satisfy"),
        ({"window_shape": "boxcar"}, "'hamming' or 'hann'. Received: window_shape='boxcar'"),
        ({"endpoint_low": 0.9}, "low <= high"),
        ({"normalize": True, "statistics": True}, "nothing is left for `statistics`"),
        ({"seconds": 0.01}, "`seconds` must hold at least one window"),
        ({"lowest": -1}, "`lowest` must be from 0"),
        ({"lowest": 257}, "to fft / 2 = 256. Received: lowest=257"),
        ({"features": ("short_term",), "window": 19}, r"at least 20 samples\. Received: window=19"),
        ({"features": ("short_term",), "window": 100}, r"each of 40 mel filters to cover .* Received: window=100"),
        (
            {"features": ("short_term",), "window": 160, "compatible": True},
            "chroma needs a window of more than 196 samples at 16000 Hz",
        ),
        (
            {"features": ("short_term",), "sample_rate": 4000, "compatible": True},
            "filters need a sample rate of more than 6854 Hz.*sample_rate=4000",
        ),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        Frontend(**arguments)


@pytest.mark.parametrize(
    ("waveform", "length", "message"),
    [
        ((16000,), None, r"expected a waveform \(batch, samples\); a single clip x is x\[None\]. .*shape \(16000,\)"),
        ((2, 16000, 1), None, r"expected a waveform .*shape \(2, 16000, 1\)"),
        ((2, 16000), (2, 1), r"expected `length` \(batch,\), one number of samples per clip. .*shape \(2, 1\)"),
        ((2, 16000), (), r"expected `length` .*shape \(\)"),
    ],
)
def test_errors_of_shapes(waveform, length, message):
    arrays = [np.ones(shape, dtype) for shape, dtype in ((waveform, "float32"), (length, "int32")) if shape is not None]
    with pytest.raises(UserError, match=message):
        Frontend()(*arrays)
    with pytest.raises(UserError, match=message):
        Frontend()(*[keras.KerasTensor(array.shape, array.dtype.name) for array in arrays])


def test_functions_of_a_waveform_name_its_shape():
    for function in (preemphasis, power_spectrogram, zero_crossing_rate, short_time_energy):
        with pytest.raises(UserError, match=r"a single clip x is x\[None\]"):
            function(np.ones(16000, np.float32))


def test_numpy_integers_are_integers_and_booleans_are_not():
    sizes = {"sample_rate": 8000, "window": 200, "hop": 80, "fft": 256, "bins": 20, "coefficients": 12, "lowest": 3}
    config = Frontend(**{name: np.int64(size) for name, size in sizes.items()}).get_config()
    assert {name: config[name] for name in sizes} == sizes
    assert {type(config[name]) for name in sizes} == {int}
    assert type(Segment(np.int32(96)).get_config()["frames"]) is int
    for wrong in (True, np.True_, 16000.0, 0):
        with pytest.raises(UserError, match="`sample_rate` must be a positive integer"):
            Frontend(sample_rate=wrong)


def test_waveform_is_the_samples_of_each_frame(rng):
    waveform = rng.normal(size=(2, 407)).astype("float32")
    found = Frontend("waveform", window=80, hop=80, endpoint=False)(waveform, np.array([407, 170]))
    np.testing.assert_array_equal(found["waveform"][0], waveform[0, :400].reshape(5, 80))
    np.testing.assert_array_equal(np.asarray(found["waveform"][1])[:2], waveform[1, :160].reshape(2, 80))
    assert np.asarray(found["mask"]).sum(axis=1).tolist() == [5, 2] and not np.asarray(found["waveform"][1])[2:].any()


def test_lowest_bins_of_a_40_ms_spectrum_are_librosas(rng):
    """The spectrogram of Zou et al.: magnitude in dB, 40 ms Hamming, 10 ms hop, 800 points, 200 bins."""
    clip = speech_like(rng, 16000, 140.0)
    settings = {"window": 640, "fft": 800, "preemphasis": 0.0, "endpoint": False, "lowest": 200}
    found = Frontend(("spectrogram", "magnitude"), **settings)(clip[None])
    wide = np.pad(clip, (80, 80))  # librosa puts the window into the middle of its frame
    expected = np.abs(librosa.stft(wide, n_fft=800, win_length=640, hop_length=160, window="hamming", center=False))[
        :200
    ].T
    np.testing.assert_allclose(found["magnitude"][0], expected, atol=1e-4 * expected.max())
    np.testing.assert_allclose(
        found["spectrogram"][0], librosa.amplitude_to_db(expected, amin=1e-5, top_db=None), atol=1e-2
    )
    assert found["spectrogram"].shape == (1, 97, 200)
    symbolic = Frontend(("spectrogram",), **settings)(keras.Input((16000,)))
    assert symbolic["spectrogram"].shape == (None, 97, 200)


def test_frames_of_norm_1(rng):
    waveform, length = batch(some_clips(rng))
    names = ("mfcc", "energy")
    plain = Frontend(names, endpoint=False)(waveform, length)
    found = Frontend(names, endpoint=False, unit=True)(waveform, length)
    for name in names:
        x = np.asarray(plain[name], "float64")
        norm = np.linalg.norm(x, axis=-1, keepdims=True)
        np.testing.assert_allclose(found[name], np.where(norm > 0, x / np.where(norm > 0, norm, 1), 0), atol=1e-6)
    same(
        found,
        Frontend(names, endpoint=False, unit=True)(batch(some_clips(np.random.default_rng(0)), 999, np.nan)[0], length),
    )


@pytest.mark.parametrize("lowest", [65.0, 33.0, 210.0])
def test_the_reach_of_pitch_is_the_span_of_its_lowest_frequency(lowest):
    before, behind = Frontend(("pitch",), endpoint=False, pitch_fmin=lowest).reach
    assert before + 400 + behind == max(yin_span(16000, lowest), 400)
