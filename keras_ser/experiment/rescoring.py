"""Score a run or an experiment again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from keras_ser.checks import listed
from keras_ser.corpora import read_corpus
from keras_ser.errors import DiskError
from keras_ser.evaluation.learning import judge
from keras_ser.experiment.changes import changed_clips
from keras_ser.experiment.failures import left_out
from keras_ser.experiment.planning import by_validity, jobs, tested
from keras_ser.experiment.preparing import with_first
from keras_ser.experiment.reporting import notes, protocol_facts, summarise
from keras_ser.experiment.stored import EXPERIMENT, stored_facts, stored_recipe
from keras_ser.files import lock, refusal, user_cache, user_path, waveform_cache
from keras_ser.models import deterministic_model, is_baseline
from keras_ser.recipe import Recipe
from keras_ser.reports import Report, score_report
from keras_ser.splits import check_split
from keras_ser.training import Data, Run, RunError
from keras_ser.training.data import mixed_noises
from keras_ser.training.owner import OWNER
from keras_ser.training.run import as_object, model_file, stored

Decoded = TypeVar("Decoded")
ALL_CLIPS = "trained on all clips of its corpus, which cannot be used to test it"


def evaluate(
    folder: Path | str, corpus_root: Path | str | None = None, out: Path | str | None = None
) -> tuple[Report, Path]:
    """Score a run or an experiment again, and write its report.

    A run is tested again with its saved model on its corpus; an experiment's report is recreated from the predictions of its
    runs. Neither needs the other's folder.

    Args:
        folder: folder of a run or of an experiment.
        corpus_root: location of the corpus. Default: its location at training time.
        out: where the report goes (default: `folder`, to which nothing is written otherwise).

    Returns:
        The report, and the folder that it was written to.

    Raises:
        RunError: the folder is neither.
    """
    folder = user_path(folder)
    owner, recipe = _owner(folder)
    if owner != folder and Run.load(folder).split.final:
        raise RunError(f"{folder} was {ALL_CLIPS}. Give another corpus: --corpus NAME --corpus-root DIR.")
    data = data_of(folder, corpus_root)
    where = Path(out) if out else folder
    if owner == folder:
        with lock(where / "report"):
            made = summarise(stored_recipe(folder), data, folder, where)
    else:
        run = Run.load(folder)
        check_split(run.split, data.corpus, data.cache.hashes)
        protocol = run.split.protocol
        table = tested(run, data, protocol)
        facts = {protocol: _facts_of_one(run, recipe, data)}
        made = score_report(
            table,
            [task for task in recipe.tasks if f"{task.name}/prediction" in table],
            title=f"{recipe.name}: fold {run.split.fold}, seed {run.seed}",
            protocols=facts,
            notes=notes(recipe, data, None),
            histories={(protocol, run.split.fold, run.seed): pd.DataFrame(run.history)},
            deterministic=deterministic_model(recipe),
            learned=[judge(run)],
            made=[run.made] if run.made else [],
            axis="setting" if is_baseline(recipe) else "epoch",
        )
        made.save(where)
    return made, where


def _facts_of_one(run: Run, recipe: Recipe, data: Data) -> dict[str, Any]:
    """Return a report's facts on the protocol of one run; its folds and seeds are those of other runs."""
    own = next((protocol for protocol in recipe.protocols if protocol.name == run.split.protocol), None)
    if own is None:  # trained on a split of the user's
        split = run.split
        return {
            "description": "one run",
            "speaker_dependent": split.speaker_dependent,
            "chosen_on_test": split.chosen_on_test,
        }
    facts = protocol_facts(own, data, recipe)
    of_one = {"description": f"one run; {facts['description']}", "test clips": len(run.split.test)}
    return {**facts, **of_one, "folds": None, "seeds": None}


def _owner(folder: Path) -> tuple[Path | None, Recipe]:
    """Return the experiment's folder of a run or an experiment, if any, and the recipe; raise RunError if it is neither."""
    if (folder / EXPERIMENT).exists():
        return folder, stored_recipe(folder)
    if (folder / OWNER).exists():
        owner = next((up for up in folder.resolve().parents if (up / EXPERIMENT).exists()), None)
        return owner, Run.load(folder).recipe
    raise RunError(f"expected the folder of a run or of an experiment. Received: {folder}, which is neither.")


