"""What the recipes of emotion and speaker identity print: the gain of both over one, and the verification."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figures:
    """What a paper prints, as fractions.

    Args:
        source: of the figures.
        gain: system -> {metric: figure} of the main task.
        verification: system -> {metric: figure}.
    """

    source: str = ""
    gain: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    verification: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def gain_main(
    variants: Mapping[str, Mapping[str, Any]],
    description: str,
    *,
    over: tuple[str, str],
    reference: str,
    papers: Mapping[str, Figures],
) -> int:
    """What a recipe of several systems runs: train them, print the table of the gain and that of the speakers.

    Args:
        variants: corpus or setting -> system -> recipe; the first is the default, "demo" that without a --corpus-root.
        description: the recipe's page, for --help.
        over: (a, b): the gain of system b over a on the main task.
        reference: the system that the others' verification is compared with.
        papers: variant -> a paper's figures of that very setting.
    """
    from keras_ser.cli.error_handling import guarded
    from keras_ser.cli.systems import systems_parser
    from keras_ser.cli.training import INTERRUPTED

    options = systems_parser(description).parse_args()
    return guarded(lambda: _run(variants, options, over, reference, papers), INTERRUPTED)


def _run(variants, options: argparse.Namespace, over, reference: str, papers: Mapping[str, Figures]) -> int:
    from keras_ser.cli.progress import Progress, step_printer
    from keras_ser.cli.systems import chosen_systems, run_options, systems_folder
    from keras_ser.cli.training import folds_asked

    variant, recipes, data, _ = chosen_systems(variants, options)

    from keras_ser.evaluation.gain import GainReport
    from keras_ser.evaluation.trials import TrialsError
    from keras_ser.experiment.jobs import unit
    from keras_ser.experiment.reporting import notes
    from keras_ser.experiment.systems import run_systems
    from keras_ser.experiment.verification import run_verification

    paper = papers.get(variant, Figures())
    first = next(iter(recipes.values()))
    for line in _sides(first, data):
        print(line)
    with Progress(quiet=options.quiet) as progress:
        systems = run_systems(recipes, data, options.out, **run_options(options, progress))
    out = systems_folder(Path(options.out), recipes, folds_asked(options))
    protocol = first.protocols[-1]
    missing = next(iter(systems.values())).missing
    told = [f"{first.epochs} epochs, {len(first.seeds)} seed(s); the last epoch is kept."]
    told += notes(first, data, folds_asked(options))
    told += [f"Paper: {paper.source}."] if paper.source else []
    if protocol.speaker_dependent:
        told.append("A speaker-dependent split: the speakers of the test clips are in the training set too.")
    if set(over) <= set(systems):
        made = GainReport(
            title=f"{' over '.join(over[::-1])} on {data.corpus.name}, {protocol.name}",
            tables={system: systems[system].predictions for system in over},
            task=systems[over[1]].recipe.tasks[0],
            protocol=protocol.name,
            paper={system: paper.gain[system] for system in over if system in paper.gain},
            notes=[*missing, *told],
            unit=unit(data),
        )
        print("\n".join(made.lines()))
        print(f"\nreport: {made.save(out, 'gain')}\n")
    try:
        found = run_verification(
            dict(sorted(systems.items(), key=lambda item: item[0] != reference)),
            data,
            out,
            folds=folds_asked(options),
            paper={system: figures for system, figures in paper.verification.items() if system in systems},
            title=f"Speaker verification on {data.corpus.name}, {protocol.name}",
            notes=told,
            on_step=step_printer(options.quiet),
        )
    except TrialsError as error:
        print(f"No speaker verification: {error}")
    else:
        print("\n".join(found.lines()))
        print(f"\nreport: {out / 'verification.md'}")
    return 1 if progress.failures else 0


def _sides(recipe, data) -> list[str]:
    """How the matched columns are distributed on the sides of the first fold."""
    from keras_ser.evaluation import markdown
    from keras_ser.experiment.jobs import jobs
    from keras_ser.splits import distributions

    job = jobs(recipe, data)[0]
    if not job.protocol.match:
        return []
    rows = distributions(job.split, data.corpus, job.protocol.match, job.protocol.by)
    shown = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    return [f"{job.protocol.by}s on each side", "", *markdown.aligned(shown, left=2), ""]
