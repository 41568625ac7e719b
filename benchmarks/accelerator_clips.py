"""A corpus as arrays: all that trains a network on segments of features, computed once, so that training needs no TensorFlow.

Front end, splits, data balance, statistics and shuffled labels are the package's own (`keras_ser.training`).
"""

import dataclasses
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_ser import metrics
from keras_ser.errors import UserError
from keras_ser.recipe import Recipe

SIDES = ("train", "validation", "test")


@dataclass(frozen=True)
class Clips:
    """A corpus's features and labels, and its folds.

    Args:
        about: "frontend", "sampling" and "protocol", as the recipe has them, "inputs" (name -> bins), "tasks" (name -> labels) and
            "folds" (their numbers).
        frames: (frames, bins) float32, those of all clips in a row, the inputs side by side.
        ends: (clips + 1,) where a clip's frames begin, and the last ones end.
        ids, speakers, genders: (clips,) strings.
        labels: task -> (clips,) class indices.
        sides: (folds, clips) indices into `SIDES`.
        mean, variance: (folds, bins), of the training set's frames.
        segments: of each fold its training set's segments, (segments, 2): clip and first frame.
        shuffled: (folds, seeds, clips) the labels of the auxiliary task in random order on the training set (a control).
    """

    about: dict
    frames: np.ndarray
    ends: np.ndarray
    ids: np.ndarray
    speakers: np.ndarray
    genders: np.ndarray
    labels: dict[str, np.ndarray]
    sides: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    segments: list[np.ndarray]
    shuffled: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(clips,) frames."""
        return np.diff(self.ends)

    @property
    def inputs(self) -> dict[str, int]:
        return self.about["inputs"]

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe whose features, segments, classes or splits are others than those that are stored."""
        for name, found in _about(recipe).items():
            if found != self.about[name]:
                raise UserError(
                    f"the stored clips have another {name} than the recipe {recipe.name!r}: prepare them with that recipe. "
                    f"Received: {found} instead of {self.about[name]}."
                )
        if recipe.batch_size < 1 or len(recipe.streams) > 1 or not recipe.augment.off or recipe.labelled < 1:
            raise UserError("this trains one stream of labelled clips as they are, without augmentation.")
        if recipe.optimizer.schedule != "constant" or recipe.monitor or recipe.first is not None:
            raise UserError("this trains one network at a constant learning rate, its epoch chosen by the main task.")

    def save(self, file: Path) -> None:
        arrays = {f"label/{task}": values for task, values in self.labels.items()}
        arrays |= {f"segments/{i}": found for i, found in enumerate(self.segments)}
        names = ("frames", "ends", "ids", "speakers", "genders", "sides", "mean", "variance", "shuffled")
        np.savez_compressed(
            file, about=json.dumps(self.about), **{name: getattr(self, name) for name in names}, **arrays
        )

    @classmethod
    def load(cls, file: Path) -> "Clips":
        with np.load(file) as found:
            about = json.loads(str(found["about"]))
            names = ("frames", "ends", "ids", "speakers", "genders", "sides", "mean", "variance", "shuffled")
            return cls(
                about=about,
                **{name: found[name] for name in names},
                labels={task: found[f"label/{task}"] for task in about["tasks"]},
                segments=[found[f"segments/{i}"] for i in range(len(about["folds"]))],
            )


@dataclass(frozen=True)
class Replica:
    """One training.

    Args:
        fold: place of the fold among those of the clips.
        seed: draws initial weights, dropout, the order of the examples, and shuffled labels.
    """

    fold: int
    seed: int


@dataclass
class Choice:
    """Which epoch is kept, and when the patience ends, as `keras_ser.training.loop.EpochEnd` decides it.

    Args:
        recipe: its epochs, patience and smoothing.
        steps: batches of an epoch.
    """

    recipe: Recipe
    steps: int
    scores: list[float] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    value: float = math.nan
    epoch: int = 0
    ended: bool = False

    def add(self, score: float, training: float = math.nan, loss: float = math.nan) -> bool:
        """Take the scores of the next epoch, of the validation and the training set; True where it is the best so far."""
        self.scores.append(score)
        self.training.append(training)
        self.losses.append(loss)
        epoch, window = len(self.scores), min(self.recipe.smoothing, self.recipe.epochs)
        defined = [s for s in self.scores[-window:] if not math.isnan(s)]
        value = float(np.mean(defined)) if epoch >= window and defined else math.nan
        best = not self.epoch or value > self.value or math.isnan(self.value)
        if best:
            self.value, self.epoch = value, epoch
        waited = epoch - self.epoch
        waits = waited < self.recipe.patience or waited * self.steps < self.recipe.patience_steps
        self.ended = epoch >= self.recipe.epochs or (bool(self.recipe.patience) and not waits)
        return best


def side_uar(posteriors: np.ndarray, truth: np.ndarray, side: np.ndarray) -> float:
    """The UAR of the clips of a side, (clips,) bool, from the posteriors (clips, classes) of all; NaN where it has none."""
    matrix = metrics.confusion(truth[side], posteriors[side].argmax(-1), posteriors.shape[-1])
    return float(metrics.uar(matrix))


