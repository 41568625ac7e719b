"""Damaged, odd and unknown inputs, drawn from a seed: audio files, manifests, recipes."""

import contextlib
import copy
import io
import json
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16000
# format, subtype, suffix: what libsndfile writes
ENCODINGS = (
    ("WAV", "PCM_16", "wav"),
    ("WAV", "PCM_24", "wav"),
    ("WAV", "PCM_U8", "wav"),
    ("WAV", "FLOAT", "wav"),
    ("WAV", "DOUBLE", "wav"),
    ("WAV", "ULAW", "wav"),
    ("WAV", "IMA_ADPCM", "wav"),
    ("WAV", "MS_ADPCM", "wav"),
    ("WAV", "GSM610", "wav"),
    ("WAVEX", "PCM_16", "wav"),
    ("RF64", "PCM_16", "wav"),
    ("NIST", "PCM_16", "sph"),
    ("W64", "PCM_16", "w64"),
    ("AIFF", "PCM_16", "aiff"),
    ("AU", "PCM_16", "au"),
    ("CAF", "PCM_16", "caf"),
    ("FLAC", "PCM_16", "flac"),
    ("OGG", "VORBIS", "ogg"),
    ("OGG", "OPUS", "opus"),
    ("MP3", "MPEG_LAYER_III", "mp3"),
)
# codec, container, suffix: what PyAV writes
CONTAINERS = (
    ("aac", "mp4", "m4a"),
    ("libopus", "webm", "webm"),
    ("pcm_s16le", "avi", "avi"),
    ("aac", "matroska", "mka"),
)
SUFFIXES = ("wav", "flac", "mp3", "ogg", "m4a", "webm", "3gp", "raw", "txt", "WAV", "au", "mp4")


@contextlib.contextmanager
def limit(seconds: int, what: Any) -> Iterator[None]:
    """Fail, naming `what`, where the body takes longer."""

    def late(number, frame):
        raise AssertionError(f"not done in {seconds} s: {what}")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def voice(seconds: float, rng: np.random.Generator, channels: int = 1) -> np.ndarray:
    """A buzz of moving pitch, (samples, channels) float32."""
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * rng.uniform(0.3, 2) * t)) / RATE
    x = sum(np.sin(k * phase) / k for k in range(1, 8)) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) ** 2
    return np.stack([0.2 * x + 0.002 * rng.normal(size=len(t)) for _ in range(channels)], axis=1).astype("float32")


def whole_files(rng: np.random.Generator) -> list[tuple[bytes, str]]:
    """(contents, suffix) of one undamaged file of each encoding."""
    found = []
    for kind, subtype, suffix in ENCODINGS:
        file = io.BytesIO()
        soundfile.write(file, voice(rng.uniform(0.3, 1.5), rng), RATE, format=kind, subtype=subtype)
        found.append((file.getvalue(), suffix))
    with contextlib.suppress(ImportError):
        found += [(_container(*each, voice(1.0, rng)[:, 0]), each[2]) for each in CONTAINERS]
    return found


