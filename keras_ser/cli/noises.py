"""The noises of a recipe by its options: which are trained on, and which are tested unheard."""

import argparse
from typing import Any

from keras_ser.cli.arguments import positive
from keras_ser.errors import UserError
from keras_ser.settings import CLEAN, of_stream

PAPER_NOISES = ("white", "pink", "babble", "factory")


def add_noise_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the recipe that takes noise out."""
    parser.add_argument(
        "--unseen", metavar="A[,B..]", default="", help="noise types that are tested but never trained on"
    )
    parser.add_argument("--clips", type=positive, default=20, metavar="N", help="test clips of each run (20)")


def _unseen(options: argparse.Namespace) -> list[str]:
    return [name.strip() for name in getattr(options, "unseen", "").split(",") if name.strip()]


def tested_noises(options: argparse.Namespace) -> tuple[str, ...]:
    """The paper's four noises, as far as they are there, and the unseen ones."""
    from keras_ser.audio.noise import COLOURS, noise_files, noise_type

    unseen = _unseen(options)
    there = [*COLOURS, "babble"]
    stems = list(noise_files(options.noise_root)) if options.noise_root else []
    there += [*stems, *(noise_type(stem) for stem in stems)]
    unknown = [name for name in unseen if name not in there]
    if unknown:
        raise UserError(
            f"--unseen {unknown[0]}: there is no such noise. There are: {', '.join(sorted(set(there)))}"
            + ("." if options.noise_root else "; name a folder of more with --noise-root.")
        )
    found: list[str] = []
    for name in PAPER_NOISES:
        parts = [stem for stem in stems if noise_type(stem) == name]
        if set(parts) & set(unseen):  # "factory" is factory1 and factory2: what is left of it
            found += [stem for stem in parts if stem not in unseen]
        elif name in there:
            found.append(name)
    return tuple(dict.fromkeys([*found, *unseen]))


def with_noises(recipe, options: argparse.Namespace):
    """The recipe, and its first model, trained on the tested noises but the unseen ones."""
    keys = ("streams.noisy.noises", "tasks.noise.labels")
    if any(pair.split("=")[0].removeprefix("first.") in keys for pair in options.set):
        raise UserError("the noises are chosen by --noise-root and --unseen here, not by --set.")
    unseen = _unseen(options)
    trained = tuple(name for name in tested_noises(options) if name not in unseen)
    if not trained:
        raise UserError("--unseen holds every noise that there is: leave one to train on.")
    changes: dict[str, Any] = {}
    for prefix, each in (("", recipe), ("first.", recipe.first)):
        if each is not None:
            changes[f"{prefix}streams.noisy.noises"] = trained
            changes |= {
                f"{prefix}tasks.{task.name}.labels": (CLEAN, *trained) for task in filter(of_stream, each.tasks)
            }
    return recipe.change(changes)
