"""Support vector machine on a clip's features: scikit-learn's, the yardstick of the papers' tables.

    standardisation (of the training side) -> SVC, or SVR for a continuous task

Each of `C` is trained, and the one with the best score on the validation side is kept. The scores that stand for probabilities are
the softmax of the decision values: ordered as the decisions are, not calibrated.
"""

from dataclasses import dataclass
from typing import Any

from keras_ser.audio.opensmile_functionals import check_functionals
from keras_ser.checks import check_choice, check_positive
from keras_ser.errors import UserError
from keras_ser.tasks import Task
from keras_ser.values import settle

KERNELS = ("rbf", "linear")
DETERMINISTIC = True  # the solver draws no numbers: other seeds would be the same run again
NOTE = "What stands for the probabilities of an SVM is the softmax of its decision values: not calibrated."


@dataclass(frozen=True)
class Config:
    """Settings; the papers state none.

    Args:
        C: candidates for the weight of the errors.
        kernel: "rbf" (gamma = 1 / (features x their variance), scikit-learn's "scale") or "linear".
        functionals: openSMILE's "eGeMAPSv02" or "ComParE_2016" instead of what the front end computes.
    """

    C: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    kernel: str = "rbf"
    functionals: str | None = None

    def __post_init__(self):
        settle(self)
        if not self.C or len(set(self.C)) < len(self.C):
            raise UserError(f"`C` must be at least one number, none of them twice. Received: {self.C}.")
        check_positive(self, "C")
        check_choice(self, "kernel", KERNELS)
        check_functionals(self.functionals)


def candidates(config: Config) -> list[dict[str, Any]]:
    """The settings to choose from on the validation side."""
    return [{"C": value} for value in config.C]


def estimator(config: Config, candidate: dict[str, Any], task: Task, seed: int = 0):
    """A scikit-learn pipeline for one task and one of `candidates`: (clips, features) -> classes, or values."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    options = {"kernel": config.kernel, **candidate}
    # with ties broken the class is that of the largest decision value, as it is for the scores handed on
    return make_pipeline(StandardScaler(), SVR(**options) if task.continuous else SVC(break_ties=True, **options))
