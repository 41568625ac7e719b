"""`Predictor`: one interface to a run or an export, and predictions for files in bounded memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio import AudioError, info, pad, read_with_problems
from keras_ser.errors import UserError
from keras_ser.models import model_flags
from keras_ser.pipelines.batching import BATCH_CLIPS, grouped
from keras_ser.serving.facts import find_export, read_facts
from keras_ser.tasks import Task

BATCH_SECONDS = 120.0  # padded audio that is scored at once
# further outputs of a model that tell the user something when they are True
FLAGS = {name: flag.warning for name, flag in model_flags().items()}


@dataclass(frozen=True)
class Predictor:
    """A trained model that takes decoded audio.

    Args:
        name: Name of the model.
        tasks: The tasks it answers.
        sample_rate: Sample rate of the waveforms in Hz.
        max_seconds: Longest clip.
        score: (waveform (batch, samples), lengths (batch,)) -> {output: (batch, ..)}.
        facts: An export's assets/keras_ser.json; {} for a run.
        centre_seconds: Longer clips are centre-cropped to this duration; 0 means they are not cropped.
    """

    name: str
    tasks: tuple[Task, ...]
    sample_rate: int
    max_seconds: float
    score: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]] = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    centre_seconds: float = 0.0

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Predictor":
        """Load the folder of a run, of an experiment of one run, of an export, or of a model's versions (the newest).

        Raises:
            UserError: The folder is none of these.
        """
        export = find_export(path)
        return _of_export(export) if export is not None else _of_run(path)

    def __call__(self, waveforms: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """Predict one answer per clip.

        Args:
            waveforms: (samples,) float32 each, at `sample_rate`.

        Returns:
            {task: {"label", "score", "probabilities": {label: p}}}, {task: {"value"}} for a continuous task, and the model's
            further outputs, the flags, by name.
        """
        outputs = self.score(*pad(waveforms))
        further = [name for name in outputs if "/" not in name]
        return [
            {task.name: answer(task, outputs[output(task)][i]) for task in self.tasks}
            | {name: outputs[name][i].item() for name in further}
            for i in range(len(waveforms))
        ]


def output(task: Task) -> str:
    """Name the output that holds a task's probabilities or value."""
    return f"{task.name}/{'value' if task.continuous else 'probabilities'}"


def answer(task: Task, values: np.ndarray) -> dict[str, Any]:
    """Convert one clip's probabilities (classes,), or its value () or (1,); see `Predictor.__call__`."""
    if task.continuous:
        return {"value": float(np.reshape(values, ()))}
    best = int(np.argmax(values))
    by_label = {label: float(p) for label, p in zip(task.labels, values, strict=True)}
    return {"label": task.labels[best], "score": float(values[best]), "probabilities": by_label}


def columns(task: Task) -> list[str]:
    """List a task's columns in a CSV, named as in predictions.csv."""
    names = ["prediction"] if task.continuous else ["prediction", "score", *task.labels]
    return [f"{task.name}/{name}" for name in names]


def cells(task: Task, found: Mapping[str, Any]) -> list[Any]:
    """Convert an `answer` to these columns."""
    if task.continuous:
        return [found["value"]]
    return [found["label"], found["score"], *(found["probabilities"][label] for label in task.labels)]


def _of_export(folder: Path) -> Predictor:
    facts = read_facts(folder)

    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
    except (tf.errors.OpError, OSError, IndexError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder} is damaged and cannot be loaded ({reason}). Export the run again.") from error
    predict = loaded.signatures["predict"]

    def score(waveform, lengths):
        found = predict(waveform=tf.constant(waveform), lengths=tf.constant(lengths))
        return {name: value.numpy() for name, value in found.items()}

    # a signature does not keep the variables of its model alive
    score.model = loaded
    tasks = tuple(Task.from_dict(task) for task in facts["tasks"])
    seconds = facts["recipe"]["frontend"].get("seconds", 0.0)
    return Predictor(facts["name"], tasks, facts["sample_rate"], facts["max_seconds"], score, facts, seconds)


def _of_run(path: str | os.PathLike) -> Predictor:
    from keras_ser.serving.saved_model import MAX_SECONDS
    from keras_ser.training.inference import forward
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
    return Predictor(run.recipe.name, run.recipe.tasks, frontend.sample_rate, MAX_SECONDS, score, {}, frontend.seconds)


def predict_files(predictor: Predictor, paths: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """Yield (path, answer) for each file in order; for an unusable file, one line with the reason takes the answer's place.

    An answer lists the problems of its file (`keras_ser.audio.problems`), if any, under "problems".
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
        waveforms = [x for _, x, _ in group if not isinstance(x, str)]
        answers = iter(predictor(waveforms) if waveforms else ())
        for path, x, problems in group:
            yield path, x if isinstance(x, str) else next(answers) | ({"problems": problems} if problems else {})


def read_short(path: Path, sample_rate: int, max_seconds: float) -> tuple[np.ndarray | None, float, list[str]]:
    """Read a file: (samples,), or None where it is longer than `max_seconds`; its seconds; its problems. Raises AudioError."""
    seconds = info(path).seconds
    if seconds > max_seconds:
        return None, seconds, []
    waveform, problems = read_with_problems(path, sample_rate)
    seconds = len(waveform) / sample_rate  # not every header states the length
    return (waveform if seconds <= max_seconds else None), seconds, problems


def read_clip(path: Path, sample_rate: int, max_seconds: float) -> tuple[np.ndarray, list[str]]:
    """Read a file, (samples,), and its problems; raises AudioError where it cannot be read or is longer than `max_seconds`."""
    waveform, seconds, problems = read_short(path, sample_rate, max_seconds)
    if waveform is None:
        raise AudioError(
            f"{path}: expected at most {max_seconds:g} s, received {seconds:.1f} s. Cut it, or use predict --timeline."
        )
    return waveform, problems
