"""The options of `train`, and the corpora that they name."""

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keras_ser.cli.arguments import add_table_arguments, auxiliary_adapter, home, seed_count, shared_table_options
from keras_ser.cli.engines import add_engine_arguments
from keras_ser.cli.parsing import nearest
from keras_ser.errors import UserError
from keras_ser.experiment.preparing import check_corpus_labels, check_experiment, check_used, with_first
from keras_ser.files import waveform_cache

EXAMPLE = "OUT/RECIPE-HASH/PROTOCOL/fold-00-seed-0, e.g. saved_models/own-conv-1a2b3c4d/unseen-speakers/fold-00-seed-0"
CACHE = "folder of decoded waveforms (default: OUT/cache if it exists, else waveforms/ in KERAS_SER_CACHE or ~/.cache/keras_ser)"
OUT = "saved_models"
INTERRUPTED = "interrupted; the same command continues from the last finished epoch"


def add_training_arguments(parser: argparse.ArgumentParser, jobs: bool = True, trials: bool = False) -> None:
    """Add the options of every recipe and of `keras-ser train`; with `jobs` also those on where runs are trained.

    `trials`: the command trains the trials of a search.
    """
    parser.add_argument(
        "--variant", metavar="NAME", help="select another recipe of the file (an unknown name lists them)"
    )
    add_corpus_arguments(parser.add_argument_group("corpus"))
    parser.set_defaults(corpus_roots={}, experiment=None)

    runs = parser.add_argument_group("splits and seeds", "A run is one fold of a protocol with one seed.")
    runs.add_argument(
        "--protocol",
        metavar="NAME",
        help="paper, disjoint, both, random (clips at random, speakers on both sides), or the name of a protocol (default: "
        + ("one that keeps speakers apart)" if trials else "the recipe's protocols)"),
    )
    runs.add_argument(
        "--folds", metavar="N[,N..]", help="folds of each trial (default: 0)" if trials else "only these folds"
    )
    runs.add_argument("--seed", type=int, metavar="N", help="first seed; trains one seed unless --seeds is given")
    runs.add_argument(
        "--seeds",
        type=seed_count,
        metavar="N",
        help="seeds of each trial (default: 1)" if trials else "number of seeds",
    )
    runs.add_argument(
        "--shuffle-labels",
        action="store_true",
        help="train and validate on shuffled labels, as a control (the score should be at chance)",
    )

    training = parser.add_argument_group("training")
    training.add_argument(
        "--epochs", type=int, metavar="N", help="maximum number of epochs (for both models of a cascade)"
    )
    training.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the recipe, e.g. --set config.beta=0.2",
    )
    training.add_argument(
        "--init-from", type=home, metavar="RUN", help="start from the weights of a finished run (fine-tuning)"
    )
    training.add_argument(
        "--precision", metavar="POLICY", help="dtype policy: float32, mixed_bfloat16 or mixed_float16"
    )
    training.add_argument("--deterministic", action="store_true", help="make runs on a CPU bit-equal (slower)")
    training.add_argument("--strategy", choices=["mirrored"], help="train on all local accelerators")
    if jobs:
        training.add_argument(
            "--final",
            action="store_true",
            help="after cross-validation, train one model on all clips for deployment; its number of epochs is the median of those "
            "kept in the folds",
        )
        add_engine_arguments(parser.add_argument_group("engine"), "1; on the demo corpus one per core")
        training.add_argument(
            "--job",
            metavar="ID",
            help="train only this run, without a report: a name that `keras-ser jobs` lists, or its number, counted from 0 "
            "(exit code 75: another process is training it)",
        )

    output = parser.add_argument_group(
        "output", f"The folder of a run is {EXAMPLE}; the report is OUT/RECIPE-HASH/report.md.".replace("OUT", "<out>")
    )
    output.add_argument("--out", type=home, metavar="DIR", default=OUT, help=f"folder of experiments (default: {OUT})")
    output.add_argument("--cache", metavar="DIR", help=CACHE)
    output.add_argument("--quiet", action="store_true", help="show no progress bars")


def add_corpus_arguments(corpus: Any) -> None:
    """Add the options on which corpora are read, and how."""
    corpus.add_argument("--corpus", metavar="NAME", help="use another adapter than the recipe, e.g. manifest")
    corpus.add_argument(
        "--corpus-root",
        action=Roots,
        metavar="[NAME=]DIR",
        help="folder of the corpus (manifest: its table); NAME=DIR for another corpus that a stream reads (repeatable)",
    )
    add_table_arguments(corpus)
    corpus.add_argument(
        "--metadata",
        metavar="CSV",
        help="table of speakers, genders and films, for corpora that lack them (AFEW, AVEC)",
    )
    corpus.add_argument("--aux-corpus", metavar="NAME", help="adapter of --aux-root (default: manifest)")
    corpus.add_argument(
        "--aux-root", metavar="DIR", help="folder of an auxiliary corpus, used as a second training stream"
    )
    corpus.add_argument("--noise-root", type=home, metavar="DIR", help="folder of noise files for noisy streams")
    corpus.add_argument(
        "--bad",
        choices=["raise", "drop"],
        default="raise",
        help="unreadable files: raise an error (default), or drop and report them",
    )


