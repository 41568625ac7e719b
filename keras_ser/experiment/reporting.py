"""From finished runs to a report; a run or an experiment scored again; two experiments compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.evaluation import read_predictions
from keras_ser.experiment.failures import check_any, left_out
from keras_ser.experiment.jobs import jobs, tested, unit
from keras_ser.experiment.stored import (
    EXPERIMENT,
    RECIPE,
    finished,
    read_or_refuse,
    run_predictions,
    stored_facts,
    stored_recipe,
)
from keras_ser.files import lock
from keras_ser.models import deterministic_model, model_flags, model_module
from keras_ser.recipe import Recipe
from keras_ser.reports import Report, score_report
from keras_ser.splits import Protocol, check_split, distributions
from keras_ser.tasks import Task
from keras_ser.training import Data, Run, RunError
from keras_ser.training.predictions import truths
from keras_ser.training.run import OWNER, as_object, model_file, stored


def paper_figures(recipe: Recipe) -> dict[tuple[str, str], float]:
    return {(task, metric): value for task, metric, value, _ in recipe.paper}


def summarise(recipe: Recipe, data: Data, folder: Path) -> Report:
    """The report over all finished runs of an experiment's recipe, written into its folder.

    Raises:
        RunError: no run is finished (`AllFailedError` where one failed), or its files are damaged.
    """
    every = jobs(recipe, data)
    done = [job for job in every if finished(folder, job)]
    missing = left_out(folder, every, {job.folder for job in done})
    check_any(folder, every, done)
    tables, histories, adversaries = [], {}, []
    for job in done:
        tables.append(run_predictions(folder, job, data))
        run = Run.load(folder / job.folder)
        histories[job.protocol.name, job.split.fold, job.seed] = pd.DataFrame(run.history)
        best = run.history[run.about["best_epoch"] - 1]
        for name, prior in run.about.get("priors", {}).items():
            row = {"output": name, "protocol": job.protocol.name, "prior": prior}
            adversaries.append({**row, "accuracy": best[f"{name}_accuracy"]})
    extra = _beside_priors(adversaries)
    for protocol in recipe.protocols:
        if protocol.match:
            split = next(job.split for job in jobs(recipe, data) if job.protocol is protocol)
            extra[f"{protocol.by}s on the sides of {protocol.name}"] = distributions(
                split, data.corpus, protocol.match, protocol.by
            )
    predictions = pd.concat(tables, ignore_index=True)
    told = notes(recipe, data, None)
    for name, flag in model_flags().items():
        if name in predictions:
            count = (predictions[name].astype(str) == "True").sum()
            told.append(flag.report.format(count=count, clips=len(predictions)))
    scored = [task for task in recipe.tasks if f"{task.name}/prediction" in predictions]
    made = score_report(
        predictions,
        scored,
        title=f"{recipe.name} on {data.corpus.name}",
        paper={key: value for key, value in paper_figures(recipe).items() if key[0] in {task.name for task in scored}},
        protocols={p.name: protocol_facts(p, data, recipe) for p in recipe.protocols},
        notes=told,
        tables=extra,
        histories=histories,
        missing=missing,
        deterministic=deterministic_model(recipe),
    )
    made.save(folder)
    return made


def _beside_priors(rows: Sequence[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """Output that is no task -> protocol -> its accuracy on training batches at the kept epoch, beside its prior."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (name, protocol), part in pd.DataFrame(rows).groupby(["output", "protocol"]) if rows else ():
        found.setdefault(name, {})[protocol] = {key: float(part[key].mean()) for key in ("accuracy", "prior")}
    return found


def protocol_facts(protocol: Protocol, data: Data, recipe: Recipe) -> dict[str, Any]:
    """What a report says of a protocol."""
    main = recipe.tasks[0]
    splits = protocol.splits(data.corpus, hashes=data.cache.hashes, stratify=None if main.continuous else main.column)
    stratified = "" if main.continuous else f", stratified by {main.name}"
    items = "clips"
    if recipe.windows:
        items = "recordings" if protocol.together else "windows"
    described = {
        "random": f"random {1 - protocol.test:.0%} / {protocol.test:.0%} of the {items}{stratified}",
        "leave-one-out": f"leave one {protocol.by} out",
        "k-fold": f"{protocol.folds} folds by {protocol.by}",
        "matched": f"{protocol.by}s chosen so that {', '.join(protocol.match)} are distributed alike",
        "stated": f"stated {protocol.by} lists",
    }[protocol.kind]
    sides = sum(len(split.validation) for split in splits)
    if not sides:
        chosen = "no validation side: every epoch is trained and the last one kept"
    elif protocol.validation < 1:
        chosen = f"the epoch is chosen on {protocol.validation:.0%} of the training {items}"
    else:
        plural = "s" if protocol.validation > 1 else ""
        chosen = f"the epoch is chosen on {int(protocol.validation)} {protocol.by}{plural} of the training side"
    if not protocol.together:
        described += " (LEAKING: copies and cuts of one recording stand on both sides)"
    elif recipe.windows:
        described += ", the windows of a recording on one side"
    return {
        "description": f"{described}; {chosen}",
        "speaker_dependent": protocol.speaker_dependent,
        "apart": list(protocol.columns_apart),
        "folds": [split.fold for split in splits],
        "test clips": sum(len(split.test) for split in splits),
    }


