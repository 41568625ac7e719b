"""What a header promises, against files of known length, whole and cut."""

import io

import pytest
import soundfile

from keras_ser.corpora.header import promised_samples, slack_samples


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("format", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_length_of_a_wav_also_where_it_is_cut(rng, subtype, format, channels):
    raw = io.BytesIO()
    soundfile.write(raw, 0.1 * rng.standard_normal((731, channels)), 16000, subtype=subtype, format=format)
    assert promised_samples(io.BytesIO(raw.getvalue())) == 731
    assert promised_samples(io.BytesIO(raw.getvalue()[: -len(raw.getvalue()) // 2])) == 731


def test_what_promises_nothing(rng):
    raw = io.BytesIO()
    soundfile.write(raw, 0.1 * rng.standard_normal(731), 16000, format="FLAC")
    whole = io.BytesIO()
    soundfile.write(whole, 0.1 * rng.standard_normal(731), 16000, format="WAV", subtype="PCM_16")
    head, data = whole.getvalue().split(b"data", 1)
    piped = head + b"data" + b"\xff" * 4 + data[4:]  # a writer to a pipe does not know the length
    for contents in (b"", b"RIFF", raw.getvalue(), piped):
        assert promised_samples(io.BytesIO(contents)) == 0


def test_only_estimated_lengths_have_slack():
    assert slack_samples("MPEG_LAYER_III") == 2304
    assert slack_samples("PCM_16") == slack_samples("VORBIS") == 0
