import keras
import numpy as np
import pytest

from keras_ser.layers import LayerWeighting, StackedLSTM
from keras_ser.serving.fused_lstm import fuse_recurrent_layers, layers_inside


def randomise(model, rng):
    for variable in model.weights:
        variable.assign(variable.numpy() + 0.4 * rng.standard_normal(variable.shape))


def stacked(**options) -> keras.Model:
    x, mask = keras.Input((None, 5), name="x"), keras.Input((None,), dtype="bool", name="mask")
    return keras.Model({"x": x, "mask": mask}, StackedLSTM(7, 3, name="stack", **options)(x, mask=mask))


def ops(model) -> set[str]:
    import tensorflow as tf

    spec = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in model.input.items()}
    graph = tf.function(lambda given: model(given), input_signature=[spec]).get_concrete_function().graph
    functions = graph.as_graph_def().library.function
    return {node.op for node in graph.as_graph_def().node} | {n.op for f in functions for n in f.node_def}


def test_output_equals_keras(rng):
    model = stacked()
    randomise(model, rng)
    x = rng.normal(size=(4, 31, 5)).astype("float32")
    mask = np.arange(31) < rng.integers(1, 32, (4, 1))
    expected = model({"x": x, "mask": mask}).numpy()
    assert fuse_recurrent_layers(model) == 3
    np.testing.assert_allclose(model({"x": x, "mask": mask}).numpy(), expected, atol=2e-6)
    found = ops(model)
    assert "BlockLSTMV2" in found and not {"While", "StatelessWhile"} & found
    # the weights are read when the layer is called
    randomise(model, rng)
    assert np.abs(model({"x": x, "mask": mask}).numpy() - expected).max() > 1e-2


def test_layers_inside_finds_each_layer_once():
    """In models in models, in lists and in attributes of layers."""
    x = keras.Input((None, 5), name="x")
    inner = stacked()
    both = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True, name="lstm"), name="both")
    outer = keras.Model(x, StackedLSTM(3, 2, name="more")(both(inner({"x": x, "mask": x[..., 0] > 0}))))
    found = list(layers_inside(outer))
    assert len({id(layer) for layer in found}) == len(found)
    names = sorted(layer.name for layer in found if type(layer) is keras.layers.LSTM)
    assert names == ["backward_lstm", "forward_lstm", "lstm_1", "lstm_1", "lstm_2", "lstm_2", "lstm_3"]
    kinds = {type(layer) for layer in found}
    assert {keras.layers.Bidirectional, keras.layers.LayerNormalization, keras.layers.Dropout, LayerWeighting} <= kinds


@pytest.mark.parametrize("kind", ["bidirectional", "mixed_bfloat16", "relu", "backwards", "no bias"])
def test_unsupported_layers_are_unchanged(rng, kind):
    if kind == "mixed_bfloat16":
        model = stacked(dtype=kind)
    else:
        options = {"relu": {"activation": "relu"}, "backwards": {"go_backwards": True}, "no bias": {"use_bias": False}}
        x = keras.Input((None, 5), name="x")
        mask = keras.Input((None,), dtype="bool", name="mask")
        lstm = keras.layers.LSTM(7, return_sequences=True, **options.get(kind, {}))
        y = keras.layers.Bidirectional(lstm)(x, mask=mask) if kind == "bidirectional" else lstm(x)
        model = keras.Model({"x": x, "mask": mask}, y)
    randomise(model, rng)
    given = {"x": rng.normal(size=(3, 13, 5)).astype("float32"), "mask": np.arange(13) < [[13], [4], [9]]}
    expected = keras.ops.convert_to_numpy(keras.ops.cast(model(given), "float32"))
    fuse_recurrent_layers(model)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keras.ops.cast(model(given), "float32")), expected)
    assert "BlockLSTMV2" not in ops(model)


def test_cudnn_is_disabled_in_every_recurrent_layer():
    x = keras.Input((None, 3), name="x")
    y = keras.layers.GRU(2, return_sequences=True)(
        keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True))(x)
    )
    model = keras.Model({"x": x}, y)
    fuse_recurrent_layers(model)
    found = [layer.use_cudnn for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    assert len(found) >= 3 and not any(found)
