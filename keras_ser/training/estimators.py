"""Baselines: scikit-learn pipelines on what the front end, or openSMILE, says of a clip.

A setting is to them what an epoch is to a network: the validation side chooses one, and history.csv has a row for each.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.files import lock, write_json, write_whole
from keras_ser.models import model_module
from keras_ser.models.estimators import Estimators, load_pipelines
from keras_ser.pipelines.sources import Source, waveforms
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.training.data import Data, shuffled
from keras_ser.training.loop import OnEpoch, check_monitor, monitored, validation_scores, write_csv
from keras_ser.training.predict import judged, scored_streams
from keras_ser.training.run import PIPELINES, RunError


def train_estimators(
    recipe: Recipe, data: Data, split: Split, out: Path, seed: int, stage: str, on_epoch: OnEpoch | None = None
) -> None:
    """Fit every setting, keep the best on the validation side: model.skops, history.csv and history.json.

    Args:
        recipe, data, split, seed: see `keras_ser.training.fit`.
        out: the run's folder.
        stage: names the model in progress and errors.
        on_epoch: called with (stage, setting's number, settings, logs), and with (functionals' set, clip, clips, {}).
    """
    module = model_module(recipe.model)
    describe = describer(recipe)

    def described(side: str, streams: Sequence[int]) -> list[tuple[Source, Any]]:
        sources = [data.source(recipe, k, split, side, seed) for k in streams]
        sources = [shuffled(source, recipe, sources, seed) for source in sources]
        return [(source, features(recipe, source, describe, seed, on_epoch)) for source in sources]

    training = described("train", range(len(recipe.streams)))
    sides = [(s, [batch]) for s, batch in described("validation", scored_streams(recipe))] if split.validation else []
    monitor = monitored(recipe)
    rows, best = [], None
    settings = module.candidates(recipe.config)
    for number, setting in enumerate(settings, start=1):
        made = {
            task.name: _fitted(module.estimator(recipe.config, setting, task, seed), task, training)
            for task in recipe.tasks
        }
        model = Estimators(describe, made, recipe.tasks)
        logs = {**setting}
        if sides:
            logs |= validation_scores(model.judge, sides, judged(recipe.tasks, split, "validation"))
            check_monitor(monitor, logs)
        rows.append({"epoch": number, **logs})
        value = logs.get(monitor, 0.0)
        if best is None or value > best[0] or np.isnan(best[0]):
            best = value, number, model
        write_csv(out / "history.csv", rows)
        if on_epoch:
            on_epoch(stage, number, len(settings), logs)
    about = {"seed": seed, "monitor": monitor if sides else None, "best_epoch": best[1], "epochs": rows}
    write_json(out / "history.json", about, allow_nan=True)
    write_whole(out / PIPELINES, best[2].save)


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

    from keras_ser.features import Frontend
    from keras_ser.layers import MeanPooling
    from keras_ser.models.whole_model import extractor
    from keras_ser.training.predict import forward

    extract = extractor(Frontend(**recipe.frontend.options()))
    names = recipe.frontend.features
    joined = [MeanPooling(dtype="float32")(extract.output[name], mask=extract.output["mask"]) for name in names]
    joined = keras.layers.Concatenate(dtype="float32")(joined) if len(joined) > 1 else joined[0]
    infer = forward(keras.Model(extract.input, {"clip": joined}))
    return lambda given: np.asarray(infer({name: given[name] for name in ("waveform", "length")})["clip"])


def features(recipe: Recipe, source: Source, describe: Callable, seed: int, on_epoch: OnEpoch | None = None):
    """What a baseline hears of a stream.

    Args:
        recipe: of the baseline.
        source: the stream.
        describe: see `describer`.
        seed: draws the noises of noisy streams.
        on_epoch: told of openSMILE's progress; see `train_estimators`.

    Returns:
        (clips, features), and {"index", "mixed"} of the clips. openSMILE's functionals are kept beside the waveform cache.
    """
    if recipe.config.functionals and not source.bank:
        found = _kept_functionals(source, recipe.config.functionals, on_epoch)
        return found, {"index": source.indices, "mixed": np.zeros(len(found), int)}
    rows, extras = [], []
    for given, extra in waveforms(source, source.draw(seed)):
        rows.append(describe(given))
        extras.append({name: np.asarray(value) for name, value in extra.items()})
    return np.concatenate(rows), {name: np.concatenate([extra[name] for extra in extras]) for name in extras[0]}


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


def _fitted(pipeline, task, training: Sequence):
    """A pipeline trained on the clips that have a label of its task."""
    xs, ys, ws = [], [], []
    for source, (found, extra) in training:
        values, weights = source.targets(task.name, extra["index"], extra["mixed"])
        xs.append(found[weights > 0])
        ys.append(values[weights > 0])
        ws.append(weights[weights > 0])
    x, y, w = np.concatenate(xs), np.concatenate(ys), np.concatenate(ws)
    name, last = pipeline.steps[-1]
    pipeline.fit(x, y, **{f"{name}__sample_weight": w})
    if hasattr(last, "n_jobs"):
        last.set_params(n_jobs=None)  # to start every core for a clip takes longer than to judge it
    return pipeline
