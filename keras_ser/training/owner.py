"""The folder of a run or an experiment: who may write into it."""

import json
from pathlib import Path
from typing import Any

from keras_ser.errors import RunError
from keras_ser.files import remove_parts, write_json, write_text
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.training.provenance import pretrained_digest
from keras_ser.training.run import as_object, stored
from keras_ser.values import plain, read_json

OWNER = "run.json"
PRETRAINED = "pretrained"  # in it: digest of the weights that a run begins with


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