def notes(recipe: Recipe, data: Data, folds: Sequence[int] | None) -> list[str]:
    found = [f"Citation: {data.corpus.citation}"] if data.corpus.citation else []
    sources = sorted({source for *_, source in recipe.paper})
    found += [f"Paper column: {source}" for source in sources]
    for name, shuffled in ((recipe.name, recipe.shuffle), ("model 1", recipe.first.shuffle if recipe.first else ())):
        if shuffled:
            found.append(
                f"A CONTROL: {name} was trained and chosen with the labels of {', '.join(shuffled)} in random order."
            )
    if recipe.optimizer.schedule == "step" and recipe.epochs <= recipe.optimizer.steps[-1]:
        steps = ", ".join(map(str, recipe.optimizer.steps))
        found.append(
            f"{recipe.epochs} epochs were trained, and the learning rate was to fall after {steps}: another schedule than that."
        )
    if recipe.windows:
        recordings = len({u.groups["origin"] for u in data.readable if "origin" in u.groups})
        found.append(
            f"What is trained and tested are {len(data.readable)} windows of {recordings} recordings: a long one counts more often."
        )
    found += _untaught(recipe, data, folds)
    note = getattr(model_module(recipe.model), "NOTE", None)
    found += [note] if note else []
    for task in recipe.tasks:
        if task.identity and any(task.column in protocol.columns_apart for protocol in recipe.protocols):
            found.append(
                f"{task.name}: where the split keeps every {task.column} apart nobody tested can be named; see the verification."
            )
    if folds is not None:
        found.append(f"Only these folds were asked for: {', '.join(map(str, folds))}.")
    if data.cache.dropped:
        found.append(
            f"{len(data.cache.dropped)} files could not be read and are in no split: {list(data.cache.dropped)[:10]}."
        )
    silent = [i for i, kinds in data.cache.problems.items() if set(kinds) - {"clipped"}]
    if silent:
        found.append(f"{len(silent)} clips are odd but kept: {', '.join(silent[:10])} (see `keras-ser corpus check`).")
    if unit(data) == "origin":
        found.append(
            "The corpus names no speaker, film or session for every clip: intervals are over the recordings that windows were cut "
            "from, and too narrow."
        )
    if unit(data) == "none":
        found.append(
            "The corpus names no speaker, film or session for every clip: intervals are over clips, and too narrow."
        )
    return found


def _untaught(recipe: Recipe, data: Data, folds: Sequence[int] | None) -> list[str]:
    """A sentence for each fold in which a class is tested that no training clip has."""
    main, found = recipe.tasks[0], {}
    if main.continuous or main.identity:
        return []
    known = data.readable.utterances
    truth = dict(zip((u.id for u in known), truths(main, known, data.corpus.name), strict=True))
    for job in jobs(recipe, data, folds):
        tested, trained = ({truth[i] for i in side if i in truth} for side in (job.split.test, job.split.train))
        lacking = tested - trained - {""}
        if lacking:
            found[job.protocol.name, job.split.fold] = ", ".join(sorted(lacking))
    return [
        f"{protocol}, fold {fold}: nothing of {labels} is trained on." for (protocol, fold), labels in found.items()
    ]


def evaluate(folder: Path, corpus_root: str | None = None, out: str | None = None) -> tuple[Report, Path]:
    """Score a run or an experiment again, and write its report.

    A run is tested anew with its saved model on its corpus; an experiment's report is made anew from the predictions of its
    runs. Neither needs the other's folder.

    Args:
        folder: of a run or of an experiment.
        corpus_root: where the corpus lies (default: where it lay when it was trained on).
        out: where the report goes (default: `folder`).

    Raises:
        RunError: the folder is neither.
    """
    owner, recipe = _owner(folder)
    data = data_of(folder, corpus_root)
    if owner == folder:
        with lock(folder / "report"):
            made = summarise(stored_recipe(folder), data, folder)
    else:
        run = Run.load(folder)
        check_split(run.split, data.corpus, data.cache.hashes)
        protocol = run.split.protocol
        table = tested(run, data, protocol)
        facts = {protocol: {"description": "one run", "speaker_dependent": run.split.speaker_dependent}}
        made = score_report(
            table,
            [task for task in recipe.tasks if f"{task.name}/prediction" in table],
            title=f"{recipe.name}: fold {run.split.fold}, seed {run.seed}",
            protocols=facts,
            notes=notes(recipe, data, None),
            histories={(protocol, run.split.fold, run.seed): pd.DataFrame(run.history)},
            deterministic=deterministic_model(recipe),
        )
    where = Path(out) if out else folder
    made.save(where)
    return made, where


