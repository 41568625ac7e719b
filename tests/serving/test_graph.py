"""What stands around a model: chunks of clips of like length, answers in the order of the clips, and named."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.serving import graph
from keras_ser.serving.graph import answers, from_bytes, from_waveforms
from keras_ser.tasks import Task
from tests.serving.wavs import read, wav

EMOTION = Task("emotion", ("anger", "neutral", "sadness"))
AROUSAL = Task("arousal", low=-1.0, high=1.0)
RATE = 100


def tell(given):
    """Of each clip: its sum, and of the chunk in which it was scored: how many clips, and how long."""
    x, length = given["waveform"], given["length"]
    inside = tf.sequence_mask(length, tf.shape(x)[1])
    clips = tf.fill((tf.shape(x)[0],), tf.shape(x)[0])
    return {
        "sum": tf.reduce_sum(tf.where(inside, x, 0.0), axis=1),
        "clips": clips,
        "longest": tf.fill((tf.shape(x)[0],), tf.shape(x)[1]),
        "pair": tf.stack([tf.cast(length, tf.float32), x[:, 0]], axis=1),
    }


@pytest.fixture
def clips(rng):
    lengths = rng.permutation([1, 1, 2, 3, 5, 8, 13, 400, 401, 900, 77, 78, 79, 80, 7])
    return [rng.standard_normal(n).astype("float32") for n in lengths]


def check(found, clips, limit: int):
    found = {name: value.numpy() for name, value in found.items()}
    lengths = np.array([len(x) for x in clips])
    np.testing.assert_allclose(found["sum"], [x.sum() for x in clips], atol=1e-3)
    np.testing.assert_allclose(found["pair"], [[len(x), x[0]] for x in clips], atol=1e-4)
    alone = found["clips"] == 1
    assert (found["clips"] * found["longest"] <= limit)[~alone].all()
    assert (found["longest"][alone] == lengths[alone]).all() and (found["longest"] >= lengths).all()
    # no clip is padded to the length of a far longer chunk: chunks are runs of the clips sorted by length
    order = np.argsort(-lengths, kind="stable")
    assert (np.diff(found["longest"][order]) <= 0).all()
    return found


def test_waveforms_are_scored_in_chunks_and_come_back_in_order(clips, monkeypatch):
    monkeypatch.setattr(graph, "CHUNK_SECONDS", 5)
    padded = np.full((len(clips), max(map(len, clips)) + 3), np.nan, "float32")
    for row, x in zip(padded, clips, strict=True):
        row[: len(x)] = x
    lengths = tf.constant([len(x) for x in clips], tf.int32)
    predict = from_waveforms(tell, RATE, 10.0)
    found = check(predict(tf.constant(padded), lengths), clips, 5 * RATE)
    assert set(found["clips"]) == {1, 6}  # 900, 401, 400 samples; six from 80 down to 8; six from 7 down


def test_files_are_scored_in_chunks_and_come_back_in_order(clips, monkeypatch):
    monkeypatch.setattr(graph, "CHUNK_SECONDS", 1)
    contents = [wav(np.tanh(np.repeat(x, 16)), 8000, "FLOAT") for x in clips]
    found = check(from_bytes(tell, 8000, 2.0)(tf.constant(contents)), [read(x) for x in contents], 8000)
    assert set(found["clips"]) == {1, 6}


def test_one_batch_where_there_is_room(clips):
    contents = [wav(np.tanh(x), 16000) for x in clips]
    found = from_bytes(tell, 16000, 1.0)(tf.constant(contents))
    assert set(found["clips"].numpy()) == {len(clips)}


@pytest.mark.parametrize("temperature", [1.0, 0.25, 3.0])
def test_answers(rng, temperature):
    """softmax(log p / T), in NumPy; a probability of 0 stays one."""
    logits = 3 * rng.standard_normal((5, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    p[0] = [0.0, 1.0, 0.0]
    value = rng.uniform(-1, 1, (5, 1))
    named = answers((EMOTION, AROUSAL), {"emotion": temperature}, ["emptied"])
    given = {"emotion": tf.constant(p, tf.float32), "arousal": tf.constant(value), "emptied": tf.constant([True] * 5)}
    found = named(given)
    assert set(found) == {"emotion/probabilities", "emotion/label", "emotion/score", "arousal/value", "emptied"}
    with np.errstate(divide="ignore"):
        powered = np.exp(np.log(p) / temperature)
    expected = powered / powered.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["emotion/probabilities"], expected, atol=1e-6)
    np.testing.assert_allclose(found["emotion/score"], expected.max(axis=1), atol=1e-6)
    assert [x.decode() for x in found["emotion/label"].numpy()] == [EMOTION.labels[i] for i in p.argmax(axis=1)]
    np.testing.assert_allclose(found["arousal/value"], value[:, 0], atol=1e-6)
