"""Inference of Keras models, and the features of baselines."""

import errno
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.errors import RunError
from keras_ser.files import REFUSED, lock, refusal, write_whole
from keras_ser.machine import check_backend
from keras_ser.models.estimators import Estimators, load_pipelines
from keras_ser.pipelines.sources import Source, waveforms
from keras_ser.recipe import FrontendConfig, Recipe

LOG = logging.getLogger(__name__)
# (stage, epoch, epochs, logs, those of the main task first); a baseline counts settings instead of epochs, and clips while
# features are computed
OnEpoch = Callable[[str, int, int, Mapping[str, float]], None]


def forward(model, score: Callable | None = None):
    """Compile a model's inference as one graph for all batch sizes and lengths (`Model.predict_on_batch` retraces for each length).

    Baselines (`Estimators`) are returned unchanged. `score` is called with the model's inputs instead of the model.

    Raises:
        UserError: TensorFlow is not Keras's backend.
    """
    if isinstance(model, Estimators):
        return model
    check_backend("the inference of a model")
    import tensorflow as tf

    spec = {name: tf.TensorSpec(x.shape, x.dtype, name=name) for name, x in model.input.items()}
    score = score or functools.partial(model, training=False)
    graph = tf.function(lambda given: score(given), input_signature=[spec], autograph=False).get_concrete_function()

    def infer(given, kept=(model, score)):  # the graph alone would not keep the model's variables alive
        return graph(given)

    return infer


class Kept:
    """The batches of a dataset, in memory after the first pass: each new iterator would optimise the dataset's graph anew."""

    def __init__(self, batches: Iterable):
        self._batches, self._found = batches, None

    def __iter__(self) -> Iterator:
        if self._found is None:
            self._found = list(self._batches)
        return iter(self._found)


def gathered(batches: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> tuple[dict, dict]:
    """Concatenate batches of ({name: (batch, ..)}, {name: (batch,)}) to arrays of all clips."""
    kinds = zip(*batches, strict=True)
    return tuple(
        {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]} for parts in kinds
    )


def load_estimators(file: Path, recipe: Recipe) -> Estimators:
    """Load the model of a finished baseline run.

    Raises:
        RunError: the file is damaged, or contains types that skops does not trust.
    """
    try:
        pipelines = load_pipelines(file)
    except ValueError as error:
        raise RunError(str(error)) from error
    return Estimators(describer(recipe), pipelines, recipe.tasks)


def describer(recipe: Recipe) -> Callable[[Mapping[str, Any]], np.ndarray]:
    """Return a function {"waveform": (batch, samples), "length": (batch,)} -> (batch, features).

    The features are the front end's, averaged over the frames of a clip, or openSMILE's functionals.
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
    """Build the graph of a front end and the mean over its frames; cached, since tracing is slower than many baselines.

    `policy` is Keras's dtype policy, with which the layers are built.
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
    """Compute the features of a stream for a baseline: (clips, features), and {"index", "mixed"} of the clips.

    openSMILE's functionals are stored beside the waveform cache; `on_epoch` is called with (their name, clip, clips, {}).
    """
    if recipe.config.functionals and not source.bank:
        found = _kept_functionals(source, recipe.config.functionals, on_epoch)
        return found, {"index": source.indices, "mixed": np.zeros(len(found), int)}
    batches = waveforms(source, source.draw(seed))
    found, extra = gathered(({"features": describe(given)}, extra) for given, extra in batches)
    return found["features"], extra


def _kept_functionals(source: Source, name: str, on_epoch: OnEpoch | None) -> np.ndarray:
    """Return (clips, functionals), stored beside the waveform cache, because openSMILE is slow and folds share clips.

    Where they cannot be written, those that are missing are computed and not kept.
    """
    from keras_ser.audio.opensmile_functionals import FUNCTIONALS, functionals

    path = source.cache.path.with_suffix(f".{name}.npy")
    # one row per utterance; its first number is 1 if the others have been computed
    shape = len(source.cache) + len(source.cache.dropped), 1 + FUNCTIONALS[name]
    try:
        kept = _mapped(path, shape, "c")  # changes stay in memory
    except OSError:
        kept = np.zeros(shape, "float32")
    missing = source.indices[kept[source.indices, 0] == 0]
    if len(missing):
        if why := refusal(path.parent):
            _warn_not_kept(path, why)
        else:
            kept = _writable(path, shape, kept)
    clips = source.cache.dataset(missing).as_numpy_iterator() if len(missing) else ()
    for number, clip in enumerate(clips, start=1):
        kept[clip["index"], 1:] = functionals(clip["waveform"], source.cache.sample_rate, name)
        kept[clip["index"], 0] = 1  # set last, so that a kill cannot leave a partial row marked as done
        if on_epoch:
            on_epoch(name, number, len(missing), {})
    if isinstance(kept, np.memmap):
        kept.flush()
    return np.array(kept[source.indices, 1:])


def _writable(path: Path, shape: tuple[int, int], read: np.ndarray) -> np.ndarray:
    """Return the file's numbers so that they can be written, made if missing; `read` if another user's file refuses it."""
    if not path.exists():
        with lock(path):
            if not path.exists():
                # write the zeros, so that a full disk fails here and not in writes through the memory map
                write_whole(path, lambda part: np.save(part, np.zeros(shape, "float32")))
    try:
        return _mapped(path, shape, "r+")
    except OSError as error:
        _warn_not_kept(path, error.strerror)
        return read


def _mapped(path: Path, shape: tuple[int, int], mode: str) -> np.ndarray:
    """Return the numbers of a file; raise RunError if it is damaged, OSError if it is missing or permission is."""
    try:
        kept = np.load(path, mmap_mode=mode)
    except (OSError, EOFError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.ENOENT, *REFUSED):
            raise
        raise RunError(f"{path} is damaged: {error}. Remove it: its numbers will be computed again.") from error
    if kept.shape != shape:
        raise RunError(f"{path} holds {kept.shape} numbers instead of {shape}. Remove it: they will be computed again.")
    return kept


@functools.cache
def _warn_not_kept(path: Path, why: str) -> None:
    LOG.warning("%s can't be written (%s): openSMILE's numbers are not kept, and are computed by each run.", path, why)
