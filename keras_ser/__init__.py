"""keras_ser: speech emotion recognition by multi-task learning, in Keras 3.

      disk                                                                                                           disk
       |                                                                                                              ^
    corpora --> splits --> pipelines --> features --> models --> training --> evaluation --> reports --> experiment --+
     Corpus     Split      Batch         Frontend      Network     Run          Table        Report      report.md
       \\          \\          ^              ^           ^    ^         |
        \\          \\       audio            |        layers losses     +--> serving --> SavedModel, answers
         +----------+------- tasks: Task ---+-----------+----+--- known to every package
                                    recipe: Recipe = one choice of each of the above      tuning: many Recipes

    import keras_ser as ks

    experiment = ks.run(recipe, ks.read_corpus("manifest", "clips.csv"))
    ks.load(experiment.folder).predict("clip.wav")

An import points only to a package earlier in this list (a test holds that):
errors, checks, values, overrides, files, tasks, settings, audio, corpora, splits, features, pipelines, layers, losses, metrics,
models, recipe, training, evaluation, reports, engines, experiment, tuning, serving, cli, api, sklearn.

One vocabulary. Axes: batch, samples, frames, bins, units, classes. Arguments: sample_rate (Hz), window, hop, fft (samples), bins,
units, rate, seed; `sampling_rate` (Hz) is that of waveforms that a user gives. Integers are samples or frames unless the name
ends in `_seconds`. A waveform is float32 (batch, samples) with `length` (batch,), its samples beyond that are padding; features are
(batch, frames, bins) with a boolean "mask" (batch, frames), True...True False...False.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ser._version import __version__

if TYPE_CHECKING:
    from keras_ser.api import Experiment, load, run
    from keras_ser.corpora import Corpus, CorpusError, Utterance, read_corpus
    from keras_ser.errors import UserError
    from keras_ser.experiment import evaluate
    from keras_ser.pipelines.augmentation import Augment, Windows
    from keras_ser.recipe import Recipe
    from keras_ser.serving import Predictor, export
    from keras_ser.settings import FrontendConfig, OptimizerConfig, Sampling, Stream
    from keras_ser.splits import LeakageError, Protocol, Split, check_split
    from keras_ser.tasks import Task
    from keras_ser.training import Run

__all__ = [
    "Augment",
    "Corpus",
    "CorpusError",
    "Experiment",
    "FrontendConfig",
    "LeakageError",
    "OptimizerConfig",
    "Predictor",
    "Protocol",
    "Recipe",
    "Run",
    "Sampling",
    "Split",
    "Stream",
    "Task",
    "UserError",
    "Utterance",
    "Windows",
    "__version__",
    "check_split",
    "evaluate",
    "export",
    "load",
    "read_corpus",
    "run",
]

# each is imported when it is first used, so that `import keras_ser` costs nothing
_PLACES = {
    "api": ("Experiment", "load", "run"),
    "corpora": ("Corpus", "CorpusError", "Utterance", "read_corpus"),
    "errors": ("UserError",),
    "experiment": ("evaluate",),
    "pipelines.augmentation": ("Augment", "Windows"),
    "recipe": ("Recipe",),
    "serving": ("Predictor", "export"),
    "settings": ("FrontendConfig", "OptimizerConfig", "Sampling", "Stream"),
    "splits": ("LeakageError", "Protocol", "Split", "check_split"),
    "tasks": ("Task",),
    "training": ("Run",),
}
_MODULES = {name: f"keras_ser.{module}" for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'keras_ser' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
