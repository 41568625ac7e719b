"""Systems of a recipe's script on a corpus that --corpus gives."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

LEAVE_ONE_OUT = Protocol("leave-one-speaker-out", "leave-one-out", by="speaker", validation=1)
FIVE_FOLDS = Protocol("five-folds-of-speakers", "k-fold", by="speaker", folds=5, validation=1)
AT_MOST = 12  # speakers that are each left out once


def unseen_speakers(speakers: int) -> Protocol:
    """Return the protocol for a number of speakers: leave one out, or five folds if there are more than twelve."""
    if speakers <= AT_MOST:
        return LEAVE_ONE_OUT
    return replace(FIVE_FOLDS, validation=max(1, speakers // 10))


def on_corpus(
    corpus: Any, variants: Callable[[str, Task, Protocol], dict[str, dict[str, Recipe]]]
) -> tuple[dict[str, dict[str, Recipe]], list[str]]:
    """Return variant -> system -> recipe for any corpus, and notes for the report.

    Systems with a gender task are left out if the corpus does not name both genders.

    Args:
        corpus: a `Corpus`. Its emotions are the classes.
        variants: (corpus name, emotion task, protocol) -> variant -> system -> recipe.
    """
    made = variants(corpus.name, Task("emotion"), unseen_speakers(len(corpus.counts("speaker"))))
    if len(corpus.counts("gender")) > 1:
        return made, []
    left = {variant: {n: r for n, r in every.items() if not _of_gender(r)} for variant, every in made.items()}
    gone = [name for name, recipe in next(iter(made.values())).items() if _of_gender(recipe)]
    notes = [f"The corpus does not name both genders: no {', '.join(gone)}."]
    return {variant: systems for variant, systems in left.items() if systems}, notes if gone else []


def _of_gender(recipe: Recipe) -> bool:
    return any(task.column == "gender" for task in recipe.tasks)
