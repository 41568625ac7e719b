"""Models, one module per paper: `Config` (frozen, defaults from the paper) and `build(config, inputs, tasks, ..) -> Network`.

`keras_ser.models.paper` defines the contract, and `keras_ser.models.whole_model` joins front end and network. Instead of `build`, a
baseline has `candidates(config)` and `estimator(config, candidate, task, seed)`, which makes a scikit-learn pipeline for each task
(`keras_ser.models.estimators`). `Config` does not need Keras, so recipes can be read without it.

A module may also have:

* `NOTE`: a sentence shown in every report on the model.
* `note(config)`: remarks on the settings for the first line of a report, separated by ", " ("" = none).
* `DETERMINISTIC = True`: the seed has no effect.
* `SPACE`: the default search space of `keras-ser tune`; `AUXILIARY_WEIGHTS`: its keys without effect in a recipe with one task.
* `speed(config)`: seconds of speech that one core of a 2.6 GHz server trains on per second, for estimates of the time.
* `AUXILIARY`: the changes to a recipe that gets an auxiliary corpus.
* `frozen(config, inputs)`: frozen pretrained layers between front ends and network (`keras_ser.models.paper.Frozen`).
* `check(recipe)`: refuse a recipe whose front ends do not fit the settings (UserError).
* `weight_files(config)`: files of pretrained weights; a run records their content.
* `LAYERS`: modules that define layers used in files of the model.
* `FLAGS`: outputs that describe a clip without being a task, {name: `keras_ser.models.paper.Flag`}.
* `DIAGNOSTICS`: logs of a training that a report tabulates and draws by epoch, {name: (what it is, values that are a failure)}, or
  (.., .., unit) to divide it by the log `unit` of the same epoch in runs that have one.
* `remarks(rows, config)`: sentences on failures of a training, derived from the logs of its epochs and its `Config`.

Your own model needs no entry in `MODELS`: `Recipe(model=..)` also accepts the import path of a module ("my_package.my_model"), or
the name of an entry point of the group "keras_ser.models". The name is stored in recipe.json; loading the run requires the
module, loading its export does not.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import traceback
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

__all__ = ["GROUP", "MODELS", "deterministic_model", "is_baseline", "layer_modules", "model_flags", "model_module"]


def model_module(name: str) -> ModuleType:
    """Import the module of a model.

    Args:
        name: a key of `MODELS`, the name of an entry point of the group "keras_ser.models", or the import path of a module. A key
            of `MODELS` wins over an entry point, and that over a module.

    Raises:
        MissingModelError: the model is not installed; or its module raises an error, lacks `Config`, or both `build` and
            `estimator`.
        UserError: `name` is not a string.
    """
    if not isinstance(name, str):
        raise UserError(f"`model` must be the name of a model. Received: {shown(name)}.")
    path = MODELS.get(name) or _entry_points().get(name, name)
    if name not in MODELS and not _importable(path):
        if path != name:
            raise MissingModelError(
                f"an installed package registers the model {name!r} as the module {path}, which does not exist: reinstall that "
                "package.",
                name,
            )
        raise MissingModelError(
            f"`model` must be one of {', '.join([*MODELS, *_entry_points()])}, or the import path of an installed module. "
            f"Received: {shown(name)}.",
            name,
        )
    try:
        module = importlib.import_module(path)
    except Exception as error:
        if name in MODELS:
            raise
        *_, place = traceback.extract_tb(error.__traceback__)
        # a syntax error names its own place
        where = "" if isinstance(error, SyntaxError) else f" in line {place.lineno} of {place.filename}"
        reason = f"whose module {path} fails{where}: {type(error).__name__}: {error}"
        raise MissingModelError(
            f"expected a model that can be imported. Received: {name!r}, {reason}.", name, reason
        ) from error
    if not hasattr(module, "Config") or not (hasattr(module, "build") or hasattr(module, "estimator")):
        there = getattr(module, "__file__", None) or ", ".join(module.__path__)
        raise MissingModelError(
            f"the model {name!r} must be a module with `Config` and `build` (see keras_ser.models.paper). Received: {path}, which "
            f"lacks them ({there}).",
            name,
            f"but {path} is another module here, without `Config` and `build` ({there})",
        )
    if name not in MODELS:
        _OWN[name] = module
    return module


_OWN: dict[str, ModuleType] = {}  # models from outside this package that have been used


@functools.cache
def _entry_points() -> dict[str, str]:
    """Return name -> import path of the models registered by installed packages."""
    return {point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)}


def _importable(path: str) -> bool:
    if not all(part.isidentifier() for part in path.split(".")):
        return False
    try:
        return importlib.util.find_spec(path) is not None
    except (ModuleNotFoundError, ValueError):  # no parent package; a module without a spec
        return False


def is_baseline(recipe: Any) -> bool:
    """Return whether the model of a `Recipe` is a scikit-learn pipeline, not a network."""
    return hasattr(model_module(recipe.model), "estimator")


def deterministic_model(recipe: Any) -> bool:
    """Return whether all seeds of a `Recipe` give the same model, since neither the model nor its data are random."""
    if recipe.shuffle or recipe.labelled < 1 or any(stream.noises for stream in recipe.streams):
        return False
    return bool(getattr(model_module(recipe.model), "DETERMINISTIC", False))


def layer_modules(recipe: Any) -> tuple[str, ...]:
    """Return the modules that define the layers in the trained model of a `Recipe`; that of a cascade contains its first model."""
    found = tuple(getattr(model_module(recipe.model), "LAYERS", ()))
    return (*found, *layer_modules(recipe.first), "keras_ser.models.aspmtl.cascade") if recipe.first else found


def model_flags() -> dict[str, Any]:
    """Return name -> `keras_ser.models.paper.Flag` of the outputs that describe a clip without being a task.

    Covers the models in `MODELS`, and those from outside that this process has used.
    """
    found = {}
    for module in (*map(model_module, MODELS), *_OWN.values()):
        found |= getattr(module, "FLAGS", {})
    return found
