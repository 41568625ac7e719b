"""The command `tune`: search a recipe's hyperparameters."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ser.cli.arguments import positive
from keras_ser.cli.engines import add_engine_arguments, check_engine, opened, share_cores
from keras_ser.cli.error_handling import guarded
from keras_ser.cli.parsing import Parser
from keras_ser.cli.progress import Progress
from keras_ser.cli.recipes import choose, recipes_for
from keras_ser.cli.training import INTERRUPTED, OUT, add_training_arguments, folds_asked, prepared
from keras_ser.experiment.preparing import begun


def add(commands) -> None:
    """Add this command to the parser."""
    tune = commands.add_parser(
        "tune",
        help="search a recipe's hyperparameters (default: its loss weights) with KerasTuner, on validation sets only",
        description="Train a recipe with different hyperparameters and keep those with the best validation score. No test set "
        "is used. To continue a search, repeat the command.",
    )
    tune.add_argument("recipe", help="recipe file (.py), recipe.json, or folder of a run or experiment")
    _add_arguments(tune)
    tune.set_defaults(run=lambda options: _tune(options, *recipes_for(options)), interrupted=INTERRUPTED)


def tune_main(
    recipes: Mapping[str, Any],
    description: str,
    demo: str | None = None,
    *,
    space: Sequence[str] = (),
    confirm: int = 0,
) -> int:
    """Run the command line of a search script, e.g. `python recipes/aspmtl_tune.py`.

    Args:
        recipes: variant -> Recipe; the first is the default.
        description: the text of --help.
        demo: the variant that runs on the demo corpus without --corpus-root; None = --corpus-root is required.
        space: the search space, unless --space is given.
        confirm: number of further seeds, unless --confirm is given.
    """
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_arguments(parser)
    parser.set_defaults(confirm=confirm)
    options = parser.parse_args()
    options.space = options.space or list(space)
    return guarded(lambda: _tune(options, recipes, demo), INTERRUPTED)


def _add_arguments(tune: argparse.ArgumentParser) -> None:
    add_training_arguments(tune, jobs=False, trials=True)
    tune.add_argument(
        "--space",
        action="append",
        metavar="KEY=LOW:HIGH[:log]|A,B[,..]",
        help="setting to search, e.g. config.beta=0.01:10:log or config.units=16,32 (repeatable; default: the loss weights)",
    )
    tune.add_argument(
        "--trials", type=positive, metavar="N", help="number of settings to try (default: 20; for a grid, all)"
    )
    tune.add_argument(
        "--method",
        choices=["bayesian", "random", "grid"],
        default="bayesian",
        help="search method of KerasTuner (default: bayesian; a grid requires choices)",
    )
    tune.add_argument(
        "--prune",
        choices=["median"],
        help="stop trials whose best score so far is below the median of finished trials at the same epoch (default: none)",
    )
    tune.add_argument(
        "--confirm",
        type=positive,
        default=0,
        metavar="N",
        help="train the best setting and the unchanged recipe with N further seeds, to test the gain (default: do not)",
    )
    add_engine_arguments(tune, "1")


def _tune(options: argparse.Namespace, recipes: Mapping[str, Any], demo: str | None) -> int:
    from keras_ser.tuning import default_space, parse, search_folder
    from keras_ser.tuning.space import check_search, judging

    check_engine(options)
    if options.engine != "ray" and (options.jobs or 1) > 1:
        share_cores(options.jobs)
    folds = folds_asked(options) or [0]
    space = [parse(text) for text in options.space or ()]

    recipe = begun(choose(recipes, options, demo), options.init_from)
    seeds = min(options.seeds or 1, len(recipe.seeds))  # one where the seed has no effect
    # report an impossible search before reading the corpus
    check_search(recipe, space or default_space(recipe), options.confirm)
    chosen, data, _ = prepared({recipe.name: recipe}, options, lambda each: each.replace(protocols=(judging(each),)))
    (recipe,) = chosen.values()
    space = space or default_space(recipe)

    from keras_ser.tuning.tuner import search

    folder = search_folder(recipe, space, options.out, folds, seeds, options.method, options.prune)
    with Progress(quiet=options.quiet) as progress:

        def on_trial(number: int, trials: int) -> None:
            progress.say(f"trial {number} of {trials}" if number else "the unchanged recipe")

        local = options.engine != "ray" and (options.jobs or 1) == 1
        with opened(options, data, folder, options.jobs) as engine:
            found = search(
                recipe,
                data,
                space,
                folder,
                trials=options.trials,
                folds=folds,
                seeds=seeds,
                method=options.method,
                prune=options.prune,
                confirm=options.confirm,
                engine=engine,
                on_trial=on_trial,
                on_job=progress.job,
                **({"on_epoch": progress.epoch} if local else {}),
                strategy=options.strategy,
                initial=options.init_from,
            )
    print("\n".join([*found.report().lines(), "", *found.conclusions()]))
    again = [f"trial {trial.number} failed: {trial.failed}" for trial in found.trials.values() if trial.again]
    again += [reason for reason, repeats in found.unconfirmed.items() if repeats]
    for reason in again:
        print(f"{reason} The same command repeats it.", file=sys.stderr)
    print(f"\nreport: {folder / 'tuning.md'}")
    if found.ranked[0].number:
        print(f"next: {following(folder / 'recipe.json', options)}")
    else:
        print("best: the unchanged recipe, which needs no other settings")
    return 1 if again else 0


def following(recipe: Path, options: argparse.Namespace) -> str:
    """Return the command that trains the recipe found by a search on the same corpora, in the same way and place."""
    given = {"--corpus-root": options.corpus_root, "--metadata": options.metadata, "--noise-root": options.noise_root}
    given |= {"--audio-root": options.audio_root}
    given |= {"--aux-corpus": options.aux_corpus, "--aux-root": options.aux_root}
    given |= {"--init-from": options.init_from} if options.init_from else {}
    given |= {"--bad": options.bad} if options.bad != "raise" else {}
    given |= {"--strategy": options.strategy, "--cache": options.cache}
    given |= {"--out": options.out} if options.out != OUT else {}
    words = [word for name, value in given.items() if value for word in (name, str(value))]
    further = [(name, root) for name, root in options.corpus_roots.items() if root != options.corpus_root]
    words += [word for name, root in further for word in ("--corpus-root", f"{name}={root}")]
    words += [word for columns in options.columns for word in ("--columns", columns)]
    words += ["--deterministic"] if options.deterministic else []
    return shlex.join(["keras-ser", "train", str(recipe), *words])
