"""Whether an experiment is of a recipe and corpora, and how the corpus has changed since, as far as the runs' files tell."""

import json
from pathlib import Path
from typing import Any

from keras_ser.checks import listed
from keras_ser.corpora import Corpus
from keras_ser.errors import RunError, UserError
from keras_ser.experiment.stored import DAMAGE, EXPERIMENT, PREDICTIONS, stored_facts, stored_predictions
from keras_ser.recipe import Recipe
from keras_ser.settings import of_stream
from keras_ser.splits import SIDES
from keras_ser.training import Data
from keras_ser.training.owner import check_free
from keras_ser.training.predictions import truths

RUNS = "*/fold-*-seed-*"


def check_claim(folder: Path, recipe: Recipe, data: Data) -> dict[str, Any]:
    """Check that a folder is free or of an experiment with this recipe and these data; return what identifies it.

    Raises:
        RunError: see `keras_ser.training.run.check_free`; the message says which clips have changed.
    """
    about = {"recipe": recipe.hash, "data": data.digest_of(recipe)}
    try:
        check_free(folder, EXPERIMENT, about, "experiment", recipe)
    except RunError as error:
        other = (folder / EXPERIMENT).exists() and stored_facts(folder).get("data") != about["data"]
        raise RunError(f"{error} {changed_clips(folder, recipe, data.corpus) if other else ''}".rstrip()) from error
    return about


def changed_clips(folder: Path, recipe: Recipe, corpus: Corpus) -> str:
    """Return a sentence on clips of a corpus that are new, missing or labelled otherwise than in an experiment; "" if unknown.

    Args:
        folder: the experiment's folder.
        recipe: its recipe.
        corpus: the corpus; samples, speakers and groups are not compared.
    """
    try:
        splits = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob(f"{RUNS}/split.json")]
        before = {i for split in splits for side in SIDES for i in split[side]}
        found = _labels(folder, recipe, corpus)
    except (UserError, *DAMAGE):
        return ""
    now = {u.id for u in corpus}
    found |= {"that are no longer there": before - now, "in none of its runs": now - before} if before else {}
    told = [f"clips {what}: {len(ids)} ({listed(sorted(ids), 3)})" for what, ids in found.items() if ids]
    return f"Since then: {'; '.join(told)}." if told else ""


def _labels(folder: Path, recipe: Recipe, corpus: Corpus) -> dict[str, set[str]]:
    """Return the ids of the clips whose label differs from that in the runs' predictions, by what is said of them."""
    tables, found = [stored_predictions(path) for path in sorted(folder.glob(f"{RUNS}/{PREDICTIONS}"))], {}
    for task in recipe.tasks:
        if not (task.continuous or task.columns or task.identity or of_stream(task)):
            labels = dict(zip((u.id for u in corpus), truths(task, corpus.utterances, corpus.name), strict=True))
            pairs = [pair for t in tables if task.name in t for pair in zip(t["id"], t[task.name], strict=True)]
            found[f"with another {task.name}"] = {i for i, label in pairs if i in labels and labels[i] != label}
    return found
