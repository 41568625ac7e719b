"""The checks of an export pass right ones and refuse wrong ones.

The exported model is a few ops instead of a network, so that many wrong exports can be made.
"""

import dataclasses
import functools
import io

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from keras_ser.serving import ExportError, export_checks, resampling, signatures
from keras_ser.serving.export_checks import check_ops, check_parity, golden, own_and_other
from keras_ser.serving.saved_model import _save
from keras_ser.serving.signatures import answers
from keras_ser.tasks import Task
from tests.wavs import read

EMOTION = Task("emotion", ("anger", "neutral", "sadness"))
AROUSAL = Task("arousal", low=-1.0, high=1.0)
RATE = 16000
SPEC = {"waveform": tf.TensorSpec((None, None), tf.float32), "length": tf.TensorSpec((None,), tf.int32)}
NO_LAYERS = keras.Sequential()


# a few clips, the last one silent; and each export loaded once
few = functools.cache(lambda *args, **options: golden(*args, **options)[1::3])
loaded = functools.cache(tf.saved_model.load)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(export_checks, "golden", few)
    monkeypatch.setattr(tf.saved_model, "load", loaded)


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
    return answers(tasks)({"emotion": tf.nn.softmax(logits), "arousal": level[:, None]})


def unmasked(given):
    return model(given, masked=False)


def embedding(given):
    return {"embedding": tf.stack(loudness(given), axis=1) * 50}


def traced(function):
    return tf.function(lambda given: function(given), input_signature=[SPEC], autograph=False)


def saved(folder, score=model):
    _save(folder, [NO_LAYERS], traced(score), traced(embedding), RATE, 60.0)
    return folder


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("right") / "1")


def check(folder, score=model, embed=embedding):
    return check_parity(folder, traced(score), traced(embed), RATE, 1e-5, 1.5)


def shifted(by: float, when=lambda level: level > -1):
    """The model with one probability moved, for some clips."""

    def score(given):
        level, _ = loudness(given)
        found = model(given)
        move = tf.where(when(level), by, 0.0)[:, None] * tf.constant([[1.0, -1.0, 0.0]])
        return {**found, "emotion/probabilities": found["emotion/probabilities"] + move}

    return score


def test_golden_clips_are_the_same_for_client_and_offline_path():
    """Of many lengths and any rate; one is silent."""
    file = lambda clip: io.BytesIO(clip.contents)  # noqa: E731
    for rate, subtype in ((16000, "PCM_24"), (44100, "FLOAT")):
        clips = golden(16000, rate, subtype)
        seconds = [soundfile.info(file(clip)).duration for clip in clips]
        np.testing.assert_allclose(seconds, [*export_checks.SECONDS, 2.0, 1.0], atol=1e-4)
        assert soundfile.info(file(clips[0])).subtype == subtype
        assert np.abs(clips[-1].waveform).max() == 0 and all(clip.waveform.any() for clip in clips[:-1])
        for clip in clips if rate == 16000 else ():
            np.testing.assert_allclose(clip.waveform, read(clip.contents), atol=1e-7)
    short = golden(16000, 22050, max_seconds=1.2345)
    assert max(soundfile.info(file(clip)).duration for clip in short) <= 1.2345


