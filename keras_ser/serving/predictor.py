"""`Predictor`: one way to ask a run or an export, and files in, answers out in bounded memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio.io import SOUNDFILE, VIDEO, AudioError, info, read
from keras_ser.serving.facts import find_export, read_facts
from keras_ser.tasks import Task

BATCH_CLIPS, BATCH_SECONDS = 32, 120.0  # what is scored at once, at most; seconds with the padding


@dataclass(frozen=True)
class Predictor:
    """A trained model that takes decoded audio.

    Args:
        name: the model's.
        tasks: what it answers.
        sample_rate: Hz of the waveforms it takes.
        max_seconds: of a clip.
        facts: an export's assets/keras_ser.json; {} of a run.
        score: (waveform (batch, samples), lengths (batch,)) -> {output: (batch, ..)}.
    """

    name: str
    tasks: tuple[Task, ...]
    sample_rate: int
    max_seconds: float
    score: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]] = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

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
        lengths = np.array([len(x) for x in waveforms], np.int32)
        padded = np.zeros((len(waveforms), lengths.max()), np.float32)
        for row, x in zip(padded, waveforms, strict=True):
            row[: len(x)] = x
        outputs = self.score(padded, lengths)
        return [self._answer({name: value[i] for name, value in outputs.items()}) for i in range(len(waveforms))]

    def _answer(self, row: Mapping[str, np.ndarray]) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for task in self.tasks:
            if task.continuous:
                answer[task.name] = {"value": float(row[f"{task.name}/value"])}
                continue
            values = row[f"{task.name}/probabilities"]
            best = int(np.argmax(values))
            by_label = {label: float(p) for label, p in zip(task.labels, values, strict=True)}
            answer[task.name] = {"label": task.labels[best], "score": float(values[best]), "probabilities": by_label}
        if "emptied" in row:
            answer["emptied"] = bool(row["emptied"])
        return answer


def _of_export(folder: Path) -> Predictor:
    facts = read_facts(folder)

    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    predict = loaded.signatures["predict"]

    def score(waveform, lengths):
        found = predict(waveform=tf.constant(waveform), lengths=tf.constant(lengths))
        return {name: value.numpy() for name, value in found.items()}

    # a signature does not keep the variables of its model alive
    score.model = loaded
    tasks = tuple(Task.from_dict(task) for task in facts["tasks"])
    return Predictor(facts["name"], tasks, facts["sample_rate"], facts["max_seconds"], score, facts)


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
            found |= {f"{task.name}/value": values[:, 0]} if task.continuous else {f"{task.name}/probabilities": values}
        return found

    return Predictor(run.recipe.name, run.recipe.tasks, run.recipe.frontend.sample_rate, MAX_SECONDS, score)


def audio_files(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """The files that are named, and all audio and video files below the folders that are named, sorted.

    Raises:
        ValueError: a path that is not there, or a folder without any.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            known = SOUNDFILE | VIDEO
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in known and not p.name.startswith("."))
            if not below:
                raise ValueError(f"expected audio files below {path}, found none.")
            found += below
        elif not path.exists():
            raise ValueError(f"expected a file or a folder. Received: {path}, where there is none.")
        else:
            found.append(path)
    return found


def predict_files(predictor: Predictor, paths: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """(path, answer) of each file, in order; instead of an answer, one line that says why there is none."""
    waiting: list[tuple[Path, np.ndarray | str]] = []
    longest = 0.0  # seconds
    for path in paths:
        try:
            waveform: np.ndarray | str = _read(predictor, path)
        except AudioError as error:
            waveform = str(error)
        seconds = 0.0 if isinstance(waveform, str) else len(waveform) / predictor.sample_rate
        padded = (len(waiting) + 1) * max(longest, seconds)
        if waiting and (len(waiting) == BATCH_CLIPS or padded > BATCH_SECONDS):
            yield from _answered(predictor, waiting)
            waiting, longest = [], 0.0
        waiting.append((path, waveform))
        longest = max(longest, seconds)
    yield from _answered(predictor, waiting)


def _read(predictor: Predictor, path: Path) -> np.ndarray:
    seconds = info(path).seconds
    if seconds <= predictor.max_seconds:
        waveform = read(path, predictor.sample_rate)
        seconds = len(waveform) / predictor.sample_rate
    if seconds > predictor.max_seconds:
        raise AudioError(
            f"{path}: expected at most {predictor.max_seconds:g} s, received {seconds:.1f} s. Cut it, or use --timeline."
        )
    return waveform


def _answered(predictor: Predictor, waiting: Sequence[tuple[Path, np.ndarray | str]]) -> Iterator:
    waveforms = [x for _, x in waiting if not isinstance(x, str)]
    answers = iter(predictor(waveforms) if waveforms else ())
    for path, x in waiting:
        yield path, x if isinstance(x, str) else next(answers)
