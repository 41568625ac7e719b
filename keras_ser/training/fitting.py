"""`fit`: train one recipe on one split with one seed."""

import contextlib
import functools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.errors import UserError
from keras_ser.files import write_json, write_whole
from keras_ser.models import is_baseline
from keras_ser.models.paper import Network, build_network, frozen_parts
from keras_ser.pipelines.batching import TRAINING_SECONDS
from keras_ser.pipelines.sources import Source, drawn_seed, evaluation_batches
from keras_ser.pipelines.streams import TrainingData
from keras_ser.recipe import Recipe
from keras_ser.splits import Split, check_split
from keras_ser.training.baselines import train_estimators
from keras_ser.training.data import Data
from keras_ser.training.frozen import FOLDER, kept_on_disk, remembered
from keras_ser.training.heard import save_heard
from keras_ser.training.inference import Kept, OnEpoch, forward
from keras_ser.training.loop import side_scores, train_epochs
from keras_ser.training.network import compiled, priors
from keras_ser.training.owner import claim
from keras_ser.training.predictions import judged, scored_streams
from keras_ser.training.preflight import check_choice, check_trainable, feature_shapes, frontends, input_shapes
from keras_ser.training.provenance import MADE, begin, made_by
from keras_ser.training.run import FIRST, NETWORK, Run, model_file
from keras_ser.training.targets import frame_targets, spread_over, targets_of
from keras_ser.training.transfer import begin_from, check_frozen, check_start, digest, save_rest

CONTROL = 3000  # number of the random stream for a control's targets, distinct from those of `TrainingData`


def deterministic() -> None:
    """Make TensorFlow's ops deterministic for the rest of this process (slower, but required for bit-equal runs)."""
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
    initial: Path | str | None = None,
) -> Run:
    """Train one recipe on one split with one seed.

    Args:
        recipe: what to train; a cascade's first model (`recipe.first`) is trained before, on the same split, into model_1/.
        data: the decoded corpora.
        split: the clips for training, validation and test.
        out: the run's folder; a finished run in it is returned unchanged, an unfinished one is resumed.
        seed: seeds initial weights, order, crops, noises, augmentation and dropout. It seeds Keras and TensorFlow for the
            whole process; the states of NumPy's and Python's global generators are restored. Default 0.
        strategy: None (default) or "mirrored" (all local accelerators).
        on_epoch: called with (stage, epoch, epochs, logs) after each epoch; see `OnEpoch`.
        initial: folder of the finished run that provides the initial weights; `recipe.initial` must be its digest.

    Returns:
        The finished `Run`.

    Raises:
        LeakageError: clips, speakers or other groups occur on two sides of the split, or trained `initial` and are tested.
        RunError: `out` contains another run.
        UserError: the recipe cannot be trained on these data, or `initial` does not match.
        DivergenceError: the loss or a weight is not finite.
    """
    if strategy not in (None, "mirrored"):
        raise UserError(f"`strategy` must be None or 'mirrored'. Received: {strategy!r}.")
    if recipe.initial != (begin := digest(initial or "")):
        raise UserError(
            f"the recipe's initial weights are {recipe.initial or 'random'}. Received: {begin or 'no run'}. Name the run "
            "(--init-from RUN)."
        )
    with _seeded(seed):
        check_trainable(recipe, data.auxiliary, data.noise_root)
    check_choice(recipe, data.readable, split)
    nameless = [task.name for task in recipe.tasks if not (task.labels or task.continuous)]
    if nameless:
        raise UserError(f"the task {nameless[0]!r} has no classes yet: call `recipe.for_corpus(corpus)`.")
    check_split(split, data.corpus, data.cache.hashes, data.others)
    if initial:
        check_start(recipe, initial, data.corpus, [split], data.cache.hashes)
    recipe = recipe.for_split(data.readable, split)
    stage = recipe.name if recipe.first is None else "model 2"
    return _fit(recipe, data, split, Path(out), seed, stage, strategy, on_epoch, initial)


