"""Train a run of a trial, in a worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_ser.corpora import CorpusError
from keras_ser.engines import must_see
from keras_ser.errors import DivergenceError, UserError
from keras_ser.evaluation.learning import Learning, judge
from keras_ser.experiment.failures import reason_of_job
from keras_ser.experiment.planning import Job
from keras_ser.files import lock
from keras_ser.recipe import Recipe
from keras_ser.training import Data, RunError, fit
from keras_ser.training.loop import monitored, smoothed
from keras_ser.tuning.pruning import Stopped, check_stopped, curve, stopper
from keras_ser.tuning.trial import width

OWNER = "search.json"


@dataclass(frozen=True)
class Outcome:
    """The result of a run."""

    score: float = float("nan")  # score of the kept epoch
    epoch: int = 0  # the kept epoch
    curve: tuple[float, ...] = ()  # see `pruning.curve`
    stopped: int = 0  # the epoch after which it was stopped; 0 = not stopped
    learned: Learning | None = None  # the verdict on its training, if it was trained to its end
    failed: str = ""  # why it has no score
    again: bool = False  # see `Trial`


def train_run(
    data: Data, tried: Recipe, job: Job, target: Path, bar: Sequence[float] | None, whole: bool, options: Mapping
) -> Outcome:
    """Train one run of a trial, or read it if it is finished.

    Args:
        bar: minimum scores from `pruning.medians`; None = train to the end.
        whole: whether the run is of the unchanged recipe, without which there is no search.
    """
    must_see(target.parents[3] / OWNER)
    try:
        # a worker presumed dead may still be training it
        with lock(target):
            check_stopped(tried, target, bar or ())
            if bar:
                options = {**options, "on_epoch": stopper(tried, target, bar, options.get("on_epoch"))}
            run = fit(tried, data, job.split, target, job.seed, **options)
    except Stopped as stop:
        return Outcome(stop.score, stop.kept, stop.curve, stop.epoch)
    except Exception as error:
        reason = reason_of_job(error, target)
        # a bug of this package, or an unchanged recipe that cannot be trained, ends the search
        if reason is None or (whole and not isinstance(error, DivergenceError)):
            raise
        own = isinstance(error, UserError) and not isinstance(error, RunError | CorpusError)
        return Outcome(failed=reason, again=not own)
    finally:
        keras.backend.clear_session()  # graphs of past trials would accumulate in memory
    kept = run.about["best_epoch"]
    # the rows of a baseline are its settings, of which one is kept
    score = smoothed(run.history[:kept], monitored(tried), width(tried))
    learned = judge(run, tried)
    return Outcome(score, kept, tuple(curve(run.history, tried)), learned=learned)
