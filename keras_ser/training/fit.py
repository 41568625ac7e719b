"""`fit`: one recipe on one split with one seed."""

import contextlib
import dataclasses
import functools
import importlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_ser.errors import UserError
from keras_ser.files import write_whole
from keras_ser.models import MODELS
from keras_ser.pipelines.sources import Source
from keras_ser.pipelines.streams import MEMORY_LIMIT, TrainingData, evaluation_batches
from keras_ser.recipe import Recipe
from keras_ser.splits import Split, check_split
from keras_ser.training.data import CLEAN, NOISE_TASK, Data, shuffled
from keras_ser.training.estimators import check_estimators, train_estimators
from keras_ser.training.loop import OnEpoch, train_epochs, validation_scores
from keras_ser.training.network import build
from keras_ser.training.predict import forward, judged, scored_streams
from keras_ser.training.run import NETWORK, Run, claim, model_file
from keras_ser.training.targets import frame_targets, spread_over, targets


def deterministic() -> None:
    """Make TensorFlow's ops deterministic for the rest of this process (slower; needed for bit-equal runs)."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def fit(
    recipe: Recipe,
    data: Data,
    split: Split,
    out: Path | str,
    seed: int = 0,
    *,
    strategy: str | None = None,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """Train one recipe on one split with one seed.

    Args:
        recipe: what to train; with `recipe.first`, that model is trained before, on the same split, into model_1/.
        data: the decoded corpora.
        split: who trains, validates and tests.
        out: the run's folder; a finished run in it is returned as it is, an unfinished one goes on.
        seed: draws initial weights, order, crops, noises, augmentation and dropout. It seeds Keras and TensorFlow for the
            whole process; NumPy's and Python's global generators are left as they were.
        strategy: None or "mirrored" (all local accelerators).
        on_epoch: called with (stage, epoch, epochs, logs) after each epoch; see `OnEpoch`.

    Raises:
        LeakageError: something stands on two sides of the split.
        RunError: `out` holds another run.
    """
    if strategy not in (None, "mirrored"):
        raise UserError(f"`strategy` must be None or 'mirrored'. Received: {strategy!r}.")
    check_choice(recipe, data, split)
    nameless = [task.name for task in recipe.tasks if not (task.labels or task.continuous)]
    if nameless:
        raise UserError(f"the task {nameless[0]!r} has no classes yet: take `recipe.for_corpus(corpus)`.")
    check_split(split, data.corpus, data.cache.hashes, [c.hashes for _, c in data.auxiliary.values()])
    stage = recipe.name if recipe.first is None else "model 2"
    return _fit(recipe, data, split, Path(out), seed, stage, strategy, on_epoch)


def check_choice(recipe: Recipe, data: Data, split: Split) -> None:
    """Refuse, before hours of training, what can't be trained, and a validation side that can't choose the epoch.

    Raises:
        ValueError: the main task, whose score chooses, can't be judged there; a recipe that asks of a scikit-learn model what it
            can't do.
    """
    if hasattr(importlib.import_module(MODELS[recipe.model]), "estimator"):
        check_estimators(recipe, data, split)
    main = recipe.tasks[0]
    if split.validation and not recipe.monitor and main not in judged(recipe.tasks, split, "validation"):
        raise UserError(
            f"the epoch can't be chosen by {main.name!r}: the validation side holds other {main.column}s than the training side. "
            "Train all epochs (--set protocols.NAME.validation=0), or choose by a share of the clips (validation=0.1)."
        )


def _fit(recipe, data, split, out, seed, stage, strategy, on_epoch) -> Run:
    claim(out, recipe, split, seed, data.digest)
    if model_file(out):
        return Run.load(out)
    if hasattr(importlib.import_module(MODELS[recipe.model]), "estimator"):
        train_estimators(recipe, data, split, out, seed, stage, on_epoch)
        return Run.load(out)
    first = None
    if recipe.first is not None:
        first = _fit(recipe.first, data, split, out / "model_1", seed, "model 1", strategy, on_epoch)
    _train(recipe, data, split, out, seed, stage, first, strategy, on_epoch)
    return Run.load(out)


@functools.cache
def _mirrored():
    """The one MirroredStrategy of this process: with a second one, `Model.fit` fails."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed all generators that Keras draws from, and leave NumPy's and Python's global ones as they were."""
    import keras

    numpys, pythons = np.random.get_state(), random.getstate()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)


