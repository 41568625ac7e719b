"""The report of a run or an experiment: every protocol and task with its scores, intervals, confusion and subsets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.group_sums import metric_names
from keras_ser.evaluation.intervals import FEW_GROUPS, LEVEL
from keras_ser.evaluation.learning import Learning, faults, learning_table, verdicts
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.evaluation.scores import MANY_CLASSES, Score, Subset, TaskScores, score
from keras_ser.evaluation.tables import PERCENT, Cell, Table, metric_title
from keras_ser.reports import curves, pictures
from keras_ser.reports.report import Picture, Report
from keras_ser.tasks import Task

Run = tuple[str, int, int]  # protocol, fold, seed
HEADER = ("metric", "measured", "95 % interval", "seeds mean ± std", "paper")
SUMMARY = ("uar", "accuracy", "ccc", "rmse")  # what the terminal shows

AGAIN = "`keras_ser.reports.score_report(table, tasks, title=...)` gives the whole report again, intervals included."
RECOMPUTE = """Every figure above follows from `predictions.csv` alone:

```python
from sklearn.metrics import recall_score
from keras_ser.evaluation import read_predictions

table = read_predictions("predictions.csv")
rows = table[(table.protocol == {protocol!r}) & (table.stream == {stream!r}) & (table[{task!r}] != "")]
for seed, part in rows.groupby("seed"):  # UAR of each seed, all folds pooled
    print(seed, recall_score(part[{task!r}], part[{prediction!r}], average="macro", labels=part[{task!r}].unique()))
```

{again} Incomplete
seeds, where there are any, are named above and left out. "paper" is what the paper
prints: it is not measured here."""


def score_report(
    predictions: pd.DataFrame,
    tasks: Sequence[Task],
    *,
    title: str,
    paper: Mapping[tuple[str, str], float] | None = None,
    protocols: Mapping[str, Mapping[str, Any]] | None = None,
    notes: Iterable[str] = (),
    tables: Mapping[str, Any] | None = None,
    histories: Mapping[Run, pd.DataFrame] | None = None,
    missing: Iterable[str] = (),
    deterministic: bool = False,
    learned: Sequence[Learning] = (),
) -> Report:
    """Score a predictions table.

    Args:
        predictions: the table (`keras_ser.evaluation.predictions` says what it holds).
        tasks: what is scored; a task without any true label is left out, and a note says so. Without tasks the report has
            notes, tables and curves alone.
        title: the report's heading.
        paper: a paper's figures, {(task, metric): value}; fractions, as the scores are: 0.9013, not 90.13.
        protocols: name -> {"description": str, "speaker_dependent": bool, "folds": number or list of folds that a
            complete seed has, ..}. The report follows their order; one that has no predictions is noted.
        notes: sentences for the reader.
        tables: further tables, name -> a mapping or a list of rows, e.g.
            {"discriminator": {"speakers": {"accuracy": 0.52, "prior": 0.5}}}.
        histories: (protocol, fold, seed) -> history with a column `epoch`.
        missing: sentences on the runs that the predictions lack, shown first.
        deterministic: another seed would give the same model, see `score`.
        learned: what each run has learned, shown before all scores.

    Raises:
        UserError: a bad table, an unknown task or metric, or a paper's figure in percent.
    """
    frame = check_predictions(predictions, tasks)
    protocols = {name: dict(facts) for name, facts in (protocols or {}).items()}
    notes = list(notes)
    known = set(frame["protocol"])
    notes += [f"Protocol {name} has no predictions." for name in protocols if name not in known]
    protocols |= {name: {} for name in sorted(known - set(protocols))}
    figures = paper_by_task(paper or {}, tasks)
    results = []
    for protocol in (name for name in protocols if name in known):
        folds = protocols[protocol].get("folds")
        folds = range(folds) if isinstance(folds, int | np.integer) else folds
        for task in tasks:
            options = {"folds": folds, "paper": figures[task.name], "deterministic": deterministic}
            result = score(frame, task, protocol, checked=True, **options)
            if result:
                results.append(result)
            else:
                notes.append(f"No clip has a label of {task.name} under protocol {protocol}: not scored.")
    extra = {
        name: [{"": key, **row} for key, row in rows.items()] if isinstance(rows, Mapping) else list(rows)
        for name, rows in (tables or {}).items()
    }
    missing = tuple(missing)
    untrained = faults({"": learned})
    notes = [*untrained, *notes]
    return Report(
        title=title,
        summary=[_summary(results, tasks)] if results else [],
        caution=" ".join(
            [*([f"{verdicts(learned)}."] if any(run.fault for run in learned) else []), _caution(results, protocols)]
        ).strip(),
        sections=[
            *([_training(learned, results)] if learned else []),
            *(part for name, facts in protocols.items() for part in _protocol(name, facts, results)),
            *(_table(name, rows) for name, rows in extra.items()),
            "## Reproducing these figures",
            _recompute(results),
        ],
        missing=missing,
        notes=tuple(notes),
        data={
            "missing": missing,
            "protocols": protocols,
            "intervals": {"kind": "t, jackknife over groups, of the mean over seeds", "level": LEVEL},
            "results": [_result(r) for r in results],
            "tables": extra,
            "learned": [asdict(run) for run in learned],
            "notes": notes,
        },
        figures=tuple(_figures(protocols, results, histories or {})),
        predictions=frame,
        results=tuple(results),
        csv="predictions.csv",
    )


def paper_by_task(paper: Mapping[tuple[str, str], float], tasks: Sequence[Task]) -> dict[str, dict[str, float]]:
    """Task -> metric -> a paper's figure; raises UserError for an unknown task or metric, and for a figure in percent."""
    found = {task.name: {} for task in tasks}
    metrics = {task.name: metric_names(task) for task in tasks}
    for (task, metric), value in paper.items():
        if metric not in metrics.get(task, ()):
            there = "; ".join(f"{t}: {', '.join(names)}" for t, names in metrics.items())
            raise UserError(f"`paper` must name a task and its metric ({there}). Received: ({task}, {metric}).")
        if metric != "rmse" and not -1 <= value <= 1:
            raise UserError(
                f"a paper's figure is a fraction, as the measured one is. Received: {task} {metric} {value}; "
                f"if that is percent, write {value / 100:g}."
            )
        found[task][metric] = float(value)
    return found


