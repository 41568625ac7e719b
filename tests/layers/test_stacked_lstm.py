import numpy as np

from keras_ser.layers import StackedLSTM


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, kernel, recurrent, bias):
    """One direction over one example (frames, bins), gate by gate."""
    units = recurrent.shape[0]
    h, c, out = np.zeros(units), np.zeros(units), []
    for frame in x:
        z = frame @ kernel + h @ recurrent + bias
        i, f, g, o = (z[k * units : (k + 1) * units] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out)


def normalized(x, gamma, beta, epsilon):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * gamma + beta


def oracle(layer, x):
    """Equations 3-10 on one example (frames, bins) of its own length."""
    weights = [w.numpy().astype("float64") for w in layer.weights if "seed" not in w.path]
    sequences, x = [], x.astype("float64")
    for i in range(layer.layers):
        own = {w.path.split("/", 1)[1]: v for w, v in zip(layer.weights, weights, strict=False)}
        parts = [v for path, v in own.items() if path.startswith(f"lstm_{i + 1}/")]
        gamma, beta = (own[f"normalization_{i + 1}/{name}"] for name in ("gamma", "beta"))
        h = lstm(x, *parts)
        x = normalized(h, gamma, beta, 1e-3)
        sequences.append(x)
    alpha = np.exp(own["weighting/logits"])
    return sum(a * s for a, s in zip(alpha / alpha.sum(), sequences, strict=True))


def random_layer(rng, bins, **kwargs):
    layer = StackedLSTM(4, **kwargs)
    layer.build((None, None, bins))
    for weight in layer.weights:
        if "seed" not in weight.path:
            weight.assign(rng.normal(scale=0.7, size=weight.shape))
    return layer


def test_against_a_loop_over_gates_and_frames():
    rng = np.random.default_rng(0)
    layer = random_layer(rng, 5, layers=3, dropout=0.4)
    lengths = [9, 4, 1]
    x = rng.normal(size=(3, 9, 5)).astype("float32")
    found = layer(x, mask=np.arange(9) < np.array(lengths)[:, None]).numpy()
    assert found.shape[-1] == layer.compute_output_shape(x.shape)[-1]
    for i, length in enumerate(lengths):
        np.testing.assert_allclose(found[i, :length], oracle(layer, x[i, :length]), atol=2e-6)
        assert not found[i, length:].any()


def test_dropout_stands_between_the_layers():
    """It changes nothing for one layer, and for two only through the second; inference never sees it."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 6, 5)).astype("float32")
    one = random_layer(rng, 5, layers=1, dropout=0.5, seed=3)
    np.testing.assert_array_equal(one(x, training=True), one(x, training=False))
    two = random_layer(rng, 5, layers=2, dropout=0.5, seed=3)
    still, first, second = two(x, training=False), two(x, training=True), two(x, training=True)
    assert np.abs(first - still).max() > 1e-3 and np.abs(first - second).max() > 1e-3
    two.fusion.logits.assign([50.0, -50.0])
    np.testing.assert_allclose(two(x, training=True), two(x, training=False), atol=1e-6)


def test_config_of_earlier_versions_is_read():
    old = {"bidirectional": False, "weighting": True, "epsilon": 1e-3, "use_cudnn": "auto"}
    assert StackedLSTM.from_config({**StackedLSTM(4, 3).get_config(), **old}).layers == 3


def test_layers_drop_different_units():
    layer = StackedLSTM(8, layers=3, dropout=0.5, seed=7)
    masks = [np.asarray(each(np.ones((4, 2, 8), "float32"), training=True)) > 0 for each in layer.dropouts]
    assert (masks[0] != masks[1]).any()
