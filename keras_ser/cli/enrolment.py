"""The options --verify and --enrol of a recipe: after training, verify the speakers of further corpora."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache as kept
from typing import Any

from keras_ser.cli.arguments import named_roots, positive, shared_table_options
from keras_ser.cli.progress import step_printer
from keras_ser.errors import UserError
from keras_ser.tasks import identity

ENROL = 20


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--verify",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="also verify the speakers of this corpus who were not seen in training (repeatable, to verify all of them together)",
    )
    parser.add_argument(
        "--enrol",
        type=positive,
        metavar="N",
        help=f"with --verify, number of utterances to enrol a speaker with (default: {ENROL})",
    )


def verified(recipe: Any, options: argparse.Namespace) -> list[Any]:
    """Read the corpora of --verify, and check what can be checked before anything is decoded.

    Raises:
        UserError: see `named_roots`; a clip has no speaker, or too few speakers have enough clips.
            Speakers are counted here unless the recipe reads one of these corpora, too, and may train on some of them; see
            `check_before`.
    """
    from keras_ser.evaluation.verification_trials import check_enrolment
    from keras_ser.experiment.verification import check_verifiable

    if not options.verify:
        if getattr(options, "enrol", None):
            raise UserError("--enrol is for the speakers of --verify NAME=DIR: give it as well.")
        return []
    _, by = shared_table_options(options, recipe.corpus)
    roots = named_roots("--verify", options.verify)
    corpora = [_read(name, root, json.dumps(by.get(name, {}))) for name, root in roots.items()]
    check_verifiable((), corpora)
    if {recipe.corpus, *options.corpus_roots, *(stream.corpus for stream in recipe.streams)}.isdisjoint(roots):
        check_enrolment(_speakers((u, c) for c in corpora for u in c), options.enrol or ENROL)
    return corpora


def _speakers(clips: Iterable[tuple[Any, Any]]) -> list[str]:
    """Return the speaker of each clip, (utterance, corpus), with the name of the corpus."""
    return [identity(u.speaker, corpus.name) for u, corpus in clips]


@kept
def _read(name: str, root: str, options: str) -> Any:
    from keras_ser.corpora import read_corpus

    return read_corpus(name, root, **json.loads(options))


def check_before(
    recipes: Mapping[str, Any], data: Any, todo: Sequence[tuple[str, Any]], options: argparse.Namespace
) -> None:
    """Decode the corpora of --verify and check, for each fold to be trained, that speakers whom no system hears can be enrolled.

    Args:
        recipes: system -> recipe.
        data: the corpora.
        todo: (system, job) of each run.
        options: the options of the command line.

    Raises:
        CorpusError: unreadable files, unless --bad drop.
        TrialsError: too few speakers with enough clips are left.
    """
    from keras_ser.evaluation.verification_trials import check_enrolment
    from keras_ser.experiment.planning import by_validity, jobs
    from keras_ser.training.heard import Heard, to_hear

    first = next(iter(recipes.values()))
    decoded = _decoded(verified(first, options), data, first, options)
    protocol = by_validity(first.protocols)[-1].name
    folds = sorted({job.split.fold for _, job in todo if job.protocol.name == protocol})
    if not (decoded and folds):
        return
    known: dict[tuple[int, str], set[str]] = {}
    for recipe in recipes.values():
        for job in jobs(recipe.replace(seeds=recipe.seeds[:1]), data, folds):
            if job.protocol.name == protocol:
                heard = Heard.of(to_hear(recipe, data, job.split, options.init_from))
                for corpus, clips in decoded:
                    of_fold = known.setdefault((job.split.fold, corpus.name), set())
                    of_fold |= heard.speakers_of(corpus, clips.hashes)
    for fold in folds:
        left = [
            (u, corpus)
            for corpus, clips in decoded
            for u in corpus
            if u.id not in clips.dropped and u.speaker not in known[fold, corpus.name]
        ]
        check_enrolment(_speakers(left), options.enrol or ENROL)


def _decoded(corpora: Iterable[Any], data: Any, recipe: Any, options: argparse.Namespace) -> list[tuple[Any, Any]]:
    """Return each corpus with its waveforms."""
    from keras_ser.pipelines.records import cache

    folder, rate = data.cache.path.parent, recipe.frontend.sample_rate
    return [(corpus, cache(corpus, folder, sample_rate=rate, bad=options.bad)) for corpus in corpora]


def enrolled_report(trained: Any) -> tuple[Any, dict[str, dict[str, Any]]]:
    """Verify the speakers of --verify; return the report, and quantity -> system -> the equal error rate."""
    from keras_ser.evaluation.tables import Cell
    from keras_ser.experiment.planning import by_validity
    from keras_ser.experiment.stored import run_folder
    from keras_ser.experiment.verification import run_enrolled
    from keras_ser.training import Run

    options, first = trained.options, trained.first
    corpora = verified(first, options)
    known = {p for system in trained.systems.values() for p, *_ in system.runs}
    # the same fold of another protocol is another network
    protocol = by_validity(p for p in first.protocols if p.name in known)[-1].name
    runs = {
        system: [Run.load(made.folder / run_folder(*key)) for key in sorted(made.runs) if key[0] == protocol]
        for system, made in trained.systems.items()
    }
    made = run_enrolled(
        runs,
        _decoded(corpora, trained.data, first, options),
        trained.folder,
        utterances=options.enrol or ENROL,
        notes=[f"Runs of protocol {protocol}."],
        on_step=step_printer(options.quiet),
    )
    rates = {
        row["system"]: Cell(row["value"], row["low"], row["high"])
        for row in made.data["scores"]
        if (row["trials"], row["metric"]) == ("all", "eer")
    }
    return made, {f"EER of the speakers of {', '.join(corpus.name for corpus in corpora)}": rates}
