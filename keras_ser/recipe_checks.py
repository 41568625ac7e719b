"""Checks of a `Recipe`: single settings, and combinations of settings."""

import math
from typing import Any

from keras_ser.checks import check_choice, check_least, check_name, shown
from keras_ser.errors import UserError
from keras_ser.models import is_baseline, model_flags
from keras_ser.models.aspmtl import check_pair
from keras_ser.pipelines.augmentation import SPECTRAL
from keras_ser.settings import check_frontends, of_stream
from keras_ser.tasks import monitors

DISCARDS = ("drop", "mask")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
LARGEST_SEED = 2**32 - 1  # of NumPy


def check_recipe(recipe: Any) -> None:
    """Refuse, by a UserError, a recipe with an invalid setting or an invalid combination."""
    check_name("a recipe", recipe.name)
    if not recipe.tasks or not recipe.streams or not recipe.protocols or not recipe.seeds:
        raise UserError("a recipe needs at least one task, stream, protocol and seed.")
    for kind in ("tasks", "streams", "protocols", "frontends"):
        names = [each.name for each in getattr(recipe, kind)]
        if len(set(names)) != len(names):
            raise UserError(f"the {kind} of a recipe need distinct names. Received: {', '.join(names)}.")
    taken = [task.name for task in recipe.tasks if task.name in model_flags()]
    if taken:
        raise UserError(f"a task cannot be called {taken[0]!r}: the predictions table has a column of that name.")
    check_frontends(recipe.every_frontend, recipe.sampling, recipe.augment)
    if recipe.optimizer.schedule == "plateau" and not (recipe.patience and all(p.validation for p in recipe.protocols)):
        raise UserError(
            "the schedule 'plateau' needs patience, and a validation set in every protocol, or it would never fall. "
            f"Received: patience={recipe.patience}."
        )
    if len(set(recipe.seeds)) != len(recipe.seeds) or min(recipe.seeds) < 0 or max(recipe.seeds) > LARGEST_SEED:
        raise UserError(
            f"`seeds` must be distinct, at least 0 and at most {LARGEST_SEED}. Received: {shown(recipe.seeds)}."
        )
    check_least(recipe, 1, "batch_size", "epochs", "smoothing")
    check_least(recipe, 0, "patience", "patience_steps")
    if not 0 < recipe.labelled <= 1:
        raise UserError(f"`labelled` must be in (0, 1]. Received: {recipe.labelled:g}.")
    if recipe.labelled < 1 and any(task.columns for task in recipe.tasks):
        raise UserError(
            "`labelled` withholds labels, and a task with clusters is fitted to all of them: use one of the two."
        )
    check_choice(recipe, "discard", DISCARDS)
    check_choice(recipe, "precision", PRECISIONS)
    if recipe.augment.of_bins and not set(recipe.frontend.features) & set(SPECTRAL):
        raise UserError(
            "mel warp, bin masks and gain would change none of frontend.features. Received: "
            f"{', '.join(recipe.frontend.features)}. Leave them at 0, or add one of {', '.join(SPECTRAL)}."
        )
    if recipe.augment.gain and recipe.frontend.normalize:
        raise UserError(
            "augment.gain changes the recording level in dB, on which features that frontend.normalize standardises in each clip "
            "do not depend: leave augment.gain at 0."
        )
    if recipe.sampling.class_weights and (recipe.tasks[0].continuous or of_stream(recipe.tasks[0])):
        raise UserError(
            f"sampling.class_weights weights the corpus's classes of the first task, and {recipe.tasks[0].name!r} has none: "
            "set sampling.class_weights=false."
        )
    strays = set(recipe.shuffle) - {task.name for task in recipe.tasks}
    if strays:
        raise UserError(f"`shuffle` must name tasks of the recipe. Received: {shown(sorted(strays))}.")
    crossing = [protocol.name for protocol in recipe.protocols if protocol.kind == "cross-corpus"]
    lacking = [each.name for each in (recipe, recipe.first) if each and not any(s.teaches for s in each.streams)]
    if crossing and lacking:
        raise UserError(
            f"the protocol {crossing[0]!r} trains on other corpora: add a stream of an auxiliary corpus that teaches the main "
            f"task (teaches=true) to {lacking[0]!r}."
        )
    if crossing and (is_baseline(recipe) or any(task.columns for task in recipe.tasks)):
        raise UserError(
            f"estimators and clusters (`columns`) are fitted on the recipe's own corpus, which only tests in the protocol "
            f"{crossing[0]!r}: take a network and a task with labels, or another protocol."
        )
    if crossing and (recipe.labelled < 1 or recipe.windows is not None):
        raise UserError(
            f"`labelled` and `windows` change the recipe's own corpus, which only tests in the protocol {crossing[0]!r}: set "
            "labelled=1 and windows=null, or train on this corpus in another protocol."
        )
    if all(stream.corpus for stream in recipe.streams):
        raise UserError(
            "a stream must read the recipe's own corpus. Received: "
            f"{', '.join(f'{stream.name} of {shown(stream.corpus)}' for stream in recipe.streams)}."
        )
    if not all(math.isfinite(figure) for _, _, figure, _ in recipe.paper):
        raise UserError(f"the figures of `paper` must be finite. Received: {shown(recipe.paper)}.")
    scores = monitors(recipe.tasks)
    if recipe.monitor and recipe.monitor not in scores:
        raise UserError(
            f"`monitor` must be a validation score that is better when larger: {', '.join(scores)}. "
            f"Received: {shown(recipe.monitor)}."
        )
    if recipe.first is not None:
        if is_baseline(recipe.first):
            raise UserError(
                f"the first model of a cascade must be a network. Received: first.model={recipe.first.model}."
            )
        check_pair(recipe, recipe.first)
