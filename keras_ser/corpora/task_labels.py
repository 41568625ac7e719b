"""Check that a corpus has the labels of a task."""

import difflib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.corpora.spelling import comparable, difference, quoted, shown
from keras_ser.errors import UserError
from keras_ser.tasks import Task

# least number of clips of a label that becomes a class without being named: one for each of five folds
FEWEST = 5


def open_labels(task: Task, *corpora: Corpus) -> list[str]:
    """Return the classes of a task that names none: all labels of the corpora, merged, without those that it ignores.

    Raises:
        CorpusError: a label with fewer than `FEWEST` clips.
    """
    merge, counts = dict(task.merge), Counter()
    for corpus in corpora:
        for value, count in corpus.counts(task.column).items():
            counts[merge.get(value, value)] += count
    counts = {label: count for label, count in sorted(counts.items()) if label not in task.ignore}
    rare = {label: count for label, count in counts.items() if count < FEWEST}
    numbers = any(isinstance(u.column(task.column), float) for corpus in corpora for u in corpus)
    if rare and not numbers:  # `check_task` rejects numbers
        found = ", ".join(f"{shown(label)} ({count})" for label, count in rare.items())
        frequent = [label for label in counts if label not in rare]
        first = next(iter(rare))
        alike = [label for label in frequent if comparable(label) == comparable(first)]
        into = {first: (alike or frequent or ["OTHER"])[0]}
        key = f"--set 'tasks.{task.name}."
        raise CorpusError(
            f"labels that become classes of the task {task.name!r} need at least {FEWEST} clips each. Received: {found}. Leave "
            f"them out ({key}ignore={json.dumps(list(rare))}'), merge them ({key}merge={json.dumps(into)}'), or name all classes "
            f"({key}labels={json.dumps(list(counts))}')."
        )
    return list(counts)


def clustered(task: Task, utterances: Iterable[Utterance]) -> Task:
    """Return a task of several columns with the clusters of these utterances as classes, by k-means with ten starts.

    Raises:
        UserError: fewer distinct points than clusters.
    """
    from sklearn.cluster import KMeans

    found = [numbers for numbers in map(task.coordinates, utterances) if numbers is not None]
    if len(set(found)) < len(task.labels):
        raise UserError(
            f"the task {task.name!r} needs {len(task.labels)} different points to cluster. Received: {len(set(found))} on the "
            "training side."
        )
    means = KMeans(len(task.labels), n_init=10, random_state=0).fit(found).cluster_centers_
    return replace(task, centres=sorted(tuple(map(float, mean)) for mean in means))


def check_task(task: Task, *corpora: Corpus, way: str | None = None) -> None:
    """Raise CorpusError for corpora with labels that do not match a task.

    Args:
        task: the task.
        *corpora: the corpora that are trained on together; the message names the first.
        way: remedy for the message to propose; default: options that change the task.

    Raises:
        CorpusError: no clip has the task's column, a label is unknown to the task, a class has no clip, or there are fewer than
            two classes; the message has the counts of all labels.
    """
    name, counts = corpora[0].name, Counter()
    if task.columns:
        found = sum(task.coordinates(u) is not None for corpus in corpora for u in corpus)
        if found < len(task.labels):
            raise CorpusError(
                f"the task {task.name!r} divides {' and '.join(task.columns)} into {len(task.labels)} clusters, and {name} has "
                f"{found} clips with these numbers."
            )
        return
    for corpus in corpora:
        for value, count in corpus.counts(task.column).items():
            counts[task.label(value, corpus.name, corpus is not corpora[0])] += count
    if not counts:
        # list every column of the corpus, in case the label has another name
        columns = [*corpora[0].vocabulary, *(c for c in ("gender", "speaker") if corpora[0].counts(c))]
        if way is None and name == "manifest" and columns:
            way = f"it has {listed(columns)}; name the column with --columns {task.column}=COLUMN, or choose a variant without it"
        way = way or (
            "name it in --metadata CSV (of a manifest in its own column), train it on an auxiliary corpus (--aux-corpus NAME "
            "--aux-root DIR), or choose a variant without it"
        )
        raise CorpusError(f"{name} has no {task.column!r} for any clip, and the task {task.name!r} needs it: {way}.")
    if task.continuous:
        return
    values = {u.column(task.column) for corpus in corpora for u in corpus}
    numbers = [] if task.cuts else sorted(value for value in values if isinstance(value, float))
    if numbers:
        raise CorpusError(
            f"{name} has numbers in {task.column!r} ({listed(numbers)}), and the task {task.name!r} has classes: write "
            "them as words, or have the manifest read that column as text (its option labels), or divide the numbers "
            "by the task's cuts."
        )
    merge = dict(task.merge)
    given = {value for value in values if isinstance(value, str)}
    for asked in (*merge, *task.ignore):
        # names that the corpus lacks are usual in recipes for several corpora; those that resemble a label are mistakes
        near = difflib.get_close_matches(str(asked), sorted(given - set(merge) - set(task.ignore)), 1, 0.8)
        if near and asked not in given and asked not in task.labels:
            kind = "merge" if asked in merge else "ignore"
            raise CorpusError(
                f"`{kind}` of the task {task.name!r} names {asked!r}, which no clip has. Did you mean {near[0]!r}?"
            )
    known = {merge.get(value, value) for value in counts}
    unknown = [] if task.identity else sorted(known - set(task.labels) - set(task.ignore))
    lacking = [label for label in task.labels if label not in known]
    if unknown or lacking or len(task.labels) < 2:
        has = sorted(known - set(task.ignore))
        found = ", ".join(f"{shown(value)} ({count})" for value, count in counts.items())
        alike = {value: label for label in task.labels for value in unknown if comparable(value) == comparable(label)}
        if alike:
            said = ", ".join(
                f"{quoted(value)} is {label!r} up to {difference((value, label))}" for value, label in alike.items()
            )
            found += f" ({said}: --set 'tasks.{task.name}.merge={json.dumps(alike)}')"
        lacks = f", and lacks {', '.join(lacking)}" if lacking else ""
        if way is None:
            way = "rename the corpus's labels, or use the task's merge and ignore"
            way += f", or --set 'tasks.{task.name}.labels={json.dumps(has)}'" if len(has) > 1 else ""
        way += "" if len(has) > 1 else "; a task needs at least two classes"
        raise CorpusError(
            f"the task {task.name!r} has the classes {', '.join(task.labels)}; {name} has {found}{lacks}. Make them agree: {way}."
        )
