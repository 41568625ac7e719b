"""Models: one paper a module, `Config` (frozen, defaults = the paper's values) and `build(config, inputs, tasks, ..) -> Network`.

`keras_ser.models.paper` has the contract, `keras_ser.models.whole_model` joins front end and network. A baseline has
`candidates(config)` and `estimator(config, candidate, task, seed)` instead of `build`, a scikit-learn pipeline for each task
(`keras_ser.models.estimators`). `Config` needs no Keras, so recipes can be read without it.

A module may have a `NOTE`, a sentence that every report on the model shows, `note(config)`, words on its settings for a report's
first line ("" = none), `DETERMINISTIC = True` where the seed draws nothing, `SPACE`, what `keras-ser tune` searches unless it is
told otherwise, `AUXILIARY`, what changes in a recipe that gets an auxiliary corpus, `LAYERS`, modules whose layers a file of the
model may name, and `remarks(rows)`, sentences on what went wrong in a training, read from the logs of its epochs.

A model of one's own needs no entry in `MODELS`: `Recipe(model=..)` also takes the import path of a module ("my_package.my_model"),
or a name that an installed package gives it as an entry point of the group "keras_ser.models". The name is stored in
recipe.json; whoever loads the run needs the module, and whoever loads its export does not.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
from types import ModuleType
from typing import Any

from keras_ser.checks import shown
from keras_ser.errors import MissingModelError, UserError

MODELS = {
    "aae_mtl": "keras_ser.models.aae_mtl",
    "aspmtl": "keras_ser.models.aspmtl",
    "attention_dnn": "keras_ser.models.attention_dnn",
    "multilevel": "keras_ser.models.multilevel",
    "random_forest": "keras_ser.models.random_forest",
    "svm": "keras_ser.models.svm",
    "vggvox": "keras_ser.models.vggvox",
}
GROUP = "keras_ser.models"  # of entry points

__all__ = ["GROUP", "MODELS", "deterministic_model", "is_baseline", "model_flags", "model_module"]


def model_module(name: str) -> ModuleType:
    """Import the module of a model.

    Args:
        name: a key of `MODELS`, the name of an entry point of the group "keras_ser.models", or the import path of a module. A key
            of `MODELS` wins over an entry point, and that over a module.

    Raises:
        MissingModelError: there is no such model here.
        UserError: the module lacks `Config`, or both `build` and `estimator`.
    """
    if not isinstance(name, str):
        raise UserError(f"`model` must be the name of a model. Received: {shown(name)}.")
    path = MODELS.get(name) or _entry_points().get(name, name)
    if name not in MODELS and not _importable(path):
        if path != name:
            raise MissingModelError(
                f"the model {name!r} is the module {path}, an installed package says, and there is none: reinstall that "
                "package.",
                name,
            )
        raise MissingModelError(
            f"`model` must be one of {', '.join([*MODELS, *_entry_points()])}, or the import path of an installed module. "
            f"Received: {shown(name)}.",
            name,
        )
    module = importlib.import_module(path)
    if not hasattr(module, "Config") or not (hasattr(module, "build") or hasattr(module, "estimator")):
        raise UserError(
            f"the model {name!r} must be a module with `Config` and `build` (see keras_ser.models.paper). Received: {path}, which "
            "lacks them."
        )
    if name not in MODELS:
        _OWN[name] = module
    return module


_OWN: dict[str, ModuleType] = {}  # models from outside this package that were used


@functools.cache
def _entry_points() -> dict[str, str]:
    """Name -> import path of the models that installed packages bring."""
    return {point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)}


def _importable(path: str) -> bool:
    if not all(part.isidentifier() for part in path.split(".")):
        return False
    try:
        return importlib.util.find_spec(path) is not None
    except (ModuleNotFoundError, ValueError):  # no parent package; a module without a spec
        return False


def is_baseline(recipe: Any) -> bool:
    """Whether the model of a `Recipe` is a scikit-learn pipeline and no network."""
    return hasattr(model_module(recipe.model), "estimator")


def deterministic_model(recipe: Any) -> bool:
    """Whether another seed of a `Recipe` would give the same model: neither the model nor its data draw numbers."""
    if recipe.shuffle or any(stream.noises for stream in recipe.streams):
        return False
    return bool(getattr(model_module(recipe.model), "DETERMINISTIC", False))


def model_flags() -> dict[str, Any]:
    """Every output of a trained model that is no task but says something of a clip, by name: its `keras_ser.models.paper.Flag`.

    Of the models in `MODELS`, and of those from outside that this process has used.
    """
    found = {}
    for module in (*map(model_module, MODELS), *_OWN.values()):
        found |= getattr(module, "FLAGS", {})
    return found
