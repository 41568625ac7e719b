"""Read the recipe that a command line selects, and apply the options to it."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ser.checks import listed
from keras_ser.cli.arguments import assignments, auxiliary_adapter, shared_table_options
from keras_ser.errors import UserError


def load_recipes(source: str) -> tuple[Mapping[str, Any], str | None]:
    """Load (variant -> Recipe, demo variant) from a recipe's .py file, a recipe.json, or the folder of a run.

    Raises:
        UserError: the source is none of these, or cannot be read.
    """
    return _loaded(source)[:2]


def recipes_for(options: argparse.Namespace) -> tuple[Mapping[str, Any], str | None]:
    """Load a command's recipes as `load_recipes` does, adapted to the corpus if the recipe file has a function `fitted`.

    Its notes on the choice are printed to standard error.
    """
    recipes, demo, fitted = _loaded(options.recipe)
    adapter = options.corpus or next(iter(recipes.values())).corpus
    root = own_root(options, adapter)
    if fitted is None or not (root or adapter == "demo"):
        return recipes, demo
    recipes, notes = fitted(recipes, _read(adapter, root, options))
    for note in () if options.quiet else notes:
        print(note, file=sys.stderr)
    return recipes, demo


def _loaded(source: str) -> tuple[Mapping[str, Any], str | None, Callable | None]:
    from keras_ser.recipe import Recipe

    path = Path(source)
    if path.is_dir():
        path = path / "recipe.json"
        if not path.exists():
            below = [f"{found.parent}" for found in sorted(Path(source).glob("*/recipe.json"))]
            hint = f" Give one of those in it: {listed(below)}." if below else ""
            raise UserError(f"expected a folder with a recipe.json. Received: {source}, which has none.{hint}")
    if not path.exists():
        raise UserError(
            f"expected a recipe's .py file, a recipe.json or a run's folder. Received: {source}, which does not exist."
        )
    if path.suffix == ".json":
        try:
            recipe = Recipe.from_json(path.read_text(encoding="utf-8"))
        except (UserError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path} as a recipe: {error}") from error
        return {recipe.name: recipe}, None, None
    if path.suffix != ".py":
        raise UserError(f"expected a recipe's .py file, a recipe.json or a run's folder. Received: {source}.")
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(
            f"cannot read {path} as a recipe: {type(error).__name__}: {error}. Correct it, or give another."
        ) from error
    finally:
        sys.path.pop(0)
    recipes = getattr(module, "RECIPES", None)
    if (
        not isinstance(recipes, Mapping)
        or not recipes
        or not all(isinstance(each, Recipe) for each in recipes.values())
    ):
        raise UserError(f"{path} defines no RECIPES = {{variant: Recipe(..)}}. See recipes/ for examples.")
    demo = getattr(module, "DEMO", None)
    return recipes, demo if isinstance(demo, str) and demo in recipes else None, getattr(module, "fitted", None)


def choose(recipes: Mapping[str, Any], options: argparse.Namespace, demo: str | None):
    """Return the recipe that the options select."""
    from keras_ser.models import deterministic_model, model_module
    from keras_ser.recipe import Stream

    if Path(options.out).is_file():
        raise UserError(f"--out must be a folder. Received: the file {options.out}.")
    variants = list(recipes)
    named = options.corpus_root or options.corpus_roots or options.corpus
    name = options.variant or (demo if demo and not named else variants[0])
    if name not in recipes:
        raise UserError(f"--variant must be one of {', '.join(variants)}. Received: {name!r}.")
    recipe = recipes[name]
    if options.corpus:
        renamed = recipe.name.replace(f"_{recipe.corpus}", f"_{options.corpus}", 1)
        recipe = recipe.replace(corpus=options.corpus, name=renamed)
    options.corpus_root = own_root(options, recipe.corpus)
    if not options.corpus and not options.corpus_root and recipe.corpus != "demo":
        raise UserError(f"{recipe.name} needs the corpus {recipe.corpus}: give --corpus-root DIR.")
    if options.protocol:
        recipe = recipe.replace(protocols=_protocols(recipe, options.protocol))
    if options.seed is not None or options.seeds:
        first = options.seed or 0
        recipe = recipe.replace(seeds=tuple(range(first, first + (options.seeds or 1))))
    if auxiliary := auxiliary_adapter(options):
        stream = Stream("auxiliary", corpus=auxiliary, share=0.5)
        # a recipe.json written by such a training already contains the stream
        others = tuple(each for each in recipe.streams if each.name != stream.name)
        recipe = recipe.replace(streams=(*others, stream))
        for key, value in getattr(model_module(recipe.model), "AUXILIARY", {}).items():
            recipe = recipe.override(key, value)
    changes = [("epochs", options.epochs), ("precision", options.precision)]
    for key, value in changes:
        if value is not None:
            recipe = recipe.override(key, value)
            if recipe.first is not None:
                recipe = recipe.override(f"first.{key}", value)
    if options.shuffle_labels:
        recipe = shuffled(recipe)
    if deterministic_model(recipe):
        recipe = recipe.replace(seeds=recipe.seeds[:1])
    changes = assignments("--set", options.set, "config.beta=0.2")
    try:
        return recipe.change(changes)
    except UserError as error:
        if str(error).startswith(tuple(f"{key}: " for key in changes)):
            raise type(error)(f"--set {error}") from None
        raise


def choose_systems(
    variants: Mapping[str, Mapping[str, Any]],
    options: argparse.Namespace,
    demo: str | None = None,
    own: Callable[[Any], tuple[Mapping[str, Mapping[str, Any]], Sequence[str]]] | None = None,
    absent: Mapping[str, str] | None = None,
    fitted: Callable[[Mapping[str, Any], Any], tuple[Mapping[str, Any], Sequence[str]]] | None = None,
) -> tuple[str, dict[str, Any], list[str]]:
    """Select the recipes of several systems by the options.

    Args:
        variants: corpus -> system -> recipe; the first is the default, or `demo` without --corpus-root.
        options: the options of the command line.
        demo: the variant used without --corpus-root.
        own: corpus -> (corpus or variant -> system -> recipe, notes), for --corpus NAME.
        absent: system -> the missing package that it needs.
        fitted: (system -> recipe, corpus) -> (system -> recipe, notes): the recipes adapted to this corpus.

    Returns:
        The variant's name, system -> recipe, and notes on the choice.

    Raises:
        UserError: an option does not apply, or a variant or system is unknown.
    """
    for option in ("aux_root", "aux_corpus", *(["corpus"] if own is None and fitted is None else [])):
        if getattr(options, option):
            way = "auxiliary corpora are --corpus-root NAME=DIR"
            if option == "corpus":
                way = (
                    "it compares systems on the corpora of its variants. For one system on another corpus: `keras-ser train "
                    f"RECIPE.py --variant {next(iter(next(iter(variants.values()))))} --corpus {options.corpus} --corpus-root ..`"
                )
            raise UserError(f"--{option.replace('_', '-')} does not apply to this recipe: {way}. See --help.")
    notes: Sequence[str] = ()
    if options.corpus and own is not None:
        root = own_root(options, options.corpus)
        if not root and options.corpus != "demo":
            raise UserError(f"--corpus {options.corpus} needs --corpus-root DIR.")
        variants, notes = own(_read(options.corpus, root, options))
        demo = None
    rooted = options.corpus_root or options.corpus_roots
    name = options.variant or (demo if demo and not rooted else next(iter(variants)))
    if name not in variants:
        raise UserError(" ".join([f"--variant must be one of {', '.join(variants)}. Received: {name!r}.", *notes]))
    made = variants[name]
    first = next(iter(made.values()))
    if options.protocol == "disjoint" and notes and not any(p.columns_apart for p in first.protocols):
        raise UserError(f"--protocol disjoint is not possible: {' '.join(notes)}")
    adapter = options.corpus or first.corpus
    options.corpus_root = own_root(options, adapter)
    if fitted is not None:
        if not options.corpus_root and adapter != "demo":
            raise UserError(f"{first.name} needs a corpus: --corpus-root CLIPS.csv, or --corpus demo to try it.")
        made, notes = fitted(made, _read(adapter, options.corpus_root, options))
    absent = absent or {}
    asked = options.systems.split(",") if options.systems else [system for system in made if system not in absent]
    strays = [system for system in asked if system not in made]
    if strays:
        there = [variant for variant, others in variants.items() if strays[0] in others and made is not others]
        way = f" It is a system of --variant {' or '.join(there)}." if there else ""
        error = f"--systems must be among {', '.join(made)}. Received: {strays[0]!r}.{way}"
        raise UserError(" ".join([error, *notes]))
    lacking = [system for system in asked if system in absent]
    if lacking:
        package = absent[lacking[0]]
        raise UserError(f'{lacking[0]} needs {package}, which is not installed: pip install "keras-ser[{package}]".')
    if absent and not options.systems:
        packages = ", ".join(f'pip install "keras-ser[{package}]"' for package in dict.fromkeys(absent.values()))
        notes = [*notes, f"Left out: {', '.join(absent)} ({packages})."]

    def options_of(system: str) -> argparse.Namespace:
        # a setting of a task that only some systems have applies to those alone
        pairs = [p for p in options.set if _has(made[system], p) or not any(_has(made[s], p) for s in asked)]
        return argparse.Namespace(**{**vars(options), "variant": system, "set": pairs})

    return name, {system: choose(made, options_of(system), system) for system in asked}, list(notes)


def own_root(options: argparse.Namespace, adapter: str) -> str | None:
    """Return the folder of the recipe's own corpus, by --corpus-root DIR or --corpus-root NAME=DIR."""
    named = options.corpus_roots.get(adapter)
    if named and options.corpus_root not in (None, named):
        raise UserError(
            f"--corpus-root gives two folders of {adapter}, the recipe's own corpus: {options.corpus_root} and {named}. "
            "An auxiliary corpus needs another adapter; of two manifests, join the tables."
        )
    return options.corpus_root or named


