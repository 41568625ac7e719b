"""A corpus as examples of fixed size, cut and computed once by the package's own pipeline, so that training needs no TensorFlow.

Auxiliary corpora are stored beside it, their features rounded to 256 steps between the smallest and the largest value of a bin,
since files must be small to be carried.
"""

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerator_clips import SIDES, _side

from keras_ser.errors import UserError
from keras_ser.recipe import Recipe

AUXILIARY = len(SIDES)  # the side of auxiliary clips: they train in every fold
COLUMNS = ("ids", "speakers", "genders", "streams")


@dataclass(frozen=True)
class Examples:
    """The examples of a corpus, and of its auxiliary corpora.

    Args:
        about: "frontend", "frontends", "sampling", "corpus" and "protocol", as the recipe has them, and "folds" (their numbers).
        x: input -> (examples, frames, bins).
        valid: input -> (examples,) frames that are not padding.
        clip: (examples,) number of the clip.
        trains: (examples,) whether it is used in training, which leaves out the incomplete last segment of a longer clip.
        ids, speakers, genders: (clips,) strings.
        streams: (clips,) name of the auxiliary corpus, "" for the recipe's own.
        names: task -> (clips,) label, "" where the clip has none.
        sides: (folds, clips) indices into `SIDES`, `AUXILIARY` for auxiliary clips.
        moments: input -> (2, folds, 2, bins): mean and variance of the frames that train, without and with auxiliary corpora.
    """

    about: dict
    x: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    clip: np.ndarray
    trains: np.ndarray
    ids: np.ndarray
    speakers: np.ndarray
    genders: np.ndarray
    streams: np.ndarray
    names: dict[str, np.ndarray]
    sides: np.ndarray
    moments: dict[str, np.ndarray]

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe whose examples are others than those that are stored, or that is trained in another way."""
        for name, found in about(recipe).items():
            if found != self.about[name]:
                raise UserError(
                    f"the stored examples have another {name} than the recipe {recipe.name!r}: prepare them with that recipe. "
                    f"Received: {found} instead of {self.about[name]}."
                )
        lacking = {stream.corpus for stream in recipe.streams if stream.corpus} - set(self.streams)
        if lacking or any(stream.noises or stream.speakers or stream.teaches for stream in recipe.streams):
            raise UserError(
                f"this trains whole auxiliary corpora that are stored, without noise. Received: {recipe.streams}."
            )
        if recipe.optimizer.schedule != "cosine" or recipe.patience or recipe.monitor or recipe.first is not None:
            raise UserError(
                "this trains at a rate that falls to 0 (optimizer.schedule=cosine, patience=0, no monitor)."
            )
        if recipe.labelled < 1 or recipe.shuffle or not recipe.augment.off:
            raise UserError("this trains with all labels as they are, and without augmentation.")

    def encoded(self, recipe: Recipe) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Task -> (clips,) class indices, and task -> (clips,) weights: 0 where a clip has no label."""
        known = {task.name: {label: i for i, label in enumerate(task.labels)} for task in recipe.tasks}
        values = {
            name: np.array([of.get(label, -1) for label in self.names[name]], "int32") for name, of in known.items()
        }
        weights = {name: (found >= 0).astype("float32") for name, found in values.items()}
        return {name: np.maximum(found, 0) for name, found in values.items()}, weights

    def save(self, file: Path, coarse: bool = False) -> None:
        """Store the recipe's own corpus, in 16 bits or (`coarse`) in 256 steps, too, and each auxiliary one in FILE-NAME.npz."""
        for corpus in dict.fromkeys(self.streams):
            clips = np.flatnonzero(self.streams == corpus)
            rows = np.isin(self.clip, clips)
            arrays = {name: getattr(self, name)[clips] for name in COLUMNS}
            arrays |= {f"names/{task}": values[clips] for task, values in self.names.items()}
            arrays |= {"clip": np.searchsorted(clips, self.clip[rows]), "trains": self.trains[rows]}
            arrays |= {f"valid/{name}": values[rows] for name, values in self.valid.items()}
            arrays |= {"sides": self.sides[:, clips]}
            for name, values in self.x.items():
                values = values[rows]
                if corpus or coarse:
                    low, high = values.min(axis=(0, 1)), values.max(axis=(0, 1))
                    step = np.maximum(high - low, 1e-9) / 255
                    arrays[f"scale/{name}"] = np.stack([low, step]).astype("float32")
                    arrays[f"x/{name}"] = np.round((values - low) / step).astype("uint8")
                else:
                    arrays[f"x/{name}"] = values.astype("float16")
                if not corpus:
                    arrays[f"moments/{name}"] = self.moments[name]
            place = file.with_name(f"{file.stem}-{corpus}.npz") if corpus else file
            np.savez_compressed(place, about=json.dumps(self.about), **arrays)

    @classmethod
    def load(cls, *files: Path) -> "Examples":
        """Load the recipe's own corpus (the first file) and auxiliary ones."""
        parts = [dict(np.load(file)) for file in files]
        first, count = parts[0], 0
        for part in parts:
            part["clip"] = part["clip"] + count
            count += len(part["ids"])
            for key in [key for key in part if key.startswith("x/")]:
                low, step = part.get(f"scale/{key[2:]}", (0.0, 1.0))
                part[key] = part[key].astype("float32") * step + low

        def under(prefix: str) -> dict[str, np.ndarray]:
            names = [key.removeprefix(prefix) for key in first if key.startswith(prefix)]
            return {name: np.concatenate([part[prefix + name] for part in parts]) for name in names}

        return cls(
            about=json.loads(str(first["about"])),
            x=under("x/"),
            valid=under("valid/"),
            names=under("names/"),
            moments={key.removeprefix("moments/"): first[key] for key in first if key.startswith("moments/")},
            sides=np.concatenate([part["sides"] for part in parts], axis=1),
            **{name: np.concatenate([part[name] for part in parts]) for name in ("clip", "trains", *COLUMNS)},
        )


