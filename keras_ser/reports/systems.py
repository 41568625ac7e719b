"""Reports on several systems: under several protocols beside a paper's scores, and the gain of one over another."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from keras_ser.evaluation.comparison import Comparison
from keras_ser.evaluation.learning import Learning, faults, learning_table, trained_unlike, untrained
from keras_ser.evaluation.scores import Score
from keras_ser.evaluation.systems import Systems
from keras_ser.evaluation.tables import PERCENT, Cell, Table, form_of, metric_title
from keras_ser.reports import curves, pictures
from keras_ser.reports.headline import trained
from keras_ser.reports.pictures import Panel
from keras_ser.reports.report import Picture, Report

FIGURES = ("difference", "low", "high", "p", "p_holm", "without_p")  # fields of a comparison in JSON
PAIRED = "Paired differences [95 % CI], with p values corrected for their number (Holm):"
CAPTION = "Scores, with 95 % intervals where there are enough groups"


class Swept(NamedTuple):
    """Systems that differ in one setting.

    Args:
        setting: label of the horizontal axis.
        curves: curve -> value of the setting -> system.
        further: quantity -> system -> its measured value, in addition to the main task's scores.
    """

    setting: str
    curves: Mapping[str, Mapping[float, str]]
    further: Mapping[str, Mapping[str, Cell]] = {}


def systems_report(
    title: str,
    parts: Sequence[Systems],
    *,
    about: Mapping[str, str],
    described: Mapping[str, str] | None = None,
    paper: Mapping[str, Mapping[str, float]] | None = None,
    papers: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    confused: str | None = None,
    paper_confusion: Sequence[Sequence[float]] = (),
    missing: Sequence[str] = (),
    notes: Sequence[str] = (),
    learned: Mapping[str, Sequence[Learning]] | None = None,
    name: str = "systems",
    swept: Swept | None = None,
    by_speaker: bool = False,
) -> Report:
    """Report several systems side by side, under one or more protocols.

    Args:
        title: the heading.
        parts: one per protocol, with the same systems, task and metrics; the paper's own protocol first.
        about: system -> description.
        described: protocol -> description.
        paper: system -> {metric: a paper's score, a fraction}, under the first protocol.
        papers: protocol -> scores in the form of `paper`, shown beside that protocol's. What is no system of `parts` has a row
            without measured values.
        confused: the system whose confusion matrix is shown; None = none.
        paper_confusion: the paper's confusion matrix, (classes, classes), fractions of the true class (row).
        missing: sentences on excluded runs; notes: further sentences.
        learned: system -> the verdicts on its runs.
        name: base name of the files.
        swept: a setting in which the systems differ, for a plot of the scores against it.
        by_speaker: whether means over the test speakers are shown, too.
    """
    paper, described, first, learned = paper or {}, described or {}, parts[0], learned or {}
    unlike = trained_unlike(learned)
    notes = [*unlike, *faults(learned), *notes]
    matrices = {p.protocol: p.results[confused].confusion for p in parts} if confused else {}
    shares = {"paper": paper_confusion} if len(paper_confusion) and confused else {}
    shares |= {protocol: matrix.share for protocol, matrix in matrices.items()}
    tables = [_by_protocol(parts, metric, paper, papers or {}) for metric in first.metrics]
    # UAR, unless the paper reports only the other
    printed = [*paper.values(), *(figures for found in (papers or {}).values() for figures in found.values())]
    led = next((m for m in first.metrics if any(m in figures for figures in printed)), first.metrics[0])
    sections: list[str | Table] = [*([_training(parts, learned)] if learned else []), *tables]
    sections += [p.speaker_means((papers or {}).get(p.protocol, {})) for p in parts if by_speaker]
    if len(parts) > 1:
        sections.append(f"{_minus(parts)}: not paired.")
    for part in parts:
        differences = [f"- {a} - {b}: {' '.join([c.lines()[0], *c.notes])}" for a, b, c in part.differences]
        sections += [f"## {part.protocol}", ": ".join(filter(None, (described.get(part.protocol), part.scale())))]
        sections += [PAIRED, "\n".join(differences)] if differences else []
    if confused:
        rows = []
        for i, label in enumerate(first.task.labels):
            sources = {"paper": [PERCENT.printed(x) for x in paper_confusion[i]]} if "paper" in shares else {}
            sources |= {protocol: matrix.cells()[i] for protocol, matrix in matrices.items()}
            rows += [[label, source, *cells] for source, cells in sources.items()]
        heading = f"Confusion of {confused}, % of the true class"
        sections.append(Table(heading, ["true", "", *first.task.labels], rows, 2, intervals=False))
    sections.append(Table("Systems", ["system", "what"], [[system, about[system]] for system in first.tables], 2))
    figures = [Picture(f"{name}.png", CAPTION, partial(_dots, parts, paper, papers or {}))]
    if confused:
        draw = partial(pictures.matrices, shares, first.task.labels)
        figures.append(Picture(f"{name}-confusion.png", f"Confusion of {confused}", draw))
    figures += [sweep_picture(parts, swept, name)] if swept else []
    told = {} if not confused else {"confusion": {"system": confused, "labels": first.task.labels, **shares}}
    if confused:
        told["confusion_intervals"] = {name: {"low": m.low, "high": m.high} for name, m in matrices.items()}
    return Report(
        title=title,
        summary=[tables[first.metrics.index(led)]],
        caution=" ".join([*untrained(learned), *unlike, *_doubts(parts, described)]),
        sections=sections,
        missing=tuple(missing),
        notes=tuple(notes),
        data={
            "notes": [*missing, *notes],
            "protocols": {p.protocol: _data(p, {**paper, **(papers or {}).get(p.protocol, {})}) for p in parts},
            **told,
        },
        figures=figures,
        name=name,
    )


def sweep_picture(parts: Sequence[Systems], swept: Swept, name: str = "systems") -> Picture:
    return Picture(f"{name}-sweep.png", f"Scores against {swept.setting}", partial(_sweep, parts, swept))


def _sweep(parts: Sequence[Systems], swept: Swept) -> Any:
    """Draw the values against the setting, a panel for each protocol and metric, and for each further quantity."""
    places = sorted({place for found in swept.curves.values() for place in found})
    cells = {
        f"{metric_title(metric)}, {part.protocol}": {s: found[metric].cell() for s, found in part.scores.items()}
        for part in parts
        for metric in part.metrics
    }
    panels = {
        title: {
            curve: [known.get(systems.get(place), Cell(math.nan)) for place in places]
            for curve, systems in swept.curves.items()
        }
        for title, known in {**cells, **swept.further}.items()
    }
    ticks = [f"{place:g}" for place in places]
    # a title is "QUANTITY, PROTOCOL", or only a quantity
    quantities = [title.rpartition(", ")[0] or title for title in panels]
    return curves.lines(panels, places, ticks, swept.setting, "", list(swept.curves), quantities=quantities)


def _training(parts: Sequence[Systems], learned: Mapping[str, Sequence[Learning]]) -> Table:
    tested = {}
    for part in parts:
        for name, scores in part.scores.items():
            judged = learned[name][0] if name in learned else None
            metric = judged.metric if judged and judged.task == part.task.name else ""
            if metric in scores:
                tested[name, part.protocol] = scores[metric].value
    return learning_table(learned, tested)


def _doubts(parts: Sequence[Systems], described: Mapping[str, str]) -> list[str]:
    """Say of each protocol whether its intervals are too narrow, and what leaks, by that clause of its description."""
    narrow = [p.protocol for p in parts if next(iter(p.results.values())).unit == "clips"]
    found = [(protocol, re.search(r"LEAKING:? ?([^;)]*)", what)) for protocol, what in described.items()]
    said = [f"{protocol}: speakers unknown, intervals too narrow." for protocol in narrow]
    return said + [f"{protocol} leaks: {leak[1]}." for protocol, leak in found if leak]


def _by_protocol(
    parts: Sequence[Systems],
    metric: str,
    paper: Mapping[str, Mapping[str, float]],
    papers: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> Table:
    """Make a table with a row per system and a column per protocol; for several, also the first minus the last."""
    named = any(metric in figures for figures in paper.values())
    columns = ["system", *["paper"] * named, *(part.protocol for part in parts)]
    form, rows = form_of(metric), []
    of_others = [name for part in parts for name, found in papers.get(part.protocol, {}).items() if metric in found]
    for system in dict.fromkeys([*parts[0].tables, *of_others]):
        printed = [papers.get(part.protocol, {}).get(system, {}).get(metric) for part in parts]
        cells = [
            replace(p.scores[system][metric].cell() if system in p.scores else Cell(math.nan, form=form), paper=figure)
            for p, figure in zip(parts, printed, strict=True)
        ]
        row = [system, *[PERCENT.printed(paper.get(system, {}).get(metric))] * named, *cells]
        if len(parts) > 1:
            row.append(PERCENT._replace(sign="+")(cells[0].value - cells[-1].value))
        rows.append(row)
    return Table(f"{metric_title(metric)}, %", columns + [_minus(parts)] * (len(parts) > 1), rows)


def _minus(parts: Sequence[Systems]) -> str:
    return f"{parts[0].protocol} minus {parts[-1].protocol}"


def _dots(
    parts: Sequence[Systems],
    paper: Mapping[str, Mapping[str, float]],
    papers: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> Any:
    found = []
    names = dict.fromkeys(name for part in parts for name in (*part.tables, *papers.get(part.protocol, {})))
    for metric in parts[0].metrics:
        series = {}
        for k, part in enumerate(parts):
            # the paper's figure is shown with its own protocol
            beside = {**(paper if k == 0 else {}), **papers.get(part.protocol, {})}
            scores = [part.scores.get(name, {}).get(metric, Score(metric, math.nan, None, None, ())) for name in names]
            own = [beside.get(name, {}).get(metric) for name in names]
            series[part.protocol] = [_bare(score, figure) for score, figure in zip(scores, own, strict=True)]
        chances = {part.scores[name][metric].chance for part in parts for name in part.scores}
        chance = chances.pop() if len(chances) == 1 else None
        found.append(Panel(f"{metric_title(metric)}, %", list(names), series, chance=chance))
    return pictures.dots(found, across=True)


def _bare(score: Score, paper: float | None) -> Score:
    return replace(score, chance=None, paper=paper)


def _data(part: Systems, paper: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    return {
        "paper": paper,
        "systems": {
            system: {m: {**found[m].cell().ends(), "seeds": found[m].seeds} for m in part.metrics}
            for system, found in part.scores.items()
        },
        "differences": [{"a": a, "b": b, "metric": c.metric, **_figures(c)} for a, b, c in part.differences],
    }


def _figures(comparison: Comparison) -> dict[str, Any]:
    return {key: getattr(comparison, key) for key in FIGURES}


def gain_report(
    title: str,
    part: Systems,
    *,
    paper: Mapping[str, Mapping[str, float]] | None = None,
    missing: Sequence[str] = (),
    notes: Sequence[str] = (),
    learned: Mapping[str, Sequence[Learning]] | None = None,
) -> Report:
    """Report the gain of one system over another, class by class.

    Args:
        title: the heading.
        part: two systems; its pair is (the gaining system, the reference), its metrics are the rows.
        paper: system -> {metric: a paper's score, a fraction}.
        missing, notes: sentences on excluded runs; further sentences.
        learned: system -> the verdicts on its runs.
    """
    paper, ((second, first),), learned = paper or {}, part.pairs, learned or {}
    differences = {c.metric: c for *_, c in part.differences}
    columns = ["%", first, second, *["gain (of the paper's)"] * bool(paper), "gain", "difference", "p (Holm)"]
    rows, data = [], []
    for metric, difference in differences.items():
        scores = {system: part.scores[system][metric] for system in (first, second)}
        printed = {system: paper.get(system, {}).get(metric) for system in (first, second)}
        cells = [_bare(scores[system], printed[system]).cell(spread=False) for system in scores]
        row = [metric_title(metric).removeprefix("recall "), *cells]
        row += [_gain(*printed.values())] * bool(paper) + [
            _gain(*(s.value for s in scores.values())),
            difference.cell(),
        ]
        known = difference.p_holm is not None and math.isfinite(difference.difference)
        rows.append([*row, f"{difference.p_holm:.3f}" if known else "–"])
        measured = {system: score.cell().ends() for system, score in scores.items()}
        data.append({"metric": metric, "measured": measured, "paper": printed, **_figures(difference)})
    whole = differences["uar"]
    table = Table("", columns, rows)
    short = ["accuracy", "uar"]
    series = {
        system: [_bare(part.scores[system][m], paper.get(system, {}).get(m)) for m in part.metrics]
        for system in (first, second)
    }
    names = [row[0] for row in rows]
    return Report(
        title=title,
        summary=[Table("", columns, [row for row, m in zip(rows, differences, strict=True) if m in short])],
        caution=" ".join([*untrained(learned), *([f"no p: {whole.without_p}."] if whole.without_p else [])]),
        sections=[
            f"{part.scale()} The gain is relative. Difference: paired, {whole.basis}; p values corrected for their number (Holm)."
            + (f" No p: {whole.without_p}." if whole.without_p else ""),
            table,
        ],
        missing=tuple(missing),
        head=(trained(learned),) if learned else (),
        notes=tuple(notes),
        data={"notes": [*missing, *faults(learned), *notes], "systems": [first, second], "rows": data},
        figures=[Picture("gain.png", CAPTION, partial(pictures.dots, [Panel(title, names, series)]))],
        name="gain",
    )


def _gain(a: float | None, b: float | None) -> str:
    return f"{100 * (b - a) / a:+.1f}" if a and b is not None and math.isfinite(a) and math.isfinite(b) else ""
