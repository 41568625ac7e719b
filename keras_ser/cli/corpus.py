"""The commands `corpus check` and `corpus show`."""

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ser.cli.arguments import add_table_arguments, assignments, home, table_options, whole
from keras_ser.errors import UserError


def add(commands) -> None:
    """Add these commands to the parser."""
    corpus = commands.add_parser("corpus", help="inspect a corpus on disk").add_subparsers(
        metavar="ACTION", required=True
    )
    for action, text in (
        ("check", "count clips, compare the corpus with its published version, find unreadable and duplicate files"),
        ("show", "list clips and their labels"),
    ):
        sub = corpus.add_parser(action, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.add_argument(
            "name", help="adapter, e.g. emodb, ravdess, crema_d, afew, iemocap, msp_improv, manifest, demo"
        )
        sub.add_argument("root", nargs="?", help="folder of the corpus (manifest: its CSV file)")
        add_table_arguments(sub)
        sub.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="option of the adapter")
        if action == "check":
            sub.add_argument("--json", action="store_true", help="print the report as JSON")
            sub.add_argument(
                "--hashes",
                type=home,
                metavar="FILE",
                help="also compare the files with a list: tab-separated columns path, bytes, sha256, or the output of sha256sum",
            )
            sub.set_defaults(run=_corpus_check)
        else:
            sub.add_argument("-n", type=whole, default=10, help="number of clips to list (default: 10; 0 = all)")
            sub.set_defaults(run=_corpus_show)


def _options(pairs: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = assignments("--option", pairs)
    for key, value in found.items():
        with contextlib.suppress(json.JSONDecodeError):
            found[key] = json.loads(value)
    return found


def _read(options: argparse.Namespace):
    from keras_ser.corpora import read_corpus

    given = table_options(options) | _options(options.option)
    try:
        return read_corpus(options.name, options.root, **given)
    except TypeError as error:
        if not given:
            raise
        # the adapter does not accept an option
        raise UserError(f"--option {', '.join(given)}: {error}.") from error


def _corpus_check(options: argparse.Namespace) -> int:
    from keras_ser.corpora import CorpusError
    from keras_ser.corpora.corpus import RowsError
    from keras_ser.corpora.hashes import read_list, verify
    from keras_ser.corpora.inspection import check

    if options.hashes:
        # report errors in the list before reading the corpus, which can take minutes
        read_list(options.hashes)
    faults: Sequence[str] = ()
    try:
        corpus = _read(options)
    except RowsError as error:
        if error.corpus is None:
            raise
        corpus, faults = error.corpus, error.faults  # the files of all other rows are checked as well
    except CorpusError:
        # the list may show which files the adapter lacks
        if options.hashes and options.root and Path(options.root).is_dir():
            print("\n".join(verify(options.root, options.hashes, progress=True).lines()))
        raise
    found = check(corpus, progress=True)
    found = dataclasses.replace(found, differences=(*found.differences, *faults))
    facts, lines, ok = found.to_dict(), found.lines(), found.ok
    if options.hashes:
        hashes = verify(corpus.root, options.hashes, progress=True)
        ok = ok and hashes.ok
        facts |= {"hashes": hashes.to_dict(), "ok": ok}
        lines += hashes.lines()
    print(json.dumps(facts, indent=1) if options.json else "\n".join(lines))
    return 0 if ok else 1


def _corpus_show(options: argparse.Namespace) -> int:
    corpus = _read(options)
    for utterance in corpus.utterances[: options.n or None]:
        facts = {"speaker": utterance.speaker, "gender": utterance.gender, **utterance.labels, **utterance.groups}
        print(utterance.id, *(f"{key}={value}" for key, value in facts.items() if value is not None), sep="\t")
    if options.n and len(corpus) > options.n:
        print(f"({len(corpus) - options.n} more; -n 0 shows all)", file=sys.stderr)
    return 0