def _summary(results: Sequence[TaskScores], tasks: Sequence[Task]) -> Table:
    """A row a task and protocol, the main task first."""
    shown = [m for m in SUMMARY if any(s.metric == m for r in results for s in r.scores)]
    rows = []
    for result in (r for task in tasks for r in results if r.task == task.name):
        found = {s.metric: s for s in result.scores}
        chance = [PERCENT(found["uar"].chance)] if "uar" in found else [""]
        cells = [found[m].cell() if m in found else "" for m in shown]
        rows.append([result.task, result.protocol, *cells, *(chance if "uar" in shown else [])])
    header = [f"{metric_title(m).split(' (')[0]}{', %' if m in ('uar', 'accuracy') else ''}" for m in shown]
    return Table("", ["task", "protocol", *header, *(["chance UAR"] if "uar" in shown else [])], rows, 2)


def _training(learned: Sequence[Learning], results: Sequence[TaskScores]) -> Table:
    tested = {
        ("", result.protocol): score.value
        for result in results
        for score in result.scores
        if (result.task, score.metric) == (learned[0].task, learned[0].metric)
    }
    return learning_table({"": learned}, tested)


def _caution(results: Sequence[TaskScores], protocols: Mapping[str, Any]) -> str:
    """What a reader of the summary must know, in one line; report.md has the rest."""
    shared = [name for name, facts in protocols.items() if facts.get("speaker_dependent")]
    said = [f"{', '.join(shared)}: test speakers are in the training set"] if shared else []
    leaking = [name for name, facts in protocols.items() if facts.get("chosen_on_test")]
    said += [f"{', '.join(leaking)}: the test side chose the epoch, not to be believed"] if leaking else []
    for result in results:
        if result.task != results[0].task:
            continue
        if result.groups < FEW_GROUPS:
            said.append(f"{result.protocol}: {result.groups} {result.unit}, no interval under {FEW_GROUPS}")
        elif result.unit == "clips":
            said.append(f"{result.protocol}: no speakers known, intervals too narrow")
    return "; ".join(said) + "." * bool(said)


def _protocol(name: str, facts: Mapping[str, Any], results: Sequence[TaskScores]) -> list[str | Table]:
    mine = [r for r in results if r.protocol == name]
    found = [f"## Protocol: {name}", str(facts.get("description", ""))]
    if facts.get("speaker_dependent"):
        found.append("**speaker-dependent split**: speakers of the test clips are in the training set too.")
    found += [] if mine else ["Nothing was scored."]
    return found + [part for result in mine for part in _task(result)]


def _task(result: TaskScores) -> list[str | Table]:
    speakers = f", {result.speakers} speakers" if result.speakers else ", speakers unknown"
    counts = f"{result.clips} clips{speakers}, {_count(result.folds, 'fold')}, {_count(result.seeds, 'seed')}"
    whole = [_row(s) for s in result.scores if "/" not in s.metric]
    for s in result.ensemble:
        if "/" not in s.metric:
            name = f"{metric_title(s.metric)}, ensemble of {len(result.seeds)} seeds"
            whole.append([name, *_row(s)[1:3], "", ""])
    found = [
        f"### {result.task}, {result.protocol}",
        f"{counts}; stream `{result.stream}`.",
        _scores(whole),
        "\n".join(f"* {note}" for note in result.notes),
    ]
    recalls = [s for s in result.scores if "/" in s.metric]
    if 0 < len(recalls) <= MANY_CLASSES:
        found += ["Recall per class, %:", _scores([_row(s) for s in recalls])]
        found += [
            f"Confusion, % of the true class (clips, summed over {_count(result.seeds, 'seed')}) [95 % interval]; "
            "rows: true class, columns: predicted class:",
            _confusion(result),
        ]
    elif recalls:
        found.append(f"Recall and confusion of {len(recalls)} classes: see report.json.")
    for what, subsets, over in (("gender", result.by_gender, ""), ("speaker", result.by_speaker, " (mean over seeds)")):
        found += [f"Per {what}{over}:", _subsets(what, subsets, result)] if subsets else []
    return found


