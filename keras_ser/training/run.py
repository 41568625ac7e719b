"""The folder of a run: its contents and its owner."""

import importlib
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.checks import listed
from keras_ser.errors import MissingModelError, RunError, UserError
from keras_ser.files import remove_parts, write_json, write_text
from keras_ser.machine import check_backend
from keras_ser.models import layer_modules
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.training.provenance import MADE, pretrained_digest, stored_made
from keras_ser.values import instance, plain, read_json

# a finished run has one of these: a whole Keras model, or scikit-learn pipelines
NETWORK, PIPELINES = "model.keras", "model.skops"
FIRST = "model_1"  # folder of a cascade's first model
OWNER = "run.json"
PRETRAINED = "pretrained"  # in it: digest of the weights that a run begins with


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run: a trained model in a folder.

    Args:
        folder: folder of the run.
        recipe, split, seed: what was trained.
        about: contents of history.json: "best_epoch", "monitor", "epochs" (a dict of logs for each).
    """

    folder: Path
    recipe: Recipe
    split: Split
    seed: int
    about: dict[str, Any]

    def __repr__(self) -> str:
        where = f"{self.split.protocol}, fold {self.split.fold}, seed {self.seed}"
        return (
            f"<Run {self.recipe.name} ({self.recipe.model}): {where}, epoch {self.about['best_epoch']}; {self.folder}>"
        )

    @classmethod
    def load(cls, folder: Path | str) -> "Run":
        """Load a run; raises RunError if the folder has no finished run, or one of its files is damaged."""
        folder = Path(folder)
        if not model_file(folder):
            raise RunError(
                f"{folder} holds no finished run (no {NETWORK}, no {PIPELINES}). Finish its training, or name another folder."
            )
        about = stored(folder / "history.json", _history)
        recipe = stored(folder / "recipe.json", Recipe.from_dict)
        split = stored(folder / "split.json", lambda data: instance(Split, data))
        return cls(folder, recipe, split, about["seed"], about)

    @classmethod
    def find(cls, folder: Path | str, others: str = "") -> Path:
        """Return the folder of a finished run: `folder` itself, or the only run of an experiment's folder.

        Args:
            folder: the folder.
            others: what else the caller takes, for the message.

        Raises:
            RunError: there is no finished run, or there are several.
        """
        folder = Path(folder)
        if model_file(folder):
            return folder
        found = sorted({path.parent for name in (NETWORK, PIPELINES) for path in folder.glob(f"*/fold-*/{name}")})
        if len(found) == 1:
            return found[0]
        if found:
            names = listed(path.relative_to(folder) for path in found)
            raise RunError(
                f"{folder} holds {len(found)} runs; name one of them: {names}. An export of several runs averages them "
                "(keras-ser export RUN RUN ..), as does ks.load of this folder."
            )
        expected = f"the folder of a finished run (with a {NETWORK} or {PIPELINES}){others and ' ' + others}"
        exported = any(any(folder.glob(pattern)) for pattern in ("saved_model.pb", "*/saved_model.pb"))
        what = ", an export: give the run that it was made from" if exported else ""
        wrong = what if folder.exists() else ", which does not exist"
        raise RunError(f"expected {expected}. Received: {folder}{wrong}.")

    @property
    def kind(self) -> str:
        """Kind of the model: "network", or "pipelines" for a baseline."""
        return "pipelines" if (self.folder / PIPELINES).exists() else "network"

    @property
    def history(self) -> list[dict[str, float]]:
        """The logs of each epoch."""
        return self.about["epochs"]

    @property
    def made(self) -> dict[str, Any]:
        """Provenance of the run (`provenance.made_by`); {} for runs of earlier versions."""
        return stored_made(self.folder / MADE)

    def model(self):
        """Load the whole model: {"waveform": (batch, samples), "length": (batch,)} -> {task: (batch, classes)}.

        Returns:
            A keras.Model, or the `Estimators` of a baseline.

        Raises:
            RunError: the file is damaged.
            UserError: TensorFlow is not Keras's backend.
        """
        if self.kind == "pipelines":
            from keras_ser.training.inference import load_estimators

            return load_estimators(self.folder / PIPELINES, self.recipe)
        check_backend("the model of a run")
        import keras

        # imported to register the layers in the file
        import keras_ser.features
        import keras_ser.layers  # noqa: F401

        for name in layer_modules(self.recipe):
            importlib.import_module(name)
        file = self.folder / NETWORK
        check_archive(file)
        model = keras.saving.load_model(file, compile=False)
        # XLA would recompile for every batch length
        model.jit_compile = False
        return model


def stored(
    path: Path,
    read: Callable[[Any], Any] = lambda data: data,
    way_out: str = "",
) -> Any:
    """Read a JSON file of a run or an experiment, converted by `read`.

    Raises:
        RunError: the file is missing or damaged (`read` raises `UserError`), or names a model that is not installed; the message
            names the file and the way out.
    """
    try:
        return read(read_json(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunError(
            f"{path} is missing. Put it back, or remove {path.parent} and run the recipe again, which trains it anew."
        ) from None
    except MissingModelError as error:
        raise RunError(
            f"{path.parent} needs the model {error.model!r}, which is not installed here. Install the package that holds it, or "
            "put the folder of its module on PYTHONPATH."
        ) from error
    except (UserError, UnicodeDecodeError) as error:
        way_out = way_out or f"Remove {path.parent} and run the recipe again, which trains it anew"
        raise RunError(f"{path} is damaged: {str(error).rstrip('.')}. {way_out}.") from error


def as_object(data: Any) -> dict[str, Any]:
    """Check that JSON data are an object."""
    if not isinstance(data, dict):
        raise UserError("expected an object.")
    return data


def _history(data: Any) -> dict[str, Any]:
    """Check the parts of history.json that are used."""
    numbers, rows = [as_object(data).get(name) for name in ("seed", "best_epoch")], data.get("epochs")
    if not all(type(number) is int and number >= 0 for number in numbers) or not isinstance(rows, list):
        raise UserError("expected an object with the numbers seed and best_epoch and the list epochs.")
    if not isinstance(data.get("training", {}), dict):
        raise UserError("expected an object of scores as training.")
    if not all(isinstance(row, dict) for row in rows) or (rows and not 0 < data["best_epoch"] <= len(rows)):
        raise UserError("expected an object for each of its epochs, best_epoch among them.")
    return data


def check_archive(file: Path) -> None:
    """Refuse, by a RunError, a Keras file that is truncated, corrupt or incomplete."""
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
            lacking = {"config.json", "model.weights.h5"} - set(archive.namelist())
            if bad is None and not lacking:
                return
            fault = f"{bad} in it is corrupt" if bad else f"it has no {', '.join(sorted(lacking))}"
    except (zipfile.BadZipFile, zlib.error, EOFError):
        fault = "it is not a Keras file, or is truncated"
    raise RunError(f"{file} is damaged: {fault}. Remove {file.parent} and run the recipe again, which trains it anew.")


def check_whole(folder: Path) -> None:
    """Refuse, by a RunError, a finished run whose files are missing, damaged or truncated, without loading its model."""
    Run.load(folder)
    file = model_file(folder)
    if file.name == NETWORK and not zipfile.is_zipfile(file):
        check_archive(file)


def model_file(folder: Path) -> Path | None:
    """Return the model file of a folder's run, or None if no run is finished."""
    return next((folder / name for name in (NETWORK, PIPELINES) if (folder / name).exists()), None)


