"""AAE-MTL: `Config` and `build`; see `keras_ser.models.aae_mtl.network`."""

from keras_ser.models.aae_mtl.failures import DIAGNOSTICS, remarks
from keras_ser.models.aae_mtl.network import AUXILIARY_WEIGHTS, IMAGE, SPACE, Config, build

__all__ = ["AUXILIARY_WEIGHTS", "DIAGNOSTICS", "IMAGE", "SPACE", "Config", "build", "remarks"]
