"""scikit-learn's random forest on the features of a clip, a baseline in the papers' tables.

A model is fitted for each value of `leaf`, and the one with the best score on the validation set is kept.
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
    """Settings; the papers do not state any.

    Args:
        trees: number of trees.
        leaf: candidates for the minimum number of clips in a leaf.
        functionals: openSMILE's "eGeMAPSv02" or "ComParE_2016" instead of the front end's features. Default None.
    """

    trees: int = 300
    leaf: tuple[int, ...] = (1, 3, 10)
    functionals: str | None = None

    def __post_init__(self):
        settle(self)
        check_least(self, 1, "trees", "leaf")
        if not self.leaf or len(set(self.leaf)) < len(self.leaf):
            raise UserError(
                f"`leaf` must contain at least one number of clips, without duplicates. Received: {self.leaf}."
            )
        check_functionals(self.functionals)


def candidates(config: Config) -> list[dict[str, Any]]:
    """Return the settings to choose from on the validation set."""
    return [{"leaf": value} for value in config.leaf]


def estimator(config: Config, candidate: dict[str, Any], task: Task, seed: int = 0):
    """Return a scikit-learn pipeline for one task and one of `candidates`: (clips, features) -> probabilities, or values."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import make_pipeline

    kind = RandomForestRegressor if task.continuous else RandomForestClassifier
    options = {} if task.continuous else {"max_features": "sqrt"}
    return make_pipeline(
        kind(config.trees, min_samples_leaf=candidate["leaf"], random_state=seed, n_jobs=-1, **options)
    )
