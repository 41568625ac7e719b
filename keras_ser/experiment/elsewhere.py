"""Score runs on another corpus: map its labels to the runs' classes, and compare its speakers with theirs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from keras_ser.checks import listed
from keras_ser.corpora import Corpus, CorpusError
from keras_ser.corpora.spelling import comparable, quoted, shown
from keras_ser.errors import UserError
from keras_ser.evaluation.learning import learning_of
from keras_ser.experiment.planning import tested
from keras_ser.experiment.rescoring import data_of, decode_in_cache, runs_of
from keras_ser.models import deterministic_model
from keras_ser.reports import Report, score_report
from keras_ser.settings import Stream, of_stream
from keras_ser.splits import LeakageError, Protocol, Split
from keras_ser.tasks import Task
from keras_ser.training import Data, Run
from keras_ser.training.heard import heard_by, heard_clips, heard_speakers, people_of

PROTOCOL = "other-corpus"
TRAINED = ("refuse", "drop", "keep")


@dataclass(frozen=True)
class Seen:
    """Speakers and clips of another corpus seen in a run's training or validation; `note` says what could not be compared."""

    speakers: tuple[str, ...] = ()
    clips: frozenset[str] = frozenset()
    note: str = ""


def without(corpus: Corpus, column: str, labels: Sequence[str]) -> Corpus:
    """Return the corpus without the clips of some labels, which need not be classes of the runs.

    Raises:
        UserError: no clip has one of the labels.
    """
    strays = [label for label in labels if label not in corpus.counts(column)]
    if strays:
        raise UserError(
            f"--ignore takes labels of {column!r}: {listed(corpus.counts(column), 30)}. Received: {strays[0]}."
        )
    return replace(corpus, utterances=tuple(u for u in corpus if u.column(column) not in labels))


def mapped(task: Task, corpus: Corpus, merge: Mapping[str, str] | None = None) -> Task:
    """Return the task with the labels of another corpus, merged or spelled differently (case, spaces).

    Raises:
        UserError: a target of `merge` is not a class of the task, or the corpus has a label in another spelling than `merge`.
        CorpusError: the corpus has labels that the task does not know.
    """
    merge = dict(merge or {})
    strays = sorted(set(merge.values()) - set(task.labels))
    if strays:
        raise UserError(f"--merge must map to a class: {', '.join(task.labels)}. Received: {', '.join(strays)}.")
    for value in corpus.counts(task.column):
        other = next((name for name in merge if name != value and comparable(name) == comparable(value)), None)
        if other is not None and value not in merge:
            raise UserError(f"--merge names {quoted(other)}, which no clip has. Did you mean {quoted(value)}?")
    known, unknown = {*task.labels, *dict(task.merge), *task.ignore, *merge}, {}
    spelled = {comparable(label): label for label in [*task.labels, *dict(task.merge)]}
    for value, count in corpus.counts(task.column).items():
        label = task.label(value, corpus.name)
        if label in known:
            continue
        alike = spelled.get(comparable(label))
        if alike is None:
            unknown[label] = count
        else:
            merge[label] = dict(task.merge).get(alike, alike)
    if unknown:
        found, first = ", ".join(f"{shown(label)} ({count})" for label, count in unknown.items()), next(iter(unknown))
        raise CorpusError(
            f"the classes of {task.name!r} are {', '.join(task.labels)}, and {corpus.name} has {found} as well. Map these labels "
            f"(--merge {first}={task.labels[0]}) or leave them out (--ignore {first})."
        )
    ignore = tuple(label for label in task.ignore if label not in merge)
    return replace(task, merge={**dict(task.merge), **merge}, ignore=ignore)


