"""Multilevel: `Config` and `build`; see `keras_ser.models.multilevel.network`."""

from keras_ser.models.multilevel.config import LEVELS, SPACE, Config, note
from keras_ser.models.multilevel.network import build

__all__ = ["LEVELS", "SPACE", "Config", "build", "note"]
