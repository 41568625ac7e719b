import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ser.features import (
    FEATURES,
    MFCC,
    Frontend,
    LogMel,
    Pitch,
    ShortTerm,
    ShortTimeEnergy,
    Spectrogram,
    ZeroCrossingRate,
    detect_endpoints,
    pack,
    pitch_features,
)
from tests.features.clips import batch, speech, speech_like

SIGNATURE = [tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((None,), tf.int32)]


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


@pytest.mark.parametrize("endpoint", [True, False])
def test_alone_in_a_batch_and_padded_with_garbage(rng, endpoint):
    frontend = Frontend(FEATURES, endpoint=endpoint)
    graph = tf.function(lambda waveform, length: frontend(waveform, length), input_signature=SIGNATURE)
    clips = some_clips(rng)
    waveform, length = batch(clips)
    together = graph(waveform, length)
    for fill, extra in ((np.nan, 1), (30.0, 4999), (np.inf, 160)):
        same(together, graph(batch(clips, extra, fill)[0], length))
    loud = graph(waveform * np.array([[1.0], [30.0], [30.0], [30.0], [30.0]], np.float32), length)
    same({k: v[:1] for k, v in together.items()}, {k: v[:1] for k, v in loud.items()})
    for row, clip in enumerate(clips):
        same(graph(clip[None], length[row : row + 1]), {k: v[row : row + 1] for k, v in together.items()})


def test_real_speech_alone_and_in_a_batch(shared_data):
    frontend = Frontend(FEATURES)
    graph = tf.function(lambda waveform, length: frontend(waveform, length), input_signature=SIGNATURE)
    clips = speech(shared_data, "ravdess", 5) + speech(shared_data, "emodb", 5)
    waveform, length = batch(clips, 33, 1.0)
    together = graph(waveform, length)
    for row, clip in enumerate(clips):
        same(graph(clip[None], length[row : row + 1]), {k: v[row : row + 1] for k, v in together.items()})


def test_composes_the_layers(rng):
    waveform, length = batch(some_clips(rng), 123, 0.3)
    whole = Frontend(FEATURES, endpoint=False, coefficients=11, bins=31, preemphasis=0.9)(waveform, length)
    f0, aperiodicity = np.moveaxis(np.asarray(Pitch()(waveform, length)), -1, 0)
    mask = np.asarray(whole["mask"])
    octaves = np.asarray(pitch_features(np.maximum(f0, 65.0), aperiodicity, 65.0))
    apart = {
        "spectrogram": Spectrogram(coefficient=0.9)(waveform, length),
        "magnitude": np.sqrt(np.asarray(Spectrogram(coefficient=0.9, log=False)(waveform, length)))[..., :-1],
        "log_mel": LogMel(bins=31, coefficient=0.9)(waveform, length),
        "mfcc": MFCC(11, bins=31, coefficient=0.9)(waveform, length),
        "zero_crossing_rate": ZeroCrossingRate()(waveform, length),
        "energy": ShortTimeEnergy()(waveform, length),
        "pitch": np.where(mask[..., None], octaves, 0),
        "short_term": ShortTerm()(waveform, length),
        "mask": mask,
    }
    same(whole, apart)


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
    every = Frontend(FEATURES, endpoint=False)(waveform, length)
    mask = every.pop("mask")
    keep = detect_endpoints(every["energy"][..., 0], every["zero_crossing_rate"][..., 0], mask)
    expected, kept = pack(every, keep)
    found = Frontend(FEATURES)(waveform, length)
    same(found, {**expected, "mask": kept})
    counts = np.asarray(kept).sum(1)
    assert (counts >= 1).all() and (np.diff(np.asarray(kept).astype(int), axis=1) <= 0).all()
    assert counts[0] < np.asarray(mask).sum(1)[0] - 30
    assert counts[3:].tolist() == Frontend().frames(length)[3:].tolist()


