"""WAV files are decoded in the graph as by libsndfile, and damaged ones are refused."""

import struct

import numpy as np
import pytest
import tensorflow as tf

from keras_ser import audio
from keras_ser.serving.resampling import resample
from keras_ser.serving.wav import CHUNKS, decode_wav
from tests.wavs import chunk, extensible, form, pcm16, read, riff, wav

MAX_SECONDS = 2.0
SUBTYPES = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}


@tf.function(input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int32)], autograph=False)
def decode(contents, clip):
    return decode_wav(contents, clip, MAX_SECONDS)


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def at_16000(contents):
    return resample(*decode_wav(contents, 0, MAX_SECONDS), 16000)


def noise(rng, samples=401, channels=1):
    """Every channel a signal of its own, not in the middle of full scale."""
    x = rng.uniform(-1, 1, (samples, channels)) * np.linspace(0.3, 0.9, channels) + 0.05 * np.arange(channels)
    return x if channels > 1 else x[:, 0]


def complaint(contents: bytes, clip: int = 7) -> str:
    """The server's error about a file, from the brackets of TensorFlow's assertion."""
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decode(contents, clip)
    message = caught.value.message
    assert f"assertion failed: [clip {clip}: " in message
    return message.split(f"[clip {clip}: ")[1].split("]")[0]


