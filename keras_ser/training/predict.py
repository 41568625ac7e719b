"""A run's predictions, clip by clip, through the saved whole model: what is served is what is scored."""

from collections.abc import Sequence

import numpy as np

from keras_ser.pipelines.streams import waveforms
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.tasks import Task
from keras_ser.training.data import NOISE_TASK, Data


def predict(model, recipe: Recipe, data: Data, split: Split, side: str = "test", seed: int = 0, group: str = "speaker"):
    """One row a clip: truth, prediction and probabilities of each task, on each stream of the recipe's own corpus.

    Args:
        model: {"waveform", "length"} -> {task: (batch, classes)}.
        recipe: its tasks and streams.
        data: the decoded corpora.
        split: the split; side: which of its sides.
        seed: draws the noises of noisy streams.
        group: the column that the bootstrap resamples.

    Returns:
        pandas.DataFrame: stream, id, speaker, gender, group, then `<task>`, `<task>/prediction`, `<task>/<label>`.
    """
    import pandas as pd

    tables = []
    for k, stream in enumerate(recipe.streams):
        if stream.corpus or (k and not any(task.name == NOISE_TASK for task in recipe.tasks)):
            continue
        source = data.source(recipe, k, split, side, seed)
        outputs: dict[str, list] = {task.name: [] for task in recipe.tasks}
        noises, indices = [], []
        for given, extra in waveforms(source, seed=seed):
            for name, value in model.predict_on_batch(given).items():
                outputs[name].append(np.asarray(value, "float32"))
            indices.append(np.asarray(extra["index"]))
            noises.append(np.asarray(extra["noise"]))
        utterances = [data.corpus.utterances[i] for i in np.concatenate(indices)]
        columns = {
            "stream": stream.name,
            "id": [u.id for u in utterances],
            "speaker": [u.speaker or "" for u in utterances],
            "gender": [u.gender or "" for u in utterances],
            "group": [str(u.column(group) or "") for u in utterances],
        }
        for task in recipe.tasks:
            if task.name == NOISE_TASK:
                truth = [task.labels[i] for i in np.concatenate(noises)]
            else:
                truth = truths(task, utterances)
            columns |= _columns(task, truth, np.concatenate(outputs[task.name]))
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def truths(task: Task, utterances: Sequence) -> list:
    """The task's label of each utterance: a string ("" where missing), or a float (nan where missing)."""
    encoded = [task.encode(u.column(task.column)) for u in utterances]
    missing = float("nan") if task.continuous else ""
    return [task.decode(value) if weight else missing for value, weight in encoded]


def _columns(task: Task, truth: list, output: np.ndarray) -> dict:
    if task.continuous:
        return {task.name: truth, f"{task.name}/prediction": output[:, 0]}
    chosen = [task.labels[i] for i in output.argmax(-1)]
    probabilities = {f"{task.name}/{label}": output[:, i] for i, label in enumerate(task.labels)}
    return {task.name: truth, f"{task.name}/prediction": chosen, **probabilities}
