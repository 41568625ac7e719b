"""From channels to one: live, cancelling and offset ones, and what is not touched."""

import numpy as np
import pytest
import soundfile

from keras_ser.audio import blocks, read, read_channels, read_with_problems
from keras_ser.audio.channels import survey

RATE = 16000


def write(path, *channels, subtype="FLOAT"):
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype=subtype)
    return path


@pytest.fixture
def voice(speechlike):
    return (speechlike - speechlike.mean()).astype("float32")


def test_silent_channels_are_left_out_of_the_mean(tmp_path, voice, rng):
    other = rng.normal(scale=0.1, size=voice.size).astype("float32")
    none = 0 * voice
    faint = (1e-5 * other).astype("float32")  # more than 80 dB under the voice
    for channels, expected in (
        ([voice, none], voice),
        ([none, none, none, voice, none, none], voice),
        ([none + 0.3, voice], voice),  # an unused input with an offset
        ([voice, faint], voice),
        ([voice, none, other], (voice.astype(float) + other) / 2),
    ):
        found, odd = read_with_problems(write(tmp_path / "a.wav", *channels), RATE)
        np.testing.assert_allclose(found, expected, atol=1e-7)
        assert odd == ["silent channels"]


@pytest.mark.parametrize("gain", [1.0, 1e-2, 1.1e-4])
def test_live_channels_are_averaged_bit_by_bit(tmp_path, voice, rng, gain):
    """The right one is up to 79 dB under the left one."""
    right = (gain * voice[::-1]).astype("float32")
    found, odd = read_with_problems(write(tmp_path / "a.wav", voice, right), RATE)
    np.testing.assert_array_equal(found, np.stack([voice, right], 1).mean(axis=1, dtype=np.float64).astype(np.float32))
    assert odd == []


def test_channels_that_cancel_give_the_first_one(tmp_path, voice):
    found, odd = read_with_problems(write(tmp_path / "a.wav", voice, -voice), RATE)
    np.testing.assert_array_equal(found, voice)
    assert odd == ["cancelling channels"]
    _, odd = read_with_problems(write(tmp_path / "a.wav", voice, -0.9 * voice), RATE)  # 25.6 dB are lost
    assert odd == ["cancelling channels"]
    found, odd = read_with_problems(write(tmp_path / "a.wav", voice, -0.7 * voice), RATE)  # 15.2 dB
    np.testing.assert_allclose(found, 0.15 * voice, atol=1e-7)
    assert odd == []
    # a silent one beside them changes nothing
    _, odd = read_with_problems(write(tmp_path / "a.wav", 0 * voice, voice, -voice), RATE)
    assert odd == ["silent channels", "cancelling channels"]


@pytest.mark.parametrize(("offset", "gain"), [(0.1, 0.5), (-0.03, 0.5), (0.5, 0.5), (0.011, 0.1), (-0.019, 0.1)])
def test_constant_offset_is_taken_off(tmp_path, voice, offset, gain):
    found, odd = read_with_problems(write(tmp_path / "a.wav", gain * voice + offset), RATE)
    np.testing.assert_allclose(found, gain * voice, atol=1e-6)
    assert odd == ["constant offset"]


def test_means_that_are_no_offset_are_left(tmp_path, voice, rng):
    """A small one, one of a wave that begins and ends, of a few samples, and of floats beyond full scale."""
    slow = 0.3 * np.sin(2 * np.pi * 0.3 * np.arange(2 * RATE) / RATE)  # 0.6 of a period
    for samples in (
        voice + np.float32(0.009),
        slow.astype("float32"),
        (0.1 + voice[:1000]).astype("float32"),
        (1000 * rng.normal(size=2 * RATE) + 1).astype("float32"),
        np.full(RATE, 0.4, "float32"),
    ):
        found, odd = read_with_problems(write(tmp_path / "a.wav", samples), RATE)
        np.testing.assert_array_equal(found, samples)
        assert "constant offset" not in odd


def test_blocks_mix_as_the_whole_file_does(tmp_path, voice):
    """A channel is silent at first, and the other one has an offset."""
    left = np.concatenate([0 * voice, voice])
    right = np.concatenate([voice, voice[::-1]]) + np.float32(0.2)
    path = write(tmp_path / "a.wav", left, right)
    np.testing.assert_allclose(np.concatenate(list(blocks(path, RATE, 0.3))), read(path, RATE), atol=1e-6)
    path = write(tmp_path / "b.wav", left, -left)
    np.testing.assert_array_equal(np.concatenate(list(blocks(path, RATE, 0.3))), left)


def test_clean_recordings_are_untouched(shared_data):
    """No corpus at hand has silent or cancelling channels, or an offset."""
    files = sorted(shared_data.rglob("*.flac"))[::50]
    assert len(files) > 50
    for path in files:
        samples, rate = read_channels(path)
        found, odd = read_with_problems(path, rate)
        np.testing.assert_array_equal(found, samples[:, 0])
        assert not {"silent channels", "cancelling channels", "constant offset"} & set(odd), path


@pytest.mark.parametrize(("gain", "found"), [(-0.8, []), (-0.83, ["cancelling channels"])])
def test_channels_cancel_where_twenty_db_are_lost(rng, gain, found):
    """19.1 and 20.7 dB."""
    voice = rng.normal(scale=0.1, size=16000).astype("float32")
    assert list(survey([np.stack([voice, np.float32(gain) * voice], axis=1)], 16000).problems) == found
