"""`keras-ser`: corpora, training, evaluation and serving from a shell.

TensorFlow is imported by the commands that need it, not by --help. A user's mistake is one line on standard error and exit
code 2; where some runs, trials or files failed and the others are done, the exit code is 1; an interrupted training says how to
go on (130).
"""

from collections.abc import Sequence

from keras_ser._version import __version__
from keras_ser.cli import corpus, denoising, evaluation, listing, prediction, recipe_script, serving, tuning, wav2vec2
from keras_ser.cli.error_handling import guarded
from keras_ser.cli.parsing import Parser
from keras_ser.cli.recipe_script import recipe_main
from keras_ser.cli.tuning import tune_main

__all__ = ["main", "recipe_main", "tune_main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `keras-ser`."""
    parser = Parser(
        prog="keras-ser",
        description="Speech emotion recognition by multi-task learning: papers implemented completely, splits that do not leak.",
    )
    parser.add_argument("--version", action="version", version=f"keras-ser {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for group in (corpus, listing, recipe_script, evaluation, tuning, denoising, prediction, serving, wav2vec2):
        group.add(commands)
    options = parser.parse_args(arguments)
    return guarded(lambda: options.run(options), getattr(options, "interrupted", "interrupted"))
