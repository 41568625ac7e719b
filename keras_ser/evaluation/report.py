"""The report of a run: scores with intervals for every protocol and task, as a value, a table, and files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_ser.errors import UnknownKeyError, UserError
from keras_ser.evaluation import markdown, plots
from keras_ser.evaluation.intervals import LEVEL
from keras_ser.evaluation.measures import choose_stream, metric_names
from keras_ser.evaluation.predictions import check_predictions, write_predictions
from keras_ser.evaluation.scores import MANY_CLASSES, Score, Subset, TaskScores, score
from keras_ser.files import write_figure, write_json, write_text
from keras_ser.tasks import Task

Run = tuple[str, int, int]  # protocol, fold, seed


@dataclass(frozen=True)
class Report:
    """What was measured, and the predictions from which every figure of it can be computed again.

    Args:
        title: the report's heading.
        results: one a protocol and task.
        protocols: name -> {"description", "speaker_dependent", ..}.
        notes: sentences for the reader.
        tables: name -> rows (each a mapping), printed as they are.
        predictions: the predictions table.
        histories: (protocol, fold, seed) -> history of the training.
        missing: sentences on the runs that the report lacks, shown first.
    """

    title: str
    results: tuple[TaskScores, ...]
    protocols: dict[str, dict[str, Any]]
    notes: tuple[str, ...]
    tables: dict[str, tuple[dict[str, Any], ...]]
    predictions: pd.DataFrame = field(repr=False, compare=False)
    histories: dict[Run, pd.DataFrame] = field(repr=False, compare=False, default_factory=dict)
    missing: tuple[str, ...] = ()

    def result(self, protocol: str, task: str) -> TaskScores:
        """The scores of one task under one protocol.

        Raises:
            KeyError: neither was scored.
        """
        for result in self.results:
            if (result.protocol, result.task) == (protocol, task):
                return result
        there = ", ".join(f"({r.protocol}, {r.task})" for r in self.results)
        raise UnknownKeyError(f"expected a scored protocol and task: {there}. Received: ({protocol}, {task}).")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON: NaN and infinity become None."""
        return _strict(
            {
                "title": self.title,
                "missing": self.missing,
                "protocols": self.protocols,
                "intervals": {"kind": "t, jackknife over groups, of the mean over seeds", "level": LEVEL},
                "results": [_result(r) for r in self.results],
                "tables": self.tables,
                "notes": self.notes,
            }
        )

    def lines(self) -> list[str]:
        """A short table for the terminal."""
        return markdown.terminal(self)

    def to_markdown(self, pictures: Sequence[tuple[str, str]] = ()) -> str:
        """The report as Markdown; `pictures` are (file, caption)."""
        return markdown.render(self, pictures)

    def figures(self) -> list[tuple[str, str, Any]]:
        """The pictures: (file name, caption, Matplotlib figure)."""
        found, taken = [], set()

        def add(kind: str, parts: Sequence[str], caption: str, figure: Any) -> None:
            stem = "-".join([kind, *(re.sub(r"[^A-Za-z0-9._]+", "_", p).strip("._") for p in parts)])
            name, copies = f"{stem}.png", 1
            while name.lower() in taken:
                copies += 1
                name = f"{stem}-{copies}.png"
            taken.add(name.lower())
            found.append((name, caption, figure))

        for protocol in self.protocols:
            mine = [r for r in self.results if r.protocol == protocol]
            if mine:
                add("scores", [protocol], f"Scores with 95 % intervals, {protocol}", plots.scores(mine))
            for result in mine:
                if 0 < len(result.labels) <= MANY_CLASSES:
                    caption = f"Confusion of {result.task}, {protocol}"
                    add("confusion", [protocol, result.task], caption, plots.confusion(result))
            runs = {
                f"fold {f}, seed {s}": h
                for (p, f, s), h in sorted(self.histories.items(), key=lambda item: item[0])
                if p == protocol
            }
            if runs:
                add("curves", [protocol], f"Learning curves, {protocol}", plots.curves(runs, protocol))
        return found

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write predictions.csv, report.json, report.md and the pictures; the folder is made if it is not there.

        Returns:
            The folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_predictions(self.predictions, folder / "predictions.csv")
        write_json(folder / "report.json", self.to_dict())
        pictures = []
        for name, caption, figure in self.figures():
            write_figure(folder / name, figure)
            pictures.append((name, caption))
        write_text(folder / "report.md", self.to_markdown(pictures))
        return folder


