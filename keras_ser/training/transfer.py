"""Initial weights from a finished run, for fine-tuning after pre-training."""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.checks import listed
from keras_ser.corpora import Corpus
from keras_ser.errors import RunError, UserError
from keras_ser.files import write_whole
from keras_ser.models.paper import Network
from keras_ser.recipe import Recipe
from keras_ser.splits import LeakageError, Split
from keras_ser.tasks import Task
from keras_ser.training.heard import heard_clips, heard_speakers
from keras_ser.training.run import NETWORK, Run, check_archive, model_file

# weights that are not part of the whole model: a decoder, a discriminator
TRAINING_ONLY = "training_only.npz"


def digest(folder: Path | str) -> str:
    """Return twelve hex digits that identify the weights of a run, however often it is saved; "" for an empty `folder`.

    Raises:
        RunError: the folder has no finished run of a network.
    """
    if not folder:
        return ""
    file = model_file(Run.find(folder))
    if file.name != NETWORK:
        raise RunError(f"expected the run of a network. Received: {folder}, a run of a scikit-learn baseline.")
    check_archive(file)
    with zipfile.ZipFile(file) as archive:  # beside the date and the layers' automatic names
        found = hashlib.sha256(archive.read("model.weights.h5"))
    rest = file.with_name(TRAINING_ONLY)
    found.update(rest.read_bytes() if rest.exists() else b"")
    return found.hexdigest()[:12]


def check_start(
    recipe: Recipe, folder: Path | str, corpus: Corpus, splits: Sequence[Split], hashes: Mapping[str, str] | None = None
) -> None:
    """Refuse initial weights of another model, and those that have learned from what a split tests.

    Args:
        recipe: what is to be trained.
        folder: folder of the run that provides the weights.
        corpus: the recipe's corpus.
        splits: splits of the runs to be trained.
        hashes: id -> content hash of the corpus's clips, once they are decoded.

    Raises:
        UserError: the run is of another model.
        LeakageError: clips of a test set, or their speakers (films, ..) if the split keeps these apart, trained or validated
            the run.
    """
    run = Run.load(Run.find(folder))
    if run.recipe.model != recipe.model:
        raise UserError(f"{folder} is a run of the model {run.recipe.model!r}: expected one of {recipe.model!r}.")
    speakers = heard_speakers(run, corpus, hashes)
    found = {together: heard_clips(run, corpus, hashes, together=together) for together in (True, False)}
    for split in splits:
        clips = found[split.together]
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
                "from a run that has not heard them, or train only the folds that test others (--folds). Other people of the "
                "same name: write CORPUS/NAME in one of the tables."
            )


def save_rest(network, score, out: Path) -> None:
    """Store the weights of `network` that are not in its scorer `score`."""
    held = {id(v) for v in score.variables}
    rest = {v.path: np.array(v) for v in network.weights if id(v) not in held and "seed_generator" not in v.path}
    if rest:
        write_whole(out / TRAINING_ONLY, lambda path: np.savez(path, **rest))


def keyed(layers: Iterable[Any]) -> dict[str, Any]:
    """Return "layer/number" -> weight: paths within a layer, such as those of `Bidirectional`, change when a model is loaded."""
    return {f"{layer.name}/{i}": weight for layer in layers for i, weight in enumerate(layer.weights)}


def weights(run: Run) -> dict[str, np.ndarray]:
    """Return the weights of a run's network: as `keyed`, and by path those that only training needed."""
    from keras_ser.models.whole_model import inner_network

    found = {key: np.array(weight) for key, weight in keyed(inner_network(run.model()).layers).items()}
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
    before = {layer.name: layer for layer in Run.load(Run.find(folder)).model().get_layer("extractor").layers}
    given = keyed(before[layer.name] for layer in layers if layer.name in before)
    other = [
        weight.path
        for key, weight in keyed(layers).items()
        if key in given and not np.array_equal(np.array(given[key]), np.array(weight))
    ]
    if other:
        raise UserError(
            f"{folder} has other weights of the frozen layers ({listed(other)}): its network was trained on what they give. Start "
            "from a run of the same pretrained weights, not tuned."
        )


def begin_from(network: Network, tasks: Sequence[Task], folder: Path | str) -> list[str]:
    """Initialise a network with the weights of a finished run.

    Args:
        network: the network.
        tasks: its tasks; what learns their labels keeps its initial weights if the run has no such layer, or one for other classes.
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
    changed = {task.name for task in tasks if before.get(task.name) != task.labels}
    learning = {name for name, output in network.outputs.items() if getattr(output.target, "task", None) in changed}
    other = tuple(f"{name}/" for name in learning | changed | {f"{name}_frames" for name in changed})
    keys = {id(weight): key for key, weight in keyed(network.model.layers).items()}
    for variable in network.model.weights:
        key = keys.get(id(variable), variable.path)  # a part that only training needs, such as a discriminator
        value = given.get(key, given.get(variable.path))
        if key.startswith(other):
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
