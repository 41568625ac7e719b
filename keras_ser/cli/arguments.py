"""Parse and report arguments shared by several commands."""

import argparse
import glob
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ser.errors import UserError
from keras_ser.files import user_path

PICTURES = (".png", ".pdf", ".svg")  # kinds of plots that commands write
MOST_SEEDS = 10_000


def positive(text: str) -> int:
    """Parse a positive integer."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a positive integer. Received: {text}.")
    return int(text)


def seed_count(text: str) -> int:
    """Parse a number of seeds."""
    if positive(text) > MOST_SEEDS:
        raise argparse.ArgumentTypeError(
            f"expected at most {MOST_SEEDS} seeds (--seed N names the first). Received: {text}."
        )
    return int(text)


def whole(text: str) -> int:
    """Parse an integer of at least 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected an integer of at least 0. Received: {text}.")
    return int(text)


def home(text: str) -> str:
    """Expand a "~" at the beginning of a path, as a shell does not in --out=~/x."""
    return os.path.expanduser(text)


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument MODEL."""
    parser.add_argument(
        "model", type=home, metavar="MODEL", help="folder of a run, or of an export (NAME or NAME/VERSION)"
    )


def report_skipped(skipped: Sequence[Path]) -> None:
    """List non-audio files of the given folders on standard error."""
    from keras_ser.checks import listed

    if skipped:
        print(f"keras-ser: skipped, not audio ({len(skipped)}): {listed(skipped)}", file=sys.stderr)


def assignments(option: str, pairs: Sequence[str], example: str = "") -> dict[str, str]:
    """Parse a repeated option, KEY=VALUE; `option` and `example` appear in the error message."""
    bare = [pair for pair in pairs if "=" not in pair]
    if bare:
        raise UserError(f"{option} takes KEY=VALUE{example and ', e.g. ' + example}. Received: {bare[0]!r}.")
    found: dict[str, str] = {}
    for key, value in (pair.split("=", 1) for pair in pairs):
        if found.setdefault(key, value) != value:
            raise UserError(f"{option} {key} is given twice: {found[key]} and {value}. Leave one out.")
    return found


def named_roots(option: str, given: Sequence[str]) -> dict[str, str]:
    """Parse a repeated option, NAME=DIR, NAME a corpus's adapter, whose speakers are to be kept apart."""
    from keras_ser.corpora import CORPORA

    roots: dict[str, str] = {}
    for pair in given:
        name, _, root = pair.partition("=")
        if not root or name not in CORPORA:
            raise UserError(f"{option} takes NAME=DIR, NAME one of {', '.join(CORPORA)}. Received: {pair!r}.")
        if name in roots:
            raise UserError(
                f"{option} {name}= is given twice. Speakers of one name would be taken for one person: join two tables of a "
                "manifest into one."
            )
        roots[name] = root
    return roots


def add_table_arguments(parser: Any) -> None:
    """Add the options that say how the table of the corpus `manifest` is read."""
    parser.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="OURS=THEIRS[,..]",
        help="column names of the manifest's table, e.g. file=path,speaker=spk,emotion=label (of two manifests: that of the "
        "corpus itself, not of an auxiliary one)",
    )
    parser.add_argument(
        "--audio-root", metavar="DIR", help="base folder of a manifest's relative paths (default: the table's folder)"
    )


def table_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return --columns, --audio-root and, of commands that have it, --metadata as keyword arguments of a corpus's `read`.

    Raises:
        UserError: --columns is neither OURS=THEIRS nor JSON.
    """
    found: dict[str, Any] = {}
    for given in options.columns:
        if given.startswith("{"):
            try:
                pairs = json.loads(given)
            except ValueError as error:
                raise UserError(
                    f"--columns takes OURS=THEIRS, or a JSON object. Received: {given!r} ({error})."
                ) from None
        else:
            pairs = assignments("--columns", given.split(","), "file=path,speaker=spk,emotion=label")
        found.setdefault("columns", {}).update(pairs)
    if options.audio_root:
        found["audio_root"] = str(user_path(options.audio_root).resolve())
    if getattr(options, "metadata", None):
        found["metadata"] = str(user_path(options.metadata).resolve())
    return found


def auxiliary_adapter(options: argparse.Namespace) -> str:
    """Return the adapter of --aux-root, "" without it; raise UserError for --aux-corpus alone."""
    if not options.aux_root:
        if options.aux_corpus:
            raise UserError(f"--aux-corpus {options.aux_corpus} is read from a folder: give --aux-root DIR as well.")
        return ""
    return options.aux_corpus or "manifest"


def _further(options: argparse.Namespace, main: str) -> set[str]:
    """Return the adapters of all corpora of a command line except the main one."""
    verified = {given.partition("=")[0] for given in getattr(options, "verify", ())}
    return ({*options.corpus_roots} - {main}) | ({auxiliary_adapter(options), *verified} - {""})


def shared_table_options(options: argparse.Namespace, main: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the `table_options` of the main corpus, and name -> those of each other corpus.

    --columns and --audio-root are for the one manifest: the main corpus (whose adapter is `main`) if it is one, else another one.
    """
    own, further = table_options(options), {name: {} for name in _further(options, main)}
    if main != "manifest" and "manifest" in further:
        further["manifest"] = {name: own.pop(name) for name in ("columns", "audio_root") if name in own}
    return own, further


def expanded(patterns: Sequence[str]) -> list[Path]:
    """Return the named folders and the matches of quoted patterns, without duplicates.

    Raises:
        UserError: a pattern matches nothing, or a folder does not exist.
    """
    found: list[Path] = []
    for pattern in patterns:
        matched = [pattern] if Path(pattern).exists() else sorted(glob.glob(str(user_path(pattern))))
        if not matched:
            wrong = "matches none" if glob.has_magic(pattern) else "does not exist"
            raise UserError(f"expected folders. Received: {pattern}, which {wrong}.")
        found += map(Path, matched)
    return list(dict.fromkeys(found))
