"""Initial weights from a finished run, for fine-tuning after pre-training."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.corpora.corpus import listed
from keras_ser.errors import RunError, UserError
from keras_ser.files import write_whole
from keras_ser.tasks import Task
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
