"""Levels: each maps the frames of a front end to a vector."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from keras_ser.features.configured import Configured
from keras_ser.layers import LSTM, CoAttention, DLinear, LayerWeighting, MeanPooling, NLinear
from keras_ser.models.multilevel import alexnet
from keras_ser.models.multilevel.config import Config
from keras_ser.models.multilevel.pretrained import checkpoint, outside
from keras_ser.models.multilevel.samples import Samples
from keras_ser.models.paper import trained_layer


def level_vectors(config: Config, x: Mapping[str, tuple[Any, Any]]) -> tuple[dict[str, Any], Callable | None]:
    """Map {level: (features, mask)} to {level: (batch, dense)}; also return a function that loads pretrained weights, or None."""
    vectors, loads = {}, []

    def dense(x, level):
        x = keras.layers.Dropout(config.dropout, name=f"{level}_dropout")(x)
        vectors[level] = keras.layers.Dense(config.dense, activation="relu", name=f"{level}_vector")(x)

    # wav2vec 2.0 last, since the vectors of the others determine the weights of its frames
    for level in sorted(x, key=lambda level: level == "wav2vec2"):
        features, mask = x[level]
        if level == "wav2vec2" and not outside(config):
            features, mask, load = wav2vec2_frames(config, features, mask)
            loads += [load] if load else []
        elif level == "wav2vec2" and config.wav2vec2_states == "weighted":
            known = trained_layer("wav2vec2_states")
            states = checkpoint(config.wav2vec2).num_hidden_layers + 1 if known is None else known.states
            features = WeightedStates(states, name="wav2vec2_states")(features)
        if config.extractor != "own":
            kind = {"nlinear": NLinear, "dlinear": DLinear}[config.extractor]
            mapped = kind(features.shape[1], config.steps, name=f"{level}_{config.extractor}")(features, mask=mask)
            dense(MeanPooling(name=f"{level}_mean")(mapped), level)
        elif level == "mfcc":
            dense(_bilstm(config, features), level)
        elif level == "spectrogram":
            image = alexnet.SpectrogramImage(config.image, name="image")(features, mask=mask)
            found, load = alexnet.features(image, config.filters, config.alexnet)
            loads += [load] if load else []
            dense(keras.layers.Flatten(name="alexnet_flat")(found), level)
        elif vectors:
            others = list(vectors.values())
            weighing = keras.layers.Concatenate(name="co_attention_inputs")(others) if len(others) > 1 else others[0]
            weighing = keras.layers.Dropout(config.dropout, name="co_attention_dropout")(weighing)
            pooled = CoAttention(features.shape[1], config.normalize, name="co_attention")
            dense(pooled([features, weighing], mask=mask), level)
        else:
            dense(MeanPooling(name=f"{level}_mean")(features, mask=mask), level)

    def initialise() -> None:
        for load in loads:
            load()

    return vectors, initialise if loads else None


def _bilstm(config: Config, x):
    """Map (batch, frames, bins) to (batch, frames 2 units); backward layers start in the zero padding, as in the base network."""
    for i in (1, 2):
        layer = keras.layers.Bidirectional(LSTM(config.units, return_sequences=True), name=f"mfcc_lstm_{i}")
        x = layer(x)  # (batch, frames, 2 units)
        if i == 1:
            x = keras.layers.Dropout(config.lstm_dropout, name="mfcc_lstm_dropout")(x)
    return keras.layers.Flatten(name="mfcc_flat")(x)


def wav2vec2_frames(config: Config, x, mask):
    """Map a waveform in frames of samples to wav2vec 2.0's frames and their mask; also return a function to load weights."""
    from keras_ser.models.wav2vec2 import Wav2Vec2

    known = trained_layer("wav2vec2")
    if known is not None:
        own = known.config
    else:
        own = checkpoint(config.wav2vec2) if config.has_checkpoint else _random_sizes(config)
    waveform, samples, frames = Samples(own.receptive_field, own.stride, name="samples")(x, mask=mask)
    # the convolutions of a checkpoint are frozen
    layer = Wav2Vec2(own, states=config.wav2vec2_states, freeze_feature_encoder=config.has_checkpoint, name="wav2vec2")
    layer.trainable = config.wav2vec2_tuned
    hidden = layer(waveform, mask=samples)  # (batch, frames, hidden)
    if not config.has_checkpoint:
        return hidden, frames, None

    def load() -> None:
        from keras_ser.models.wav2vec2.checkpoint import assign

        assign(layer, config.wav2vec2)

    return hidden, frames, load


def _random_sizes(config: Config):
    """Return the base model's settings with another width and depth, without layer drop and SpecAugment."""
    from keras_ser.models.wav2vec2 import Wav2Vec2Config

    hidden, layers = config.wav2vec2_size
    return Wav2Vec2Config(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=math.gcd(12, hidden),
        intermediate_size=4 * hidden,
        conv_dim=7 * (min(512, hidden),),
        num_conv_pos_embedding_groups=math.gcd(16, hidden),
        layerdrop=0.0,
        apply_spec_augment=False,
    )


@keras.saving.register_keras_serializable(package="keras_ser")
class WeightedStates(Configured):
    """Sum hidden states that are stacked along the units, with learned weights (`keras_ser.layers.LayerWeighting`).

    Args:
        states: number of hidden states.

    Input shape: (batch, frames, states hidden).
    Output shape: (batch, frames, hidden).
    """

    def __init__(self, states: int, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())
        self.weighting = LayerWeighting(name="weighting", dtype="float32")

    def build(self, input_shape):
        self.weighting.build([(*input_shape[:-1], input_shape[-1] // self.states)] * self.states)

    def call(self, stacked):
        return ops.cast(self.weighting(ops.split(stacked, self.states, axis=-1)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // self.states)


@keras.saving.register_keras_serializable(package="keras_ser")
class DetachedPosterior(Configured):
    """Map logits (batch, classes) to a posterior that passes no gradient; computed in float32."""

    def call(self, logits):
        return ops.cast(ops.stop_gradient(ops.softmax(ops.cast(logits, "float32"))), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
