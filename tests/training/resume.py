"""Run as a program: train in a process of its own, with deterministic ops, and be killed where told.

python -m tests.training.resume FOLDER RUN..     one after the other, since a process first spends seconds on imports

Each RUN is RECIPE/NAME, the folder of the run in FOLDER, or
RECIPE/NAME@stage:epoch                          to be killed there, or
RECIPE/NAME@EPOCHS                               to print the MB held after each epoch.
"""

import dataclasses
import os
import signal
import sys
from pathlib import Path

from keras_ser.recipe import OptimizerConfig
from tests.memory import held
from tests.models import papers
from tests.training import tiny

EPOCHS = {"epochs": 4, "patience": 2}
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
# three phases with an optimizer each, batch normalisation, a rate halved by the plateau
ADVERSARIAL = papers.RECIPES["aae"]
ADVERSARIAL = ADVERSARIAL.replace(
    name="adversarial",
    tasks=(tiny.EMOTION, tiny.GENDER),
    config=dataclasses.replace(ADVERSARIAL.config, filters=(4, 6), head_filters=4, dropout=0.3),
    optimizer=OptimizerConfig("adam", 1e-2, schedule="plateau", factor=0.5, floor=1e-5),
    protocols=(tiny.SPEAKERS,),
    epochs=4,
    patience=1,
    patience_steps=0,
    smoothing=1,
)
RECIPES = {
    "levels": LEVELS.replace(**EPOCHS),
    "adversarial": ADVERSARIAL,
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


def main(folder: str, *runs: str) -> None:
    from keras_ser.training import deterministic

    deterministic()
    for run in runs:
        run, _, until = run.partition("@")
        recipe, name = run.split("/")
        one_run(Path(folder) / recipe, name, RECIPES[recipe], until)


def one_run(folder: Path, name: str, recipe, until: str) -> None:
    if until.isdecimal():
        recipe = recipe.replace(epochs=int(until), patience=int(until))

    def on_epoch(stage, epoch, epochs, logs):
        if f"{stage}:{epoch}" == until:
            os.kill(os.getpid(), signal.SIGKILL)
        if until.isdecimal():
            print(held() / 2**20)

    folder.mkdir(exist_ok=True)
    train(folder, name, recipe, on_epoch)


if __name__ == "__main__":
    main(*sys.argv[1:])
