"""Transformer layer of wav2vec 2.0. Residual stream, normalisations and softmax are float32 under any dtype policy."""

import keras
from keras import ops

from keras_ser.models.wav2vec2.config import Wav2Vec2Config


def drop(x, rate: float, random: keras.random.SeedGenerator, training: bool | None):
    """Apply dropout in training."""
    return keras.random.dropout(x, rate, seed=random) if training and rate else x


def normalization(config: Wav2Vec2Config, name: str) -> keras.layers.Layer:
    return keras.layers.LayerNormalization(epsilon=config.layer_norm_eps, dtype="float32", name=name)


class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention over the real frames.

        a = softmax(q k^T / sqrt(d) + b),    y = W a v,    b = 0, or -1e9 in padding

    Input shape: (batch, frames, hidden); `bias` (batch, 1, 1, frames), float32, or None.
    Output shape: (batch, frames, hidden).
    """

    def __init__(self, config: Wav2Vec2Config, random: keras.random.SeedGenerator, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.hidden, self.heads, self.rate = config.hidden_size, config.num_attention_heads, config.attention_dropout
        self.random = random
        self.query, self.key, self.value, self.output_projection = (
            keras.layers.Dense(self.hidden, dtype=self.dtype_policy, name=name)
            for name in ("query", "key", "value", "output_projection")
        )

    def build(self, input_shape):
        for dense in (self.query, self.key, self.value, self.output_projection):
            dense.build((None, None, self.hidden))

    def call(self, x, bias=None, training=None):
        units = self.hidden // self.heads
        batch, frames = ops.shape(x)[0], ops.shape(x)[1]
        q, k, v = (
            ops.transpose(ops.reshape(dense(x), (batch, frames, self.heads, units)), (0, 2, 1, 3))
            for dense in (self.query, self.key, self.value)
        )  # (batch, heads, frames, units)
        scores = ops.matmul(q * units**-0.5, ops.transpose(k, (0, 1, 3, 2)))  # (batch, heads, frames, frames)
        scores = ops.cast(scores, "float32")
        # Keras warns of a softmax over a single frame
        weights = ops.softmax(scores if bias is None else scores + bias) if x.shape[1] != 1 else ops.ones_like(scores)
        weights = drop(ops.cast(weights, self.compute_dtype), self.rate, self.random, training)
        y = ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))  # (batch, frames, heads, units)
        return self.output_projection(ops.reshape(y, (batch, frames, self.hidden)))


class TransformerLayer(keras.layers.Layer):
    """Self-attention and a feed-forward block with residual connections.

        post: h = N(x + A(x)),    y = N'(h + F(h))
        pre (`do_stable_layer_norm`): h = x + A(N(x)),    y = h + F(N'(h))

    Input shape: (batch, frames, hidden); `bias` (batch, 1, 1, frames), or None.
    Output shape: (batch, frames, hidden), float32.
    """

    def __init__(self, config: Wav2Vec2Config, random: keras.random.SeedGenerator, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.config, self.random = config, random
        self.attention = SelfAttention(config, random, dtype=self.dtype_policy, name="attention")
        self.normalization = normalization(config, "normalization")
        self.intermediate = keras.layers.Dense(config.intermediate_size, dtype=self.dtype_policy, name="intermediate")
        self.output_dense = keras.layers.Dense(config.hidden_size, dtype=self.dtype_policy, name="output_dense")
        self.final_normalization = normalization(config, "final_normalization")

    def build(self, input_shape):
        shape = (None, None, self.config.hidden_size)
        for layer in (self.attention, self.normalization, self.intermediate, self.final_normalization):
            layer.build(shape)
        self.output_dense.build((None, None, self.config.intermediate_size))

    def call(self, x, bias=None, training=None):
        if self.config.do_stable_layer_norm:
            h = ops.add(x, self._attend(self.normalization(x), bias, training))
            return ops.add(h, self._feed_forward(self.final_normalization(h), training))
        h = self.normalization(ops.add(x, self._attend(x, bias, training)))
        return self.final_normalization(ops.add(h, self._feed_forward(h, training)))

    def _attend(self, x, bias, training):
        x = self.attention(x, bias=bias, training=training)
        return drop(x, self.config.hidden_dropout, self.random, training)

    def _feed_forward(self, x, training):
        x = ops.gelu(self.intermediate(x), approximate=False)  # (batch, frames, intermediate)
        x = drop(x, self.config.activation_dropout, self.random, training)
        return drop(self.output_dense(x), self.config.hidden_dropout, self.random, training)
