"""What several commands do with their arguments."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_ser.errors import UserError


def positive(text: str) -> int:
    """A whole number from 1 on.

    Raises:
        argparse.ArgumentTypeError: anything else.
    """
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number from 1 on. Received: {text}.")
    return int(text)


def report_skipped(skipped: Sequence[Path]) -> None:
    """Names, on standard error, what lies in the folders that were given and is no audio."""
    from keras_ser.corpora import listed

    if skipped:
        print(f"keras-ser: skipped, not audio ({len(skipped)}): {listed(skipped)}", file=sys.stderr)


def assignments(option: str, pairs: Sequence[str], example: str = "") -> dict[str, str]:
    """What a repeated option sets: KEY -> VALUE.

    Args:
        option: its name, for the message; pairs: its arguments.
        example: one, for the message.

    Raises:
        UserError: an argument without "=".
    """
    bare = [pair for pair in pairs if "=" not in pair]
    if bare:
        raise UserError(f"{option} takes KEY=VALUE{example and ', e.g. ' + example}. Received: {bare[0]!r}.")
    return dict(pair.split("=", 1) for pair in pairs)
