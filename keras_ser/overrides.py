"""Change and look up fields of frozen values by dotted keys. No TensorFlow."""

import copy
import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from keras_ser.checks import shown
from keras_ser.errors import UnknownKeyError, UserError
from keras_ser.values import hint_name, hints_of, is_pairs, item_hint, typed


def override(owner: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of a dataclass with values changed; it is checked once all changes are made.

    Args:
        owner: the dataclass.
        changes: dotted key -> value, as `Recipe.override` takes them.

    Raises:
        UnknownKeyError: a key is unknown; the message lists the valid names.
        UserError: a value has another type, or the dataclass refuses it.
    """
    for key, value in changes.items():
        owner = _override(owner, key.split("."), value, key, Any)
    return _checked(owner)


def lookup(owner: Any, key: str) -> Any:
    """Return the value of a dotted key (see `override`).

    Raises:
        UnknownKeyError: the key is unknown; the message lists the valid names.
    """
    for head in key.split("."):
        if not (dataclasses.is_dataclass(owner) or isinstance(owner, tuple)):
            raise UnknownKeyError(f"{key}: {owner!r} is a plain value, without {head!r}.")
        place = _place(owner, head, key)
        owner = owner[place] if isinstance(owner, tuple) else getattr(owner, place)
    return owner


def _override(owner: Any, path: list[str], value: Any, key: str, hint: Any) -> Any:
    """Return `owner` with one value changed, unchecked, since a later change may make it consistent."""
    head, rest = path[0], path[1:]
    place = _place(owner, head, key)
    if isinstance(owner, tuple):
        changed = _changed(owner[place], rest, value, key, item_hint(hint, place))
        return (*owner[:place], changed, *owner[place + 1 :])
    changed = copy.copy(owner)
    hint = hints_of(type(owner))[place]
    object.__setattr__(changed, place, _changed(getattr(owner, place), rest, value, key, hint))
    return changed


def _checked(value: Any) -> Any:
    """Rebuild a value from its parts, so that each dataclass checks itself."""
    if dataclasses.is_dataclass(value):
        return type(value)(**{f.name: _checked(getattr(value, f.name)) for f in dataclasses.fields(value)})
    return tuple(_checked(item) for item in value) if isinstance(value, tuple) else value


def _place(owner: Any, head: str, key: str) -> Any:
    """Return the index of an item, by its name or number, or the name of a field; raises UnknownKeyError if there is none."""
    if isinstance(owner, tuple):
        names = [getattr(item, "name", str(i)) for i, item in enumerate(owner)]
        if head in names:
            return names.index(head)
        if head in (numbers := [str(i) for i in range(len(owner))]):
            return numbers.index(head)
        raise UnknownKeyError(f"{key}: there is no {head!r}. There are: {', '.join(names) or 'none'}.")
    names = [f.name for f in dataclasses.fields(owner)]
    if head in names:
        return head
    close = difflib.get_close_matches(head, names, 3)
    near = f"Did you mean {' or '.join(close)}? " if close else ""
    raise UnknownKeyError(f"{key}: {hint_name(type(owner))} has no {head!r}. {near}It has: {', '.join(names)}.")


def _changed(old: Any, rest: list[str], value: Any, key: str, hint: Any) -> Any:
    """Return the new value of a field or an item."""
    if rest:
        if not (dataclasses.is_dataclass(old) or isinstance(old, tuple)):
            here = key.removesuffix(f".{'.'.join(rest)}")
            what = f"{here} is not set in this recipe" if old is None else f"{old!r} is a plain value"
            raise UnknownKeyError(f"{key}: {what}, without {'.'.join(rest)!r}.")
        return _override(old, rest, value, key, hint)
    holder = old[0] if isinstance(old, tuple) and old else old
    if dataclasses.is_dataclass(holder):
        names = [item.name for item in old] if isinstance(old, tuple) else []
        names += [f.name for f in dataclasses.fields(holder)]
        raise UnknownKeyError(f"{key}: name a field of it: {', '.join(names)}.")
    try:
        return typed(_read(value, hint) if isinstance(value, str) else value, hint)
    except TypeError:
        if is_pairs(hint):
            named = typing.get_args(typing.get_args(hint)[0])[0] is str
            example = 'object, such as {"surprised": "surprise"}' if named else f"list, such as {json.dumps(old)}"
            raise UserError(f"{key}: expected a JSON {example}. Received: {shown(value)}.") from None
        example = ",".join(map(str, old)) if isinstance(old, tuple) and old else shown(old)
        raise UserError(f"{key}: expected {hint_name(hint)}, such as {example}. Received: {shown(value)}.") from None


def _read(text: str, hint: Any) -> Any:
    """Read a command-line value as JSON, a comma-separated list or plain text, depending on the annotation."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    if type(None) in options and text in ("null", "none", "None"):
        return None
    if typing.get_origin(hint) is tuple and not text.startswith(("[", "{")):
        items = text.split(",") if text else []
        fixed = typing.get_args(hint)[-1] is not Ellipsis and len(typing.get_args(hint)) != len(items)
        return text if fixed else [_read(item.strip(), item_hint(hint, i)) for i, item in enumerate(items)]
    if str in options and not text.startswith('"'):
        return text
    try:
        return json.loads({"True": "true", "False": "false"}.get(text, text))
    except (ValueError, RecursionError):
        return text
