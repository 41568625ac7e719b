"""Denoisers that learn nothing: spectral subtraction, and wavelet shrinkage followed by an adaptive line enhancer.

Both are called with a waveform (samples,) and its rate and return float32 of the same length. They know no absolute
level: the waveform is brought to peak 1 first and back to its own level at the end, so that g x gives g times what x
gives. A silent waveform stays silent; one too short to tell speech from noise comes back as it was.
"""

from collections.abc import Callable

import numpy as np

from keras_ser.audio.denoise.subtraction import leading_pause, minimum_statistics, spectral_subtraction
from keras_ser.audio.denoise.wavelets import line_enhancer, wavelet_lms, wavelet_shrinkage

__all__ = [
    "DENOISERS",
    "leading_pause",
    "line_enhancer",
    "minimum_statistics",
    "spectral_subtraction",
    "wavelet_lms",
    "wavelet_shrinkage",
]

DENOISERS: dict[str, Callable[..., np.ndarray]] = {
    "spectral-subtraction": spectral_subtraction,
    "wavelet-lms": wavelet_lms,
}
