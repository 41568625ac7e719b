"""Clips are scored in chunks of similar length, and their named answers come in the order of the clips."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.serving import signatures
from keras_ser.serving.signatures import answers, from_bytes, from_waveforms
from keras_ser.tasks import Task
from tests.wavs import read, wav

RATE = 100


def describe(given):
    """Each clip's sum, length and first sample, and the number and length of the clips in its chunk."""
    x, length = given["waveform"], given["length"]
    inside = tf.sequence_mask(length, tf.shape(x)[1])
    return {
        "sum": tf.reduce_sum(tf.where(inside, x, 0.0), axis=1),
        "clips": tf.fill((tf.shape(x)[0],), tf.shape(x)[0]),
        "longest": tf.fill((tf.shape(x)[0],), tf.shape(x)[1]),
        "pair": tf.stack([tf.cast(length, tf.float32), x[:, 0]], axis=1),
    }


@pytest.fixture
def clips(rng):
    lengths = rng.permutation([1, 1, 2, 3, 5, 8, 13, 400, 401, 900, 77, 78, 79, 80, 7])
    return [rng.standard_normal(n).astype("float32") for n in lengths]


def check(found, clips, limit: int) -> None:
    found = {name: value.numpy() for name, value in found.items()}
    lengths = np.array([len(x) for x in clips])
    np.testing.assert_allclose(found["sum"], [x.sum() for x in clips], atol=1e-3)
    np.testing.assert_allclose(found["pair"], [[len(x), x[0]] for x in clips], atol=1e-4)
    alone = found["clips"] == 1
    assert (found["clips"] * found["longest"] <= limit)[~alone].all()
    assert (found["longest"][alone] == lengths[alone]).all() and (found["longest"] >= lengths).all()
    # chunks are runs of the clips sorted by length
    order = np.argsort(-lengths, kind="stable")
    assert (np.diff(found["longest"][order]) <= 0).all()
    assert set(found["clips"]) == {1, 6}  # 900, 401, 400 samples; six from 80 down to 8; six from 7 down


def test_waveforms_are_scored_in_chunks_and_answered_in_order(clips, monkeypatch):
    monkeypatch.setattr(signatures, "CHUNK_SECONDS", 5)
    padded = np.full((len(clips), max(map(len, clips)) + 3), np.nan, "float32")
    for row, x in zip(padded, clips, strict=True):
        row[: len(x)] = x
    lengths = tf.constant([len(x) for x in clips], tf.int32)
    check(from_waveforms(describe, RATE, 10.0)(tf.constant(padded), lengths), clips, 5 * RATE)


@pytest.mark.parametrize(
    "seconds", [2.01, 1.13, 4.02]
)  # the product with the rate is a little less than a whole number
def test_the_longest_clip_is_accepted_as_decoded_audio_as_in_a_file(seconds):
    samples = round(seconds * RATE)
    assert samples / RATE <= seconds and int(seconds * RATE) < samples
    score = from_waveforms(describe, RATE, seconds)
    found = score(tf.ones((1, samples)), tf.constant([samples], tf.int32))
    assert found["longest"].numpy() == [samples]
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected at most .* received a length of"):
        score(tf.ones((1, samples + 1)), tf.constant([samples + 1], tf.int32))


def test_files_are_scored_in_chunks_and_answered_in_order(clips, monkeypatch):
    monkeypatch.setattr(signatures, "CHUNK_SECONDS", 1)
    contents = [wav(np.tanh(np.repeat(x, 16)), 8000, "FLOAT") for x in clips]
    check(from_bytes(describe, 8000, 2.0)(tf.constant(contents)), [read(x) for x in contents], 8000)


def test_answers_are_named(rng):
    emotion, arousal = Task("emotion", ("anger", "neutral", "sadness")), Task("arousal", low=-1.0, high=1.0)
    p, value = rng.dirichlet(np.ones(3), 5), rng.uniform(-1, 1, (5, 1))
    given = {"emotion": tf.constant(p, tf.float32), "arousal": tf.constant(value), "emptied": tf.constant([True] * 5)}
    found = answers((emotion, arousal), ["emptied"])(given)
    assert set(found) == {"emotion/probabilities", "emotion/label", "emotion/score", "arousal/value", "emptied"}
    np.testing.assert_allclose(found["emotion/probabilities"], p, atol=1e-6)
    np.testing.assert_allclose(found["emotion/score"], p.max(axis=1), atol=1e-6)
    assert [x.decode() for x in found["emotion/label"].numpy()] == [emotion.labels[i] for i in p.argmax(axis=1)]
    np.testing.assert_allclose(found["arousal/value"], value[:, 0], atol=1e-6)
