"""The head of a report on runs: the main score, what was trained and how, each caution once, and a row for each run."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_ser.evaluation.learning import UNKNOWN, Learning, faults, learning_table
from keras_ser.evaluation.scores import Score, TaskScores, uar_or_ccc
from keras_ser.evaluation.tables import UNDEFINED, Table, form_of, short_title
from keras_ser.tasks import Task

MAIN = ("uar", "ccc")
PACKAGES = ("keras_ser", "keras", "tensorflow", "numpy", "python")


def main_score(result: TaskScores) -> Score:
    """Return UAR, or CCC for a continuous task."""
    return next(score for score in result.scores if score.metric in MAIN)


def first_lines(
    results: Sequence[TaskScores],
    protocols: Mapping[str, Mapping[str, Any]],
    learned: Sequence[Learning],
    axis: str = "epoch",
) -> list[str]:
    """Return sentences on the main task's score under each protocol, then on whether training was complete.

    `axis` is that of `score_report`.
    """
    found = [_scored(result, protocols[result.protocol], axis) for result in results if result.task == results[0].task]
    if learned:
        found.append(" ".join([trained({"": learned}), *_sides(results, learned)]))
    return found


def scored_runs(results: Sequence[TaskScores], learned: Sequence[Learning]) -> list[Learning]:
    """Return the runs whose seed is scored under their protocol; all where nothing is."""
    seeds = {result.protocol: result.seeds for result in results if learned and result.task == learned[0].task}
    return [run for run in learned if run.seed in seeds.get(run.protocol, (run.seed,))]


def tested(results: Sequence[TaskScores], learned: Sequence[Learning]) -> dict[tuple[str, str], float]:
    """Return ("", protocol) -> the test score in the metric of the verdicts, for `learning_table`."""
    return {
        ("", result.protocol): score.value
        for result in results
        for score in result.scores
        if (result.task, score.metric) == (learned[0].task, learned[0].metric)
    }


def _sides(results: Sequence[TaskScores], learned: Sequence[Learning]) -> list[str]:
    """Return a sentence for each protocol: its optimizer steps, and the mean scores of the three sides."""
    table, found = learning_table({"": scored_runs(results, learned)}, tested(results, learned)), []
    for row in table.rows:
        cells = {name: cell for name, cell in zip(table.columns, row, strict=True) if cell != UNDEFINED}
        steps = f"{cells['optimizer steps']} optimizer steps, " if "optimizer steps" in cells else ""
        sides = ", ".join(f"{side} {cells[side]}" for side in ("training", "validation", "test") if side in cells)
        found.append(f"{cells['protocol']}: {steps}{short_title(learned[0].metric)}: {sides}." if sides else "")
    return [sentence for sentence in found if sentence]


def _scored(result: TaskScores, facts: Mapping[str, Any], axis: str) -> str:
    score = main_score(result)
    cell, form = score.cell(spread=False), form_of(score.metric)
    unit = "" if score.metric == "ccc" else " %"
    name = short_title(score.metric)
    interval = f" {cell.interval()}" if score.low is not None else ""
    chance = f"; chance {form(score.chance)}" if score.chance is not None else ""
    whose = f"{result.speakers} speaker{'s' * (result.speakers != 1)}" if result.speakers else "unknown speakers"
    seeds = facts.get("seeds")
    counted = [f"{result.clips} clips of {whose}", _of("fold", len(result.folds), facts.get("folds"))]
    counted += [] if result.deterministic else [_of("seed", len(result.seeds), seeds)]
    basis = score.without or (result.notes[0].rstrip(".") if result.notes else "")
    basis = f"{basis[:1].upper()}{basis[1:]}"
    value = f"{name} {form(score.value)}{unit}{interval}"
    line = f"**{result.task}, {result.protocol}: {value}**{chance}. {basis}. {', '.join(counted)}."
    shared = f" Test speakers {in_training(facts)}." if facts.get("speaker_dependent") else ""
    return line + shared + (f" The test set chose the {axis}." if facts.get("chosen_on_test") else "")


def in_training(facts: Mapping[str, Any]) -> str:
    """Say of the test speakers of a speaker-dependent split that they are in the training set."""
    return f"{'are unknown and may be' if facts.get('speakers_unknown') else 'are'} in the training set"


def _of(noun: str, count: int, asked: Any) -> str:
    """Return "3 of 5 folds", or "3 folds" if the total is unknown."""
    total = int(asked) if isinstance(asked, int | np.integer) else len(asked) if asked else 0
    if total:
        return f"{count} of {total} {noun}{'s' * (total != 1)}"
    return f"{count} {noun}{'s' * (count != 1)}"


def trained(systems: Mapping[str, Sequence[Learning]]) -> str:
    """Return a sentence on whether all runs of one or several systems were trained to their end, naming the first that were not.

    Every report that shows scores of runs begins with it. A single system may be named "".
    """
    told, learned = faults(systems), [run for runs in systems.values() for run in runs]
    if any(run.fault for run in learned):
        return f"**Not trained to the end:** {' '.join(told)}"
    unknown = sum(run.verdict == UNKNOWN for run in learned)
    if unknown:
        return f"{unknown} of {len(learned)} runs do not say whether they were trained to the end (an earlier version)."
    runs = "1 run" if len(learned) == 1 else f"all {len(learned)} runs"
    return " ".join([f"Trained to the end: {runs}.", *told])


def origin(made: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences on the origin of runs, from `keras_ser.training.provenance.made_by`."""
    found = []
    commands = list(dict.fromkeys(each["command"] for each in made if each.get("command")))
    if commands:
        more = f" and {len(commands) - 1} more" if len(commands) > 1 else ""
        found.append(f"Command: `{commands[-1]}`{more}.")
    versions = list(dict.fromkeys(tuple(_versions(each)) for each in made))
    found += [f"Versions: {', '.join(each)}." for each in versions if each]
    commits = list(dict.fromkeys(each["commit"] for each in made if each.get("commit")))
    found += [f"Commit: {', '.join(commits)}."] if commits else []
    weights = list(dict.fromkeys(each["pretrained"] for each in made if each.get("pretrained")))
    found += [f"Pretrained weights: {', '.join(weights)} (first 12 digits of the SHA-256)."] if weights else []
    dates = sorted(each["date"] for each in made if each.get("date"))
    if dates:
        found.append(f"Trained: {dates[0]}." if dates[0] == dates[-1] else f"Trained: {dates[0]} to {dates[-1]}.")
    return found