def test_shapes_and_sizes_are_known_before_a_call(rng):
    frontend = Frontend(FEATURES, fft=1024, bins=50, coefficients=20, deltas=1)
    waveform, length = batch(some_clips(rng))
    spec = frontend.compute_output_spec(keras.KerasTensor(waveform.shape), keras.KerasTensor(length.shape, "int32"))
    out = frontend(waveform, length)
    assert list(frontend.sizes) == list(FEATURES)
    for name in (*FEATURES, "mask"):
        assert tuple(out[name].shape) == spec[name].shape
        assert keras.backend.standardize_dtype(out[name].dtype) == spec[name].dtype
        assert name == "mask" or out[name].shape[-1] == frontend.sizes[name]
    assert frontend.frames(waveform.shape[1]) == out["mask"].shape[1]


def test_silent_constant_and_tiny_clips_are_finite():
    clips = [np.zeros(4001), np.full(4001, 0.7), np.full(4001, 1e-9), np.array([0.5]), np.zeros(1), np.ones(399)]
    waveform, length = batch([clip.astype(np.float32) for clip in clips], 200, np.nan)
    length[4] = 0
    out = Frontend(FEATURES)(waveform, length)
    for name in FEATURES:
        assert np.isfinite(out[name]).all(), name
    assert (np.asarray(out["mask"]).sum(1) >= 1).all()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_dtype_policy_changes_nothing(rng, policy):
    waveform, length = batch(some_clips(rng))
    expected = Frontend(FEATURES)(waveform, length)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        found = Frontend(FEATURES)(waveform, length)
    finally:
        keras.config.set_dtype_policy(before)
    same(found, expected, 0.0)


def test_keras_file_saved_model_and_data_map(rng, tmp_path):
    waveform, length = batch(some_clips(rng))
    inputs = {
        "waveform": keras.Input((None,), name="waveform"),
        "length": keras.Input((), dtype="int32", name="length"),
    }
    frontend = Frontend(FEATURES, window=320, hop=100, fmax=7000.0, pitch_fmin=80.0, endpoint_hangover=3)
    model = keras.Model(inputs, frontend(inputs["waveform"], inputs["length"]))
    expected = model({"waveform": waveform, "length": length})
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_layer(frontend.name).get_config() == frontend.get_config()
    same(again({"waveform": waveform, "length": length}), expected)

    archive = keras.export.ExportArchive()
    archive.track(frontend)
    archive.add_endpoint("serve", lambda w, n: frontend(w, n), input_signature=SIGNATURE)
    archive.write_out(str(tmp_path / "export"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "export")).serve(waveform, length)
    same(served, expected, 2e-6)

    data = tf.data.Dataset.from_tensor_slices((waveform, length)).batch(2).map(lambda w, n: frontend(w, n))
    mapped = list(data)
    same({k: np.concatenate([part[k] for part in mapped]) for k in expected}, expected, 2e-6)


def test_gradient_is_finite_and_inside_the_clip(rng):
    waveform, length = batch(some_clips(rng), 500, 0.1)
    x = tf.constant(waveform)
    frontend = Frontend(("log_mel", "mfcc", "energy"))
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = frontend(x, length)
        total = sum(tf.reduce_sum(out[name] ** 2) for name in frontend.sizes)
    gradient = tape.gradient(total, x).numpy()
    assert np.isfinite(gradient).all()
    beyond = np.arange(waveform.shape[1]) >= length[:, None]
    assert gradient[~beyond].any() and not gradient[beyond].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": ("mfcc", "chroma")}, "distinct names out of spectrogram, magnitude, log_mel"),
        ({"features": ("mfcc", "mfcc")}, "distinct names"),
        ({"features": ()}, "distinct names"),
        ({"fft": 256}, "`fft` must be at least `window`"),
        ({"preemphasis": 1.0}, "`preemphasis` must be in"),
        ({"coefficients": 41}, "`coefficients` must be at most `bins`"),
        ({"fmax": 8001.0}, "fmin < fmax <= 8000 Hz"),
        ({"pitch_fmax": 40.0}, "pitch range must satisfy"),
        ({"deltas": 3}, "`deltas` must be"),
        ({"window": 0}, "`window` must be a positive integer"),
        ({"endpoint_low": 0.9}, "low <= high"),
        ({"normalize": True, "statistics": True}, "nothing is left for `statistics`"),
        ({"features": ("short_term",), "window": 20}, "`window` must"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        Frontend(**arguments)
