"""Predictions of a run, clip by clip, by the saved whole model, which is also the served one."""

from collections.abc import Iterator, Sequence

import numpy as np

from keras_ser.models.estimators import Estimators
from keras_ser.pipelines.sources import Source, waveforms
from keras_ser.recipe import Recipe
from keras_ser.settings import of_stream
from keras_ser.splits import Split
from keras_ser.tasks import Task
from keras_ser.training.data import Data
from keras_ser.training.inference import features, forward, gathered
from keras_ser.training.run import Run


def scored_streams(recipe: Recipe, foreign: bool = False) -> list[int]:
    """Return the numbers of the streams to score: the first one of the recipe's own corpus, or all of them if a task has
    labels from streams (`of_stream`). With `foreign`, streams of other corpora that teach the main task are taken instead."""
    own = [k for k, stream in enumerate(recipe.streams) if (stream.teaches if foreign else not stream.corpus)]
    return own if any(map(of_stream, recipe.tasks)) else own[:1]


def own_source(run: Run, data: Data, side: str = "test", split: Split | None = None) -> Source:
    """Return a side of a run's split (or of another one) in the first stream of its own corpus."""
    return data.source(run.recipe, scored_streams(run.recipe)[0], split or run.split, side, run.seed)


def judged(tasks: Sequence[Task], split: Split, side: str = "test") -> tuple[Task, ...]:
    """Return the tasks that can be scored on a side: all but identity tasks whose identities do not occur in training."""
    apart = split.apart if side == "test" or (side == "validation" and split.validation_apart) else ()
    return tuple(task for task in tasks if not (task.identity and task.column in apart))


def predict(model, recipe: Recipe, data: Data, split: Split, side: str = "test", seed: int = 0, group: str = "speaker"):
    """Predict a side of a split: one row per clip and scored stream, with truth, prediction and probabilities of each task.

    Args:
        model: {"waveform", "length"} -> {task: (batch, classes)}, a run's `model()`.
        recipe: its tasks and streams are used.
        data: the decoded corpora.
        split: the split.
        side: "train", "validation" or "test" (default).
        seed: draws the noises of noisy streams. Default 0, for every run: all systems and seeds are tested on the same clips.
        group: column stored as "group", over whose values confidence intervals are computed. Default "speaker".

    Returns:
        pandas.DataFrame of the tasks that can be `judged`: stream, id, speaker, gender, group, then `<task>`,
        `<task>/prediction`, `<task>/<label>`, and the model's flags (`keras_ser.models.model_flags`).
    """
    import pandas as pd

    tables = []
    for k in scored_streams(recipe):
        source = data.source(recipe, k, split, side, seed)
        outputs, extra = gathered(_answers(model, recipe, source, seed))
        utterances = [data.corpus.utterances[i] for i in extra["index"]]
        columns = {
            "stream": source.name,
            "id": [u.id for u in utterances],
            "speaker": [u.speaker or "" for u in utterances],
            "gender": [u.gender or "" for u in utterances],
            "group": [str(u.column(group) or "") for u in utterances],
        }
        for task in judged(recipe.tasks, split, side):
            if of_stream(task):
                truth = [task.labels[source.mixed[task.name][i]] for i in extra["mixed"]]
            else:
                truth = truths(task, utterances, data.corpus.name)
            columns |= _columns(task, truth, outputs[task.name])
        tasks = {task.name for task in recipe.tasks}
        columns |= {name: value for name, value in outputs.items() if name not in tasks}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _answers(model, recipe: Recipe, source: Source, seed: int) -> Iterator:
    """Yield ({task: scores}, {"index", "mixed"}) of the clips of a stream, batch by batch."""
    if isinstance(model, Estimators):
        found, extra = features(recipe, source, model.describe, seed)
        yield model.judge(found), extra
        return
    infer = forward(model)
    for given, extra in waveforms(source, source.draw(seed)):
        yield infer(given), extra


def truths(task: Task, utterances: Sequence, corpus: str) -> list:
    """Return a task's label of each utterance of a recipe's own corpus: a string ("" if missing) or a float (nan if missing)."""
    encoded = [task.encode_utterance(u, corpus) for u in utterances]
    missing = float("nan") if task.continuous else ""
    return [task.decode(value) if weight else missing for value, weight in encoded]


def _columns(task: Task, truth: list, output: np.ndarray) -> dict:
    if task.continuous:
        return {task.name: truth, f"{task.name}/prediction": output[:, 0]}
    chosen = [task.labels[i] for i in output.argmax(-1)]
    probabilities = {f"{task.name}/{label}": output[:, i] for i, label in enumerate(task.labels)}
    return {task.name: truth, f"{task.name}/prediction": chosen, **probabilities}
