"""Argument checks that all denoisers share."""

import numpy as np

from keras_ser.errors import UserError


def checked(name: str, waveform: np.ndarray) -> np.ndarray:
    """Return the waveform as float64, or raise UserError."""
    x = np.asarray(waveform)
    if x.ndim != 1 or x.size == 0 or x.dtype.kind not in "fi":
        raise UserError(f"`{name}` must be real samples in one dimension. Received: {x.dtype} {x.shape}.")
    x = x.astype(np.float64)
    if bad := int(x.size - (np.abs(x) <= np.finfo(np.float32).max).sum()):
        raise UserError(f"`{name}` must be finite. Received: {bad} of {x.size} samples are NaN or infinite.")
    return x


def check_rate(sample_rate: int) -> None:
    if sample_rate < 1:
        raise UserError(f"`sample_rate` must be positive. Received: {sample_rate}.")
