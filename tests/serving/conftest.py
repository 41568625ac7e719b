"""Exports that the whole package uses, each made once for all processes of a test run."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keras_ser.files import lock

MAX_SECONDS = 3.0


@dataclass(frozen=True)
class Served:
    """A run's folder and its export's."""

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
        from keras_ser.training.inference import forward

        return forward(self.run.model())

    def ask(self, signature: str = "serving_default", **inputs) -> dict:
        import tensorflow as tf

        found = self.loaded.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in found.items()}


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """(name, make) -> the folder that `make` filled, once for all processes of a test run."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        with lock(root / name):
            done = root / name / "done"
            if not done.exists():
                make(root / name)
                done.touch()
        return root / name

    return folder


def _served(once, name: str, model: str | None = None, **options) -> Served:
    def make(root: Path) -> None:
        from keras_ser.serving import export
        from tests.serving import runs

        export(runs.write(getattr(runs, name), root / "run"), root / "exports", model, **options)

    root = once(name.lower(), make)
    return Served(root / "run", root / "exports" / (model or name.lower()) / "1")


@pytest.fixture(scope="session")
def served(once) -> Served:
    """An LSTM network of two tasks."""
    return _served(once, "SHARED_PRIVATE", "emotions", max_seconds=MAX_SECONDS)


@pytest.fixture(scope="session")
def cascaded(once) -> Served:
    """Two models as one graph, with a continuous task beside the emotion."""
    return _served(once, "CASCADE")


@pytest.fixture(scope="session")
def halved(once) -> Served:
    """Mixed precision."""
    return _served(once, "HALVED")