def _fit(recipe, data, split, out, seed, stage, strategy, on_epoch, initial=None) -> Run:
    claim(out, recipe, split, seed, data.digest_of(recipe))
    if model_file(out):
        return Run.load(out)
    begun = begin(out, resumed=(out / "state.npz").exists())
    if is_baseline(recipe):
        train_estimators(recipe, data, split, out, seed, stage, on_epoch)
        write_json(out / MADE, made_by() | begun)
        return Run.load(out)
    first = None
    if recipe.first is not None:
        first = _fit(recipe.first, data, split, out / FIRST, seed, "model 1", strategy, on_epoch)
    import tensorflow as tf

    # AutoGraph would take seconds to convert functions that have nothing to convert
    train = tf.autograph.experimental.do_not_convert(_train)
    train(recipe, data, split, out, seed, stage, first, strategy, on_epoch, initial)
    write_json(out / MADE, made_by(recipe) | begun)
    return Run.load(out)


@functools.cache
def _mirrored():
    """Return the only MirroredStrategy of this process; with a second one, `Model.fit` fails."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed all generators that Keras uses, and restore NumPy's and Python's global ones afterwards."""
    import keras

    numpys, pythons = np.random.get_state(), random.getstate()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)


def _train(recipe, data, split, out, seed, stage, first, strategy, on_epoch, initial) -> None:
    import keras

    from keras_ser.models.whole_model import assembled

    policy = keras.config.dtype_policy()
    mirrored = _mirrored() if strategy else None
    with _seeded(seed), contextlib.ExitStack() as stack:
        stack.callback(keras.config.set_dtype_policy, policy)
        # the front ends compute in float32 whatever the precision of the network
        keras.config.set_dtype_policy("float32")
        layers = frontends(recipe)
        extract, features = _extraction(recipe, layers, first, data, initial)
        training_streams = [k for k, stream in enumerate(recipe.streams) if stream.corpus or not split.foreign]
        sources = data.sources(recipe, training_streams, split, "train", seed)
        keras.config.set_dtype_policy(recipe.precision)
        with mirrored.scope() if mirrored else contextlib.nullcontext():
            network = build_network(recipe, input_shapes(recipe, layers))
        keras.config.set_dtype_policy("float32")
        training = _training_data(recipe, sources, features, seed, frame_targets(recipe, network))
        keras.config.set_dtype_policy(recipe.precision)
        with mirrored.scope() if mirrored else contextlib.nullcontext():
            score = compiled(recipe, network, training.steps)
            if network.initialise:
                network.initialise()
            anew = begin_from(network, recipe.tasks, initial) if initial else []
            _standardise(network, training)
        infer = forward(score)
        choose = targets_of(recipe, network)
        spread = spread_over(mirrored.num_replicas_in_sync if mirrored else 1)
        drawn = drawn_seed(seed, 0, CONTROL)

        def batches(first: int):
            numbered = training.epochs(first, recipe.epochs).enumerate(first * training.steps)
            return numbered.map(lambda step, batch: choose(*batch, seed=(drawn[0], drawn[1] + step))).map(spread)

        judge = functools.partial(_judge, recipe, data, split, extract, features, infer, seed)
        about = train_epochs(
            recipe,
            batches,
            training.steps,
            network.model,
            judge("validation", training.left) if split.validation else None,
            out,
            seed,
            stage,
            on_epoch,
            where=f"protocol {split.protocol!r}, fold {split.fold}, ",
        )
        about |= {"initial": recipe.initial, "anew": anew} if initial else {}
        about |= {"priors": priors(network, recipe, sources), "training": judge("train")()}
        about |= _class_counts(recipe, training)
        write_json(out / "history.json", about, allow_nan=True)
        save_rest(network.model, score, out)
        save_heard(recipe, data, split, out, initial)
        whole = assembled(extract, score, recipe.name)
        write_whole(out / NETWORK, whole.save)
    (out / "state.npz").unlink(missing_ok=True)


def _training_data(recipe: Recipe, sources, extract, seed: int, computed) -> TrainingData:
    """Make the training data; a batch contains examples of all streams."""
    settings = recipe.frontend
    return TrainingData(
        sources,
        extract,
        recipe.inputs,
        recipe.sampling,
        recipe.augment,
        recipe.batch_size,
        seed,
        frame_targets=computed,
        samples=round(settings.seconds * settings.sample_rate),
        stretch=round(recipe.sampling.seconds * settings.sample_rate),
        measure=not all(each.normalize for each in recipe.every_frontend),
        batch_frames=round(TRAINING_SECONDS * settings.sample_rate / settings.hop),
        weighted=recipe.tasks[0].name if recipe.sampling.class_weights else "",
    )


