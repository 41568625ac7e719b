"""A run or an experiment scored again, and two experiments compared."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from keras_ser.evaluation import read_predictions
from keras_ser.evaluation.learning import faults, learning_table, run_learning, together
from keras_ser.experiment.failures import left_out
from keras_ser.experiment.planning import jobs, tested
from keras_ser.experiment.reporting import notes, summarise
from keras_ser.experiment.stored import (
    EXPERIMENT,
    RECIPE,
    read_or_refuse,
    stored_facts,
    stored_recipe,
)
from keras_ser.files import lock, waveform_cache
from keras_ser.models import deterministic_model
from keras_ser.recipe import Recipe
from keras_ser.reports import Report, score_report
from keras_ser.splits import check_split
from keras_ser.tasks import Task
from keras_ser.training import Data, Run, RunError
from keras_ser.training.run import OWNER, as_object, model_file, stored


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
            learned=[run_learning(recipe, run.about, protocol, run.split.fold, run.seed)],
            made=[run.made] if run.made else [],
        )
    where = Path(out) if out else folder
    made.save(where)
    return made, where


def _owner(folder: Path) -> tuple[Path | None, Recipe]:
    """The experiment's folder that a run or an experiment belongs to, if any, and the recipe; a RunError if it is neither."""
    if (folder / EXPERIMENT).exists():
        return folder, stored_recipe(folder)
    if (folder / "run.json").exists():
        owner = next((up for up in folder.resolve().parents if (up / EXPERIMENT).exists()), None)
        return owner, Run.load(folder).recipe
    raise RunError(f"expected the folder of a run or of an experiment. Received: {folder}, which is neither.")


def cache_folder(folder: Path) -> Path:
    """Where the decoded corpora of a run or an experiment lie."""
    owner, _ = _owner(folder)
    return waveform_cache(owner.parent if owner else folder)


def data_of(folder: Path, corpus_root: str | None = None) -> Data:
    """The corpora of a run or an experiment, decoded, from `corpus_root` or where they lay when it was trained."""
    owner, recipe = _owner(folder)
    lay = stored_facts(owner) if owner else {}
    root = corpus_root or lay.get("root")
    if root is None:
        raise RunError(f"{folder} does not say where its corpus lay: give --corpus-root DIR.")
    _, corpus = recipe.read(root, **lay.get("options", {}))
    # what could not be read when it was trained is named in the report
    noises = Path(lay["noise_root"]) if "noise_root" in lay else None
    if noises and not noises.is_dir():
        raise RunError(f"{folder} was trained with the noises of {noises}, which are not there: put them back.")
    data = Data.load(recipe, corpus, cache_folder(folder), noise_root=noises, bad="drop")
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
    """A run, or all finished runs of an experiment of one protocol with leakage kept out; a RunError where there is none."""
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
    found = compare(*tables, known_task, metric, protocol=protocol, deterministic=tuple(known))
    trained = (
        _trained(name, path, table, found.protocol) for name, path, table in zip("ab", (a, b), tables, strict=True)
    )
    return "\n".join([*found.lines(), *(line for lines in trained for line in lines)])


def _trained(name: str, folder: Path, table: pd.DataFrame, protocol: str) -> list[str]:
    """A line on what the runs of an experiment have learned; none where its folder holds their predictions alone."""
    table = table[table["protocol"] == protocol]
    keys = table[["protocol", "fold", "seed"]].drop_duplicates().itertuples(index=False)
    runs = [(folder / protocol / f"fold-{fold:02d}-seed-{seed}", protocol, fold, seed) for protocol, fold, seed in keys]
    if not all(model_file(path) for path, *_ in runs):
        return []
    loaded = [(Run.load(path), *key) for path, *key in runs]
    learned = together([run_learning(run.recipe, run.about, *key) for run, *key in loaded])
    header, row = learning_table({"": learned}, {}).text()
    said = "; ".join(f"{what} {cell}" for what, cell in zip(header[1:], row[1:], strict=True) if what != "test")
    return [f"{name}: {said}", *faults({name: learned})]