def _container(codec: str, container: str, suffix: str, samples: np.ndarray) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=48000 if codec == "libopus" else RATE)
        stream.layout = "mono"
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=stream.rate, frame_size=stream.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for part in (frame, None):
            for piece in resampler.resample(part):
                for packet in stream.encode(piece):
                    out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return file.getvalue()


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One way in which files break."""
    head = min(len(data), 120)
    at, there = int(rng.integers(head)), int(rng.integers(1, len(data)))
    ways = [
        lambda: data[: int(len(data) * rng.uniform(0.02, 0.98))],
        lambda: data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :],
        lambda: data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at + 8 :],
        lambda: (
            data[:at] + struct.pack("<I", int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF8]))) + data[at + 4 :]
        ),
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
    """Fill a folder with damaged, odd and unknown files.

    Args:
        folder: made.
        count: how many; seed: draws them.

    Returns:
        Their paths, in order.
    """
    rng = np.random.default_rng(seed)
    whole = whole_files(rng)
    folder.mkdir(parents=True)
    odd = [
        b"",
        b"\0",
        bytes(32000),
        rng.bytes(5000),
        b"file,speaker\na.wav,b\n",
        b"RIFF",
        b"OggS" * 50,
        b"ID3" + bytes(300),
        b"fLaC" + bytes(300),
        b"\x1aE\xdf\xa3" + bytes(300),
        b"<html><body>404</body></html>",
        whole[0][0] * 2,
    ]
    paths = []
    for i in range(count):
        if i < len(whole):
            data, suffix = whole[i]
        elif i < len(whole) + len(odd):
            data, suffix = odd[i - len(whole)], "wav"
        else:
            data, suffix = whole[int(rng.integers(len(whole)))]
            data = damaged(data, rng)
        if i >= len(whole) and rng.random() < 0.3:
            suffix = str(rng.choice(SUFFIXES))
        paths.append(folder / f"clip{i:03d}.{suffix}")
        paths[-1].write_bytes(data)
    return paths


MANIFEST = "file,speaker,gender,emotion\n" + "".join(
    f"c{i}.wav,s{i % 4},{('female', 'male')[i % 2]},{('anger', 'neutral', 'sadness')[i % 3]}\n" for i in range(12)
)


def manifest(rng: np.random.Generator) -> bytes:
    """A table as people, spreadsheets and broken disks make them."""
    lines = MANIFEST.splitlines()
    row, cell = int(rng.integers(len(lines))), int(rng.integers(4))
    cells = lines[row].split(",")
    nasty = [
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
    ]
    cells[cell] = str(rng.choice(np.array(nasty, object)))
    swapped = [*lines[:row], ",".join(cells), *lines[row + 1 :]]
    text = "\n".join(swapped) + "\n"
    ways = [
        lambda: text.encode(),
        lambda: text.encode(),
        lambda: text.encode("utf-16"),
        lambda: text.encode("utf-16-le"),
        lambda: text.encode("utf-8-sig"),
        lambda: text.encode("cp1252", "replace"),
        lambda: text.replace(",", ";").encode(),
        lambda: text.replace(",", "\t").encode(),
        lambda: text.replace("\n", ",,\n").encode(),
        lambda: text.replace("\n", "\r").encode(),
        lambda: text.replace("\n", "\r\n").encode(),
        lambda: text.encode()[: int(rng.integers(len(text)))],
        lambda: rng.bytes(int(rng.integers(2000))),
        lambda: b"PK\x03\x04" + text.encode(),
        lambda: "\n".join(lines[1:]).encode(),
        lambda: "\n".join([*swapped, *swapped]).encode(),
        lambda: "\n".join(f"{i},{line}" if i else f",{line}" for i, line in enumerate(lines)).encode(),
        lambda: text.encode().replace(
            b"emotion", bytes(rng.choice(np.array([b"", b"speaker", b"Emotion ", b"start"], object)))
        ),
    ]
    return ways[int(rng.integers(len(ways)))]()


NASTY = (
    None, True, False, -1, 0, 1, 3.5, -0.0, 1e-300, 1e308, float("inf"), float("nan"), 10**30, "", "x", "../../x", "a/b", "mask",
    "prediction", "a\x1bb", "\u202e", "x" * 500, [], [[]], [None], [1, [2]], {}, {"a": 1}, [0] * 1000, "0.5", "None",
)  # fmt: skip


def recipe_json(good: str, rng: np.random.Generator) -> str:
    """A recipe with one to three values changed, taken away or added."""
    data = json.loads(good)
    for _ in range(int(rng.integers(1, 4))):
        owner, key = _place(data, rng)
        way = int(rng.integers(5))
        if way == 0 and isinstance(owner, dict):
            del owner[key]
        elif way == 1 and isinstance(owner, dict):
            owner[str(rng.choice(["x", "name", "tasks", "config", "first"]))] = copy.deepcopy(
                NASTY[rng.integers(len(NASTY))]
            )
        else:
            owner[key] = copy.deepcopy(NASTY[rng.integers(len(NASTY))])
    text = json.dumps(data)
    return text[: int(rng.integers(len(text)))] if rng.random() < 0.05 else text


def _place(data: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """A container within a JSON value, and a key or index of it."""
    owner, key = None, None
    here = data
    while isinstance(here, dict | list) and len(here) and (owner is None or rng.random() < 0.75):
        keys = list(here) if isinstance(here, dict) else range(len(here))
        owner, key = here, keys[int(rng.integers(len(keys)))]
        here = here[key]
    return (owner, key) if owner is not None else (data, "x")
