"""Denoisers without training: spectral subtraction, and wavelet shrinkage followed by an adaptive line enhancer.

Each takes a waveform (samples,) and its rate and returns float32 of the same length. The result scales with the input: the
waveform is normalised to peak 1 first and scaled back at the end. A silent waveform stays silent; one too short to tell
speech from noise is returned unchanged. One that is empty, not one-dimensional or not finite is a UserError.
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
