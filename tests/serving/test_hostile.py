"""What an export does with clips that are wrong, odd or huge: a defined answer, or an error that names the clip.

The same loaded model answers a good request after each of them.
"""

import struct

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.clips import RATE, batch, files, spoken
from tests.serving.wavs import chunk, form, pcm16, riff, wav


@pytest.fixture(scope="module")
def good(served):
    """A request and its answer, before anything bad was asked."""
    contents = files([spoken(np.random.default_rng(4), s) for s in (0.7, 0.2)])
    return contents, served.ask(contents)


@pytest.fixture
def unharmed(served, good):
    """The good request gets the same answer afterwards."""
    yield
    contents, before = good
    for name, value in served.ask(contents).items():
        assert np.array_equal(value, before[name])


def refused(ask, *given) -> str:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        ask(*given)
    assert "assertion failed: [" in caught.value.message
    return caught.value.message.split("assertion failed: [")[1].split("]")[0]


def waveforms(served, waveform, lengths, signature: str = "predict"):
    waveform, lengths = np.asarray(waveform, "float32"), np.asarray(lengths, "int32")
    found = served.loaded.signatures[signature](waveform=tf.constant(waveform), lengths=tf.constant(lengths))
    return {name: value.numpy() for name, value in found.items()}


def defined(answer: dict) -> None:
    """Finite numbers, probabilities that sum to 1."""
    for name, value in answer.items():
        if value.dtype != object:
            assert np.isfinite(value).all(), name
        if name.endswith("/probabilities"):
            np.testing.assert_allclose(value.sum(axis=1), 1, atol=1e-5)


