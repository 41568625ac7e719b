"""`fit`: one recipe on one split with one seed."""

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.models import MODELS
from keras_ser.pipelines.streams import MEMORY_LIMIT, Source, TrainingData, evaluation_batches
from keras_ser.recipe import Recipe
from keras_ser.splits import Split, check_split
from keras_ser.tasks import Task
from keras_ser.training.data import CLEAN, NOISE_TASK, Data, shuffled
from keras_ser.training.estimators import check_estimators, train_estimators
from keras_ser.training.loop import OnEpoch, train_epochs, validation_scores
from keras_ser.training.predict import forward, judged, scored_streams
from keras_ser.training.run import NETWORK, Run, claim, model_file, write_atomically


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
        seed: draws initial weights, order, crops, noises, augmentation and dropout. It seeds Keras, NumPy and Python
            for the whole process.
        strategy: None or "mirrored" (all local accelerators).
        on_epoch: called with (stage, epoch, logs) after each epoch.

    Raises:
        LeakageError: something stands on two sides of the split.
        RunError: `out` holds another run.
    """
    if strategy not in (None, "mirrored"):
        raise ValueError(f"`strategy` must be None or 'mirrored'. Received: {strategy!r}.")
    check_choice(recipe, split)
    nameless = [task.name for task in recipe.tasks if not (task.labels or task.continuous)]
    if nameless:
        raise ValueError(f"the task {nameless[0]!r} has no classes yet: take `recipe.for_corpus(corpus)`.")
    check_split(split, data.corpus, data.cache.hashes, [c.hashes for _, c in data.auxiliary.values()])
    stage = recipe.name if recipe.first is None else "model 2"
    return _fit(recipe, data, split, Path(out), seed, stage, strategy, on_epoch)


def check_choice(recipe: Recipe, split: Split) -> None:
    """Refuse, before hours of training, what can't be trained, and a validation side that can't choose the epoch.

    Raises:
        ValueError: the main task, whose score chooses, can't be judged there; a recipe that asks of a scikit-learn model what it
            can't do.
    """
    if hasattr(importlib.import_module(MODELS[recipe.model]), "estimator"):
        check_estimators(recipe, split)
    main = recipe.tasks[0]
    if split.validation and not recipe.monitor and main not in judged(recipe.tasks, split, "validation"):
        raise ValueError(
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


def _train(recipe, data, split, out, seed, stage, first, strategy, on_epoch) -> None:
    import keras

    from keras_ser.models.whole import whole_model

    keras.utils.set_random_seed(seed)
    policy = keras.config.dtype_policy()
    mirrored = _mirrored() if strategy else None
    try:
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
            frame_targets=_frame_targets(recipe),
            samples=round(recipe.frontend.seconds * recipe.frontend.sample_rate),
            measure=not recipe.frontend.normalize,
        )
        keras.config.set_dtype_policy(recipe.precision)
        with mirrored.scope() if mirrored else contextlib.nullcontext():
            sizes = {name: extract.output[name].shape[-1] for name in names}
            network, score = build(recipe, sizes, training.steps, frames=_frames(recipe, extract))
            network.optimizer.build(network.trainable_variables)
        if not recipe.frontend.normalize:
            statistics = training.statistics
            network.get_layer("normalization").set_statistics(statistics.mean, statistics.variance)
        choose = _targets(recipe, network)
        spread = _spread(mirrored.num_replicas_in_sync if mirrored else 1)
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
        write_atomically(out / NETWORK, whole.save)
    finally:
        keras.config.set_dtype_policy(policy)
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
        raise ValueError(f"the first model of a cascade needs a task {NOISE_TASK!r} to drop segments by.")
    if first.recipe.frontend != recipe.frontend:
        raise ValueError("both models of a cascade need the same frontend: set first.frontend like frontend.")
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


def _frame_targets(recipe: Recipe):
    """What the network learns frame by frame: the ideal ratio mask and its weights ("irm") where it estimates one.

    Raises:
        ValueError: the frames of mask and features would not be the same.
    """
    from keras import ops

    from keras_ser.features import ideal_ratio_mask, loudness_weights

    bins = getattr(recipe.config, "mask_bins", 0)
    if not bins:
        return None
    settings = recipe.frontend
    if (
        settings.endpoint
        or settings.seconds
        or settings.normalize
        or not recipe.augment.off
        or bins != settings.fft // 2 + 1
    ):
        raise ValueError(
            "a mask is learnt for the frames and bins of the front end as they are: it needs frontend.endpoint=false, no "
            f"augmentation, and config.mask_bins={settings.fft // 2 + 1}. Received: endpoint={settings.endpoint}, "
            f"{recipe.augment}, mask_bins={bins}."
        )

    def targets(given):
        sizes = (settings.window, settings.hop, settings.fft)
        mask = ideal_ratio_mask(given["clean"], given["waveform"], given["length"], *sizes)
        weights = loudness_weights(given["waveform"], given["length"], *sizes, exponent=recipe.config.mask_loudness)
        return {"irm": ops.concatenate([mask, weights], axis=-1)}

    return targets


def _targets(recipe: Recipe, network):
    """(x, y, w) of the pipeline -> of the network: each output's own target and weight."""
    import tensorflow as tf

    target = importlib.import_module(MODELS[recipe.model]).targets(recipe.config, recipe.tasks)
    keys = {name: target.get(name, name) for name in network.output}

    def choose(x, y, w):
        if "irm" in x:
            valid = tf.cast(x["mask"], tf.float32)
            if NOISE_TASK in recipe.shuffle:
                # another example's mask, of any stream: what is told of the noise tells nothing
                draw = tf.random.stateless_uniform([tf.shape(valid)[0]], [recipe.batch_size, len(recipe.streams)])
                order = tf.argsort(draw)
                y, w = {**y, "irm": tf.gather(x["irm"], order)}, {**w, "irm": valid * tf.gather(valid, order)}
            else:
                y, w = {**y, "irm": x["irm"]}, {**w, "irm": valid}
            x = {name: value for name, value in x.items() if name != "irm"}
        return x, {name: y[key] for name, key in keys.items()}, {name: w[key] for name, key in keys.items()}

    return choose


