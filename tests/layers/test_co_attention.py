"""Co-attention against a loop over frames."""

import numpy as np
import pytest
from scipy.special import softmax

from keras_ser.errors import UserError
from keras_ser.layers import CoAttention


def made(rng, frames, normalize, vectors):
    layer = CoAttention(frames, normalize)
    layer.build([(None, None, 3), *(v.shape for v in vectors)])
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("frames", [4, 6, 9])
def test_against_a_loop_over_frames(rng, frames, normalize):
    x, lengths = rng.normal(size=(4, 6, 3)).astype("float32"), [6, 3, 1, 0]
    vectors = [rng.normal(size=(4, width)).astype("float32") for width in (5, 2)]
    layer = made(rng, frames, normalize, vectors)
    kernel, bias = (w.numpy().astype("float64") for w in layer.weights)
    mask = np.arange(6) < np.array(lengths)[:, None]
    found = layer([np.where(mask[..., None], x, np.nan), *vectors], mask=mask).numpy()
    for i, length in enumerate(lengths):
        scores = np.concatenate([v[i] for v in vectors]) @ kernel + bias
        own = scores[: min(length, frames)]
        weights = softmax(own) if normalize and len(own) else np.maximum(own, 0)
        expected = sum((weight * x[i, t] for t, weight in enumerate(weights)), np.zeros(3))
        np.testing.assert_allclose(found[i], expected, atol=1e-5)


def test_weights_of_the_letter_may_all_be_0_and_normalised_ones_are_not(rng):
    x, vector = rng.normal(size=(2, 6, 3)).astype("float32"), rng.normal(size=(2, 5)).astype("float32")
    letter, clean = (made(rng, 6, normalize, [vector]) for normalize in (False, True))
    for layer in (letter, clean):
        layer.dense.bias.assign(-1e3 * np.ones(6))
    assert not letter([x, vector]).numpy().any()
    assert np.abs(clean([x, vector])).min() > 1e-6


@pytest.mark.parametrize("shapes", [(2, 6, 3), [(2, 6, 3)], [(2, 6, 3), (2, 6, 3)], [(2, 3), (2, 5)]])
def test_other_inputs_are_refused(shapes):
    with pytest.raises(UserError, match="expected a list"):
        CoAttention(6).build(shapes)
    with pytest.raises(UserError, match="`frames` must be at least 1"):
        CoAttention(0)
