"""Checks of a recipe, a corpus and a split before anything is decoded or trained."""

import multiprocessing
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

from keras_ser.audio.noise import COLOURS, noise_files, noise_type
from keras_ser.corpora import Corpus
from keras_ser.errors import UserError
from keras_ser.machine import check_backend, has_gpu
from keras_ser.models import is_baseline, model_module
from keras_ser.models.paper import StreamNumber, build_network, frozen_parts
from keras_ser.recipe import Recipe
from keras_ser.settings import FrontendConfig, of_stream
from keras_ser.splits import Split
from keras_ser.tasks import monitors
from keras_ser.training.data import noise_classes
from keras_ser.training.network import check_optimizers, recipe_scorer
from keras_ser.training.predictions import judged
from keras_ser.training.targets import frame_targets

_WARNED: set[str] = set()  # what was warned of in this process
_BUILT: set = set()  # recipes, as JSON, and models whose network was built in this process


class PrecisionWarning(UserWarning):
    """A recipe's precision is very slow on this machine."""


def check_trainable(recipe: Recipe, auxiliary: Collection[str] = (), noise_root: Path | None = None) -> None:
    """Refuse a recipe, or its first model, whose front end or network cannot be built, or whose streams cannot be read.

    Args:
        recipe: the recipe.
        auxiliary: names of the available auxiliary corpora.
        noise_root: folder of noise files.

    Raises:
        UserError: the recipe cannot be trained, or TensorFlow is not Keras's backend.

    Warns:
        PrecisionWarning: its precision is very slow on this machine.
    """
    check_backend("training")
    stems = tuple(noise_files(noise_root)) if noise_root else ()
    for each in (recipe.first, recipe):
        if each is not None:
            warn_of_half_precision(each)
            check_streams(each, auxiliary, stems)
            check_baseline(each) if is_baseline(each) else check_network(each)


def warn_of_half_precision(recipe: Recipe) -> None:
    """Warn once, and not again in workers, if a network computes in float16 without a GPU, many times as slowly as in float32."""
    if "float16" in _WARNED or multiprocessing.parent_process() is not None:
        return
    if recipe.precision == "mixed_float16" and not is_baseline(recipe) and not has_gpu():
        _WARNED.add("float16")
        warnings.warn(
            "precision=mixed_float16 is very slow without a GPU, and TensorFlow sees none: use mixed_bfloat16 or float32 instead.",
            PrecisionWarning,
            stacklevel=2,
        )


def check_streams(recipe: Recipe, auxiliary: Collection[str], stems: Collection[str]) -> None:
    """Refuse streams with unavailable corpora or noises, or with noises that are not classes of the noise task."""
    known = {*COLOURS, "babble", *stems, *map(noise_type, stems)}
    for stream in recipe.streams:
        if stream.corpus and stream.corpus not in auxiliary:
            raise UserError(
                f"the stream {stream.name!r} reads the corpus {stream.corpus!r}, which is not given (--corpus-root "
                f"{stream.corpus}=DIR). Received: {', '.join(auxiliary) or 'no auxiliary corpus'}."
            )
        strange = [name for name in stream.noises if name not in known]
        if strange:
            raise UserError(
                f"the stream {stream.name!r} mixes in {strange[0]!r}, which is neither generated nor a file. There are: "
                f"{', '.join(sorted(known))}. Name a folder that holds it (--noise-root DIR), or leave it out."
            )
        noise_classes(stream, recipe.tasks)


def check_network(recipe: Recipe) -> None:
    """Refuse front ends or a network that cannot be built; once, since an experiment checks its recipe before each of its runs."""
    key = recipe.to_json(), model_module(recipe.model)
    if key in _BUILT:
        return
    getattr(model_module(recipe.model), "check", lambda recipe: None)(recipe)
    try:
        network = build_network(recipe, input_shapes(recipe, frontends(recipe)))
        recipe_scorer(recipe, network)
        check_optimizers(recipe, network)
    except ValueError as error:
        if isinstance(error, UserError) or "unique" not in str(error):
            raise
        # Keras's message names the layer
        raise UserError(f"a task has the name of another part of the network. Give it another name. {error}") from error
    frame_targets(recipe, network)
    told_apart = [name for name, output in network.outputs.items() if isinstance(output.target, StreamNumber)]
    crossing = [protocol.name for protocol in recipe.protocols if protocol.kind == "cross-corpus"]
    if told_apart and crossing and sum(bool(stream.corpus) for stream in recipe.streams) < 2:
        raise UserError(
            f"{told_apart[0]!r} tells streams apart, but in the protocol {crossing[0]!r} only streams of other corpora train, and "
            "there is one. Add a stream of another auxiliary corpus, or leave this output out (config.adversary)."
        )
    _BUILT.add(key)


def frontends(recipe: Recipe) -> list:
    """Make the front ends of a recipe as layers, the main one first."""
    from keras_ser.features import Frontend

    return [Frontend(**each.options()) for each in recipe.every_frontend]


