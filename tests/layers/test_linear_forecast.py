"""NLinear and DLinear against NumPy, example by example; DLinear's average as the authors pad it."""

import numpy as np
import pytest

from keras_ser.errors import UserError
from keras_ser.layers import DLinear, NLinear

LENGTHS = [40, 31, 1, 26]


def made(layer, rng):
    layer.build((None, None, 3))
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer, {w.name: w.numpy().astype("float64") for w in layer.weights}


def example(rng):
    x, mask = rng.normal(2, 1, size=(4, 40, 3)).astype("float32"), np.arange(40) < np.array(LENGTHS)[:, None]
    return x, mask, np.where(mask[..., None], x, np.nan)


@pytest.mark.parametrize("frames", [29, 40, 55])
def test_nlinear_takes_the_last_frame_off_and_puts_it_back(rng, frames):
    (layer, w), (x, mask, dirty) = made(NLinear(frames, 5), rng), example(rng)
    found = layer(dirty, mask=mask).numpy()
    for i, length in enumerate(LENGTHS):
        own = x[i, : min(length, frames)].astype("float64")
        expected = w["linear_kernel"][: len(own)].T @ (own - own[-1]) + w["linear_bias"][:, None] + own[-1]
        np.testing.assert_allclose(found[i], expected, atol=2e-5)


@pytest.mark.parametrize("frames", [29, 40, 55])
def test_dlinear_maps_the_moving_average_and_the_rest(rng, frames):
    (layer, w), (x, mask, dirty) = made(DLinear(frames, 5), rng), example(rng)
    found = layer(dirty, mask=mask).numpy()
    for i, length in enumerate(LENGTHS):
        own = x[i, : min(length, frames)].astype("float64")
        wide = np.concatenate([np.repeat(own[:1], 12, 0), own, np.repeat(own[-1:], 12, 0)])
        mean = np.stack([wide[t : t + 25].mean(0) for t in range(len(own))])
        expected = w["trend_kernel"][: len(own)].T @ mean + w["trend_bias"][:, None]
        expected += w["rest_kernel"][: len(own)].T @ (own - mean) + w["rest_bias"][:, None]
        np.testing.assert_allclose(found[i], expected, atol=2e-5)


def test_nlinear_is_level_invariant(rng):
    """What a constant adds to x it adds to y: the purpose of the layer."""
    (layer, _), (x, mask, _) = made(NLinear(40, 5), rng), example(rng)
    np.testing.assert_allclose(layer(x + 7.0, mask=mask), layer(x, mask=mask).numpy() + 7.0, atol=1e-4)


@pytest.mark.parametrize("kind", [NLinear, DLinear])
def test_bad_sizes(kind):
    for sizes in ((0, 3), (3, 0)):
        with pytest.raises(UserError, match="`(frames|steps)` must be at least 1"):
            kind(*sizes)
