"""Cut clips into overlapping windows, each an utterance of its own: augmentation, and a possible cause of leaks.

Windows of one clip share most of their samples. Each has its clip as the group "origin", so that a split keeps them on one side
unless its protocol declares a leak (`Protocol.together`).
"""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_ser.audio import AudioError, duration
from keras_ser.checks import listed
from keras_ser.corpora import Corpus, CorpusError, Utterance, check_task
from keras_ser.pipelines.augmentation import Windows
from keras_ser.tasks import Task


def cut_windows(corpus: Corpus, windows: Windows, task: Task) -> Corpus:
    """Cut every clip that has a label of a task into windows, balanced over the task's classes.

    A clip of d seconds gives 1 + floor((1 - share) d / hop) windows of share * d seconds, from its beginning.

    Args:
        corpus: the corpus to cut.
        windows: settings of the windows.
        task: the task to balance; clips without a label for it, or with one that it ignores, are left out.

    Returns:
        The corpus of the windows. Clips with unreadable files are kept uncut, for the waveform cache to report.

    Raises:
        CorpusError: labels that do not fit the task (`check_task`); a class without a readable clip, or with fewer windows than
            requested; `windows.each` for a continuous task.
    """
    check_task(task, corpus)
    if windows.each and task.continuous:
        raise CorpusError(f"{task.name!r} has no classes to balance: set windows.each=0.")
    by_class, unreadable = _by_class(corpus, windows, task)
    if windows.each:
        each = min(windows.each, *map(len, by_class.values())) if windows.fewer else windows.each
        few = {label: len(cut) for label, cut in by_class.items() if len(cut) < each}
        if few:
            counts = ", ".join(f"{label} {count}" for label, count in few.items())
            raise CorpusError(
                f"{corpus.name} must give {each} windows of each {task.name}. It has fewer: {counts}. Ask for fewer "
                "(--set windows.each=N, 0 = all, or --set windows.fewer=true), or cut more (windows.hop_seconds)."
            )
        rng = np.random.default_rng(0)
        by_class = {
            label: [cut[i] for i in np.sort(rng.choice(len(cut), each, replace=False))]
            for label, cut in sorted(by_class.items())
        }
    return dataclasses.replace(
        corpus, utterances=(*unreadable, *(cut for found in by_class.values() for cut in found)), expected={}, flaws=()
    )


def _by_class(corpus: Corpus, windows: Windows, task: Task) -> tuple[dict[Any, list[Utterance]], list[Utterance]]:
    """Return label -> windows, and the clips with files that can't be read, which the waveform cache reports or drops."""
    known = [(u, *task.encode_utterance(u, corpus.name)) for u in corpus]
    known = [(u, task.decode(value)) for u, value, weight in known if weight]
    with ThreadPoolExecutor(8) as pool:
        seconds = list(pool.map(lambda item: _seconds(corpus, item[0]), known))
    by_class: dict[Any, list[Utterance]] = {}
    unreadable: dict[Any, list[Utterance]] = {}
    for (utterance, label), length in zip(known, seconds, strict=True):
        if length is None:
            unreadable.setdefault(label, []).append(utterance)
        else:
            by_class.setdefault(label, []).extend(_windows(utterance, length, windows))
    for label in sorted(set(unreadable) - set(by_class)) if not task.continuous else ():
        raise CorpusError(
            f"{corpus.name} has no readable clip of {label}: repair {listed(u.path for u in unreadable[label])}."
        )
    return by_class, [utterance for found in unreadable.values() for utterance in found]


def _seconds(corpus: Corpus, utterance: Utterance) -> float | None:
    """Return the duration in seconds; None if the file can't be read or holds no samples."""
    try:
        end = utterance.end if utterance.end is not None else duration(corpus.file(utterance))
    except AudioError:
        return None
    seconds = end - (utterance.start or 0.0)
    return seconds if seconds > 0 else None


def _windows(utterance: Utterance, seconds: float, windows: Windows) -> list[Utterance]:
    length = windows.share * seconds
    count = 1 + math.floor((seconds - length) / windows.hop_seconds + 1e-9)
    first, origin = utterance.start or 0.0, utterance.groups.get("origin", utterance.id)
    return [
        dataclasses.replace(
            utterance,
            id=f"{utterance.id}@{i:03d}",
            start=round(first + i * windows.hop_seconds, 6),
            end=round(first + i * windows.hop_seconds + length, 6),
            groups={**utterance.groups, "origin": origin},
        )
        for i in range(count)
    ]
