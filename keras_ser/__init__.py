"""keras_ser: speech emotion recognition by multi-task learning, in Keras 3.

    import keras_ser as ks

    experiment = ks.run(recipe, ks.read_corpus("manifest", "clips.csv"))
    ks.load(experiment.folder).predict("clip.wav")

docs/architecture.md draws the packages, in the order in which they import one another, and lists the conventions.

The names in __init__.pyi are imported on first use, so that importing the package is fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
