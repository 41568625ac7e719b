"""List the experiments in a folder from their files, without TensorFlow or a corpus."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.errors import UserError
from keras_ser.evaluation.learning import stored_verdicts
from keras_ser.evaluation.tables import Cell, form_of
from keras_ser.experiment.stored import EXPERIMENT, PREDICTIONS, read_or_refuse, stored_facts, stored_recipe
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol
from keras_ser.training.run import model_file


@dataclass(frozen=True)
class Listed:
    """One experiment.

    Args:
        folder: folder of the experiment.
        recipe, corpus: names of its recipe and corpus.
        root: stored location of the corpus.
        finished: number of runs trained and tested; runs: total number (None = it depends on the corpus).
        reported: number of runs in the report (None = it does not say); if it is not `finished`, the report is old.
        final: number of models trained on all clips.
        metric, score, protocol: those of the main task in the report, under its last protocol; `score` is None without a report.
        verdict: whether the runs of that protocol have learned; "" if the report does not say.
        date: time when a run or the report was last written.
        fault: why its files cannot be read; "" if they can.
    """

    folder: Path
    recipe: str = ""
    corpus: str = ""
    root: str = ""
    finished: int = 0
    runs: int | None = None
    reported: int | None = None
    final: int = 0
    metric: str = ""
    score: Cell | None = None
    protocol: str = ""
    verdict: str = ""
    date: datetime.datetime | None = None
    fault: str = ""

    @property
    def old(self) -> str:
        """A sentence on a report that lacks finished runs, with the way out; "" if it has them all."""
        if self.reported in (None, self.finished):
            return ""
        way = f"Update it: keras-ser evaluate {self.folder}"
        return f"{self.folder}: its report, and so its score, covers {self.reported} of {self.finished} finished runs. {way}"


def experiments(folder: Path) -> list[Listed]:
    """Return the experiments in a folder, newest first.

    Raises:
        UserError: the folder does not exist.
    """
    if not folder.is_dir():
        raise UserError(
            f"expected a folder of experiments. Received: {folder}, which is not a folder. Give it: keras-ser list DIR."
        )
    found = [path.parent for path in sorted(folder.glob(f"*/{EXPERIMENT}"))]
    if (folder / EXPERIMENT).exists():
        found.append(folder)
    return sorted(map(listed_experiment, found), key=lambda each: each.date or datetime.datetime.min, reverse=True)


def listed_experiment(folder: Path) -> Listed:
    """Return one experiment."""
    written = [*folder.glob(f"*/fold-*/{PREDICTIONS}"), *folder.glob("report.json"), folder / EXPERIMENT]
    date = datetime.datetime.fromtimestamp(max(path.stat().st_mtime for path in written))
    try:
        recipe, facts = stored_recipe(folder), stored_facts(folder)
        runs, reported, (metric, score, protocol), verdict = _of_report(folder / "report.json", recipe)
    except UserError as error:
        return Listed(folder, date=date, fault=" ".join(str(error).split()))
    return Listed(
        folder,
        recipe.name,
        recipe.corpus,
        facts.get("root", ""),
        len(list(folder.glob(f"*/fold-*/{PREDICTIONS}"))),
        runs,
        reported,
        sum(model_file(path) is not None for path in folder.glob("final/seed-*")),
        metric,
        score,
        protocol,
        verdict,
        date,
    )


def _of_report(path: Path, recipe: Recipe) -> tuple[int | None, int | None, tuple[str, Cell | None, str], str]:
    """Return the total number of runs, and from the report, if there is one, their number there, the score and the verdict."""

    def read() -> tuple[int | None, int | None, tuple[str, Cell | None, str], str]:
        report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found = _score(recipe, report)
        reported = len(report["learned"]) if "learned" in report else None
        return _runs(recipe, report), reported, found, stored_verdicts(report, found[-1])

    return read_or_refuse(path, read, f"Recreate it: keras-ser evaluate {path.parent}")


def _runs(recipe: Recipe, report: dict[str, Any]) -> int | None:
    """Return the number of runs of a recipe; None if it depends on the corpus."""
    folds = []
    for protocol in recipe.protocols:
        said = report.get("protocols", {}).get(protocol.name, {}).get("folds")
        folds.append(len(said) if isinstance(said, list) else _folds(protocol))
    return None if None in folds else sum(folds) * len(recipe.seeds)


def _folds(protocol: Protocol) -> int | None:
    if protocol.kind in ("k-fold", "stratified-k-fold"):
        return protocol.folds
    return {"leave-one-out": None, "stated": len(protocol.stated)}.get(protocol.kind, 1)


def _score(recipe: Recipe, report: dict[str, Any]) -> tuple[str, Cell | None, str]:
    """Return metric, score and protocol of the main task in a report, under the last protocol with a score."""
    main = recipe.tasks[0]
    metric = "ccc" if main.continuous else "uar"
    for result in reversed(report.get("results", [])):
        if result.get("task") == main.name:
            for each in result.get("scores", []):
                if each.get("metric") == metric and each.get("value") is not None:
                    low, high = each.get("low"), each.get("high")
                    numbers = [None if n is None else float(n) for n in (each["value"], low, high)]
                    return metric, Cell(*numbers, form=form_of(metric)), str(result.get("protocol", ""))
    return metric, None, ""
