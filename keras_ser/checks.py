"""Checks shared by the package's values: names, ranges and choices. Each raises a one-line `UserError`. No TensorFlow."""

import math
import numbers
import re
from collections.abc import Collection, Iterable
from typing import Any

from keras_ser.errors import UserError
from keras_ser.files import printable

LONGEST_NAME = 100
NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")


def check_name(what: str, name: Any) -> None:
    """Refuse a name that cannot serve as the name of a folder, a column, a layer and an exported model.

    Args:
        what: the named object, for the message, e.g. "a task".
        name: the name to check.
    """
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise UserError(
            f"the name of {what} must be 1 to {LONGEST_NAME} letters (a-z, A-Z), digits, '_', '-' and '.', the first a letter, "
            f"a digit or '_'. Received: {shown(name)}. Choose another name."
        )


def check_least(owner: Any, least: float, *names: str) -> None:
    """Refuse fields of `owner` that are not finite or less than `least`."""
    for name, value in _numbers(owner, names):
        if not (math.isfinite(value) and value >= least):
            finite = " and finite" if isinstance(value, float) else ""
            raise UserError(f"`{name}` must be at least {least}{finite}. Received: {name}={value}.")


def check_positive(owner: Any, *names: str) -> None:
    """Refuse fields of `owner` that are not finite or not greater than 0."""
    for name, value in _numbers(owner, names):
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"`{name}` must be over 0 and finite. Received: {name}={value}.")


def check_share(owner: Any, *names: str, closed: bool = False) -> None:
    """Refuse fields of `owner` outside [0, 1), or [0, 1] if `closed`."""
    for name, value in _numbers(owner, names):
        if not (0 <= value < 1 or (closed and value == 1)):
            raise UserError(f"`{name}` must be in [0, 1{']' if closed else ')'}. Received: {name}={value}.")


def check_choice(owner: Any, name: str, allowed: Collection, prefix: str = "") -> None:
    """Refuse a field of `owner` that is not in `allowed`; `prefix`, e.g. "optimizer.", precedes its name in the message."""
    if (value := getattr(owner, name)) not in allowed:
        known = ", ".join(str(each) for each in allowed)
        raise UserError(f"`{prefix}{name}` must be one of {known}. Received: {prefix}{name}={shown(value)}.")


def check_blocks(owner: Any) -> None:
    """Refuse `filters`, `kernels` and `pools` (frames, bins) of convolutional blocks that are below 1 or not one per block."""
    check_least(owner, 1, "filters", "kernels")
    if not len(owner.filters) == len(owner.kernels) == len(owner.pools) >= 1:
        raise UserError(
            "`filters`, `kernels` and `pools` must have one entry per block. "
            f"Received: {len(owner.filters)}, {len(owner.kernels)}, {len(owner.pools)}."
        )
    if any(len(pool) != 2 or min(pool) < 1 for pool in owner.pools):
        raise UserError(f"`pools` must be pairs (frames, bins) of numbers >= 1. Received: {owner.pools}.")


def shown(value: Any, most: int = 120) -> str:
    """Format a value for a message: on one line, with the middle of a long value left out."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 23]} .. {text[-20:]}"


def listed(items: Iterable, most: int = 10) -> str:
    """Join at most `most` items as 'a, b, c and 4 more'; unprintable characters are escaped."""
    items = [printable(str(item)) for item in items]
    text = ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 clip", "2 clips"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _numbers(owner: Any, names: tuple[str, ...]):
    """Yield (name, number) for each field, and for each number of a tuple; refuse what is no number, booleans among it."""
    for name in names:
        value = getattr(owner, name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, bool) or not isinstance(number, numbers.Real):
                raise UserError(f"`{name}` must be a number. Received: {name}={shown(number)}.")
            yield name, number
