"""`train --final`: train one model on all clips after cross-validation."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ser.cli.progress import Progress
from keras_ser.cli.recipes import own_root
from keras_ser.cli.training import OUT

FINAL = "final"


def as_before(folder: Path, options: argparse.Namespace) -> None:
    """Fill in options missing from the command from an experiment's folder: its output folder and how its corpus was read."""
    from keras_ser.experiment.stored import EXPERIMENT, stored_facts, stored_recipe

    if not (folder / EXPERIMENT).is_file():
        return
    options.experiment = folder = folder.resolve()
    if options.out == OUT:
        options.out = str(folder.parent)
    corpus, facts = stored_recipe(folder).corpus, stored_facts(folder)
    options.noise_root = options.noise_root or facts.get("noise_root")
    if options.corpus in (None, corpus):
        by = facts.get("options", {})
        options.corpus_root = own_root(options, corpus) or facts.get("root")
        options.columns = options.columns or ([json.dumps(by["columns"])] if "columns" in by else [])
        options.audio_root = options.audio_root or by.get("audio_root")
        options.metadata = options.metadata or by.get("metadata")


def train_on_all(
    recipe: Any, data: Any, folder: Path, into: Path | None, given: Mapping[str, Any], progress: Progress
) -> int:
    """Train one model on all clips; see `keras_ser.experiment.final.train_final`."""
    from keras_ser.experiment.final import train_final
    from keras_ser.models import is_baseline

    options = {name: given[name] for name in ("strategy", "initial", "on_epoch")}
    options["on_job"] = lambda number, total, what: progress.say(f"[{number}/{total}] {what}")
    folders = train_final(recipe, data, folder, into, **options)
    for folder in folders:
        print((folder / "final.md").read_text(encoding="utf-8").strip(), end="\n\n")
        print(f"model: {folder}")
    verb = f"predict {folders[0]} FILES" if is_baseline(recipe) else f"export {' '.join(map(str, folders))}"
    print(f"next: keras-ser {verb}")
    return 0
