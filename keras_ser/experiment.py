"""An experiment: one recipe over its protocols, folds and seeds, skipping what is finished, ending in one report.

    saved_models/<recipe>-<hash>/<protocol>/fold-00-seed-0/    a run (see keras_ser.training), with its predictions.csv
    saved_models/<recipe>-<hash>/                              recipe.json, experiment.json, predictions.csv, report.md, ..

Several processes may share an experiment: each run is claimed by a lock file while it trains, and who finds a live lock goes
on with the next.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.evaluation import Report, read_predictions, report, write_predictions
from keras_ser.evaluation.report import paper_by_protocol
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol, Split
from keras_ser.tasks import Task
from keras_ser.training import Data, Run, RunError, fit, predict
from keras_ser.training.run import write_atomically

UNITS = ("speaker", "film", "session")


@dataclass(frozen=True)
class Job:
    """One run to be trained: a fold of a protocol, with a seed."""

    protocol: Protocol
    split: Split
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.protocol.name}/fold-{self.split.fold:02d}-seed-{self.seed}"


def experiment_folder(recipe: Recipe, out: Path | str = "saved_models") -> Path:
    return Path(out) / f"{recipe.name}-{recipe.hash}"


def jobs(recipe: Recipe, data: Data, folds: Sequence[int] | None = None) -> list[Job]:
    """All runs of a recipe, seed by seed, so that each seed is complete as early as can be.

    Args:
        folds: numbers of the folds to run (default: all).
    """
    main = recipe.tasks[0]
    stratify = None if main.continuous else main.column
    splits = {
        protocol.name: protocol.splits(data.corpus, hashes=data.cache.hashes, stratify=stratify)
        for protocol in recipe.protocols
    }
    return [
        Job(protocol, split, seed)
        for seed in recipe.seeds
        for protocol in recipe.protocols
        for split in splits[protocol.name]
        if folds is None or split.fold in folds
    ]


def run_experiment(
    recipe: Recipe,
    data: Data,
    folder: Path | str,
    *,
    folds: Sequence[int] | None = None,
    on_job: Callable[[int, int, Job], None] | None = None,
    read_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Report:
    """Train and test every job that is not finished, then write the report.

    Args:
        recipe: what to run.
        data: its corpora, decoded.
        folder: the experiment's folder.
        folds: see `jobs`.
        on_job: called with (number, jobs in all, job) before each job.
        read_options: what `read_corpus` was given beside the recipe's own options ("root", "metadata"), noted for `evaluate`.
        **options: of `keras_ser.training.fit` (strategy, on_epoch, shuffle_labels).

    Raises:
        RunError: the folder holds an experiment of another recipe or another corpus.
        ValueError: a figure of the paper for a task or a metric that the report does not have.
    """
    folder = Path(folder)
    # what the report would refuse after hours of training is refused now
    paper_by_protocol(_paper(recipe), recipe.tasks, [protocol.name for protocol in recipe.protocols])
    _claim(folder, recipe, data, read_options or {})
    todo = jobs(recipe, data, folds)
    for i, job in enumerate(todo):
        target = folder / job.folder
        if (target / "predictions.csv").exists():
            continue
        with _lock(target) as mine:
            if not mine or (target / "predictions.csv").exists():
                continue
            if on_job:
                on_job(i + 1, len(todo), job)
            _run(recipe, data, job, target, options)
    return summarise(recipe, data, folder, folds)


def _run(recipe: Recipe, data: Data, job: Job, target: Path, options: Mapping[str, Any]) -> None:
    import keras

    run = fit(recipe, data, job.split, target, job.seed, **options)
    table = predict(run.model(), recipe, data, job.split, seed=job.seed, group=unit(data))
    table.insert(0, "seed", job.seed)
    table.insert(0, "fold", job.split.fold)
    table.insert(0, "protocol", job.protocol.name)
    write_atomically(target / "predictions.csv", lambda path: write_predictions(table, path))
    # graphs of finished runs would pile up in memory
    keras.backend.clear_session()


def _paper(recipe: Recipe) -> dict[tuple[str, str], float]:
    return {(task, metric): value for task, metric, value, _ in recipe.paper}


def unit(data: Data) -> str:
    """What the bootstrap resamples: the first of speaker, film, session that every utterance names ("" columns = clips)."""
    for column in UNITS:
        if all(u.column(column) is not None for u in data.corpus):
            return column
    return "none"


def _claim(folder: Path, recipe: Recipe, data: Data, read_options: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / "experiment.json"
    about = {
        "recipe": recipe.hash,
        "data": data.digest,
    }
    if owner.exists():
        found = json.loads(owner.read_text())
        other = [key for key in about if found.get(key) != about[key]]
        if other:
            raise RunError(
                f"{folder} holds another experiment (other {', '.join(other)}). Give another --out, or remove that folder."
            )
    elif any(not path.name.startswith(".") for path in folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no experiment. Give another --out.")
    write_atomically(folder / "recipe.json", lambda p: p.write_text(recipe.to_json()))
    # where the corpus lay is noted for `evaluate`, and is no part of what the experiment is
    options = dict(read_options)
    about |= {"root": str(Path(options.pop("root", data.corpus.root)).resolve()), "options": options}
    write_atomically(owner, lambda p: p.write_text(json.dumps(about, indent=1)))


@contextmanager
def _lock(target: Path) -> Iterator[bool]:
    """True if this process now owns the run's folder; a lock left by a dead process of this machine is taken over."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(target.name + ".lock")
    try:
        with open(path, "x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        try:
            os.kill(int(path.read_text() or 0) or os.getpid(), 0)
            alive = path.read_text() != ""
        except (ProcessLookupError, ValueError):
            alive = False
        if alive:
            yield False
            return
        path.write_text(str(os.getpid()))
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)


