"""Multilevel: `Config` and `build`; see `keras_ser.models.multilevel.network`."""

from importlib.util import find_spec

from keras_ser.models.multilevel.config import LEVELS, SPACE, Config, note
from keras_ser.models.multilevel.network import build

_WAV2VEC2 = "keras_ser.models.wav2vec2"
LAYERS = ("keras_ser.models.multilevel.levels", *([_WAV2VEC2] if find_spec(_WAV2VEC2) else []))

__all__ = ["LAYERS", "LEVELS", "SPACE", "Config", "build", "note"]
