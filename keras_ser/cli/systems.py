"""What recipes of several systems share: which are trained, on which corpus, with which options."""

import argparse
import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_ser.errors import UserError

# options of one recipe's training that would not mean the same for several
MEANINGLESS = ("metadata", "aux_root")


@dataclass(frozen=True)
class Paper:
    """What a paper prints of several systems.

    Args:
        scores: system -> {metric: figure} of the main task, fractions.
        confused: the system whose confusion matrix it shows; confusion: that matrix, fractions of the true class (row).
        source: of what the figures are.
        labels: the main task's classes that they are of; with others nothing of the paper is shown. Empty = any.
    """

    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confused: str | None = None
    confusion: Sequence[Sequence[float]] = ()
    source: str = ""
    labels: tuple[str, ...] = ()


def systems_main(
    variants: Mapping[str, Mapping[str, Any]],
    description: str,
    *,
    about: Mapping[str, str],
    pairs: Sequence[tuple[str, str]] = (),
    paper: Paper | None = None,
    own: Callable[[Any], tuple[Mapping[str, Any], Sequence[str]]] | None = None,
    needs: Mapping[str, str] | None = None,
) -> int:
    """What a recipe of several systems runs: train them, and print one table of their scores and differences.

    Args:
        variants: corpus or setting -> system -> recipe; the first is the default, "demo" that without a --corpus-root.
        description: the recipe's page, for --help.
        about: system -> what it is.
        pairs: (a, b): the differences a - b to be shown.
        paper: what is shown beside the measured figures.
        own: corpus -> (system -> recipe, notes), for any corpus that is named (--corpus NAME).
        needs: system -> the package that it needs and that may be missing: the system is then left out, unless it is asked for.
    """
    from keras_ser.cli.error_handling import guarded
    from keras_ser.cli.training import INTERRUPTED

    options = systems_parser(description).parse_args()
    return guarded(lambda: _run(variants, options, about, pairs, paper or Paper(), own, needs or {}), INTERRUPTED)


def _run(variants, options: argparse.Namespace, about, pairs, paper, own, needs) -> int:
    from keras_ser.cli.progress import Progress
    from keras_ser.cli.training import folds_asked

    absent = {system: package for system, package in needs.items() if importlib.util.find_spec(package) is None}
    _, recipes, data, told = chosen_systems(variants, options, own, absent)

    from keras_ser.evaluation.protocols import ProtocolsReport
    from keras_ser.evaluation.systems import SystemsReport
    from keras_ser.experiment.jobs import unit
    from keras_ser.experiment.reporting import notes
    from keras_ser.experiment.systems import run_systems

    first = next(iter(recipes.values()))
    with Progress(quiet=options.quiet) as progress:
        systems = run_systems(recipes, data, options.out, **run_options(options, progress))
    folds = folds_asked(options)
    missing = next(iter(systems.values())).missing
    told = list(
        dict.fromkeys([*missing, *told, *(note for recipe in recipes.values() for note in notes(recipe, data, folds))])
    )
    if absent and not options.systems:
        packages = ", ".join(f'pip install "keras-ser[{package}]"' for package in dict.fromkeys(absent.values()))
        told.append(f"Left out: {', '.join(absent)} ({packages}).")
    if paper.labels and paper.labels != first.tasks[0].labels:
        told.append(f"The paper's figures are of the classes {', '.join(paper.labels)}, and not shown.")
        paper = Paper(confused=paper.confused)
    told += [f"Paper: {paper.source}."] if paper.source else []
    if first.windows is not None and not first.tasks[0].continuous:
        counts = sorted(data.readable.counts(first.tasks[0].column).items())
        told.append(f"Windows in all: {', '.join(f'{label} {count}' for label, count in counts)}.")
    title = f"{first.name.split('-', 1)[0]} on {data.corpus.name}"
    reports = [
        SystemsReport(
            title=f"{title}, {protocol.name}",
            tables={name: system.predictions for name, system in systems.items()},
            about=about,
            task=first.tasks[0],
            protocol=protocol.name,
            paper={name: figures for name, figures in paper.scores.items() if name in systems},
            pairs=[pair for pair in pairs if set(pair) <= set(systems)],
            unit=unit(data),
            items="windows" if first.windows else "clips",
            deterministic=[name for name, system in systems.items() if system.deterministic],
        )
        for protocol in first.protocols
        if any(protocol.name in set(system.predictions["protocol"]) for system in systems.values())
    ]
    made = ProtocolsReport(
        title=title,
        reports=reports,
        described={protocol.name: _described(protocol, data, first) for protocol in first.protocols},
        confused=paper.confused if paper.confused in systems else None,
        paper_confusion=paper.confusion,
        notes=told,
    )
    print("\n".join(made.lines()))
    print(f"\nreport: {made.save(systems_folder(Path(options.out), recipes, folds), 'systems')}")
    return 1 if progress.failures else 0


def _described(protocol, data, recipe) -> str:
    from keras_ser.experiment.reporting import protocol_facts

    text = protocol_facts(protocol, data, recipe)["description"]
    return text + ("; speaker-dependent: the speakers tested are trained on, too" if protocol.speaker_dependent else "")


