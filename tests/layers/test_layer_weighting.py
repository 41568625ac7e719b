import numpy as np
import pytest

from keras_ser.errors import UserError
from keras_ser.layers import LayerWeighting


def test_starts_as_the_mean_and_weighs_by_softmax():
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(2, 5, 3)).astype("float32") for _ in range(4)]
    layer = LayerWeighting()
    np.testing.assert_allclose(layer(sequences), np.mean(sequences, axis=0), atol=1e-6)
    logits = rng.normal(size=4)
    layer.logits.assign(logits)
    expected = sum(np.exp(a) * s for a, s in zip(logits, sequences, strict=True)) / np.exp(logits).sum()
    np.testing.assert_allclose(layer(sequences), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ((2, 5, 4), r"expected a list of tensors of the same shape, one tensor for each layer\. Received: \(2, 5, 4\)"),
        ([(2, 5, 4), (2, 1, 4)], r"Received: \[\(2, 5, 4\), \(2, 1, 4\)\]"),
        ([(2, 5, 4), (5, 4)], "of the same shape"),
        ([], "expected a list"),
    ],
)
def test_other_inputs_than_a_list_of_tensors_of_one_shape_are_errors(shapes, words):
    with pytest.raises(UserError, match=words):
        LayerWeighting().build(shapes)
    if shapes:
        made = [np.ones(s, "float32") for s in shapes] if isinstance(shapes, list) else np.ones(shapes, "float32")
        with pytest.raises(UserError, match=words):
            LayerWeighting()(made)


def test_a_built_layer_checks_each_call():
    layer = LayerWeighting()
    x = np.ones((2, 5, 4), "float32")
    layer([x, x])
    for wrong in ([x, x[:, :1]], [x], [x, x, x]):
        with pytest.raises(UserError, match="of the same shape, 2 for each layer"):
            layer(wrong)
