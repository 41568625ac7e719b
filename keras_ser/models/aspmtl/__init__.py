"""ASP-MTL: the network, the cascade of two models, and model 1 as a denoiser."""

from keras_ser.models.aspmtl.network import AUXILIARY_WEIGHTS, SPACE, Config, build, speed
from keras_ser.models.aspmtl.pair import AUXILIARY, FLAGS, check_pair

__all__ = ["AUXILIARY", "AUXILIARY_WEIGHTS", "FLAGS", "SPACE", "Config", "build", "check_pair", "speed"]
