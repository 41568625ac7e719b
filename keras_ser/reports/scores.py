"""Reports of a run or an experiment: scores, intervals, confusion and subsets of every protocol and task."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from keras_ser.checks import listed
from keras_ser.errors import UserError
from keras_ser.evaluation.group_sums import metric_names
from keras_ser.evaluation.intervals import LEVEL
from keras_ser.evaluation.learning import Learning, faults, learning_table, untrained
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.evaluation.scores import MANY_CLASSES, Score, TaskScores, score
from keras_ser.evaluation.tables import PERCENT, Table, short_title
from keras_ser.reports import curves, pictures
from keras_ser.reports.headline import (
    cautions,
    first_lines,
    in_training,
    main_score,
    origin,
    run_table,
    scored_runs,
    tested,
    trained,
)
from keras_ser.reports.report import Picture, Report
from keras_ser.reports.score_sections import extra_table, protocol_section, recompute
from keras_ser.tasks import Task

Run = tuple[str, int, int]  # protocol, fold, seed
SUMMARY = ("uar", "accuracy", "ccc", "rmse")  # the metrics shown on the terminal


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
    made: Sequence[Mapping[str, Any]] = (),
    axis: str = "epoch",
) -> Report:
    """Score a predictions table and return the report.

    Args:
        predictions: the table; see `keras_ser.evaluation.predictions` for its columns.
        tasks: the tasks to score. A task without any true label is left out with a note. Without tasks the report consists of
            notes, tables and curves.
        title: the report's heading.
        paper: a paper's scores, {(task, metric): value}, as fractions like the scores: 0.9013, not 90.13.
        protocols: name -> {"description": str, "speaker_dependent": bool, "folds": number or list of folds of a complete
            seed, "paper": False where `paper` is of another protocol, ..}. The report follows their order; a protocol without
            predictions is noted.
        notes: further sentences of the report.
        tables: further tables, name -> a mapping or a list of rows, e.g.
            {"discriminator": {"speakers": {"accuracy": 0.52, "prior": 0.5}}}.
        histories: (protocol, fold, seed) -> history with a column `epoch`.
        missing: sentences on the runs missing from the predictions, shown first.
        deterministic: whether all seeds give the same model; see `score`.
        learned: the verdict on each run's training, shown before all scores.
        made: the provenance of each run (`keras_ser.training.provenance.made_by`), if known.
        axis: what the rows of a history are: "epoch", or "setting" of a baseline, of which curves are drawn if there are several.

    Raises:
        UserError: the table is invalid, a task or metric of `paper` is unknown, or its score is in percent.
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
            own = figures[task.name] if protocols[protocol].get("paper", True) else {}
            options = {"folds": folds, "paper": own, "deterministic": deterministic}
            result = score(frame, task, protocol, checked=True, **options)
            apart = protocols[protocol].get("apart", ())
            if result:
                results.append(result)
            elif not (task.identity and task.column in apart):  # identities of other people: the caller's notes say so
                notes.append(f"No clip has a label of {task.name} under protocol {protocol}: not scored.")
    extra = {
        name: [{"": key, **row} for key, row in rows.items()] if isinstance(rows, Mapping) else list(rows)
        for name, rows in (tables or {}).items()
    }
    missing = tuple(missing)
    watched = learned[0].task if learned else tasks[0].name if tasks else ""
    monitored = next((task for task in tasks if task.name == watched), None)
    head = [*first_lines(results, protocols, learned, axis)] if results else [trained({"": learned})] if learned else []
    return Report(
        title=title,
        summary=[_summary(results, tasks)] if results else [],
        caution=" ".join([*untrained({"": learned}), _caution(results, protocols, axis)]).strip(),
        sections=[
            *_training(learned, results, frame, monitored, axis),
            *(part for name, facts in protocols.items() for part in protocol_section(name, facts, results)),
            *(extra_table(name, rows) for name, rows in extra.items()),
            "## Reproducing these figures",
            recompute(results),
        ],
        missing=missing,
        head=tuple(line for line in (*head, " ".join(origin(made))) if line),
        notes=(*cautions(results), *notes),
        data={
            "missing": missing,
            "protocols": protocols,
            "intervals": {"kind": "t, jackknife over groups, of the mean over seeds", "level": LEVEL},
            "results": [_result(r) for r in results],
            "tables": extra,
            "learned": [asdict(run) for run in learned],
            "made": list(made),
            "notes": [*faults({"": learned}), *notes],
        },
        figures=tuple(_figures(protocols, results, histories or {}, monitored, learned, axis)),
        predictions=frame,
        results=tuple(results),
        csv="predictions.csv",
    )


def paper_by_task(paper: Mapping[tuple[str, str], float], tasks: Sequence[Task]) -> dict[str, dict[str, float]]:
    """Return task -> metric -> a paper's score; raise UserError for an unknown task or metric, or a score in percent."""
    found = {task.name: {} for task in tasks}
    metrics = {task.name: metric_names(task) for task in tasks}
    for (task, metric), value in paper.items():
        if metric not in metrics.get(task, ()):
            there = "; ".join(f"{t}: {', '.join(names)}" for t, names in metrics.items())
            raise UserError(f"`paper` must name a task and its metric ({there}). Received: ({task}, {metric}).")
        if metric != "rmse" and not -1 <= value <= 1:
            raise UserError(
                f"a paper's figure must be a fraction, like the measured one. Received: {task} {metric} {value}; "
                f"if that is percent, write {value / 100:g}."
            )
        found[task][metric] = float(value)
    return found


