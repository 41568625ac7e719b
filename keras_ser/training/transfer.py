"""Initial weights from a finished run, for fine-tuning after pre-training, and whom that run has heard."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.corpora import Corpus
from keras_ser.corpora.corpus import listed
from keras_ser.corpora.spelling import comparable
from keras_ser.errors import RunError, UserError
from keras_ser.files import write_whole
from keras_ser.recipe import Recipe
from keras_ser.splits import LeakageError, Split
from keras_ser.tasks import Task, identity
from keras_ser.training.run import NETWORK, Run, model_file

# weights that are not part of the whole model: a decoder, a discriminator
TRAINING_ONLY = "training_only.npz"


def digest(folder: Path | str) -> str:
    """Return twelve hex digits that identify the weights of a run; "" for an empty `folder`.

    Raises:
        RunError: the folder has no finished run of a network.
    """
    if not folder:
        return ""
    file = model_file(Run.find(folder))
    if file.name != NETWORK:
        raise RunError(f"expected the run of a network. Received: {folder}, a run of a scikit-learn baseline.")
    found = hashlib.sha256(file.read_bytes())
    rest = file.with_name(TRAINING_ONLY)
    found.update(rest.read_bytes() if rest.exists() else b"")
    return found.hexdigest()[:12]


def heard_clips(run: Run, corpus: Corpus) -> set[str]:
    """Return the ids of a corpus on which a run was trained or validated."""
    used = {*run.split.train, *run.split.validation} if corpus.name == run.recipe.corpus else set()
    for stream in run.recipe.streams:
        used |= stream.chosen(corpus) if stream.corpus == corpus.name else set()
    return used


def heard_speakers(run: Run, corpus: Corpus) -> set[str]:
    """Return the speakers of a corpus on whom a run was trained or validated."""
    used = heard_clips(run, corpus)
    if used and used <= {u.id for u in corpus}:
        return {u.speaker for u in corpus if u.id in used}
    # another corpus, or other clips under the name of one that was used
    trained = {comparable(label) for task in run.recipe.tasks if task.identity for label in task.labels}
    return {
        u.speaker for u in corpus if comparable(identity(u.speaker, corpus.name)) in trained or (used and not trained)
    }


def check_start(recipe: Recipe, folder: Path | str, corpus: Corpus, splits: Sequence[Split]) -> None:
    """Refuse initial weights of another model, and those that have learned from what a split tests.

    Args:
        recipe: what is to be trained.
        folder: folder of the run that provides the weights.
        corpus: the recipe's corpus.
        splits: splits of the runs to be trained.

    Raises:
        UserError: the run is of another model.
        LeakageError: clips of a test side, or their speakers (films, ..) if the split keeps these apart, trained or validated
            the run.
    """
    run = Run.load(Run.find(folder))
    if run.recipe.model != recipe.model:
        raise UserError(f"{folder} is a run of the model {run.recipe.model!r}: expected one of {recipe.model!r}.")
    clips, speakers = heard_clips(run, corpus), heard_speakers(run, corpus)
    for split in splits:
        tested = set(split.test)
        sides = [u for u in corpus if u.id in tested]
        known = []
        for column in split.apart:
            used = speakers if column == "speaker" else {u.column(column) for u in corpus if u.id in clips}
            known += [f"{column} {value}" for value in sorted({u.column(column) for u in sides} & (used - {None}))]
        known = known or sorted(tested & clips)
        if known:
            raise LeakageError(
                f"{folder} was trained or validated on what {split.protocol}, fold {split.fold}, tests: {listed(known)}. Start "
                "from a run that has not heard them, or train only the folds that test others (--folds)."
            )


def save_rest(network, score, out: Path) -> None:
    """Store the weights of `network` that are not in its scorer `score`."""
    held = {id(v) for v in score.variables}
    rest = {v.path: np.array(v) for v in network.weights if id(v) not in held and "seed_generator" not in v.path}
    if rest:
        write_whole(out / TRAINING_ONLY, lambda path: np.savez(path, **rest))


def weights(run: Run) -> dict[str, np.ndarray]:
    """Return path -> value of all variables that a run's network had in training."""
    found = {v.path: np.array(v) for v in run.model().variables if "seed_generator" not in v.path}
    rest = run.folder / TRAINING_ONLY
    if rest.exists():
        with np.load(rest) as file:
            found |= {name: file[name] for name in file.files}
    return found


def check_frozen(layers: Sequence[Any], folder: Path | str) -> None:
    """Refuse a run whose weights of frozen layers differ from those of `layers`: its network was trained on other frames.

    Raises:
        UserError: the run has other weights.
    """
    given = weights(Run.load(Run.find(folder)))
    frozen = {v.path: np.array(v) for layer in layers for v in layer.weights}
    other = [path for path, value in frozen.items() if path in given and not np.array_equal(given[path], value)]
    if other:
        raise UserError(
            f"{folder} has other weights of the frozen layers ({listed(other)}): its network was trained on what they give. Start "
            "from a run of the same pretrained weights, not tuned."
        )


def begin_from(network, tasks: Sequence[Task], folder: Path | str) -> list[str]:
    """Initialise a network with the weights of a finished run.

    Args:
        network: keras.Model.
        tasks: its tasks; their heads keep their initial weights if the run has no such head, or one for other classes.
        folder: folder of the run, or of an experiment with a single run.

    Returns:
        Paths of the variables that keep their initial weights.

    Raises:
        UserError: a weight of the run has another shape, or no weight is shared.
    """
    run = Run.load(Run.find(folder))
    given, new, used = weights(run), [], 0
    before = {task.name: task.labels for task in run.recipe.tasks}
    heads = tuple(f"{task.name}{end}" for task in tasks for end in "/_")
    other = tuple(f"{task.name}/" for task in tasks if before.get(task.name) != task.labels)
    for variable in network.weights:
        if "seed_generator" in variable.path:
            continue
        value = given.get(variable.path)
        if variable.path.startswith(other):
            new.append(variable.path)
        elif value is not None and value.shape == tuple(variable.shape):
            variable.assign(value)
            used += variable.trainable
        elif value is None or variable.path.startswith(heads):
            new.append(variable.path)
        else:
            raise UserError(
                f"the network has {variable.path} {tuple(variable.shape)}, but {folder} has {value.shape}: start from a run "
                "with the same front end and config."
            )
    if not used:
        raise UserError(
            f"the network and {folder} have no weight in common: {listed(sorted(given))}. Start from another run."
        )
    return new