def _read(adapter: str, root: str | None, options: argparse.Namespace):
    """Read the recipe's own corpus."""
    from keras_ser.corpora import read_corpus

    by, _ = shared_table_options(options, adapter)
    return read_corpus(adapter, root, **by)


def _has(recipe, pair: str) -> bool:
    """Return whether a recipe has the key of KEY=VALUE."""
    key, _, value = pair.partition("=")
    try:
        recipe.override(key, value)
    except KeyError:
        return False
    except ValueError:
        return True  # the error is raised, with its reason, when the value is set
    return True


def shuffled(recipe):
    """Return the control recipe: every task of every model is trained and validated on shuffled labels."""
    first = shuffled(recipe.first) if recipe.first is not None else None
    return recipe.replace(shuffle=tuple(task.name for task in recipe.tasks), first=first)


def _protocols(recipe, asked: str):
    from keras_ser.splits import RANDOM

    paper = recipe.protocols[:1]
    disjoint = tuple(protocol for protocol in recipe.protocols if protocol.columns_apart)
    sets = {"paper": paper, "disjoint": disjoint, "both": recipe.protocols}
    sets |= {"random": (RANDOM,)}
    sets |= {protocol.name: (protocol,) for protocol in recipe.protocols}
    if not sets.get(asked):
        known = ", ".join(name for name, protocols in sets.items() if protocols)
        raise UserError(f"--protocol must be one of {known}. Received: {asked!r}.")
    return sets[asked]
