"""Waveforms from arrays, checked and resampled like those from files."""

import numbers
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio.header import RATES, AudioError
from keras_ser.audio.io import check_finite, read_with_problems
from keras_ser.errors import UserError


def from_array(
    samples: Any, sampling_rate: float, sample_rate: int = 16000, name: str = "array"
) -> tuple[np.ndarray, list[str]]:
    """Return the waveform that `keras_ser.audio.read` returns for a file with these samples, and its `problems`.

    Args:
        samples: (samples,); floats with full scale 1, or signed integers of at most 32 bits with the full scale of their type.
        sampling_rate: sample rate of `samples`, Hz.
        sample_rate: sample rate of the result, Hz.
        name: name of the waveform in error messages.

    Returns:
        The waveform, float32 (samples,), and its problems.

    Raises:
        AudioError: `samples` is empty, has more than one axis, is not numeric, or holds unsigned or 64-bit integers (as lists of
            Python's integers do), NaN or infinity.
        UserError: `sampling_rate` is not a whole number of Hz within `RATES`.
    """
    rate = whole_rate(sampling_rate)
    try:
        x = np.asarray(samples)
    except ValueError as error:  # rows of different lengths
        raise AudioError(f"{name}: expected one waveform, (samples,). Received: {error}.") from error
    wide = x.dtype in ("int64", "uint64")
    if x.dtype == object and x.ndim == 1 and all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in x):
        wide, x = all(isinstance(v, numbers.Integral) for v in x), x.astype("float64")
    if wide and x.ndim == 1 and x.size:
        raise AudioError(
            f"{name}: expected floats in [-1, 1], or integers of the type in which they were recorded. Received: integers of 64 "
            "bits, whose full scale is unknown. Convert them first, e.g. numpy.array(samples, 'int16'), or 'int32'."
        )
    if x.ndim != 1 or x.dtype.kind not in "fi":
        raise AudioError(
            f"{name}: expected a waveform (samples,) of floats or signed integers. Received: shape {x.shape}, {x.dtype}."
        )
    if not x.size:
        raise AudioError(f"{name}: the waveform is empty (0 samples).")
    if x.dtype.kind == "i":
        x = x / -float(np.iinfo(x.dtype).min)
    with np.errstate(over="ignore"):
        mono = x.astype("float32")[:, None]
    check_finite(Path(name), mono)
    return read_with_problems(name, sample_rate, reader=lambda path, start, end: (mono, rate))


def whole_rate(rate: Any) -> int:
    """Return a sampling rate in Hz as an int; raise UserError unless it is a whole number within `RATES`."""
    low, high = RATES
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not low <= rate <= high or rate != int(rate):
        raise UserError(f"`sampling_rate` must be a whole number of Hz, {low} to {high}. Received: {rate!r}.")
    return int(rate)