def _versions(made: Mapping[str, Any]) -> list[str]:
    known = made.get("versions", {})
    return [f"{name} {known[name]}" for name in PACKAGES if name in known]


def cautions(results: Sequence[TaskScores]) -> list[str]:
    """Return the scores' notes except those on their intervals' basis, each once, with where it applies unless everywhere."""
    where: dict[str, list[TaskScores]] = {}
    for result in results:
        for note in result.notes[1:]:
            where.setdefault(note, []).append(result)
    found = []
    for note, mine in where.items():
        if len(mine) == len(results):
            found.append(note)
            continue
        by_protocol: dict[str, list[str]] = {}
        for result in mine:
            by_protocol.setdefault(result.protocol, []).append(result.task)
        places = []
        for protocol, tasks in by_protocol.items():
            every = [result.task for result in results if result.protocol == protocol]
            places.append(protocol if tasks == every else f"{protocol}: {', '.join(tasks)}")
        found.append(f"{note.rstrip('.')} ({'; '.join(places)}).")
    return found


def other_tasks(results: Iterable[TaskScores]) -> Table:
    """Make a table with a row per auxiliary task: its main score, interval and chance, and its accuracy (RMSE)."""
    rows = []
    for result in results:
        score = main_score(result)
        cell = score.cell()
        also = [_named(s, s.cell().text(interval=False)) for s in result.scores if s.metric in ("accuracy", "rmse")]
        paper = [_named(s, form_of(s.metric).printed(s.paper)) for s in result.scores if s.paper is not None]
        row = [
            result.task,
            short_title(score.metric),
            cell.text(interval=False),
            cell.interval(),
            cell.form(score.chance),
        ]
        rows.append([*row, ", ".join(also), str(result.clips), ", ".join(paper)])
    columns = ["task", "metric", "measured", "95 % interval", "chance", "also", "clips", "paper"]
    last = None if any(row[-1] for row in rows) else -1
    return Table("", columns[:last], [row[:last] for row in rows], 2)


def _named(score: Score, text: str) -> str:
    return f"{short_title(score.metric)} {text}"


def run_table(
    learned: Sequence[Learning],
    frame: pd.DataFrame,
    task: Task,
    streams: Mapping[str, Sequence[str]],
    axis: str = "epoch",
) -> Table:
    """Make a table with a row per run: kept epoch (or setting), optimizer steps, and scores of the three sides.

    Args:
        learned: the verdicts on the runs.
        frame: the predictions table.
        task: the task that `learned` scores.
        streams: protocol -> the scored streams.
        axis: see `score_report`.
    """
    scored = frame[[s in streams.get(p, ()) for p, s in zip(frame["protocol"], frame["stream"], strict=True)]]
    by_run = {key: uar_or_ccc(rows, task) for key, rows in scored.groupby(["protocol", "fold", "seed"])}
    several = len({run.protocol for run in learned}) > 1
    rows = []
    for run in sorted(
        learned,
        key=lambda run: (list(streams).index(run.protocol) if run.protocol in streams else -1, run.seed, run.fold),
    ):
        form = form_of(run.metric)
        cells = [str(run.fold), str(run.seed), f"{run.kept} of {run.epochs}" if run.epochs else UNDEFINED]
        cells.append(UNDEFINED if run.steps is None else str(run.steps))
        for value in (run.training, run.validation, by_run.get((run.protocol, run.fold, run.seed), math.nan)):
            cells.append(form(value))
        rows.append([run.protocol] * several + [*cells, run.verdict.split(":")[0]])
    metric = short_title(learned[0].metric)
    sides = [f"{side} {metric}" for side in ("training", "validation", "test")]
    columns = ["protocol"] * several + ["fold", "seed", f"kept {axis}", "optimizer steps", *sides, "verdict"]
    return Table("Runs", columns, rows, 3 if several else 2)