def claim(out: Path, recipe: Recipe, split: Split, seed: int, data: str = "") -> None:
    """Claim a folder for a run, or for resuming the same run; remove partial files of a killed writer.

    Args:
        out: the run's folder; created if missing.
        recipe, split, seed: define the run.
        data: `Data.digest` of the training data.

    Raises:
        RunError: the folder contains another run or other files.
    """
    about = _about(recipe, split, seed, data)
    check_free(out, OWNER, about, "run", recipe)
    if (out / OWNER).exists():  # what a file that is gone held is not forgotten
        about = as_object(read_json((out / OWNER).read_text(encoding="utf-8"))) | about
    # the owner first, since a non-empty folder without an owner is refused
    write_json(out / OWNER, about)
    write_text(out / "recipe.json", recipe.to_json())
    split.write(out / "split.json")
    remove_parts(out, older=0)  # a run is trained by one process at a time


def check_free(folder: Path, owner: str, about: dict[str, Any], kind: str, recipe: Recipe | None = None) -> None:
    """Create a folder, or refuse one with other contents.

    Args:
        folder: created if missing.
        owner: name of the file that describes the contents of the folder.
        about: the expected description; only its keys are compared.
        kind: "run", "experiment", .., for the message.
        recipe: if given, compared with the folder's recipe.json where hashes differ, since an earlier version may have computed
            another hash.

    Raises:
        RunError: the folder belongs to another run or experiment, or contains other files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / owner).exists():
        _check_same(folder / owner, about, kind, recipe)
    elif any(not held.name.startswith(".") for held in folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no {kind}. Give another --out.")


def check_owner(out: Path, recipe: Recipe, split: Split, seed: int, data: str = "") -> None:
    """Refuse a folder of a run other than the one given.

    Raises:
        RunError: recipe, split, seed or data differ from those of the run, or its description is missing.
    """
    _check_same(out / OWNER, _about(recipe, split, seed, data), "run", recipe)


def _check_same(path: Path, about: dict[str, Any], kind: str, recipe: Recipe | None) -> None:
    folder = path.parent
    try:
        found = as_object(read_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} does not say which {kind} it holds ({error}). Remove that folder.") from error
    # what earlier versions did not store is taken to be the same
    found.setdefault(PRETRAINED, about.get(PRETRAINED))
    names = {"hash": "recipe", PRETRAINED: "pretrained weights"}
    other = [names.get(key, key) for key in about if found.get(key) != about[key]]
    if recipe is not None and "recipe" in other and is_of(folder, recipe):
        other.remove("recipe")
    if other:
        raise RunError(
            f"{folder} holds another {kind} (other {', '.join(other)}). Give another --out, or remove that folder."
        )


def is_of(folder: Path, recipe: Recipe) -> bool:
    """Return whether a folder's recipe.json equals a recipe; an earlier version may have stored another hash."""
    try:
        return stored(folder / "recipe.json", Recipe.from_dict).hash == recipe.hash
    except (RunError, OSError):
        return False


def _about(recipe: Recipe, split: Split, seed: int, data: str) -> dict[str, Any]:
    sides = plain(split)
    for name in ("chosen_on_test", "foreign", "final"):  # not stored by earlier versions
        if not getattr(split, name):
            del sides[name]
    about = {"hash": recipe.hash, "split": sides, "seed": seed, "data": data}
    weights = pretrained_digest(recipe)
    return json.loads(json.dumps(about | ({PRETRAINED: weights} if weights else {})))
