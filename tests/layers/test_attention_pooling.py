import numpy as np

from keras_ser.layers import AttentionPooling


def oracle(x, layer):
    """One example (frames, width), frame by frame."""
    v = layer.vector.numpy().astype("float64")[:, 0]
    scores = []
    for frame in x.astype("float64"):
        scores.append(np.exp(frame @ v))
    return sum(score * frame for score, frame in zip(scores, x, strict=True)) / sum(scores)


def test_against_a_loop_over_frames():
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(4, 6, 5)).astype("float32"), [6, 2, 1, 0]
    layer = AttentionPooling()
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    found = layer(x, mask=np.arange(6) < np.array(lengths)[:, None]).numpy()
    for i, length in enumerate(lengths[:3]):
        np.testing.assert_allclose(found[i], oracle(x[i, :length], layer), atol=1e-5)
    assert not found[3].any(), "an example without a real frame"
    np.testing.assert_allclose(layer(x)[1], oracle(x[1], layer), atol=1e-5)


def test_large_scores_stay_finite():
    x = np.random.default_rng(1).normal(size=(2, 6, 3)).astype("float32") * 300
    layer = AttentionPooling()
    layer.build(x.shape)
    layer.vector.assign([[5.0], [-7.0], [3.0]])
    winner = (x @ np.array([5.0, -7.0, 3.0])).argmax(1)
    for mask in (None, np.ones((2, 6), bool)):
        np.testing.assert_allclose(layer(x, mask=mask), x[[0, 1], winner], rtol=1e-5)