def about(recipe: Recipe) -> dict:
    """What the stored examples depend on."""
    whole = recipe.to_dict()
    found = {name: whole[name] for name in ("frontend", "frontends", "sampling", "corpus")}
    return json.loads(json.dumps(found)) | {"protocol": recipe.protocols[0].name}


def prepare(recipe: Recipe, root: Path, auxiliary: Mapping[str, Path]) -> tuple[Recipe, Examples]:
    """Compute a recipe's examples and splits (needs TensorFlow).

    Args:
        recipe: its front ends, sampling, first protocol, streams and tasks are taken.
        root: the corpus.
        auxiliary: name -> root of the corpora that the streams name.

    Returns:
        The recipe with its classes, and the examples.
    """
    from keras_ser.corpora import read_corpus
    from keras_ser.pipelines.balance import cut_segments
    from keras_ser.pipelines.sources import clips
    from keras_ser.settings import mask_of
    from keras_ser.training.data import Data
    from keras_ser.training.fitting import recipe_extractor
    from keras_ser.training.inference import forward
    from keras_ser.training.preflight import frontends

    others = {name: read_corpus(name, folder) for name, folder in auxiliary.items()}
    recipe, corpus = recipe.read(root, auxiliary=others.values())
    sampling, protocol = recipe.sampling, recipe.protocols[0]
    if sampling.kind != "segments" or sampling.balance or sampling.class_weights or sampling.hop != sampling.frames:
        raise UserError(
            f"this takes adjacent segments, without balance and class weights. Received: sampling={sampling}."
        )
    layers = frontends(recipe)
    inputs = [name for each in (recipe.frontend, *recipe.frontends) for name in each.inputs]
    extract = forward(recipe_extractor(recipe, layers))
    tables: dict[str, list] = {"sides": [], **{name: [] for name in COLUMNS}}
    names = {task.name: [] for task in recipe.tasks}
    rows: dict[str, list] = {name: [] for name in inputs}
    valid: dict[str, list] = {name: [] for name in inputs}
    clip_of, trains = [], []
    with tempfile.TemporaryDirectory() as folder:
        data = Data.load(recipe, corpus, Path(folder), auxiliary=others)
        splits = protocol.splits(data.readable, hashes=data.cache.hashes, stratify=recipe.tasks[0].strata)
        for number, stream in enumerate(recipe.streams):
            source = data.source(recipe, number, splits[0], "train", 0)
            read, cache = data.auxiliary[stream.corpus] if stream.corpus else (corpus, data.cache)
            order = np.array([i for i, u in enumerate(read) if u.id not in cache.dropped])
            source = dataclasses.replace(source, indices=order)
            for place, (x, _) in zip(order, clips(source, extract, inputs, source.draw(0)), strict=True):
                if not sampling.seconds:
                    length = len(x[inputs[0]])
                    starts = np.arange(0, max(length, 1), sampling.frames)
                    x = cut_segments(x, starts, sampling.frames)
                count = len(x[inputs[0]])
                whole = [True] * count if sampling.seconds else starts + sampling.frames <= length
                clip_of += [len(tables["ids"])] * count
                trains += [count == 1 or bool(each) for each in whole]
                for name in inputs:
                    rows[name].append(np.asarray(x[name], "float32"))
                    valid[name].append(np.asarray(x[mask_of(name)]).sum(1))
                u = read.utterances[place]
                known = (u.id, u.speaker or "", u.gender or "", stream.corpus or "")
                for column, value in zip(COLUMNS, known, strict=True):
                    tables[column].append(value)
                tables["sides"].append([AUXILIARY if stream.corpus else _side(s, u.id) for s in splits])
                for task in recipe.tasks:
                    values, weights = source.labels[task.name]
                    names[task.name].append(task.labels[values[place]] if weights[place] > 0 else "")
    sides, clip_of = np.array(tables.pop("sides"), "int8").T, np.array(clip_of, "int32")
    joined = {name: np.concatenate(rows[name]) for name in inputs}
    shown = {name: np.concatenate(valid[name]).astype("int32") for name in inputs}
    return recipe, Examples(
        about={**about(recipe), "folds": [split.fold for split in splits]},
        x=joined,
        valid=shown,
        clip=clip_of,
        trains=np.array(trains),
        **{column: np.array(values) for column, values in tables.items()},
        names={task: np.array(values) for task, values in names.items()},
        sides=sides,
        moments={name: _moments(joined[name], shown[name], sides[:, clip_of]) for name in inputs},
    )


def _moments(x: np.ndarray, valid: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(2, folds, 2, bins): mean and variance of the frames that train, without and with auxiliary corpora."""
    sums = np.array(
        [[part[:n].sum(0), np.square(part[:n]).sum(0)] for part, n in zip(x.astype(float), valid, strict=True)]
    )
    found = []
    for most in (0, AUXILIARY):
        for side in sides:
            rows = np.isin(side, [0, most])
            mean, square = sums[rows].sum(0) / valid[rows].sum()
            found.append([mean, square - mean**2])
    return np.array(found, "float32").reshape(2, len(sides), 2, -1)


def training(examples: Examples, fold: int, corpus: str) -> np.ndarray:
    """Numbers of the examples of a corpus ("" = the recipe's own) that train in a fold."""
    chosen = (examples.streams == corpus) & np.isin(examples.sides[fold], [0, AUXILIARY])
    return np.flatnonzero(chosen[examples.clip] & examples.trains)


def corpora(recipe: Recipe) -> Sequence[str]:
    """The corpora of a recipe's streams, "" for its own."""
    return [stream.corpus or "" for stream in recipe.streams]
