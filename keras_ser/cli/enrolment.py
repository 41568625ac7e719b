"""The options --verify and --enrol of a recipe: after training, verify the speakers of a further corpus."""

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import cache as kept
from typing import Any

from keras_ser.cli.arguments import positive, shared_table_options
from keras_ser.cli.progress import step_printer
from keras_ser.errors import UserError

ENROL = 20


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--verify",
        default="",
        metavar="NAME=DIR",
        help="also verify the speakers of this corpus who were not seen in training",
    )
    parser.add_argument(
        "--enrol",
        type=positive,
        metavar="N",
        help=f"with --verify, number of utterances to enrol a speaker with (default: {ENROL})",
    )


def verified(recipe: Any, options: argparse.Namespace) -> Any:
    """Read the corpus of --verify, and check what can be checked before anything is decoded; return None without the option.

    Raises:
        UserError: the option names no corpus; a clip has no speaker, or a speaker has too few clips. Speakers are counted here
            unless the recipe reads that corpus, too, and may train on some of them; see `check_before`.
    """
    from keras_ser.evaluation.verification_trials import check_enrolment
    from keras_ser.experiment.verification import check_verifiable

    if not options.verify:
        if getattr(options, "enrol", None):
            raise UserError("--enrol is for the speakers of --verify NAME=DIR: give it as well.")
        return None
    _, by = shared_table_options(options, recipe.corpus)
    corpus = _read(options.verify, json.dumps(by.get(options.verify.partition("=")[0], {})))
    check_verifiable((), [corpus])
    if corpus.name not in {recipe.corpus, *options.corpus_roots, *(stream.corpus for stream in recipe.streams)}:
        check_enrolment([u.speaker for u in corpus], options.enrol or ENROL)
    return corpus


@kept
def _read(given: str, options: str) -> Any:
    from keras_ser.corpora import CORPORA, read_corpus

    name, _, root = given.partition("=")
    if name not in CORPORA or not root:
        raise UserError(f"--verify takes NAME=DIR, NAME one of {', '.join(CORPORA)}. Received: {given!r}.")
    return read_corpus(name, root, **json.loads(options))


def check_before(
    recipes: Mapping[str, Any], data: Any, todo: Sequence[tuple[str, Any]], options: argparse.Namespace
) -> None:
    """Decode the corpus of --verify and check, for each run to be trained, that the speakers whom it will not hear can be enrolled.

    Args:
        recipes: system -> recipe.
        data: the corpora.
        todo: (system, job) of each run.
        options: the options of the command line.

    Raises:
        CorpusError: unreadable files, unless --bad drop.
        TrialsError: too few speakers are left, or a speaker has too few clips.
    """
    from keras_ser.evaluation.verification_trials import check_enrolment
    from keras_ser.experiment.planning import by_validity
    from keras_ser.training.heard import Heard, to_hear

    first = next(iter(recipes.values()))
    corpus = verified(first, options)
    if corpus is None:
        return
    decoded = _decoded(corpus, data, first, options)
    protocol = by_validity(first.protocols)[-1].name
    for name, job in todo:
        if job.protocol.name == protocol:
            heard = Heard.of(to_hear(recipes[name], data, job.split, options.init_from)).speakers_of(
                corpus, decoded.hashes
            )
            left = [u.speaker for u in corpus if u.id not in decoded.dropped and u.speaker not in heard]
            check_enrolment(left, options.enrol or ENROL)


def _decoded(corpus: Any, data: Any, recipe: Any, options: argparse.Namespace) -> Any:
    from keras_ser.pipelines.records import cache

    return cache(corpus, data.cache.path.parent, sample_rate=recipe.frontend.sample_rate, bad=options.bad)


def enrolled_report(trained: Any) -> tuple[Any, dict[str, dict[str, Any]]]:
    """Verify the speakers of --verify; return the report, and quantity -> system -> the equal error rate."""
    from keras_ser.evaluation.tables import Cell
    from keras_ser.experiment.planning import by_validity
    from keras_ser.experiment.stored import run_folder
    from keras_ser.experiment.verification import run_enrolled
    from keras_ser.training import Run

    options, first = trained.options, trained.first
    corpus = verified(first, options)
    known = {p for system in trained.systems.values() for p, *_ in system.runs}
    # the same fold of another protocol is another network
    protocol = by_validity(p for p in first.protocols if p.name in known)[-1].name
    runs = {
        system: [Run.load(made.folder / run_folder(*key)) for key in sorted(made.runs) if key[0] == protocol]
        for system, made in trained.systems.items()
    }
    made = run_enrolled(
        runs,
        [(corpus, _decoded(corpus, trained.data, first, options))],
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
    return made, {f"EER of the speakers of {corpus.name}": rates}
