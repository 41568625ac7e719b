"""Whole files and cut ones: what a container promises is compared with what the file holds."""

import struct

import numpy as np
import pytest
import soundfile

from keras_ser.audio import AudioError, info, read
from keras_ser.audio.chunks import Spliced
from keras_ser.audio.io import blocks
from tests.wavs import chunk, form, lying_list, pcm16, riff

# (ending, format, subtype); of all that tell a size
SIZED = [
    *[(".wav", kind, sub) for kind in ("WAV", "WAVEX") for sub in ("PCM_16", "PCM_24", "ULAW")],
    *[(".wav", "WAV", sub) for sub in ("ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32")],
    *[(".wav", kind, "PCM_16") for kind in ("RF64", "NIST")],
    *[(".w64", "W64", sub) for sub in ("PCM_16", "ULAW", "IMA_ADPCM")],
    *[(".au", "AU", sub) for sub in ("PCM_16", "ULAW", "FLOAT")],
    *[(".aiff", "AIFF", sub) for sub in ("PCM_16", "ULAW", "IMA_ADPCM")],
    *[(".caf", "CAF", sub) for sub in ("PCM_16", "ALAC_16")],
    (".sph", "NIST", "ULAW"),
    (".iff", "SVX", "PCM_16"),
    (".voc", "VOC", "PCM_16"),
    (".flac", "FLAC", "PCM_16"),
    (".ogg", "OGG", "VORBIS"),
    (".opus", "OGG", "OPUS"),
    (".mp3", "MP3", "MPEG_LAYER_III"),
]


def test_parts_and_pieces_of_mp3_of_variable_rate(tmp_path, rng):
    """Frames begin in earlier ones, the more so after pauses: without those, a decoder makes up to 0.3 s of other sound."""
    voices = []
    for size in rng.integers(4000, 16000, 8):
        turns = rng.uniform(100, 200) * np.arange(size) / 16000
        voice = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 20)) + 0.1 * rng.standard_normal(size)
        voices += [0.2 * voice * np.hanning(size), np.zeros(8000)]
    path = encode(tmp_path / "a.mp3", np.concatenate(voices), "mp3", "libmp3lame", 16000, id3v2_version="0")
    whole = read(path, 16000)
    for start in rng.uniform(0, len(whole) / 16000 - 0.5, 40):
        first = round(start * 16000)
        np.testing.assert_allclose(read(path, 16000, start, start + 0.4), whole[first:][:6400], atol=1e-6)
    np.testing.assert_allclose(np.concatenate(list(blocks(path, 16000, 0.5))), whole, atol=1e-6)


@pytest.mark.parametrize(("ending", "kind", "subtype"), SIZED)
def test_cut_files_are_refused_and_whole_ones_read(tmp_path, speechlike, ending, kind, subtype):
    path = tmp_path / f"a{ending}"
    rate = 8000 if subtype == "GSM610" else 16000
    soundfile.write(path, speechlike, rate, format=kind, subtype=subtype)
    whole = read(path, rate)
    assert 0 <= len(whole) - len(speechlike) < 1100  # the last block of a codec is filled up
    assert info(path).seconds == pytest.approx(len(speechlike) / rate, abs=0.1)
    contents = path.read_bytes()
    for share in (0.3, 0.77, 0.99):
        path.write_bytes(contents[: int(share * len(contents))])
        with pytest.raises(AudioError, match="cut short|corrupt"):
            read(path)


@pytest.mark.parametrize(
    ("ending", "container", "codec"),
    [
        (".avi", "avi", "pcm_s16le"),
        (".m4a", "ipod", "aac"),
        (".mov", "mov", "pcm_s16le"),
        (".3gp", "3gp", "aac"),
        (".webm", "webm", "libopus"),
        (".aac", "adts", "aac"),
        (".mp2", "mp2", "mp2"),
    ],
)
def test_cut_containers_are_refused_and_whole_ones_read(tmp_path, speechlike, ending, container, codec):
    path = encode(tmp_path / f"a{ending}", speechlike, container, codec)
    assert abs(len(read(path, 48000)) - len(speechlike)) < 3200
    contents = path.read_bytes()
    for share in (0.3, 0.77, 0.99):
        path.write_bytes(contents[: int(share * len(contents)) | 1])  # not between two frames
        with pytest.raises(AudioError, match="cut short|corrupt"):
            read(path)


