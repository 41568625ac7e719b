"""The announcement before training: what will be trained, and roughly how long it takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_ser.cli.progress import duration
from keras_ser.machine import cores
from keras_ser.models import model_module

START = 20.0  # core seconds before a run starts training (graph tracing)
FUNCTIONALS = 40.0  # seconds of speech that openSMILE processes per second of one core, once per corpus
SLOW_CORES = "on cores like those of a 2.6 GHz server; a GPU is faster"


def announcement(recipes: Mapping[str, Any], data: Any, todo: Sequence[tuple[str, Any]]) -> list[str]:
    """Return lines on the classes, the runs still to be trained and the estimated time.

    Args:
        recipes: system -> recipe, its classes filled in from the corpus.
        data: the `keras_ser.training.Data`.
        todo: (system, job) of each unfinished run.
    """
    first = next(iter(recipes.values()))
    task, corpus = first.tasks[0], data.readable
    counts = {label: 0 for label in task.labels}
    for utterance in corpus:
        label = task.label(utterance.column(task.column), corpus.name)
        label = dict(task.merge).get(label, label)
        counts[label] = counts.get(label, 0) + (label in counts)
    said = ", ".join(f"{label} {counts[label]}" for label in task.labels)
    speakers = len(corpus.counts("speaker"))
    lines = [f"{task.name}: {said}; {len(corpus)} clips of {speakers or 'unknown'} speakers"]
    if todo:
        seconds = sum(expected_seconds(recipes[name], data, job) for name, job in todo)
        if any(getattr(recipes[name].config, "functionals", None) for name, _ in todo):
            seconds += float(data.cache.lengths.sum()) / data.cache.sample_rate / FUNCTIONALS / cores()
        measured = [recipes[name] for name, _ in todo if hasattr(model_module(recipes[name].model), "speed")]
        runs = ", ".join(f"{sum(name == n for n, _ in todo)} of {name}" for name in dict.fromkeys(n for n, _ in todo))
        lines.append(f"to train: {runs}; about {duration(seconds)} on {cores()} cores")
        if measured:
            epochs = measured[0].epochs
            lines[-1] += f" (estimated from the length of the clips, {epochs} epochs at most; {SLOW_CORES})"
    return lines


def expected_seconds(recipe: Any, data: Any, job: Any) -> float:
    """Return the estimated training time of a run in seconds; 1 for a model without `speed`."""
    rate = data.cache.sample_rate
    lengths = dict(zip(data.cache.ids, data.cache.lengths / rate, strict=True))
    speed = getattr(model_module(recipe.model), "speed", None)
    if speed is None:
        return 1.0
    most = recipe.sampling.frames * recipe.frontend.hop / rate if recipe.sampling.kind == "crop" else float("inf")
    heard = sum(min(lengths.get(i, 0.0), most) for i in job.split.train)
    judged = sum(lengths.get(i, 0.0) for i in job.split.validation) / 3  # forward alone
    own = START + recipe.epochs * (heard + judged) / speed(recipe.config) / cores()
    return own + (expected_seconds(recipe.first, data, job) if recipe.first is not None else 0.0)
