"""Tables 5 to 8 of the ASP-MTL paper: what each denoiser leaves of known noises, on the test clips of every run.

A run's figures go into its folder as they are done (denoising.csv), and are not computed twice.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import soxr

from keras_ser.audio import mix, pad
from keras_ser.audio.denoise import DENOISERS, spectral_subtraction
from keras_ser.audio.quality import MEASURES, available
from keras_ser.errors import UserError
from keras_ser.experiment.failures import check_any, left_out
from keras_ser.experiment.jobs import jobs, unit
from keras_ser.experiment.kept import kept
from keras_ser.pipelines.noises import is_generated, noise_bank
from keras_ser.recipe import Recipe
from keras_ser.reports import Report, denoising_report
from keras_ser.settings import CLEAN, of_stream
from keras_ser.training import Data, Run
from keras_ser.training.run import model_file

Waveforms = Sequence[np.ndarray]
Denoiser = Callable[[Waveforms, Waveforms], list[np.ndarray]]  # clean, noisy -> what is left

SNRS = (10.0, 5.0, -5.0, -10.0)
STRONGER = 2.0
METHODS = {
    "none": "no treatment",
    "wavelet-lms": "[26]: wavelet soft threshold, then a variable-step-size LMS filter",
    "spectral-subtraction": "[27]: spectral subtraction, alpha = 2, beta = 0.5",
    "subtraction-2": f"the same with beta = {STRONGER:g}: a stronger opponent than the paper's",
    "drop": "model 1: segments that a noise wins are silenced (the letter of the paper)",
    "mask": "model 1: the ratio mask that it estimates, resynthesised with the noisy phase",
    "ideal-mask": "the ideal ratio mask: the limit of `mask`, for who knows the clean speech",
}
OURS, AGAINST = ("drop", "mask"), ("wavelet-lms", "spectral-subtraction")
BATCH = 16  # clips
STRETCH_SECONDS = 30.0


class Clip(NamedTuple):
    """A test clip.

    Args:
        index: in the corpus.
        id: of the utterance.
        group: its speaker, film or session, or the clip itself.
        waveform: (samples,), float32.
    """

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
    on_step: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Score every denoiser on the finished runs of an experiment, and write the report into its folder.

    Args:
        recipe: of a model 1 that estimates a mask.
        data: its corpora.
        folder: the experiment's folder (see `run_experiment`).
        noises: names, as a stream's; those that the recipe does not train on are the unseen ones. Each is heard in its
            test stretch, which no training has heard.
        snrs: SNR_in in dB, over all samples of a clip.
        clips: test clips of each run, evenly spread over its test side.
        folds: see `jobs`.
        paper: (noise, snr_in) -> {method: the paper's SNR_out}.
        notes: sentences for the reader.
        on_step: called with (number, steps in all, what) before each step.

    Raises:
        RunError: no finished run (`AllFailedError` where one failed).
    """
    folder = Path(folder)
    # where there are several, the last protocol is the one that keeps speakers apart
    own = [job for job in jobs(recipe, data, folds) if job.protocol.name == recipe.protocols[-1].name]
    done = [job for job in own if model_file(folder / job.folder)]
    there = {job.folder for job in done}
    check_any(folder, own, there)
    trained = {name for stream in recipe.streams for name in stream.noises}
    measures = available()
    tables, number = [], 0
    total = len(done) * (1 + len(noises) * len(snrs))
    for job in done:
        target = folder / job.folder
        asked = {"noises": list(noises), "snrs": list(snrs), "clips": clips, "measures": list(measures)}
        asked |= {"methods": method_names(), "data": data.digest}

        def step(what: str, job=job) -> None:
            nonlocal number
            number += 1
            if on_step:
                on_step(number, total, f"fold {job.split.fold}, seed {job.seed}: {what}")

        def score(job=job, target=target, step=step) -> pd.DataFrame:
            table = score_run(Run.load(target), data, noises, snrs, clips, measures, step)
            table.insert(0, "seed", job.seed)
            table.insert(0, "fold", job.split.fold)
            return table.assign(seen=table["noise"].isin([*trained, CLEAN]))

        table, was_there = kept(target, "denoising", asked, score)
        number += (1 + len(noises) * len(snrs)) if was_there else 0
        tables.append(table)
    whole = pd.concat(tables, ignore_index=True)
    clean = whole[whole["noise"] == CLEAN]
    told = [*notes, *_clean_notes(clean)]
    if folds is not None:
        told.append(f"Only these folds were asked for: {', '.join(map(str, folds))}.")
    if "babble" in noises and is_generated("babble", data.noise_root):
        told.append("The babble is generated: training and test hear different mixtures of the same training speakers.")
    if done[0].split.speaker_dependent:
        told.append("A speaker-dependent split: test speakers were heard in training.")
    missing = [name for name in MEASURES if name not in measures]
    missing += [name for name in METHODS if name not in set(whole["method"])]
    if missing:
        told.append(
            f'Not there, for want of their packages (pip install "keras-ser[denoise]" pesq): {", ".join(missing)}.'
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
    )
    made.save(folder)
    return made


