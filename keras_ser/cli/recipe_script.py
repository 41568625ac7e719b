"""Run a recipe's script or `keras-ser train`: train a recipe or several systems, and report."""

import argparse
import hashlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_ser.cli.engines import check_engine, opened, share_cores
from keras_ser.cli.error_handling import guarded
from keras_ser.cli.final import FINAL, as_before, train_on_all
from keras_ser.cli.one_run import add_jobs, train_one
from keras_ser.cli.papers import Paper
from keras_ser.cli.parsing import Parser
from keras_ser.cli.progress import Progress, show
from keras_ser.cli.recipes import choose, choose_systems, recipes_for
from keras_ser.cli.training import INTERRUPTED, add_training_arguments, folds_asked, prepared
from keras_ser.errors import UserError
from keras_ser.experiment.preparing import begun
from keras_ser.machine import cores

Reports = Callable[["Trained"], Iterable[tuple[Any, Path]]]


@dataclass(frozen=True)
class Trained:
    """A finished training, from which a recipe's reports are made.

    Args:
        variant: name of the chosen variant.
        systems: name -> `keras_ser.experiment.systems.System`.
        data, options: the corpora, and the options of the command line.
        notes: notes on the choice, for the report.
    """

    variant: str
    systems: Mapping[str, Any]
    data: Any
    options: argparse.Namespace
    notes: Sequence[str] = ()

    @property
    def recipes(self) -> dict[str, Any]:
        """System -> its recipe."""
        return {name: system.recipe for name, system in self.systems.items()}

    @property
    def folds(self) -> list[int] | None:
        return folds_asked(self.options)

    @property
    def first(self) -> Any:
        """The first system's recipe."""
        return next(iter(self.systems.values())).recipe

    def paper(self, papers: Mapping[str, Paper]) -> Paper:
        """The variant's paper; an empty one on a corpus given by --corpus, which is not the paper's."""
        return Paper() if self.options.corpus else papers.get(self.variant, Paper())

    @property
    def name(self) -> str:
        """What the names of the systems' recipes have in common; see `common_name`."""
        return common_name(self.recipes)

    @property
    def missing(self) -> Sequence[str]:
        """Sentences on excluded runs."""
        return next(iter(self.systems.values())).missing

    @property
    def folder(self) -> Path:
        """The folder of the tables over several systems; see `systems_folder`."""
        return systems_folder(Path(self.options.out), self.recipes, self.folds)


def add(commands) -> None:
    """Add the commands to the parser."""
    train = commands.add_parser(
        "train",
        help="train a recipe on all its protocols, folds and seeds, and write a report",
        description="Train every fold and seed of a recipe's protocols and write a report. Finished runs are skipped, and an "
        "interrupted run continues.",
    )
    train.add_argument("recipe", help="recipe file (.py), recipe.json, or folder of a run or experiment")
    add_training_arguments(train)
    train.set_defaults(run=_train, interrupted=INTERRUPTED)
    add_jobs(commands)


def _train(options: argparse.Namespace) -> int:
    recipes, demo = recipes_for(options)
    if options.final:
        source = Path(options.recipe)
        as_before(source.parent if source.suffix == ".json" else source, options)
    return run(Script(recipes, demo), options)


def systems_folder(out: Path, recipes: Mapping[str, Any], folds: Sequence[int] | None = None) -> Path:
    """Return the folder of the tables over several systems; its name depends on the settings, systems and folds."""
    settings = [] if folds is None else [f"folds {sorted(folds)}"]
    settings += sorted(f"{name} {recipe.hash} {recipe.protocols} {recipe.seeds}" for name, recipe in recipes.items())
    digest = hashlib.sha1("\n".join(settings).encode()).hexdigest()[:8]
    return out / f"{common_name(recipes)}-systems-{digest}"


