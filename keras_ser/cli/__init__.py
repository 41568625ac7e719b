"""The command `keras-ser`: corpora, training, evaluation and serving from a shell.

TensorFlow is imported only by the commands that need it, not by --help. Exit codes: 2 for a user's mistake, reported in one
line on standard error; 1 if some runs, trials or files failed and the others are done; 75 if another process is training the run
of `train --job`; 130 for an interrupted command, which prints how to continue.
"""

from collections.abc import Sequence

from keras_ser._version import __version__
from keras_ser.cli import (
    corpus,
    denoising,
    evaluation,
    listing,
    prediction,
    recipe_script,
    serving,
    tuning,
    verification,
    wav2vec2,
)
from keras_ser.cli.error_handling import guarded
from keras_ser.cli.parsing import Parser
from keras_ser.cli.recipe_script import recipe_main
from keras_ser.cli.tuning import tune_main

__all__ = ["main", "recipe_main", "tune_main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `keras-ser`."""
    parser = Parser(
        prog="keras-ser",
        description="Speech emotion recognition by multi-task learning: published systems, on splits that are checked for leaks.",
    )
    parser.add_argument("--version", action="version", version=f"keras-ser {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    groups = (corpus, listing, recipe_script, evaluation, verification, tuning)
    for group in (*groups, denoising, prediction, serving, wav2vec2):
        group.add(commands)
    options = parser.parse_args(arguments)
    # read when it is needed: a command may say what it has done so far
    return guarded(lambda: options.run(options), lambda: getattr(options, "interrupted", "interrupted"))