def cache_folder(folder: Path) -> Path:
    """Return the cache folder of a run or an experiment: the one it was trained with, if that still exists."""
    owner, _ = _owner(folder)
    lay = stored_facts(owner).get("cache") if owner else None
    return Path(lay) if lay and Path(lay).is_dir() else waveform_cache(owner.parent if owner else folder)


def decode_in_cache(folder: Path, read: Callable[[Path], Decoded]) -> Decoded:
    """Return `read` of `cache_folder`, or of the user's cache if that folder lacks what is read and cannot be written."""
    where = cache_folder(folder)
    try:
        return read(where)
    except DiskError:
        if not refusal(where):
            raise
        return read(user_cache() / "waveforms")


def data_of(folder: Path, corpus_root: str | None = None, *, auxiliary: bool = False) -> Data:
    """Return the decoded corpus of a run or an experiment, from `corpus_root` or its location at training time.

    Args:
        folder: folder of the run or the experiment.
        corpus_root: current folder of the corpus.
        auxiliary: also read the auxiliary corpora that are still where they were, to train again.
    """
    owner, recipe = _owner(folder)
    lay = stored_facts(owner) if owner else {}
    root = corpus_root or lay.get("root")
    if root is None:
        raise RunError(f"{folder} does not record the location of its corpus: give --corpus-root DIR.")
    _, corpus = recipe.read(root, **lay.get("options", {}))
    # files that could not be read at training time are named in the report
    noises = Path(lay["noise_root"]) if "noise_root" in lay else None
    if noises and not noises.is_dir():
        raise RunError(f"{folder} was trained with the noises of {noises}, which are missing: restore them.")
    further = {}
    for name, by in (lay.get("auxiliary", {}) if auxiliary else {}).items():
        if Path(by["root"]).exists():
            further[name] = read_corpus(name, **by)
    data = decode_in_cache(folder, lambda where: Data.load(recipe, corpus, where, further, noises, bad="drop"))
    about = lay if owner == folder else stored(folder / OWNER, as_object)
    # a run alone does not record its auxiliary corpora, nor where its noises were
    streams = [stream for each in with_first([recipe]) for stream in each.streams]
    whole = not any(stream.corpus or (stream.noises and not owner) for stream in streams)
    alone = Data(data.corpus, data.cache).digest
    before, now = (about.get("data"), data.digest_of(recipe)) if whole else (lay.get("corpus"), alone)
    same = lay.get("corpus") == alone
    # what else was there, such as auxiliary corpora of other systems in a table, was not trained on
    if before in (None, now) or (same and not noises):
        return data
    if same:
        files = listed(sorted(data.noise_hashes(mixed_noises(recipe))))
        raise RunError(
            f"the noises of {folder} have changed: the recipe mixes in the files {files} of {noises}. Restore them, or train again."
        )
    raise RunError(
        f"{root} is not the corpus of {folder}: samples, labels, speakers or groups differ. Give the original corpus "
        f"(--corpus-root DIR). {changed_clips(owner, recipe, data.corpus) if owner else ''}".rstrip()
    )


def missing_runs(folder: Path, runs: Sequence[Run], data: Data) -> tuple[str, ...]:
    """Return sentences on the runs of an experiment's protocol that are not among `runs`; none if the folder is a run's."""
    owner, recipe = _owner(folder)
    if owner != folder:
        return ()
    found = {f"{run.folder.parent.name}/{run.folder.name}" for run in runs}
    protocols = {run.folder.parent.name for run in runs}
    return left_out(folder, [job for job in jobs(recipe, data) if job.protocol.name in protocols], found)


def runs_of(folder: Path) -> list[Run]:
    """Return a run, or all finished runs of an experiment's most valid protocol; raise RunError if there is none.

    See `by_validity`.
    """
    owner, recipe = _owner(folder)
    if owner != folder:
        return [Run.load(folder)]
    found = [path for path in sorted(folder.glob("*/fold-*-seed-*/")) if model_file(path)]
    done = [p for p in recipe.protocols if any(run.parent.name == p.name for run in found)]
    if not found:
        raise RunError(f"{folder} holds no finished run yet.")
    return [Run.load(run) for run in found if run.parent.name == by_validity(done)[-1].name]
