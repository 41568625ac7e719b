"""What is unusual about the clips of an experiment, in sentences."""

from collections import Counter

from keras_ser.checks import counted, listed
from keras_ser.tasks import Task
from keras_ser.training import Data


def notes_on_clips(data: Data) -> list[str]:
    """Return sentences on files that could not be read, on clips that are unusual but kept, and on copies."""
    found = []
    if data.cache.dropped:
        found.append(
            f"{counted(len(data.cache.dropped), 'file')} could not be read, and left out: {listed(data.cache.dropped)}."
        )
    unusual = [i for i, kinds in data.cache.problems.items() if set(kinds) - {"clipped"}]
    if unusual:
        found.append(
            f"{len(unusual)} clip{'s are' if len(unusual) > 1 else ' is'} unusual but kept: {listed(unusual)} (see "
            "`keras-ser corpus check`)."
        )
    same = Counter(data.cache.hashes.values())
    copies = [i for i, content in data.cache.hashes.items() if same[content] > 1]
    if copies:
        found.append(f"{len(copies)} clips have the same audio as another, and more weight: {listed(copies)}.")
    return found


def unlabelled_note(task: Task, data: Data) -> list[str]:
    """Return a sentence on the clips of the corpus without a label of the task, which it does not score; none if all have one."""
    lacking = [u.id for u in data.readable if u.column(task.column) is None]
    if task.identity or task.columns or not lacking:
        return []
    return [f"{len(lacking)} of {len(data.readable)} clips have no {task.column}: {listed(lacking)}."]
