"""Wrong, odd and huge clips: an export gives a defined answer or an error that names the clip, and goes on.

The same loaded model gives the same answer to a good request after each of them.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.clips import RATE, files, spoken
from tests.serving.conftest import MAX_SECONDS
from tests.wavs import chunk, form, pcm16, riff, wav

GOOD = riff(form(), chunk(b"data", pcm16(0.3 * np.sin(np.arange(4000) * 0.7))))


@pytest.fixture(scope="module")
def good(served):
    contents = files([spoken(np.random.default_rng(4), s) for s in (0.7, 0.2)])
    return contents, served.ask(audio=contents)


@pytest.fixture(autouse=True)
def unharmed(served, good):
    yield
    contents, before = good
    for name, value in served.ask(audio=contents).items():
        assert np.array_equal(value, before[name])


def refused(served, signature: str = "serving_default", **inputs) -> str:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        served.ask(signature, **inputs)
    assert "assertion failed: [" in caught.value.message
    return caught.value.message.split("assertion failed: [")[1].split("]")[0]


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "expected a WAV file (RIFF .. WAVE), received 0 bytes"),
        (GOOD[:5000], "cut short: its header promises 8000 bytes of samples, and 4956 are there."),
        (wav(np.array([0.5, np.nan, 0.1]), subtype="FLOAT"), "it holds samples that are NaN, infinite or beyond"),
        (wav(np.zeros(int(MAX_SECONDS * RATE) + 1)), "expected at most 3 s, received 3.00006"),
    ],
    ids=["empty", "cut", "nan", "too long"],
)
def test_bad_clip_among_good_ones_is_named(served, good, contents, words):
    assert refused(served, audio=[*good[0], contents, GOOD]).startswith(f"clip 2: {words}")


def test_empty_batch_is_refused(served):
    assert refused(served, audio=np.zeros(0, bytes)) == "expected at least one clip, received none."
    nothing = {"waveform": np.zeros((0, 9), "float32"), "lengths": np.zeros(0, "int32")}
    assert refused(served, "predict", **nothing) == "expected at least one clip, received none."


LENGTHS = {
    "zero": ([5, 0], 9, "clip 1: expected a length of 1 to 9 samples, received 0."),
    "beyond the batch": ([9, 10], 9, "clip 1: expected a length of 1 to 9 samples, received 10."),
    "the smallest": ([-(2**31), 9], 9, "clip 0: expected a length of 1 to 9 samples, received -2147483648."),
    "no samples": ([1, 1], 0, "clip 0: expected a length of 1 to 0 samples, received 1."),
    "too many": ([4, 4, 4], 9, "expected one length for each of 2 clips, received 3."),
    "too long": ([9, 48001], 48005, "clip 1: expected at most 3 s at 16000 Hz, received a length of 48001."),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_that_contradict_the_waveforms_are_refused(served, rng, name):
    lengths, samples, words = LENGTHS[name]
    given = {"waveform": 0.1 * rng.standard_normal((2, samples)).astype("float32"), "lengths": np.int32(lengths)}
    assert refused(served, "predict", **given) == words


@pytest.mark.parametrize("value", [np.nan, 1e30])
def test_invalid_samples_are_refused_in_a_clip_and_ignored_in_its_padding(served, rng, value):
    x = 0.1 * rng.standard_normal((3, 2000)).astype("float32")
    lengths = np.int32([2000, 900, 1500])
    expected = served.ask("predict", waveform=x, lengths=lengths)
    x[1, 900:] = value
    found = served.ask("predict", waveform=x, lengths=lengths)
    for name in expected:
        assert np.array_equal(found[name], expected[name])
    x[1, 899] = value
    words = "clip 1: it holds samples that are NaN, infinite or beyond 4e+09 of full scale."
    assert refused(served, "predict", waveform=x, lengths=lengths) == words