def _class_counts(recipe: Recipe, training: TrainingData) -> dict[str, Any]:
    """Return {"class counts": label -> [clips, segments]} of the main task, over all streams; {} unless segments are cut."""
    main = recipe.tasks[0]
    if recipe.sampling.kind != "segments" or not main.labels:
        return {}
    found = [
        examples.per_class(*source.labels[main.name], main.size)
        for source, examples in zip(training.sources, training.examples, strict=True)
        if main.name in source.labels
    ]
    return {"class counts": dict(zip(main.labels, np.sum(found, axis=0).T.tolist(), strict=True))} if found else {}


def _standardise(network: Network, training: TrainingData) -> None:
    """Set the network's normalisations to the statistics of the training set, if these were measured."""
    for names, layer in network.normalizations.items():
        found = [training.statistics[name] for name in names]
        if training.measure:
            layer.set_statistics(*(np.concatenate([getattr(s, kind) for s in found]) for kind in ("mean", "variance")))


def _extraction(recipe: Recipe, layers: Sequence, first: Run | None, data: Data, initial: Path | str | None):
    """Return a recipe's extractor as a model, and as one graph for all uses in the pipelines."""
    from keras_ser.models.whole_model import PREPARE, with_frozen

    front = recipe_extractor(recipe, layers, first)
    parts = frozen_parts(recipe, feature_shapes(recipe, layers))
    if not parts:
        return front, forward(front)
    made = {name: (part.prepare(f"{PREPARE}{name}"), part.load()) for name, part in parts.items()}
    if initial:
        check_frozen([layer for _, layer in made.values()], initial)
    folder = data.cache.path.parent / FOLDER if kept_on_disk(recipe) else None
    return with_frozen(front, made), remembered(forward(front), parts, made, folder)


def recipe_extractor(recipe: Recipe, layers: Sequence, first: Run | None = None):
    """Build a recipe's front ends `layers` as a model, in a cascade after its first model; see `whole_model.extractor`."""
    from keras_ser.models.aspmtl.cascade import second_extractor
    from keras_ser.models.whole_model import extractor

    if first is not None:
        return second_extractor(first, recipe, layers[0])
    further = {config.name: layer for config, layer in zip(recipe.frontends, layers[1:], strict=True)}
    return extractor(layers[0], further, round(recipe.sampling.seconds * recipe.frontend.sample_rate))


def _judge(recipe, data, split, extract, features, infer, seed, side: str, room: float = 0.0):
    """Return a function without arguments that scores the current network on a side, clip by clip.

    Features are cached in memory up to `room` bytes.
    """
    sides = []
    sources = data.sources(recipe, scored_streams(recipe, side == "train" and split.foreign), split, side, seed)
    room -= sum(source.noise_bytes for source in sources)
    for source in sources:
        batches, size = evaluation_batches(source, features, recipe.inputs), _bytes(source, extract, recipe)
        sides.append((source, Kept(batches) if size <= room else batches))
        room -= size if size <= room else 0
    tasks = judged(recipe.tasks, split, side)
    return lambda: side_scores(infer, sides, tasks)


def _bytes(source: Source, extract, recipe: Recipe) -> float:
    """Estimate the memory of a stream's padded features in bytes, as if no frame were dropped."""
    from keras_ser.models.whole_model import frames_joined

    settings = recipe.frontend
    lengths = source.cache.lengths[np.isin(source.cache.indices, source.indices)]
    if settings.seconds:
        lengths = np.full(len(lengths), settings.seconds * settings.sample_rate)
    parts = np.split(lengths, np.cumsum(source.draw(0).sizes)[:-1])
    samples = sum(len(part) * part.max() for part in parts)
    joined = frames_joined(extract)
    hops = {name: each.hop * joined.get(name, 1) for each in recipe.every_frontend for name in each.inputs}
    return 4 * samples * sum(extract.output[name].shape[-1] / hop for name, hop in hops.items())
