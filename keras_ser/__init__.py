"""keras_ser: speech emotion recognition by multi-task learning, in Keras 3.

      disk                                                                                                           disk
       |                                                                                                              ^
    corpora --> splits --> pipelines --> features --> models --> training --> evaluation --> reports --> experiment --+
     Corpus     Split      Batch         Frontend      Network     Run          Table        Report      report.md
       \\          \\          ^              ^           ^    ^         |
        \\          \\       audio            |        layers losses     +--> serving --> SavedModel, answers
         +----------+------- tasks: Task ---+-----------+----+--- known to every package
                                    recipe: Recipe = one choice of each of the above      tuning: many Recipes

An import points only to a package earlier in this list (a test holds that):
errors, checks, values, overrides, files, tasks, settings, audio, corpora, splits, features, pipelines, layers, losses, metrics,
models, recipe, training, evaluation, reports, experiment, tuning, serving, cli.

One vocabulary. Axes: batch, samples, frames, bins, units, classes. Arguments: sample_rate (Hz), window, hop, fft (samples), bins,
units, rate, seed. Integers are samples or frames unless the name ends in `_seconds`. A waveform is float32 (batch, samples) with
`length` (batch,), its samples beyond that are padding; features are (batch, frames, bins) with a boolean "mask" (batch, frames),
True...True False...False.
"""

from keras_ser._version import __version__
from keras_ser.corpora import Corpus, CorpusError, Utterance, read_corpus
from keras_ser.recipe import Recipe
from keras_ser.splits import LeakageError, Protocol, Split, check_split
from keras_ser.tasks import Task

__all__ = [
    "Corpus",
    "CorpusError",
    "LeakageError",
    "Protocol",
    "Recipe",
    "Split",
    "Task",
    "Utterance",
    "__version__",
    "check_split",
    "read_corpus",
]
