"""Parse and report arguments that several commands share."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_ser.errors import UserError


def positive(text: str) -> int:
    """Parse a positive integer."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a positive integer. Received: {text}.")
    return int(text)


def report_skipped(skipped: Sequence[Path]) -> None:
    """List non-audio files of the given folders on standard error."""
    from keras_ser.corpora import listed

    if skipped:
        print(f"keras-ser: skipped, not audio ({len(skipped)}): {listed(skipped)}", file=sys.stderr)


def assignments(option: str, pairs: Sequence[str], example: str = "") -> dict[str, str]:
    """Parse a repeated option, KEY=VALUE; `option` and `example` are for the message."""
    bare = [pair for pair in pairs if "=" not in pair]
    if bare:
        raise UserError(f"{option} takes KEY=VALUE{example and ', e.g. ' + example}. Received: {bare[0]!r}.")
    return dict(pair.split("=", 1) for pair in pairs)
