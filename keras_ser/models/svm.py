"""scikit-learn's support vector machine on the features of a clip, the reference in the papers' tables.

    standardisation (of the training set) -> SVC, or SVR for a continuous task

A model is fitted for each value of `C`, and the one with the best score on the validation set is kept. Its scores are
the softmax of the decision values: they rank classes as the decisions do, but are not calibrated probabilities.
"""

from dataclasses import dataclass
from typing import Any

from keras_ser.audio.opensmile_functionals import check_functionals
from keras_ser.checks import check_choice, check_positive
from keras_ser.errors import UserError
from keras_ser.tasks import Task
from keras_ser.values import settle

KERNELS = ("rbf", "linear")
DETERMINISTIC = True  # the solver is not random, so that all seeds would give the same run
NOTE = "The probabilities of an SVM are the softmax of its decision values and are not calibrated."


@dataclass(frozen=True)
class Config:
    """Settings; the papers do not state any.

    Args:
        C: candidates for scikit-learn's C, the weight of the errors.
        kernel: "rbf" (gamma = 1 / (features x their variance), scikit-learn's "scale") or "linear".
        functionals: openSMILE's "eGeMAPSv02" or "ComParE_2016" instead of the front end's features. Default None.
    """

    C: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    kernel: str = "rbf"
    functionals: str | None = None

    def __post_init__(self):
        settle(self)
        if not self.C or len(set(self.C)) < len(self.C):
            raise UserError(f"`C` must contain at least one number, without duplicates. Received: {self.C}.")
        check_positive(self, "C")
        check_choice(self, "kernel", KERNELS)
        check_functionals(self.functionals)


def candidates(config: Config) -> list[dict[str, Any]]:
    """Return the settings to choose from on the validation set."""
    return [{"C": value} for value in config.C]


def estimator(config: Config, candidate: dict[str, Any], task: Task, seed: int = 0):
    """Return a scikit-learn pipeline for one task and one of `candidates`: (clips, features) -> classes, or values."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    options = {"kernel": config.kernel, **candidate}
    # break_ties: the predicted class is that of the largest decision value, consistent with the scores
    return make_pipeline(StandardScaler(), SVR(**options) if task.continuous else SVC(break_ties=True, **options))