def test_right_export_passes_and_everything_is_compared(right):
    """A difference below the tolerance is measured."""
    found = check(right, shifted(4e-6))
    exact = {
        f"{name}, {how}" for name in tf.saved_model.load(str(right)).signatures for how in ("one by one", "in a batch")
    }
    exact |= {f"predict_bytes, {subtype}" for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32")}
    others = {f"predict_bytes, {rate} Hz" for rate in export_checks.OTHER_RATES}
    exact |= {f"{what}, as resampled" for what in others}
    assert len(exact) == 17 and set(found) == exact | others | {"Keras, in a batch"}
    for what in exact:
        assert found[what] == pytest.approx(0 if "embed" in what else 4e-6, abs=1e-6)
    assert found["Keras, in a batch"] < 1e-6
    assert all(3e-6 < found[what] < 1e-2 for what in others)
    own, other = own_and_other(found)
    assert own == pytest.approx(4e-6, abs=1e-6) and other == max(found[what] for what in others)


def test_a_network_that_amplifies_differences_of_waveforms_is_no_fault_of_the_export(tmp_path):
    """At other rates it is compared on the waveforms that the graph has resampled; the difference from soxr's is measured."""

    def steep(given):  # the last bits of the waveform decide
        return {"loudest/value": tf.math.floormod(2.0**10 * tf.reduce_max(tf.abs(given["waveform"]), axis=1), 1.0)}

    found = check_parity(saved(tmp_path / "1", steep), traced(steep), traced(embedding), RATE, 1e-5, 1.5)
    own, other = own_and_other(found)
    assert own < 1e-4 and other > export_checks.LOOSE


TURNED = dataclasses.replace(EMOTION, labels=EMOTION.labels[::-1]), AROUSAL
REFUSED = {
    "four times the tolerance": (
        {"score": shifted(4e-5)},
        "predict, one by one: emotion/prob.* clip 0 differs by 4e-05",
    ),
    "one clip of three": (
        {"score": shifted(3e-4, lambda level: level == 0)},
        "emotion/probabilities of clip 2 differs by 0.0003.*Nothing was exported",
    ),
    "nan": (
        {"score": lambda given: {**model(given), "arousal/value": 0 * tf.math.log(loudness(given)[0])}},
        "Keras, in a batch: arousal/value of clip 2 differs by nan",
    ),
    "other labels": (
        {"score": lambda given: model(given, TURNED)},
        "predict, one by one: emotion/label differs from Keras",
    ),
    "missing output": (
        {"score": lambda given: {**model(given), "emptied": given["length"] > 9}},
        r"predict, one by one: expected the outputs \[.*the export has \[",
    ),
    "dependent on the batch": ({"score": unmasked}, "Keras, in a batch: .* differs"),
    "other embedding": (
        {"embed": lambda given: {"embedding": tf.stack(loudness(given), axis=1) * 50.01}},
        "embed, one by one: embedding of clip",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_difference_from_keras_is_refused(right, name):
    options, words = REFUSED[name]
    with pytest.raises(ExportError, match=words):
        check(right, **options)


def test_export_that_counts_the_padding_is_refused(tmp_path):
    with pytest.raises(ExportError, match="predict, in a batch: .* differs"):
        check(saved(tmp_path / "1", score=unmasked))


def test_export_that_does_not_resample_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(signatures, "resample", lambda waveform, rate, target: waveform)
    with pytest.raises(ExportError, match="predict_bytes, 8000 Hz, as resampled: emotion/probabilities of clip"):
        check(saved(tmp_path / "1"))


@pytest.mark.parametrize("wrong", [lambda x: x[:-1], lambda x: 0.99 * x, lambda x: x * float("nan")])
def test_resampling_unlike_soxrs_is_refused(tmp_path, monkeypatch, wrong):
    """Though export and Keras agree on it."""

    right = resampling._by_spectrum
    monkeypatch.setattr(resampling, "_by_spectrum", lambda *given: wrong(right(*given)))
    with pytest.raises(
        ExportError, match=r"clip 0 at 8000 Hz is resampled unlike soxr: relative error .* more than 0.005"
    ):
        check(saved(tmp_path / "1"))


def cudnn(x):
    """As a recurrent layer traced beside a GPU leaves it: the op need not run here."""
    sizes = tf.zeros((3, 1, 2))
    return tf.raw_ops.CudnnRNN(
        input=sizes, input_h=sizes[:1], input_c=sizes[:1], params=x, rnn_mode="lstm", is_training=False
    ).output


def tensorflow_io(x):
    tfio = pytest.importorskip("tensorflow_io", reason="tensorflow-io is in the extra io", exc_type=ImportError)
    return tfio.audio.resample(x, 16000, 8000)


@pytest.mark.parametrize(
    ("function", "culprit"),
    [
        (lambda x: tf.py_function(lambda a: a * 2, [x], tf.float32), "EagerPyFunc"),
        (lambda x: tf.function(lambda a: a * 2, jit_compile=True, autograph=False)(x), "XLA in "),
        (lambda x: tf.map_fn(lambda a: tf.numpy_function(np.sin, [a], tf.float32), x), "PyFunc"),
        (cudnn, "CudnnRNN"),
        (tensorflow_io, "IO>AudioResample"),
    ],
    ids=["py_function", "xla", "numpy_function in a loop", "cudnn", "tensorflow-io"],
)
def test_ops_that_a_stock_server_lacks_are_refused(tmp_path, function, culprit):
    module = tf.Module()
    module.f = tf.function(function, input_signature=[tf.TensorSpec((None,), tf.float32)], autograph=False)
    try:
        tf.saved_model.save(module, str(tmp_path))
    except (NotImplementedError, tf.errors.NotFoundError):
        pytest.skip("this TensorFlow does not load tensorflow-io's ops")
    with pytest.raises(ExportError, match=rf"ops that a stock server lacks: .*{culprit}.*Nothing was exported"):
        check_ops(tmp_path)
