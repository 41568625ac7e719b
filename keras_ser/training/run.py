"""A run's folder: what it holds, and who owns it."""

import importlib
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.corpora.corpus import listed
from keras_ser.errors import MissingModelError, RunError, UserError
from keras_ser.files import remove_parts, write_json, write_text
from keras_ser.models import model_module
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.training.provenance import MADE
from keras_ser.values import instance, plain, read_json

# a finished run holds one of these: a whole Keras model, or scikit-learn pipelines
NETWORK, PIPELINES = "model.keras", "model.skops"
OWNER = "run.json"


@dataclass(frozen=True, repr=False)
class Run:
    """A trained model's folder.

    Args:
        folder: the folder.
        recipe, split, seed: what was trained on what.
        about: history.json: "best_epoch", "monitor", "epochs" (a dict of logs for each).
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
        """Raises: RunError where the folder holds no finished run, or one of its files is damaged."""
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
    def find(cls, folder: Path | str) -> Path:
        """The folder of a finished run: the one that is named, or the only one in an experiment's folder.

        Raises:
            RunError: no finished run there, or several.
        """
        folder = Path(folder)
        if model_file(folder):
            return folder
        found = sorted({path.parent for name in (NETWORK, PIPELINES) for path in folder.glob(f"*/fold-*/{name}")})
        if len(found) == 1:
            return found[0]
        if found:
            names = listed(path.relative_to(folder) for path in found)
            raise RunError(f"{folder} holds {len(found)} runs; name one of them: {names}.")
        raise RunError(f"expected the folder of a finished run (with a {NETWORK} or {PIPELINES}). Received: {folder}.")

    @property
    def kind(self) -> str:
        """What it has learnt: a "network", or the "pipelines" of a baseline."""
        return "pipelines" if (self.folder / PIPELINES).exists() else "network"

    @property
    def history(self) -> list[dict[str, float]]:
        return self.about["epochs"]

    @property
    def made(self) -> dict[str, Any]:
        """What it was made by (`provenance.made_by`); {} for a run of an earlier version."""
        try:
            return as_object(read_json((self.folder / MADE).read_text(encoding="utf-8")))
        except (OSError, ValueError):  # no part of what the run is
            return {}

    def model(self):
        """The whole model: {"waveform": (batch, samples), "length": (batch,)} -> {task: (batch, classes)}.

        A keras.Model, or the `Estimators` of a baseline.
        """
        if self.kind == "pipelines":
            from keras_ser.training.inference import load_estimators

            return load_estimators(self.folder / PIPELINES, self.recipe)
        import keras

        # these register the layers that the file names
        import keras_ser.features
        import keras_ser.layers  # noqa: F401

        for name in getattr(model_module(self.recipe.model), "LAYERS", ()):
            importlib.import_module(name)
        file = self.folder / NETWORK
        check_archive(file)
        model = keras.saving.load_model(file, compile=False)
        # XLA would compile anew for every length of a batch
        model.jit_compile = False
        return model


def stored(
    path: Path,
    read: Callable[[Any], Any] = lambda data: data,
    way_out: str = "Train the run again, or name another folder",
) -> Any:
    """What a run's or an experiment's JSON file holds, as `read` understands it.

    Raises:
        RunError: the file is missing or damaged (a `UserError` of `read`), or names a model that is not installed here; it is
            named, with the way out.
    """
    try:
        return read(read_json(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunError(f"{path} is missing. Put it back, or train the run again.") from None
    except MissingModelError as error:
        raise RunError(
            f"{path.parent} needs the model {error.model!r}, which is not installed here. Install the package that holds it, or "
            "put the folder of its module on PYTHONPATH."
        ) from error
    except (UserError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is damaged: {str(error).rstrip('.')}. {way_out}.") from error


def as_object(data: Any) -> dict[str, Any]:
    """JSON that must be an object."""
    if not isinstance(data, dict):
        raise UserError("expected an object.")
    return data


def _history(data: Any) -> dict[str, Any]:
    """history.json, checked as far as it is used."""
    numbers, rows = [as_object(data).get(name) for name in ("seed", "best_epoch")], data.get("epochs")
    if not all(type(number) is int and number >= 0 for number in numbers) or not isinstance(rows, list):
        raise UserError("expected an object with the numbers seed and best_epoch and the list epochs.")
    if not isinstance(data.get("training", {}), dict):
        raise UserError("expected an object of scores as training.")
    if not all(isinstance(row, dict) for row in rows) or (rows and not 0 < data["best_epoch"] <= len(rows)):
        raise UserError("expected an object for each of its epochs, best_epoch among them.")
    return data


def check_archive(file: Path) -> None:
    """Refuse, by a RunError, a Keras file that is cut off, overwritten or incomplete."""
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
            lacking = {"config.json", "model.weights.h5"} - set(archive.namelist())
            if bad is None and not lacking:
                return
            fault = f"{bad} in it is not what was written" if bad else f"it has no {', '.join(sorted(lacking))}"
    except (zipfile.BadZipFile, zlib.error, EOFError):
        fault = "it is no Keras file, or is cut off"
    raise RunError(f"{file} is damaged: {fault}. Train the run again.")


def model_file(folder: Path) -> Path | None:
    """What a folder's run has learnt; None where no run is finished."""
    return next((folder / name for name in (NETWORK, PIPELINES) if (folder / name).exists()), None)


