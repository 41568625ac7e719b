import struct
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from keras_ser import audio
from keras_ser.audio import AudioError
from keras_ser.corpora.corpus import Corpus, Utterance
from keras_ser.pipelines import records, wav_decoder


@pytest.fixture
def stereo(rng):
    samples = rng.uniform(-1.2, 1.2, (4097, 2))
    samples[:2] = [[-1, 1], [0, -0.0]]
    return samples


@pytest.fixture
def by_native(monkeypatch):
    """Bytes of each file that tensorflow-io decodes in a test."""
    wav_decoder.native()  # which decodes a probe, once
    seen, decode = [], wav_decoder._decode
    monkeypatch.setattr(wav_decoder, "_decode", lambda contents: seen.append(len(contents)) or decode(contents))
    return seen


@pytest.mark.skipif(tf.__version__ >= "2.18", reason="tensorflow-io's last release loads with TensorFlow 2.16 and 2.17")
def test_op_loads_where_the_readme_installs_it():
    pytest.importorskip("tensorflow_io")
    assert wav_decoder.native()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_samples_equal_soundfile(tmp_path, stereo, by_native, channels, rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, stereo[:, :channels], rate, subtype="PCM_16")
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    found, at = wav_decoder.read_channels(path)
    np.testing.assert_array_equal(found, expected)
    assert (found.dtype, at) == (np.float32, rate)
    assert not wav_decoder.native() or by_native == [44 + 2 * channels * 4097]
    for start, end in ((0.02, 0.04), (None, 0.04), (0.02, None)):
        part, _ = wav_decoder.read_channels(path, start, end)
        np.testing.assert_array_equal(part, expected[round((start or 0) * rate) : end and round(end * rate)])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "ULAW"])
def test_other_encodings_are_left_to_soundfile(tmp_path, stereo, by_native, subtype):
    soundfile.write(tmp_path / "a.wav", stereo / 2, 16000, subtype=subtype)
    found, _ = wav_decoder.read_channels(tmp_path / "a.wav")
    np.testing.assert_array_equal(found, soundfile.read(tmp_path / "a.wav", dtype="float32")[0])
    assert not by_native


def test_chunks_around_the_samples_are_left_to_soundfile(tmp_path, stereo, by_native):
    """An odd chunk makes tensorflow-io's op return nothing."""
    path = tmp_path / "a.wav"
    soundfile.write(path, stereo, 16000, subtype="PCM_16")
    contents, (expected, _) = path.read_bytes(), audio.read_channels(path)
    for changed in (
        contents[:36] + b"JUNK" + struct.pack("<I", 9) + b"whatever.\0" + contents[36:],
        contents + b"LIST" + struct.pack("<I", 4) + b"INFO",
    ):
        path.write_bytes(changed)
        np.testing.assert_array_equal(wav_decoder.read_channels(path)[0], expected)
    assert not by_native


@pytest.mark.parametrize("length", [0, 3, 30, 43, 44, 1001, 16000])
def test_errors_of_damaged_files_equal_those_of_the_reader(tmp_path, stereo, length):
    soundfile.write(tmp_path / "a.wav", stereo, 16000, subtype="PCM_16")
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:length])
    with pytest.raises(AudioError) as expected:
        audio.read_channels(tmp_path / "a.wav")
    with pytest.raises(AudioError) as found:
        wav_decoder.read_channels(tmp_path / "a.wav")
    assert str(found.value) == str(expected.value)


def test_missing_op_leaves_all_to_soundfile(tmp_path, stereo, monkeypatch):
    soundfile.write(tmp_path / "a.wav", stereo, 16000, subtype="PCM_16")
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    wav_decoder.native.cache_clear()
    try:
        assert not wav_decoder.native()
        np.testing.assert_array_equal(
            wav_decoder.read_channels(tmp_path / "a.wav")[0], audio.read_channels(tmp_path / "a.wav")[0]
        )
    finally:
        wav_decoder.native.cache_clear()


def test_caches_of_both_decoders_are_the_same_bytes(tmp_path, stereo, by_native, monkeypatch):
    """Mono, stereo, another rate, a constant offset and a segment."""
    for name, samples, rate in (("a", stereo[:, 0], 16000), ("b", stereo, 44100), ("c", stereo[:, 0] / 4 + 0.3, 16000)):
        soundfile.write(tmp_path / f"{name}.wav", samples, rate, subtype="PCM_16")
    corpus = Corpus("three", tmp_path, tuple(Utterance(name, f"{name}.wav") for name in "abc"), {})
    made = []
    for fewest in (len(corpus) + 1, len(corpus)):
        monkeypatch.setattr(wav_decoder, "FEWEST", fewest)
        made.append(records.cache(corpus, tmp_path / str(fewest), progress=False))
    assert made[0].path.read_bytes() == made[1].path.read_bytes() and made[0].problems == made[1].problems
    assert len(by_native) == (len(corpus) if wav_decoder.native() else 0)
