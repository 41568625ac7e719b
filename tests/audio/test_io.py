import numpy as np
import pytest
import soundfile

from keras_ser.audio import AudioError, info, read, read_with_problems
from keras_ser.audio.io import blocks, mixing_of
from keras_ser.audio.waveforms import Levels


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        (".wav", "PCM_16", 2.0**-15),
        (".wav", "PCM_24", 2.0**-23),
        (".wav", "PCM_U8", 2.0**-7),
        (".wav", "FLOAT", 1e-7),
        (".flac", "PCM_16", 2.0**-15),
        (".aiff", "PCM_16", 2.0**-15),
    ],
)
def test_formats_at_the_own_rate(tmp_path, speechlike, suffix, subtype, tolerance):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, speechlike, 16000, subtype=subtype)
    waveform = read(path)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, speechlike, atol=tolerance)
    found = info(path)
    assert (found.sample_rate, found.channels, found.subtype) == (16000, 1, subtype)
    assert found.seconds == pytest.approx(32017 / 16000)


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_lossy_formats_keep_the_signal(tmp_path, speechlike, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, speechlike, 16000)
    waveform = read(path)
    assert len(waveform) == len(speechlike)
    assert np.corrcoef(waveform, speechlike)[0, 1] > 0.95


@pytest.mark.parametrize("rate", [8000, 44100])
def test_resampling_against_the_formula(tmp_path, rate):
    """A sum of sines under both Nyquist frequencies is known at any rate."""

    def sines(sample_rate):
        t = np.arange(2 * sample_rate) / sample_rate
        return sum(
            a * np.sin(2 * np.pi * f * t + p) for a, f, p in [(0.3, 311.0, 0.4), (0.2, 1234.5, 1.0), (0.1, 3100, 2)]
        )

    soundfile.write(tmp_path / "a.wav", sines(rate), rate, subtype="FLOAT")
    waveform, expected = read(tmp_path / "a.wav", 16000), sines(16000)
    assert abs(len(waveform) - len(expected)) <= 1
    inner = slice(1600, 30400)  # away from the filter's edges
    np.testing.assert_allclose(waveform[inner], expected[inner], atol=1e-5)


def test_stretches(tmp_path, speechlike):
    path = tmp_path / "a.wav"
    soundfile.write(path, speechlike, 16000, subtype="FLOAT")
    whole = read(path)
    np.testing.assert_array_equal(read(path, start=0.5, end=1.25), whole[8000:20000])
    np.testing.assert_array_equal(read(path, start=1.5), whole[24000:])
    np.testing.assert_array_equal(read(path, end=0.1), whole[:1600])
    # 32017 samples are 2.0010625 s: rounding in a label file does not lose the clip.
    np.testing.assert_array_equal(read(path, start=1.0, end=2.01), whole[16000:])


@pytest.mark.parametrize(("start", "end"), [(-0.1, 1.0), (1.0, 0.5), (0.7, 0.7), (2.5, None), (0.0, 2.1), (3.0, 4.0)])
def test_stretches_outside(tmp_path, speechlike, start, end):
    soundfile.write(tmp_path / "a.wav", speechlike, 16000)
    with pytest.raises(AudioError, match=r"a\.wav: expected .*start=.*end="):
        read(tmp_path / "a.wav", start=start, end=end)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_one_sample(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", np.array([0.25]), rate)
    waveform = read(tmp_path / "a.wav", 16000)
    assert waveform.dtype == np.float32 and 1 <= waveform.size <= 2 and waveform.any()


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF024])
def test_streamed_wav_without_a_length(tmp_path, speechlike, size):
    """What FFmpeg and SoX write to a pipe: sizes of all ones, and of about 2 GiB."""
    path = tmp_path / "a.wav"
    soundfile.write(path, speechlike, 16000, subtype="PCM_16")
    whole, contents = read(path), bytearray(path.read_bytes())
    contents[4:8] = contents[40:44] = size.to_bytes(4, "little")
    path.write_bytes(contents)
    np.testing.assert_array_equal(read(path), whole)


def _broken(tmp_path, speechlike, case):
    path = tmp_path / ("a.flac" if "flac" in case else "a.wav")
    if case == "missing":
        return path
    if case == "folder":
        path.mkdir()
        return path
    bad = speechlike.copy()
    if case in ("nan", "huge"):
        bad[[5, 700]] = {"nan": np.nan, "huge": -1e30}[case]
    soundfile.write(path, bad[:0] if case == "no samples" else bad, 16000, subtype=None if "flac" in case else "FLOAT")
    contents = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "garbage": np.random.default_rng(1).bytes(9000),
            "header only": contents[:30],
            "truncated": contents[: int(0.6 * len(contents))],
            "truncated flac": contents[: int(0.6 * len(contents))],
            "damaged flac": contents[:20000] + bytes(3000) + contents[23000:],
        }.get(case, contents)
    )
    return path


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("missing", "no such file"),
        ("folder", "can't be opened"),
        ("empty", "0 bytes"),
        ("no samples", "no samples"),
        ("garbage", "corrupt or not audio"),
        ("header only", "cut short: its header promises 16 bytes of fmt, the file holds 10"),
        ("truncated", "cut short"),
        ("truncated flac", "corrupt"),
        ("damaged flac", "corrupt"),
        ("nan", "2 of 32017 samples are NaN"),
        ("huge", "2 of 32017 samples are .* beyond 4e[+]09 of full scale"),
    ],
)
def test_bad_files(tmp_path, speechlike, case, reason):
    path = _broken(tmp_path, speechlike, case)
    with pytest.raises(AudioError, match=reason) as caught:
        read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("rate", "seconds"), [(16000, 0.01), (8000, 0.37), (44100, 30.0)])
def test_blocks_are_what_read_gives(tmp_path, speechlike, rate, seconds):
    path = tmp_path / "x.flac"
    soundfile.write(path, np.stack([speechlike, speechlike[::-1]], axis=1) * 0.9, 16000)
    pieces = list(blocks(path, rate, seconds))
    whole = read(path, rate)
    assert len(np.concatenate(pieces)) == len(whole)
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    assert len(pieces) == 1 or max(map(len, pieces)) < 2 * seconds * rate + 2000


@pytest.mark.parametrize("case", ["cut", "nan", "missing"])
def test_blocks_of_bad_files(tmp_path, speechlike, case):
    path = tmp_path / "x.wav"
    samples = speechlike.copy()
    samples[len(samples) // 2] = np.nan if case == "nan" else 0.0
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    if case == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif case == "missing":
        path.unlink()
    with pytest.raises(AudioError, match=str(path)) as told:
        read(path)
    with pytest.raises(AudioError) as ours:
        list(blocks(path, 16000, 0.1))
    if case != "nan":  # of which only those up to the first bad piece are counted
        assert str(ours.value) == str(told.value)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_clipping_is_seen_at_the_rate_of_the_file(rate, tmp_path):
    """Resampling breaks the runs at the rails."""
    sine = np.sin(2 * np.pi * 150 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "loud.wav", np.clip(3 * sine, -1, 1), rate, subtype="PCM_16")
    soundfile.write(tmp_path / "good.wav", 0.5 * sine, rate, subtype="PCM_16")
    for name, expected in (("loud.wav", ["clipped"]), ("good.wav", [])):
        assert read_with_problems(tmp_path / name, 16000)[1] == expected
        levels, mixed = Levels(), mixing_of(tmp_path / name)
        pieces = list(blocks(tmp_path / name, 16000, seconds=0.1, mixed=mixed, levels=levels))
        assert len(pieces) > 3 and levels.problems(mixed[1]) == expected