def common_name(recipes: Mapping[str, Any]) -> str:
    """Return what the names of several systems' recipes, NAME-SYSTEM, have in common: NAME, which tells variants apart."""
    return min((recipe.name.removesuffix(f"-{system}") for system, recipe in recipes.items()), key=len)


@dataclass(frozen=True)
class Script:
    """What a recipe's script trains, beside the options of its command line.

    Args:
        recipes: variant -> Recipe, or variant -> system -> Recipe for several systems, trained one after another on the same
            splits. The first variant is the default.
        demo: the variant that runs on the demo corpus without --corpus-root; None = --corpus-root is required.
        adjust: (recipe, options) -> the recipe changed by the recipe's own options.
        own: for several systems: corpus -> (corpus or variant -> system -> recipe, notes), for any corpus given by --corpus.
        needs: system -> the package that it needs. Without the package the system is left out, or an error if selected.
        reports: function that makes the reports from the trained systems. Default: the report of the experiment.
        fitted: for several systems: (system -> recipe, corpus) -> (system -> recipe, notes), the recipes adapted to a corpus.
        announce: (system -> recipe, data, (system, job) of each run to train) -> lines printed before the first run.
    """

    recipes: Mapping[str, Any]
    demo: str | None = None
    adjust: Callable[[Any, argparse.Namespace], Any] | None = None
    own: Callable[[Any], tuple[Mapping[str, Mapping[str, Any]], Sequence[str]]] | None = None
    needs: Mapping[str, str] = field(default_factory=dict)
    reports: Reports | None = None
    fitted: Callable[[Mapping[str, Any], Any], tuple[Mapping[str, Any], Sequence[str]]] | None = None
    announce: Callable[[Mapping[str, Any], Any, Sequence[tuple[str, Any]]], Sequence[str]] | None = None

    @property
    def several(self) -> bool:
        """Whether it trains several systems."""
        return isinstance(next(iter(self.recipes.values())), Mapping)

    def select(self, options: argparse.Namespace) -> tuple[str, dict[str, Any], list[str]]:
        """Return the variant's name, system -> recipe, and notes on the choice."""
        notes: list[str] = []
        if self.several:
            absent = {name: package for name, package in self.needs.items() if not importlib.util.find_spec(package)}
            variant, chosen, notes = choose_systems(self.recipes, options, self.demo, self.own, absent, self.fitted)
        else:
            recipe = choose(self.recipes, options, self.demo)
            variant, chosen = recipe.name, {recipe.name: recipe}
        if self.adjust:
            chosen = {name: self.adjust(recipe, options) for name, recipe in chosen.items()}
        return variant, {name: begun(recipe, options.init_from) for name, recipe in chosen.items()}, notes


def recipe_main(
    recipes: Mapping[str, Any],
    description: str,
    demo: str | None = None,
    *,
    arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    **more: Any,
) -> int:
    """Run the command line of a recipe's script, `python recipes/NAME.py`.

    Args:
        recipes, demo, more: see `Script`.
        description: the text of --help.
        arguments: function that adds the recipe's own options to the parser.
    """
    script = Script(recipes, demo, **more)
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_arguments(parser)
    if script.several:
        parser.add_argument("--systems", metavar="A[,B..]", help="train only these systems (default: all)")
    if arguments:
        arguments(parser)
    options = parser.parse_args()
    return guarded(lambda: run(script, options), INTERRUPTED)


