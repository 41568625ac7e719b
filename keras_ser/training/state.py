"""state.npz, from which training resumes: all variables of a network and its optimizers, best weights, history."""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.checks import listed
from keras_ser.errors import RunError
from keras_ser.files import write_whole


def optimizers(network) -> dict[str, Any]:
    """Return the optimizers of a model by the names of their attributes; "optimizer" is the compiled one.

    The search covers attributes, lists, tuples and dicts in them ("players/0"), and nested models.

    Raises:
        ValueError: an optimizer is not built, so that its state could not be restored.
    """
    found: dict[str, Any] = {}
    for name, each in _optimizers("", network, set()):
        if not each.built:
            raise ValueError(
                f"the optimizer {name!r} of the network must be built before training, so that its state can be restored: call "
                "its `build` with the variables that it trains."
            )
        found[name] = each
    return found


def _optimizers(name: str, value: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    import keras

    if id(value) in seen:
        return
    inside: Mapping[Any, Any] = {}
    if isinstance(value, keras.optimizers.Optimizer):
        yield name, value
    elif isinstance(value, keras.Model):
        # Keras's own private attributes list the same objects again
        own = {k: v for k, v in vars(value).items() if k[0] != "_" or isinstance(v, keras.optimizers.Optimizer)}
        inside = own | {layer.name: layer for layer in value.layers if isinstance(layer, keras.Model)}
    elif isinstance(value, dict):
        inside = value
    elif isinstance(value, list | tuple):
        inside = dict(enumerate(value))
    else:
        return
    seen.add(id(value))
    for key, each in inside.items():
        yield from _optimizers(f"{name}/{key}" if name else str(key), each, seen)


def members(network) -> list:
    """Return the variables of a network, except frozen ones (`keras_ser.models.paper.Network.frozen`)."""
    frozen = {id(variable) for variable in getattr(network, "frozen", ())}
    return [variable for variable in network.variables if id(variable) not in frozen]


def variables(network) -> dict[str, Any]:
    """Return all variables of a network and its optimizers, by names that are the same in every process."""
    groups = {"network": members(network), **{name: each.variables for name, each in optimizers(network).items()}}
    # Keras appends numbers to names that depend on what the process has created before
    return {
        f"{group}/{i}/{re.sub(r'_[0-9]+(?=[_/]|$)', '', variable.path)}": variable
        for group, members in groups.items()
        for i, variable in enumerate(members)
    }


def values(some: Sequence) -> list[np.ndarray]:
    """Convert variables to arrays."""
    from keras import ops

    return [np.array(ops.convert_to_numpy(v)) for v in some]


def save(path: Path, network, rows: list[dict], best: Mapping[str, Any]) -> None:
    """Write the state atomically: variables, rows of the history, and "value", "epoch" and "weights" of the best epoch."""
    named = variables(network)
    arrays = {f"variable_{i}": value for i, value in enumerate(values(list(named.values())))}
    arrays |= {f"best_{i}": value for i, value in enumerate(best["weights"])}
    meta = {"rows": rows, "best": {"value": best["value"], "epoch": best["epoch"]}, "names": list(named)}

    def write(temporary: Path) -> None:
        # like np.savez, but closes the archive on a full disk, so that its destructor prints no traceback
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, value in {"meta": json.dumps(meta), **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(value), allow_pickle=False)

    write_whole(path, write)


def restore(path: Path, network) -> tuple[list[dict], dict | None]:
    """Restore a saved state into a network and its optimizers.

    Returns:
        rows and best, as passed to `save`; [] and None if there is no file.

    Raises:
        RunError: the file is damaged, or names or shapes differ from those of the network.
    """
    named = variables(network)
    if not path.exists():
        return [], None
    try:
        with open(path, "rb") as file, np.load(file) as saved:
            meta = json.loads(str(saved["meta"]))
            stored = [saved[f"variable_{i}"] for i in range(sum(name.startswith("variable_") for name in saved.files))]
            weights = [saved[f"best_{i}"] for i in range(sum(name.startswith("best_") for name in saved.files))]
            rows, best = list(meta["rows"]), {**meta["best"], "weights": weights}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{path} is damaged: {cause}. Remove it to train from the start.") from error
    # states of earlier versions have no names: the network's variables are followed by those of its only optimizer
    names = meta.get("names") or list(named)[: len(stored)]
    other = _difference(dict(zip(names, stored, strict=False)), named)
    if other or len(names) != len(stored) or len(weights) != len(members(network)):
        raise RunError(
            f"{path} was written by another network{other}. Give another --out, or remove it to train from the start."
        )
    for name, value in zip(names, stored, strict=True):
        named[name].assign(value)
    return rows, best


def _difference(stored: Mapping[str, np.ndarray], named: Mapping[str, Any]) -> str:
    """Describe the first variable that a state lacks, has in excess, or has in another shape; "" if there is none."""
    parts = []
    for what, names in (
        ("it lacks", [name for name in named if name not in stored]),
        ("it has", [name for name in stored if name not in named]),
    ):
        if names:
            parts.append(f"{what} {listed(names, 1)}")
    for name, value in stored.items():
        if name in named and value.shape != tuple(named[name].shape):
            parts.append(f"{name} has shape {value.shape} instead of {tuple(named[name].shape)}")
            break
    return f" ({', '.join(parts)})" if parts else ""