def _summary(results: Sequence[TaskScores], tasks: Sequence[Task]) -> Table:
    """Make a table with a row per task and protocol, the main task first."""
    shown = [m for m in SUMMARY if any(s.metric == m for r in results for s in r.scores)]
    rows = []
    for result in (r for task in tasks for r in results if r.task == task.name):
        found = {s.metric: s for s in result.scores}
        chance = [PERCENT(found["uar"].chance)] if "uar" in found else [""]
        cells = [found[m].cell() if m in found else "" for m in shown]
        rows.append([result.task, result.protocol, *cells, *(chance if "uar" in shown else [])])
    header = [f"{short_title(m)}{', %' if m in ('uar', 'accuracy') else ''}" for m in shown]
    return Table("", ["task", "protocol", *header, *(["chance UAR"] if "uar" in shown else [])], rows, 2)


def _training(
    learned: Sequence[Learning], results: Sequence[TaskScores], frame: pd.DataFrame, task: Task | None, axis: str
) -> list[Table]:
    """Make a table with a row per run, preceded by the means over each protocol if one has several runs."""
    if not learned:
        return []
    streams = {result.protocol: result.streams for result in results if result.task == learned[0].task}
    means = (
        [learning_table({"": scored_runs(results, learned)}, tested(results, learned))]
        if len(learned) > len({run.protocol for run in learned})
        else []
    )
    return [*means, run_table(learned, frame, task, streams, axis)] if task else means


def _caution(results: Sequence[TaskScores], protocols: Mapping[str, Any], axis: str) -> str:
    """Return a line of cautions for the summary; report.md has the details."""
    shared: dict[str, list[str]] = {}
    for name, facts in protocols.items():
        if facts.get("speaker_dependent"):
            shared.setdefault(in_training(facts), []).append(name)
    said = [f"{', '.join(names)}: test speakers {what}" for what, names in shared.items()]
    leaking = [name for name, facts in protocols.items() if facts.get("chosen_on_test")]
    said += [f"{', '.join(leaking)}: the test set chose the {axis}, not to be believed"] if leaking else []
    for result in results:
        if result.absent_altogether and len(result.labels) <= MANY_CLASSES:
            said.append(
                f"{result.task}, {result.protocol}: no clip is {listed(result.absent_altogether)}, left out of UAR"
            )
        if result.task != results[0].task:
            continue
        without = main_score(result).without
        if without:
            said.append(f"{result.protocol}: {without}")
        elif result.unit == "clips":
            said.append(f"{result.protocol}: speakers unknown, intervals too narrow")
    return "; ".join(said) + "." * bool(said)


def _figures(
    protocols: Iterable[str],
    results: Sequence[TaskScores],
    histories: Mapping[Run, pd.DataFrame],
    task: Task | None,
    learned: Sequence[Learning],
    axis: str,
) -> Iterator[Picture]:
    """Yield the scores and the main task's confusion under each protocol, and the curves of the task that selects the epoch."""
    for protocol in protocols:
        name = protocol.replace("-", "_")
        mine = [r for r in results if r.protocol == protocol]
        if mine:
            ends = " with 95 % intervals" if any(s.low is not None for r in mine for s in r.scores) else ""
            yield Picture(f"scores-{name}.png", f"Scores{ends}, {protocol}", partial(pictures.scores, mine))
        for result in mine[:1]:
            if 0 < len(result.labels) <= MANY_CLASSES:
                caption = f"Confusion of {result.task}, {protocol}"
                counts, share = result.confusion.counts, {caption: result.confusion.share}
                draw = partial(pictures.matrices, share, result.labels, counts, result.summed)
                yield Picture(f"confusion-{name}-{result.task.replace('-', '_')}.png", caption, draw)
        keys = sorted(key for key in histories if key[0] == protocol)
        runs = {f"fold {key[1]}, seed {key[2]}": histories[key] for key in keys}
        if axis != "epoch" and all(len(history) == 1 for history in runs.values()):
            continue  # one setting, of which there is nothing to see
        if task and curves.drawable(runs.values(), task.name, task.continuous):
            kept = {f"fold {r.fold}, seed {r.seed}": r.kept for r in learned if r.protocol == protocol and r.kept}
            draw = partial(curves.training, runs, task.name, task.continuous, kept, protocol, axis)
            yield Picture(f"curves-{name}.png", f"Learning curves of {task.name}, {protocol}", draw)


def _result(result: TaskScores) -> dict[str, Any]:
    """Return the fields of the scores, with the standard deviation of each over seeds."""

    def spread(scores: Sequence[Score]) -> list[dict[str, Any]]:
        return [{**asdict(s), "std": s.std, "min": min(s.seeds), "max": max(s.seeds)} for s in scores]

    found = asdict(result) | {"scores": spread(result.scores), "ensemble": spread(result.ensemble)}
    found["incomplete"] = {s: {"folds": f, "clips": n} for s, (f, n) in result.incomplete.items()}
    for name in ("by_gender", "by_speaker"):
        found[name] = [{**asdict(part), "scores": spread(part.scores)} for part in getattr(result, name)]
    return found
