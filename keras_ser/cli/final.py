"""`train --final`: one model on all clips, after the cross-validation."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def as_before(folder: Path, options: argparse.Namespace) -> None:
    """Read the corpus of an experiment's folder from where it lay, unless the command says otherwise; train into that folder."""
    from keras_ser.experiment.stored import EXPERIMENT, stored_facts

    if not (folder / EXPERIMENT).is_file():
        return
    facts, options.out = stored_facts(folder), str(folder.resolve().parent)
    if not (options.corpus_root or options.corpus_roots):
        options.corpus_root = facts.get("root")
        by = facts.get("options", {})
        options.columns = options.columns or ([json.dumps(by["columns"])] if "columns" in by else [])
        options.audio_root, options.metadata = by.get("audio_root"), by.get("metadata")


def train_on_all(recipe: Any, data: Any, out: str, given: Mapping[str, Any], progress) -> int:
    """Train one model on all clips."""
    from keras_ser.experiment.final import train_final
    from keras_ser.models import is_baseline

    options = {name: given[name] for name in ("strategy", "initial", "on_epoch")}
    options["on_job"] = lambda number, total, what: progress.say(f"[{number}/{total}] {what}")
    folders = train_final(recipe, data, out, **options)
    for folder in folders:
        print((folder / "final.md").read_text(encoding="utf-8").strip(), end="\n\n")
        print(f"model: {folder}")
    verb = f"predict {folders[0]} FILES" if is_baseline(recipe) else f"export {' '.join(map(str, folders))}"
    print(f"next: keras-ser {verb}")
    return 0