def _clean_notes(clean: pd.DataFrame) -> list[str]:
    found = []
    for method in OURS:
        values = clean.loc[clean["method"] == method, "si_sdr"]
        what = f"On {len(values)} clean clips {method} has a SI-SDR of"
        if np.isneginf(values).any():
            found.append(
                f"{what} {values.median():.1f} dB in the median; {np.isneginf(values).sum()} are silent after it."
            )
        elif np.isinf(values).all():
            found.append(f"{what} infinity: it leaves them as they are.")
        else:
            found.append(f"{what} {values.median():.1f} dB in the median, {values.min():.1f} dB at worst.")
    return found


def score_run(
    run: Run,
    data: Data,
    noises: Sequence[str],
    snrs: Sequence[float],
    clips: int,
    measures: Sequence[str],
    on_step: Callable[[str], None] = lambda what: None,
) -> pd.DataFrame:
    """One row a (noise, snr_in, clip, method) of a run's test side: see `keras_ser.evaluation.denoising`."""
    recipe = run.recipe
    rate = recipe.frontend.sample_rate
    tested = test_clips(run, data, clips)
    waveforms = [clip.waveform for clip in tested]
    speech = data.speech(run.split.train) if "babble" in noises else ()
    bank = noise_bank(noises, "test", rate, run.seed, speech, data.noise_root)
    methods = denoisers(run)
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
    """Speech in noise; an error names the noise."""
    try:
        return mix(waveform, noise, snr_in, rng=rng)[0]
    except ValueError as error:
        raise UserError(f"the noise {name!r}: {error}") from error


def method_names() -> list[str]:
    """The methods whose packages are there."""
    return [name for name in METHODS if name != "wavelet-lms" or find_spec("pywt")]


