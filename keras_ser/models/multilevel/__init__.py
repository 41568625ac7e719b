"""Multilevel: `Config`, `build`, `frozen` and `weight_files`; see `keras_ser.models.multilevel.network`."""

from keras_ser.models.multilevel.config import LEVELS, SPACE, Config, note
from keras_ser.models.multilevel.network import build
from keras_ser.models.multilevel.pretrained import check, frozen, weight_files

LAYERS = ("keras_ser.models.multilevel.levels", "keras_ser.models.wav2vec2")

__all__ = ["LAYERS", "LEVELS", "SPACE", "Config", "build", "check", "frozen", "note", "weight_files"]
