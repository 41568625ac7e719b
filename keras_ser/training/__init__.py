"""Training: `fit(recipe, data, split, out) -> Run`, the best epoch on validation, resumable after every epoch.

A run is a folder: model.keras (waveform in, probabilities out), recipe.json, split.json, history.csv and history.json,
tensorboard/; a cascade's first model lies in model_1/, a baseline's scikit-learn pipelines in model.skops. While it trains,
state.npz holds every variable (layers, optimizers, seed generators), the best weights and the history, written as one file after
each epoch, so that a killed run goes on from its last finished epoch. The test side is not read here.

The names of __init__.pyi are imported where they are first used, so that networks can be compiled and trained
(`keras_ser.training.network`, `optimizers`) where neither TensorFlow nor an audio library is installed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
