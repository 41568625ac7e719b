"""The command `verify`: verify speakers by the embeddings of trained runs."""

import argparse
from functools import partial
from pathlib import Path

from keras_ser.cli.arguments import add_table_arguments, home, named_roots, positive, table_options
from keras_ser.cli.enrolment import ENROL
from keras_ser.cli.progress import show, step_printer
from keras_ser.errors import UserError


def add(commands) -> None:
    """Add this command to the parser."""
    verify = commands.add_parser(
        "verify",
        help="verify speakers not seen in training, using the embeddings of a run (d-vectors)",
        description="Enrol each speaker with the mean embedding of some utterances, compare every other utterance with all "
        "speakers by cosine similarity, and report error rates with intervals over speakers.",
    )
    verify.add_argument("folder", metavar="RUN", help="folder of a run, or of an experiment (all of its runs)")
    verify.add_argument(
        "--corpus-root",
        metavar="NAME=DIR",
        required=True,
        action="append",
        help="corpus of speakers (repeatable); speakers seen in training are left out",
    )
    add_table_arguments(verify)
    verify.add_argument(
        "--enrol",
        type=positive,
        default=ENROL,
        metavar="N",
        help=f"number of utterances to enrol a speaker with (default: {ENROL})",
    )
    verify.add_argument(
        "--bad",
        choices=["raise", "drop"],
        default="raise",
        help="unreadable files: raise an error (default), or drop them",
    )
    verify.add_argument("--out", type=home, metavar="DIR", help="folder of the report (default: RUN)")
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from keras_ser.corpora import read_corpus

    folder, table = Path(options.folder), table_options(options)
    roots = named_roots("--corpus-root", options.corpus_root)
    if table and "manifest" not in roots:
        raise UserError(
            "--columns and --audio-root are for a manifest, and none is given (--corpus-root manifest=CSV)."
        )
    corpora = [read_corpus(name, root, **(table if name == "manifest" else {})) for name, root in roots.items()]

    from keras_ser.experiment.rescoring import decode_in_cache, runs_of
    from keras_ser.experiment.verification import check_verifiable, run_enrolled
    from keras_ser.pipelines.records import cache

    runs = runs_of(folder)
    check_verifiable((run.recipe for run in runs), corpora)
    where = Path(options.out) if options.out else folder
    rate = runs[0].recipe.frontend.sample_rate
    read = [(c, decode_in_cache(folder, partial(cache, c, sample_rate=rate, bad=options.bad))) for c in corpora]
    named = {runs[0].recipe.name: runs}
    made = run_enrolled(named, read, where, utterances=options.enrol, on_step=step_printer())
    show(made, where / "verification.md")
    return 0
