"""What a search may change, and between which values. No TensorFlow."""

import contextlib
import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.errors import UnknownKeyError, UserError
from keras_ser.models import model_module
from keras_ser.overrides import lookup
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol

# these say what is learnt and on whom, not how: scores of recipes that differ in them can't be compared
FIXED = ("name", "corpus", "corpus_options", "protocols", "seeds", "shuffle", "windows", "paper", "monitor")
MOST_TRIED = 256


@dataclass(frozen=True)
class Range:
    """Every number between two.

    Args:
        key: dotted, as `Recipe.override` takes it.
        low, high: both belong to the range.
        log: draw the logarithm evenly, not the number.
    """

    key: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self):
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UserError(f"the range of {self.key} must go from a lower to a higher number. Received: {self}.")
        if self.log and self.low <= 0:
            raise UserError(f"a range with logarithms begins over 0. Received: {self}.")

    def __str__(self) -> str:
        return f"{self.key}={self.low:g}:{self.high:g}" + (":log" if self.log else "")


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Args:
        key: dotted.
        values: as `Recipe.override` reads them.
    """

    key: str
    values: tuple[str, ...]

    def __post_init__(self):
        object.__setattr__(self, "values", tuple(str(value) for value in self.values))
        if len(set(self.values)) < 2 or len(set(self.values)) < len(self.values):
            raise UserError(f"a choice needs two values or more, none of them twice. Received: {self}.")

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.values)}"


Space = Sequence[Range | Choice]


def parse(text: str) -> Range | Choice:
    """A range as it is written, config.beta=0.01:1:log, or a choice, config.units=16,32,64.

    Raises:
        ValueError: neither.
    """
    key, equals, values = text.partition("=")
    if not (key and equals and values):
        raise UserError(f"expected KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B[,..]. Received: {text!r}.")
    if ":" not in values:
        return Choice(key, tuple(value.strip() for value in values.split(",")))
    low, high, *scale = values.split(":")
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = None
    if ends is None or scale not in ([], ["log"]):
        raise UserError(f"expected KEY=LOW:HIGH or KEY=LOW:HIGH:log with numbers. Received: {text!r}.")
    return Range(key, *ends, log=bool(scale))


def default_space(recipe: Recipe) -> tuple[Range | Choice, ...]:
    """The weights of the losses: those that the model's file names (`SPACE`), else one of each task beside the main one.

    Raises:
        ValueError: the recipe has one loss only.
    """
    named = getattr(model_module(recipe.model), "SPACE", ())
    found = tuple(parse(text) for text in named) or tuple(
        Range(f"tasks.{task.name}.weight", 0.01, 10.0, log=True) for task in recipe.tasks[1:]
    )
    if not found or len(recipe.tasks) < 2:
        raise UserError(f"{recipe.name} has one loss, whose weight changes nothing: say what to search (--space).")
    return found


def whole_numbers(recipe: Recipe, key: str) -> bool:
    """Whether a key takes whole numbers only."""
    # through JSON a whole number in a field of floats is a float
    return type(lookup(Recipe.from_dict(recipe.to_dict()), key)) is int


def check_space(recipe: Recipe, space: Space) -> None:
    """Refuse, before the first training, what can't be searched.

    Raises:
        KeyError: a key that the recipe does not have.
        ValueError: a value that the key does not take; a key twice; a key that says what is learnt, and not how.
    """
    keys = [each.key for each in space]
    if not keys or len(set(keys)) < len(keys):
        raise UserError(f"a search needs keys, each of them once. Received: {', '.join(keys) or 'none'}.")
    for each in space:
        key = each.key.removeprefix("first.")
        room, field = key.split(".")[0], key.split(".")[-1]
        of_stream = room == "streams" and field not in ("share", "redraw")
        of_task = room == "tasks" and field != "weight"
        if room in FIXED or key == "frontend.sample_rate" or of_stream or of_task:
            raise UserError(
                f"{each.key} says what is learnt and judged, not how: recipes that differ in it can't be compared by a score."
            )
        try:
            for value in _ends(recipe, each):
                _check_value(recipe, each.key, value, [other for other in space if other is not each])
        except UserError as error:
            # what it says of a key it says of `--set`
            raise type(error)(str(error.args[0]).replace("--set ", "--space ", 1)) from None


def _check_value(recipe: Recipe, key: str, value: Any, others: Space) -> None:
    """Refuse a value that the recipe refuses, as it is and with the ends of what else is searched."""
    try:
        recipe.override(key, value)
        return
    except UnknownKeyError:
        raise
    except UserError as error:
        refused = error
    ends = [[(other.key, end) for end in _ends(recipe, other)] for other in others]
    for together in itertools.islice(itertools.product(*ends), MOST_TRIED):
        with contextlib.suppress(UserError):
            recipe.change({**dict(together), key: value})
            return
    raise refused


def _ends(recipe: Recipe, each: Range | Choice) -> tuple:
    """The values that must be allowed, if all are to be."""
    if isinstance(each, Choice):
        return each.values
    ends = each.low, each.high
    if not isinstance(lookup(recipe, each.key), int | float):
        raise UserError(f"{each.key} is no number: give a choice (KEY=A,B). Received: {each}.")
    if not whole_numbers(recipe, each.key):
        return ends
    if any(end != int(end) for end in ends):
        raise UserError(f"{each.key} takes whole numbers. Received: {each}.")
    return tuple(int(end) for end in ends)


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values, as `Recipe.change` sets them."""
    return recipe.change(values)


def judging(recipe: Recipe) -> Protocol:
    """The protocol whose validation sides judge a search: the first one that keeps a column apart, else the first."""
    apart = [protocol for protocol in recipe.protocols if protocol.columns_apart]
    return (apart or list(recipe.protocols))[0]


def search_folder(recipe: Recipe, space: Space, out: Path | str, folds: Sequence[int], seeds: int, method: str) -> Path:
    """Where a search lies: another space, fold, seed or method is another search."""
    what = [
        [str(each) for each in space],
        list(folds),
        recipe.seeds[:seeds],
        [p.name for p in recipe.protocols],
        method,
    ]
    digest = hashlib.sha1(json.dumps(what).encode()).hexdigest()[:6]
    return Path(out) / f"{recipe.name}-{recipe.hash}-search-{digest}"
