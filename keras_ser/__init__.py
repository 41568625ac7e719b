"""keras_ser: speech emotion recognition by multi-task learning, in Keras 3.

      disk                                                                                                           disk
       |                                                                                                              ^
    corpora --> splits --> pipelines --> features --> models --> training --> evaluation --> reports --> experiment --+
     Corpus     Split      Batch         Frontend      Network     Run          Table        Report      report.md
       \\          \\          ^              ^           ^    ^         |
        \\          \\       audio            |        layers losses     +--> serving --> SavedModel, predictions, timelines
         +----------+------- tasks: Task ---+-----------+----+--- known to every package
                                    recipe: Recipe = one choice of each of the above      tuning: many Recipes

    import keras_ser as ks

    experiment = ks.run(recipe, ks.read_corpus("manifest", "clips.csv"))
    ks.load(experiment.folder).predict("clip.wav")

Modules import only from packages earlier in this list (enforced by a test):
errors, files, checks, values, overrides, machine, progress, tasks, settings, audio, corpora, splits, features, pipelines, layers,
losses, metrics, models, recipe_checks, recipe, training, evaluation, reports, engines, experiment, tuning, serving, cli, api,
sklearn.

Conventions. Axes: batch, samples, frames, bins, units, classes. Arguments: sample_rate (Hz), window, hop, fft (samples), bins,
units, rate, seed; `sampling_rate` (Hz) is the rate of waveforms given by the user. Integers are samples or frames unless the name
ends in `_seconds`. A waveform is float32 (batch, samples) with `length` (batch,); samples beyond `length` are padding. Features are
(batch, frames, bins) with a boolean "mask" (batch, frames), True...True False...False.

The names in __init__.pyi are imported on first use, so that importing the package is fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