def _scores(rows: Sequence[Sequence[str]]) -> Table:
    """A row a metric; the last column, a paper's figures, is left out where there are none."""
    last = len(HEADER) if any(row[-1] for row in rows) else -1
    return Table("", HEADER[:last], [row[:last] for row in rows])


def _row(score: Score) -> list[str]:
    cell, count = score.cell(), len(score.seeds)
    spread = "one seed"
    if count > 1:
        low, high = cell.form(min(score.seeds)), cell.form(max(score.seeds))
        spread = f"{cell.form(cell.value)} ± {cell.form(cell.std)} ({low} to {high}; {count} seeds)"
    return [metric_title(score.metric), cell.form(cell.value), cell.interval(), spread, cell.form.printed(cell.paper)]


def _count(values: Sequence[int], noun: str) -> str:
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'}"


def _confusion(result: TaskScores) -> Table:
    matrix = result.confusion
    cells = matrix.cells()
    for i, row in enumerate(matrix.counts):
        cells[i] = [Cell(c.value, c.low, c.high, note=f"({n})") for c, n in zip(cells[i], row, strict=True)]
    rows = [[label, *row] for label, row in zip(matrix.labels, cells, strict=True)]
    return Table("", ["", *matrix.labels], rows)


def _subsets(what: str, subsets: Sequence[Subset], result: TaskScores) -> Table:
    metrics = ["accuracy", "uar", "macro_f1"] if result.labels else ["ccc", "rmse"]
    header = [what, "clips", result.unit, *map(metric_title, metrics), *["classes absent"] * bool(result.labels)]
    rows = []
    for subset in subsets:
        found = {s.metric: s.cell(spread=False) for s in subset.scores}
        row = [subset.value or "unknown", str(subset.clips), str(subset.groups), *(found[m] for m in metrics)]
        rows.append(row + [", ".join(subset.absent)] * bool(result.labels))
    return Table("", header, rows)


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    def shown(value: Any) -> str:
        if not isinstance(value, float | np.floating):
            return "" if value is None else str(value)
        return "" if np.isnan(value) else f"{value:.4g}"

    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table(name, columns, [[shown(row.get(c)) for c in columns] for row in rows])


def _recompute(results: Sequence[TaskScores]) -> str:
    classes = next((r for r in results if r.labels), None)
    if classes is None:
        return AGAIN
    facts = {"protocol": classes.protocol, "stream": classes.stream, "task": classes.task}
    return RECOMPUTE.format(**facts, prediction=f"{classes.task}/prediction", again=AGAIN)


def _figures(
    protocols: Iterable[str], results: Sequence[TaskScores], histories: Mapping[Run, pd.DataFrame]
) -> Iterator[Picture]:
    for protocol in protocols:
        name = protocol.replace("-", "_")
        mine = [r for r in results if r.protocol == protocol]
        if mine:
            caption = f"Scores with 95 % intervals, {protocol}"
            yield Picture(f"scores-{name}.png", caption, partial(pictures.scores, mine))
        for result in mine:
            if 0 < len(result.labels) <= MANY_CLASSES:
                caption = f"Confusion of {result.task}, {protocol}"
                draw = partial(
                    pictures.matrices, {caption: result.confusion.share}, result.labels, result.confusion.counts
                )
                yield Picture(f"confusion-{name}-{result.task.replace('-', '_')}.png", caption, draw)
        keys = sorted(key for key in histories if key[0] == protocol)
        runs = {f"fold {key[1]}, seed {key[2]}": histories[key] for key in keys}
        if runs:
            draw = partial(curves.epochs, runs, protocol)
            yield Picture(f"curves-{name}.png", f"Learning curves, {protocol}", draw)


def _result(result: TaskScores) -> dict[str, Any]:
    """The fields of the scores, and the spread of each over seeds."""

    def spread(scores: Sequence[Score]) -> list[dict[str, Any]]:
        return [{**asdict(s), "std": s.std, "min": min(s.seeds), "max": max(s.seeds)} for s in scores]

    found = asdict(result) | {"scores": spread(result.scores), "ensemble": spread(result.ensemble)}
    found["incomplete"] = {s: {"folds": f, "clips": n} for s, (f, n) in result.incomplete.items()}
    for name in ("by_gender", "by_speaker"):
        found[name] = [{**asdict(part), "scores": spread(part.scores)} for part in getattr(result, name)]
    return found
