"""Denoisers without training: spectral subtraction, and wavelet shrinkage followed by an adaptive line enhancer.

Each takes a waveform (samples,) and its sample rate in Hz, and returns float32 of the same length. The result scales with the
input: the waveform is normalised to peak 1 first and scaled back at the end. A silent waveform stays silent; one too short for
the analysis is returned unchanged. A waveform that is empty, not one-dimensional or not finite raises UserError.
"""

from collections.abc import Callable

import numpy as np

from keras_ser.audio.denoise.subtraction import spectral_subtraction
from keras_ser.audio.denoise.wavelets import wavelet_lms

__all__ = ["DENOISERS", "spectral_subtraction", "wavelet_lms"]

DENOISERS: dict[str, Callable[..., np.ndarray]] = {
    "spectral-subtraction": spectral_subtraction,
    "wavelet-lms": wavelet_lms,
}
