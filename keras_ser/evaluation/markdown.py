"""A report in words: report.md and the short table for the terminal. A fraction is printed as percent, one decimal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ser.evaluation.plots import in_percent, metric_title
from keras_ser.evaluation.scores import MANY_CLASSES, Score, Subset, TaskScores

if TYPE_CHECKING:
    from keras_ser.evaluation.report import Report

HEADER = ["metric", "measured", "95 % interval", "seeds mean ± std", "paper"]
SPEAKER_DEPENDENT = "speaker-dependent split"

RECOMPUTE = """Every figure above follows from `predictions.csv` alone:

```python
from sklearn.metrics import recall_score
from keras_ser.evaluation import read_predictions

table = read_predictions("predictions.csv")
rows = table[(table.protocol == {protocol!r}) & (table.stream == {stream!r}) & (table[{task!r}] != "")]
for seed, part in rows.groupby("seed"):  # UAR of each seed, all folds pooled
    print(seed, recall_score(part[{task!r}], part[{prediction!r}], average="macro", labels=part[{task!r}].unique()))
```

`keras_ser.evaluation.report(table, tasks, title=...)` gives the whole report again, intervals included. Incomplete
seeds, where there are any, are named above and left out. "paper" is what the paper
prints: it is not measured here."""


def number(value: float | None, metric: str) -> str:
    """A score as printed: percent with one decimal, CCC and RMSE with three."""
    if value is None or np.isnan(value):
        return "–"
    return f"{100 * value:.1f}" if in_percent(metric) else f"{value:.3f}"


def _interval(score: Score) -> str:
    return "–" if score.low is None else f"[{number(score.low, score.metric)}, {number(score.high, score.metric)}]"


def _spread(score: Score) -> str:
    count = len(score.seeds)
    if count == 1:
        return "one seed"
    mean, std, low, high = (number(v, score.metric) for v in (score.value, score.std, score.minimum, score.maximum))
    return f"{mean} ± {std} ({low} to {high}; {count} seeds)"


def _row(score: Score, name: str | None = None) -> list[str]:
    paper = "" if score.paper is None else number(score.paper, score.metric)
    return [
        name or metric_title(score.metric),
        number(score.value, score.metric),
        _interval(score),
        _spread(score),
        paper,
    ]


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table: the first row is its header, the first `left` columns are left-aligned."""
    lines = ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    columns = len(rows[0])
    rule = "|" + "|".join([" --- "] * min(left, columns) + [" ---: "] * (columns - left)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def render(report: Report, pictures: Sequence[tuple[str, str]] = ()) -> str:
    """report.md."""
    blocks = [f"# {report.title}"]
    if report.missing:
        blocks.append("\n".join(f"* {sentence}" for sentence in report.missing))
    for protocol, facts in report.protocols.items():
        mine = [r for r in report.results if r.protocol == protocol]
        blocks.append(f"## Protocol: {protocol}")
        if facts.get("description"):
            blocks.append(str(facts["description"]))
        if facts.get("speaker_dependent"):
            blocks.append(f"**{SPEAKER_DEPENDENT}**: speakers of the test clips are in the training set too.")
        if not mine:
            blocks.append("Nothing was scored.")
        for result in mine:
            blocks += _result(result)
    for name, rows in report.tables.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        blocks += [f"## {name}", table([columns, *([_plain(row.get(c)) for c in columns] for row in rows)])]
    if report.notes:
        blocks += ["## Notes", "\n".join(f"* {note}" for note in report.notes)]
    if pictures:
        blocks += ["## Pictures", *(f"![{caption}]({name})" for name, caption in pictures)]
    classes = next((r for r in report.results if r.labels), None)
    if classes:
        facts = {"protocol": classes.protocol, "stream": classes.stream, "task": classes.task}
        text = RECOMPUTE.format(**facts, prediction=f"{classes.task}/prediction")
        blocks += ["## How to compute this again", text]
    else:
        text = (
            "`keras_ser.evaluation.report(read_predictions('predictions.csv'), tasks, title=...)` gives it all again."
        )
        blocks += ["## How to compute this again", text]
    return "\n\n".join(blocks) + "\n"


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _result(result: TaskScores) -> list[str]:
    speakers = f", {result.speakers} speakers" if result.speakers else ", speakers unknown"
    counts = f"{result.clips} clips{speakers}, {_count(result.folds, 'fold')}, {_count(result.seeds, 'seed')}"
    blocks = [f"### {result.task}, {result.protocol}", f"{counts}; stream `{result.stream}`."]
    whole = [_row(s) for s in result.scores if "/" not in s.metric]
    together = f"ensemble of {len(result.seeds)} seeds"
    for s in result.ensemble:
        if "/" not in s.metric:
            name, measured, ends, _, _ = _row(s)
            whole.append([f"{name}, {together}", measured, ends, "", ""])
    blocks.append(table([HEADER, *whole]))
    blocks.append("\n".join(f"* {note}" for note in result.notes))
    recalls = [s for s in result.scores if "/" in s.metric]
    if 0 < len(recalls) <= MANY_CLASSES:
        blocks += ["Recall per class, %:", table([HEADER, *(_row(s) for s in recalls)])]
        blocks += _confusion(result)
    elif recalls:
        blocks.append(f"Recall and confusion of {len(recalls)} classes: see report.json.")
    metrics = ["accuracy", "uar", "macro_f1"] if result.labels else ["ccc", "rmse"]
    if result.by_gender:
        blocks += ["Per gender:", _subsets("gender", result.by_gender, metrics, result)]
    if result.by_speaker:
        blocks += ["Per speaker (mean over seeds):", _subsets("speaker", result.by_speaker, metrics, result)]
    return blocks


def _count(values: Sequence[int], noun: str) -> str:
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'}"


def _confusion(result: TaskScores) -> list[str]:
    matrix = result.confusion
    rows = []
    for i, label in enumerate(matrix.labels):
        cells = []
        for j in range(len(matrix.labels)):
            share = f"{number(matrix.share[i][j], 'recall')} ({matrix.counts[i][j]})"
            if matrix.low is not None and not np.isnan(matrix.low[i][j]):
                share += f" [{number(matrix.low[i][j], 'recall')}, {number(matrix.high[i][j], 'recall')}]"
            cells.append(share if sum(matrix.counts[i]) else "–")
        rows.append([label, *cells])
    seeds = _count(result.seeds, "seed")
    text = f"Confusion, % of the true class (clips, summed over {seeds}) [95 % interval]; rows are true, columns named:"
    return [text, table([["", *matrix.labels], *rows])]


def _subsets(what: str, subsets: Sequence[Subset], metrics: Sequence[str], result: TaskScores) -> str:
    several = any(s.low is not None for subset in subsets for s in subset.scores)
    header = [what, "clips", *([result.unit] if several else [])]
    for metric in metrics:
        header += [metric_title(metric), *(["95 % interval"] if several else [])]
    classes = bool(result.labels)
    rows = []
    for subset in subsets:
        row = [subset.value or "unknown", str(subset.clips), *([str(subset.groups)] if several else [])]
        for metric in metrics:
            score = next(s for s in subset.scores if s.metric == metric)
            row += [number(score.value, metric), *([_interval(score)] if several else [])]
        rows.append(row + ([", ".join(subset.absent)] if classes else []))
    return table([header + (["classes absent"] if classes else []), *rows])


def terminal(report: Report) -> list[str]:
    """The short table: one line a protocol, task and metric (recalls left out)."""
    lines = [report.title, *report.missing]
    for protocol, facts in report.protocols.items():
        mine = [r for r in report.results if r.protocol == protocol]
        dependent = f" ({SPEAKER_DEPENDENT})" if facts.get("speaker_dependent") else ""
        lines += ["", f"protocol {protocol}{dependent}" + ("" if mine else ": nothing scored")]
        rows = []
        for result in mine:
            rows += [[result.task, *_row(s)] for s in result.scores if "/" not in s.metric]
            best = next((s for s in result.ensemble if s.metric in ("uar", "ccc")), None)
            if best:
                name, measured, ends, _, _ = _row(best)
                rows.append([result.task, f"{name}, ensemble", measured, ends, "", ""])
        if rows:
            lines += [f"  {line}" for line in aligned([["task", *HEADER], *rows], left=2)]
        for result in mine:
            lines += [f"  {result.task}: {note}" for note in result.notes]
    lines += ["", *report.notes] if report.notes else []
    return lines


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """A table for the terminal, a line each row; the first `left` columns are left-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
