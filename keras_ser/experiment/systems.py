"""Train several recipes on the same splits of the same corpus."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.checks import listed
from keras_ser.evaluation import write_predictions
from keras_ser.evaluation.learning import Learning, judge, together
from keras_ser.experiment.failures import AllFailedError, TakenError, left_out
from keras_ser.experiment.planning import check_jobs, experiment_folder, jobs, tested
from keras_ser.experiment.runner import begin, run_experiment, warn_of_failure, warn_of_taken
from keras_ser.experiment.stored import PREDICTIONS, finished, run_folder, stored_predictions
from keras_ser.models import deterministic_model, is_baseline
from keras_ser.recipe import Recipe
from keras_ser.training import Data, Run, RunError
from keras_ser.training.predictions import predict
from keras_ser.training.run import FIRST

RunKey = tuple[str, int, int]  # protocol, fold, seed


@dataclass(frozen=True)
class System:
    """A recipe whose runs are finished, in the experiment's folder.

    Args:
        predictions: test predictions of the requested runs on which all systems can be compared.
        missing: sentences on the runs missing from the comparison, the same for all of its systems.
        inner: folder, inside that of each run, of the run that made `predictions`; "" = the run itself.
    """

    recipe: Recipe
    folder: Path
    predictions: pd.DataFrame
    missing: tuple[str, ...] = ()
    inner: str = ""

    @property
    def runs(self) -> set[RunKey]:
        """The runs in `predictions`."""
        columns = (self.predictions[name] for name in ("protocol", "fold", "seed"))
        return {(protocol, int(fold), int(seed)) for protocol, fold, seed in zip(*columns, strict=True)}

    @property
    def learned(self) -> list[Learning]:
        """The verdict on each of its runs' training, by the main task."""
        found = []
        for protocol, fold, seed in sorted(self.runs):
            run = Run.load(self.folder / run_folder(protocol, fold, seed) / self.inner)
            # a model 1 selects its epoch by the noise, and is a system for its emotions
            found.append(judge(run, run.recipe.replace(monitor="") if self.inner else run.recipe))
        return together(found)

    @property
    def deterministic(self) -> bool:
        """Whether all seeds give the same model."""
        return deterministic_model(self.recipe)


def run_systems(
    recipes: Mapping[str, Recipe],
    data: Data,
    out: Path | str,
    *,
    folds: Sequence[int] | None = None,
    on_job: Callable[[int, int, Any], None] | None = None,
    on_failure: Callable[[Any, str], None] | None = None,
    read_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, System]:
    """Train every unfinished system, each in its own experiment.

    Failed runs do not end it: the systems are compared on the folds that all of them have finished (see `comparable`), and a
    system without a finished run is left out. Nor do runs of other processes: the last process makes the comparison.

    Args:
        recipes: system -> recipe.
        data: the corpora.
        out: folder of the experiments.
        folds, on_job, on_failure, read_options, **options: see `run_experiment`.

    Raises:
        TakenError: other processes are still training some of the runs.
        AllFailedError: no run of any system has finished.
        RunError: no fold has finished in all systems; see `run_experiment`, too.
    """
    folders = {name: experiment_folder(recipe, out) for name, recipe in recipes.items()}
    for name, recipe in recipes.items():
        check_jobs(recipe, data, folds, folder=folders[name])
    for name, recipe in recipes.items():  # check all systems before training the first
        begin(recipe, data, folders[name], folds, read_options)
    tables, asked, missing, failed, left = {}, {}, [], {}, {}
    given = {"folds": folds, "on_job": on_job, "read_options": read_options, **options}

    def train(name: str, **more: Any) -> None:
        before, left[name] = left.get(name), []

        def take(job: Any) -> None:
            left[name].append(job)
            if before is None:
                warn_of_taken(job)

        def fail(job: Any, reason: str) -> None:
            if before is None or job in before:  # others have been reported
                (on_failure or warn_of_failure)(job, reason)

        more |= {"on_taken": take, "on_failure": fail}
        try:
            tables[name] = run_experiment(recipes[name], data, folders[name], **{**given, **more}).predictions
            failed.pop(name, None)
        except AllFailedError as error:
            failed[name] = error
        except TakenError:
            pass

    for name in recipes:
        train(name)
    for name in [name for name, taken in left.items() if taken]:  # by other processes, which may have finished now
        train(name, again=False)
    theirs = [f"{job.recipe}/{job.folder}" for taken in left.values() for job in taken]
    if theirs:
        raise TakenError(theirs)
    if not tables:
        raise next(iter(failed.values()))
    missing += [f"{name} is excluded: {error}" for name, error in failed.items()]
    for name in tables:
        folder, every = folders[name], jobs(recipes[name], data, folds)
        # the folder may hold more runs: compare systems over the requested ones
        asked[name] = {(job.protocol.name, job.split.fold, job.seed) for job in every}
        done = {job.folder for job in every if finished(folder, job)}
        missing += [f"{name}: {sentence}" for sentence in left_out(folder, every, done)]
    keys = {name: list(zip(t["protocol"], t["fold"], t["seed"], strict=True)) for name, t in tables.items()}
    chosen = comparable(asked, {name: asked[name] & set(keys[name]) for name in tables})
    missing += [
        f"{name} is excluded: one of its protocols has no finished run." for name in tables if name not in chosen
    ]
    dropped = sorted(
        {run[:2] for name in chosen for run in asked[name]} - {run[:2] for runs in chosen.values() for run in runs}
    )
    if dropped:
        places = listed(f"{protocol}, fold {fold}" for protocol, fold in dropped)
        missing.append(f"Compared without {places}, which not all systems have finished.")
    for name, runs in chosen.items():
        seeds = sorted({run[2] for run in asked[name]} - {run[2] for run in runs})
        if seeds:
            missing.append(f"Compared without seeds {', '.join(map(str, seeds))} of {name}, which lack folds.")
    return {
        name: System(
            recipes[name],
            folders[name],
            tables[name][[key in runs for key in keys[name]]],
            tuple(missing),
        )
        for name, runs in chosen.items()
    }


