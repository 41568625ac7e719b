"""`Predictor`: one way to ask a run or an export, and files in, answers out in bounded memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio import AudioError, info, pad, read_with_problems
from keras_ser.errors import UserError
from keras_ser.pipelines.batching import BATCH_CLIPS, grouped
from keras_ser.serving.facts import find_export, read_facts
from keras_ser.tasks import Task

BATCH_SECONDS = 120.0  # of what is scored at once, with the padding


@dataclass(frozen=True)
class Predictor:
    """A trained model that takes decoded audio.

    Args:
        name: the model's.
        tasks: what it answers.
        sample_rate: Hz of the waveforms it takes.
        max_seconds: of a clip.
        facts: an export's assets/keras_ser.json; {} of a run.
        heard_seconds: of a longer clip only the middle of this length is heard; 0 = all of it.
        score: (waveform (batch, samples), lengths (batch,)) -> {output: (batch, ..)}.
    """

    name: str
    tasks: tuple[Task, ...]
    sample_rate: int
    max_seconds: float
    score: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]] = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    heard_seconds: float = 0.0

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Predictor":
        """From the folder of a run, of an experiment of one run, of an export, or of a model's versions (the newest is taken).

        Raises:
            ValueError: the folder is none of these.
        """
        export = find_export(path)
        return _of_export(export) if export is not None else _of_run(path)

    def __call__(self, waveforms: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """One answer a clip: {task: {"label", "score", "probabilities": {label: p}}}, {task: {"value"}} of a continuous task.

        Args:
            waveforms: (samples,) float32 each, at `sample_rate`.
        """
        outputs = self.score(*pad(waveforms))
        found = []
        for i in range(len(waveforms)):
            told: dict[str, Any] = {task.name: answer(task, outputs[output(task)][i]) for task in self.tasks}
            found.append(told | ({"emptied": bool(outputs["emptied"][i])} if "emptied" in outputs else {}))
        return found


def output(task: Task) -> str:
    """Name of the output that holds a task's probabilities or value."""
    return f"{task.name}/{'value' if task.continuous else 'probabilities'}"


def answer(task: Task, values: np.ndarray) -> dict[str, Any]:
    """One clip's probabilities (classes,), or value () or (1,), in words: see `Predictor.__call__`."""
    if task.continuous:
        return {"value": float(np.reshape(values, ()))}
    best = int(np.argmax(values))
    by_label = {label: float(p) for label, p in zip(task.labels, values, strict=True)}
    return {"label": task.labels[best], "score": float(values[best]), "probabilities": by_label}


def columns(task: Task) -> list[str]:
    """A task's columns in a CSV, named as in predictions.csv."""
    names = ["prediction"] if task.continuous else ["prediction", "score", *task.labels]
    return [f"{task.name}/{name}" for name in names]


def cells(task: Task, told: Mapping[str, Any]) -> list[Any]:
    """An `answer` in these columns."""
    if task.continuous:
        return [told["value"]]
    return [told["label"], told["score"], *(told["probabilities"][label] for label in task.labels)]


def _of_export(folder: Path) -> Predictor:
    facts = read_facts(folder)

    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
    except (tf.errors.OpError, OSError, IndexError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder} is damaged and can't be loaded ({reason}). Export the run again.") from error
    predict = loaded.signatures["predict"]

    def score(waveform, lengths):
        found = predict(waveform=tf.constant(waveform), lengths=tf.constant(lengths))
        return {name: value.numpy() for name, value in found.items()}

    # a signature does not keep the variables of its model alive
    score.model = loaded
    tasks = tuple(Task.from_dict(task) for task in facts["tasks"])
    heard = facts["recipe"]["frontend"].get("seconds", 0.0)
    return Predictor(facts["name"], tasks, facts["sample_rate"], facts["max_seconds"], score, facts, heard)


def _of_run(path: str | os.PathLike) -> Predictor:
    from keras_ser.serving.export import MAX_SECONDS
    from keras_ser.training.predict import forward
    from keras_ser.training.run import Run

    run = Run.load(Run.find(path))
    infer = forward(run.model())

    def score(waveform, lengths):
        found = {name: np.asarray(value) for name, value in infer({"waveform": waveform, "length": lengths}).items()}
        for task in run.recipe.tasks:
            values = found.pop(task.name)
            found[output(task)] = values[:, 0] if task.continuous else values
        return found

    frontend = run.recipe.frontend
    return Predictor(
        run.recipe.name, run.recipe.tasks, frontend.sample_rate, MAX_SECONDS, score, heard_seconds=frontend.seconds
    )


def predict_files(predictor: Predictor, paths: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """(path, answer) of each file, in order; instead of an answer, one line that says why there is none.

    An answer has what is odd about its file (see `keras_ser.audio.problems`) as "problems", where there is any.
    """

    def clips() -> Iterator[tuple[Path, np.ndarray | str, list[str]]]:
        for path in paths:
            try:
                yield path, *read_clip(path, predictor.sample_rate, predictor.max_seconds)
            except AudioError as error:
                yield path, str(error), []

    def seconds(clip: tuple[Path, np.ndarray | str, list[str]]) -> float:
        return 0.0 if isinstance(clip[1], str) else len(clip[1]) / predictor.sample_rate

    for group in grouped(clips(), seconds, BATCH_CLIPS, BATCH_SECONDS):
        yield from _answered(predictor, group)


def read_clip(path: Path, sample_rate: int, max_seconds: float) -> tuple[np.ndarray, list[str]]:
    """(samples,) float32 of a file that may be as long as `max_seconds`, and what is odd about it.

    Raises:
        AudioError: it is longer, or can't be read.
    """
    seconds = info(path).seconds
    if seconds <= max_seconds:
        waveform, odd = read_with_problems(path, sample_rate)
        # not every header tells
        seconds = len(waveform) / sample_rate
    if seconds > max_seconds:
        raise AudioError(
            f"{path}: expected at most {max_seconds:g} s, received {seconds:.1f} s. Cut it, or use predict --timeline."
        )
    return waveform, odd


def _answered(predictor: Predictor, waiting: Sequence[tuple[Path, np.ndarray | str, list[str]]]) -> Iterator:
    waveforms = [x for _, x, _ in waiting if not isinstance(x, str)]
    answers = iter(predictor(waveforms) if waveforms else ())
    for path, x, odd in waiting:
        yield path, x if isinstance(x, str) else next(answers) | ({"problems": odd} if odd else {})
