"""What several commands do with their arguments."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


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
