"""Random forest on a clip's features: scikit-learn's, a baseline of the papers' tables.

Each of `leaf` is trained, and the one with the best score on the validation side is kept.
"""

from dataclasses import dataclass
from typing import Any

from keras_ser.audio.opensmile_functionals import check_functionals
from keras_ser.checks import check_least
from keras_ser.errors import UserError
from keras_ser.tasks import Task
from keras_ser.values import settle


@dataclass(frozen=True)
class Config:
    """Settings; the papers state none.

    Args:
        trees: of the forest.
        leaf: candidates for the fewest clips of a leaf.
        functionals: openSMILE's "eGeMAPSv02" or "ComParE_2016" instead of what the front end computes.
    """

    trees: int = 300
    leaf: tuple[int, ...] = (1, 3, 10)
    functionals: str | None = None

    def __post_init__(self):
        settle(self)
        check_least(self, 1, "trees", "leaf")
        if not self.leaf or len(set(self.leaf)) < len(self.leaf):
            raise UserError(f"`leaf` must be at least one number of clips, none of them twice. Received: {self.leaf}.")
        check_functionals(self.functionals)


def candidates(config: Config) -> list[dict[str, Any]]:
    """The settings to choose from on the validation side."""
    return [{"leaf": value} for value in config.leaf]


def estimator(config: Config, candidate: dict[str, Any], task: Task, seed: int = 0):
    """A scikit-learn pipeline for one task and one of `candidates`: (clips, features) -> probabilities, or values."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import make_pipeline

    kind = RandomForestRegressor if task.continuous else RandomForestClassifier
    options = {} if task.continuous else {"max_features": "sqrt"}
    return make_pipeline(
        kind(config.trees, min_samples_leaf=candidate["leaf"], random_state=seed, n_jobs=-1, **options)
    )
