"""Frozen values: dataclasses to and from plain JSON, fields converted to their annotated types, and differences from defaults.

A dataclass with a field whose type depends on other fields has a static method `field_types(data) -> {field: type}`. If the default
of a new field differs from the behaviour of earlier versions, `earlier` maps the field to the value for JSON that lacks it. `files`
names the fields that are paths.
No TensorFlow.
"""

import dataclasses
import functools
import json
import math
import numbers
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_ser.checks import listed, shown
from keras_ser.errors import FieldsError, UserError

# bound of NumPy's and TensorFlow's integers; JSON has none
LARGEST = 2**63 - 1


def as_tuple(value: Any) -> tuple:
    """Return a list or another iterable as a tuple; a string, a mapping or a single value as a tuple of one."""
    single = isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable)
    return (value,) if single else tuple(value)


def plain(value: Any) -> Any:
    """Convert to JSON types: dataclasses to dicts, tuples to lists."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def differing(value: Any) -> Any:
    """Convert as `plain`, but keep only the fields that differ from their defaults, so that a new field changes nothing.

    Of a path, only the name is kept, since files lie in other folders on other machines.
    """
    if dataclasses.is_dataclass(value):
        earlier, files = getattr(value, "earlier", {}), getattr(value, "files", ())
        fields = dataclasses.fields(value)
        found = ((f.name, getattr(value, f.name), earlier.get(f.name, _default(f))) for f in fields)
        return {
            name: Path(own).name if name in files else differing(own) for name, own, default in found if own != default
        }
    if isinstance(value, list | tuple):
        return [differing(v) for v in value]
    return value


def _default(field: dataclasses.Field) -> Any:
    made = field.default_factory is not dataclasses.MISSING
    return field.default_factory() if made else field.default


def read_json(text: str) -> Any:
    """Parse JSON text.

    Raises:
        UserError: the text is not valid JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise UserError("expected JSON, but its lists are nested too deeply.") from None
    except ValueError as error:
        raise UserError(f"expected JSON: {error}.") from error


def instance(cls: type, data: Any) -> Any:
    """Make a dataclass from its JSON; values are checked against the annotations.

    Raises:
        FieldsError: a field is unknown or missing, or a value has another type.
    """
    if not isinstance(data, Mapping):
        raise UserError(f"expected the fields of {hint_name(cls)}. Received: {shown(data)}.")
    fields = dataclasses.fields(cls)
    known = [f.name for f in fields]
    strays = sorted(str(name) for name in set(data) - set(known))
    if strays:
        raise FieldsError(f"{hint_name(cls)} has no {_clipped(strays)}. It has: {', '.join(known)}.", cls.__module__)
    unset = (dataclasses.MISSING, dataclasses.MISSING)
    lacking = [f.name for f in fields if f.name not in data and (f.default, f.default_factory) == unset]
    if lacking:
        received = _clipped(list(data)) or "nothing"
        raise FieldsError(f"{hint_name(cls)} needs {', '.join(lacking)}. Received: {received}.", cls.__module__)
    return cls(**typed_fields(cls, {**getattr(cls, "earlier", {}), **data}))


def typed_fields(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Convert field values to the annotated types of a dataclass, e.g. a list to a tuple; raises UserError if that fails."""
    hints = hints_of(cls)
    if hasattr(cls, "field_types"):
        hints = hints | cls.field_types(data)
    values = {}
    for name, value in data.items():
        try:
            values[name] = typed(value, hints[name])
        except TypeError:
            message = f"{hint_name(cls)}.{name}: expected {hint_name(hints[name])}. Received: {shown(value)}."
            raise FieldsError(message, cls.__module__) from None
    return values


def settle(owner: Any) -> None:
    """Convert the fields of a frozen dataclass to their annotated types; called in its `__post_init__`.

    Raises:
        UserError: a value has another type.
    """
    given = {f.name: getattr(owner, f.name) for f in dataclasses.fields(owner)}
    for name, value in typed_fields(type(owner), given).items():
        object.__setattr__(owner, name, value)


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def typed(value: Any, hint: Any) -> Any:
    """Convert `value` to an annotated type: a list to a tuple, an integer to a float, a mapping to a dataclass or a tuple of pairs.

    Raises:
        TypeError: the value cannot be converted.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return _hashable(value)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        return typed(value, next(option for option in inner if option is not type(None)))
    if origin is tuple:
        value = tuple(value.items()) if is_pairs(hint) and isinstance(value, Mapping) else as_tuple(value)
        if inner[-1] is not Ellipsis and len(inner) != len(value):
            raise TypeError
        return tuple(typed(item, item_hint(hint, i)) for i, item in enumerate(value))
    if dataclasses.is_dataclass(hint) and not isinstance(value, hint):
        return instance(hint, value)
    if hint in (int, float) and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        if abs(int(value)) > LARGEST:
            raise TypeError
        return hint(value)
    if hint is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise TypeError
    return value


def _hashable(value: Any) -> Any:
    """Pass a string, finite number, bool, None or dataclass; convert (nested) lists of these to tuples; else raise TypeError."""
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError
    if value is None or isinstance(value, str | int | float) or dataclasses.is_dataclass(value):
        return value
    raise TypeError


def is_pairs(hint: Any) -> bool:
    """Return whether an annotation is a tuple of pairs, tuple[tuple[A, B], ...], which can be given as a mapping."""
    if typing.get_origin(hint) is not tuple:
        return False
    inner = typing.get_args(hint)
    item = typing.get_args(inner[0])
    return (
        inner[-1] is Ellipsis and typing.get_origin(inner[0]) is tuple and len(item) == 2 and item[-1] is not Ellipsis
    )


def item_hint(hint: Any, i: int) -> Any:
    """Return the annotation of item `i` of a tuple."""
    inner = typing.get_args(hint) or (Any, ...)
    return inner[0] if inner[-1] is Ellipsis else inner[i]


def hint_name(hint: Any) -> str:
    return str(hint) if typing.get_origin(hint) else hint.__name__


def _clipped(names: list[str]) -> str:
    return listed(name if name.isprintable() and len(name) <= 60 else shown(name, 60) for name in names)
