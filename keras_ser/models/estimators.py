"""scikit-learn pipelines behind a front end, called as a whole Keras model is: waveform in, scores out.

They are stored by skops, which loads no code, and are not exported: TF Serving serves graphs.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from keras_ser.errors import UserError
from keras_ser.tasks import Task

# scikit-learn's own, which skops names one by one
TRUSTED = ("sklearn.tree._tree.Tree",)


class Estimators:
    """One fitted pipeline for each task.

    Args:
        describe: {"waveform": (batch, samples), "length": (batch,)} -> (batch, features).
        pipelines: task -> scikit-learn pipeline.
        tasks: what they answer.
    """

    def __init__(self, describe: Callable, pipelines: Mapping[str, Any], tasks: Sequence[Task]):
        self.describe, self.pipelines, self.tasks = describe, dict(pipelines), tuple(tasks)

    def __call__(self, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """{"waveform", "length"} -> {task: (batch, classes), or (batch, 1) of a continuous task}, float32."""
        return self.judge(self.describe(given))

    def judge(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """(batch, features) -> {task: (batch, classes)}."""
        return {task.name: scores(self.pipelines[task.name], features, task) for task in self.tasks}

    def save(self, path: Path | str) -> None:
        from skops import io

        io.dump(self.pipelines, path)


def load_pipelines(path: Path | str) -> dict[str, Any]:
    """What `Estimators.save` wrote.

    Raises:
        ValueError: the file holds something that is not scikit-learn's or NumPy's own, or is damaged.
    """
    from skops import io

    try:
        strange = sorted(set(io.get_untrusted_types(file=path)) - set(TRUSTED))
        if strange:
            raise UserError(f"it holds {', '.join(strange)}, which skops does not trust")
        return io.load(path, trusted=list(TRUSTED))
    except Exception as error:
        raise UserError(f"{path} can't be loaded: {error}. Train the run again.") from error


def scores(pipeline, features: np.ndarray, task: Task) -> np.ndarray:
    """(batch, classes): probabilities, or the softmax of decision values; of a continuous task (batch, 1) its values.

    A class that the pipeline was not trained on has 0.
    """
    if task.continuous:
        return np.asarray(pipeline.predict(features), "float32")[:, None]
    if hasattr(pipeline, "predict_proba"):
        found = pipeline.predict_proba(features)
    else:
        values = pipeline.decision_function(features)
        if values.ndim == 1:  # two classes: the value of the second against the first
            values = np.stack([-values / 2, values / 2], axis=1)
        found = softmax(values, axis=1)
    every = np.zeros((len(features), task.size), "float32")
    every[:, pipeline.classes_] = found
    return every
