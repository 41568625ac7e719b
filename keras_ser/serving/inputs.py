"""Inputs of a `Predictor`: audio files and waveforms, read as needed."""

import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_ser.audio import AudioError, find_audio, from_array, info, read_with_problems
from keras_ser.errors import UserError


class Clip(NamedTuple):
    """One clip to predict."""

    file: Path | str | None  # None for an array; "" as it was given, since a Path of it would be "."
    name: str
    read: Callable[[int, float], tuple[np.ndarray, list[str]]]  # (sample_rate, max_seconds) -> waveform, problems


def clips(inputs: Any, sampling_rate: float | None = None, *, keep_missing: bool = False) -> Iterator[Clip]:
    """Yield the clips to predict, without reading them.

    Args:
        inputs: a path, a folder, a waveform (samples,), waveforms of one length (clips, samples), a mapping with "array" and
            "sampling_rate" (as in an audio column of Hugging Face's `datasets`), or a sequence of these.
        sampling_rate: sampling rate of the waveforms in Hz.
        keep_missing: Yield a path that does not exist as an unreadable file.

    Raises:
        UserError: an input has another type, a waveform has no sampling rate, or a path does not exist.
    """
    for number, item in enumerate(_items(inputs)):
        if isinstance(item, str) and not item and keep_missing:
            yield Clip("", "", _no_name)
        elif isinstance(item, str | os.PathLike):
            expanded = os.path.expanduser(item)
            missing = keep_missing and not os.path.exists(expanded)
            paths = [Path(expanded)] if missing else find_audio([expanded]).files
            yield from (Clip(path, str(path), partial(read_clip, path)) for path in paths)
        else:
            name = f"clip {number}"
            yield Clip(None, name, partial(_read_array, name, *samples_of(item, sampling_rate, name)))


def _no_name(sample_rate: int, max_seconds: float) -> tuple[np.ndarray, list[str]]:
    raise AudioError("expected a file or a folder. Received: an empty name.")


def _items(inputs: Any) -> Iterable[Any]:
    if isinstance(inputs, str | os.PathLike | Mapping):
        return [inputs]
    if (
        not isinstance(inputs, Iterable)
        or isinstance(inputs, bytes | bytearray)
        or getattr(inputs, "shape", None) == ()
    ):
        raise UserError(f"expected audio files, folders or waveforms. Received: {_described(inputs)}.")
    shape = getattr(inputs, "shape", ())
    if hasattr(inputs, "columns") and len(shape) == 2:
        raise UserError(
            f"expected audio files, folders or waveforms. Received: a table of {shape[1]} columns; give the one that holds "
            'them, e.g. table["file"].'
        )
    check_no_channels(shape)
    # one waveform is a sequence of numbers
    if len(shape) == 1 and np.asarray(inputs).dtype.kind in "fiubc":
        return [np.asarray(inputs)]
    found = list(inputs)
    if found and all(isinstance(value, numbers.Number | np.bool_) for value in found):
        return [np.asarray(found)]
    return found


def check_no_channels(shape: Sequence[int], most: int = 16) -> None:
    """Raise UserError for an array (samples, channels), which would be more than `most` clips of a few samples."""
    if len(shape) == 2 and 0 < shape[1] < 16 and shape[0] > most:
        raise UserError(
            f"expected waveforms (clips, samples). Received: {tuple(shape)}, which looks like (samples, channels): take the mean "
            "over channels, x.mean(axis=1)."
        )


def samples_of(item: Any, sampling_rate: float | None, name: str) -> tuple[Any, float]:
    """Return the samples and the sampling rate of a waveform, or of a mapping with both.

    Raises:
        UserError: the item is neither, or has no sampling rate.
    """
    samples, rate = item, sampling_rate
    if isinstance(item, Mapping):
        if not {"array", "sampling_rate"} <= set(item):
            raise UserError(f'a mapping must have "array" and "sampling_rate". Received: {", ".join(map(str, item))}.')
        samples, rate = item["array"], item["sampling_rate"]
    if (
        not isinstance(samples, Iterable)
        or isinstance(samples, str | bytes | bytearray)
        or getattr(samples, "shape", None) == ()
    ):
        raise UserError(f"{name}: expected a file or a waveform (samples,). Received: {_described(samples)}.")
    if isinstance(next(iter(samples), None), str | os.PathLike):
        raise UserError(
            f"{name}: expected a file or a waveform (samples,). Received: a list of files; give one list of all."
        )
    if rate is None:
        raise UserError(f"a waveform needs its `sampling_rate`, in Hz. Received: {name} without one.")
    return samples, rate


def _described(value: Any) -> str:
    if getattr(value, "shape", None) == ():
        return f"one number ({value!r})"
    return "None" if value is None else type(value).__name__


def _read_array(
    name: str, samples: Any, rate: float, sample_rate: int, max_seconds: float
) -> tuple[np.ndarray, list[str]]:
    waveform, problems = from_array(samples, rate, sample_rate, name)
    check_seconds(name, len(waveform) / sample_rate, max_seconds, "Cut it.")
    return waveform, problems


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


def check_seconds(
    name: str, seconds: float, max_seconds: float, way_out: str = "Cut it, or use predict --timeline."
) -> None:
    """Raise AudioError if a clip is longer than a model accepts."""
    if seconds > max_seconds:
        # near the limit, enough digits to exceed it
        shown = f"{seconds:.1f}" if seconds > max_seconds + 0.1 else f"{seconds:.6f}".rstrip("0")
        raise AudioError(f"{name}: expected at most {max_seconds:g} s, received {shown} s. {way_out}")
