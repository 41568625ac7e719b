"""`Predictor`: one interface to a run or an export, and predictions for files in bounded memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ser.audio import AudioError, pad
from keras_ser.errors import UserError
from keras_ser.pipelines.batching import BATCH_CLIPS, grouped
from keras_ser.progress import track
from keras_ser.serving.facts import FACTS, centre_seconds, find_export, read_facts
from keras_ser.serving.inputs import clips, read_clip
from keras_ser.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

    from keras_ser.training.run import Run

BATCH_SECONDS = 120.0  # padded audio that is scored at once
EXPORTS = "or of an export (NAME or NAME/VERSION)"


@dataclass(frozen=True, repr=False)
class Predictor:
    """A trained model that takes decoded audio.

    Args:
        name: Name of the model.
        tasks: The tasks it predicts.
        sample_rate: Sample rate of the waveforms in Hz.
        max_seconds: Longest clip.
        score: (waveform (batch, samples), lengths (batch,)) -> {output: (batch, ..)}.
        facts: An export's assets/keras_ser.json; {} for a run.
        centre_seconds: Longer clips are centre-cropped to this duration; 0 means they are not cropped.
        flags: The outputs that belong to no task.
    """

    name: str
    tasks: tuple[Task, ...]
    sample_rate: int
    max_seconds: float
    score: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]] = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    centre_seconds: float = 0.0
    flags: tuple[str, ...] = ()

    def __repr__(self) -> str:
        tasks = (f"{task.name} ({len(task.labels)} labels)" if task.labels else task.name for task in self.tasks)
        return f"<Predictor {self.name}: {', '.join(tasks)}; {self.sample_rate} Hz, up to {self.max_seconds:g} s>"

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Predictor":
        """Load the folder of a run, of an experiment of one run, of an export, or of a model's versions (the newest).

        Raises:
            UserError: The folder is none of these.
        """
        export = find_export(path)
        if export is not None:
            return _of_export(export)
        from keras_ser.training.run import Run

        return of_runs([Run.load(Run.find(path, EXPORTS))])

    def predict(
        self,
        inputs: Any,
        sampling_rate: float | None = None,
        *,
        as_frame: bool = False,
        bad: str = "raise",
        verbose: bool = True,
    ) -> "list[dict[str, Any]] | pd.DataFrame":
        """Predict audio files or waveforms of any sampling rate.

        Args:
            inputs: a path, a folder, a waveform (samples,), waveforms of one length (clips, samples), a mapping with "array" and
                "sampling_rate", or a sequence of these.
            sampling_rate: sampling rate of the waveforms in Hz.
            as_frame: Return a pandas DataFrame with the columns of `keras-ser predict --format csv`, then "problems" and "error".
                All columns are always present.
            bad: treatment of a clip that cannot be read or is too long, or of a missing file: "raise" an error, or "keep" its
                place, with the reason as "error".
            verbose: Show a progress bar.

        Returns:
            A list with a dict per clip: "file" (for files), the predictions of `__call__`, and "problems" of its audio, if any.

        Raises:
            AudioError: a clip cannot be read, is empty, or is longer than `max_seconds`.
            UserError: an input has another type.
        """
        if bad not in ("raise", "keep"):
            raise UserError(f"`bad` must be 'raise' or 'keep'. Received: {bad!r}.")
        every = list(clips(inputs, sampling_rate, keep_missing=bad == "keep"))
        readers = (
            (c, partial(c.read, self.sample_rate, self.max_seconds)) for c in track(every, "files", shown=verbose)
        )
        found = []
        for clip, answer in _answered(self, readers):
            if isinstance(answer, str) and bad == "raise":
                raise AudioError(answer)
            file = {} if clip.file is None else {"file": str(clip.file)}
            found.append(file | ({"error": answer} if isinstance(answer, str) else answer))
        return self._frame(found) if as_frame else found

    def _frame(self, found: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
        import pandas as pd

        names = (column for task in self.tasks for column in columns(task))
        every = ["file", *names, *self.flags, "problems", "error"]
        return pd.DataFrame([flat(self.tasks, answer) for answer in found], columns=every)

    def __call__(self, waveforms: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """Return one prediction per clip.

        Args:
            waveforms: (samples,) float32 each, at `sample_rate`.

        Returns:
            {task: {"label", "score", "probabilities": {label: p}}}, {task: {"value"}} for a continuous task, and the model's
            further outputs, the flags, by name.
        """
        outputs = self.score(*pad(waveforms))
        return [
            {task.name: answer(task, outputs[output(task)][i]) for task in self.tasks}
            | {name: outputs[name][i].item() for name in self.flags}
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


def flat(tasks: Sequence[Task], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a prediction to a table row: the columns of its tasks, other entries unchanged, problems joined to one text."""
    known, row = {task.name: task for task in tasks}, {}
    for name, value in answer.items():
        if name in known:
            row |= zip(columns(known[name]), cells(known[name], value), strict=True)
        else:
            row[name] = ", ".join(value) if name == "problems" else value
    return row


