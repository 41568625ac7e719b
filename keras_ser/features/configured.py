"""Layers that are configured by the arguments of their `__init__`."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras


class Configured(keras.layers.Layer):
    """A layer that keeps each argument of its `__init__` in an attribute of the same name; its config holds them all.

    `dropped` names arguments of earlier versions, which stored configs may still contain with the values that are now fixed.
    """

    dropped: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, config):
        return cls(**{key: value for key, value in config.items() if key not in cls.dropped})

    def keep(self, values: Mapping[str, Any]) -> None:
        """Set the attributes; `values` are the `locals()` of `__init__`."""
        for name in _arguments(type(self)):
            setattr(self, name, values[name])

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in _arguments(type(self))}}


class FeatureLayer(Configured):
    """A layer that computes in float32 for any dtype policy."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})


def _arguments(cls: type) -> list[str]:
    """Return the names of the arguments of the class's own `__init__`; Keras's are in its config already."""
    own = next((base for base in cls.__mro__ if "__init__" in vars(base)), keras.layers.Layer)
    if not issubclass(own, Configured):
        return []
    return [name for name in inspect.signature(own.__init__).parameters if name not in ("self", "kwargs")]
