"""What the recipes of noise add to a training: their options, the paper's tables 5 to 8, and table 9."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ser.cli.arguments import positive
from keras_ser.errors import UserError

PAPER_NOISES = ("white", "pink", "babble", "factory")


def add_noise_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the recipes that mix noise in."""
    parser.add_argument(
        "--unseen", metavar="A[,B..]", default="", help="noise types that are tested but never trained on"
    )
    parser.add_argument("--clips", type=positive, default=20, metavar="N", help="test clips of each run (20)")


def tested_noises(options: argparse.Namespace) -> tuple[str, ...]:
    """The paper's four noises, as far as they are there, and the unseen ones.

    Raises:
        ValueError: an unseen noise that is not there.
    """
    from keras_ser.audio.noise import COLOURS, noise_files, noise_type

    unseen = tuple(name.strip() for name in options.unseen.split(",") if name.strip())
    there = [*COLOURS, "babble"]
    stems = list(noise_files(options.noise_root)) if options.noise_root else []
    if stems:
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
    """The recipe, trained on the tested noises but the unseen ones."""
    if any(pair.split("=")[0] in ("streams.noisy.noises", "tasks.noise.labels") for pair in options.set):
        raise UserError("the noises are chosen by --noise-root and --unseen here, not by --set.")
    unseen = {name.strip() for name in options.unseen.split(",")}
    trained = tuple(name for name in tested_noises(options) if name not in unseen)
    if not trained:
        raise UserError("--unseen holds every noise that there is: leave one to train on.")
    return recipe.change({"streams.noisy.noises": trained, "tasks.noise.labels": ("clean", *trained)})


def ablation_main(
    systems: Mapping[str, Callable[[tuple[str, ...]], Mapping[str, Any]]],
    about: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
    paper: Mapping[str, Mapping[str, float]],
    description: str,
) -> int:
    """What `python recipes/aspmtl_ablation.py` runs.

    Args:
        systems: corpus -> (noises -> system -> recipe); the first is the default.
        about: system -> what it is, in the order of the table.
        pairs: the differences to be shown.
        paper: system -> {metric: the paper's figure}.
        description: the recipe's page, for --help.
    """
    from keras_ser.cli.error_handling import guarded
    from keras_ser.cli.systems import systems_parser
    from keras_ser.cli.training import INTERRUPTED

    parser = systems_parser(description)
    parser.set_defaults(unseen="")
    options = parser.parse_args()
    return guarded(lambda: _ablation(systems, about, pairs, paper, options), INTERRUPTED)


def _ablation(systems, about, pairs, paper, options: argparse.Namespace) -> int:
    from keras_ser.cli.progress import Progress
    from keras_ser.cli.systems import chosen_systems, run_options, systems_folder
    from keras_ser.cli.training import folds_asked

    noises = tested_noises(options)
    _, recipes, data, _ = chosen_systems({variant: of(noises) for variant, of in systems.items()}, options)

    from keras_ser.experiment.ablation import run_ablation

    first = next(iter(recipes.values()))
    there = {f"B ({system})" for system in recipes} | set(recipes)
    with Progress(quiet=options.quiet) as progress:
        made = run_ablation(
            recipes,
            data,
            options.out,
            about={system: what for system, what in about.items() if system in there},
            paper={system: figures for system, figures in paper.items() if system in there},
            pairs=[pair for pair in pairs if set(pair) <= there],
            notes=[f"Noises: {', '.join(noises)}, each test clip with one of them at {list(first.streams[0].snr)} dB."],
            **run_options(options, progress),
        )
    print("\n".join(made.lines()))
    print(f"\nreport: {made.save(systems_folder(Path(options.out), recipes, folds_asked(options)), 'ablation')}")
    return 1 if progress.failures else 0


def print_denoising(recipe, data, folder: Path, options: argparse.Namespace, paper) -> None:
    """Tables 5 to 8 of a trained experiment."""
    from keras_ser.cli.progress import step_printer
    from keras_ser.cli.training import folds_asked
    from keras_ser.experiment.denoising import run_denoising

    noises = tested_noises(options)
    notes = []
    lacking = [name for name in PAPER_NOISES if name not in noises]
    if lacking:
        notes.append(f"Without --noise-root there is no {', '.join(lacking)}: its table is left out.")

    made = run_denoising(
        recipe,
        data,
        folder,
        noises,
        clips=options.clips,
        folds=folds_asked(options),
        paper=paper,
        notes=notes,
        on_step=step_printer(options.quiet),
    )
    print("\n".join(made.lines()))
    print(f"\nreport: {folder / 'denoising.md'}")
