"""Waveforms from arrays, mixed, resampled and judged as those from files."""

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
        samples: (samples,); floats with full scale 1, or signed integers with the full scale of their type.
        sampling_rate: of the samples, Hz.
        sample_rate: of the result, Hz.
        name: what an error calls it.

    Returns:
        float32 (samples,), and the problems.

    Raises:
        AudioError: no samples, more than one axis, no numbers, unsigned integers, or NaN and infinity among them.
        UserError: `sampling_rate` is none of audio (`RATES`).
    """
    rate = whole_rate(sampling_rate)
    try:
        x = np.asarray(samples)
    except ValueError as error:  # rows of different lengths
        raise AudioError(f"{name}: expected one waveform, (samples,). Received: {error}.") from error
    if x.dtype == object and x.ndim == 1 and all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in x):
        x = x.astype("float64")
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
    """A sampling rate in Hz as an int, within the limits of file headers; raises UserError where it is none."""
    low, high = RATES
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not low <= rate <= high or rate != int(rate):
        raise UserError(f"`sampling_rate` must be a whole number of Hz, {low} to {high}. Received: {rate!r}.")
    return int(rate)
