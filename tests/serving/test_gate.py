"""The gate lets right exports through and stops wrong ones, whatever is wrong with them.

What is exported here is a few ops instead of a network, so that many wrong exports can be made.
"""

import dataclasses
import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from keras_ser.serving import gate, graph, wav
from keras_ser.serving.export import _save
from keras_ser.serving.gate import ExportError, check_ops, check_parity, golden
from keras_ser.serving.graph import answers
from keras_ser.tasks import Task
from tests.serving.wavs import read

EMOTION = Task("emotion", ("anger", "neutral", "sadness"))
AROUSAL = Task("arousal", low=-1.0, high=1.0)
RATE = 16000
SPEC = {"waveform": tf.TensorSpec((None, None), tf.float32), "length": tf.TensorSpec((None,), tf.int32)}


class NoVariables:
    variables = ()


def loudness(given, masked: bool = True):
    """(level, roughness) of each clip, of its own samples alone."""
    x = given["waveform"]
    length = given["length"] if masked else tf.fill(tf.shape(given["length"]), tf.shape(x)[1])
    inside = tf.sequence_mask(length, tf.shape(x)[1])
    steps = tf.where(inside[:, 1:], x[:, 1:] - x[:, :-1], 0.0)
    length = tf.cast(length, tf.float32)
    level = tf.reduce_sum(tf.where(inside, x * x, 0.0), 1) / length
    return tf.sqrt(level), tf.sqrt(tf.reduce_sum(steps * steps, 1) / length)


def model(given, tasks=(EMOTION, AROUSAL), masked: bool = True):
    level, rough = loudness(given, masked)
    logits = tf.stack([3 * level, 9 * rough, 0.7 - level], axis=1)
    return answers(tasks, {})({"emotion": tf.nn.softmax(logits), "arousal": level[:, None]})


def embedding(given):
    return {"embedding": tf.stack(loudness(given), axis=1) * 50}


def traced(function):
    return tf.function(lambda given: function(given), input_signature=[SPEC], autograph=False)


def saved(folder, score=model, embed=embedding):
    _save(folder, NoVariables(), traced(score), traced(embed), RATE, 60.0)
    return folder


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("right") / "1")


def check(folder, score=model, embed=embedding, tolerance=1e-5):
    return check_parity(folder, traced(score), traced(embed), RATE, tolerance)


def test_golden_clips(rng):
    """The client's bytes and the offline path's waveform are the same clip; lengths and rates are many; one is silent."""
    for rate, subtype in ((16000, "PCM_24"), (44100, "FLOAT")):
        clips = golden(16000, rate, subtype)
        seconds = [soundfile.info(file(clip)).duration for clip in clips]
        np.testing.assert_allclose(seconds, [*gate.SECONDS, 2.0, 1.0], atol=1e-4)
        assert soundfile.info(file(clips[0])).subtype == subtype
        assert np.abs(clips[-1].waveform).max() == 0 and all(clip.waveform.any() for clip in clips[:-1])
        if rate == 16000:
            for clip in clips:
                np.testing.assert_allclose(clip.waveform, read(clip.contents), atol=1e-7)
    short = golden(16000, 22050, max_seconds=1.2345)
    assert max(soundfile.info(file(clip)).duration for clip in short) <= 1.2345


def file(clip):
    return io.BytesIO(clip.contents)


def shifted(by: float, when=lambda level: level > -1):
    """The model with one probability moved, for some clips."""

    def score(given):
        level, _ = loudness(given)
        found = model(given)
        move = tf.where(when(level), by, 0.0)[:, None] * tf.constant([[1.0, -1.0, 0.0]])
        return {**found, "emotion/probabilities": found["emotion/probabilities"] + move}

    return score


