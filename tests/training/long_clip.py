"""Run as a program: train on clips of 2 s among which each side has one of 600 s, and test; the last line is the peak memory in MB.

python -m tests.training.long_clip FOLDER KIND
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from keras_ser.corpora import Corpus, Utterance
from keras_ser.models.aspmtl import Config
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.splits import Protocol, Split
from keras_ser.tasks import Task

from ..memory import peak

RATE = 16000
EMOTION = Task("emotion", ("anger", "joy"))
RECIPE = Recipe(
    "long",
    "made",
    (EMOTION,),
    (Protocol("p"),),
    config=Config(units=32, layers=2, adversary=None),
    # without "pitch", whose search takes most of the time
    frontend=FrontendConfig(("mfcc", "zero_crossing_rate", "energy")),
    epochs=1,
)


def corpus(root: Path) -> Corpus:
    rng = np.random.default_rng(0)
    utterances = []
    for i in range(87):
        # one side each has a long one
        seconds = 600 if i % 40 == 3 else 2
        soundfile.write(root / f"{i}.wav", 0.1 * rng.normal(size=seconds * RATE), RATE)
        utterances.append(Utterance(f"c{i:02}", f"{i}.wav", labels={"emotion": EMOTION.labels[i % 2]}))
    return Corpus("made", root, tuple(utterances), {})


def main(folder: Path, kind: str) -> None:
    from keras_ser.training import Data, fit, predict

    made = corpus(folder)
    ids = [u.id for u in made]
    split = Split("p", 0, tuple(ids[:40]) + tuple(ids[50:80]), tuple(ids[40:50]), tuple(ids[80:]))
    recipe = RECIPE.replace(sampling=Sampling(kind, balance=False))
    data = Data.load(recipe, made, folder / "cache", progress=False)
    run = fit(recipe, data, split, folder / "run")
    table = predict(run.model(), recipe, data, split)
    assert sorted(table["id"]) == sorted(split.test)
    print(peak() // 10**6)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
