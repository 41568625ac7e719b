import keras
import numpy as np
import pytest

from keras_ser.layers import LSTM

UNITS, BINS = 3, 5


def pair(rng, **options):
    """Keras's layer and ours with the same weights, the bias among them random."""
    layers = [kind(UNITS, return_sequences=True, **options) for kind in (keras.layers.LSTM, LSTM)]
    for layer in layers:
        layer.build((None, None, BINS))
    for theirs, ours in zip(*(layer.weights for layer in layers), strict=True):
        theirs.assign(rng.normal(scale=0.7, size=theirs.shape))
        ours.assign(theirs)
    return layers


def gradients(layer, x, weights, training=True):
    """Output, and the gradient of its weighted sum with respect to the input and the layer's weights."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            total = tf.reduce_sum(y * weights)
        return y, tape.gradient(total, [x, *(w.value for w in layer.weights)])

    x = tf.constant(x, "float32")
    nodes = compute.get_concrete_function(x).graph.as_graph_def()
    ops = {node.op for node in nodes.node} | {node.op for f in nodes.library.function for node in f.node_def}
    y, found = compute(x)
    return y.numpy(), [value.numpy() for value in found], ops


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("batch", [1, 7, 131])
def test_output_and_gradient_equal_those_of_keras(rng, batch, backwards):
    theirs, ours = pair(rng, go_backwards=backwards)
    x, weights = rng.normal(size=(batch, 19, BINS)), rng.normal(size=(batch, 19, UNITS)).astype("float32")
    (y, expected, loop), (found, gradient, ops) = (gradients(layer, x, weights) for layer in (theirs, ours))
    np.testing.assert_allclose(found, y, atol=1e-6)
    for one, other in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6 * max(1, np.abs(other).max()))
    assert "BlockLSTM" in ops and "BlockLSTM" not in loop
    np.testing.assert_allclose(ours(x.astype("float32"), training=False), y, atol=1e-6)


def test_an_empty_batch_has_no_gradient(rng):
    """A replica of MirroredStrategy may be given one; the op itself answers with what lay in memory."""
    ours = pair(rng)[1]
    y, found, _ = gradients(ours, np.zeros((0, 19, BINS)), np.zeros((0, 19, UNITS), "float32"))
    assert y.shape == (0, 19, UNITS) and not any(value.any() for value in found)


@pytest.mark.parametrize(
    "options",
    [{"dtype": "mixed_bfloat16"}, {"activation": "relu"}, {"use_bias": False}, {"return_state": True}],
    ids=str,
)
def test_what_the_op_cannot_do_is_done_by_keras(rng, options):
    theirs, ours = pair(rng, **options)
    x = rng.normal(size=(4, 11, BINS)).astype("float32")
    found, expected = (keras.tree.flatten(layer(x)) for layer in (ours, theirs))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in (one, other)))


def test_mask_and_initial_state_are_kept(rng):
    theirs, ours = pair(rng)
    x, mask = rng.normal(size=(4, 11, BINS)).astype("float32"), np.arange(11) < np.array([[11], [5], [1], [8]])
    state = [rng.normal(size=(4, UNITS)).astype("float32") for _ in range(2)]
    for options in ({"mask": mask}, {"initial_state": state}):
        np.testing.assert_array_equal(ours(x, **options), theirs(x, **options))


def test_its_implementation_is_in_its_config():
    assert LSTM.from_config(LSTM(4, use_cudnn=False).get_config()).use_cudnn is False


def test_bidirectional(rng):
    x = rng.normal(size=(4, 11, BINS)).astype("float32")
    both = [keras.layers.Bidirectional(layer) for layer in pair(rng)]
    for layer in both:
        layer.build((None, None, BINS))
    for theirs, ours in zip(*(layer.weights for layer in both), strict=True):
        ours.assign(theirs)
    np.testing.assert_allclose(both[1](x), both[0](x), atol=1e-6)


def test_compile_by_default_leaves_xla_alone(rng):
    model = keras.Sequential([keras.Input((None, BINS)), LSTM(UNITS, return_sequences=True)])
    model.compile("sgd", "mse")
    assert not model.jit_compile
    model.train_on_batch(rng.normal(size=(2, 4, BINS)), rng.normal(size=(2, 4, UNITS)))
