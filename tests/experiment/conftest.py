"""One tiny experiment of a model 1 that estimates a mask, and noises of known kinds on disk."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_ser.audio.noise import colour
from tests.training import tiny


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return tiny.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def masked(corpus, tmp_path_factory):
    """(recipe, data, folder) of a finished run."""
    from keras_ser.experiment import run_experiment
    from keras_ser.training import Data

    folder = tmp_path_factory.mktemp("experiments")
    data = Data.load(tiny.MASKED, corpus, folder / "cache")
    run_experiment(tiny.MASKED, data, folder / "masked", folds=[0])
    return tiny.MASKED, data, folder / "masked"


@pytest.fixture(scope="session")
def noise_root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("noises")
    for name, kind in (("white", "white"), ("rumble1", "brown")):
        soundfile.write(folder / f"{name}.flac", np.clip(0.1 * colour(kind, 30000, 3), -1, 1), 16000)
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_pictures():
    """Pictures are tested with the reports; rendering them for every experiment would cost more than its training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_ser.reports.report.write_figure", lambda path, figure: path.touch())
        yield
