"""The run that the examples share: ASP-MTL on a small demo corpus, trained once (about half a minute) and kept."""

from pathlib import Path

from keras_ser import Protocol, Recipe, Task, read_corpus
from keras_ser.experiment import run_experiment
from keras_ser.training import Data, Run

FOLDER = Path.cwd() / "saved_models" / "gallery"
UNSEEN = Protocol("unseen-speakers", "stated", stated=(("f07", "m08"),), validation=0)
corpus = read_corpus("demo", speakers=8, sentences=3)
recipe = Recipe(
    name="gallery",
    corpus="demo",
    tasks=(Task("emotion", corpus.vocabulary["emotion"]), Task("gender", ("female", "male"))),
    protocols=(UNSEEN,),
    batch_size=16,
    epochs=10,
    patience=0,
    seeds=(0,),
).change(
    {
        "config.adversary": "label",
        "config.dropout": 0.2,
        "optimizer.learning_rate": 3e-3,
        "optimizer.schedule": "cosine",
        "frontend.hop": 320,
        "sampling.frames": 48,
        "sampling.hop": 48,
        "sampling.rare_hop": 12,
    }
)


def report():
    """Train the run, unless that is done, and return the report of the experiment."""
    data = Data.load(recipe, corpus, FOLDER.parent / "cache", progress=False)
    return run_experiment(recipe, data, FOLDER)


def run() -> Run:
    """The trained run."""
    report()
    return Run.load(Run.find(FOLDER))
