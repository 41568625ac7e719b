"""What an export says of itself, read without TensorFlow."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

from keras_ser._version import __version__
from keras_ser.errors import UserError

FACTS = Path("assets") / "keras_ser.json"
FORMAT = 1


class ExportError(UserError):
    """An export that failed its own check; nothing of it is left."""


class ExportVersionWarning(UserWarning):
    """The export was made by another version of the package."""


def find_export(path: str | os.PathLike) -> Path | None:
    """The folder of an export: `path` itself, or the newest version below it; None where neither is one."""
    path = Path(path)
    if (path / FACTS).exists():
        return path
    versions = [p for p in path.iterdir() if p.name.isdigit() and (p / FACTS).exists()] if path.is_dir() else []
    return max(versions, key=lambda p: int(p.name), default=None)


def read_facts(folder: str | os.PathLike) -> dict[str, Any]:
    """The export's assets/keras_ser.json; warns where another version of the package wrote it.

    Raises:
        ValueError: no export, or one of a format that is newer than this package.
    """
    folder = Path(folder)
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or not {"format", "keras_ser"} <= set(facts):
            raise UserError("the file is of something else")
    except (OSError, ValueError) as error:  # also what is no JSON, or no text
        raise UserError(f"expected an export of keras-ser (with {FACTS}). Received: {folder} ({error}).") from error
    if facts.get("format") != FORMAT:
        raise UserError(
            f"{folder} is an export of format {facts.get('format')}, made by keras_ser {facts.get('keras_ser')}; this is "
            f"{__version__}, which reads format {FORMAT}. Export the run again, or install that version."
        )
    if facts["keras_ser"] != __version__:
        warnings.warn(
            f"{folder} was exported by keras_ser {facts['keras_ser']}, and this is {__version__}: its answers are its own, "
            "but a run trained anew may differ.",
            ExportVersionWarning,
            stacklevel=2,
        )
    return facts
