"""The chief of a search: it requests settings from the oracle, has them trained and reports the scores."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.engines import Engine, WorkerDied
from keras_ser.errors import UserError
from keras_ser.evaluation.learning import together
from keras_ser.experiment.planning import Job, jobs
from keras_ser.recipe import Recipe
from keras_ser.training.loop import monitored
from keras_ser.tuning.proposals import Proposals
from keras_ser.tuning.pruning import medians
from keras_ser.tuning.runs import Outcome, train_run
from keras_ser.tuning.search_report import Found
from keras_ser.tuning.trial import Trial

REDRAWS = 100  # random settings drawn in place of one that was proposed before, until one is new


@dataclass
class _Asked:
    """A running trial."""

    trial: Trial
    tried: Recipe
    proposal: Any = None  # KerasTuner's trial
    repeats: bool = False  # whether the setting was proposed before
    left: Sequence[Job] = ()  # jobs not started yet
    runs: list[Future] = field(default_factory=list)


class Chief:
    """Requests settings from the oracle, has them trained and reports the scores."""

    def __init__(self, found: Found, narrow: Recipe, folder: Path, engine: Engine, on_job, options):
        self.found, self.narrow, self.folder, self.engine = found, narrow, folder, engine
        self.on_job, self.options = on_job, options
        self.curves: list[tuple[float, ...]] = []  # of the first runs of complete trials, in order
        self.known: dict[str, float | None] = {}  # hash -> score for the oracle
        self.before, self.trials = dict(found.trials), 0

    def search(self, trials: int, on_trial: Callable[[int, int], None] | None) -> None:
        found, failed, self.trials = self.found, {}, trials
        for trial in found.trials.values():
            if trial.failed and not trial.again:
                with contextlib.suppress(UserError):  # an invalid recipe raises again below
                    failed[self.narrow.change(trial.values).hash] = trial.failed
        proposals = Proposals(found.method, self.narrow, found.space, trials, self.folder)
        under_way: deque[_Asked] = deque()
        started = 0
        while True:
            while len(under_way) < found.ahead:
                proposal = proposals.ask() if started else None  # the first trial is the unchanged recipe
                if started and proposal is None:
                    break
                asked = self._asked(proposal, failed, under_way)
                if asked.repeats and found.method != "grid":
                    for attempt in range(REDRAWS):
                        proposals.redraw(proposal, attempt)
                        asked = self._asked(proposal, failed, under_way)
                        if not asked.repeats:
                            break
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
            # one at a time, even if the next is done, too: proposals must not depend on the workers' speed
            asked = under_way.popleft()
            score = self._score(asked)
            if asked.proposal is not None:
                proposals.tell(asked.proposal, score)

    def _asked(self, proposal, failed: Mapping[str, str], under_way: Iterable[_Asked]) -> _Asked:
        number, values = (int(proposal.trial_id) + 1, dict(proposal.hyperparameters.values)) if proposal else (0, {})
        try:
            tried = self.narrow.change(values)
        except UserError as error:  # values that are valid alone, but not together
            return _Asked(Trial(number, values, failed=str(error)), self.narrow, proposal)
        if tried.hash in failed:
            return _Asked(Trial(number, values, failed=failed[tried.hash]), tried, proposal)
        repeats = tried.hash in {*self.known, *(other.tried.hash for other in under_way)}
        return _Asked(Trial(number, values), tried, proposal, repeats, () if repeats else self.found.jobs)

    def _train(self, asked: _Asked) -> None:
        """Start the runs of a trial that can be started; with pruning, the first decides whether the others follow."""
        prune, jobs = self.found.prune, self.found.jobs
        while asked.left and (not prune or not asked.runs or (asked.runs[0].done() and self._survived(asked))):
            job, *asked.left = asked.left
            if self.on_job:
                before = asked.trial.number * len(jobs)
                self.on_job(before + jobs.index(job) + 1, (self.trials + 1) * len(jobs), job)
            bar = medians(self.curves, asked.tried.epochs) if prune and not asked.runs else None
            asked.runs.append(self._submit(asked.tried, job, bar, asked.trial.number == 0))

    def _survived(self, asked: _Asked) -> bool:
        outcome = _result(asked.runs[0])
        return not (outcome.stopped or outcome.failed)

    def _submit(self, tried: Recipe, job: Job, bar, whole: bool = False) -> Future:
        target = self.folder / "runs" / tried.hash / job.folder
        return self.engine.submit(train_run, tried, job, target, bar, whole, self.options)

    def _done(self, asked: _Asked) -> bool:
        return all(run.done() for run in asked.runs) and not (asked.left and self._survived(asked))

    def _score(self, asked: _Asked) -> float | None:
        """Record a finished trial and return the score for the oracle, None if it failed."""
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
            learned = together([outcome.learned for outcome in outcomes if outcome.learned])
            trial = replace(trial, scores=scores, epochs=epochs, stopped=outcomes[0].stopped, learned=tuple(learned))
            if not np.isfinite(scores).all():
                trial = replace(
                    trial, scores=(), epochs=(), learned=(), failed=f"{monitored(asked.tried)} is undefined."
                )
        score = None if trial.failed else trial.score
        if score is not None and self._told_failed(trial):
            # or the method would now propose other settings than those that follow
            found.trials[trial.number] = replace(trial, late=True)
            found.save(self.folder)
            return None
        if trial.stopped and score is not None:
            # only the first run has a score: shift it by the usual difference of the others
            whole = [t for t in found.trials.values() if t.number < trial.number and t.scores and not t.stopped]
            score += float(np.mean([t.score - t.scores[0] for t in whole]))
        elif score is not None:
            self.curves.append(outcomes[0].curve)
        found.trials[trial.number] = trial
        found.save(self.folder)
        # propose a failed setting again if an earlier version did
        if score is not None:
            self.known[asked.tried.hash] = score
        return score

    def _told_failed(self, trial: Trial) -> bool:
        """Return whether an earlier call told the method that this trial failed, and went on with others."""
        earlier = self.before.get(trial.number)
        there = earlier is not None and dict(earlier.values) == dict(trial.values)
        return there and (earlier.late or bool(earlier.failed)) and trial.number < max(self.before)

    def confirm(self, count: int) -> None:
        """Train the best setting and the unchanged recipe, which may be the same, with further seeds not used in the search."""
        found, after = self.found, max(self.found.recipe.seeds) + 1
        more = self.narrow.replace(seeds=tuple(range(after, after + count)))
        todo = jobs(more, found.data, sorted({job.split.fold for job in found.jobs}))
        chosen = {"best": self.narrow.change(found.ranked[0].values), "baseline": self.narrow}
        every = [(tried, job) for tried in {each.hash: each for each in chosen.values()}.values() for job in todo]
        runs: dict[tuple[str, str], Future] = {}
        for number, (tried, job) in enumerate(every):
            if self.on_job:
                self.on_job(number + 1, len(every), job)
            runs[tried.hash, job.folder] = self._submit(tried, job, None)
        outcomes = {key: _result(run) for key, run in runs.items()}
        found.confirmed_of = found.best.hash
        found.confirmed = {
            name: tuple(
                float(np.mean([outcomes[tried.hash, job.folder].score for job in todo if job.seed == seed]))
                for seed in more.seeds
            )
            for name, tried in chosen.items()
        }
        found.unconfirmed = {
            f"{'best' if tried is chosen['best'] else 'baseline'}, {job.folder}: {outcome.failed}": outcome.again
            for (tried, job), outcome in zip(every, outcomes.values(), strict=True)
            if outcome.failed
        }


def _result(run: Future) -> Outcome:
    try:
        return run.result()
    except WorkerDied as error:
        return Outcome(failed=str(error), again=True)