class Roots(argparse.Action):
    """Store --corpus-root DIR for the recipe's own corpus, and --corpus-root NAME=DIR by name in `corpus_roots`."""

    def __call__(self, parser, namespace, value, option_string=None):
        from keras_ser.corpora import CORPORA

        name, equals, root = value.partition("=")
        if not value or (name in CORPORA and equals and not root):
            parser.error(f"{option_string} takes DIR or NAME=DIR, and DIR is empty. Received: {value!r}.")
        if equals and name in namespace.corpus_roots:
            parser.error(
                f"{option_string} {name}= is given twice: {namespace.corpus_roots[name]}, {root}. One corpus of each adapter can "
                "be read: join two tables of a manifest into one."
            )
        if equals and re.fullmatch("[a-z][a-z0-9_]*", name) and name not in CORPORA and not Path(value).exists():
            known = nearest(name, CORPORA) or f" There are {', '.join(CORPORA)}."
            parser.error(f"{option_string} {value}: there is no corpus {name!r}.{known}")
        if equals and name in CORPORA:
            namespace.corpus_roots = {**namespace.corpus_roots, name: root}
        elif namespace.corpus_root not in (None, value):
            parser.error(
                f"{option_string} is given twice without a name: {namespace.corpus_root}, {value}. Name the second: NAME=DIR."
            )
        else:
            namespace.corpus_root = value


def prepared(
    recipes: Mapping[str, Any], options: argparse.Namespace, trained: Callable[[Any], Any] | None = None
) -> tuple[dict[str, Any], Any, dict[str, str]]:
    """Fill in the recipes' classes from their corpora, and decode the corpora.

    Args:
        recipes: name -> recipe, all with the same corpus.
        options: the options of the command line.
        trained: recipe -> the recipe whose splits are checked, if another one is trained.

    Returns:
        name -> recipe, their `Data`, and the options the corpus was read with.
    """
    recipes, corpus, auxiliary, read_by = read(recipes, options, trained)

    from keras_ser.training import Data, deterministic

    if options.deterministic:
        deterministic()
    first = next(iter(recipes.values()))
    cache, noise_root = (
        waveform_cache(options.out, options.cache),
        Path(options.noise_root) if options.noise_root else None,
    )
    data = Data.load(first, corpus, cache, auxiliary, noise_root, bad=options.bad, progress=not options.quiet)
    for recipe in recipes.values() if data.cache.dropped else ():
        check_corpus_labels(recipe, data.readable, auxiliary)
    return recipes, data, read_by | ({"root": options.corpus_root} if options.corpus_root else {})


def read(
    recipes: Mapping[str, Any], options: argparse.Namespace, trained: Callable[[Any], Any] | None = None
) -> tuple[dict[str, Any], Any, dict[str, Any], dict[str, str]]:
    """Fill in the recipes' classes from their corpora and check them, without decoding; see `prepared`.

    Returns:
        name -> recipe, the corpus, name -> auxiliary corpus, and the options the corpus was read with.
    """
    from keras_ser.corpora import read_corpus

    first = next(iter(recipes.values()))
    read_by, of_table = shared_table_options(options, first.corpus)
    # report a wrong path or label before importing TensorFlow, which takes seconds
    auxiliary, kind = {}, auxiliary_adapter(options)
    if kind:
        auxiliary[kind] = read_corpus(kind, options.aux_root, **of_table[kind])
    named = set(options.corpus_roots) - {first.corpus}
    if kind in named:
        raise UserError(
            f"--aux-root and --corpus-root {kind}= give two corpora of the adapter {kind}: omit one of them."
        )
    # corpora that the chosen systems cannot use are read as well: a system is the same experiment alone and in a table
    check_used(recipes.values(), named - getattr(options, "idle", set()), options.noise_root)
    streams = [stream for each in with_first(recipes.values()) for stream in each.streams]
    for name in sorted(named):
        by = next((dict(stream.options) for stream in streams if stream.corpus == name), {})
        auxiliary[name] = read_corpus(name, options.corpus_roots[name], **{**by, **of_table[name]})
    _, corpus = first.read(options.corpus_root, auxiliary.values(), **read_by)
    recipes = {name: recipe.for_corpus(corpus, *auxiliary.values()) for name, recipe in recipes.items()}
    for recipe in recipes.values():
        check_corpus_labels(recipe, corpus, auxiliary)
        check_experiment(
            trained(recipe) if trained else recipe,
            corpus,
            auxiliary,
            folds_asked(options),
            options.noise_root,
            getattr(options, "init_from", None),
            final=getattr(options, "final", False),
            out=None if trained else options.out,
        )
    return recipes, corpus, auxiliary, read_by


def folds_asked(options: argparse.Namespace) -> list[int] | None:
    """Parse --folds; None = all."""
    if not options.folds:
        return None
    numbers = options.folds.split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", number) for number in numbers):
        raise UserError(f"--folds takes numbers from 0, separated by commas. Received: {options.folds!r}.")
    return [int(number) for number in numbers]
