"""Initial weights from a finished run, for fine-tuning after pre-training, and the clips and speakers that the run has seen."""

import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.corpora import Corpus
from keras_ser.corpora.corpus import listed
from keras_ser.corpora.spelling import comparable
from keras_ser.errors import RunError, UserError
from keras_ser.files import write_json, write_whole
from keras_ser.models.paper import Network
from keras_ser.recipe import Recipe
from keras_ser.splits import LeakageError, Split
from keras_ser.tasks import Task, identity
from keras_ser.training.data import Data
from keras_ser.training.run import NETWORK, Run, as_object, check_archive, model_file, stored

# weights that are not part of the whole model: a decoder, a discriminator
TRAINING_ONLY = "training_only.npz"
HEARD = "heard.json"


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


def save_heard(recipe: Recipe, data: Data, split: Split, out: Path, initial: Path | str | None) -> None:
    """Store, by corpus, the clips and speakers on which a run, or a run that its weights descend from, was trained or validated."""
    sides = [(data.corpus, {*split.train, *split.validation})]
    sides += [(data.auxiliary[s.corpus][0], s.chosen(data.auxiliary[s.corpus][0])) for s in recipe.streams if s.corpus]
    found = _inherited(Run.find(initial)) if initial else {}
    for corpus, ids in sides:
        before = found.get(corpus.name, {"clips": [], "speakers": []})
        speakers = {u.speaker for u in corpus if u.id in ids and u.speaker}
        found[corpus.name] = {
            "clips": sorted(ids.union(before["clips"])),
            "speakers": sorted(speakers.union(before["speakers"])),
        }
    write_json(out / HEARD, found)


def _inherited(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Return heard.json, {} for a run of an earlier version; raise RunError if it is damaged."""

    def read(data: Any) -> dict[str, dict[str, list[str]]]:
        for entry in as_object(data).values():
            if not all(isinstance(as_object(entry).get(name), list) for name in ("clips", "speakers")):
                raise UserError("expected the lists clips and speakers of each corpus.")
        return data

    return stored(folder / HEARD, read) if (folder / HEARD).exists() else {}


def heard_clips(run: Run, corpus: Corpus) -> set[str]:
    """Return the ids of a corpus on which a run, or one that its weights descend from, was trained or validated."""
    told = _inherited(run.folder)
    if told:
        return set(told.get(corpus.name, {}).get("clips", ()))
    # of an earlier version
    used = {*run.split.train, *run.split.validation} if corpus.name == run.recipe.corpus else set()
    for stream in run.recipe.streams:
        used |= stream.chosen(corpus) if stream.corpus == corpus.name else set()
    return used


def heard_speakers(run: Run, corpus: Corpus) -> set[str]:
    """Return the speakers of a corpus on whom a run, or one that its weights descend from, was trained or validated."""
    used, ids, told = heard_clips(run, corpus), {u.id for u in corpus}, _inherited(run.folder)
    if told:
        people = {comparable(identity(s, name)) for name, heard in told.items() for s in heard["speakers"]}
        used = used | {u.id for u in corpus if u.speaker and comparable(identity(u.speaker, corpus.name)) in people}
    elif not used <= ids or not used:
        # of an earlier version; another corpus, or other clips under the name of one that was used
        trained = {comparable(label) for task in run.recipe.tasks if task.identity for label in task.labels}
        return {
            u.speaker
            for u in corpus
            if u.speaker and (comparable(identity(u.speaker, corpus.name)) in trained or (used and not trained))
        }
    return {u.speaker for u in corpus if u.speaker and u.id in used}


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
    clips = heard_clips(run, corpus)
    # without a common clip, a table of the same adapter is another corpus, whose speakers may have the same numbers
    speakers = heard_speakers(run, corpus) if clips & {u.id for u in corpus} or not clips else set()
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
