"""Exports that the whole room asks, each made once, whichever of the test processes needs it first."""

import fcntl
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.training import tiny

TEMPERATURE = 2.5


@dataclass(frozen=True)
class Served:
    """A run and its export.

    Args:
        folder: the run's.
        export: the SavedModel's.
    """

    folder: Path
    export: Path

    @functools.cached_property
    def run(self):
        from keras_ser.training import Run

        return Run.load(self.folder)

    @functools.cached_property
    def loaded(self):
        import tensorflow as tf

        return tf.saved_model.load(str(self.export))

    @functools.cached_property
    def facts(self) -> dict:
        from keras_ser.serving import read_facts

        return read_facts(self.export)

    @functools.cached_property
    def offline(self):
        """{"waveform", "length"} -> {output: (batch, ..)}, by Keras."""
        from keras_ser.training.predict import forward

        return forward(self.run.model())

    def ask(self, audio: list[bytes], signature: str = "serving_default") -> dict:
        import tensorflow as tf

        found = self.loaded.signatures[signature](audio=tf.constant(audio, tf.string))
        return {name: value.numpy() for name, value in found.items()}


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """(name, make) -> the folder `make` filled, once for all processes of a test run."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = root / name / "done"
            if not done.exists():
                make(root / name)
                done.touch()
        return root / name

    return folder


@pytest.fixture(scope="session")
def corpus(once):
    return tiny.corpus(once("corpus", lambda root: tiny.corpus(root) and None))


@pytest.fixture(scope="session")
def split(corpus):
    return tiny.SPEAKERS.splits(corpus)[1]


@pytest.fixture(scope="session")
def served(once, corpus, split) -> Served:
    """Judged on its test side and exported beside an older version; for clips of up to 8 s."""

    def make(root: Path) -> None:
        from keras_ser.evaluation import write_predictions
        from keras_ser.serving import export
        from keras_ser.training import Data, predict
        from tests.serving import runs

        data = Data.load(runs.SHARED_PRIVATE, corpus, root / "cache")
        run = runs.write(runs.SHARED_PRIVATE, root / "run", split)
        table = predict(run.model(), run.recipe, data, split)
        write_predictions(
            table.assign(protocol=split.protocol, fold=split.fold, seed=0), run.folder / "predictions.csv"
        )
        (root / "exports" / "emotions" / "7").mkdir(parents=True)
        (root / "exports" / "emotions" / "notes.txt").write_text("7 is the one that the app asks")
        export(run, root / "exports", "emotions", max_seconds=8)

    root = once("served", make)
    return Served(root / "run", root / "exports" / "emotions" / "8")


def _of_random_weights(once, split, name: str, **options) -> Served:
    def make(root: Path) -> None:
        from keras_ser.serving import export
        from tests.serving import runs

        export(runs.write(getattr(runs, name), root / "run", split), root / "exports", **options)

    root = once(name.lower(), make)
    return Served(root / "run", root / "exports" / name.lower() / "1")


@pytest.fixture(scope="session")
def cascaded(once, split) -> Served:
    """Two models as one graph, with a continuous task beside the emotion, whose probabilities are tempered."""
    return _of_random_weights(once, split, "CASCADE", temperature={"emotion": TEMPERATURE})


@pytest.fixture(scope="session")
def halved(once, split) -> Served:
    """In mixed precision."""
    return _of_random_weights(once, split, "HALVED")
