"""Compute each LSTM of an export by one op instead of a loop of a dozen small ops a frame.

`BlockLSTMV2` is in every TensorFlow server, on CPU and GPU. Its gradient is wrong (by finite differences), so it is for
inference only; its output equals that of `keras.layers.LSTM`, which every export is checked for.
"""

import functools
from collections.abc import Iterator

import keras
import tensorflow as tf


def fuse_recurrent_layers(model: keras.Model) -> int:
    """Replace the computation of every supported LSTM in a model, in place; returns their number.

    Supported: float32, the default activations with a bias, forward in time, sequences in and out, no mask (`StackedLSTM`
    passes none: padding on the right cannot affect earlier frames) and no initial state. Other
    layers and calls are unchanged, except that cuDNN's op, which a server on CPU cannot run, is disabled in all of them.
    """
    replaced = 0
    for layer in layers_inside(model):
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False
        if type(layer) is keras.layers.LSTM and _supported(layer):
            layer.call = functools.partial(_call, layer, layer.call)
            replaced += 1
    return replaced


def layers_inside(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yield a layer and every layer inside it once: those of a model, and those in a layer's attributes and lists.

    Keras has no public access to a layer's sublayers.
    """
    found, waiting = {}, [layer]
    while waiting:
        each = waiting.pop()
        if id(each) in found:
            continue
        found[id(each)] = each
        held = [each.layers] if isinstance(each, keras.Model) else [v for k, v in vars(each).items() if k[0] != "_"]
        for value in held:
            waiting += [x for x in (value if isinstance(value, list) else [value]) if isinstance(x, keras.layers.Layer)]
    yield from found.values()


def _supported(layer: keras.layers.LSTM) -> bool:
    return (
        layer.compute_dtype == "float32"
        and layer.activation is keras.activations.tanh
        and layer.recurrent_activation is keras.activations.sigmoid
        and layer.use_bias
        and layer.return_sequences
        and not layer.return_state
        and not layer.go_backwards
        and not layer.stateful
    )


def _call(layer, usual, sequences, initial_state=None, mask=None, training=False):
    if mask is not None or initial_state is not None:
        return usual(sequences, initial_state=initial_state, mask=mask, training=training)
    kernel, recurrent, bias = (variable.value for variable in layer.weights)
    batch, frames = tf.shape(sequences)[0], tf.shape(sequences)[1]
    nothing, zeros = tf.zeros((layer.units,)), tf.zeros((batch, layer.units))
    found = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.cast(frames, tf.int64),
        x=tf.transpose(sequences, (1, 0, 2)),  # (frames, batch, bins)
        cs_prev=zeros,
        h_prev=zeros,
        w=tf.concat([kernel, recurrent], axis=0),
        wci=nothing,  # no peepholes
        wcf=nothing,
        wco=nothing,
        b=bias,
        cell_clip=0.0,
        use_peephole=False,
    )
    return tf.transpose(found.h, (1, 0, 2))  # (batch, frames, units)