def _train(recipe, data, split, out, seed, stage, first, strategy, on_epoch) -> None:
    import keras

    from keras_ser.models.whole import whole_model

    policy = keras.config.dtype_policy()
    mirrored = _mirrored() if strategy else None
    with _seeded(seed), contextlib.ExitStack() as stack:
        stack.callback(keras.config.set_dtype_policy, policy)
        # the front end computes in float32 whatever the precision of the network
        keras.config.set_dtype_policy("float32")
        extract = _extractor(recipe, first)
        sources = [data.source(recipe, k, split, "train", seed) for k in range(len(recipe.streams))]
        sources = [shuffled(source, recipe, sources, seed) for source in sources]
        names = recipe.frontend.features
        training = TrainingData(
            sources,
            extract,
            names,
            recipe.tasks,
            recipe.sampling,
            recipe.augment,
            recipe.batch_size,
            seed,
            frame_targets=frame_targets(recipe),
            samples=round(recipe.frontend.seconds * recipe.frontend.sample_rate),
            measure=not recipe.frontend.normalize,
        )
        keras.config.set_dtype_policy(recipe.precision)
        with mirrored.scope() if mirrored else contextlib.nullcontext():
            sizes = {name: extract.output[name].shape[-1] for name in names}
            network, score = build(recipe, sizes, training.steps, frames=_frames(recipe, extract))
            if not network.optimizer.built:
                network.optimizer.build(network.trainable_variables)
        if not recipe.frontend.normalize:
            statistics = training.statistics
            network.get_layer("normalization").set_statistics(statistics.mean, statistics.variance)
        choose = targets(recipe, network)
        spread = spread_over(mirrored.num_replicas_in_sync if mirrored else 1)
        train_epochs(
            recipe,
            # Exactly `steps` batches, and known to be: Keras notices the end of a data set of unknown size only in a
            # step without data, in which seeds, counters and means race ahead.
            lambda epoch: training.epoch(epoch).repeat().take(training.steps).map(choose).map(spread),
            network,
            _validation(recipe, data, split, extract, score, seed),
            out,
            seed,
            stage,
            on_epoch,
        )
        whole = whole_model(extract, score, recipe.name)
        write_whole(out / NETWORK, whole.save)
    (out / "state.npz").unlink(missing_ok=True)


def _frames(recipe: Recipe, extract) -> int | None:
    """Frames of every example and every clip, where all have as many."""
    varied = recipe.frontend.endpoint or recipe.sampling.kind != "whole" or recipe.augment.tempo
    return None if varied else extract.output["mask"].shape[1]


def _extractor(recipe: Recipe, first: Run | None):
    from keras_ser.features import Frontend
    from keras_ser.models.cascade import drop_extractor, mask_extractor
    from keras_ser.models.whole import extractor

    frontend = Frontend(**dataclasses.asdict(recipe.frontend), name="frontend")
    if first is None:
        return extractor(frontend)
    if recipe.discard == "mask":
        return mask_extractor(first.model(), frontend)
    noise = next((task for task in first.recipe.tasks if task.name == NOISE_TASK), None)
    if noise is None:
        raise UserError(f"the first model of a cascade needs a task {NOISE_TASK!r} to drop segments by.")
    if first.recipe.frontend != recipe.frontend:
        raise UserError("both models of a cascade need the same frontend: set first.frontend like frontend.")
    return drop_extractor(first.model(), segment=first.recipe.sampling.frames, clean=int(noise.encode(CLEAN)[0]))


def _validation(recipe, data, split, extract, score, seed):
    """A function of no arguments that scores the network on the validation side, or None where there is no such side."""
    if not split.validation:
        return None
    sides = []
    sources = [data.source(recipe, k, split, "validation", seed) for k in scored_streams(recipe)]
    for source in [shuffled(source, recipe, sources, seed) for source in sources]:
        batches = evaluation_batches(source, extract, recipe.frontend.features)
        sides.append((source, batches.cache() if _fits(source, extract, recipe) else batches))
    infer = forward(score)
    tasks = judged(recipe.tasks, split, "validation")
    return lambda: validation_scores(infer, sides, tasks)


def _fits(source: Source, extract, recipe: Recipe) -> bool:
    """Whether the features of a stream may stay in memory (estimated: no frame dropped, none padded)."""
    fixed = recipe.frontend.seconds * recipe.frontend.sample_rate
    lengths = source.cache.lengths[np.isin(source.cache.indices, source.indices)]
    samples = fixed * len(lengths) if fixed else lengths.sum()
    bins = sum(extract.output[name].shape[-1] for name in recipe.frontend.features)
    return 4 * bins * samples / recipe.frontend.hop <= MEMORY_LIMIT
