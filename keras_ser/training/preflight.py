"""What a recipe, a corpus and a split are refused for, before anything is decoded or trained."""

import dataclasses
import importlib
from collections.abc import Collection
from pathlib import Path

from keras_ser.audio.noise import COLOURS, noise_files, noise_type
from keras_ser.corpora import Corpus
from keras_ser.errors import UserError
from keras_ser.models import MODELS
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.tasks import monitors
from keras_ser.training.data import CLEAN, NOISE_TASK
from keras_ser.training.predict import judged
from keras_ser.training.targets import frame_targets


def check_recipe(recipe: Recipe, auxiliary: Collection[str] = (), noise_root: Path | None = None) -> None:
    """Refuse a recipe whose front end or network cannot be built, or whose streams cannot be read.

    Args:
        recipe: the recipe; both models of a cascade are checked.
        auxiliary: names of the auxiliary corpora that are there.
        noise_root: folder of noise files.

    Raises:
        UserError: such a recipe.
    """
    stems = tuple(noise_files(noise_root)) if noise_root else ()
    for each in (recipe.first, recipe):
        if each is not None:
            check_streams(each, auxiliary, stems)
            check_baseline(each) if is_baseline(each) else check_network(each)


def is_baseline(recipe: Recipe) -> bool:
    """Whether the model is a scikit-learn pipeline and no network."""
    return hasattr(importlib.import_module(MODELS[recipe.model]), "estimator")


def check_streams(recipe: Recipe, auxiliary: Collection[str], stems: Collection[str]) -> None:
    """Refuse streams of corpora and noises that are not there, or of noises that are no class of the task "noise".

    Raises:
        UserError: such a stream.
    """
    noise = next((task for task in recipe.tasks if task.name == NOISE_TASK), None)
    known = {*COLOURS, "babble", *stems, *map(noise_type, stems)}
    for stream in recipe.streams:
        if stream.corpus and stream.corpus not in auxiliary:
            raise UserError(
                f"the stream {stream.name!r} reads the corpus {stream.corpus!r}, which is not given (--aux-corpus NAME --aux-root "
                f"DIR). Received: {', '.join(auxiliary) or 'no auxiliary corpus'}."
            )
        strange = [name for name in stream.noises if name not in known]
        if strange:
            raise UserError(
                f"the stream {stream.name!r} mixes in {strange[0]!r}, which is neither generated nor a file. There are: "
                f"{', '.join(sorted(known))}. Name a folder that holds it (--noise-root DIR), or leave it out."
            )
        for name in (stream.noises or (CLEAN,)) if noise else ():
            if not noise.encode(name)[1]:
                raise UserError(
                    f"the task {NOISE_TASK!r} ignores {name!r}, which the stream {stream.name!r} holds. Make it one of its labels, "
                    "or merge it."
                )


def check_network(recipe: Recipe) -> None:
    """Refuse a front end or a network that cannot be built.

    Raises:
        UserError: settings that do not go together.
    """
    from keras_ser.features import Frontend

    frontend = Frontend(**dataclasses.asdict(recipe.frontend), name="frontend")
    module = importlib.import_module(MODELS[recipe.model])
    if hasattr(module, "check"):
        module.check(recipe.config, frontend.sizes, recipe.tasks, len(recipe.streams), fixed_frames(recipe, frontend))
    frame_targets(recipe)


def fixed_frames(recipe: Recipe, frontend) -> int | None:
    """Frames of every example and every clip, where all have as many; else None."""
    varied = recipe.frontend.endpoint or recipe.sampling.kind != "whole" or recipe.augment.tempo
    if varied or not (frontend.samples or frontend.statistics):
        return None
    return 1 if frontend.statistics else int(frontend.frames(0))


def check_baseline(recipe: Recipe) -> None:
    """Refuse what a scikit-learn model cannot do. Epochs, optimizer and precision are a network's, and have no meaning here.

    Raises:
        UserError: segments, augmentation, a first model, streams by shares or drawn anew.
    """
    from keras_ser.features import Frontend

    Frontend(**dataclasses.asdict(recipe.frontend))
    varied = any(stream.share != 1 or stream.redraw for stream in recipe.streams)
    if recipe.sampling.kind != "whole" or recipe.first is not None or not recipe.augment.off or varied:
        raise UserError(
            f"{recipe.model!r} hears whole clips once, as they are: it needs sampling.kind=whole, no augmentation, no first "
            "model, and streams with share=1 and redraw=false."
        )


def check_choice(recipe: Recipe, corpus: Corpus, split: Split) -> None:
    """Refuse a split on which the recipe cannot be trained, or whose validation side cannot choose the epoch.

    Args:
        recipe: the recipe.
        corpus: its corpus, without the clips that could not be read.
        split: the split.

    Raises:
        UserError: the main task cannot be judged on the validation side; a baseline with a single class to learn, or with nothing
            to choose its settings by.
    """
    if is_baseline(recipe):
        check_baseline_split(recipe, corpus, split)
    main = recipe.tasks[0]
    if split.validation and not recipe.monitor and main not in judged(recipe.tasks, split, "validation"):
        raise UserError(
            f"the epoch can't be chosen by {main.name!r}: the validation side holds other {main.column}s than the training side. "
            "Train all epochs (--set protocols.NAME.validation=0), or choose by a share of the clips (validation=0.1)."
        )
    if (
        split.validation
        and recipe.monitor
        and recipe.monitor not in monitors(judged(recipe.tasks, split, "validation"))
    ):
        raise UserError(
            f"the epoch can't be chosen by {recipe.monitor!r}: the validation side holds other classes than the training side. "
            f"Choose another monitor: {', '.join(monitors(judged(recipe.tasks, split, 'validation'))) or 'there is none'}."
        )


def check_baseline_split(recipe: Recipe, corpus: Corpus, split: Split) -> None:
    """Refuse a split that a scikit-learn model cannot be trained on.

    Raises:
        UserError: a training side with a single class, or no validation side for several settings.
    """
    heard = {u.id: u for u in corpus}
    for task in recipe.tasks:
        if task.continuous or task.name == NOISE_TASK:
            continue
        values = [task.encode_utterance(heard[i], corpus.name) for i in split.train if i in heard]
        classes = sorted({task.labels[value] for value, weight in values if weight})
        if len(classes) < 2:
            raise UserError(
                f"{recipe.model!r} needs at least 2 classes of {task.name!r}. The training side of protocol {split.protocol!r}, "
                f"fold {split.fold}, has {', '.join(classes) or 'none'}. Choose another protocol, or leave out the fold (--folds)."
            )
    settings = importlib.import_module(MODELS[recipe.model]).candidates(recipe.config)
    if not split.validation and len(settings) > 1:
        name = next(iter(settings[0]))
        raise UserError(
            f"{recipe.model!r} has {len(settings)} settings of {name!r}, and fold {split.fold} of {split.protocol!r} no validation "
            f"side to choose one by: name one (--set config.{name}={settings[0][name]}), or give it one "
            f"(--set protocols.{split.protocol}.validation=..)."
        )
