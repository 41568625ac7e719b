"""Measures of a denoiser's output against the clean speech: SNR_out, SI-SDR, PESQ and STOI.

Conventions: `clean` (s) and `estimate` (s^) are finite waveforms (samples,) of the same length and sample rate, aligned. Another
shape, NaN, infinity or a missing package raises UserError. The sums are float64. For all four measures, higher is better.
"""

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from keras_ser.audio.noise import snr
from keras_ser.errors import UserError


def snr_out(clean: np.ndarray, estimate: np.ndarray) -> float:
    """Return SNR_out = 10 lg(sum s^2 / sum (s^ - s)^2) (eq. 23 of ASP-MTL), in dB; infinite if the two are equal.

    Silence scores 0 dB, which is a gain if the noisy speech has less. This measure alone rewards outputs that are too faint:
    report `si_sdr` as well. Dropped samples are zeros in the estimate. Raises UserError for a silent `clean`.
    """
    return snr(*_pair(clean, estimate))


def si_sdr(clean: np.ndarray, estimate: np.ndarray) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB, which ignores level and offset of the estimate.

        SI-SDR = 10 lg(|a s|^2 / |a s - s^|^2), a = <s^, s> / |s|^2, s and s^ without their means

    Infinite if the estimate is a multiple of `clean`, minus infinity if it contains nothing of it (silence). Raises UserError for a
    constant `clean`.

    Reference:
        J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.
    """
    s, e = _pair(clean, estimate)
    if np.ptp(s) == 0:
        raise UserError("`clean` is silent: a signal-to-distortion ratio is not defined.")
    s, e = s - s.mean(), e - e.mean()
    target = (e @ s) / (s @ s) * s
    power, error = target @ target, np.sum((target - e) ** 2)
    if power == 0:
        return float("-inf")
    return float("inf") if error == 0 else float(10 * np.log10(power / error))


def pesq(clean: np.ndarray, estimate: np.ndarray, sample_rate: int = 16000) -> float:
    """Return the perceptual evaluation of speech quality (PESQ) by the package `pesq`: MOS-LQO, 1.0 to 4.6.

    Wide band (ITU-T P.862.2) at 16 kHz, narrow band (P.862) at 8 kHz. Raises UserError for another rate, and if PESQ finds no
    utterance (at least a quarter of a second of speech).
    """
    s, e = _pair(clean, estimate)
    if sample_rate not in (8000, 16000):
        raise UserError(f"PESQ is defined at 8000 and 16000 Hz; resample first. Received: {sample_rate} Hz.")
    package = _package("pesq", "PESQ")
    if not (s.any() and e.any()):
        raise UserError("PESQ is not defined for silence.")
    try:
        return float(package.pesq(sample_rate, s, e, "wb" if sample_rate == 16000 else "nb"))
    except (package.PesqError, ValueError) as error:
        raise UserError(f"PESQ can't score this clip ({_words(error)}).") from error


def stoi(clean: np.ndarray, estimate: np.ndarray, sample_rate: int = 16000) -> float:
    """Return the short-time objective intelligibility (Taal et al. 2011) by the package `pystoi`: a correlation, about 0 to 1.

    Raises UserError for a silent `clean`, or fewer than 30 frames (0.4 s) of speech.
    """
    s, e = _pair(clean, estimate)
    package = _package("pystoi", "STOI")
    if not s.any():
        raise UserError("`clean` is silent: STOI is not defined.")
    with warnings.catch_warnings():
        # If the package warns, it returns 1e-5, which is not a score.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(package.stoi(s, e, sample_rate))
        except (RuntimeWarning, ValueError) as error:
            raise UserError(f"STOI can't score this clip ({_words(error)}).") from error


MEASURES: dict[str, Callable[..., float]] = {"snr_out": snr_out, "si_sdr": si_sdr, "pesq": pesq, "stoi": stoi}
PACKAGES = {"pesq": "pesq", "stoi": "pystoi"}


def available() -> tuple[str, ...]:
    """Return the names in `MEASURES` whose package is installed."""
    return tuple(name for name in MEASURES if name not in PACKAGES or find_spec(PACKAGES[name]))


def _pair(clean: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s, e = np.asarray(clean, np.float64), np.asarray(estimate, np.float64)
    if s.ndim != 1 or s.shape != e.shape or not s.size:
        raise UserError(f"`clean` and `estimate` must have the same length. Received: {s.shape}, {e.shape}.")
    if not (np.isfinite(s).all() and np.isfinite(e).all()):
        raise UserError("`clean` and `estimate` must be finite. Received NaN or infinity.")
    return s, e


def _package(name: str, measure: str):
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f"{measure} needs the package {name}: pip install {name}.") from error


def _words(error: BaseException) -> str:
    text = error.args[0] if error.args else type(error).__name__
    return (text.decode() if isinstance(text, bytes) else str(text)).splitlines()[0].rstrip(".")
