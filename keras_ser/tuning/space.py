"""The search space: the keys that a search may change, and their values. Does not import TensorFlow."""

import contextlib
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.errors import UnknownKeyError, UserError
from keras_ser.models import deterministic_model, model_module
from keras_ser.overrides import lookup
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol

# these define the task and the data: scores of recipes that differ in them cannot be compared
FIXED = (
    "name",
    "corpus",
    "corpus_options",
    "protocols",
    "seeds",
    "shuffle",
    "windows",
    "paper",
    "labelled",
    "unlabelled",
)
FIXED += ("monitor", "smoothing")  # these define the score
FIXED += ("initial", "paper_protocol")  # these change no training
MOST_TRIED = 256


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, inclusive.

    Args:
        key: Dotted key, as in `Recipe.override`.
        low, high: The ends.
        log: Sample uniformly on a logarithmic scale.
    """

    key: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self):
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UserError(f"the range of {self.key} must go from a lower to a higher number. Received: {self}.")
        if self.log and self.low <= 0:
            raise UserError(f"a logarithmic range must start above 0. Received: {self}.")

    def __str__(self) -> str:
        return f"{self.key}={self.low:g}:{self.high:g}" + (":log" if self.log else "")


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Args:
        key: Dotted key.
        values: Values as in `Recipe.override`.
    """

    key: str
    values: tuple[str, ...]

    def __post_init__(self):
        object.__setattr__(self, "values", tuple(str(value) for value in self.values))
        if len(set(self.values)) < 2 or len(set(self.values)) < len(self.values):
            raise UserError(f"a choice needs two or more different values. Received: {self}.")

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.values)}"

    def text(self, value: Any) -> str:
        """Return a recipe's value as a choice writes it: the choice that equals it, or its own text; (1.0,) is 1."""
        value = value[0] if isinstance(value, tuple | list) and len(value) == 1 else value
        own = f"{value:g}" if isinstance(value, float) else str(value)
        return next((text for text in self.values if text == str(value) or _parsed(text) == value), own)

    def order(self, texts: Iterable[str]) -> list[str]:
        """Return different texts in the order of their values if all are numbers, else the choices first."""
        found = list(dict.fromkeys([*self.values, *texts]))
        return sorted(found, key=float) if all(map(_is_number, found)) else found

    @property
    def ordered(self) -> bool:
        """Whether all values are numbers."""
        return all(map(_is_number, self.values))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


Space = Sequence[Range | Choice]


def parse(text: str) -> Range | Choice:
    """Parse a range, such as config.beta=0.01:1:log, or a choice, such as config.units=16,32,64; raises UserError for neither."""
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
    """Return the model's `SPACE`, else the weight of each auxiliary task; raise UserError if nothing in it has an effect.

    In a recipe with one task, the keys in the model's `AUXILIARY_WEIGHTS` have none.
    """
    module = model_module(recipe.model)
    found = tuple(parse(text) for text in getattr(module, "SPACE", ())) or tuple(
        Range(f"tasks.{task.name}.weight", 0.01, 10.0, log=True) for task in recipe.tasks[1:]
    )
    if len(recipe.tasks) < 2:
        found = tuple(each for each in found if each.key not in getattr(module, "AUXILIARY_WEIGHTS", ()))
    if not found:
        raise UserError(f"{recipe.name} has a single loss, whose weight has no effect: give a search space (--space).")
    return found


def whole_numbers(recipe: Recipe, key: str) -> bool:
    """Return whether a key takes integers only."""
    # an integer in a float field becomes a float through JSON
    return type(lookup(Recipe.from_dict(recipe.to_dict()), key)) is int


