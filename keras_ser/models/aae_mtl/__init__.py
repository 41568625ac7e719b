"""AAE-MTL: `Config` and `build`; see `keras_ser.models.aae_mtl.network`."""

from keras_ser.models.aae_mtl.failures import DIAGNOSTICS, remarks
from keras_ser.models.aae_mtl.network import IMAGE, SPACE, Config, build

__all__ = ["DIAGNOSTICS", "IMAGE", "SPACE", "Config", "build", "remarks"]