def _owner(folder: Path) -> tuple[Path | None, Recipe]:
    """The experiment's folder that a run or an experiment belongs to, if any, and the recipe.

    Raises:
        RunError: the folder is neither.
    """
    if (folder / EXPERIMENT).exists():
        return folder, stored_recipe(folder)
    if (folder / "run.json").exists():
        owner = next((up for up in folder.resolve().parents if (up / EXPERIMENT).exists()), None)
        return owner, Run.load(folder).recipe
    raise RunError(f"expected the folder of a run or of an experiment. Received: {folder}, which is neither.")


def data_of(folder: Path, corpus_root: str | None = None) -> Data:
    """The corpora of a run or an experiment, decoded, from where they lay when it was trained.

    Args:
        folder: of a run or of an experiment.
        corpus_root: where the corpus lies now.
    """
    owner, recipe = _owner(folder)
    lay = stored_facts(owner) if owner else {}
    root = corpus_root or lay.get("root")
    if root is None:
        raise RunError(f"{folder} does not say where its corpus lay: give --corpus-root DIR.")
    _, corpus = recipe.read(root, **lay.get("options", {}))
    cache_folder = (owner.parent if owner else folder) / "cache"
    # what could not be read when it was trained is named in the report
    noises = Path(lay["noise_root"]) if "noise_root" in lay else None
    if noises and not noises.is_dir():
        raise RunError(f"{folder} was trained with the noises of {noises}, which are not there: put them back.")
    data = Data.load(recipe, corpus, cache_folder, noise_root=noises, bad="drop")
    about = lay if owner == folder else stored(folder / OWNER, as_object)
    # what else was learnt from, a run alone does not tell
    whole = not any(stream.corpus or (stream.noises and not owner) for stream in recipe.streams)
    if whole and about.get("data", data.digest) != data.digest:
        raise RunError(
            f"{data.corpus.root} is not what {folder} was trained and tested on: samples, labels, speakers or groups are others. "
            "Name the corpus as it was (--corpus-root DIR)."
        )
    return data


def missing_runs(folder: Path, runs: Sequence[Run], data: Data) -> tuple[str, ...]:
    """Sentences on the runs of an experiment's protocol that are not among `runs`; none where the folder is a run's."""
    owner, recipe = _owner(folder)
    if owner != folder:
        return ()
    found = {f"{run.folder.parent.name}/{run.folder.name}" for run in runs}
    protocols = {run.folder.parent.name for run in runs}
    return left_out(folder, [job for job in jobs(recipe, data) if job.protocol.name in protocols], found)


def runs_of(folder: Path) -> list[Run]:
    """A run, or all finished runs of an experiment of one protocol with leakage kept out.

    Raises:
        RunError: the folder is neither, or holds no finished run.
    """
    owner, recipe = _owner(folder)
    if owner != folder:
        return [Run.load(folder)]
    found = [path for path in sorted(folder.glob("*/fold-*-seed-*/")) if model_file(path)]
    protocols = [p.name for p in recipe.protocols if any(run.parent.name == p.name for run in found)]
    if not found:
        raise RunError(f"{folder} holds no finished run yet.")
    # the last is the one whose speakers are apart, where there are several
    return [Run.load(run) for run in found if run.parent.name == protocols[-1]]


def compare_folders(a: Path, b: Path, task: str, metric: str, protocol: str | None = None) -> str:
    """The paired difference of two experiments over the same clips, in words.

    A folder's recipe says whether its seed draws anything; of a predictions.csv alone one seed gives no p.

    Raises:
        RunError: no predictions; another error of `keras_ser.evaluation.compare`.
    """
    from keras_ser.evaluation import compare

    tables, known = [], []
    for path in (a, b):
        file = path / "predictions.csv" if path.is_dir() else path
        if not file.exists():
            raise RunError(f"expected an experiment's folder or a predictions.csv. Received: {path}.")
        again = f"Make it again: keras-ser evaluate {file.parent}"
        tables.append(read_or_refuse(file, lambda file=file: read_predictions(file), again))
        known.append((file.parent / RECIPE).exists() and deterministic_model(stored_recipe(file.parent)))
    labels = [c.removeprefix(f"{task}/") for c in tables[0].columns if c.startswith(f"{task}/")]
    labels = [label for label in labels if label != "prediction"]
    if f"{task}/prediction" not in tables[0]:
        known = [c.removesuffix("/prediction") for c in tables[0].columns if c.endswith("/prediction")]
        raise RunError(f"the task must be one of {', '.join(known)}. Received: {task!r}.")
    known_task = Task(task, tuple(labels)) if labels else Task(task, low=-1e9, high=1e9)
    return "\n".join(compare(*tables, known_task, metric, protocol=protocol, deterministic=tuple(known)).lines())