def _of_export(folder: Path) -> Predictor:
    facts = read_facts(folder)
    try:
        tasks = tuple(Task.from_dict(task) for task in facts["tasks"])
        # earlier versions only stored the recipe of the first run
        seconds = facts.get("centre_seconds", facts["recipe"]["frontend"].get("seconds", 0.0))
    except (UserError, KeyError, AttributeError) as error:
        raise UserError(f"{folder / FACTS} is damaged ({error}). Export the run again.") from error

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
    flags = tuple(sorted(name for name in predict.structured_outputs if "/" not in name))
    return Predictor(facts["name"], tasks, facts["sample_rate"], facts["max_seconds"], score, facts, seconds, flags)


def of_runs(runs: Sequence["Run"]) -> Predictor:
    """Return the predictor of a run, or of the mean probabilities and values of several runs of a recipe, e.g. folds or seeds.

    A front end shared by networks computes its features once (see `averaging`). Raises UserError for runs of different tasks,
    classes or clusters, which are fitted on the training set of each fold.
    """
    from keras_ser.serving.averaging import averaged, check_together

    check_together(runs)
    if len(runs) > 1 and any(run.kind != "network" for run in runs):
        return mean_predictor([of_runs([run]) for run in runs])

    from keras_ser.serving.saved_model import MAX_SECONDS
    from keras_ser.training.inference import forward

    models, recipe = [run.model() for run in runs], runs[0].recipe
    infer = forward(models[0], averaged(runs, models) if len(runs) > 1 else None)

    def score(waveform, lengths):
        found = {name: np.asarray(value) for name, value in infer({"waveform": waveform, "length": lengths}).items()}
        for task in recipe.tasks:
            values = found.pop(task.name)
            found[output(task)] = values[:, 0] if task.continuous else values
        return found

    names = {task.name for task in recipe.tasks}
    flags = tuple(sorted({name for model in models for name in getattr(model, "output", ())} - names))
    rate, seconds = recipe.frontend.sample_rate, centre_seconds(run.recipe.frontend.seconds for run in runs)
    return Predictor(recipe.name, recipe.tasks, rate, MAX_SECONDS, score, {}, seconds, flags)


def predict_files(predictor: Predictor, paths: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """Yield (path, prediction) for each file in order; for an unusable file, one line with the reason takes the prediction's place.

    A prediction lists the problems of its file (`keras_ser.audio.problems`), if any, under "problems".
    """

    rate, most = predictor.sample_rate, predictor.max_seconds
    yield from _answered(predictor, ((path, partial(read_clip, path, rate, most)) for path in paths))


def _answered(
    predictor: Predictor, clips: Iterable[tuple[Any, Callable[[], tuple[np.ndarray, list[str]]]]]
) -> Iterator[tuple[Any, dict[str, Any] | str]]:
    """(key, read) -> (key, prediction), or (key, reason) of a clip that `read` refuses; few clips are in memory at a time."""

    def waveforms() -> Iterator[tuple[Any, np.ndarray | str, list[str]]]:
        for key, read in clips:
            try:
                yield key, *read()
            except AudioError as error:
                yield key, str(error), []

    def seconds(clip: tuple[Any, np.ndarray | str, list[str]]) -> float:
        return 0.0 if isinstance(clip[1], str) else len(clip[1]) / predictor.sample_rate

    for group in grouped(waveforms(), seconds, BATCH_CLIPS, BATCH_SECONDS):
        usable = [x for _, x, _ in group if not isinstance(x, str)]
        answers = iter(predictor(usable) if usable else ())
        for key, x, problems in group:
            yield key, x if isinstance(x, str) else next(answers) | ({"problems": problems} if problems else {})


def mean_predictor(predictors: Sequence[Predictor]) -> Predictor:
    """Average the probabilities and values of several models of one recipe, e.g. of its folds or seeds.

    A flag is set where any of them sets it, as in an export of several runs (`averaging`).
    """
    first = predictors[0]

    def score(waveform, lengths):
        every = [predictor.score(waveform, lengths) for predictor in predictors]
        together = {name: np.stack([np.asarray(found[name]) for found in every]) for name in every[0]}
        return {name: x.mean(axis=0) if "/" in name else x.any(axis=0) for name, x in together.items()}

    return replace(first, score=score, centre_seconds=centre_seconds(each.centre_seconds for each in predictors))