SOUND = 0.3 * np.sin(np.arange(4000) * 0.7)
GOOD = riff(form(), chunk(b"data", pcm16(SOUND)))
BAD = {
    "not a wav": (b"\x89PNG\r\n\x1a\n" + bytes(99), "expected a WAV file (RIFF .. WAVE), received 107 bytes"),
    "nothing": (b"", "expected a WAV file (RIFF .. WAVE), received 0 bytes"),
    "truncated header": (GOOD[:28], "its header is cut short or damaged."),
    "truncated samples": (GOOD[:5000], "cut short: its header promises 8000 bytes of samples, and 4956 are there."),
    "zero samples": (riff(form(), chunk(b"data", b"")), "it holds no samples."),
    "nan": (wav(np.array([0.5, np.nan, 0.1]), subtype="FLOAT"), "it holds samples that are NaN, infinite or beyond"),
    "huge": (wav(np.array([0.5, 1e30, 0.1]), subtype="FLOAT"), "it holds samples that are NaN, infinite or beyond"),
    "promises two hours": (
        riff(form(), chunk(b"data", pcm16(SOUND), 2 * 3600 * 2 * RATE)),
        "cut short: its header promises 230400000 bytes of samples, and 8000 are there.",
    ),
    "two hours": (
        riff(form(rate=8000, bits=8), chunk(b"data", bytes(7200 * 8000))),
        "expected at most 8 s, received 7200.0 s; cut it.",
    ),
    "a little too long": (wav(np.zeros(8 * RATE + 1)), "expected at most 8 s, received 8.0 s; cut it."),
    "4 kHz": (wav(SOUND, 4000), "expected a sample rate of 8000 to 48000 Hz, received 4000."),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clip_among_good_ones_is_named(served, good, unharmed, name):
    contents, words = BAD[name]
    assert refused(served.ask, [*good[0], contents, GOOD]).startswith(f"clip 2: {words}")
    assert refused(served.ask, [contents]).startswith(f"clip 0: {words}")


def test_no_clips(served, unharmed):
    assert refused(served.ask, []) == "expected at least one clip, received none."
    assert refused(waveforms, served, np.zeros((0, 9)), []) == "expected at least one clip, received none."


@pytest.mark.parametrize("samples", [1, 2, 15, 399])
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_shorter_than_one_window(served, unharmed, samples, rate):
    """Padded with silence to one window, as offline."""
    contents = wav(np.linspace(-0.5, 0.4, samples), rate)
    answer = served.ask([contents])
    defined(answer)
    if rate == RATE:
        expected = served.offline(batch([contents]))
        np.testing.assert_allclose(answer["emotion/probabilities"], expected["emotion"], atol=1e-5)


def test_silence_and_noise_at_full_scale_and_beyond(served, unharmed, rng):
    loud = np.sign(rng.standard_normal(9000))
    given = [np.zeros(9000), np.full(9000, 0.25), 0.999 * loud, np.eye(1, 9000, 4000)[0], 1e-6 * loud]
    contents = files(given) + [wav(x * loud, subtype="FLOAT") for x in (1e-30, 100.0, 4e9)]
    answer = served.ask(contents)
    defined(answer)
    expected = served.offline(batch(contents))
    for task in ("emotion", "gender"):
        np.testing.assert_allclose(answer[f"{task}/probabilities"], expected[task], atol=1e-5)


def test_a_hundred_clips_of_very_different_length(served, unharmed, rng):
    """One by one and together: the same answers, in the order of the clips."""
    lengths = [1, 2, 399, 400, 401, *rng.integers(3, 3000, 91), *rng.integers(60000, 8 * RATE, 3), 8 * RATE]
    contents = files([spoken(rng, n / RATE) for n in rng.permutation(lengths)])
    together = served.ask(contents)
    defined(together)
    for i in rng.choice(100, 15, replace=False):
        alone = served.ask([contents[i]])
        np.testing.assert_allclose(together["emotion/probabilities"][i], alone["emotion/probabilities"][0], atol=1e-5)
        np.testing.assert_allclose(together["gender/score"][i], alone["gender/score"][0], atol=1e-5)


LENGTHS = {
    "zero": ([5, 0], 9, "clip 1: expected a length of 1 to 9 samples, received 0."),
    "negative": ([-1, 9], 9, "clip 0: expected a length of 1 to 9 samples, received -1."),
    "beyond the batch": ([9, 10], 9, "clip 1: expected a length of 1 to 9 samples, received 10."),
    "the largest": ([9, 2**31 - 1], 9, "clip 1: expected a length of 1 to 9 samples, received 2147483647."),
    "the smallest": ([-(2**31), 9], 9, "clip 0: expected a length of 1 to 9 samples, received -2147483648."),
    "no samples": ([1, 1], 0, "clip 0: expected a length of 1 to 0 samples, received 1."),
    "too few": ([4], 9, "expected one length for each of 2 clips, received 1."),
    "too many": ([4, 4, 4], 9, "expected one length for each of 2 clips, received 3."),
    "too long": (
        [9, 8 * RATE + 1],
        8 * RATE + 5,
        "clip 1: expected at most 8 s at 16000 Hz, received a length of 128001.",
    ),
}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("signature", ["predict", "embed"])
def test_lengths_that_contradict_the_waveforms(served, unharmed, rng, name, signature):
    lengths, samples, words = LENGTHS[name]
    assert refused(waveforms, served, 0.1 * rng.standard_normal((2, samples)), lengths, signature) == words


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_waveforms_that_are_no_sound(served, unharmed, rng, value):
    """In the clip it is an error; in the padding nobody looks."""
    x = 0.1 * rng.standard_normal((3, 2000))
    lengths = [2000, 900, 1500]
    expected = waveforms(served, x, lengths)
    x[1, 900:] = value
    found = waveforms(served, x, lengths)
    for name in expected:
        assert np.array_equal(found[name], expected[name])
    x[1, 899] = value
    words = "clip 1: it holds samples that are NaN, infinite or beyond 4e+09 of full scale."
    assert refused(waveforms, served, x, lengths) == words


def test_a_wav_in_a_wav_and_other_nonsense_is_an_answer_or_an_error(served, unharmed):
    """Random damage, through the whole model."""
    rng = np.random.default_rng(21)
    answered = refused_clips = 0
    for _ in range(60):
        broken = bytearray(GOOD)
        for place in rng.integers(4, 60, 2):
            broken[place] = rng.integers(256)
        broken[40:44] = struct.pack("<I", 8000) if rng.random() < 0.5 else broken[40:44]
        try:
            defined(served.ask([GOOD, bytes(broken)]))
            answered += 1
        except tf.errors.InvalidArgumentError as error:
            assert "[clip 1: " in error.message
            refused_clips += 1
    assert answered > 5 and refused_clips > 5
