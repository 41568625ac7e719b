"""Select a recipe's noises from its options: those to train on, and those only tested."""

import argparse
from typing import Any

from keras_ser.cli.arguments import positive
from keras_ser.errors import UserError
from keras_ser.settings import CLEAN, of_stream

PAPER_NOISES = ("white", "pink", "babble", "factory")


def add_noise_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the denoising recipe."""
    parser.add_argument(
        "--unseen",
        metavar="A[,B..]",
        default="",
        help="noises to test on but not to train on: files (factory1), or all files of a type (factory)",
    )
    parser.add_argument(
        "--clips", type=positive, default=20, metavar="N", help="number of test clips per run (default: 20)"
    )


def _unseen(options: argparse.Namespace) -> list[str]:
    return [name.strip() for name in getattr(options, "unseen", "").split(",") if name.strip()]


def tested_noises(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the available ones of the paper's four noises, and the unseen ones."""
    from keras_ser.audio.noise import COLOURS, noise_files, noise_type

    unseen = _unseen(options)
    there = [*COLOURS, "babble"]
    stems = list(noise_files(options.noise_root)) if options.noise_root else []
    there += [*stems, *(noise_type(stem) for stem in stems)]
    unknown = [name for name in unseen if name not in there]
    if unknown:
        raise UserError(
            f"--unseen {unknown[0]}: there is no such noise. There are: {', '.join(sorted(set(there)))}"
            + ("." if options.noise_root else "; add a folder of noise files with --noise-root.")
        )
    twice = [stem for stem in unseen if noise_type(stem) != stem and noise_type(stem) in unseen]
    if twice:
        raise UserError(f"--unseen {noise_type(twice[0])} holds out {twice[0]} as well: name one of the two.")
    found: list[str] = []
    for name in PAPER_NOISES:
        parts = [stem for stem in stems if noise_type(stem) == name]
        if set(parts) & set(unseen):  # "factory" is factory1 and factory2: keep the other one
            found += [stem for stem in parts if stem not in unseen]
        elif name in there:
            found.append(name)
    return tuple(dict.fromkeys([*found, *unseen]))


def with_noises(recipe, options: argparse.Namespace):
    """Return the recipe with it and its first model trained on the tested noises without the unseen ones."""
    keys = ("streams.noisy.noises", "tasks.noise.labels")
    if any(pair.split("=")[0].removeprefix("first.") in keys for pair in options.set):
        raise UserError("noises are chosen by --noise-root and --unseen, not by --set.")
    unseen = _unseen(options)
    trained = tuple(name for name in tested_noises(options) if name not in unseen)
    if not trained:
        raise UserError("--unseen contains all available noises: leave at least one to train on.")
    changes: dict[str, Any] = {}
    for prefix, each in (("", recipe), ("first.", recipe.first)):
        if each is not None:
            changes[f"{prefix}streams.noisy.noises"] = trained
            changes |= {
                f"{prefix}tasks.{task.name}.labels": (CLEAN, *trained) for task in filter(of_stream, each.tasks)
            }
    return recipe.change(changes)