def run(script: Script, options: argparse.Namespace) -> int:
    """Train, print the summaries of the reports and return the exit code, 1 if a run failed."""
    folds = folds_asked(options)
    variant, chosen, notes = script.select(options)
    _check_together(options)
    alone, on_ray = options.job, options.engine == "ray"
    one = alone is not None or options.final
    processes = 1 if one else options.jobs or (None if on_ray else _usual_processes(chosen.values()))
    if not on_ray and processes > 1:
        share_cores(processes)
    chosen, data, read_options = prepared(chosen, options)

    from keras_ser.experiment import experiment_folder, run_experiment
    from keras_ser.experiment.clips_notes import notes_on_clips, unlabelled_note
    from keras_ser.experiment.failures import TakenError, forget_failures
    from keras_ser.experiment.planning import jobs
    from keras_ser.experiment.runner import train_experiments
    from keras_ser.experiment.stored import finished
    from keras_ser.experiment.systems import System, run_systems

    reports = script.reports
    with Progress(quiet=options.quiet) as progress:
        shared = {
            "folds": folds,
            "read_options": read_options,
            "strategy": options.strategy,
            "initial": options.init_from,
        }
        given = {**shared, "on_job": progress.job, "on_epoch": progress.epoch}
        folders = {name: experiment_folder(recipe, options.out) for name, recipe in chosen.items()}
        for line in [*unlabelled_note(next(iter(chosen.values())).tasks[0], data), *notes_on_clips(data)]:
            progress.say(line)
        if options.final:
            ((name, recipe), *_) = chosen.items()
            folder = options.experiment or folders[name]
            out = Path(options.out)
            into = None if folder.resolve().parent == out.resolve() else out / f"{folder.name}-{FINAL}"
            return train_on_all(recipe, data, folder, into, given, progress)
        if alone is not None:  # "" comes from an unset variable of a batch system
            return train_one(alone, chosen, data, folders, folds, script.several, given, progress)
        every = [(name, job) for name, recipe in chosen.items() for job in jobs(recipe, data, folds)]
        todo = [(name, job) for name, job in every if not finished(folders[name], job)]
        for line in [*notes, *script.announce(chosen, data, todo)] if script.announce else ():
            progress.say(line)
        if todo and (on_ray or min(processes, len(todo)) > 1):
            # retry runs that failed before, once
            forget_failures([(folders[name], job) for name, job in every])
            with opened(options, data, Path(options.out), min(processes or len(todo), len(todo))) as engine:
                train_experiments(engine, chosen, data, folders, **shared, on_done=progress.done)
            given["again"] = False
        given["on_failure"] = progress.failure
        try:
            if script.several:
                systems = run_systems(chosen, data, options.out, **given)
            else:
                ((name, recipe),) = chosen.items()
                made = run_experiment(recipe, data, folders[name], **given)
                systems = {name: System(recipe, folders[name], made.predictions, made.missing)}
                reports = reports or (lambda trained: [(made, folders[name] / "report.md")])
        except TakenError as error:
            progress.say(str(error), always=True)
            return 1 if progress.failures else 0
    for number, (made, path) in enumerate(reports(Trained(variant, systems, data, options, notes))):
        print(end="\n" if number else "")
        show(made, path)
    return 1 if progress.failures else 0


def _check_together(options: argparse.Namespace) -> None:
    """Raise UserError for options that exclude each other."""
    check_engine(options)
    for name in ("protocol", "folds", "jobs") if options.final else ():
        if getattr(options, name):
            raise UserError(f"--final trains on all clips, after cross-validation: omit --{name}.")
    alone = options.job is not None
    if alone and (options.final or options.jobs):
        raise UserError(f"--job trains one run: omit --{'final' if options.final else 'jobs'}.")
    if options.engine == "ray" and (alone or options.final):
        raise UserError(f"--{'final' if options.final else 'job'} trains one run in this process: omit --engine ray.")


def _usual_processes(recipes: Iterable[Any]) -> int:
    """Return the default of --jobs: one run, or on the demo corpus as many as there are cores."""
    if any(recipe.corpus != "demo" for recipe in recipes):
        return 1
    return min(cores(), sum(len(recipe.protocols) * len(recipe.seeds) for recipe in recipes))


def flat(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return name -> recipe for `keras-ser train`: VARIANT-SYSTEM, or SYSTEM alone in the first variant."""
    first = next(iter(variants))
    return {
        system if variant == first else f"{variant}-{system}": recipe
        for variant, systems in variants.items()
        for system, recipe in systems.items()
    }
