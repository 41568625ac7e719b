"""wav2vec 2.0 and HuBERT as a Keras layer."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.masking import lengths, masked_moments, zero_padding
from keras_ser.layers import LayerWeighting
from keras_ser.layers.masking import ExplicitMask
from keras_ser.models.wav2vec2.config import Wav2Vec2Config
from keras_ser.models.wav2vec2.convolutions import FeatureEncoder, PositionalConvolution
from keras_ser.models.wav2vec2.spec_augment import spans
from keras_ser.models.wav2vec2.transformer import TransformerLayer, drop, normalization
from keras_ser.values import instance, plain

STATES = ("last", "weighted", "stacked", "all")


@keras.saving.register_keras_serializable(package="keras_ser")
class Wav2Vec2(ExplicitMask):
    """wav2vec 2.0 or HuBERT: convolutions over the samples of a waveform, then a transformer over frames.

    With a `mask`, the output for an example does not depend on padding: statistics are taken over its real samples and frames, and
    attention ignores padding, in both forms of normalisation. Without a mask, every sample counts, including zero padding. Hugging
    Face runs group-norm checkpoints in this way, so that in its batches the output for an example depends on its padding.

    `trainable = False` also turns off randomness in training: dropout, layer drop and SpecAugment. The weights are random until
    they are loaded (`keras_ser.models.wav2vec2.load`).

    Args:
        config: sizes and settings; a Wav2Vec2Config, or a mapping of its fields.
        states: the output: "last", the last hidden state; "weighted", the sum of all hidden states with learned weights (softmax,
            initially equal); all of them "stacked" along the units; or "all" as a list. Default "last".
        freeze_feature_encoder: do not train the convolutions over samples. Default False.
        seed: seed of the randomness in training; an integer or None (default).

    Input shape: waveform (batch, samples), float32, at the config's `sampling_rate`; `mask` (batch, samples), right-padded, or
        None.
    Output shape: (batch, frames, hidden), 0 in padding, with `frames(samples)` frames; for "all", a list of such tensors,
        starting with the transformer's input; for "stacked", (batch, frames, states hidden) in that order.

    Raises:
        UserError: `states` is unknown, or the number of samples is known and smaller than the receptive field.

    Reference:
        Baevski et al., *wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations*, NeurIPS 2020;
        Hsu et al., *HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units*, 2021;
        Yang et al., *SUPERB: Speech Processing Universal PERformance Benchmark*, Interspeech 2021 (weighted hidden states).
    """

    def __init__(
        self,
        config: Wav2Vec2Config | Mapping[str, Any],
        states: str = "last",
        freeze_feature_encoder: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if states not in STATES:
            raise UserError(f"`states` must be one of {', '.join(STATES)}. Received: states={states!r}.")
        config = config if isinstance(config, Wav2Vec2Config) else instance(Wav2Vec2Config, config)
        self.keep(locals())
        policy = {"dtype": self.dtype_policy}
        self.random = keras.random.SeedGenerator(self.seed)
        self.feature_encoder = FeatureEncoder(config, name="feature_encoder", **policy)
        self.projection_normalization = (
            normalization(config, "projection_normalization") if config.feat_proj_layer_norm else None
        )
        self.projection = keras.layers.Dense(config.hidden_size, name="projection", **policy)
        self.positional = PositionalConvolution(config, name="positional", **policy)
        self.normalization = normalization(config, "normalization")
        self.layers = [
            TransformerLayer(config, self.random, name=f"layer_{i}", **policy) for i in range(config.num_hidden_layers)
        ]
        self.weighting = LayerWeighting(name="weighting", dtype="float32") if states == "weighted" else None
        self.feature_encoder.trainable = not freeze_feature_encoder

    @property
    def hidden(self) -> int:
        """Number of units per frame."""
        return self.config.hidden_size

    def frames(self, samples: int) -> int:
        """Return the number of frames of a waveform of `samples`; 0 below the receptive field."""
        return self.config.frames(samples)

    def frame_mask(self, mask):
        """Return the mask of frames, bool (batch, frames), for a mask of samples, bool (batch, samples)."""
        return mask[:, self.config.receptive_field - 1 :: self.config.stride]

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value)
        if getattr(self, "freeze_feature_encoder", False) and hasattr(self, "feature_encoder"):
            self.feature_encoder.trainable = False

    def build(self, input_shape):
        hidden, channels = self.hidden, self.config.conv_dim[-1]
        self.feature_encoder.build((None, None, 1))
        if self.projection_normalization:
            self.projection_normalization.build((None, None, channels))
        self.projection.build((None, None, channels))
        for layer in (self.positional, self.normalization, *self.layers):
            layer.build((None, None, hidden))
        self.mask_embedding = None
        if self.config.masks_frames:
            self.mask_embedding = self.add_weight(shape=(hidden,), initializer="uniform", name="mask_embedding")
        if self.weighting:
            self.weighting.build([(None, None, hidden)] * (len(self.layers) + 1))
        # Keras does not freeze weights added to a frozen layer, and does not propagate a value that the layer already has
        for value in (not self.trainable, self.trainable):
            Wav2Vec2.trainable.fset(self, value)

    def call(self, waveform, mask=None, training=None):
        states = self.hidden_states(waveform, mask=mask, training=training)
        if self.states == "weighted":
            return ops.cast(self.weighting(states), self.compute_dtype)
        if self.states == "stacked":
            return ops.cast(ops.concatenate(states, axis=-1), self.compute_dtype)
        states = [ops.cast(state, self.compute_dtype) for state in (states if self.states == "all" else states[-1:])]
        return states if self.states == "all" else states[0]

    def hidden_states(self, waveform, mask=None, training=None) -> list:
        """Return the transformer's input and the output of each of its layers: tensors (batch, frames, hidden), float32.

        With `do_stable_layer_norm`, only the last one is normalised, as in SUPERB and in transformers 4 (transformers 5
        does not normalise its `hidden_states[-1]`).
        """
        if waveform.shape[1] is not None:
            self.config.check_samples(waveform.shape[1])
        training = bool(training and self.trainable)
        mask = None if mask is None else ops.cast(mask, "bool")
        real = None if mask is None else self.frame_mask(mask)
        x = self._features(waveform, mask, training)  # (batch, frames, hidden)
        x = zero_padding(self._masked(x, real) if training and self.config.masks_frames else x, real)
        x = ops.add(x, ops.cast(self.positional(x), "float32"))
        if not self.config.do_stable_layer_norm:
            x = self.normalization(x)
        x = drop(x, self.config.hidden_dropout, self.random, training)
        bias = None if real is None else ops.where(real, 0.0, -1e9)[:, None, None, :]  # (batch, 1, 1, frames)
        states = [x]
        for layer in self.layers:
            y = layer(x, bias=bias, training=training)
            if training and self.config.layerdrop:
                y = ops.where(keras.random.uniform((), seed=self.random) < self.config.layerdrop, x, y)
            x = y
            states.append(x)
        if self.config.do_stable_layer_norm:
            states[-1] = self.normalization(x)
        return [zero_padding(state, real) for state in states]

    def _features(self, waveform, mask, training):
        """Compute the transformer's input before masking: (batch, frames, hidden), float32."""
        x = ops.expand_dims(ops.cast(waveform, "float32"), axis=-1)  # (batch, samples, 1)
        if self.config.do_normalize:
            _, variance, apart = masked_moments(x, mask)
            x = apart * ops.rsqrt(variance + 1e-7)
        else:
            x = zero_padding(x, mask)
        x = self.feature_encoder(x, mask=mask)  # (batch, frames, channels)
        if training and not self.feature_encoder.trainable:
            x = ops.stop_gradient(x)
        if self.projection_normalization:
            x = self.projection_normalization(x)
        return ops.cast(drop(self.projection(x), self.config.feat_proj_dropout, self.random, training), "float32")

    def _masked(self, x, real):
        """Apply SpecAugment: replace spans of frames by a learned vector, and spans of units by 0."""
        config = self.config
        if config.mask_time_prob:
            count = lengths(x, real)
            share, length, least = config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks
            where = spans(count, ops.shape(x)[1], share, length, least, self.random)
            x = ops.where(where[:, :, None], ops.cast(self.mask_embedding, x.dtype), x)
        if config.mask_feature_prob:
            count = ops.full((ops.shape(x)[0], 1), float(self.hidden))
            share, length, least = config.mask_feature_prob, config.mask_feature_length, config.mask_feature_min_masks
            where = spans(count, self.hidden, share, length, least, self.random)
            x = ops.where(where[:, None, :], ops.zeros((), dtype=x.dtype), x)
        return x

    def compute_output_spec(self, waveform, mask=None, training=None):
        batch, samples = waveform.shape
        if samples is not None:
            self.config.check_samples(samples)
        frames = None if samples is None else self.frames(samples)
        units = self.hidden * (len(self.layers) + 1 if self.states == "stacked" else 1)
        spec = [
            keras.KerasTensor((batch, frames, units), dtype=self.compute_dtype)
            for _ in range(len(self.layers) + 1 if self.states == "all" else 1)
        ]
        return spec if self.states == "all" else spec[0]

    def get_config(self):
        return {**super().get_config(), "config": plain(self.config)}
