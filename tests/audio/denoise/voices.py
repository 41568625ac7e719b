"""A voice that no file is needed for."""

import numpy as np


def voice(rng, samples):
    """Harmonics with syllables, asymmetric."""
    t = np.arange(samples) / 16000
    phase = 2 * np.pi * (130 * t + 25 * t**2)
    sound = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 15))
    return (0.2 * sound * np.clip(np.sin(2 * np.pi * 2.5 * t - 0.6), 0, None) + 0.002).astype(np.float32)
