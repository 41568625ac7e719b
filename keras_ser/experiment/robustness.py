"""Score a trained model, or an experiment, in noise, with and without model 1 (`keras-ser evaluate --noise`)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from keras_ser.audio.noise import is_among, load_noises
from keras_ser.errors import UserError
from keras_ser.evaluation.learning import learning_of
from keras_ser.experiment.denoisers import batched
from keras_ser.experiment.denoising import mixed, tested_clips, with_all_folds
from keras_ser.experiment.planning import unit
from keras_ser.experiment.stored import Step, kept_tables
from keras_ser.pipelines.noises import file_stretch
from keras_ser.reports import Report, robustness_report
from keras_ser.settings import CLEAN
from keras_ser.splits import LeakageError
from keras_ser.training import Data, Run
from keras_ser.training.data import mixed_noises, noise_hashes
from keras_ser.training.heard import heard_clips, heard_speakers
from keras_ser.training.predictions import judged, truths
from keras_ser.training.transfer import digest

KEPT = "in-noise"  # name of a run's own figures in its folder
SNRS = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0, -10.0)
TRAINED, WITH, WITHOUT = "as trained", "with model 1", "without model 1"


def run_robustness(
    runs: Sequence[Run],
    data: Data,
    noise_root: Path,
    out: Path,
    *,
    denoisers: Sequence[Run] = (),
    snrs: Sequence[float] = SNRS,
    title: str = "",
    missing: Sequence[str] = (),
    on_step: Step | None = None,
) -> Report:
    """Score runs in every noise of a folder, and write the report.

    Args:
        runs: runs of one recipe, each tested on its own test set.
        data: the recipe's corpora.
        noise_root: folder of noise files, of which the test section (the last fifth) is used.
        out: folder of the report; each run's own scores are written to its folder as they are computed, if it is writable.
        denoisers: runs of a model 1 whose mask is applied first; each run uses one that was not trained on its test speakers. A
            cascade has its own, and is scored with and without it.
        snrs: SNRs in dB, over all samples of a clip.
        title: the report's heading.
        missing: sentences on excluded runs, shown first.
        on_step: called with (number, number of steps, description).

    Raises:
        LeakageError: no run has a denoiser free of its test speakers; if only some lack one, these are excluded with a note.
        ValueError: the main task is continuous or identifies speakers not seen in training, or a cascade is given another model 1.
    """
    recipe = runs[0].recipe
    task = recipe.tasks[0]
    if task.continuous:
        raise UserError(f"a noise curve needs a task with classes; {task.name!r} is continuous.")
    if any(task not in judged(recipe.tasks, run.split) for run in runs):
        raise UserError(
            f"the test set's {task.column}s were not trained on, so that {task.name!r} cannot be scored there."
        )
    if denoisers and recipe.first is not None:
        raise UserError("a cascade has its own model 1: omit --denoiser.")
    files = load_noises(noise_root, recipe.frontend.sample_rate)
    if CLEAN in files:
        raise UserError(
            f"{noise_root} has a noise file called {CLEAN!r}, which is the name of clips without noise: rename the file."
        )
    noises = {name: file_stretch(files, name, "test") for name in files}
    trained = mixed_noises(recipe) | {name for each in denoisers for name in mixed_noises(each.recipe)}
    chosen, missing, notes, refusals = [], list(missing), [], []
    for run in runs:
        try:
            chosen.append((run, _unheard(run, denoisers, data) if denoisers else None))
        except LeakageError as error:
            refusals.append(error)
            missing.append(f"Fold {run.split.fold}, seed {run.seed} is excluded: {error}")
    if not chosen:
        raise refusals[0]
    asked = {"noises": noise_hashes(noises), "snrs": list(snrs), "data": data.digest}
    places = [(CLEAN, None, np.inf)] + [(name, wave, snr) for name, wave in noises.items() for snr in snrs]

    parts = []
    for run, denoiser in chosen:
        before = [str(denoiser.folder.resolve()), denoiser.recipe.hash, digest(denoiser.folder)] if denoiser else None
        parts.append((run, {}, {**asked, "denoiser": before}, partial(_in_noise, run, denoiser, data, places)))
    table, left = with_all_folds(kept_tables(KEPT, parts, len(places), on_step))
    notes += left
    table["seen"] = [is_among(noise, {CLEAN, *trained}) for noise in table["noise"]]
    if runs[0].split.speaker_dependent:
        notes.append("Speaker-dependent split: test speakers occur in training.")
    made = robustness_report(
        title or f"{recipe.name} in noise",
        table,
        task.labels,
        missing=missing,
        notes=notes,
        unit=unit(data),
        learned=learning_of([run for run, _ in chosen]),
    )
    made.save(out)
    return made


def _unheard(run: Run, denoisers: Sequence[Run], data: Data) -> Run:
    """Return the first denoiser not trained or selected on this run's test clips or speakers; raise LeakageError if all were."""
    clips = set(run.split.test)
    speakers = {u.speaker for u in data.corpus if u.id in clips} - {None}
    for denoiser in denoisers:
        given = denoiser, data.corpus, data.cache.hashes
        if not (clips & heard_clips(*given) or speakers & heard_speakers(*given)):
            return denoiser
    raise LeakageError(
        f"{run.folder}: its test speakers occur in the training of the denoiser. Give an experiment of a model 1 that has "
        "a run for every fold, trained on the same folds."
    )


