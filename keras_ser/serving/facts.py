"""Read an export's metadata (assets/keras_ser.json) without TensorFlow."""

import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_ser._version import __version__
from keras_ser.errors import UserError

FACTS = Path("assets") / "keras_ser.json"
FORMAT = 1
NEEDED = {"name": str, "sample_rate": int, "max_seconds": int | float, "tasks": list, "recipe": dict, "run": dict}


class ExportError(UserError):
    """Raised if an export is refused; nothing of it is left on disk."""


class ExportVersionWarning(UserWarning):
    """Issued if another version of the package wrote the export."""


def centre_seconds(seconds: Iterable[float]) -> float:
    """Return the duration to which several models together crop a clip: the shortest; 0 if none of them crops."""
    return min((each for each in seconds if each), default=0.0)


def find_export(path: str | os.PathLike) -> Path | None:
    """Find an export: `path` itself, or the newest version below it. None if neither is an export."""
    path = Path(path)
    if (path / FACTS).exists():
        return path
    versions = [p for p in path.iterdir() if p.name.isdigit() and (p / FACTS).exists()] if path.is_dir() else []
    return max(versions, key=lambda p: int(p.name), default=None)


def read_facts(folder: str | os.PathLike) -> dict[str, Any]:
    """Read an export's assets/keras_ser.json. Warn if another version of the package wrote it.

    Raises UserError where the folder holds no export, or one of another format.
    """
    folder = Path(folder)
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or not {"format", "keras_ser"} <= set(facts):
            raise UserError("it lacks 'format' or 'keras_ser'")
    except (OSError, ValueError) as error:  # ValueError: not JSON, or not text
        raise UserError(f"expected an export of keras-ser (with {FACTS}). Received: {folder} ({error}).") from error
    if facts.get("format") != FORMAT:
        raise UserError(
            f"{folder} is an export of format {facts.get('format')}, made by keras_ser {facts.get('keras_ser')}; this is "
            f"{__version__}, which reads format {FORMAT}. Export the run again, or install that version."
        )
    lacking = [name for name, kind in NEEDED.items() if not isinstance(facts.get(name), kind)]
    inside = (("recipe", "corpus"), ("recipe", "frontend"), ("run", "protocol"))
    lacking += [f"{outer}.{name}" for outer, name in inside if outer not in lacking and name not in facts[outer]]
    if lacking:
        raise UserError(f"{folder / FACTS} is damaged: it lacks {', '.join(lacking)}. Export the run again.")
    if facts["keras_ser"] != __version__:
        warnings.warn(
            f"{folder} was exported by keras_ser {facts['keras_ser']}, and this is {__version__}: its answers are unchanged, "
            "but those of a newly trained run may differ.",
            ExportVersionWarning,
            stacklevel=2,
        )
    return facts