def input_shapes(recipe: Recipe, layers: Sequence) -> dict[str, tuple[int | None, int]]:
    """Return input of the network -> (frames, bins), for a recipe's front ends `layers`; frames is None if clips differ."""
    found = feature_shapes(recipe, layers)
    parts = frozen_parts(recipe, found)
    if parts and recipe.sampling.kind == "segments" and not recipe.sampling.seconds:
        raise UserError(
            "frozen layers before the network take stretches of the waveform: set sampling.seconds. Received: "
            "sampling.kind=segments, sampling.seconds=0."
        )
    return found | {name: part.shape for name, part in parts.items()}


def feature_shapes(recipe: Recipe, layers: Sequence) -> dict[str, tuple[int | None, int]]:
    """Return feature of the front ends -> (frames, bins): `input_shapes`, without frozen layers behind the front ends."""
    found = {}
    for config, layer in zip(recipe.every_frontend, layers, strict=True):
        frames = fixed_frames(recipe, config, layer)
        found |= {name: (frames, bins) for name, bins in zip(config.inputs, layer.sizes.values(), strict=True)}
    return found


def fixed_frames(recipe: Recipe, config: FrontendConfig, layer) -> int | None:
    """Return the number of frames if it is the same for all examples and clips, else None."""
    if layer.statistics:
        varied = recipe.sampling.kind != "whole" and not recipe.sampling.seconds
        return None if varied or config.endpoint or recipe.augment.tempo else 1
    stretch = round(recipe.sampling.seconds * config.sample_rate)
    if recipe.sampling.kind == "segments" and not stretch:
        return recipe.sampling.frames
    if config.endpoint or not (layer.samples or stretch) or (recipe.sampling.kind != "whole" and not stretch):
        return None
    return None if recipe.augment.tempo else int(layer.frames(stretch))


def check_baseline(recipe: Recipe) -> None:
    """Refuse settings that a scikit-learn model does not support; epochs, optimizer and precision are ignored."""
    frontends(recipe)
    if recipe.frontends:
        raise UserError(
            f"{recipe.model!r} takes the features of one front end. Received: {len(recipe.every_frontend)}."
        )
    varied = any(stream.share != 1 or stream.redraw for stream in recipe.streams)
    if recipe.sampling.kind != "whole" or recipe.first is not None or not recipe.augment.off or varied:
        raise UserError(
            f"{recipe.model!r} is fitted once on whole, unmodified clips: it needs sampling.kind=whole, no augmentation, no first "
            "model, and streams with share=1 and redraw=false."
        )


def check_choice(recipe: Recipe, corpus: Corpus, split: Split) -> None:
    """Refuse a split on which the recipe cannot be trained, or whose validation set cannot select the epoch.

    Raises:
        UserError: the validation set cannot score the main task or `monitor`; or a baseline has a single training class, or
            several settings without a validation set.
    """
    if is_baseline(recipe):
        check_baseline_split(recipe, corpus, split)
    main, tasks = recipe.tasks[0], judged(recipe.tasks, split, "validation")
    if split.validation and not recipe.monitor and main not in tasks:
        raise UserError(
            f"cannot select the epoch by {main.name!r}: the validation set has {main.column}s that are not in the training set. "
            "Train all epochs (--set protocols.NAME.validation=0), or choose by a share of the clips (validation=0.1)."
        )
    if split.validation and recipe.monitor and recipe.monitor not in monitors(tasks):
        raise UserError(
            f"cannot select the epoch by {recipe.monitor!r}: the validation set has classes that are not in the training set. "
            f"Choose another monitor: {', '.join(monitors(tasks)) or 'none'}."
        )


def check_baseline_split(recipe: Recipe, corpus: Corpus, split: Split) -> None:
    """Refuse a training set with a single class, and several settings without a validation set."""
    heard = {u.id: u for u in corpus}
    for task in recipe.tasks:
        if task.continuous or of_stream(task):
            continue
        values = [task.encode_utterance(heard[i], corpus.name) for i in split.train if i in heard]
        classes = sorted({task.labels[value] for value, weight in values if weight})
        if len(classes) < 2:
            raise UserError(
                f"{recipe.model!r} needs at least 2 classes of {task.name!r}. The training set of protocol {split.protocol!r}, "
                f"fold {split.fold}, has {', '.join(classes) or 'none'}. Choose another protocol, or leave out the fold (--folds)."
            )
    settings = model_module(recipe.model).candidates(recipe.config)
    if not split.validation and len(settings) > 1:
        name = next(iter(settings[0]))
        raise UserError(
            f"{recipe.model!r} has {len(settings)} settings of {name!r}, but fold {split.fold} of {split.protocol!r} has no "
            f"validation set to choose one by: set one (--set config.{name}={settings[0][name]}), or add that side "
            f"(--set protocols.{split.protocol}.validation=..)."
        )
