"""Whether a corpus has the labels that a task is to learn."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance, listed
from keras_ser.corpora.spelling import shown
from keras_ser.errors import UserError
from keras_ser.tasks import Task


def clustered(task: Task, utterances: Iterable[Utterance]) -> Task:
    """The task of several columns with the clusters of these utterances, by k-means with ten starts.

    Raises:
        UserError: fewer different points than clusters.
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
    """Refuse corpora whose labels are not a task's.

    Args:
        task: what is to be learnt.
        *corpora: where it is to be learnt from, together; the first gives the message its name.
        way: what the message proposes, instead of options that change the task.

    Raises:
        CorpusError: no clip has the task's column, a label that the task does not know, a class without a clip, fewer than two
            classes; the message has the counts of all labels.
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
    known = {merge.get(value, value) for value in counts}
    unknown = [] if task.identity else sorted(known - set(task.labels) - set(task.ignore))
    lacking = [label for label in task.labels if label not in known]
    if unknown or lacking or len(task.labels) < 2:
        has = sorted(known - set(task.ignore))
        found = ", ".join(f"{shown(value)} ({count})" for value, count in counts.items())
        lacks = f", and lacks {', '.join(lacking)}" if lacking else ""
        if way is None:
            way = "rename the corpus's labels, or use the task's merge and ignore"
            way += f", or --set 'tasks.{task.name}.labels={json.dumps(has)}'" if len(has) > 1 else ""
        way += "" if len(has) > 1 else "; a task needs at least two classes"
        raise CorpusError(
            f"the task {task.name!r} has the classes {', '.join(task.labels)}; {name} has {found}{lacks}. Make them agree: {way}."
        )
