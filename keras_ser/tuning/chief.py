"""The process that asks for settings, has them trained and tells the scores."""

import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.engines import Engine, WorkerDied
from keras_ser.errors import UserError
from keras_ser.experiment.planning import Job, jobs
from keras_ser.recipe import Recipe
from keras_ser.training.loop import monitored
from keras_ser.tuning.proposals import Proposals
from keras_ser.tuning.pruning import medians
from keras_ser.tuning.runs import Outcome, train_run
from keras_ser.tuning.search_report import Found, Trial


@dataclass
class _Asked:
    """A trial under way."""

    trial: Trial
    tried: Recipe
    proposal: Any = None  # of KerasTuner
    repeats: bool = False  # a setting that was asked for before
    runs: list[Future] = field(default_factory=list)


class Chief:
    """Asks for settings, has them trained and tells the scores."""

    def __init__(self, found: Found, narrow: Recipe, folder: Path, engine: Engine, prune, on_job, options):
        self.found, self.narrow, self.folder, self.engine = found, narrow, folder, engine
        self.prune, self.on_job, self.options = prune, on_job, options
        self.curves: list[tuple[float, ...]] = []  # of the first runs of whole trials, in their order
        self.known: dict[str, float | None] = {}  # hash -> score for the oracle

    def search(self, trials: int, on_trial: Callable[[int, int], None] | None) -> None:
        found = self.found
        failed = {}
        for trial in found.trials.values():
            if trial.failed and not trial.again:
                with contextlib.suppress(UserError):  # an invalid recipe is refused again below
                    failed[self.narrow.change(trial.values).hash] = trial.failed
        proposals = Proposals(found.method, self.narrow, found.space, trials, self.folder)
        under_way: deque[_Asked] = deque()
        started = 0
        while True:
            while len(under_way) < found.ahead:
                proposal = proposals.ask() if started else None  # the first is the recipe as it stands
                if started and proposal is None:
                    break
                asked = self._asked(proposal, failed)
                asked.repeats = asked.tried.hash in {*self.known, *(other.tried.hash for other in under_way)}
                asked.repeats &= not asked.trial.failed
                under_way.append(asked)
                started += 1
                if not asked.repeats:
                    if on_trial:
                        on_trial(asked.trial.number, trials)
                    self._train(asked)
            if not under_way:
                return
            while not self._done(under_way[0]):
                for asked in under_way:
                    self._train(asked)
                wait([run for asked in under_way for run in asked.runs if not run.done()], return_when=FIRST_COMPLETED)
            # one at a time, though the next may be done, too: what a proposal knows depends on no worker's speed
            asked = under_way.popleft()
            score = self._score(asked)
            if asked.proposal is not None:
                proposals.tell(asked.proposal, score)

    def _asked(self, proposal, failed: Mapping[str, str]) -> _Asked:
        number, values = (int(proposal.trial_id) + 1, dict(proposal.hyperparameters.values)) if proposal else (0, {})
        try:
            tried = self.narrow.change(values)
        except UserError as error:  # values that are valid one by one, but not together
            return _Asked(Trial(number, values, failed=str(error)), self.narrow, proposal)
        return _Asked(Trial(number, values, failed=failed.get(tried.hash, "")), tried, proposal)

    def _train(self, asked: _Asked) -> None:
        """Start the runs of a trial that can be started; with pruning, the first decides whether the others are."""
        todo = self.found.jobs
        if asked.repeats or asked.trial.failed or len(asked.runs) == len(todo):
            return
        if self.prune and asked.runs and not (asked.runs[0].done() and self._survived(asked)):
            return
        ready = todo[: 1 if self.prune and not asked.runs else None][len(asked.runs) :]
        for job in ready:
            if self.on_job:
                self.on_job(todo.index(job) + 1, len(todo), job)
            first = self.prune and not asked.runs
            bar = medians(self.curves, asked.tried.epochs) if first else None
            asked.runs.append(self._submit(asked.tried, job, bar, asked.trial.number == 0))
        if self.prune and len(asked.runs) == 1 and asked.runs[0].done():
            self._train(asked)

    def _survived(self, asked: _Asked) -> bool:
        outcome = _result(asked.runs[0])
        return not (outcome.stopped or outcome.failed)

    def _submit(self, tried: Recipe, job: Job, bar, whole: bool = False) -> Future:
        target = self.folder / "runs" / tried.hash / job.folder
        return self.engine.submit(train_run, tried, job, target, bar, whole, self.options)

    def _done(self, asked: _Asked) -> bool:
        if not all(run.done() for run in asked.runs):
            return False
        if asked.repeats or asked.trial.failed or len(asked.runs) == len(self.found.jobs):
            return True
        return not self._survived(asked)

    def _score(self, asked: _Asked) -> float | None:
        """Note a trial that is done; what the oracle is told of it, None if it failed."""
        found = self.found
        if asked.repeats:
            found.repeats += 1
            return self.known.get(asked.tried.hash)  # None: the earlier one failed
        trial, outcomes = asked.trial, [_result(run) for run in asked.runs]
        faults = [outcome for outcome in outcomes if outcome.failed]
        if faults:
            trial = replace(trial, failed=faults[0].failed, again=faults[0].again)
        elif outcomes:
            scores, epochs = tuple(o.score for o in outcomes), tuple(o.epoch for o in outcomes)
            trial = replace(trial, scores=scores, epochs=epochs, stopped=outcomes[0].stopped)
            if not np.isfinite(scores).all():
                trial = replace(trial, scores=(), epochs=(), failed=f"{monitored(asked.tried)} is undefined.")
        score = None if trial.failed else trial.score
        if trial.stopped and score is not None:
            # its first run alone has a score: the others' usually differ from it by so much
            whole = [t for t in found.trials.values() if t.number < trial.number and t.scores and not t.stopped]
            score += float(np.mean([t.score - t.scores[0] for t in whole]))
        elif score is not None:
            self.curves.append(outcomes[0].curve)
        found.trials[trial.number] = trial
        found.save(self.folder)
        # a setting that failed is asked for again, where an earlier version did so, too
        if score is not None:
            self.known[asked.tried.hash] = score
        return score

    def confirm(self, count: int) -> None:
        """Train the best setting and the unchanged recipe with further seeds, which no choice has seen."""
        found, after = self.found, max(self.found.recipe.seeds) + 1
        more = self.narrow.replace(seeds=tuple(range(after, after + count)))
        todo = jobs(more, found.data, sorted({job.split.fold for job in found.jobs}))
        best = self.narrow.change(found.ranked[0].values)
        asked = [(tried, job, self._submit(tried, job, None)) for tried in (best, self.narrow) for job in todo]
        scores: dict[str, dict[int, list[float]]] = {}
        for tried, job, run in asked:
            scores.setdefault(tried.hash, {}).setdefault(job.seed, []).append(_result(run).score)
        found.confirmed = {
            name: tuple(float(np.mean(folds)) for folds in scores[tried.hash].values())
            for name, tried in (("best", best), ("baseline", self.narrow))
        }


def _result(run: Future) -> Outcome:
    try:
        return run.result()
    except WorkerDied as error:
        return Outcome(failed=str(error), again=True)