def verdicts(choices: Sequence[Choice], protocol: str, replicas: Sequence[Replica]) -> list[str]:
    """The verdict on each replica, as reports have it; its training curve is a UAR of clips, theirs an accuracy of segments."""
    from keras_ser.evaluation.learning import run_learning, together

    found = []
    for choice, replica in zip(choices, replicas, strict=True):
        name = choice.recipe.tasks[0].name
        names = (f"{name}_accuracy", f"val_{name}_uar")
        rows = [dict(zip(names, row, strict=True)) for row in zip(choice.training, choice.scores, strict=True)]
        about = {"epochs": rows, "best_epoch": choice.epoch, "steps": choice.steps, "monitor": names[1]}
        about["training"] = {f"{name}_uar": choice.training[choice.epoch - 1]}
        found.append(run_learning(choice.recipe, about, protocol, replica.fold, replica.seed))
    return [run.verdict for run in together(found)]


def _about(recipe: Recipe) -> dict:
    """What the stored clips depend on."""
    whole = recipe.to_dict()
    found = {name: whole[name] for name in ("frontend", "sampling", "protocols", "corpus")}
    return json.loads(json.dumps(found))


def prepare(recipe: Recipe, root: Path, seeds: int) -> Clips:
    """Compute a recipe's features, splits and segments (needs TensorFlow).

    Args:
        recipe: its front end, sampling and first protocol are taken, the classes of its tasks, and `shuffled` of its second task.
        root: the corpus.
        seeds: of how many seeds labels are shuffled.
    """
    from keras_ser.features import Statistics
    from keras_ser.pipelines.balance import RULES, segment_starts
    from keras_ser.pipelines.sources import clips
    from keras_ser.training.data import Data, shuffled
    from keras_ser.training.fitting import recipe_extractor
    from keras_ser.training.inference import forward
    from keras_ser.training.preflight import frontends

    recipe, corpus = recipe.read(root)
    names = list(recipe.frontend.inputs)
    layers = frontends(recipe)
    sampling = recipe.sampling
    with tempfile.TemporaryDirectory() as folder:
        data = Data.load(recipe, corpus, Path(folder))
        splits = recipe.protocols[0].splits(data.readable, hashes=data.cache.hashes, stratify=recipe.tasks[0].strata)
        order = np.array(
            [i for i, u in enumerate(corpus) if u.id not in data.cache.dropped]
        )  # utterance number of each clip
        source = dataclasses.replace(data.source(recipe, 0, splits[0], "train", 0), indices=order)
        extract = forward(recipe_extractor(recipe, layers))
        found = [
            np.concatenate([np.asarray(x[name]) for name in names], axis=-1)
            for x, _ in clips(source, extract, names, source.draw(0))
        ]
    lengths = np.array([len(x) for x in found])
    sides, mean, variance, segments = [], [], [], []
    controls = recipe.replace(shuffle=tuple(task.name for task in recipe.tasks[1:2]))
    labels_of = np.zeros((len(splits), seeds, len(order)), "int32")
    for fold, split in enumerate(splits):
        side = np.array([_side(split, corpus.utterances[i].id) for i in order])
        statistics = Statistics()
        for clip in np.flatnonzero(side == 0):
            statistics.update(found[clip][None], np.ones((1, lengths[clip]), bool))
        trains = data.source(recipe, 0, split, "train", 0)
        rules = trains.rules if sampling.balance else np.full(len(corpus), RULES.index("usual"))
        cut = [
            (clip, start)
            for clip in np.flatnonzero(side == 0)
            for start in np.asarray(
                segment_starts(
                    int(lengths[clip]), int(rules[order[clip]]), sampling.frames, sampling.hop, sampling.rare_hop
                )
            )
        ]
        for seed in range(seeds) if controls.shuffle else ():
            source = data.source(controls, 0, split, "train", seed)
            labels_of[fold, seed] = shuffled(source, controls, [source], seed).labels[controls.shuffle[0]][0][order]
        sides.append(side)
        mean.append(statistics.mean)
        variance.append(statistics.variance)
        segments.append(np.array(cut, "int32"))
    chosen = [corpus.utterances[i] for i in order]
    return Clips(
        about={
            **_about(recipe),
            "inputs": dict(zip(names, layers[0].sizes.values(), strict=True)),
            "tasks": {task.name: list(task.labels) for task in recipe.tasks},
            "protocol": recipe.protocols[0].name,
            "folds": [split.fold for split in splits],
        },
        frames=np.concatenate(found).astype("float32"),
        ends=np.cumsum([0, *lengths]).astype("int32"),
        ids=np.array([u.id for u in chosen]),
        speakers=np.array([u.speaker or "" for u in chosen]),
        genders=np.array([u.gender or "" for u in chosen]),
        labels={
            task.name: np.array([task.encode_utterance(u, corpus.name)[0] for u in chosen], "int32")
            for task in recipe.tasks
        },
        sides=np.array(sides, "int8"),
        mean=np.array(mean, "float32"),
        variance=np.array(variance, "float32"),
        segments=segments,
        shuffled=labels_of.astype("int8"),
    )


def _side(split, name: str) -> int:
    return next(i for i, side in enumerate(SIDES) if name in getattr(split, side))
