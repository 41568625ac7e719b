"""Denoisers of waveforms: the classical methods, model 1 of the ASP-MTL paper, and the ideal mask."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import soxr

from keras_ser.audio import pad
from keras_ser.audio.denoise import DENOISERS, spectral_subtraction
from keras_ser.errors import UserError
from keras_ser.settings import of_stream
from keras_ser.training import Run

Waveforms = Sequence[np.ndarray]
Denoiser = Callable[[Waveforms, Waveforms], list[np.ndarray]]  # clean, noisy -> denoised

STRONGER = 2.0
METHODS = {
    "none": "no treatment",
    "wavelet-lms": "[26]: wavelet soft threshold, then a variable-step-size LMS filter",
    "spectral-subtraction": "[27]: spectral subtraction, alpha = 2, beta = 0.5",
    "subtraction-2": f"the same with beta = {STRONGER:g}: a stronger baseline than the paper's",
    "drop": "model 1: segments classified as noise are silenced (the paper read literally)",
    "mask": "model 1: its estimated ratio mask, resynthesised with the noisy phase",
    "ideal-mask": "the ideal ratio mask, which `mask` estimates, computed from the clean speech",
}
BATCH = 16  # clips
STRETCH_SECONDS = 30.0


def method_names() -> list[str]:
    """Return the methods whose packages are installed."""
    return [name for name in METHODS if name != "wavelet-lms" or find_spec("pywt")]


def denoising_methods(run: Run) -> dict[str, Denoiser]:
    """Return the methods of the table, at the run's sample rate."""
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
    """Apply `function(waveform, length[, other])` to padded batches of clips of similar length; return results in clip order.

    With `cut`, the results are waveforms, which are cut to the clips' lengths.
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
    """Return a run's model 1 for recordings of any length and rate: (waveform (samples,), rate) -> float32 (samples,).

    It works at its own rate (soxr before and after), which removes frequencies above half that rate, and in blocks of about
    half a minute: "mask" sees two segments before and one after each block; "drop" judges each block alone, and keeps its
    least noisy segment if it has no other.

    Args:
        run: run of a model 1 that estimates a mask (for "mask") or has a noise task (for both).
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
        # resampling back and forth may change the length by a sample
        return np.pad(left, (0, max(0, len(waveform) - len(left))))[: len(waveform)].astype(np.float32)

    return denoise


def inference(run: Run, method: str) -> Callable:
    """Return {"waveform": (batch, samples), "length": (batch,)} -> {"waveform": ..}, the "drop" or "mask" of a model 1.

    Raises:
        UserError: the run is a cascade, or its model lacks a noise task or a mask, or drops silence first.
    """
    from keras_ser.models.aspmtl.denoiser import drop_denoiser, mask_denoiser, noise_segments
    from keras_ser.training.inference import forward

    if run.recipe.first is not None:
        raise UserError(f"{run.folder} is a cascade: give its model 1, {run.folder / 'model_1'}.")
    if not any(map(of_stream, run.recipe.tasks)):
        raise UserError(
            f"{run.folder} has no 'noise' task: give a model 1 of ASP-MTL, which has one (a task with column='noise')."
        )
    if method == "mask":
        return forward(mask_denoiser(run.model()))
    return forward(drop_denoiser(run.model(), *noise_segments(run.recipe)))