def comparable(asked: Mapping[str, set[RunKey]], done: Mapping[str, set[RunKey]]) -> dict[str, set[RunKey]]:
    """Return the runs on which systems can be compared: the same folds for all, and all of these for every seed.

    For each protocol, the folds of a system are those of its most complete seed. The folds common to all systems are kept, and of
    each system the seeds with all of these. A system without a finished run in one of its protocols is left out.
    `asked` and `done` are system -> (protocol, fold, seed) of its runs.

    Raises:
        RunError: no fold has finished in all systems, or no system is left.
    """
    folds: dict[tuple[str, str], dict[int, set[int]]] = {}  # (system, protocol) -> seed -> folds
    for name, runs in done.items():
        for protocol, fold, seed in sorted(runs):  # of seeds with as many folds, the first decides
            folds.setdefault((name, protocol), {}).setdefault(seed, set()).add(fold)
    names = [name for name in done if all((name, protocol) in folds for protocol, *_ in asked[name])]
    shared: dict[str, set[int]] = {}
    for name in names:
        for protocol in {protocol for protocol, *_ in asked[name]}:
            fullest = max(folds[name, protocol].values(), key=len)
            shared[protocol] = shared.get(protocol, fullest) & fullest
    empty = [protocol for protocol, found in shared.items() if not found]
    if empty or not names:
        where = f" of protocol {empty[0]!r}" if empty else ""
        raise RunError(
            f"no fold{where} has finished in all systems, so they cannot be compared. Run the command again."
        )
    return {
        name: {
            (protocol, fold, seed)
            for protocol, fold, seed in done[name]
            if fold in shared[protocol] and shared[protocol] <= folds[name, protocol][seed]
        }
        for name in names
    }


def with_first_alone(
    systems: Mapping[str, System], data: Data, folds: Sequence[int] | None = None
) -> dict[str, System]:
    """Return the systems, and the model 1 of each cascade as "B (name)" (table 9 of the ASP-MTL paper).

    Its predictions are stored in each run's folder.
    """
    found = dict(systems)
    for name, system in systems.items():
        if system.recipe.first is not None:
            predictions = _kept(system, data, folds, f"{FIRST}/{PREDICTIONS}", tested)
            found[f"B ({name})"] = replace(system, predictions=predictions, inner=FIRST)
    return found


def with_known(systems: Mapping[str, System], data: Data, folds: Sequence[int] | None = None) -> dict[str, System]:
    """Return the systems with a prior (`Network.priors`), and the same with the prior's true label known.

    The label of a test clip is side information: it replaces the posterior in the unchanged trained network. The predictions are
    stored beside the run's own.
    """
    from keras_ser.models.whole_model import network_again

    found: dict[str, System] = {}
    for name, system in systems.items():
        run = Run.load(system.folder / run_folder(*min(system.runs)))
        if is_baseline(run.recipe):
            continue
        for task in network_again(run.recipe, run.model()).priors:
            known = partial(_known, task=task)
            predictions = _kept(system, data, folds, f"predictions_known_{task}.csv", known)
            found |= {name: system, f"{name}, {task} known": replace(system, predictions=predictions)}
    return found


def _known(run: Run, data: Data, protocol: str, task: str) -> pd.DataFrame:
    """Return `tested` with the prior of `task` known; a clip without that label keeps the run's prediction."""
    from keras_ser.models.whole_model import known_prior, network_again

    whole, table = run.model(), tested(run, data, protocol)
    network, (prior,) = network_again(run.recipe, whole), (each for each in run.recipe.tasks if each.name == task)
    layer = network.layer_of(network.priors[task])
    columns = [name for name in table if name.startswith(f"{run.recipe.tasks[0].name}/")]
    for number, label in enumerate(prior.labels):
        rows = table[task] == label
        if rows.any():
            split = replace(run.split, test=tuple(dict.fromkeys(table.loc[rows, "id"])))
            answers = predict(known_prior(whole, layer, number), run.recipe, data, split)
            table.loc[rows, columns] = answers[columns].to_numpy()
    return table


def _kept(system: System, data: Data, folds: Sequence[int] | None, name: str, predict_run: Callable) -> pd.DataFrame:
    """Return predictions of a system's runs stored in each run's folder as `name`; make them if they are missing."""
    tables = []
    for job in jobs(system.recipe, data, folds):
        if (job.protocol.name, job.split.fold, job.seed) not in system.runs:
            continue
        file = system.folder / job.folder / name
        if not file.exists():
            write_predictions(predict_run(Run.load(file.parent), data, job.protocol.name), file)
        tables.append(stored_predictions(file))
    return pd.concat(tables, ignore_index=True)
