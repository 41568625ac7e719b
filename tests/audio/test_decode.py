import io
import struct
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from keras_ser.audio import decode
from keras_ser.audio.decode import decode_audio

BACKENDS = [
    None,
    "soundfile",
    pytest.param(
        "tensorflow-io", marks=pytest.mark.skipif(not decode.native(), reason="tensorflow-io's ops do not load")
    ),
]


def encoded(samples, rate, kind, subtype):
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


@pytest.fixture
def stereo(rng):
    return rng.uniform(-0.99, 0.99, (4097, 2))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", s) for s in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")]
    + [("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")],
)
def test_equals_soundfile(stereo, backend, kind, subtype):
    for samples, rate in ((stereo[:, 0], 16000), (stereo[1:], 44100), (stereo[1:, 1], 96000)):
        contents = encoded(samples, rate, kind, subtype)
        expected, _ = soundfile.read(io.BytesIO(contents), always_2d=True)
        waveform, sample_rate = decode_audio(contents, backend)
        assert waveform.dtype == tf.float32 and sample_rate.dtype == tf.int32 and int(sample_rate) == rate
        np.testing.assert_allclose(waveform, expected.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inside_a_data_set(tmp_path, stereo, backend):
    """Files of different formats, rates and lengths in one graph, in order."""
    expected = []
    for i, (kind, subtype) in enumerate([("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "PCM_32")]):
        contents = encoded(stereo[i * 100 :], 8000 + i, kind, subtype)
        (tmp_path / f"{i}").write_bytes(contents)
        expected.append(soundfile.read(io.BytesIO(contents))[0].mean(axis=1))
    paths = [str(tmp_path / f"{i}") for i in range(4)]
    dataset = tf.data.Dataset.from_tensor_slices(paths).map(tf.io.read_file)
    dataset = dataset.map(lambda contents: decode_audio(contents, backend), num_parallel_calls=2)
    assert dataset.element_spec[0].shape.as_list() == [None]
    for i, (waveform, rate) in enumerate(dataset.as_numpy_iterator()):
        assert rate == 8000 + i
        np.testing.assert_allclose(waveform, expected[i], atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_chunks_before_the_samples(stereo, backend):
    """An odd chunk makes tensorflow-io's op return nothing; it must not be asked."""
    contents = encoded(stereo, 16000, "WAV", "PCM_16")
    expected, _ = decode_audio(contents, "soundfile")
    padded = contents[:36] + b"JUNK" + struct.pack("<I", 9) + b"whatever.\0" + contents[36:]
    np.testing.assert_array_equal(decode_audio(padded, backend)[0], expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", [0, 3, 30, 43, 44, 1000, 16000])
def test_truncated_files_are_errors(stereo, backend, length):
    contents = encoded(stereo, 16000, "WAV", "PCM_16")
    with pytest.raises((tf.errors.OpError, ValueError), match="audio bytes"):
        decode_audio(contents[:length], backend)


def test_without_tensorflow_io(stereo, monkeypatch):
    contents = encoded(stereo, 16000, "WAV", "PCM_16")
    expected, _ = decode_audio(contents, "soundfile")
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    decode.native.cache_clear()
    try:
        assert not decode.native()
        waveform, rate = decode_audio(contents)
        np.testing.assert_array_equal(waveform, expected)
        assert int(rate) == 16000
        with pytest.raises(ValueError, match=r"keras-ser\[io\]"):
            decode_audio(contents, "tensorflow-io")
    finally:
        decode.native.cache_clear()


def test_unknown_backend():
    with pytest.raises(ValueError, match="`backend` must be one of .*Received: 'ffmpeg'"):
        decode_audio(b"", "ffmpeg")


def test_real_flac_and_wav(shared_data):
    files = sorted((shared_data / "emodb").rglob("*.flac"))[::150]
    assert files
    for path in files:
        expected, rate = soundfile.read(path, dtype="float32")
        as_wav = encoded(expected, rate, "WAV", "PCM_16")
        for contents in (path.read_bytes(), as_wav):
            waveform, sample_rate = decode_audio(contents)
            assert int(sample_rate) == rate
            np.testing.assert_allclose(waveform, expected, atol=1e-4)
