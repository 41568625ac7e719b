import numpy as np
import pytest
from scipy import signal


@pytest.fixture
def speechlike(rng):
    """Two seconds of low-passed noise at 16 kHz, well inside full scale."""
    x = signal.lfilter([1], [1, -0.9], rng.normal(size=32017))
    return 0.5 * x / np.abs(x).max()
