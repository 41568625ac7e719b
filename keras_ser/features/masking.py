"""Operations on sequences (batch, frames, ...) of which a mask (batch, frames) says what is real; None = every frame."""

from typing import Any

from keras import ops


def zero_padding(x: Any, mask: Any) -> Any:
    """Return `x` (batch, frames, ...) with 0 where `mask` is False."""
    if mask is None:
        return x
    # `where` instead of a product: padding may be NaN, and 0 * NaN is NaN.
    return ops.where(expand(mask, x), x, ops.zeros((), dtype=x.dtype))


def expand(mask: Any, x: Any) -> Any:
    """Return `mask` (batch, frames) as a boolean tensor that broadcasts against `x` (batch, frames, ...)."""
    mask = ops.cast(mask, "bool")
    for _ in range(len(x.shape) - 2):
        mask = ops.expand_dims(mask, axis=-1)
    return mask


def lengths(x: Any, mask: Any) -> Any:
    """Return the number of real frames of each example of `x` (batch, frames, ...), at least 1: float32 (batch, 1)."""
    if mask is None:
        ones = ops.ones_like(x[:, :, :1], dtype="float32")  # (batch, frames, 1)
        return ops.maximum(ops.sum(ones, axis=1), 1.0)
    return ops.maximum(ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True), 1.0)


def masked_moments(x: Any, mask: Any) -> tuple[Any, Any, Any]:
    """Return mean and population variance of each unit over the real frames of each example, and the deviations from the mean.

    Args:
        x: (batch, frames, units) float; padding may hold anything.
        mask: (batch, frames), or None.

    Returns:
        Mean and variance, (batch, 1, units) each, 0 for an example without a real frame; and x - mean, 0 in padding.
    """
    x = zero_padding(x, mask)
    count = ops.expand_dims(lengths(x, mask), axis=1)  # (batch, 1, 1)
    mean = ops.sum(x, axis=1, keepdims=True) / count
    # two passes: E[x^2] - mean^2, a difference of two large numbers, would lose precision
    apart = zero_padding(x - mean, mask)
    return mean, ops.sum(ops.square(apart), axis=1, keepdims=True) / count, apart
