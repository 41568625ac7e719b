"""Feature extraction as Keras layers: everything between decoded audio and the model, the same in training and serving.

Conventions:

* A waveform is (batch, samples) float32 in [-1, 1] with `length` (batch,) int, its valid samples; features are
  (batch, frames, bins) float32 with a right-padded bool mask (batch, frames), and 0 where the mask is False.
* Frame t starts at sample t hop; frames = 1 + (length - window) // hop, without centring; a last partial frame is dropped. A
  clip shorter than a window is zero-padded to one frame.
* Clips do not influence each other: a clip alone, in a batch, and padded (with anything) gives the same features.
* Every logarithm of a power is in decibels over a fixed floor, 10 lg max(x, 1e-10).
* Computation is float32 for any dtype policy. It uses only `keras.ops`, no variables except in the normalisation, and no static
  shape except the bins, so that the layers run in a `tf.data` map, in functional models and in a SavedModel.
* Each file holds pure functions on tensors; `Frontend` composes them. A function has a layer only if a model needs one.
"""

from keras_ser.features.endpoints import detect_endpoints
from keras_ser.features.framing import fixed_length, frame, frame_count, frame_mask, mask_samples, pack
from keras_ser.features.frontend import Frontend
from keras_ser.features.mel import delta, fitted_derivative, mel_filters
from keras_ser.features.normalization import FeatureNormalization, Statistics, clip_statistics, normalized
from keras_ser.features.prosody import pitch_features, short_time_energy, yin, zero_crossing_rate
from keras_ser.features.resynthesis import ApplyGain, apply_gain, ideal_ratio_mask, loudness_weights
from keras_ser.features.segments import (
    AverageSegments,
    AverageStretches,
    CutStretches,
    Segment,
    segment,
    unfold,
)
from keras_ser.features.short_term_features import SHORT_TERM_FEATURES, short_term
from keras_ser.features.spectrogram import decibels, power_spectrogram, preemphasis
from keras_ser.settings import FEATURES

__all__ = [
    "FEATURES",
    "SHORT_TERM_FEATURES",
    "ApplyGain",
    "AverageSegments",
    "AverageStretches",
    "CutStretches",
    "FeatureNormalization",
    "Frontend",
    "Segment",
    "Statistics",
    "apply_gain",
    "clip_statistics",
    "decibels",
    "delta",
    "detect_endpoints",
    "fitted_derivative",
    "fixed_length",
    "frame",
    "frame_count",
    "frame_mask",
    "ideal_ratio_mask",
    "loudness_weights",
    "mask_samples",
    "mel_filters",
    "normalized",
    "pack",
    "pitch_features",
    "power_spectrogram",
    "preemphasis",
    "segment",
    "short_term",
    "short_time_energy",
    "unfold",
    "yin",
    "zero_crossing_rate",
]
