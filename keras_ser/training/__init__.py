"""Training: `fit(recipe, data, split, out) -> Run`, which keeps the best validation epoch and can be resumed after every epoch.

A run is a folder: model.keras (waveform in, probabilities out), recipe.json, split.json, history.csv and history.json,
tensorboard/; the first model of a cascade is in model_1/, the scikit-learn pipelines of a baseline in model.skops. During training,
state.npz contains every variable (layers, optimizers, seed generators), the best weights and the history. It is written atomically
after each epoch, so that a killed run resumes after its last finished epoch. The test set is not read here.

The names in __init__.pyi are imported on first use, so that networks can be compiled and trained
(`keras_ser.training.network`, `optimizers`) without TensorFlow or an audio library.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
