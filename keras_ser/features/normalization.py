"""Normalisation by mean and variance: of the training split, which are stored in the model, and of single clips."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.configured import FeatureLayer
from keras_ser.features.masking import masked_moments, zero_padding

FLOOR = 1e-12  # smallest norm to divide by
CONSTANT = 1e-12  # a bin with less variance, relative to its squared mean, is constant


class Statistics:
    """Mean and variance of valid frames, accumulated in float64 batch by batch (Chan's update).

    Example:
        >>> statistics = Statistics()
        >>> statistics.update([[[1.0], [3.0], [99.0]]], [[True, True, False]])
        >>> statistics.mean, statistics.variance, statistics.frames
        (array([2.]), array([1.]), 2)
    """

    def __init__(self):
        self.frames = 0
        self._mean = None
        self._squares = None

    def update(self, x: Any, mask: Any = None) -> None:
        """Add the valid frames of a batch.

        Args:
            x: (batch, frames, bins) float.
            mask: (batch, frames) bool, or None: every frame is valid.

        Raises:
            UserError: a valid frame holds a value that is not finite.
        """
        x = np.asarray(ops.convert_to_numpy(x), np.float64)
        mask = np.ones(x.shape[:2], bool) if mask is None else np.asarray(ops.convert_to_numpy(mask), bool)
        rows = x[mask]  # (frames, bins)
        if not len(rows):
            return
        if not np.isfinite(rows).all():
            raise UserError("the features of valid frames must be finite. Received: NaN or infinity. Check the audio.")
        mean, squares = rows.mean(axis=0), ((rows - rows.mean(axis=0)) ** 2).sum(axis=0)
        if not self.frames:
            self.frames, self._mean, self._squares = len(rows), mean, squares
            return
        total = self.frames + len(rows)
        apart = mean - self._mean
        self._squares = self._squares + squares + apart**2 * (self.frames * len(rows) / total)
        self._mean = self._mean + apart * (len(rows) / total)
        self.frames = total

    @property
    def mean(self) -> np.ndarray:
        """Mean over all frames, (bins,) float64."""
        return self._checked(self._mean)

    @property
    def variance(self) -> np.ndarray:
        """Population variance over all frames, (bins,) float64."""
        return self._checked(self._squares) / self.frames

    def _checked(self, value):
        if not self.frames:
            raise UserError("statistics need at least one valid frame. Received: none. Call `update` first.")
        return value


def unit_frames(x: Any) -> Any:
    """Divide each frame of (batch, frames, bins) by its Euclidean norm; frames of zeros, such as padding, stay 0."""
    return x / ops.maximum(ops.norm(x, axis=-1, keepdims=True), FLOOR)


def normalized(x: Any, mask: Any, floor: float = 1e-10) -> Any:
    """Normalise each bin over a clip's own valid frames: (x - mean) / sqrt(variance + floor); 0 where the mask is False.

    Args:
        x: (batch, frames, bins) float.
        mask: (batch, frames) bool.
        floor: added to the variance, so that silence stays small.

    Returns:
        (batch, frames, bins).
    """
    _, variance, apart = masked_moments(x, mask)
    return apart * ops.rsqrt(variance + floor)


@keras.saving.register_keras_serializable(package="keras_ser")
class FeatureNormalization(FeatureLayer):
    """Normalise features: (x - mean) / sqrt(variance + epsilon), 0 where the mask is False; float32 for any dtype policy.

    Mean and variance are those of the training split, never of a batch or a clip. They are non-trainable weights, saved
    with the model, and start at 0 and 1, so that an unadapted layer returns its input, up to epsilon.

    Args:
        epsilon: added to the variance. Default 1e-30, so that bins of any scale have unit variance; `set_statistics` gives constant
            bins a variance of 1.

    Input shape:
        x (batch, frames, bins) float, mask (batch, frames) bool.

    Output shape:
        (batch, frames, bins) float32.
    """

    def __init__(self, epsilon: float = 1e-30, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, x_shape, mask_shape=None):
        bins = (x_shape[-1],)
        self.mean = self.add_weight(name="mean", shape=bins, initializer="zeros", trainable=False)
        self.variance = self.add_weight(name="variance", shape=bins, initializer="ones", trainable=False)

    def set_statistics(self, mean: Any, variance: Any) -> None:
        """Set the weights; the layer must be built.

        Args:
            mean, variance: (bins,), e.g. from a `Statistics` over the training split.

        Raises:
            UserError: another shape, a value that is not finite, a negative variance, or a layer that is not built.
        """
        mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
        if mean.shape == variance.shape:
            # what rounding alone makes vary
            variance = np.where(np.abs(variance) <= CONSTANT * mean**2, 1.0, variance)
        mean, variance = mean.astype(np.float32), variance.astype(np.float32)
        if not self.built:
            raise UserError("`set_statistics` needs a built layer. Call it on features, or `build`, first.")
        bins = tuple(self.mean.shape)
        if mean.shape != bins or variance.shape != bins:
            raise UserError(
                f"mean and variance must have shape {bins}. Received: {mean.shape} and {variance.shape}. "
                "Are they of this feature?"
            )
        if not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance >= 0).all()):
            raise UserError("mean and variance must be finite, and the variance must not be negative.")
        self.mean.assign(mean)
        self.variance.assign(variance)

    def call(self, x, mask):
        return zero_padding((ops.cast(x, "float32") - self.mean) / ops.sqrt(self.variance + self.epsilon), mask)

    def compute_output_shape(self, x_shape, mask_shape=None):
        return x_shape


def clip_statistics(x: Any, mask: Any) -> Any:
    """Return mean and variance of each bin over a clip's valid frames, the means first.

    The variance is the population variance: 0 for a clip of one frame.

    Args:
        x: (batch, frames, bins) float.
        mask: (batch, frames) bool; values where it is False are ignored.

    Returns:
        (batch, 2 bins) float32; 0 for a clip without valid frames.
    """
    mean, variance, _ = masked_moments(ops.cast(ops.convert_to_tensor(x), "float32"), mask)
    return ops.concatenate([mean[:, 0], variance[:, 0]], axis=-1)
