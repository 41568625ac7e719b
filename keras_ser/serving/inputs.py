"""What a `Predictor` is asked about: audio files and waveforms, read as they are needed."""

import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_ser.audio import AudioError, find_audio, from_array, info, read_with_problems
from keras_ser.errors import UserError


class Clip(NamedTuple):
    """One clip of a batch of questions."""

    file: Path | None  # None of an array
    name: str
    read: Callable[[int, float], tuple[np.ndarray, list[str]]]  # (sample_rate, max_seconds) -> waveform, problems


def clips(inputs: Any, sampling_rate: float | None = None) -> Iterator[Clip]:
    """List what is to be predicted; nothing is read yet.

    Args:
        inputs: a path, a folder, a waveform (samples,), waveforms of one length (clips, samples), a mapping with "array" and
            "sampling_rate" (as an audio column of Hugging Face's `datasets` holds), or a sequence of these.
        sampling_rate: of the waveforms, Hz.

    Raises:
        UserError: something else; a waveform whose sampling rate is not given; a path that leads nowhere.
    """
    for number, item in enumerate(_items(inputs)):
        if isinstance(item, str | os.PathLike):
            yield from (Clip(path, str(path), _reader_of_file(path)) for path in find_audio([item]).files)
            continue
        name, samples, rate = f"clip {number}", item, sampling_rate
        if isinstance(item, Mapping):
            if not {"array", "sampling_rate"} <= set(item):
                raise UserError(
                    f'a mapping must have "array" and "sampling_rate". Received: {", ".join(map(str, item))}.'
                )
            samples, rate = item["array"], item["sampling_rate"]
        if rate is None:
            raise UserError(f"a waveform needs its `sampling_rate`, in Hz. Received: {name} without one.")
        yield Clip(None, name, _reader_of_array(samples, rate, name))


def _items(inputs: Any) -> Iterable[Any]:
    if isinstance(inputs, str | os.PathLike | Mapping):
        return [inputs]
    if not isinstance(inputs, Iterable):
        raise UserError(f"expected audio files, folders or waveforms. Received: {type(inputs).__name__}.")
    # one waveform is a sequence of numbers
    if isinstance(inputs, np.ndarray) and inputs.ndim == 1 and inputs.dtype.kind in "fiu":
        return [inputs]
    found = list(inputs)
    return [np.asarray(found)] if found and all(isinstance(value, numbers.Real) for value in found) else found


def _reader_of_file(path: Path) -> Callable[[int, float], tuple[np.ndarray, list[str]]]:
    return lambda sample_rate, max_seconds: read_clip(path, sample_rate, max_seconds)


def _reader_of_array(samples: Any, rate: float, name: str) -> Callable[[int, float], tuple[np.ndarray, list[str]]]:
    def read(sample_rate: int, max_seconds: float) -> tuple[np.ndarray, list[str]]:
        waveform, problems = from_array(samples, rate, sample_rate, name)
        check_seconds(name, len(waveform) / sample_rate, max_seconds)
        return waveform, problems

    return read


def read_short(path: Path, sample_rate: int, max_seconds: float) -> tuple[np.ndarray | None, float, list[str]]:
    """Read a file: (samples,), or None where it is longer than `max_seconds`; its seconds; its problems. Raises AudioError."""
    seconds = info(path).seconds
    if seconds > max_seconds:
        return None, seconds, []
    waveform, problems = read_with_problems(path, sample_rate)
    seconds = len(waveform) / sample_rate  # not every header states the length
    return (waveform if seconds <= max_seconds else None), seconds, problems


def read_clip(path: Path, sample_rate: int, max_seconds: float) -> tuple[np.ndarray, list[str]]:
    """Read a file, (samples,), and its problems; raises AudioError where it cannot be read or is longer than `max_seconds`."""
    waveform, seconds, problems = read_short(path, sample_rate, max_seconds)
    if waveform is None:
        check_seconds(str(path), seconds, max_seconds)
    return waveform, problems


def check_seconds(name: str, seconds: float, max_seconds: float) -> None:
    """Refuse, by an AudioError, a clip that is longer than a model takes."""
    if seconds > max_seconds:
        raise AudioError(
            f"{name}: expected at most {max_seconds:g} s, received {seconds:.1f} s. Cut it, or use predict --timeline."
        )
