import numpy as np
import pytest

from keras_ser.errors import UserError
from keras_ser.layers import ConvEncoder


def convolution(x, kernel, stride):
    """(frames, bins, channels) -> "same" size, starting on frame 0, stepping over frames."""
    size, frames, bins = kernel.shape[0], x.shape[0], x.shape[1]
    before = (size - 1) // 2
    out = np.zeros((-(-frames // stride), bins, kernel.shape[-1]))
    for t in range(out.shape[0]):
        for b in range(bins):
            for i in range(size):
                for j in range(size):
                    at, bin_ = t * stride + i - before, b + j - before
                    if 0 <= at < frames and 0 <= bin_ < bins:
                        out[t, b] += x[at, bin_] @ kernel[i, j]
    return out


def pooled(x, pool):
    frames, bins = (-(-n // p) for n, p in zip(x.shape, pool, strict=False))
    out = np.zeros((frames, bins, x.shape[-1]))
    for t in range(frames):
        for b in range(bins):
            out[t, b] = x[t * pool[0] : (t + 1) * pool[0], b * pool[1] : (b + 1) * pool[1]].max((0, 1))
    return out


def oracle(layer, x):
    """Inference on one example (frames, bins) of its own length: convolution, normalisation, ReLU, pooling."""
    x = x.astype("float64")
    x = x[..., None] if x.ndim == 2 else x
    for i, pool in enumerate(layer.pools):
        x = convolution(x, layer.convolutions[i].kernel.numpy(), layer.stride if i == 0 else 1)
        if layer.pool_first:
            x = pooled(x, pool)
        gamma, beta, mean, variance = (w.numpy() for w in layer.normalizations[i].weights)
        x = np.maximum((x - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
        if not layer.pool_first:
            x = pooled(x, pool)
    return x if layer.keep_bins else x.reshape(len(x), -1)


def random_layer(rng, *tail, **kwargs):
    layer = ConvEncoder(**kwargs)
    layer.build((None, None, *tail))
    for weight in layer.weights:
        if "seed" not in weight.path:
            positive = "variance" in weight.path
            weight.assign(rng.uniform(0.5, 2, weight.shape) if positive else rng.normal(scale=0.7, size=weight.shape))
    return layer


@pytest.mark.parametrize(
    "kwargs",
    [
        {"kernels": (5, 3), "pools": ((2, 2), (2, 2))},
        {"kernels": (3, 4), "pools": ((3, 2), (1, 3)), "pool_first": True},
        {"kernels": (5, 3), "pools": ((2, 1), (1, 1)), "stride": 2},
        {"kernels": (4, 3), "pools": ((2, 2), (4, 5)), "stride": 3, "pool_first": True, "dropout": 0.5},
    ],
    ids=str,
)
def test_against_loops_over_frames_and_bins(kwargs):
    rng = np.random.default_rng(0)
    layer = random_layer(rng, 7, filters=(3, 4), **kwargs)
    lengths = [13, 8, 5, 1]
    x = rng.normal(size=(4, 13, 7)).astype("float32")
    found, mask = layer(x, mask=np.arange(13) < np.array(lengths)[:, None])
    for i, length in enumerate(lengths):
        expected = oracle(layer, x[i, :length])
        assert mask[i].numpy().tolist() == [True] * len(expected) + [False] * (mask.shape[1] - len(expected))
        np.testing.assert_allclose(found[i, : len(expected)], expected, rtol=1e-4, atol=1e-4)
        assert not found[i, len(expected) :].numpy().any()
    whole, everything = layer(x)
    assert everything.numpy().all()
    np.testing.assert_allclose(whole[0], found[0], atol=1e-5)


def test_stride_with_fewer_bins_than_the_kernel():
    """Of energy and pitch, say: three bins."""
    rng = np.random.default_rng(0)
    layer = random_layer(rng, 3, filters=(3, 4), kernels=(5, 3), pools=((2, 2), (2, 2)), stride=2)
    x = rng.normal(size=(2, 13, 3)).astype("float32")
    for each, clip in zip(layer(x)[0], x, strict=True):
        np.testing.assert_allclose(each, oracle(layer, clip), rtol=1e-4, atol=1e-4)


def test_two_encoders_in_a_row_are_one():
    """With `keep_bins` the first hands on what the second's blocks would have seen."""
    rng = np.random.default_rng(1)
    whole = random_layer(rng, 7, filters=(3, 4), kernels=(5, 3), pools=((2, 2), (3, 2)))
    first = random_layer(rng, 7, filters=(3,), kernels=(5,), pools=((2, 2),), keep_bins=True)
    second = random_layer(rng, 4, 3, filters=(4,), kernels=(3,), pools=((3, 2),))
    first, second = _with_weights_of(whole, first, 0), _with_weights_of(whole, second, 1)
    x, mask = rng.normal(size=(3, 13, 7)).astype("float32"), np.arange(13) < np.array([[13], [6], [1]])
    expected, expected_mask = whole(x, mask=mask)
    between, mask = first(x, mask=mask)
    assert between.shape == (3, 7, 4, 3)
    np.testing.assert_allclose(between[0], oracle(first, x[0]), rtol=1e-4, atol=1e-4)
    found, mask = second(between, mask=mask)
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def _with_weights_of(whole, part, block):
    part.convolutions[0].set_weights(whole.convolutions[block].get_weights())
    part.normalizations[0].set_weights(whole.normalizations[block].get_weights())
    return part


@pytest.mark.parametrize("masked", [False, True])
def test_dropout_drops_whole_channels(masked):
    """Each channel of an example is wholly 0, or wholly that of inference over 1 - rate."""
    rng = np.random.default_rng(3)
    layer = random_layer(rng, 6, filters=(40,), kernels=(3,), pools=((2, 2),), dropout=0.5, keep_bins=True, seed=5)
    layer.normalizations[0].momentum = 0.0
    layer.normalizations[0].beta.assign(np.full(40, 3.0))  # so that ReLU leaves something of every channel
    x = rng.normal(size=(4, 9, 6)).astype("float32")
    mask = np.arange(9) < np.array([[9], [6], [9], [4]]) if masked else None
    dropped, _ = layer(x, mask=mask, training=True)
    # with no momentum the moving averages are now those of this batch
    kept, _ = layer(x, mask=mask, training=False)
    assert (kept.numpy() > 0).any(axis=(1, 2)).all()
    zero = (dropped.numpy() == 0).all(axis=(1, 2))  # (batch, channels)
    expected = np.where(zero[:, None, None, :], 0.0, 2.0 * kept.numpy())
    np.testing.assert_allclose(dropped, expected, rtol=1e-4, atol=1e-4)
    assert 0.3 < zero.mean() < 0.7
    assert len({tuple(row) for row in zero}) == 4, "each example has a draw of its own"


def test_config_of_earlier_versions_is_read():
    layer = ConvEncoder.from_config({**ConvEncoder(stride=2).get_config(), "average_bins": False})
    assert layer.stride == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"filters": (8, 8)}, "one entry per block"),
        ({"kernels": (5, 3, 3, 0)}, "`kernels` must be at least 1"),
        ({"pools": ((2,), (2, 2), (2, 2), (2, 2))}, "`pools` must be pairs"),
        ({"pools": ((0, 2), (2, 2), (2, 2), (2, 2))}, "`pools` must be pairs"),
        ({"stride": 0}, "`stride` must be at least 1"),
        ({"dropout": 1.0}, "`dropout` must be in"),
    ],
)
def test_wrong_arguments_are_refused(wrong, words):
    with pytest.raises(UserError, match=words):
        ConvEncoder(**wrong)


def test_blocks_drop_different_channels():
    layer = ConvEncoder(filters=(3, 3), kernels=(3, 3), pools=((1, 1), (1, 1)), dropout=0.5, seed=7)
    masks = [np.asarray(each(np.ones((4, 2, 2, 3), "float32"), training=True))[:, 0, 0] > 0 for each in layer.dropouts]
    assert (masks[0] != masks[1]).any() and len({each.seed for each in layer.dropouts}) == 2
