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
errors, checks, values, overrides, files, machine, tasks, settings, audio, corpora, splits, features, pipelines, layers, losses,
metrics, models, recipe, training, evaluation, reports, engines, experiment, tuning, serving, cli, api, sklearn.

One vocabulary. Axes: batch, samples, frames, bins, units, classes. Arguments: sample_rate (Hz), window, hop, fft (samples), bins,
units, rate, seed; `sampling_rate` (Hz) is that of waveforms that a user gives. Integers are samples or frames unless the name
ends in `_seconds`. A waveform is float32 (batch, samples) with `length` (batch,), its samples beyond that are padding; features are
(batch, frames, bins) with a boolean "mask" (batch, frames), True...True False...False.

The names of __init__.pyi are imported where they are first used, so that importing the package costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