@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize(("kind", "channels", "samples"), [("WAV", 1, 401), ("WAVEX", 3, 255), ("WAV", 2, 1)])
def test_equals_libsndfile(rng, subtype, kind, channels, samples):
    contents = wav(noise(rng, samples, channels), 22050, subtype, kind)
    waveform, rate = decode(contents, 0)
    assert rate == 22050 and waveform.dtype == tf.float32
    np.testing.assert_allclose(waveform, read(contents), atol=1e-7)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_full_scale(bits):
    """Both ends and the middle; soundfile would clip them."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    levels = np.array([low, low + 1, -1, 0, 1, high], np.int64)
    raw = b"".join(int(x + 128 if bits == 8 else x).to_bytes(bits // 8, "little", signed=bits != 8) for x in levels)
    contents = riff(form(bits=bits), chunk(b"data", raw))
    waveform, _ = decode(contents, 0)
    np.testing.assert_allclose(waveform, levels / 2.0 ** (bits - 1), rtol=1e-7)
    np.testing.assert_allclose(waveform, read(contents), atol=1e-7)


def test_floats_beyond_full_scale_are_kept(rng):
    x = 50 * noise(rng)
    np.testing.assert_allclose(decode(wav(x, subtype="FLOAT"), 0)[0], x, rtol=1e-6)


@pytest.mark.parametrize(
    "build",
    [
        lambda f, d: riff(f, chunk(b"LIST", b"odd")[:-1], d),
        lambda f, d: riff(chunk(b"zz 1", bytes(27))[:-1], f, chunk(b"bext", b"data\1\0\0\0x")[:-1], d),
    ],
)
def test_chunks_of_odd_size_without_padding(rng, tmp_path, build):
    """As some writers leave them; libsndfile does not read these files, `keras_ser.audio` does."""
    contents = build(form(), chunk(b"data", pcm16(noise(rng, 401))))
    file = tmp_path / "clip.wav"
    file.write_bytes(contents)
    found, expected = decode(contents, 0)[0], audio.read(file, 16000)
    assert len(expected) == 401
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize(
    "build",
    [
        lambda f, d: riff(chunk(b"LIST", b"INFOISFT\x04\0\0\0abc\0"), f, d),
        lambda f, d: riff(chunk(b"JUNK", bytes(27)), f, d),
        lambda f, d: riff(f, chunk(b"fact", struct.pack("<I", 401)), chunk(b"LIST", b"odd"), d),
        lambda f, d: riff(f, d, chunk(b"LIST", b"data in here: data\1\0\0\0x")),
        lambda f, d: riff(f, d, chunk(b"id3 ", bytes(5)), chunk(b"LIST", b"last")),
        lambda f, d: riff(chunk(b"bext", b"fmt data" * 9), f, chunk(b"cue ", b"x"), d),
        lambda f, d: riff(f, d) + b"bytes after the file's own end",
        lambda f, d: riff(f, d)[:4] + b"\0\0\0\0" + riff(f, d)[8:],
        lambda f, d: riff(f, *(chunk(b"tiny", b"") for _ in range(CHUNKS - 2)), d),
    ],
    ids=[
        "list first",
        "odd junk",
        "odd between",
        "list last",
        "odd last",
        "many",
        "trailing",
        "no riff size",
        "most",
    ],
)
def test_other_chunks(rng, build):
    x = noise(rng, 401, 2)
    contents = build(form(channels=2), chunk(b"data", pcm16(x)))
    np.testing.assert_allclose(decode(contents, 0)[0], read(contents), atol=1e-7)
    np.testing.assert_allclose(decode(contents, 0)[0], x.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFF000])
@pytest.mark.parametrize("whole", [0, 8, 36, 0xFFFFFFFF])
def test_sizes_that_a_pipe_left_open(rng, size, whole):
    """The samples continue to the end of the file, without an incomplete sample."""
    x = noise(rng, 300, 3)
    contents = riff(form(channels=3), chunk(b"data", pcm16(x), size))
    contents = contents[:4] + struct.pack("<I", whole) + contents[8:]
    for cut in (0, 1, 5):
        found, _ = decode(contents[: len(contents) - cut], 0)
        np.testing.assert_allclose(found, x.mean(axis=1)[: 300 if not cut else 299], atol=1e-4)
    # libsndfile recognises only two of the sizes of 0 as unfinished
    if size or whole == 8:
        np.testing.assert_allclose(decode(contents, 0)[0], read(contents), atol=1e-7)


def test_empty_data_chunk_before_other_chunks():
    contents = riff(form(), chunk(b"data", b""), chunk(b"LIST", b"INFOISFT\x04\0\0\0abc\0"))
    assert read(contents).size == 0
    assert complaint(contents) == "it holds no samples."


def test_extensible_header_names_the_encoding(rng):
    x = noise(rng)
    floats = riff(extensible(3, bits=32), chunk(b"data", x.astype("<f4").tobytes()))
    np.testing.assert_allclose(decode(floats, 0)[0], x, atol=1e-7)
    np.testing.assert_allclose(decode(floats, 0)[0], read(floats), atol=1e-7)
    law = riff(extensible(6, bits=8), chunk(b"data", bytes(40)))
    assert complaint(law).endswith("received format 6 of 8 bits.")


GOOD = riff(form(), chunk(b"data", bytes(range(200))))
DATA = chunk(b"data", bytes(64))
HEADER = "its header is cut short or damaged."
NO_DATA = "it holds no chunk of samples (data) among its first 64."
FORMAT = "expected PCM of 8, 16, 24 or 32 bits or floats of 32 or 64, received format {} of {} bits."
SAMPLES = "it holds samples that are NaN, infinite or beyond 4e+09 of full scale."
DAMAGE = {
    "empty": (b"", "expected a WAV file (RIFF .. WAVE), received 0 bytes of something else."),
    "only riff": (b"RIFF\0\0\0\0", "expected a WAV file (RIFF .. WAVE), received 8 bytes of something else."),
    "avi": (b"RIFF\0\0\0\0AVI " + bytes(9), "expected a WAV file (RIFF .. WAVE), received 21 bytes of something else."),
    "nothing after riff": (GOOD[:12], HEADER),
    "half a chunk's header": (GOOD[:17], HEADER),
    "half a format": (GOOD[:30], HEADER),
    "a short format": (riff(chunk(b"fmt ", form()[8:22]), DATA), HEADER),
    "format last": (riff(DATA, form()), HEADER),
    "ends after the format": (riff(form()), NO_DATA),
    "chunk beyond the end": (riff(form(), chunk(b"LIST", b"abcd", 10**9), DATA), NO_DATA),
    "tiny chunks": (riff(form(), *(chunk(b"tiny", b"") for _ in range(5000)), DATA), NO_DATA),
    "cut": (GOOD[:-17], "cut short: its header promises 200 bytes of samples, and 183 are there."),
    "half a sample": (riff(form(channels=3), chunk(b"data", bytes(5))), "it holds no samples."),
    "adpcm": (wav(np.linspace(-0.5, 0.6, 5000), 16000, "IMA_ADPCM"), FORMAT.format(17, 4)),
    "12 bits": (riff(form(bits=12, align=2), DATA), FORMAT.format(1, 12)),
    "half floats": (riff(form(3, bits=16), DATA), FORMAT.format(3, 16)),
    "4 kHz": (riff(form(rate=4000), DATA), "expected a sample rate of 8000 to 48000 Hz, received 4000."),
    "4 GHz": (riff(form(rate=2**32 - 1), DATA), "expected a sample rate of 8000 to 48000 Hz, received 4294967295."),
    "no channels": (riff(form(channels=0), DATA), "its header contradicts itself: 0 channels of 16 bits in 0 bytes."),
    "align": (
        riff(form(channels=2, align=3), DATA),
        "its header contradicts itself: 2 channels of 16 bits in 3 bytes.",
    ),
    "nan": (wav(np.array([0.1, np.nan, 0.3]), subtype="FLOAT"), SAMPLES),
    "infinity in one channel": (wav(np.array([[0.1, 0.2], [0.4, -np.inf]]), subtype="DOUBLE"), SAMPLES),
    "beyond float32": (wav(np.array([0.1, 1e300, 0.3]), subtype="DOUBLE"), SAMPLES),
    "beyond the square root of float32": (wav(np.array([0.1, -5e9, 0.3]), subtype="FLOAT"), SAMPLES),
    "too long": (wav(np.linspace(-0.5, 0.6, 16001), 8000), "expected at most 2 s, received 2.000125 s; cut it."),
    "far too long": (wav(np.linspace(-0.5, 0.6, 17600), 8000), "expected at most 2 s, received 2.2 s; cut it."),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(name):
    contents, words = DAMAGE[name]
    assert complaint(contents) == words


def test_longest_clip_is_accepted():
    contents = wav(np.linspace(-0.5, 0.6, 16000), 8000)
    assert decode(contents, 0)[0].shape == (16000,)


def damaged(rng, number: int) -> bytes:
    """Random bytes; a cut file; a file with bytes flipped or replaced, most of them in its header."""
    kinds = [("WAV", s) for s in SUBTYPES] + [("WAVEX", "PCM_16"), ("WAVEX", "FLOAT")]
    kind, subtype = kinds[number % len(kinds)]
    good = wav(noise(rng, int(rng.integers(1, 90)), int(rng.integers(1, 4))), 16000, subtype, kind)
    way = number % 5
    if way == 0:
        return (b"RIFF\0\0\0\0WAVE" if rng.random() < 0.7 else b"") + rng.bytes(int(rng.integers(0, 120)))
    if way == 1:
        return good[: int(rng.integers(0, len(good)))]
    broken = bytearray(good)
    for place in rng.integers(12, min(len(good), 110 if way == 2 else 48), int(rng.integers(1, 4))):
        broken[place] = rng.choice([0, 1, 0xFF, broken[place] ^ 1 << rng.integers(8), rng.integers(256)])
    return bytes(broken)


def test_random_damage_is_decoded_or_refused():
    rng = np.random.default_rng(11)
    answered = refused = 0
    for number in range(150):
        contents = damaged(rng, number)
        try:
            waveform = at_16000(contents).numpy()
        except tf.errors.InvalidArgumentError as error:
            assert "assertion failed: [clip 0: " in error.message, (contents, error.message)
            refused += 1
            continue
        assert waveform.ndim == 1 and 1 <= waveform.size <= MAX_SECONDS * 16000
        assert np.isfinite(waveform).all(), contents
        answered += 1
    assert answered > 15 and refused > 50
