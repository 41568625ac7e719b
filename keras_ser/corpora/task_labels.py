"""Check that a corpus has the labels of a task."""

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.corpora.spelling import comparable, difference, quoted, shown, spellings
from keras_ser.errors import UserError
from keras_ser.tasks import Task

# least number of clips of a label that becomes a class without being named: one for each of five folds
FEWEST = 5


def open_labels(task: Task, *corpora: Corpus) -> list[str]:
    """Return the classes of a task that names none: all labels of the corpora, merged, without those that it ignores.

    Raises:
        CorpusError: labels that differ in spelling alone, or a label with fewer than `FEWEST` clips.
    """
    found = Counter()
    for corpus in corpora:
        found.update(corpus.counts(task.column))
    counts = {label: count for label, count in sorted(_merged(task, found).items()) if label not in task.ignore}
    if any(isinstance(u.column(task.column), float) for corpus in corpora for u in corpus):
        return list(counts)  # `check_task` rejects numbers
    _check_spellings(replace(task, labels=tuple(counts)), found, named=False)
    rare = {label: count for label, count in counts.items() if count < FEWEST}
    if rare:
        frequent = [label for label in counts if label not in rare]
        into = dict(task.merge) | {next(iter(rare)): (frequent or ["OTHER"])[0]}
        raise CorpusError(
            f"labels that become classes of the task {task.name!r} need at least {FEWEST} clips each. Received: "
            f"{', '.join(f'{shown(label)} ({count})' for label, count in rare.items())}. Leave them out "
            f"({_setting(task, 'ignore', [*task.ignore, *rare])}), merge them ({_setting(task, 'merge', into)}), or name all "
            f"classes ({_setting(task, 'labels', list(counts))})."
        )
    return list(counts)


def _merged(task: Task, counts: Mapping[str, int]) -> Counter:
    merge, merged = dict(task.merge), Counter()
    for value, count in counts.items():
        merged[merge.get(value, value)] += count
    return merged


def _setting(task: Task, name: str, value: object) -> str:
    """Return the option that changes a field of a task."""
    return f"--set 'tasks.{task.name}.{name}={json.dumps(value)}'"


def _check_spellings(task: Task, counts: Mapping[str, int], named: bool = True) -> None:
    """Refuse classes that differ in spelling alone.

    Args:
        task: the task, its classes filled in.
        counts: label of the corpora -> number of clips.
        named: whether the task names its classes, so that they must be changed as well.

    Raises:
        CorpusError: the message has the merge of all spellings into the most frequent ones.
    """
    groups, clips, merge = spellings(task.labels), _merged(task, counts), dict(task.merge)
    if not groups:
        return
    into = {label: max(group, key=lambda one: (clips[one], one.islower())) for group in groups for label in group}
    merge = {value: into.get(label, label) for value, label in ({value: value for value in counts} | merge).items()}
    merge = {value: label for value, label in merge.items() if value != label}
    changes = [_setting(task, "merge", merge)] if merge else []
    changes += [_setting(task, "labels", [a for a in task.labels if into.get(a, a) == a])] if named else []
    found = "; ".join(
        f"{' = '.join(f'{quoted(label)} ({clips[label]})' for label in group)} up to {difference(group)}"
        for group in groups
    )
    raise CorpusError(
        f"classes of the task {task.name!r} must differ in more than their spelling. Received: {found}. Merge them "
        f"({' '.join(changes)}), or correct the corpus."
    )


def clustered(task: Task, utterances: Iterable[Utterance], every: Iterable[Utterance]) -> Task:
    """Return a task of several columns with clusters as classes, by k-means with ten starts.

    Args:
        task: the task, whose labels name the clusters.
        utterances: those that the clusters are fitted to, e.g. the training set of a fold.
        every: all utterances of the corpus, which only name the clusters: the labels name the clusters of all utterances, sorted
            by the first column, then the second, .., and a fitted cluster has the label of its counterpart there (the assignment
            with the smallest sum of squared distances). Thus a label is the same cluster in all folds.

    Raises:
        UserError: fewer distinct points than clusters.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    fitted, named = _means(task, utterances), _means(task, every)
    _, order = linear_sum_assignment(cdist(named, fitted, "sqeuclidean"))
    return replace(task, centres=[fitted[k] for k in order])


def _means(task: Task, utterances: Iterable[Utterance]) -> list[tuple[float, ...]]:
    """Return the centres of as many clusters as the task has labels, in rising order."""
    from sklearn.cluster import KMeans

    found = [numbers for numbers in map(task.coordinates, utterances) if numbers is not None]
    if len(set(found)) < len(task.labels):
        raise UserError(
            f"the task {task.name!r} needs {len(task.labels)} different points to cluster. Received: {len(set(found))} on the "
            "training set."
        )
    means = KMeans(len(task.labels), n_init=10, random_state=0).fit(found).cluster_centers_
    return sorted(tuple(map(float, mean)) for mean in means)


def check_task(task: Task, *corpora: Corpus, way: str | None = None) -> None:
    """Raise CorpusError for corpora with labels that do not match a task.

    Args:
        task: the task.
        *corpora: the corpora that are trained on together; the message names the first.
        way: remedy for the message to propose; default: options that change the task.

    Raises:
        CorpusError: no clip has the task's column, a label is unknown to the task, a class has no clip, classes differ in spelling
            alone, or there are fewer than two classes; the message has the counts of all labels.
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
        others = sorted(given - set(merge) - set(task.ignore))
        near = [label for label in others if comparable(label) == comparable(str(asked))]
        if merge.get(asked) in near:  # another spelling of the class, of another corpus
            continue
        near = near or difflib.get_close_matches(str(asked), others, 1, 0.8)
        if near and asked not in given and asked not in task.labels:
            kind = "merge" if asked in merge else "ignore"
            raise CorpusError(
                f"`{kind}` of the task {task.name!r} names {asked!r}, which no clip has. Did you mean {near[0]!r}?"
            )
    _check_spellings(task, counts)
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
            found += f" ({said}: --set 'tasks.{task.name}.merge={json.dumps(merge | alike)}')"
        lacks = f", and lacks {', '.join(lacking)}" if lacking else ""
        if way is None:
            way = "rename the corpus's labels, or use the task's merge and ignore"
            fewer = "; a task needs at least two classes"
            way += f", or --set 'tasks.{task.name}.labels={json.dumps(has)}'" if len(has) > 1 else fewer
        raise CorpusError(
            f"the task {task.name!r} has the classes {', '.join(task.labels)}; {name} has {found}{lacks}. Make them agree: {way}."
        )
