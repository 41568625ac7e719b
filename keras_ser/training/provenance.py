"""Provenance of a run: command, versions, commit and date, and the pretrained weights that it began with."""

import functools
import hashlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from keras_ser._version import __version__
from keras_ser.files import write_json
from keras_ser.models import model_module
from keras_ser.recipe import Recipe
from keras_ser.values import read_json

MADE = "made.json"
COMMAND = "KERAS_SER_COMMAND"  # environment variable of a worker: the command line of the process that started it
THEN = ", then "  # between the commits of a resumed training
PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn")


def begin(folder: Path, resumed: bool) -> dict[str, str]:
    """Write {"commit"} of a training that begins to made.json and return it; if it is `resumed`, after the earlier commits."""
    earlier, commits = stored_made(folder / MADE).get("commit", "") if resumed else "", commit()
    if earlier:
        commits = earlier if earlier.split(THEN)[-1] == commits else f"{earlier}{THEN}{commits}"
    write_json(folder / MADE, {"commit": commits})
    return {"commit": commits}


def made_by(recipe: Recipe | None = None) -> dict[str, Any]:
    """Return {"command", "versions", "commit", "date"}, and "pretrained", the recipe's weight files with their SHA-256.

    Absolute paths in the command are shortened to their last part, since reports are shared.
    """
    versions = {"keras_ser": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    weights = ", ".join(f"{file.name} {digest[:12]}" for file, digest in _pretrained(recipe)) if recipe else ""
    made = {"command": command(command_line()), "versions": versions, "commit": commit(), "date": date}
    return made | ({"pretrained": weights} if weights else {})


def stored_made(file: Path) -> dict[str, Any]:
    """Return the contents of made.json; {} if it is absent or damaged, since it is not essential to a run."""
    try:
        found = read_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def command_line() -> list[str]:
    """Return the command line of this process, or of the process that started it as a worker."""
    asked = os.environ.get(COMMAND)
    return shlex.split(asked) if asked else sys.argv


def command(arguments: list[str]) -> str:
    """Format a command line for a report."""
    program, *options = arguments or [""]
    return shlex.join([Path(program).name, *map(_shortened, options)])


def _shortened(option: str) -> str:
    key, equals, value = option.rpartition("=")
    return f"{key}{equals}../{Path(value).name}" if Path(value).is_absolute() else option


@functools.cache
def commit() -> str:
    """Return the commit of this code, with a remark on changes, "" outside a git checkout.

    It is asked once in a process, by `fit` before the first training: the checkout may change while a run is trained.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        ask = ["git", "-C", str(root)]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 10, "check": True}
        found = subprocess.run([*ask, "rev-parse", "--short=10", "HEAD"], **options).stdout.strip()
        changed = subprocess.run([*ask, "status", "--porcelain", "--untracked-files=no"], **options).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return found + (" with changes" if changed else "")


def pretrained_digest(recipe: Recipe) -> str:
    """Return the digest of the content of a recipe's pretrained weights; "" if it has none, or a file is not there any more."""
    found = [digest for _, digest in _pretrained(recipe)]
    return hashlib.sha256("".join(found).encode()).hexdigest()[:12] if found else ""


def _pretrained(recipe: Recipe) -> list[tuple[Path, str]]:
    """Return the files of a recipe's pretrained weights, each with its SHA-256; [] if one is not there any more."""
    files = getattr(model_module(recipe.model), "weight_files", lambda config: [])(recipe.config)
    try:
        return [(file, _content(file, file.stat().st_size, file.stat().st_mtime_ns)) for file in files]
    except OSError:
        return []


@functools.lru_cache(maxsize=16)
def _content(file: Path, size: int, time: int) -> str:
    """Return the SHA-256 of a file, read again only if its size or time has changed."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