def seen(folder: Path, runs: Iterable[Run], corpus: Corpus, hashes: Mapping[str, str]) -> Seen:
    """Find the speakers and clips of another corpus that the runs of a folder used in training or validation.

    Args:
        folder: folder of a run or an experiment; for runs of earlier versions, its corpus is read again from its stored location.
        runs: its runs.
        corpus: the other corpus.
        hashes: id -> content hash of its clips.
    """
    told = [(run, heard_by(run)) for run in runs]
    earlier = [run for run, heard in told if heard is None or heard.audio is None]
    speakers, copies, note = _earlier(folder, earlier, corpus, hashes) if earlier else (set(), set(), "")
    people: set[str] = set()
    for heard in (heard for _, heard in told if heard):
        people |= heard.people
        copies |= heard.copies(corpus, hashes)
    speakers |= {u.speaker for u in corpus if u.speaker and people_of([u.speaker], corpus.name) <= people}
    clips = {u.id for u in corpus if u.speaker in speakers} | copies
    return Seen(tuple(sorted(speakers)), frozenset(clips), note)


def _earlier(
    folder: Path, runs: Sequence[Run], corpus: Corpus, hashes: Mapping[str, str]
) -> tuple[set[str], set[str], str]:
    """Return the speakers, the clips and the note of `seen` for runs of earlier versions, which do not list what they heard."""
    try:
        own = data_of(folder)
    except (UserError, OSError) as error:
        why = " ".join(str(error).split())
        note = f"It is unknown whether the runs were trained on speakers or recordings of this corpus: {why}"
        return set(), set(), note
    used = {i for run in runs for i in (*run.split.train, *run.split.validation)}
    trained = [u for u in own.corpus if u.id in used]
    people = people_of((u.speaker for u in trained if u.speaker), own.corpus.name)
    contents = {own.cache.hashes[u.id] for u in trained if u.id in own.cache.hashes}
    speakers = {u.speaker for u in corpus if u.speaker and people_of([u.speaker], corpus.name) <= people}
    copies = {i for i, content in hashes.items() if content in contents}
    for run in runs:
        # as an auxiliary corpus, or in the runs that its weights descend from
        if run.recipe.initial or corpus.name in {stream.corpus for stream in run.recipe.streams}:
            speakers |= heard_speakers(run, corpus)
            copies |= heard_clips(run, corpus) & set(hashes)
    others = {stream.corpus for run in runs for stream in run.recipe.streams} - {None, corpus.name}
    note = f"Not compared with the runs' auxiliary corpora {', '.join(sorted(others))}." if others else ""
    return speakers, copies, note


