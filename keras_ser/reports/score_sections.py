"""Sections of a report on runs: each protocol with its main task in full and a row for each other task."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ser.evaluation.scores import MANY_CLASSES, Score, Subset, TaskScores
from keras_ser.evaluation.tables import Cell, Table, metric_title
from keras_ser.reports.headline import MAIN, in_training, other_tasks

HEADER = ("metric", "measured", "95 % interval", "chance", "seeds mean ± std", "paper")

SEEDS = HEADER.index("seeds mean ± std")
AGAIN = "`keras_ser.reports.score_report(table, tasks, title=...)` recreates the whole report, including intervals."
RECOMPUTE = """Every test score above follows from `predictions.csv` alone:

```python
from sklearn.metrics import recall_score
from keras_ser.evaluation import read_predictions

table = read_predictions("predictions.csv")
rows = table[(table.protocol == {protocol!r}) & table.stream.isin({streams}) & (table[{task!r}] != "")]
for seed, part in rows.groupby("seed"):  # UAR of each seed, all folds pooled
    print(seed, recall_score(part[{task!r}], part[{prediction!r}], average="macro", labels=part[{task!r}].unique()))
```

{again} Incomplete
seeds, if any, are named above and excluded. "paper" is the paper's published figure,
not measured here."""


def protocol_section(name: str, facts: Mapping[str, Any], results: Sequence[TaskScores]) -> list[str | Table]:
    mine = [r for r in results if r.protocol == name]
    found = [f"## Protocol: {name}", str(facts.get("description", ""))]
    if facts.get("speaker_dependent"):
        found.append(f"**speaker-dependent split**: test speakers {in_training(facts)}.")
    if not mine:
        return [*found, "Nothing was scored."]
    main, others = mine[0], mine[1:]
    found += _task(main)
    return [*found, f"### Other tasks, {name}", other_tasks(others)] if others else found


def _task(result: TaskScores) -> list[str | Table]:
    several = len(result.seeds) > 1
    whole = [_row(s) for s in result.scores if "/" not in s.metric]
    for s in result.ensemble:
        if "/" not in s.metric:
            what = f"ensemble of {len(result.seeds)} seeds (interval over {result.unit} alone)"
            whole.append([f"{metric_title(s.metric)}, {what}", *_row(s)[1:3], "", "", ""])
    streams = f"Stream{'s' * (len(result.streams) > 1)} {', '.join(f'`{name}`' for name in result.streams)}"
    found = [f"### {result.task}, {result.protocol}", f"{streams}.", _scores(whole, several)]
    recalls = [s for s in result.scores if "/" in s.metric]
    if 0 < len(recalls) <= MANY_CLASSES:
        found += ["Recall per class, %:", _scores([_row(s) for s in recalls], several)]
        found += [
            f"Confusion, % of the true class (clips{result.summed}); rows: true class, columns: predicted class:",
            _confusion(result),
        ]
    elif recalls:
        found.append(f"Recall and confusion of {len(recalls)} classes: see report.json.")
    over_seeds = " (mean over seeds)" if several else ""
    for what, subsets, over in (("gender", result.by_gender, ""), ("speaker", result.by_speaker, over_seeds)):
        found += [f"Per {what}{over}:", _subsets(what, subsets, result)] if subsets else []
    return found


def _scores(rows: Sequence[Sequence[str]], several: bool) -> Table:
    """Make a table with a row per metric; columns for chance, a paper's scores and several seeds only if they apply."""
    shown = [i for i, name in enumerate(HEADER) if i < 3 or (any(row[i] for row in rows) and (several or i != SEEDS))]
    return Table("", [HEADER[i] for i in shown], [[row[i] for i in shown] for row in rows])


def _row(score: Score) -> list[str]:
    cell, spread = score.cell(), ""
    if len(score.seeds) > 1:
        low, high = cell.form(min(score.seeds)), cell.form(max(score.seeds))
        spread = f"{cell.form(cell.value)} ± {cell.form(cell.std)} ({low} to {high}; {len(score.seeds)} seeds)"
    chance = cell.form(score.chance) if score.metric in MAIN else ""
    return [
        metric_title(score.metric),
        cell.form(cell.value),
        cell.interval(),
        chance,
        spread,
        cell.form.printed(cell.paper),
    ]


def _confusion(result: TaskScores) -> Table:
    """Make a table of shares and counts; the intervals are in the JSON."""
    matrix = result.confusion
    rows = [
        [label, *(Cell(c.value, note=f"({n})") for c, n in zip(cells, counts, strict=True))]
        for label, cells, counts in zip(matrix.labels, matrix.cells(), matrix.counts, strict=True)
    ]
    return Table("", ["", *matrix.labels], rows)


def _subsets(what: str, subsets: Sequence[Subset], result: TaskScores) -> Table:
    """Make a table with a row per subset, with its absent classes and number of groups if informative."""
    metrics = ["accuracy", "uar", "macro_f1"] if result.labels else ["ccc", "rmse"]
    grouped, absent = f"{what}s" != result.unit, any(subset.absent for subset in subsets)
    header = [what, "clips", *[result.unit] * grouped, *map(metric_title, metrics), *["classes absent"] * absent]
    rows = []
    for subset in subsets:
        found = {s.metric: s.cell(spread=False) for s in subset.scores}
        row = [subset.value or "unknown", str(subset.clips), *[str(subset.groups)] * grouped]
        rows.append([*row, *(found[m] for m in metrics), *[", ".join(subset.absent)] * absent])
    return Table("", header, rows)


def extra_table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    def shown(value: Any) -> str:
        if not isinstance(value, float | np.floating):
            return "" if value is None else str(value)
        return "" if np.isnan(value) else f"{value:.4g}"

    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table(name, columns, [[shown(row.get(c)) for c in columns] for row in rows])


def recompute(results: Sequence[TaskScores]) -> str:
    classes = next((r for r in results if r.labels), None)
    if classes is None:
        return AGAIN
    facts = {"protocol": classes.protocol, "streams": list(classes.streams), "task": classes.task}
    return RECOMPUTE.format(**facts, prediction=f"{classes.task}/prediction", again=AGAIN)