def summarise(recipe: Recipe, data: Data, folder: Path, folds: Sequence[int] | None = None) -> Report:
    """The report over all finished runs of an experiment's recipe, written into its folder."""
    tables, histories, adversary = [], {}, []
    for job in jobs(recipe, data, folds):
        target = folder / job.folder
        if not (target / "predictions.csv").exists():
            continue
        tables.append(read_predictions(target / "predictions.csv"))
        run = Run.load(target)
        histories[job.protocol.name, job.split.fold, job.seed] = pd.DataFrame(run.history)
        best = run.history[run.about["best_epoch"] - 1]
        if "adversary_accuracy" in best:
            adversary.append({"protocol": job.protocol.name, "accuracy": best["adversary_accuracy"]})
    if not tables:
        raise RunError(f"{folder} holds no finished run yet.")
    extra = {}
    if adversary:
        extra["adversary"] = _adversary(recipe, data, pd.DataFrame(adversary))
    predictions = pd.concat(tables, ignore_index=True)
    told = notes(recipe, data, folds)
    if "emptied" in predictions:
        emptied = predictions["emptied"].astype(str) == "True"
        told.append(
            f"Model 1 would have dropped every segment of {emptied.sum()} of {len(emptied)} tested clips; of those its least "
            "noisy segment was judged (column `emptied`)."
        )
    made = report(
        predictions,
        recipe.tasks,
        title=f"{recipe.name} on {data.corpus.name}",
        paper=_paper(recipe),
        protocols={p.name: protocol_facts(p, data, recipe) for p in recipe.protocols},
        notes=told,
        tables=extra,
        histories=histories,
    )
    made.save(folder)
    return made


