import numpy as np
import pytest

from keras_ser.layers import FeatureAttention


@pytest.mark.parametrize("scalar", [False, True])
def test_against_a_loop_over_features(scalar):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(4, 7)).astype("float32")
    layer = FeatureAttention(scalar)
    layer.build(y.shape)
    u = rng.normal(size=1 if scalar else 7) * 2
    layer.scale.assign(u)
    found, weights = np.asarray(layer(y)), np.asarray(layer.attention(y))
    for row, out, a in zip(y.astype(float), found, weights, strict=True):
        e = [np.exp((u[0] if scalar else u[i]) * row[i]) for i in range(7)]
        np.testing.assert_allclose(a, np.array(e) / sum(e), rtol=1e-5)
        np.testing.assert_allclose(out, [e[i] / sum(e) * row[i] for i in range(7)], rtol=1e-4, atol=1e-7)


def test_large_scores_stay_finite():
    y = np.array([[300.0, -500.0, 299.0]], "float32")
    layer = FeatureAttention()
    layer.build(y.shape)
    layer.scale.assign([40.0, 50.0, -60.0])
    np.testing.assert_allclose(np.asarray(layer(y)), [[300.0, 0.0, 0.0]], atol=1e-5)


def test_sequences_are_refused():
    with pytest.raises(ValueError, match=r"expected an input \(batch, width\). Received: \(2, 3, 4\)"):
        FeatureAttention()(np.zeros((2, 3, 4), "float32"))