def report(
    predictions: pd.DataFrame,
    tasks: Sequence[Task],
    *,
    title: str,
    paper: Mapping[Any, Any] | None = None,
    protocols: Mapping[str, Mapping[str, Any]] | None = None,
    notes: Iterable[str] = (),
    tables: Mapping[str, Any] | None = None,
    histories: Mapping[Run | tuple[int, int], pd.DataFrame] | None = None,
    stream: Mapping[str, str] | None = None,
    missing: Iterable[str] = (),
    deterministic: bool = False,
) -> Report:
    """Score a predictions table.

    Args:
        predictions: the table (`predictions.py` says what it holds).
        tasks: what is scored; a task without any true label is left out, and a note says so. Without tasks the report has
            notes, tables and curves alone.
        title: the report's heading.
        paper: a paper's figures, {(task, metric): value} for every protocol or {protocol: {(task, metric): value}};
            fractions, as the scores are: 0.9013, not 90.13.
        protocols: name -> {"description": str, "speaker_dependent": bool, "folds": number or list of folds that a
            complete seed has, ..}. The report follows their order; one that has no predictions is noted.
        notes: sentences for the reader.
        tables: further tables, name -> a mapping of figures, a mapping of rows, a list of rows, or a DataFrame,
            e.g. {"adversary": {"accuracy": 0.52, "prior": 0.5}}.
        histories: (protocol, fold, seed) -> history with a column `epoch`; (fold, seed) if there is one protocol.
        stream: task -> the stream that it is scored on; default: the first row's that has a label of the task.
        missing: sentences on the runs that the predictions lack, shown first.
        deterministic: another seed would give the same model, see `score`.

    Raises:
        ValueError: a bad table, an unknown task, metric or stream, or a paper's figure in percent.
    """
    frame = check_predictions(predictions, tasks)
    protocols = {name: dict(facts) for name, facts in (protocols or {}).items()}
    notes = list(notes)
    known = set(frame["protocol"])
    notes += [f"Protocol {name} has no predictions." for name in protocols if name not in known]
    protocols |= {name: {} for name in sorted(known - set(protocols))}
    unknown = set(stream or ()) - {t.name for t in tasks}
    if unknown:
        raise UserError(f"`stream` must name tasks of the report. Received: {', '.join(sorted(unknown))}.")
    figures = paper_by_protocol(paper or {}, tasks, protocols)
    results = []
    for protocol in protocols:
        if protocol not in known:
            continue
        folds = protocols[protocol].get("folds")
        folds = range(folds) if isinstance(folds, int | np.integer) else folds
        for task in tasks:
            own = choose_stream(frame, task, stream)
            result = own and score(
                frame,
                task,
                protocol,
                stream=own,
                folds=folds,
                paper=figures[protocol].get(task.name),
                deterministic=deterministic,
                checked=True,
            )
            if result:
                results.append(result)
            else:
                notes.append(f"No clip has a label of {task.name} under protocol {protocol}: not scored.")
    return Report(
        title=title,
        results=tuple(results),
        protocols=protocols,
        notes=tuple(notes),
        tables={name: _rows(table) for name, table in (tables or {}).items()},
        predictions=frame,
        histories=_runs(histories or {}, list(protocols)),
        missing=tuple(missing),
    )


def paper_by_protocol(
    paper: Mapping[Any, Any], tasks: Sequence[Task], protocols: Iterable[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Either form of `paper` -> protocol -> task -> metric -> value."""
    by_protocol = {name: {} for name in protocols}
    metrics = {t.name: metric_names(t) for t in tasks}
    flat = {key: value for key, value in paper.items() if not isinstance(key, str)}
    nested = {key: value for key, value in paper.items() if isinstance(key, str)}
    strange = sorted(set(nested) - set(by_protocol))
    if strange:
        raise UserError(f"`paper` must name protocols among {', '.join(by_protocol)}. Received: {', '.join(strange)}.")
    for protocol, found in by_protocol.items():
        for (task, metric), value in {**flat, **nested.get(protocol, {})}.items():
            if metric not in metrics.get(task, ()):
                there = "; ".join(f"{t}: {', '.join(names)}" for t, names in metrics.items())
                raise UserError(f"`paper` must name a task and its metric ({there}). Received: ({task}, {metric}).")
            if metric != "rmse" and not -1 <= value <= 1:
                raise UserError(
                    f"a paper's figure is a fraction, as the measured one is. Received: {task} {metric} {value}; "
                    f"if that is percent, write {value / 100:g}."
                )
            found.setdefault(task, {})[metric] = float(value)
    return by_protocol


def _rows(table: Any) -> tuple[dict[str, Any], ...]:
    """A further table, in any of its forms -> rows."""
    if isinstance(table, pd.DataFrame):
        return tuple(table.to_dict("records"))
    if isinstance(table, Mapping):
        if table and all(isinstance(v, Mapping) for v in table.values()):
            return tuple({"": key, **row} for key, row in table.items())
        return (dict(table),)
    return tuple(dict(row) for row in table)


def _runs(histories: Mapping[Any, pd.DataFrame], protocols: list[str]) -> dict[Run, pd.DataFrame]:
    runs = {}
    for key, history in histories.items():
        full = (protocols[0], *key) if len(key) == 2 and len(protocols) == 1 else tuple(key)
        if len(full) != 3 or full[0] not in protocols:
            raise UserError(
                f"a history's key is (protocol, fold, seed) with a protocol of the report. Received: {key}."
            )
        if "epoch" not in history.columns:
            raise UserError(f"a history needs the column 'epoch'. Received at {key}: {', '.join(history.columns)}.")
        runs[full] = history
    return runs


def _score(item: Score) -> dict[str, Any]:
    spread = {"std": item.std, "min": item.minimum, "max": item.maximum}
    return {**asdict(item), **spread}


def _subset(item: Subset) -> dict[str, Any]:
    return {**asdict(item), "scores": [_score(s) for s in item.scores]}


def _result(result: TaskScores) -> dict[str, Any]:
    plain = asdict(result)
    plain["incomplete"] = {s: {"folds": f, "clips": n} for s, (f, n) in result.incomplete.items()}
    for name in ("scores", "ensemble"):
        plain[name] = [_score(s) for s in getattr(result, name)]
    for name in ("by_gender", "by_speaker"):
        plain[name] = [_subset(s) for s in getattr(result, name)]
    return plain


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _strict(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _strict(value.tolist())
    if isinstance(value, list | tuple | set | frozenset | range):
        return [_strict(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
