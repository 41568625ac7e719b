"""The MODEL argument of commands, and how it is loaded."""

import argparse
import sys
import warnings

from keras_ser.cli.arguments import home

PICTURES = (".png", ".pdf", ".svg")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the argument MODEL."""
    parser.add_argument(
        "model", type=home, metavar="MODEL", help="folder of a run, or of an export (NAME or NAME/VERSION)"
    )


def load(path: str):
    """Load a predictor; print a warning about its version as one line on standard error."""
    from keras_ser.serving import ExportVersionWarning, Predictor

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ExportVersionWarning)
        predictor = Predictor.load(path)
    for warning in caught:
        if issubclass(warning.category, ExportVersionWarning):
            print(f"keras-ser: warning: {warning.message}", file=sys.stderr)
    return predictor