def _systems(run: Run, denoiser: Run | None) -> dict[str, Callable]:
    """Return name -> a function (waveform, length) -> probabilities of the main task."""
    from keras_ser.models.aspmtl.cascade import without_first
    from keras_ser.models.aspmtl.denoiser import mask_denoiser
    from keras_ser.training.inference import forward

    task = run.recipe.tasks[0].name
    model = run.model()
    infer = forward(model)
    own = lambda y, n: infer({"waveform": y, "length": n})[task]  # noqa: E731
    if run.recipe.first is not None:
        bare = forward(without_first(model, run.recipe.frontend))
        return {WITH: own, WITHOUT: lambda y, n: bare({"waveform": y, "length": n})[task]}
    if denoiser is not None:
        if denoiser.recipe.frontend.sample_rate != run.recipe.frontend.sample_rate:
            raise UserError("the denoiser works at another sample rate than the run; train one at its rate.")
        mask = forward(mask_denoiser(denoiser.model()))
        masked = lambda y, n: own(mask({"waveform": y, "length": n})["waveform"], n)  # noqa: E731
        return {WITH: masked, WITHOUT: own}
    return {TRAINED: own}


def _in_noise(
    run: Run, denoiser: Run | None, data: Data, places: Sequence, step: Callable[[str], None]
) -> pd.DataFrame:
    """Return a row per (system, noise, SNR, test clip with a label of the main task)."""
    task, systems, rows = run.recipe.tasks[0], _systems(run, denoiser), []
    truth = truths(task, data.corpus.utterances, data.corpus.name)
    clips = [clip for clip in tested_clips(run, data) if truth[clip.index] != ""]
    for name, noise, snr in places:
        step(name if noise is None else f"{name}, {snr:g} dB")
        waveforms = [clip.waveform for clip in clips]
        if noise is not None:
            draws = [
                np.random.default_rng([run.seed, *name.encode(), int(10 * snr) + 10000, i]) for i in range(len(clips))
            ]
            waveforms = [mixed(x, noise, snr, rng, name) for x, rng in zip(waveforms, draws, strict=True)]
        for system, infer in systems.items():
            for clip, p in zip(clips, batched(infer, waveforms, cut=False), strict=True):
                row = {"system": system, "noise": name, "snr": snr, "id": clip.id, "group": clip.group}
                rows.append(row | {"truth": truth[clip.index], "prediction": task.labels[int(np.argmax(p))]})
    return pd.DataFrame(rows)
