"""Damaged, odd and unknown inputs, drawn from a seed: audio files and manifests; recipes are in test_recipe_files."""

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
# format, subtype, suffix: what libsndfile writes
WAV = ("PCM_16", "PCM_24", "PCM_U8", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")
ENCODINGS = (
    *(("WAV", subtype, "wav") for subtype in WAV),
    ("WAVEX", "PCM_16", "wav"), ("RF64", "PCM_16", "wav"), ("NIST", "PCM_16", "sph"), ("W64", "PCM_16", "w64"),
    ("AIFF", "PCM_16", "aiff"), ("AU", "PCM_16", "au"), ("CAF", "PCM_16", "caf"), ("FLAC", "PCM_16", "flac"),
    ("OGG", "VORBIS", "ogg"), ("OGG", "OPUS", "opus"), ("MP3", "MPEG_LAYER_III", "mp3"),
)  # fmt: skip
# codec, container, suffix: what PyAV writes
CONTAINERS = (
    ("aac", "mp4", "m4a"),
    ("libopus", "webm", "webm"),
    ("pcm_s16le", "avi", "avi"),
    ("aac", "matroska", "mka"),
)
SUFFIXES = ("wav", "flac", "mp3", "ogg", "m4a", "webm", "3gp", "raw", "txt", "WAV", "au", "mp4")
SIZES = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF8)
CELLS = (
    '"',
    '"a',
    "\0",
    "\x1b[31m",
    "a" * 300,
    "é",
    "e\u0301",
    "\u200b",
    "n/a",
    "0,5",
    "../c1.wav",
    "/c1.wav",
    "",
    "'",
    "NaN",
)
MANIFEST = "file,speaker,gender,emotion\n" + "".join(
    f"c{i}.wav,s{i % 4},{('female', 'male')[i % 2]},{('anger', 'neutral', 'sadness')[i % 3]}\n" for i in range(12)
)


def voice(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A buzz of moving pitch, (samples,) float32."""
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * rng.uniform(0.3, 2) * t)) / RATE
    x = sum(np.sin(k * phase) / k for k in range(1, 8)) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) ** 2
    return (0.2 * x + 0.002 * rng.normal(size=len(t))).astype("float32")


def write_voices(folder: Path) -> None:
    """The twelve clips of `MANIFEST`."""
    for i in range(12):
        soundfile.write(folder / f"c{i}.wav", voice(0.3, np.random.default_rng(i)), RATE)


def whole_files(rng: np.random.Generator) -> list[tuple[bytes, str]]:
    """(contents, suffix) of one undamaged file per encoding."""
    found = []
    for kind, subtype, suffix in ENCODINGS:
        file = io.BytesIO()
        soundfile.write(file, voice(rng.uniform(0.3, 1.5), rng), RATE, format=kind, subtype=subtype)
        found.append((file.getvalue(), suffix))
    with contextlib.suppress(ImportError):
        import av

        for codec, container, suffix in CONTAINERS:
            frame = av.AudioFrame.from_ndarray(voice(1.0, rng)[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            file = io.BytesIO()
            with av.open(file, "w", format=container) as out:
                stream = out.add_stream(codec, rate=48000 if codec == "libopus" else RATE, layout="mono")
                for part in (frame, None):
                    out.mux(stream.encode(part))
            found.append((file.getvalue(), suffix))
    return found


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in one of several ways."""
    head = min(len(data), 120)
    at, there = int(rng.integers(head)), int(rng.integers(1, len(data)))
    ways = [
        lambda: data[: int(len(data) * rng.uniform(0.02, 0.98))],
        lambda: data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :],
        lambda: data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at + 8 :],
        lambda: data[:at] + struct.pack("<I", int(rng.choice(SIZES))) + data[at + 4 :],
        lambda: data[:at] + b"LIST" + struct.pack("<I", int(rng.integers(2**32))) + b"INFO" + data[at:],
        lambda: data[:there] + bytes(int(rng.integers(1, 4000))) + data[there:],
        lambda: data[:there] + rng.bytes(200) + data[there + 200 :],
        lambda: data[there:],
        lambda: data + rng.bytes(int(rng.integers(1, 3000))),
        lambda: data[: int(rng.integers(0, 60))],
        lambda: data,
    ]
    return ways[int(rng.integers(len(ways)))]()


def write_audio(folder: Path, count: int, seed: int) -> list[Path]:
    """Fill a folder with `count` damaged, odd and unknown files, drawn from `seed`; first one undamaged per encoding.

    Returns:
        Their paths, in order.
    """
    rng = np.random.default_rng(seed)
    files = whole_files(rng)
    heads = (b"RIFF", b"OggS" * 50, b"ID3" + bytes(300), b"fLaC" + bytes(300), b"\x1aE\xdf\xa3" + bytes(300))
    odd = [b"", b"\0", bytes(32000), rng.bytes(5000), MANIFEST.encode(), *heads, b"<html></html>", files[0][0] * 2]
    known = len(files)
    files += [(data, "wav") for data in odd]
    while len(files) < count:
        data, suffix = files[int(rng.integers(known))]
        files.append((damaged(data, rng), suffix))
    folder.mkdir(parents=True)
    paths = []
    for i, (data, suffix) in enumerate(files):
        if i >= known and rng.random() < 0.3:
            suffix = str(rng.choice(SUFFIXES))
        paths.append(folder / f"clip{i:03d}.{suffix}")
        paths[-1].write_bytes(data)
    return paths


def manifest(rng: np.random.Generator) -> bytes:
    """A table as people, spreadsheets and broken disks make them."""
    lines = MANIFEST.splitlines()
    row = int(rng.integers(len(lines)))
    cells = lines[row].split(",")
    cells[int(rng.integers(4))] = CELLS[rng.integers(len(CELLS))]
    swapped = [*lines[:row], ",".join(cells), *lines[row + 1 :]]
    text = "\n".join(swapped) + "\n"
    ways = [
        *(
            text.encode(coding, "replace")
            for coding in ("utf-8", "utf-8", "utf-16", "utf-16-le", "utf-8-sig", "cp1252")
        ),
        *(
            text.replace(*pair).encode()
            for pair in ((",", ";"), (",", "\t"), ("\n", ",,\n"), ("\n", "\r"), ("\n", "\r\n"))
        ),
        text.encode()[: int(rng.integers(len(text)))],
        rng.bytes(int(rng.integers(2000))),
        b"PK\x03\x04" + text.encode(),
        "\n".join(lines[1:]).encode(),
        "\n".join([*swapped, *swapped]).encode(),
        "\n".join(f"{i},{line}" if i else f",{line}" for i, line in enumerate(lines)).encode(),
        *(text.replace("emotion", name).encode() for name in ("", "speaker", "Emotion ", "start")),
    ]
    return ways[int(rng.integers(len(ways)))]