def claim(out: Path, recipe: Recipe, split: Split, seed: int, data: str = "") -> None:
    """Take a folder for a run, or go on with the same run in it; what a killed writer left half-written is removed.

    Args:
        out: the run's folder; made if missing.
        recipe, split, seed: what the run is.
        data: `Data.digest` of what it learns from.

    Raises:
        RunError: the folder holds another run, or something that is no run of ours.
    """
    about = _about(recipe, split, seed, data)
    check_free(out, OWNER, about, "run", recipe)
    # the owner first: a folder with anything in it and no owner is refused
    write_json(out / OWNER, about)
    write_text(out / "recipe.json", recipe.to_json())
    split.write(out / "split.json")
    remove_parts(out, older=0)  # a run is trained by one process at a time


def check_free(folder: Path, owner: str, about: dict[str, Any], kind: str, recipe: Recipe | None = None) -> None:
    """Make a folder, or refuse one that holds something else.

    Args:
        folder: made if missing.
        owner: the file that says what the folder holds.
        about: what is to go on in it: the same as there, as far as the keys go.
        kind: "run", "experiment", .., for the message.
        recipe: compared with the folder's recipe.json instead of its hash in `about`, which is one of its time.

    Raises:
        RunError: another one, or something that is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / owner).exists():
        _check_same(folder / owner, about, kind, recipe)
    elif any(not held.name.startswith(".") for held in folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no {kind}. Give another --out.")


def check_owner(out: Path, recipe: Recipe, split: Split, seed: int, data: str = "") -> None:
    """Refuse a folder that holds another run than `claim` would take.

    Raises:
        RunError: recipe, split, seed or data are others than those that the run was made of, or nothing says what it was made of.
    """
    _check_same(out / OWNER, _about(recipe, split, seed, data), "run", recipe)


def _check_same(path: Path, about: dict[str, Any], kind: str, recipe: Recipe | None) -> None:
    folder = path.parent
    try:
        found = as_object(read_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} does not say which {kind} it holds ({error}). Remove that folder.") from error
    other = ["recipe" if key == "hash" else key for key in about if found.get(key) != about[key]]
    if recipe is not None and "recipe" in other and is_of(folder, recipe):
        other.remove("recipe")
    if other:
        raise RunError(
            f"{folder} holds another {kind} (other {', '.join(other)}). Give another --out, or remove that folder."
        )


def is_of(folder: Path, recipe: Recipe) -> bool:
    """Whether a folder's recipe.json says the same as a recipe: its hash may have been noted by an earlier version."""
    try:
        return stored(folder / "recipe.json", Recipe.from_dict).hash == recipe.hash
    except (RunError, OSError):
        return False


def _about(recipe: Recipe, split: Split, seed: int, data: str) -> dict[str, Any]:
    sides = plain(split)
    for name in ("chosen_on_test", "foreign", "final"):  # runs of earlier versions do not name them
        if not getattr(split, name):
            del sides[name]
    return json.loads(json.dumps({"hash": recipe.hash, "split": sides, "seed": seed, "data": data}))