def _measured(name: str, clean: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    more = {"sample_rate": rate} if name in ("pesq", "stoi") else {}
    try:
        return MEASURES[name](clean, estimate, **more)
    except ValueError:
        return float("nan")  # too short or too quiet for this measure


def test_clips(run: Run, data: Data, clips: int | None = None) -> list[Clip]:
    """The test side's clips, or so many of them, evenly spread; silent ones are left out."""
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


test_clips.__test__ = False  # a name that pytest would collect


def denoisers(run: Run) -> dict[str, Denoiser]:
    """The methods of the table, at the run's rate."""
    from keras_ser.models.aspmtl.denoiser import frontend_of, ideal

    rate = run.recipe.frontend.sample_rate
    frontend = frontend_of(run.model())

    def of_model(method: str) -> Denoiser:
        infer = inference(run, method)
        return lambda clean, noisy: batched(lambda y, n: infer({"waveform": y, "length": n})["waveform"], noisy)

    def classical(denoise, **options) -> Denoiser:
        return lambda clean, noisy: [denoise(y, rate, **options) for y in noisy]

    found: dict[str, Denoiser] = {name: classical(denoise) for name, denoise in DENOISERS.items()}
    found |= {
        "none": lambda clean, noisy: list(noisy),
        "subtraction-2": classical(spectral_subtraction, beta=STRONGER),
        "drop": of_model("drop"),
        "mask": of_model("mask"),
        "ideal-mask": lambda clean, noisy: batched(lambda s, n, y: ideal(s, y, n, frontend), clean, noisy),
    }
    return {name: found[name] for name in method_names()}


def batched(
    function: Callable, waveforms: Waveforms, more: Waveforms | None = None, cut: bool = True
) -> list[np.ndarray]:
    """`function(waveform, length[, other])` over padded batches of clips of like length, in the clips' own order.

    Args:
        cut: what comes back is a waveform, to be cut to the clip's length.
    """
    order = np.argsort([len(x) for x in waveforms], kind="stable")
    found: list[Any] = [None] * len(waveforms)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        waveform, length = pad([waveforms[i] for i in chosen])
        others = [] if more is None else [pad([more[i] for i in chosen])[0]]
        result = np.asarray(function(waveform, length, *others))
        for i, row, n in zip(chosen, result, length, strict=True):
            found[i] = row[:n] if cut else row
    return found


def waveform_denoiser(run: Run, method: str) -> Callable[[np.ndarray, int], np.ndarray]:
    """A run's model 1 for recordings of any length and rate: (waveform (samples,), rate) -> float32 (samples,).

    It works at its own rate (soxr before and after), so what lies beyond half of that is gone, and in stretches of about
    half a minute: "mask" hears two segments of what comes before each and one of what comes after; "drop" judges each alone,
    and keeps the least noisy segment of a stretch that has no other.

    Args:
        run: of a model 1 that estimates a mask (for "mask") or knows noise (for both).
        method: "drop" or "mask".
    """
    recipe = run.recipe
    infer = inference(run, method)
    segment = recipe.sampling.frames * recipe.frontend.hop
    before, after = (2 * segment, segment) if method == "mask" else (0, 0)
    stretch = segment * max(1, round(STRETCH_SECONDS * recipe.frontend.sample_rate / segment))

    def denoise(waveform: np.ndarray, rate: int) -> np.ndarray:
        own = recipe.frontend.sample_rate
        x = np.asarray(waveform, np.float32)
        x = x if rate == own else soxr.resample(x, rate, own, quality="VHQ")
        left = np.zeros_like(x)
        for start in range(0, len(x), stretch):
            first = max(0, start - before)
            piece = x[first : start + stretch + after]
            found = infer({"waveform": piece[None], "length": np.array([len(piece)], np.int32)})["waveform"]
            end = min(start + stretch, len(x))
            left[start:end] = np.asarray(found)[0, start - first : end - first]
        if rate != own:
            left = soxr.resample(left, own, rate, quality="VHQ")
        # resampling there and back may be a sample off
        return np.pad(left, (0, max(0, len(waveform) - len(left))))[: len(waveform)].astype(np.float32)

    return denoise


def inference(run: Run, method: str) -> Callable:
    """{"waveform": (batch, samples), "length": (batch,)} -> {"waveform": (batch, samples), ..}, compiled.

    Args:
        run: of a model 1.
        method: "drop" or "mask".

    Raises:
        ValueError: a cascade; a model that knows no noise, estimates no mask, or drops silence before it looks.
    """
    from keras_ser.models.aspmtl.denoiser import drop_denoiser, mask_denoiser
    from keras_ser.training.inference import forward

    if run.recipe.first is not None:
        raise UserError(f"{run.folder} is a cascade: name its model 1, {run.folder / 'model_1'}.")
    noise = next(filter(of_stream, run.recipe.tasks), None)
    if noise is None:
        raise UserError(f"{run.folder} knows no noise: it needs a task with column='noise'.")
    if method == "mask":
        return forward(mask_denoiser(run.model()))
    return forward(drop_denoiser(run.model(), run.recipe.sampling.frames, int(noise.encode(CLEAN)[0]), noise.name))