def systems_folder(out: Path, recipes: Mapping[str, Any], folds: Sequence[int] | None = None) -> Path:
    """Where the tables over several systems go: other settings, systems, or folds have another folder."""
    settings = [] if folds is None else [f"folds {sorted(folds)}"]
    settings += sorted(
        f"{system} {recipe.hash} {recipe.protocols} {recipe.seeds}" for system, recipe in recipes.items()
    )
    digest = hashlib.sha1("\n".join(settings).encode()).hexdigest()[:8]
    name = next(iter(recipes.values())).name.split("-", 1)[0]
    return out / f"{name}-systems-{digest}"


def flat(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Every recipe by one name, for `keras-ser train`: those of the first variant by their system's."""
    first = next(iter(variants))
    return {
        system if variant == first else f"{variant}-{system}": recipe
        for variant, systems in variants.items()
        for system, recipe in systems.items()
    }


def systems_parser(description: str) -> argparse.ArgumentParser:
    from keras_ser.cli.training import add_training_arguments

    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_arguments(parser)
    parser.add_argument("--systems", metavar="A[,B..]", help="only these (default: all)")
    return parser


def chosen_systems(
    variants: Mapping[str, Mapping[str, Any]],
    options: argparse.Namespace,
    own: Callable[[Any], tuple[Mapping[str, Any], Sequence[str]]] | None = None,
    absent: Mapping[str, str] | None = None,
):
    """The recipes that the options ask for, and their corpus, decoded.

    Args:
        variants: corpus -> system -> recipe; the first is the default, "demo" that without a --corpus-root.
        options: of `systems_parser`.
        own: corpus -> (system -> recipe, notes), for --corpus NAME.
        absent: system -> the package that it lacks.

    Returns:
        The variant's name, system -> recipe, their `Data`, and what is to be said of the choice.

    Raises:
        ValueError: an option that has no meaning here, an unknown variant or system.
    """
    from keras_ser.cli.recipes import choose
    from keras_ser.cli.training import check_all, check_labels

    for option in (*MEANINGLESS, *(["corpus"] if own is None else [])):
        if getattr(options, option):
            named = "--corpus-root is taken as it is" if options.corpus else "--variant names the corpus"
            raise UserError(f"--{option.replace('_', '-')} has no meaning here: {named}.")
    told: Sequence[str] = ()
    if options.corpus:
        name, (made, told) = options.corpus, _of_corpus(options, own)
        if options.protocol == "disjoint" and told:
            raise UserError(f"--protocol disjoint can't be had: {' '.join(told)}")
    else:
        name = options.variant or ("demo" if "demo" in variants and not options.corpus_root else next(iter(variants)))
        if name not in variants:
            raise UserError(f"--variant must be one of {', '.join(variants)}. Received: {name!r}.")
        made = variants[name]
    absent = absent or {}
    asked = options.systems.split(",") if options.systems else [system for system in made if system not in absent]
    strays = [system for system in asked if system not in made]
    if strays:
        raise UserError(f"--systems must be of {', '.join(made)}. Received: {strays[0]!r}.")
    lacking = [system for system in asked if system in absent]
    if lacking:
        package = absent[lacking[0]]
        raise UserError(f'{lacking[0]} needs {package}, which is not installed: pip install "keras-ser[{package}]".')
    recipes, pairs = {}, options.set
    for system in asked:
        options.variant = system
        # a task that only some systems have is set in those
        options.set = [
            pair for pair in pairs if _has(made[system], pair) or not any(_has(made[s], pair) for s in asked)
        ]
        recipes[system] = choose(made, options, system)
    options.set = pairs
    recipe = recipes[asked[0]]
    # a mistake in a path or a label should be told before TensorFlow's seconds of import
    _, corpus = recipe.read(options.corpus_root)
    recipes = {system: each.for_corpus(corpus) for system, each in recipes.items()}
    for each in recipes.values():
        check_labels(each, corpus, {})
        check_all(each, corpus, options)

    from keras_ser.training import Data, deterministic

    if options.deterministic:
        deterministic()
    data = Data.load(
        recipe,
        corpus,
        Path(options.out) / "cache",
        noise_root=Path(options.noise_root) if options.noise_root else None,
        bad=options.bad,
        progress=not options.quiet,
    )
    for each in recipes.values() if data.cache.dropped else ():
        check_labels(each, data.readable, {})
    return name, recipes, data, told


def _of_corpus(options: argparse.Namespace, own) -> tuple[Mapping[str, Any], Sequence[str]]:
    """System -> recipe for the corpus that --corpus names, and notes."""
    from keras_ser.corpora import read_corpus

    if options.variant:
        raise UserError("--variant names one of the recipe's own corpora, --corpus any other: give one of them.")
    if not options.corpus_root and options.corpus != "demo":
        raise UserError(f"--corpus {options.corpus} needs --corpus-root DIR.")
    return own(read_corpus(options.corpus, options.corpus_root))


def _has(recipe, pair: str) -> bool:
    """Whether a recipe has the key of KEY=VALUE."""
    key, _, value = pair.partition("=")
    try:
        recipe.override(key, value)
    except KeyError:
        return False
    except ValueError:
        return True  # which says more when it is set
    return True


def run_options(options: argparse.Namespace, progress) -> dict[str, Any]:
    """What `run_systems` takes of the command line."""
    from keras_ser.cli.training import folds_asked

    return {
        "folds": folds_asked(options),
        "on_job": progress.job,
        "on_failure": progress.failure,
        "on_epoch": progress.epoch,
        "read_options": {"root": options.corpus_root} if options.corpus_root else {},
        "strategy": options.strategy,
    }
