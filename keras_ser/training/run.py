"""A finished run: its folder, and what is in it."""

import importlib
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.checks import listed
from keras_ser.errors import FieldsError, MissingModelError, RunError, UserError
from keras_ser.machine import check_backend
from keras_ser.models import layer_modules
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.training.provenance import MADE, stored_made
from keras_ser.values import instance, read_json

# a finished run has one of these: a whole Keras model, or scikit-learn pipelines
NETWORK, PIPELINES = "model.keras", "model.skops"
FIRST = "model_1"  # folder of a cascade's first model


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
    def first(self) -> "Run | None":
        """The first model of a cascade; None for other runs, or if its folder was removed."""
        folder = self.folder / FIRST
        return Run.load(folder) if self.recipe.first is not None and model_file(folder) else None

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
        RunError: the file is missing or damaged (`read` raises `UserError`), or names a model that is not installed or has changed;
            the message names the file and the way out.
    """
    again = f"Remove {path.parent} and run the recipe again, which trains it anew"
    try:
        return read(read_json(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunError(
            f"{path} is missing. Put it back, or remove {path.parent} and run the recipe again, which trains it anew."
        ) from None
    except MissingModelError as error:
        raise RunError(
            f"{path.parent} needs the model {error.model!r}, {error.reason}. Install the package that holds it, or put the "
            "folder of its module on PYTHONPATH."
        ) from error
    except FieldsError as error:
        if error.module.partition(".")[0] == __package__.partition(".")[0]:
            way_out = f"If another version of keras_ser wrote it, use that one. Otherwise: {way_out or again}"
            raise RunError(f"{path} is damaged: {str(error).rstrip('.')}. {way_out}.") from error
        file = getattr(sys.modules.get(error.module), "__file__", None)
        raise RunError(
            f"{path} does not fit the module {error.module} ({file}): {error} Put the module with which it was made on PYTHONPATH."
        ) from error
    except (UserError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is damaged: {str(error).rstrip('.')}. {way_out or again}.") from error


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
