"""A run's folder: what it holds, and who owns it."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.corpora.corpus import listed
from keras_ser.errors import UserError
from keras_ser.files import remove_parts, write_json, write_text
from keras_ser.recipe import Recipe
from keras_ser.splits import Split

# a finished run holds one of these: a whole Keras model, or scikit-learn pipelines
NETWORK, PIPELINES = "model.keras", "model.skops"
OWNER = "run.json"


class RunError(UserError):
    """A run's folder is not what it should be."""


@dataclass(frozen=True)
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

    @classmethod
    def load(cls, folder: Path | str) -> "Run":
        """Raises: RunError where the folder holds no finished run."""
        folder = Path(folder)
        if not model_file(folder):
            raise RunError(
                f"{folder} holds no finished run (no {NETWORK}, no {PIPELINES}). Finish its training, or name another folder."
            )
        try:
            about = json.loads((folder / "history.json").read_text())
            recipe = Recipe.from_json((folder / "recipe.json").read_text())
            split = Split.from_dict(json.loads((folder / "split.json").read_text()))
        except (OSError, ValueError) as error:
            raise RunError(f"{folder} is damaged: {error}. Train it again.") from error
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

    def model(self):
        """The whole model: {"waveform": (batch, samples), "length": (batch,)} -> {task: (batch, classes)}.

        A keras.Model, or the `Estimators` of a baseline.
        """
        if self.kind == "pipelines":
            from keras_ser.training.estimators import load_estimators

            return load_estimators(self.folder / PIPELINES, self.recipe)
        import keras

        # these register the layers that the file names
        import keras_ser.features
        import keras_ser.layers
        import keras_ser.models.cascade  # noqa: F401

        file = self.folder / NETWORK
        if not zipfile.is_zipfile(file):
            raise RunError(f"{file} is damaged: it is no Keras file. Train the run again.")
        model = keras.saving.load_model(file, compile=False)
        # XLA would compile anew for every length of a batch
        model.jit_compile = False
        return model


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
    out.mkdir(parents=True, exist_ok=True)
    owner, about = out / OWNER, _about(recipe, split, seed, data)
    if owner.exists():
        check_owner(out, recipe, split, seed, data)
    elif any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(f"{out} is not empty and holds no run. Give another --out.")
    # the owner first: a folder with anything in it and no owner is refused
    write_json(owner, about)
    write_text(out / "recipe.json", recipe.to_json())
    split.write(out / "split.json")
    remove_parts(out, older=0)  # a run is trained by one process at a time


def check_free(folder: Path, owner: str, about: dict[str, Any], kind: str) -> None:
    """Make a folder, or refuse one that holds something else.

    Args:
        folder: made if missing.
        owner: the file that says what the folder holds.
        about: what is to go on in it: the same as there, as far as the keys go.
        kind: "experiment", "search", .., for the message.

    Raises:
        RunError: another one, or something that is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / owner
    if not path.exists():
        if any(not held.name.startswith(".") for held in folder.iterdir()):
            raise RunError(f"{folder} is not empty and holds no {kind}. Give another --out.")
        return
    try:
        found = json.loads(path.read_text())
        other = [key for key in about if found.get(key) != about[key]]
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{folder} does not say which {kind} it holds ({error}). Remove that folder.") from error
    if other:
        raise RunError(
            f"{folder} holds another {kind} (other {', '.join(other)}). Give another --out, or remove that folder."
        )


def check_owner(out: Path, recipe: Recipe, split: Split, seed: int, data: str = "") -> None:
    """Refuse a folder that holds another run.

    Args:
        out, recipe, split, seed, data: see `claim`.

    Raises:
        RunError: recipe, split, seed or data are others than those that the run was made of, or nothing says what it was made of.
    """
    try:
        found = json.loads((out / OWNER).read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{out} does not say which run it holds ({error}). Remove that folder.") from error
    about = _about(recipe, split, seed, data)
    other = ["recipe" if key == "hash" else key for key in about if found.get(key) != about[key]]
    if other:
        raise RunError(
            f"{out} holds another run (other {', '.join(other)}). Give another --out, or remove that folder."
        )


def _about(recipe: Recipe, split: Split, seed: int, data: str) -> dict[str, Any]:
    return json.loads(json.dumps({"hash": recipe.hash, "split": split.to_dict(), "seed": seed, "data": data}))
