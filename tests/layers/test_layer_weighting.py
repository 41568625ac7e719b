import numpy as np

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
