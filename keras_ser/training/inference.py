"""What a model sees of a clip outside training: a Keras model's inference, and the features of a baseline."""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.errors import RunError
from keras_ser.files import lock, write_whole
from keras_ser.models.estimators import Estimators, load_pipelines
from keras_ser.pipelines.sources import Source, waveforms
from keras_ser.recipe import FrontendConfig, Recipe

# stage, epoch, of how many, logs; of a baseline settings instead of epochs, and clips while features are computed
OnEpoch = Callable[[str, int, int, Mapping[str, float]], None]


def forward(model, score: Callable | None = None):
    """A model's inference as one graph for every batch size and length (`Model.predict_on_batch` traces each length anew).

    Baselines outside Keras (`Estimators`) are what they are. `score` is what is called instead of the model, with its inputs.
    """
    if isinstance(model, Estimators):
        return model
    import tensorflow as tf

    spec = {name: tf.TensorSpec(x.shape, x.dtype, name=name) for name, x in model.input.items()}
    score = score or functools.partial(model, training=False)
    graph = tf.function(lambda given: score(given), input_signature=[spec]).get_concrete_function()

    def infer(given, kept=(model, score)):  # the graph alone would not keep the model's variables
        return graph(given)

    return infer


def gathered(batches: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> tuple[dict, dict]:
    """({name: (batch, ..)}, {name: (batch,)}) batch by batch -> the same of all clips, as arrays."""
    kinds = zip(*batches, strict=True)
    return tuple(
        {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]} for parts in kinds
    )


def load_estimators(file: Path, recipe: Recipe) -> Estimators:
    """A finished run's model.

    Raises:
        RunError: the file is damaged, or holds what skops does not trust.
    """
    try:
        pipelines = load_pipelines(file)
    except ValueError as error:
        raise RunError(str(error)) from error
    return Estimators(describer(recipe), pipelines, recipe.tasks)


def describer(recipe: Recipe) -> Callable[[Mapping[str, Any]], np.ndarray]:
    """{"waveform": (batch, samples), "length": (batch,)} -> (batch, features).

    The features are the mean over a clip's frames of what the front end puts out, or openSMILE's functionals.
    """
    if recipe.config.functionals:
        from keras_ser.audio.opensmile_functionals import functionals

        def told(given):
            clips = zip(np.asarray(given["waveform"]), np.asarray(given["length"]), strict=True)
            rate, name = recipe.frontend.sample_rate, recipe.config.functionals
            return np.stack([functionals(x[:n], rate, name) for x, n in clips])

        return told
    import keras

    infer = _mean_features(recipe.frontend, keras.config.dtype_policy().name)
    return lambda given: np.asarray(infer({name: given[name] for name in ("waveform", "length")})["clip"])


@functools.lru_cache(maxsize=4)
def _mean_features(frontend: FrontendConfig, policy: str) -> Callable:
    """The graph of a front end and the mean over its frames; tracing it takes longer than many a baseline.

    `policy` is Keras's dtype policy, under which the layers are made.
    """
    import keras

    from keras_ser.features import Frontend
    from keras_ser.layers import MeanPooling
    from keras_ser.models.whole_model import extractor

    extract = extractor(Frontend(**frontend.options()))
    names = frontend.features
    joined = [MeanPooling(dtype="float32")(extract.output[name], mask=extract.output["mask"]) for name in names]
    joined = keras.layers.Concatenate(dtype="float32")(joined) if len(joined) > 1 else joined[0]
    return forward(keras.Model(extract.input, {"clip": joined}))


def features(recipe: Recipe, source: Source, describe: Callable, seed: int, on_epoch: OnEpoch | None = None):
    """What a baseline sees of a stream: (clips, features), and {"index", "mixed"} of the clips.

    openSMILE's functionals are kept beside the waveform cache; `on_epoch` is called with (their set, clip, clips, {}).
    """
    if recipe.config.functionals and not source.bank:
        found = _kept_functionals(source, recipe.config.functionals, on_epoch)
        return found, {"index": source.indices, "mixed": np.zeros(len(found), int)}
    batches = waveforms(source, source.draw(seed))
    found, extra = gathered(({"features": describe(given)}, extra) for given, extra in batches)
    return found["features"], extra


def _kept_functionals(source: Source, name: str, on_epoch: OnEpoch | None) -> np.ndarray:
    """(clips, functionals), computed once for a waveform cache and kept beside it: openSMILE is slow, and folds share clips."""
    from keras_ser.audio.opensmile_functionals import FUNCTIONALS, functionals

    path = source.cache.path.with_suffix(f".{name}.npy")
    # one row for each utterance, of which the first number tells whether the others are there
    shape = len(source.cache) + len(source.cache.dropped), 1 + FUNCTIONALS[name]
    with lock(path):
        if not path.exists():
            # zeros that are written, not a hole: where the disk is full, this fails, and not the writes through the map
            write_whole(path, lambda part: np.save(part, np.zeros(shape, "float32")))
    try:
        kept = np.load(path, mmap_mode="r+")
    except (OSError, EOFError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}. Remove it: its numbers will be computed again.") from error
    if kept.shape != shape:
        raise RunError(f"{path} holds {kept.shape} numbers instead of {shape}. Remove it: they will be computed again.")
    missing = source.indices[kept[source.indices, 0] == 0]
    clips = source.cache.dataset(missing).as_numpy_iterator() if len(missing) else ()
    for number, clip in enumerate(clips, start=1):
        kept[clip["index"], 1:] = functionals(clip["waveform"], source.cache.sample_rate, name)
        kept[clip["index"], 0] = 1  # last: a kill leaves a row undone, and not half done
        if on_epoch:
            on_epoch(name, number, len(missing), {})
    kept.flush()
    return np.array(kept[source.indices, 1:])