def build(recipe: Recipe, inputs: Mapping[str, int], steps: int = 1, frames: int | None = None):
    """The recipe's network, compiled, and its scorer (the same weights; see `keras_ser.models.whole.scorer`).

    Args:
        recipe: names model, tasks, streams and optimizer.
        inputs: feature name -> bins.
        steps: optimizer steps of an epoch, for the schedule.
        frames: of every clip, where the front end makes them equal.
    """
    from keras_ser.models.whole import scorer

    module = importlib.import_module(MODELS[recipe.model])
    network = module.build(recipe.config, inputs, recipe.tasks, streams=len(recipe.streams), frames=frames)
    losses, weights = module.losses(recipe.config, recipe.tasks)
    network.compile(
        optimizer=optimizer(recipe, steps),
        loss={name: losses[name] for name in network.output},
        loss_weights={name: weights[name] for name in network.output},
        weighted_metrics={name: _metrics(recipe, network, name, losses[name]) for name in network.output},
        # XLA is several times slower than the plain graph for recurrent layers on CPU
        jit_compile=False,
    )
    _build_loss(network)
    score = scorer(network, recipe.tasks, recipe.sampling.frames if recipe.sampling.kind == "segments" else 0)
    score.jit_compile = False
    return network, score


def _build_loss(network) -> None:
    """Make the variables that count the loss. Keras makes them in its first step, and then has to trace that step again."""
    y_pred, y, w = {}, {}, {}
    for name, output in network.output.items():
        y_pred[name] = np.full([size or 1 for size in output.shape], 1 / output.shape[-1], "float32")
        y[name] = np.zeros((1, 1, 2 * output.shape[-1]) if name == "gain" else 1, "float32")
        w[name] = np.ones(y[name].shape[:2], "float32")
    network.compute_loss(y=y, y_pred=y_pred, sample_weight=w)
    network.reset_metrics()


def _metrics(recipe: Recipe, network, name: str, loss) -> list:
    """What is logged of an output beside its loss, so that it is called <output>_accuracy and <output>_loss in any network."""
    import keras

    # Keras puts the output's name before its own only where there are several outputs, and else logs the total alone
    alone = len(network.output) == 1
    found = []
    if name != "gain" and not _continuous(recipe.tasks, name):
        found.append(keras.metrics.SparseCategoricalAccuracy(name=f"{name}_accuracy" if alone else "accuracy"))
    if alone:
        found.append(keras.metrics.MeanMetricWrapper(loss.call, name=f"{name}_loss"))
    return found


def _spread(replicas: int):
    """Reorder a batch so that each replica's part of it mixes the streams as the whole batch does."""
    import tensorflow as tf

    def spread(x, y, w):
        if replicas == 1:
            return x, y, w
        order = tf.argsort(tf.range(tf.shape(x["mask"])[0]) % replicas, stable=True)
        # the network makes bool of it again; Keras takes the mean of its first batch over the replicas
        x = {**x, "mask": tf.cast(x["mask"], tf.float32)}
        return tf.nest.map_structure(lambda value: tf.gather(value, order), (x, y, w))

    return spread


def _continuous(tasks: Sequence[Task], name: str) -> bool:
    return any(task.name == name and task.continuous for task in tasks)


def optimizer(recipe: Recipe, steps: int):
    """The recipe's optimizer, its schedule over `steps` x epochs."""
    import keras

    from keras_ser.training.optimizers import CoupledSGD

    settings = recipe.optimizer
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        warmup = int(settings.warmup_epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=rate / 10 if warmup else rate,
            decay_steps=max(1, steps * recipe.epochs - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    elif settings.schedule == "step":
        rates = [rate * settings.factor**k for k in range(len(settings.steps) + 1)]
        # Keras takes the next value after the boundary, and counts steps from 0
        ends = [epoch * steps - 1 for epoch in settings.steps]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    elif settings.schedule != "constant":
        raise ValueError(f"`optimizer.schedule` must be constant, cosine or step. Received: {settings.schedule!r}.")
    kinds = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": CoupledSGD}
    if settings.name not in kinds:
        raise ValueError(f"`optimizer.name` must be one of {', '.join(kinds)}. Received: {settings.name!r}.")
    options: dict[str, Any] = {"learning_rate": rate}
    if settings.weight_decay:
        options["decay" if settings.name == "sgd" else "weight_decay"] = settings.weight_decay
    if settings.clip_norm:
        options["global_clipnorm"] = settings.clip_norm
    if settings.name == "sgd":
        options["momentum"] = settings.momentum
    return kinds[settings.name](**options)
