"""Arrays that depend on settings only, computed once."""

from collections.abc import Callable
from functools import lru_cache, wraps

import numpy as np


def cached_array(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Cache the array that a function returns; each call returns a copy, which the caller may change.

    The cached array is not made read-only and shared instead, because PyTorch warns of read-only arrays.
    """
    cached = lru_cache(maxsize=16)(function)

    @wraps(function)
    def copied(*args, **kwargs):
        return cached(*args, **kwargs).copy()

    return copied
