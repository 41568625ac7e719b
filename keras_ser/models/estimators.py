"""scikit-learn pipelines on the output of a front end, called like a whole Keras model: waveform in, scores out.

They are stored by skops, which does not load code, and cannot be exported, since TF Serving serves graphs.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from keras_ser.errors import UserError
from keras_ser.tasks import Task

# scikit-learn's own types, which skops requires to be listed
TRUSTED = ("sklearn.tree._tree.Tree",)


class Estimators:
    """One fitted pipeline for each task.

    Args:
        describe: {"waveform": (batch, samples), "length": (batch,)} -> (batch, features).
        pipelines: task -> scikit-learn pipeline.
        tasks: the tasks that they predict.
    """

    def __init__(self, describe: Callable, pipelines: Mapping[str, Any], tasks: Sequence[Task]):
        self.describe, self.pipelines, self.tasks = describe, dict(pipelines), tuple(tasks)

    def __call__(self, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Map {"waveform", "length"} to {task: (batch, classes), or (batch, 1) for a continuous task}, float32."""
        return self.judge(self.describe(given))

    def judge(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Map (batch, features) to {task: (batch, classes)}."""
        return {task.name: scores(self.pipelines[task.name], features, task) for task in self.tasks}

    def save(self, path: Path | str) -> None:
        from skops import io

        io.dump(self.pipelines, path)


def load_pipelines(path: Path | str) -> dict[str, Any]:
    """Load the pipelines that `Estimators.save` wrote.

    Raises:
        UserError: the file is damaged, or contains types other than scikit-learn's and NumPy's.
    """
    from skops import io

    try:
        strange = sorted(set(io.get_untrusted_types(file=path)) - set(TRUSTED))
        if strange:
            raise UserError(f"it holds {', '.join(strange)}, which skops does not trust")
        return io.load(path, trusted=list(TRUSTED))
    except Exception as error:
        raise UserError(
            f"{path} can't be loaded: {error}. Remove {Path(path).parent} and run the recipe again."
        ) from error


def scores(pipeline, features: np.ndarray, task: Task) -> np.ndarray:
    """Score features (batch, features): probabilities or the softmax of decision values, (batch, classes), float32.

    A continuous task gives its values, (batch, 1). Classes that the pipeline was not trained on score 0.
    """
    if task.continuous:
        return np.asarray(pipeline.predict(features), "float32")[:, None]
    if hasattr(pipeline, "predict_proba"):
        found = pipeline.predict_proba(features)
    else:
        values = pipeline.decision_function(features)
        if values.ndim == 1:  # two classes: one value, of the second against the first
            values = np.stack([-values / 2, values / 2], axis=1)
        found = softmax(values, axis=1)
    every = np.zeros((len(features), task.size), "float32")
    every[:, pipeline.classes_] = found
    return every
