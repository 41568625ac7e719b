"""Training: `fit(recipe, data, split, out) -> Run`, the best epoch on validation, resumable after every epoch.

A run is a folder: model.keras (waveform in, probabilities out), recipe.json, split.json, history.csv and history.json,
tensorboard/; a cascade's first model lies in model_1/, a baseline's scikit-learn pipelines in model.skops. While it trains,
state.npz holds every variable (layers, optimizers, seed generators), the best weights and the history, written as one file after
each epoch, so that a killed run goes on from its last finished epoch. The test side is not read here.

The names below are imported where they are first used, so that networks can be compiled and trained
(`keras_ser.training.network`, `optimizers`) where neither TensorFlow nor an audio library is installed.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ser.errors import RunError

if TYPE_CHECKING:
    from keras_ser.training.data import Data
    from keras_ser.training.fitting import deterministic, fit
    from keras_ser.training.network import build, optimizer
    from keras_ser.training.predictions import predict
    from keras_ser.training.run import Run

_MODULES = {
    "Data": "data",
    "Run": "run",
    "build": "network",
    "deterministic": "fitting",
    "fit": "fitting",
    "optimizer": "network",
    "predict": "predictions",
}

__all__ = ["Data", "Run", "RunError", "build", "deterministic", "fit", "optimizer", "predict"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