def _adversary(recipe: Recipe, data: Data, table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """The discriminator's accuracy on training batches at the kept epoch, beside its prior, by protocol."""
    if recipe.config.adversary == "source":
        shares = [stream.share for stream in recipe.streams]
        prior = max(shares) / sum(shares)
    else:
        counts = data.corpus.counts(recipe.tasks[1].column)
        prior = max(counts.values()) / sum(counts.values())
    means = table.groupby("protocol")["accuracy"].mean()
    return {name: {"accuracy": float(value), "prior": prior} for name, value in means.items()}


def protocol_facts(protocol: Protocol, data: Data, recipe: Recipe) -> dict[str, Any]:
    """What a report says of a protocol."""
    main = recipe.tasks[0]
    splits = protocol.splits(data.corpus, hashes=data.cache.hashes, stratify=None if main.continuous else main.column)
    stratified = "" if main.continuous else f", stratified by {main.name}"
    described = {
        "random": f"random {1 - protocol.test:.0%} / {protocol.test:.0%} of the clips{stratified}",
        "leave-one-out": f"leave one {protocol.by} out",
        "k-fold": f"{protocol.folds} folds by {protocol.by}",
        "stated": f"stated {protocol.by} lists",
    }[protocol.kind]
    sides = sum(len(split.validation) for split in splits)
    if not sides:
        chosen = "no validation side: every epoch is trained and the last one kept"
    elif protocol.validation < 1:
        chosen = f"the epoch is chosen on {protocol.validation:.0%} of the training clips"
    else:
        plural = "s" if protocol.validation > 1 else ""
        chosen = f"the epoch is chosen on {int(protocol.validation)} {protocol.by}{plural} of the training side"
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
    if folds is not None:
        found.append(f"Only these folds were asked for: {', '.join(map(str, folds))}.")
    if data.cache.dropped:
        found.append(
            f"{len(data.cache.dropped)} files could not be read and are in no split: {list(data.cache.dropped)[:10]}."
        )
    silent = [i for i, kinds in data.cache.problems.items() if set(kinds) - {"clipped"}]
    if silent:
        found.append(f"{len(silent)} clips are odd but kept: {', '.join(silent[:10])} (see `keras-ser corpus check`).")
    if unit(data) == "none":
        found.append(
            "The corpus names no speaker, film or session for every clip: intervals resample clips, and are too narrow."
        )
    return found


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
    from keras_ser.corpora import read_corpus

    if (folder / "experiment.json").exists():
        owner, recipe = folder, Recipe.from_json((folder / "recipe.json").read_text())
    elif (folder / "run.json").exists():
        owner = next((up for up in folder.resolve().parents if (up / "experiment.json").exists()), None)
        recipe = Run.load(folder).recipe
    else:
        raise RunError(f"expected the folder of a run or of an experiment. Received: {folder}, which is neither.")
    lay = json.loads((owner / "experiment.json").read_text()) if owner else {}
    root = corpus_root or lay.get("root")
    if root is None:
        raise RunError(f"{folder} does not say where its corpus lay: give --corpus-root DIR.")
    corpus = read_corpus(recipe.corpus, root, **{**dict(recipe.corpus_options), **lay.get("options", {})})
    cache_folder = (owner.parent if owner else folder) / "cache"
    # what could not be read when it was trained is named in the report
    data = Data.load(recipe, corpus, cache_folder, bad="drop")
    if owner == folder:
        made = summarise(recipe, data, folder)
    else:
        run = Run.load(folder)
        protocol = run.split.protocol
        table = predict(run.model(), recipe, data, run.split, seed=run.seed, group=unit(data))
        for name, value in (("seed", run.seed), ("fold", run.split.fold), ("protocol", protocol)):
            table.insert(0, name, value)
        facts = {protocol: {"description": "one run", "speaker_dependent": run.split.speaker_dependent}}
        made = report(
            table,
            [task for task in recipe.tasks if task.name in table],
            title=f"{recipe.name}: fold {run.split.fold}, seed {run.seed}",
            protocols=facts,
            notes=notes(recipe, data, None),
            histories={(protocol, run.split.fold, run.seed): pd.DataFrame(run.history)},
        )
    where = Path(out) if out else folder
    made.save(where)
    return made, where


def compare_folders(a: Path, b: Path, task: str, metric: str, protocol: str | None = None) -> str:
    """The paired difference of two experiments over the same clips, in words.

    Raises:
        RunError: no predictions; another error of `keras_ser.evaluation.compare`.
    """
    from keras_ser.evaluation import compare

    tables = []
    for path in (a, b):
        file = path / "predictions.csv" if path.is_dir() else path
        if not file.exists():
            raise RunError(f"expected an experiment's folder or a predictions.csv. Received: {path}.")
        tables.append(read_predictions(file))
    labels = [c.removeprefix(f"{task}/") for c in tables[0].columns if c.startswith(f"{task}/")]
    labels = [label for label in labels if label != "prediction"]
    if f"{task}/prediction" not in tables[0]:
        known = [c.removesuffix("/prediction") for c in tables[0].columns if c.endswith("/prediction")]
        raise RunError(f"the task must be one of {', '.join(known)}. Received: {task!r}.")
    known_task = Task(task, tuple(labels)) if labels else Task(task, low=-1e9, high=1e9)
    return "\n".join(compare(*tables, known_task, metric, protocol=protocol).lines())