def evaluate_elsewhere(
    folder: Path,
    corpus: Corpus,
    *,
    merge: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
    trained: str = "refuse",
    bad: str = "raise",
    name: str = "",
    out: Path | str | None = None,
) -> tuple[Report, Path]:
    """Score a run, or all runs of an experiment, on another corpus; the predictions of a seed's folds are pooled.

    Args:
        folder: folder of the run or the experiment.
        corpus: the other corpus.
        merge: label of the corpus -> class of the main task.
        ignore: labels of the corpus to leave out.
        trained: treatment of clips of speakers, and copies of recordings, seen in training: "refuse", "drop" or "keep" (marked in
            the report).
        bad: treatment of unreadable files, "raise" or "drop".
        name: name of the corpus in the report. Default: the name of its root folder.
        out: where the report goes (default: a folder below `folder`, named after the corpus).

    Returns:
        The report, and its folder.

    Raises:
        UserError: `trained` has another value; several runs whose main task has clusters.
        LeakageError: the corpus has such clips and `trained` is "refuse", or it has no others.
        CorpusError: the corpus has labels unknown to the runs, or none of the main task.
    """
    if trained not in TRAINED:
        raise UserError(f"`trained` must be one of {', '.join(TRAINED)}. Received: {trained!r}.")
    runs, name = runs_of(folder), name or corpus.root.resolve().name or corpus.name
    recipe = runs[0].recipe
    main = recipe.tasks[0]
    if main.columns and len(runs) > 1:
        raise UserError(f"each run has clusters of {main.name!r} of its own: give one of the runs in {folder}.")
    if not corpus.counts(main.column):
        raise CorpusError(
            f"{corpus.name} has no {main.column!r} for any clip, which the runs predict. It has: "
            f"{listed([*corpus.vocabulary, *(c for c in ('gender', 'speaker') if corpus.counts(c))])}. Name the column: --columns "
            f"{main.column}=COLUMN."
        )
    classes = not (main.continuous or main.columns)
    corpus = without(corpus, main.column, ignore)
    recipe = _recipe(recipe, {main.name: mapped(main, corpus, merge)} if classes else {})
    for task in recipe.tasks[1:]:
        if corpus.counts(task.column) and not (task.continuous or task.columns or task.identity or of_stream(task)):
            # a task derived from the main task's labels is derived from the merged labels
            derived = {a: dict(task.merge).get(b, b) for a, b in (merge or {}).items() if task.column == main.column}
            recipe = _recipe(recipe, {task.name: mapped(task, corpus, derived)})
    data = decode_in_cache(folder, lambda where: Data.load(recipe, corpus, where, bad=bad))
    found = seen(folder, runs, corpus, data.cache.hashes)
    notes = [found.note] if found.note else []
    ids = [u.id for u in data.readable]
    if found.clips:
        who = f"speakers {listed(found.speakers)}" if found.speakers else "recordings"
        what = f"{who} of this corpus ({len(found.clips)} of {len(ids)} clips) have trained the runs"
        if trained == "refuse":
            raise LeakageError(
                f"{what}: their scores would be too high. Leave them out (--trained-speakers drop), or keep them, marked in the "
                "report (--trained-speakers keep)."
            )
        if trained == "drop":
            ids = [i for i in ids if i not in found.clips]
            if not ids:
                raise LeakageError(f"{what}, and nothing else is left to test.")
        notes.append(
            f"{what[0].upper()}{what[1:]}, and are {'left out' if trained == 'drop' else 'KEPT: scores are too high'}."
        )
    dependent = bool(found.clips) and trained == "keep"
    split = Split(PROTOCOL, 0, (), (), tuple(ids), apart=("speaker",), foreign=True)
    tables = []
    for run in runs:
        own = _recipe(recipe, {task.name: task for task in run.recipe.tasks if task.columns})  # clusters of the run
        tables.append(tested(replace(run, recipe=own, split=replace(split, fold=run.split.fold)), data, PROTOCOL))
    table = pd.concat(tables, ignore_index=True)
    clusters = {task.name for task in recipe.tasks if task.columns and len(runs) > 1}
    if clusters:
        notes.append(f"Not scored: {', '.join(sorted(clusters))}, of which each run has clusters of its own.")
    scored = [task for task in recipe.tasks if f"{task.name}/prediction" in table and not of_stream(task)]
    scored = [task for task in scored if task.name not in clusters]
    scored = [task for task in scored if task is recipe.tasks[0] or (table[task.name] != "").any()]
    pairs = ", ".join(f"{a} = {b}" for a, b in recipe.tasks[0].merge)
    notes += [f"Labels mapped to classes: {pairs}."] if pairs else []
    left = dict.fromkeys([*ignore, *recipe.tasks[0].ignore])
    notes += [f"Labels left out: {', '.join(left)}."] if left else []
    if len({run.split.fold for run in runs}) > 1:
        notes.append("The run of every fold predicts every clip, and their predictions are pooled.")
    made = score_report(
        table,
        scored,
        title=f"{recipe.name} on another corpus: {name}",
        protocols={PROTOCOL: {"description": "every clip of another corpus", "speaker_dependent": dependent}},
        notes=notes,
        deterministic=deterministic_model(runs[0].recipe),
        learned=[replace(run, protocol=PROTOCOL) for run in learning_of(runs)],
    )
    where = Path(out) if out else folder / ("on-" + re.sub("[^A-Za-z0-9._-]+", "-", name))
    made.save(where)
    return made, where


def _recipe(recipe, tasks: Mapping[str, Task]):
    """Return the recipe for testing: one clean stream, whole clips, and these tasks in place of its own."""
    return recipe.replace(
        tasks=tuple(tasks.get(task.name, task) for task in recipe.tasks),
        streams=(Stream("clips"),),
        protocols=(Protocol(PROTOCOL, "leave-one-out"),),
        shuffle=(),
        windows=None,
        paper=(),
    )
