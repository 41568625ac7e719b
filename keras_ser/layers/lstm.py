"""Keras's LSTM, computed by a single op on TensorFlow without a GPU, and by a short loop without cuDNN on JAX with a GPU."""

import keras
from keras import ops

LARGE = 96  # examples; larger batches run faster on two cores than on one
UNROLL = 4  # frames per iteration of JAX's loop


@keras.saving.register_keras_serializable(package="keras_ser")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM`, with the same weights, output and gradient, computed by TensorFlow's `BlockLSTM` where that is faster.

    Keras's layer loops over a dozen small ops per frame, and so does its gradient; `BlockLSTM` is one op in each direction. On a
    CPU, a training step of ASP-MTL in batches of 32 takes half the time (benchmarks/RESULTS.md). TensorFlow servers have the op.
    Its successor `BlockLSTMV2` is not used, because its gradient is wrong (by finite differences).

    `BlockLSTM` is used on the TensorFlow backend if no GPU is visible or `use_cudnn=False`, for float32 layers with the default
    activations, a bias, `return_sequences=True`, no dropout, no returned or kept state, and neither mask nor initial state. For
    such layers on JAX with a GPU, in any precision, `use_cudnn=False` selects a loop that multiplies all frames by the kernel at
    once and unrolls several frames per iteration. Half precision always uses this loop, since JAX's cuDNN call rejects it. All
    other layers run Keras's own code.

    The class has the name of Keras's, because weight files contain that name.

    Args:
        *args, **kwargs: arguments of `keras.layers.LSTM`.

    Input shape: (batch, frames, bins). Output shape: (batch, frames, units).
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if keras.backend.backend() == "jax" and self.compute_dtype not in ("float32", "float64"):
            self.use_cudnn = False
        if self._fused() and keras.backend.backend() == "tensorflow":
            self.supports_jit = False  # XLA does not support BlockLSTM

    def get_config(self):
        return {**super().get_config(), "use_cudnn": self.use_cudnn}

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if mask is not None or initial_state is not None or not self._fused():
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        if keras.backend.backend() == "jax":
            weights = (ops.cast(weight, self.compute_dtype) for weight in self.cell.weights)
            return _loop(ops.cast(sequences, self.compute_dtype), *weights, backwards=self.go_backwards)
        return _batch(sequences, *self.cell.weights, backwards=self.go_backwards, halve=training)

    def _fused(self) -> bool:
        plain = (self.activation, self.recurrent_activation) == (keras.activations.tanh, keras.activations.sigmoid)
        more = self.return_state or self.stateful or self.dropout or self.recurrent_dropout
        if not (plain and self.use_bias and self.return_sequences) or more:
            return False
        if keras.backend.backend() == "jax":
            return self.use_cudnn is False and _gpu()
        here = keras.backend.backend() == "tensorflow" and self.compute_dtype == "float32"
        return here and (self.use_cudnn is False or not _gpu())


def _gpu() -> bool:
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))


def _loop(x, kernel, recurrent_kernel, bias, backwards: bool):
    """(batch, frames, bins) -> (batch, frames, units), in the order in which the frames are processed."""
    z = ops.transpose(ops.matmul(x, kernel) + bias, (1, 0, 2))  # (frames, batch, 4 units)
    z = ops.flip(z, axis=0) if backwards else z

    def frame(state, z):
        h, c = state
        i, f, g, o = ops.split(z + ops.matmul(h, recurrent_kernel), 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return (h, c), h

    nothing = ops.zeros((ops.shape(x)[0], recurrent_kernel.shape[0]), dtype=x.dtype)
    _, h = ops.scan(frame, (nothing, nothing), z, unroll=UNROLL)
    return ops.transpose(h, (1, 0, 2))


def _batch(x, kernel, recurrent_kernel, bias, backwards: bool, halve: bool):
    """(batch, frames, bins) -> (batch, frames, units), in the order in which the frames are processed.

    The op uses one core; `halve` splits a large batch in two, so that a second core is used.
    """
    import tensorflow as tf

    def ordered(weights):
        i, f, c, o = tf.split(weights, 4, axis=-1)  # Keras's order of the gates; the op expects i, c, f, o
        return tf.concat([i, c, f, o], axis=-1)

    w, b = ordered(tf.concat([kernel, recurrent_kernel], axis=0)), ordered(tf.convert_to_tensor(bias))
    x = tf.transpose(x, (1, 0, 2))  # (frames, batch, bins)
    x = tf.reverse(x, axis=[0]) if backwards else x
    half = tf.shape(x)[1] // 2
    if halve:
        h = tf.cond(
            half > LARGE // 2,
            lambda: tf.concat([_block_lstm(part, w, b) for part in (x[:, :half], x[:, half:])], axis=1),
            lambda: _block_lstm(x, w, b),
        )
    else:
        h = _block_lstm(x, w, b)
    return tf.transpose(h, (1, 0, 2))


def _block_lstm(x, w, b):
    """(frames, batch, bins) -> (frames, batch, units)."""
    import tensorflow as tf

    batch = tf.shape(x)[1]
    units = b.shape[0] // 4
    x = tf.pad(x, [[0, 0], [0, tf.maximum(0, 1 - batch)], [0, 0]])  # the gradient of an empty batch would be NaN
    no_peephole, nothing = tf.zeros(units), tf.zeros((tf.shape(x)[1], units))
    found = tf.raw_ops.BlockLSTM(
        seq_len_max=tf.cast(tf.shape(x)[0], tf.int64),
        x=x,
        cs_prev=nothing,
        h_prev=nothing,
        w=w,
        wci=no_peephole,
        wcf=no_peephole,
        wco=no_peephole,
        b=b,
        forget_bias=0.0,  # included in Keras's bias
        cell_clip=-1.0,
        use_peephole=False,
    )
    return found.h[:, :batch]
