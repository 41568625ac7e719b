"""KerasTuner's oracles, asked for settings and told their scores."""

import math
import sys
import warnings
from pathlib import Path

import keras_tuner
from sklearn.exceptions import ConvergenceWarning

from keras_ser.errors import UserError
from keras_ser.recipe import Recipe
from keras_ser.tuning.space import Choice, Space, whole_numbers

METHODS = {
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "random": keras_tuner.oracles.RandomSearchOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}


class Proposals(keras_tuner.Tuner):
    """The settings proposed by a method, in the chief process alone: KerasTuner's own chief and workers are not used.

    Several settings may be requested before the first is scored; the Bayesian oracle assumes a pessimistic estimate of their
    scores. The same scores in the same order give the same proposals.

    Args:
        method: one of `METHODS`.
        recipe: recipe whose first seed is used.
        space: the search space.
        trials: maximum number of proposals.
        folder: folder of the search; KerasTuner writes to its subfolder tuner/.
    """

    def __init__(self, method: str, recipe: Recipe, space: Space, trials: int, folder: Path):
        numbers = keras_tuner.HyperParameters()
        for each in space:
            if isinstance(each, Choice):
                numbers.Choice(each.key, list(each.values))
                continue
            sampling = "log" if each.log else "linear"
            if whole_numbers(recipe, each.key):
                numbers.Int(each.key, int(each.low), int(each.high), sampling=sampling)
            else:
                numbers.Float(each.key, each.low, each.high, sampling=sampling)
        oracle = METHODS[method](
            objective=keras_tuner.Objective("score", "max"),
            max_trials=trials,
            hyperparameters=numbers,
            seed=recipe.seeds[0] + 1,  # KerasTuner takes 0 for no seed
            # settings that diverge do not end the search
            max_consecutive_failed_trials=sys.maxsize,
        )
        oracle.verbose = 0
        # A continued search starts anew: with the same scores the method proposes the same trials, whose finished runs are read,
        # not trained. KerasTuner does not restore its own state completely.
        super().__init__(oracle=oracle, directory=folder, project_name="tuner", overwrite=True)

    def run_trial(self, trial, **_):
        raise NotImplementedError("trials are run by `keras_ser.tuning.search`.")

    def ask(self):
        """Return KerasTuner's next trial; None if there is none, or none before another is scored."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of a Gaussian process on few trials
            # each trial has its own tuner id
            trial = self.oracle.create_trial(f"trial-{len(self.oracle.trials)}")
        return trial if trial.status == "RUNNING" else None

    def redraw(self, trial, attempt: int) -> None:
        """Replace a trial's setting by a random one: the Bayesian oracle may propose a setting again that it has the score of."""
        numbers, draw = trial.hyperparameters, f"{self.oracle.seed}-{trial.trial_id}-{attempt}"
        numbers.values = {each.name: each.random_sample(f"{draw}-{each.name}") for each in numbers.space}

    def tell(self, trial, score: float | None) -> None:
        """Report the score of a trial; None = it failed."""
        if score is not None:
            self.oracle.update_trial(trial.trial_id, {"score": score})
        trial.status = "FAILED" if score is None else "COMPLETED"
        self.on_trial_end(trial)


def check_grid(space: Space, trials: int | None) -> int:
    """Return the size of a grid; raise UserError for ranges, or for more settings than `trials`."""
    ranges = [str(each) for each in space if not isinstance(each, Choice)]
    if ranges:
        raise UserError(f"a grid takes choices only (KEY=A,B[,..]). Received: {', '.join(ranges)}.")
    settings = math.prod(len(each.values) for each in space)
    if trials and settings > trials:
        raise UserError(
            f"the grid has {settings} settings, more than {trials} trials: set --trials {settings} or remove values."
        )
    return settings
