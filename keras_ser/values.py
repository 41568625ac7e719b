"""Frozen values: dataclasses to and from plain JSON, and one field changed by its dotted key.

A dataclass whose field's type depends on other fields says so by a static method `field_types(data) -> {field: type}`.
No TensorFlow.
"""

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from keras_ser.errors import UnknownKeyError, UserError


def as_tuple(value: Any) -> tuple:
    """A list or a single value as a tuple."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def plain(value: Any) -> Any:
    """As JSON has it: dataclasses are dicts, tuples are lists."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def as_tuples(value: Any) -> Any:
    """Lists within lists as tuples within tuples; anything else as it is."""
    return tuple(as_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def instance(cls: type, data: Any) -> Any:
    """A dataclass from its JSON; values are checked against the annotations.

    Raises:
        ValueError: an unknown or missing field, or a value of another type.
    """
    if not isinstance(data, Mapping):
        raise UserError(f"expected the fields of {_name(cls)}. Received: {data!r}.")
    fields = dataclasses.fields(cls)
    known = [f.name for f in fields]
    strays = sorted(set(data) - set(known))
    if strays:
        raise UserError(f"{_name(cls)} has no {', '.join(strays)}. It has: {', '.join(known)}.")
    unset = (dataclasses.MISSING, dataclasses.MISSING)
    lacking = [f.name for f in fields if f.name not in data and (f.default, f.default_factory) == unset]
    if lacking:
        raise UserError(f"{_name(cls)} needs {', '.join(lacking)}. Received: {', '.join(data) or 'nothing'}.")
    hints = typing.get_type_hints(cls)
    if hasattr(cls, "field_types"):
        hints |= cls.field_types(data)
    values = {}
    for name, value in data.items():
        try:
            values[name] = _typed(value, hints[name])
        except TypeError:
            raise UserError(f"{_name(cls)}.{name}: expected {_name(hints[name])}. Received: {value!r}.") from None
    return cls(**values)


def _typed(value: Any, hint: Any) -> Any:
    """`value` as an annotation has it: a list is a tuple, a whole number a float, a mapping a dataclass.

    Raises:
        TypeError: it can't be.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return as_tuples(value)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        return _typed(value, next(option for option in inner if option is not type(None)))
    if origin is tuple:
        value = tuple(value) if isinstance(value, list | tuple) else (value,)
        if inner[-1] is not Ellipsis and len(inner) != len(value):
            raise TypeError
        return tuple(_typed(item, _item(hint, i)) for i, item in enumerate(value))
    if dataclasses.is_dataclass(hint) and not isinstance(value, hint):
        return instance(hint, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise TypeError
    return value


def _item(hint: Any, i: int) -> Any:
    """The annotation of item `i` of a tuple."""
    inner = typing.get_args(hint) or (Any, ...)
    return inner[0] if inner[-1] is Ellipsis else inner[i]


def _name(hint: Any) -> str:
    return str(hint) if typing.get_origin(hint) else hint.__name__


def _read(text: str, hint: Any) -> Any:
    """What a command line means: JSON, a list with commas, or plain text, whatever the annotation takes."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    if type(None) in options and text in ("null", "none", "None"):
        return None
    if typing.get_origin(hint) is tuple and not text.startswith("["):
        items = text.split(",") if text else []
        fixed = typing.get_args(hint)[-1] is not Ellipsis and len(typing.get_args(hint)) != len(items)
        return text if fixed else [_read(item.strip(), _item(hint, i)) for i, item in enumerate(items)]
    if str in options and not text.startswith('"'):
        return text
    try:
        return json.loads({"True": "true", "False": "false"}.get(text, text))
    except json.JSONDecodeError:
        return text


def override(owner: Any, key: str, value: Any) -> Any:
    """A copy of a dataclass with one value changed; see `Recipe.override`."""
    return _override(owner, key.split("."), value, key, Any)


def _override(owner: Any, path: list[str], value: Any, key: str, hint: Any) -> Any:
    head, rest = path[0], path[1:]
    place = _place(owner, head, key)
    if isinstance(owner, tuple):
        changed = _changed(owner[place], rest, value, key, _item(hint, place))
        return (*owner[:place], changed, *owner[place + 1 :])
    hint = typing.get_type_hints(type(owner))[place]
    return dataclasses.replace(owner, **{place: _changed(getattr(owner, place), rest, value, key, hint)})


def lookup(owner: Any, key: str) -> Any:
    """The value of a dotted key, as `override` takes it.

    Raises:
        KeyError: an unknown key; the message lists its neighbours.
    """
    for head in key.split("."):
        if not (dataclasses.is_dataclass(owner) or isinstance(owner, tuple)):
            raise UnknownKeyError(f"--set {key}: {owner!r} is a plain value, without {head!r}.")
        place = _place(owner, head, key)
        owner = owner[place] if isinstance(owner, tuple) else getattr(owner, place)
    return owner


def _place(owner: Any, head: str, key: str) -> Any:
    """An item's index, by its name or number, or a field's name.

    Raises:
        KeyError: there is none.
    """
    if isinstance(owner, tuple):
        names = [getattr(item, "name", str(i)) for i, item in enumerate(owner)]
        if head in names:
            return names.index(head)
        if head.isdigit() and int(head) < len(owner):
            return int(head)
        raise UnknownKeyError(f"--set {key}: there is no {head!r}. There are: {', '.join(names) or 'none'}.")
    names = [f.name for f in dataclasses.fields(owner)]
    if head in names:
        return head
    close = difflib.get_close_matches(head, names, 3)
    near = f"Did you mean {' or '.join(close)}? " if close else ""
    raise UnknownKeyError(f"--set {key}: {_name(type(owner))} has no {head!r}. {near}It has: {', '.join(names)}.")


def _changed(old: Any, rest: list[str], value: Any, key: str, hint: Any) -> Any:
    """What a field or an item becomes."""
    if rest:
        if not (dataclasses.is_dataclass(old) or isinstance(old, tuple)):
            raise UnknownKeyError(f"--set {key}: {old!r} is a plain value, without {'.'.join(rest)!r}.")
        return _override(old, rest, value, key, hint)
    holder = old[0] if isinstance(old, tuple) and old else old
    if dataclasses.is_dataclass(holder):
        names = [item.name for item in old] if isinstance(old, tuple) else []
        names += [f.name for f in dataclasses.fields(holder)]
        raise UnknownKeyError(f"--set {key}: name a field of it: {', '.join(names)}.")
    try:
        return _typed(_read(value, hint) if isinstance(value, str) else value, hint)
    except TypeError:
        raise UserError(f"--set {key}: expected {_name(hint)}, such as {old!r}. Received: {value!r}.") from None
