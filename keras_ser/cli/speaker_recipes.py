"""What the recipes of emotion and speaker identity print: the gain of both over one, and the verification."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def gain_main(
    variants: Mapping[str, Mapping[str, Any]],
    description: str,
    *,
    over: tuple[str, str],
    paper: Mapping[str, Mapping[str, float]],
    paper_verification: Mapping[str, Mapping[str, float]],
    source: str,
) -> int:
    """What a recipe of several systems runs: train them, print the table of the gain and that of the speakers.

    Args:
        variants: corpus -> system -> recipe; the first is the default, "demo" that without a --corpus-root.
        description: the recipe's page, for --help.
        over: (a, b): the gain of system b over a on the main task.
        paper: system -> {metric: the paper's figure}, of the main task.
        paper_verification: system -> {metric: the paper's figure}.
        source: where those figures are from.
    """
    from keras_ser.cli.guard import guarded
    from keras_ser.cli.systems import systems_parser
    from keras_ser.cli.training import INTERRUPTED

    parser = systems_parser(description)
    options = parser.parse_args()
    return guarded(lambda: _run(variants, options, over, paper, paper_verification, source), INTERRUPTED)


def _run(variants, options: argparse.Namespace, over, paper, paper_verification, source: str) -> int:
    from keras_ser.cli.systems import chosen_systems, run_options
    from keras_ser.cli.training import Progress, folds_asked, step_printer

    recipes, data = chosen_systems(variants, options)

    from keras_ser.evaluation.gain import GainReport
    from keras_ser.evaluation.trials import TrialsError
    from keras_ser.experiment.jobs import unit
    from keras_ser.experiment.systems import run_systems
    from keras_ser.experiment.verification import run_verification

    first = next(iter(recipes.values()))
    own_paper = {name: paper[name] for name in over if name in paper}
    if set(data.corpus.vocabulary.get("emotion", ())) != _classes(own_paper):
        own_paper = {}  # another corpus, with other classes: nothing to stand beside
    for line in _sides(first, data):
        print(line)
    with Progress(first, quiet=options.quiet) as progress:
        systems = run_systems(recipes, data, options.out, **run_options(options, progress))
    out = Path(options.out)
    name = f"{first.name.rsplit('-', 1)[0]}-{data.corpus.name}" if "-" in first.name else first.name
    if set(over) <= set(systems):
        protocol = systems[over[1]].recipe.protocols[0]
        recipe = systems[over[1]].recipe
        made = GainReport(
            title=f"{' over '.join(over[::-1])} on {data.corpus.name}",
            tables={system: systems[system].predictions for system in over},
            task=recipe.tasks[0],
            protocol=protocol.name,
            paper=own_paper,
            notes=[
                *([f"Paper columns: {source}"] if own_paper else []),
                f"{recipe.epochs} epochs, {len(recipe.seeds)} seed(s); the last epoch is kept.",
            ],
            unit=unit(data),
        )
        print("\n".join(made.lines()))
        print(f"\nreport: {made.save(out, f'gain-{name}')}\n")
    folder = out / f"verification-{name}"
    try:
        found = run_verification(
            systems,
            data,
            folder,
            folds=folds_asked(options),
            paper={k: v for k, v in paper_verification.items() if k in systems} if own_paper else {},
            on_step=step_printer(options.quiet),
        )
    except TrialsError as error:
        print(f"No speaker verification: {error}")
        return 0
    print("\n".join(found.lines()))
    print(f"\nreport: {folder / 'verification.md'}")
    return 0


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


def _classes(paper: Mapping[str, Mapping[str, float]]) -> set[str]:
    return {metric.removeprefix("recall/") for figures in paper.values() for metric in figures if "/" in metric}
