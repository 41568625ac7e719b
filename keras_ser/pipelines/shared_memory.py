"""Arrays whose memory TensorFlow takes as it is, so that no copy is made."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

ALIGNED = 64  # bytes


def aligned_zeros(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Return zeros that begin at a multiple of `ALIGNED` bytes. Their pages are taken when they are written to."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.zeros(size + ALIGNED, np.uint8)
    start = -memory.ctypes.data % ALIGNED
    return memory[start : start + size].view(dtype).reshape(shape)


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """Return a tensor that shares the memory of an aligned, contiguous array; what is written to the array is read from it."""
    if not array.size or array.dtype == bool:  # which DLPack cannot hand over
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
