"""Models: one paper a module, `Config` (frozen, defaults = the paper's values) and `build(config, inputs, tasks, ..) -> Network`.

`keras_ser.models.paper` has the contract, `keras_ser.models.whole_model` joins front end and network. A baseline has
`candidates(config)` and `estimator(config, candidate, task, seed)` instead of `build`, a scikit-learn pipeline for each task
(`keras_ser.models.estimators`). `Config` needs no Keras, so recipes can be read without it.

A module may have a `NOTE`, a sentence that every report on the model shows, `note(config)`, words on its settings for a report's
first line ("" = none), `DETERMINISTIC = True` where the seed draws nothing, `SPACE`, what `keras-ser tune` searches unless it is
told otherwise, `AUXILIARY`, what changes in a recipe that gets an auxiliary corpus, `LAYERS`, modules whose layers a file of the
model may name, and `remarks(rows)`, sentences on what went wrong in a training, read from the logs of its epochs.
"""

import importlib
from types import ModuleType
from typing import Any

from keras_ser.checks import shown
from keras_ser.errors import UserError

MODELS = {
    "aae_mtl": "keras_ser.models.aae_mtl",
    "aspmtl": "keras_ser.models.aspmtl",
    "attention_dnn": "keras_ser.models.attention_dnn",
    "multilevel": "keras_ser.models.multilevel",
    "random_forest": "keras_ser.models.random_forest",
    "svm": "keras_ser.models.svm",
    "vggvox": "keras_ser.models.vggvox",
}

__all__ = ["MODELS", "deterministic_model", "is_baseline", "model_flags", "model_module"]


def model_module(name: str) -> ModuleType:
    """The module of a model.

    Raises:
        UserError: there is none of that name.
    """
    if not isinstance(name, str) or name not in MODELS:
        raise UserError(f"`model` must be one of {', '.join(MODELS)}. Received: {shown(name)}.")
    return importlib.import_module(MODELS[name])


def is_baseline(recipe: Any) -> bool:
    """Whether the model of a `Recipe` is a scikit-learn pipeline and no network."""
    return hasattr(model_module(recipe.model), "estimator")


def deterministic_model(recipe: Any) -> bool:
    """Whether another seed of a `Recipe` would give the same model: neither the model nor its data draw numbers."""
    if recipe.shuffle or any(stream.noises for stream in recipe.streams):
        return False
    return bool(getattr(model_module(recipe.model), "DETERMINISTIC", False))


def model_flags() -> dict[str, Any]:
    """Every output of a trained model that is no task but says something of a clip, by name: its `keras_ser.models.paper.Flag`."""
    found = {}
    for name in MODELS:
        found |= getattr(model_module(name), "FLAGS", {})
    return found
