"""Models: one paper a file, each `Config` (frozen, defaults = the paper's values) and `build(config, inputs, tasks)`.

`build` takes the feature sizes ({name: bins}) and the tasks, and returns a `keras.Model`: inputs {name: (batch, frames, bins), ..,
"mask": (batch, frames)}, outputs {task: (batch, classes) logits, or (batch, 1) of a continuous task} and, in training, whatever
else has a loss of its own ("adversary"). `keras_ser.models.whole.scorer` adds the softmax. A baseline has `candidates(config)` and
`estimator(config, candidate, task, seed)` instead, a scikit-learn pipeline for each task (`keras_ser.models.estimators`). `Config`
needs no Keras, so recipes can be read without it.

A module may have a `NOTE`, a sentence that every report on the model shows, `DETERMINISTIC = True` where the seed draws
nothing, and `SPACE`, what `keras-ser tune` searches unless it is told otherwise.
"""

import importlib
from typing import Any

MODELS = {
    "aspmtl": "keras_ser.models.aspmtl",
    "attention_dnn": "keras_ser.models.attention_dnn",
    "random_forest": "keras_ser.models.random_forest",
    "svm": "keras_ser.models.svm",
    "vggvox": "keras_ser.models.vggvox",
}

__all__ = ["MODELS", "deterministic_model"]


def deterministic_model(recipe: Any) -> bool:
    """Whether another seed of a `Recipe` would give the same model: neither the model nor its data draw numbers."""
    if recipe.shuffle or any(stream.noises for stream in recipe.streams):
        return False
    return bool(getattr(importlib.import_module(MODELS[recipe.model]), "DETERMINISTIC", False))
