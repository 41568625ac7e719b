"""`fit`: one recipe on one split with one seed."""

import contextlib
import dataclasses
import functools
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_ser.errors import UserError
from keras_ser.files import write_whole
from keras_ser.pipelines.batching import TRAINING_SECONDS
from keras_ser.pipelines.sources import Source, drawn_seed
from keras_ser.pipelines.streams import TrainingData, evaluation_batches
from keras_ser.recipe import Recipe
from keras_ser.splits import Split, check_split
from keras_ser.training.data import CLEAN, NOISE_TASK, Data, shuffled
from keras_ser.training.estimators import train_estimators
from keras_ser.training.loop import OnEpoch, train_epochs, validation_scores
from keras_ser.training.network import build
from keras_ser.training.predict import forward, judged, scored_streams
from keras_ser.training.preflight import check_choice, check_recipe, fixed_frames, is_baseline
from keras_ser.training.run import NETWORK, Run, claim, model_file
from keras_ser.training.targets import frame_targets, spread_over, targets

CONTROL = 3000  # what the targets of a control are drawn by, beside `TrainingData`'s streams


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
    check_recipe(recipe, data.auxiliary, data.noise_root)
    check_choice(recipe, data.readable, split)
    nameless = [task.name for task in recipe.tasks if not (task.labels or task.continuous)]
    if nameless:
        raise UserError(f"the task {nameless[0]!r} has no classes yet: take `recipe.for_corpus(corpus)`.")
    check_split(split, data.corpus, data.cache.hashes, data.others)
    stage = recipe.name if recipe.first is None else "model 2"
    return _fit(recipe, data, split, Path(out), seed, stage, strategy, on_epoch)


def _fit(recipe, data, split, out, seed, stage, strategy, on_epoch) -> Run:
    claim(out, recipe, split, seed, data.digest)
    if model_file(out):
        return Run.load(out)
    if is_baseline(recipe):
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

    from keras_ser.features import Frontend
    from keras_ser.models.whole import whole_model

    policy = keras.config.dtype_policy()
    mirrored = _mirrored() if strategy else None
    with _seeded(seed), contextlib.ExitStack() as stack:
        stack.callback(keras.config.set_dtype_policy, policy)
        # the front end computes in float32 whatever the precision of the network
        keras.config.set_dtype_policy("float32")
        frontend = Frontend(**dataclasses.asdict(recipe.frontend), name="frontend")
        extract = _extractor(recipe, frontend, first)
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
            batch_frames=round(TRAINING_SECONDS * recipe.frontend.sample_rate / recipe.frontend.hop),
        )
        keras.config.set_dtype_policy(recipe.precision)
        with mirrored.scope() if mirrored else contextlib.nullcontext():
            sizes = {name: extract.output[name].shape[-1] for name in names}
            network, score = build(recipe, sizes, training.steps, frames=fixed_frames(recipe, frontend))
            if not network.optimizer.built:
                network.optimizer.build(network.trainable_variables)
        if not recipe.frontend.normalize:
            statistics = training.statistics
            network.get_layer("normalization").set_statistics(statistics.mean, statistics.variance)
        choose = targets(recipe, network)
        spread = spread_over(mirrored.num_replicas_in_sync if mirrored else 1)
        drawn = drawn_seed(seed, 0, CONTROL)

        def batches(first: int):
            numbered = training.epochs(first, recipe.epochs).enumerate(first * training.steps)
            return numbered.map(lambda step, batch: choose(*batch, seed=(drawn[0], drawn[1] + step))).map(spread)

        train_epochs(
            recipe,
            batches,
            training.steps,
            network,
            _validation(recipe, data, split, extract, score, seed, training.left),
            out,
            seed,
            stage,
            on_epoch,
            where=f"protocol {split.protocol!r}, fold {split.fold}, ",
        )
        whole = whole_model(extract, score, recipe.name)
        write_whole(out / NETWORK, whole.save)
    (out / "state.npz").unlink(missing_ok=True)


def _extractor(recipe: Recipe, frontend, first: Run | None):
    from keras_ser.models.cascade import drop_extractor, mask_extractor
    from keras_ser.models.whole import extractor

    if first is None:
        return extractor(frontend)
    if recipe.discard == "mask":
        return mask_extractor(first.model(), frontend)
    noise = next(task for task in first.recipe.tasks if task.name == NOISE_TASK)
    return drop_extractor(first.model(), segment=first.recipe.sampling.frames, clean=int(noise.encode(CLEAN)[0]))


def _validation(recipe, data, split, extract, score, seed, room):
    """A function of no arguments that scores the network on the validation side, or None where there is no such side.

    Features are kept in memory as far as there is `room`, in bytes.
    """
    if not split.validation:
        return None
    sides = []
    sources = [data.source(recipe, k, split, "validation", seed) for k in scored_streams(recipe)]
    room -= sum(source.noise_bytes for source in sources)
    for source in [shuffled(source, recipe, sources, seed) for source in sources]:
        batches, size = evaluation_batches(source, extract, recipe.frontend.features), _bytes(source, extract, recipe)
        sides.append((source, batches.cache() if size <= room else batches))
        room -= size if size <= room else 0
    infer = forward(score)
    tasks = judged(recipe.tasks, split, "validation")
    return lambda: validation_scores(infer, sides, tasks)


def _bytes(source: Source, extract, recipe: Recipe) -> float:
    """Memory of a stream's padded features (estimated: no frame dropped)."""
    lengths = source.cache.lengths[np.isin(source.cache.indices, source.indices)]
    if recipe.frontend.seconds:
        lengths = np.full(len(lengths), recipe.frontend.seconds * recipe.frontend.sample_rate)
    parts = np.split(lengths, np.cumsum(source.draw(0).sizes)[:-1])
    bins = sum(extract.output[name].shape[-1] for name in recipe.frontend.features)
    return 4 * bins * sum(len(part) * part.max() for part in parts) / recipe.frontend.hop