def encode(path, samples, container, codec, rate=48000, **options):
    """Writes mono float (samples,) by PyAV."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        if options:  # of variable rate, quality 4
            stream.codec_context.flags |= av.codec.context.Flags.qscale
            stream.codec_context.global_quality = 4 * 118
        frame = av.AudioFrame.from_ndarray(np.float32(samples)[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or 1024
        fitting = av.AudioResampler(stream.codec_context.format, "mono", rate, frame_size=size)
        for piece in [*fitting.resample(frame), *fitting.resample(None)]:
            piece.pts = None
            for packet in stream.encode(piece):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)
    return path


@pytest.mark.parametrize("tag", [b"", b"TAG".ljust(128, b"\0"), b"APETAGEX" + bytes(50_000)])
def test_mp3_of_variable_rate_without_a_length(tmp_path, speechlike, tag):
    """Its bit rate estimates twice what it holds; FFmpeg's frames are 576 samples each."""
    av = pytest.importorskip("av")
    samples = np.concatenate([np.zeros(3 * 16000), *[speechlike] * 4])
    path = encode(tmp_path / "a.mp3", samples, "mp3", "libmp3lame", 16000, write_xing="0", id3v2_version="0")
    with av.open(str(path)) as file:
        expected = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert soundfile.info(path).frames > 1.2 * len(expected)
    path.write_bytes(path.read_bytes() + tag)
    found = read(path)
    # mpg123 leaves the decoder's delay of 529 samples away
    assert len(found) == len(expected) - 529
    np.testing.assert_allclose(found, expected[529:], atol=1e-4)
    assert info(path).seconds == pytest.approx(len(expected) / 16000, abs=0.05)
    contents = path.read_bytes()[: len(path.read_bytes()) - len(tag)]
    path.write_bytes(contents[: len(contents) // 2 + 1])
    with pytest.raises(AudioError, match="cut short: its last frame lacks"):
        read(path)


@pytest.mark.parametrize(
    "build",
    [
        lambda f, d: riff(f, chunk(b"LIST", b"INFOabcdef"), d),
        lambda f, d: riff(f, chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 4) + b"Lavf"), d),
        lambda f, d: riff(f, chunk(b"note", b"abc"), d),
        lambda f, d: riff(f, chunk(b"note", b"abc")[:-1], d),
        lambda f, d: riff(chunk(b"JUNK", bytes(27))[:-1], f, d),
        lambda f, d: riff(f, chunk(b"note", b"abc")[:-1], chunk(b"xyzw", b"hello")[:-1], d),
        lambda f, d: riff(chunk(b"abcd", b"abc")[:-1], chunk(b"efgh", b"four"), f, chunk(b"xyzw", b"e")[:-1], d),
        lambda f, d: riff(f, chunk(b"note", b"abc"), chunk(b"xyzw", b"hello"), d),
        lambda f, d: riff(f, d, chunk(b"LIST", b"INFOabcdef")),
        lambda f, d: riff(f, d, chunk(b"LIST", b"INFO" + bytes(7))) + b"trailing bytes",
        lambda f, d: riff(f, d) + b"ID3\3\0\0\0\0\0\0",
    ],
    ids=[
        "list",
        "software",
        "odd",
        "odd unpadded",
        "junk first",
        "two unpadded",
        "unknown unpadded",
        "two padded",
        "list last",
        "trailing",
        "tag",
    ],
)
def test_wav_with_other_chunks_is_read_whole(tmp_path, speechlike, build):
    path = tmp_path / "a.wav"
    path.write_bytes(build(form(), chunk(b"data", pcm16(speechlike))))
    np.testing.assert_array_equal(read(path), np.frombuffer(pcm16(speechlike), "<i2") / np.float32(32768))


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (lying_list(), "corrupt: its LIST chunk of 16 bytes contains one of 4294967288"),
        (riff(form(), chunk(b"data", bytes(100)))[:-40], "promises 100 bytes of samples, the file holds 60"),
        (riff(form()), "no chunk of samples"),
        (riff(chunk(b"data", bytes(100))), "no chunk of samples"),
        (riff(chunk(b"fmt ", b"\1\0"), chunk(b"data", bytes(100))), "its header is cut short"),
        (riff(form(), chunk(b"data", b""), chunk(b"LIST", b"INFO")), "holds no samples"),
        (riff(form(rate=1), chunk(b"data", bytes(100))), "sample rate of 1000 to 1000000 Hz, its header says 1"),
        (riff(*[chunk(b"x   ", b"")] * 100_001), "more than 100000 chunks"),
        (b"riff\x2e\x91\xcf\x11" + bytes(16) + b"wave" + bytes(12) + b"fmt " + bytes(200), "impossible size"),
    ],
    ids=["lying list", "cut", "no data", "no form", "short form", "empty", "1 Hz", "many chunks", "W64 without sizes"],
)
def test_headers_that_contradict_themselves(tmp_path, contents, words):
    (tmp_path / "a.wav").write_bytes(contents)
    with pytest.raises(AudioError, match=words) as caught:
        read(tmp_path / "a.wav")
    assert str(caught.value).startswith(str(tmp_path / "a.wav: ")) and "\n" not in str(caught.value)


def test_ogg_without_the_end_of_its_stream(tmp_path, speechlike):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.tile(speechlike, 3), 16000)
    contents = path.read_bytes()
    last = contents.rindex(b"OggS")
    for cut, words in ((last, "does not end the stream"), (len(contents) - 1, "ends beyond the file")):
        path.write_bytes(contents[:cut])
        with pytest.raises(AudioError, match=words):
            read(path)
    path.write_bytes(contents + bytes(500))  # what follows the stream is no part of it
    assert len(read(path)) == 3 * len(speechlike)


def test_flac_whose_header_tells_no_length(tmp_path, speechlike):
    """Encoders that write to a pipe leave the number of samples 0; soundfile cannot read them, PyAV can."""
    pytest.importorskip("av")
    path = tmp_path / "a.flac"
    soundfile.write(path, speechlike, 16000)
    whole, contents = read(path), bytearray(path.read_bytes())
    contents[21] &= 0xF0
    contents[22:26] = bytes(4)
    path.write_bytes(contents)
    np.testing.assert_array_equal(read(path), whole)
    np.testing.assert_array_equal(read(path, start=0.5, end=1.25), whole[8000:20000])
    assert info(path).seconds == 0


def test_spliced_reads_as_one_file(tmp_path, rng):
    body = rng.bytes(100)
    (tmp_path / "a").write_bytes(body)
    with (tmp_path / "a").open("rb") as raw:
        file = Spliced(b"head", raw, 10, 50)
        whole = b"head" + body[10:60]
        assert file.read() == whole
        for start, size in rng.integers(0, 60, (50, 2)):
            file.seek(start)
            assert file.read(size) == whole[start : start + size]
        assert file.seek(-5, 2) == 49 and file.read() == whole[-5:]
