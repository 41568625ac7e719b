"""Layers that are configured by the arguments of their `__init__`."""

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np


class Configured(keras.layers.Layer):
    """A layer that keeps each argument of its `__init__` in an attribute of the same name; its config holds them all.

    An `__init__` of a subclass may pass on further arguments as `**kwargs`, and fix others, which are then not in the config.

    `dropped` names arguments of earlier versions, which stored configs may still contain with the values that are now fixed.
    """

    dropped: tuple[str, ...] = ()

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls, *args, **kwargs)
        layer._given = frozenset(kwargs)
        return layer

    @classmethod
    def from_config(cls, config):
        return cls(**{key: value for key, value in config.items() if key not in cls.dropped})

    def keep(self, values: Mapping[str, Any]) -> None:
        """Set the attributes; `values` are the `locals()` of an `__init__` that calls `super()`."""
        for name in _arguments(values["__class__"]):
            setattr(self, name, _plain(values[name]))

    def get_config(self):
        config = super().get_config()
        # A subclass that stores its own argument under another name adds it in its own `get_config`.
        names = [name for name in _arguments(type(self), self._given) if name not in config and hasattr(self, name)]
        return {**config, **{name: getattr(self, name) for name in names}}


class FeatureLayer(Configured):
    """A layer that computes in float32 for any dtype policy."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})


def _arguments(cls: type, given: Collection[str] = ()) -> list[str]:
    """Return the names of the arguments of the class's `__init__`, and of those of its bases that are in `given`.

    All of the bases' arguments are included if `__init__` passes on `*args`; Keras's are in its config already.
    """
    names, every = [], True
    for base in cls.__mro__:
        if "__init__" in vars(base) and issubclass(base, Configured):
            parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
            named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            names += [name for name in named if every or name in given]
            every = every and any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return names


def _plain(value: Any) -> Any:
    """Return NumPy's numbers, also those in a tuple or list, as Python's, which JSON can hold."""
    if isinstance(value, tuple | list):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value
