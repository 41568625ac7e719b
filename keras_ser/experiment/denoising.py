"""Tables 5 to 8 of the ASP-MTL paper: scores of denoisers on known noises, on the test clips of every run.

A run's scores are written to its folder as they are computed (denoising.csv), and are not computed twice.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from keras_ser.audio.noise import is_among, mix
from keras_ser.audio.quality import MEASURES, available
from keras_ser.errors import UserError
from keras_ser.evaluation.learning import learning_of
from keras_ser.experiment.denoisers import METHODS, Waveforms, denoising_methods, method_names
from keras_ser.experiment.failures import check_any, left_out
from keras_ser.experiment.planning import by_validity, jobs, unit
from keras_ser.experiment.stored import Step, kept_tables
from keras_ser.pipelines.noises import is_generated, noise_bank
from keras_ser.recipe import Recipe
from keras_ser.reports import Report, denoising_report
from keras_ser.settings import CLEAN
from keras_ser.training import Data, Run
from keras_ser.training.run import model_file

SNRS = (10.0, 5.0, -5.0, -10.0)
OURS, AGAINST = ("drop", "mask"), ("wavelet-lms", "spectral-subtraction")


class Clip(NamedTuple):
    """A test clip: its number in the corpus, its id, its speaker, film or session (or itself), and its waveform (samples,)."""

    index: int
    id: str
    group: str
    waveform: np.ndarray


def run_denoising(
    recipe: Recipe,
    data: Data,
    folder: Path | str,
    noises: Sequence[str],
    *,
    snrs: Sequence[float] = SNRS,
    clips: int = 20,
    folds: Sequence[int] | None = None,
    paper: Mapping[tuple[str, float], Mapping[str, float]] | None = None,
    notes: Sequence[str] = (),
    on_step: Step | None = None,
) -> Report:
    """Score every denoiser on the finished runs of an experiment, and write the report into its folder.

    Args:
        recipe: recipe of a model 1 that estimates a mask.
        data: its corpora.
        folder: the experiment's folder (see `run_experiment`).
        noises: names as in a stream; those not used in training are unseen. Each is used in its test section, which no
            training uses.
        snrs: SNR_in in dB, over all samples of a clip.
        clips: number of test clips per run, evenly spread over its test set.
        folds: see `jobs`.
        paper: (noise, snr_in) -> {method: the paper's SNR_out}.
        notes: further sentences of the report.
        on_step: called with (number, number of steps, description) before each step.

    Raises:
        RunError: there is no finished run (`AllFailedError` if a run failed).
    """
    folder = Path(folder)
    protocol = by_validity(recipe.protocols)[-1].name
    own = [job for job in jobs(recipe, data, folds) if job.protocol.name == protocol]
    done = [job for job in own if model_file(folder / job.folder)]
    there = {job.folder for job in done}
    check_any(folder, own, there)
    trained = {name for stream in recipe.streams for name in stream.noises}
    measures = available()
    asked = {"noises": list(noises), "snrs": list(snrs), "clips": clips, "measures": list(measures)}
    asked |= {"methods": method_names(), "data": data.digest, "files": data.noise_hashes(noises)}

    runs = [Run.load(folder / job.folder) for job in done]
    parts = [(run, {}, asked, partial(score_run, run, data, noises, snrs, clips, measures)) for run in runs]
    whole, left = with_all_folds(kept_tables("denoising", parts, 1 + len(noises) * len(snrs), on_step))
    whole["seen"] = [is_among(noise, {CLEAN, *trained}) for noise in whole["noise"]]
    clean = whole[whole["noise"] == CLEAN]
    told = [*notes, *left, *_clean_notes(clean)]
    if folds is not None:
        told.append(f"Only these folds were requested: {', '.join(map(str, folds))}.")
    if "babble" in noises and is_generated("babble", data.noise_root):
        told.append("The babble is generated: training and test use different mixtures of the same training speakers.")
    if done[0].split.speaker_dependent:
        told.append("Speaker-dependent split: test speakers occur in training.")
    missing = [name for name in MEASURES if name not in measures]
    missing += [name for name in METHODS if name not in set(whole["method"])]
    if missing:
        told.append(
            f'Left out, since their packages are not installed (pip install "keras-ser[denoise]" pesq): {", ".join(missing)}.'
        )
    made = denoising_report(
        f"{recipe.name}: denoising on {data.corpus.name}",
        whole[whole["noise"] != CLEAN].reset_index(drop=True),
        {name: what for name, what in METHODS.items() if name in set(whole["method"])},
        paper=paper or {},
        ours=OURS,
        against=[name for name in AGAINST if name in set(whole["method"])],
        missing=left_out(folder, own, there),
        notes=told,
        unit=unit(data),
        learned=learning_of(runs),
    )
    made.save(folder)
    return made


def with_all_folds(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of the seeds with all folds of the table, and a note on the others; all rows if no seed has them."""
    folds = {seed: set(part["fold"]) for seed, part in table.groupby("seed")}
    whole = set().union(*folds.values())
    incomplete = [seed for seed, found in folds.items() if found != whole]
    if not incomplete or len(incomplete) == len(folds):
        return table, []
    kept = table[~table["seed"].isin(incomplete)].reset_index(drop=True)
    return kept, [f"Seeds without all folds are left out: {', '.join(map(str, incomplete))}."]


def _clean_notes(clean: pd.DataFrame) -> list[str]:
    found = []
    for method in OURS:
        values = clean.loc[clean["method"] == method, "si_sdr"]
        what = f"On {len(values)} clean clips {method} has a SI-SDR of"
        if np.isneginf(values).any():
            found.append(f"{what} {values.median():.1f} dB (median); it silences {np.isneginf(values).sum()} of them.")
        elif np.isinf(values).all():
            found.append(f"{what} infinity: it leaves them unchanged.")
        else:
            found.append(f"{what} {values.median():.1f} dB (median), {values.min():.1f} dB (worst).")
    return found


def score_run(
    run: Run,
    data: Data,
    noises: Sequence[str],
    snrs: Sequence[float],
    clips: int,
    measures: Sequence[str],
    on_step: Callable[[str], None],
) -> pd.DataFrame:
    """Return a row per (noise, snr_in, clip, method) of a run's test set; see `keras_ser.evaluation.denoising`."""
    recipe = run.recipe
    rate = recipe.frontend.sample_rate
    tested = tested_clips(run, data, clips)
    waveforms = [clip.waveform for clip in tested]
    speech = data.speech(run.split.train) if "babble" in noises else ()
    bank = noise_bank(noises, "test", rate, run.seed, speech, data.noise_root)
    methods = denoising_methods(run)
    rows: list[dict[str, Any]] = []

    def add(noise: str, snr_in: float, noisy: Waveforms) -> None:
        for method, denoise in methods.items():
            for clip, estimate in zip(tested, denoise(waveforms, noisy), strict=True):
                row = {"noise": noise, "snr_in": snr_in, "id": clip.id, "group": clip.group, "method": method}
                rows.append(row | {name: _measured(name, clip.waveform, estimate, rate) for name in measures})

    on_step("clean")
    add(CLEAN, float("inf"), waveforms)
    for n, (name, noise) in enumerate(zip(noises, bank, strict=True)):
        for s, snr_in in enumerate(snrs):
            on_step(f"{name}, {snr_in:g} dB")
            seeds = [np.random.default_rng([run.seed, n, s, i]) for i in range(len(tested))]
            add(name, snr_in, [mixed(x, noise, snr_in, rng, name) for x, rng in zip(waveforms, seeds, strict=True)])
    return pd.DataFrame(rows)


def mixed(waveform: np.ndarray, noise: np.ndarray, snr_in: float, rng: np.random.Generator, name: str) -> np.ndarray:
    """Mix speech and noise; errors name the noise."""
    try:
        return mix(waveform, noise, snr_in, rng=rng)[0]
    except ValueError as error:
        raise UserError(f"the noise {name!r}: {error}") from error


def _measured(name: str, clean: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    more = {"sample_rate": rate} if name in ("pesq", "stoi") else {}
    try:
        return MEASURES[name](clean, estimate, **more)
    except ValueError:
        return float("nan")  # too short or too quiet for this measure


def tested_clips(run: Run, data: Data, clips: int | None = None) -> list[Clip]:
    """Return the test set's clips, or `clips` of them, evenly spread, without silent ones."""
    wanted = set(run.split.test) - set(data.cache.dropped)
    numbers = np.array([i for i, u in enumerate(data.corpus) if u.id in wanted])
    if clips is not None and clips < len(numbers):
        numbers = numbers[np.unique(np.linspace(0, len(numbers) - 1, clips).astype(int))]
    waveforms = {int(x["index"]): x["waveform"] for x in data.cache.dataset(numbers).as_numpy_iterator()}
    group, every = unit(data), data.corpus.utterances
    return [
        Clip(int(i), every[i].id, str(every[i].column(group) or every[i].id), waveforms[int(i)])
        for i in numbers
        if np.ptp(waveforms[int(i)]) > 0
    ]
