"""Run as a program: train in a process of its own, with deterministic ops, and be killed where told.

python -m tests.training.resume FOLDER NAME RECIPE [stage:epoch]
"""

import dataclasses
import os
import signal
import sys
from pathlib import Path

from keras_ser.recipe import OptimizerConfig, Sampling
from tests.models import papers
from tests.training import tiny

EPOCHS = {"epochs": 4, "patience": 2}
CROPS = Sampling("crop", frames=40)
# stretches of two front ends, dropout, and centres that no optimizer moves
LEVELS = papers.RECIPES["multilevel-all"]
LEVELS = LEVELS.replace(
    name="levels",
    tasks=(tiny.EMOTION, tiny.GENDER),
    config=dataclasses.replace(LEVELS.config, dropout=0.3, lstm_dropout=0.3),
    optimizer=OptimizerConfig("adamw", 1e-2, weight_decay=0.01),
    protocols=(tiny.SPEAKERS,),
    patience_steps=0,
    smoothing=1,
)
RECIPES = {
    "conv": tiny.EVERYTHING.replace(sampling=CROPS, **EPOCHS),
    "stretched": tiny.STRETCHED.replace(streams=(tiny.NOISY,), **EPOCHS),
    "levels": LEVELS.replace(**EPOCHS),
    "cascade": tiny.CASCADE.replace(epochs=3, first=tiny.FIRST.replace(epochs=2)),
}


def train(folder: Path, name: str, recipe, on_epoch=None):
    """A run and its predictions.csv, in FOLDER/NAME."""
    from keras_ser.evaluation import write_predictions
    from keras_ser.training import Data, fit, predict

    corpus = tiny.corpus(folder)
    data = Data.load(recipe, corpus, folder / "cache")
    split = tiny.SPEAKERS.splits(corpus)[1]
    recipe = recipe.for_corpus(corpus)
    run = fit(recipe, data, split, folder / name, seed=11, on_epoch=on_epoch)
    write_predictions(predict(run.model(), recipe, data, split, seed=11), folder / f"{name}.csv")


def main(folder: str, name: str, recipe: str, kill: str = "") -> None:
    from keras_ser.training import deterministic

    deterministic()
    folder = Path(folder)

    def die(stage, epoch, epochs, logs):
        if f"{stage}:{epoch}" == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    train(folder, name, RECIPES[recipe], die)


if __name__ == "__main__":
    main(*sys.argv[1:])