def test_a_right_export_passes_and_everything_was_compared(right):
    """Also one that is a little off, less than the tolerance: how much is told."""
    found = check(right, shifted(4e-6))
    signatures = set(tf.saved_model.load(str(right)).signatures)
    assert signatures == {"serving_default", "predict_bytes", "predict", "embed"}
    exact = {f"{name}, {how}" for name in signatures for how in ("one by one", "in a batch")}
    exact |= {f"predict_bytes, {subtype}" for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32")}
    others = {f"predict_bytes, {rate} Hz" for rate in gate.OTHER_RATES}
    assert set(found) == exact | others | {"Keras, in a batch"}
    for what in exact:
        assert found[what] == pytest.approx(0 if "embed" in what else 4e-6, abs=1e-6)
    assert found["Keras, in a batch"] < 1e-6
    assert all(3e-6 < found[what] < 1e-2 for what in others)


def test_four_times_the_tolerance(right):
    with pytest.raises(ExportError, match=r"predict, one by one: emotion/probabilities of clip 0 differs by 4e-05"):
        check(right, shifted(4e-5))


def test_one_clip_of_eight_is_enough(right):
    with pytest.raises(ExportError, match=r"emotion/probabilities of clip 7 differs by 0.0003.*Nothing was exported"):
        check(right, shifted(3e-4, lambda level: level == 0))


def test_nan_is_a_difference(right):
    with pytest.raises(ExportError, match="Keras, in a batch: arousal/value of clip 7 differs by nan"):
        check(right, lambda given: {**model(given), "arousal/value": 0 * tf.math.log(loudness(given)[0])})


def test_other_labels(right):
    turned = (dataclasses.replace(EMOTION, labels=EMOTION.labels[::-1]), AROUSAL)
    with pytest.raises(ExportError, match="predict, one by one: emotion/label differs from Keras"):
        check(right, lambda given: model(given, turned))


@pytest.mark.parametrize(
    "score",
    [
        lambda given: {**model(given), "emptied": given["length"] > 9},
        lambda given: {name: value for name, value in model(given).items() if name != "arousal/value"},
    ],
    ids=["missing", "surplus"],
)
def test_other_outputs(right, score):
    with pytest.raises(ExportError, match=r"predict, one by one: expected the outputs \[.*the export has \["):
        check(right, score)


def test_a_model_whose_answer_depends_on_the_batch(right):
    with pytest.raises(ExportError, match="Keras, in a batch: .* differs"):
        check(right, lambda given: model(given, masked=False))


def test_another_embedding(right):
    with pytest.raises(ExportError, match="embed, one by one: embedding of clip"):
        check(right, embed=lambda given: {"embedding": tf.stack(loudness(given), axis=1) * 50.01})


def test_an_export_that_counts_the_padding(tmp_path):
    folder = saved(tmp_path / "1", score=lambda given: model(given, masked=False))
    with pytest.raises(ExportError, match="predict, in a batch: .* differs"):
        check(folder)


def test_an_export_that_does_not_resample(tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "resample", lambda waveform, rate, target: waveform)
    with pytest.raises(ExportError, match="predict_bytes, 8000 Hz: emotion/probabilities of clip"):
        check(saved(tmp_path / "1"))


def test_an_export_that_drops_the_low_bytes(tmp_path, monkeypatch):
    whole = wav._samples

    def coarse(raw, tag, bits):
        x = whole(raw, tag, bits)
        return tf.round(x * 128) / 128 if bits == 24 else x

    monkeypatch.setattr(wav, "_samples", coarse)
    with pytest.raises(ExportError, match="predict_bytes, PCM_24: "):
        check(saved(tmp_path / "1"))


def one_function(folder, function):
    module = tf.Module()
    spec = tf.TensorSpec((None,), tf.float32)
    module.f = tf.function(function, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder))
    return folder


@pytest.mark.parametrize(
    ("function", "culprit"),
    [
        (lambda x: tf.numpy_function(lambda a: a * 2, [x], tf.float32), "PyFunc"),
        (lambda x: tf.py_function(lambda a: a * 2, [x], tf.float32), "EagerPyFunc"),
        (lambda x: tf.function(lambda a: a * 2, jit_compile=True, autograph=False)(x), "XLA in "),
        (lambda x: tf.map_fn(lambda a: tf.numpy_function(np.sin, [a], tf.float32), x), "PyFunc"),
    ],
    ids=["numpy_function", "py_function", "xla", "numpy_function in a loop"],
)
def test_ops_that_a_stock_server_lacks(tmp_path, function, culprit):
    with pytest.raises(ExportError, match=rf"what a stock server lacks: .*{culprit}.*Nothing was exported"):
        check_ops(one_function(tmp_path / "1", function))


def test_ops_of_cudnn(tmp_path):
    """As a recurrent layer traced where a GPU is visible leaves them: the op need not run here."""

    def lstm(x):
        sizes = tf.zeros((3, 1, 2))
        return tf.raw_ops.CudnnRNN(
            input=sizes, input_h=sizes[:1], input_c=sizes[:1], params=x, rnn_mode="lstm", is_training=False
        ).output

    with pytest.raises(ExportError, match="a stock server lacks: CudnnRNN"):
        check_ops(one_function(tmp_path / "1", lstm))


def test_ops_of_tensorflow_io(tmp_path):
    tfio = pytest.importorskip("tensorflow_io", reason="tensorflow-io is in the extra io", exc_type=ImportError)
    try:
        folder = one_function(tmp_path / "1", lambda x: tfio.audio.resample(x, 16000, 8000))
    except (NotImplementedError, tf.errors.NotFoundError):
        pytest.skip("this TensorFlow does not load tensorflow-io's ops")
    with pytest.raises(ExportError, match="a stock server lacks: IO>AudioResample"):
        check_ops(folder)