def check_space(recipe: Recipe, space: Space) -> None:
    """Check before training that a space can be searched.

    Raises UnknownKeyError for a key that the recipe lacks, and UserError for one that does not accept a value, occurs twice, or
    defines the task or the data, and for a space in which only some settings keep the last epoch.
    """
    keys = [each.key for each in space]
    if not keys or len(set(keys)) < len(keys):
        raise UserError(f"a search space needs one or more different keys. Received: {', '.join(keys) or 'none'}.")
    for each in space:
        key = each.key.removeprefix("first.")
        part, field = key.split(".")[0], key.split(".")[-1]
        of_stream = part == "streams" and field not in ("share", "redraw")
        of_task = part == "tasks" and field != "weight"
        if part in FIXED or key == "frontend.sample_rate" or of_stream or of_task:
            raise UserError(
                f"{each.key} defines the task, the data or the score: recipes that differ in it cannot be compared by a score."
            )
        try:
            for value in _ends(recipe, each):
                _check_value(recipe, each.key, value, [other for other in space if other is not each])
                _check_kept(recipe, each, value)
        except UserError as error:
            if str(error).startswith(f"{each.key}: "):
                raise type(error)(f"--space {error}") from None
            raise


def check_search(recipe: Recipe, space: Space, confirm: int) -> None:
    """Check a search before anything is decoded.

    Raises UserError if its space cannot be searched (`check_space`), its protocol has no validation set, or the seeds of `confirm`
    would all give the same model, so that their scores would confirm nothing.
    """
    check_space(recipe, space)
    protocol = judging(recipe)
    if not protocol.validation:
        raise UserError(
            f"a search needs a validation set, and the protocol {protocol.name} has none. Choose another protocol, or set one "
            f"aside (--set protocols.{protocol.name}.validation={'0.1' if protocol.kind == 'random' else '1'})."
        )
    if confirm and deterministic_model(recipe):
        raise UserError(
            f"--confirm trains further seeds, and no seed changes the model {recipe.model!r}: leave it out."
        )


def _check_kept(recipe: Recipe, each: Range | Choice, value: Any) -> None:
    """Raise UserError if a value decides whether a run keeps its last epoch or its best one, whose scores are higher by chance."""
    try:
        tried = recipe.override(each.key, value)
    except UserError:  # accepted together with other values alone
        return
    if tried.keeps_last == recipe.keeps_last:
        return
    last, best = (tried, recipe) if tried.keeps_last else (recipe, tried)
    raise UserError(
        f"{each}: with {lookup(last, each.key)} the last epoch is scored, and with {lookup(best, each.key)} the best one, whose "
        f"score is higher by chance. Let every trial choose its epoch: --set monitor=val_{recipe.tasks[0].name}_uar."
    )


def _check_value(recipe: Recipe, key: str, value: Any, others: Space) -> None:
    """Raise UserError for a value that the recipe does not accept, alone or with the ends of every other range."""
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
    """Return the values whose validity implies that of all others."""
    if isinstance(each, Choice):
        return each.values
    ends = each.low, each.high
    if not isinstance(lookup(recipe, each.key), int | float):
        raise UserError(f"{each.key} is not a number: give a choice (KEY=A,B). Received: {each}.")
    if not whole_numbers(recipe, each.key):
        return ends
    if any(end != int(end) for end in ends):
        raise UserError(f"{each.key} takes integers. Received: {each}.")
    return tuple(int(end) for end in ends)


def judging(recipe: Recipe) -> Protocol:
    """Return the protocol whose validation sets score a search: the first with disjoint columns, else the first.

    Raises UserError if every protocol selects the epoch on the test set.
    """
    valid = [protocol for protocol in recipe.protocols if not protocol.chosen_on_test]
    if not valid:
        raise UserError(
            f"a search needs a validation set apart from the test set, and {recipe.protocols[0].name!r} selects on the test set "
            f"(--set protocols.{recipe.protocols[0].name}.chosen_on_test=false, and its validation=1)."
        )
    return next((protocol for protocol in valid if protocol.columns_apart), valid[0])


def search_folder(
    recipe: Recipe,
    space: Space,
    out: Path | str,
    folds: Sequence[int],
    seeds: int,
    method: str,
    prune: str | None = None,
) -> Path:
    """Return the folder of a search, which depends on its space, folds, seeds, method and pruning."""
    what = [
        [str(each) for each in space],
        list(folds),
        recipe.seeds[:seeds],
        [p.name for p in recipe.protocols],
        method,
        *([prune] if prune else []),
    ]
    digest = hashlib.sha1(json.dumps(what).encode()).hexdigest()[:6]
    return Path(out) / f"{recipe.name}-{recipe.hash}-search-{digest}"
