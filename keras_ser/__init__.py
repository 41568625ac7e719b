"""keras_ser: speech emotion recognition by multi-task learning, in Keras 3."""

from keras_ser._version import __version__

__all__ = ["__version__"]
