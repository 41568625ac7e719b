"""Convolutional parts of wav2vec 2.0: the feature encoder and the positional convolution."""

import keras
from keras import ops

from keras_ser.features.masking import masked_moments
from keras_ser.layers.masking import ExplicitMask
from keras_ser.models.wav2vec2.config import Wav2Vec2Config

EPSILON = 1e-5  # in the normalisations of the feature encoder


class ChannelNormalization(ExplicitMask):
    """Group normalisation with one group per channel, over the real frames of an example, computed in float32.

    `keras.layers.GroupNormalization` takes no mask.

    Input shape: (batch, frames, channels); `mask` (batch, frames).
    Output shape: that of the input; padding becomes beta.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        each = {"shape": (input_shape[-1],), "dtype": "float32"}
        self.gamma = self.add_weight(initializer="ones", name="gamma", **each)
        self.beta = self.add_weight(initializer="zeros", name="beta", **each)

    def call(self, x, mask=None):
        _, variance, apart = masked_moments(ops.cast(x, "float32"), mask)
        y = apart * (self.gamma * ops.rsqrt(variance + EPSILON)) + self.beta
        return ops.cast(y, self.compute_dtype)


class FeatureEncoder(ExplicitMask):
    """Strided convolutions with exact GELU, from samples to frames.

    Input shape: (batch, samples, 1); `mask` (batch, samples), which is used only by group normalisation.
    Output shape: (batch, frames, channels).
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.convolutions, self.normalizations = [], []
        sizes = zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
        for i, (channels, kernel, stride) in enumerate(sizes):
            self.convolutions.append(
                keras.layers.Conv1D(
                    channels,
                    kernel,
                    strides=stride,
                    use_bias=config.conv_bias,
                    data_format="channels_last",
                    kernel_initializer="he_normal",
                    dtype=self.dtype_policy,
                    name=f"convolution_{i}",
                )
            )
            if config.feat_extract_norm == "layer":
                normalization = keras.layers.LayerNormalization(
                    epsilon=EPSILON, dtype="float32", name=f"normalization_{i}"
                )
                self.normalizations.append(normalization)
        if config.feat_extract_norm == "group":
            self.normalizations.append(ChannelNormalization(dtype=self.dtype_policy, name="normalization_0"))

    def build(self, input_shape):
        channels = 1
        for i, convolution in enumerate(self.convolutions):
            convolution.build((None, None, channels))
            channels = self.config.conv_dim[i]
            if i < len(self.normalizations):
                self.normalizations[i].build((None, None, channels))

    def call(self, x, mask=None):
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)  # (batch, frames, channels)
            if self.config.feat_extract_norm == "layer":
                x = ops.cast(self.normalizations[i](x), self.compute_dtype)
            elif i == 0:
                kernel, stride = self.config.conv_kernel[0], self.config.conv_stride[0]
                # a frame is real if its last sample is
                x = self.normalizations[0](x, mask=None if mask is None else mask[:, kernel - 1 :: stride])
            x = ops.gelu(x, approximate=False)
        return x


# with fewer channels, oneDNN's bfloat16 convolution on CPUs with AMX (TensorFlow 2.17) is wrong by about 100 %
FEWEST_CHANNELS = 16


class PositionalConvolution(keras.layers.Layer):
    """Grouped convolution over many frames with exact GELU, which encodes positions.

    Each group is a convolution of its own: TensorFlow has no grouped convolution on CPUs, and Keras compiles one with XLA, which
    TensorFlow Serving does not run there.

    A checkpoint stores the kernel as direction and magnitude (weight normalisation); here it is their product.

    Input shape: (batch, frames, hidden). Output shape: the same.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs):
        super().__init__(**kwargs)
        self.frames, self.groups = config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups

    def build(self, input_shape):
        hidden = input_shape[-1]
        shape = (self.frames, hidden // self.groups, hidden)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(hidden,), initializer="zeros", name="bias")

    def call(self, x):
        left, kernel, dtype = self.frames // 2, self.kernel, x.dtype
        x = ops.pad(x, ((0, 0), (left, self.frames - 1 - left), (0, 0)))
        if x.shape[-1] // self.groups < FEWEST_CHANNELS:
            x, kernel = ops.cast(x, "float32"), ops.cast(kernel, "float32")
        parts = zip(ops.split(x, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1), strict=True)
        made = [ops.conv(*part, padding="valid", data_format="channels_last") for part in parts]
        made = [ops.cast(part, dtype) for part in made]
        return ops.gelu(ops.concatenate(made, axis=-1) + self.bias, approximate=False)
