"""Every feature has a finite gradient, silence included."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.features import FEATURES, Frontend
from tests.features.clips import speech_like

RATE, SAMPLES = 16000, 4000


def waveforms() -> dict[str, np.ndarray]:
    """name -> (samples,) float32."""
    rng = np.random.default_rng(0)
    voice = speech_like(rng, SAMPLES)
    stretches = voice.copy()
    stretches[:900], stretches[2000:3100] = 0, 0
    click, step = np.zeros((2, SAMPLES), "float32")
    click[1500], step[100] = 1.0, 2.0**-15
    return {
        "silence": np.zeros(SAMPLES, "float32"),
        "silent stretches": stretches,
        "one step of 16 bits": step,
        "click": click,
        "constant": np.full(SAMPLES, 0.25, "float32"),
        "full scale": np.sign(voice).astype("float32"),
        "speech": voice,
    }


@pytest.mark.parametrize(
    ("feature", "options"),
    [
        *((feature, {}) for feature in FEATURES if feature != "waveform"),
        ("short_term", {"compatible": True}),
        *((feature, {"normalize": True, "endpoint": False}) for feature in FEATURES if feature != "waveform"),
        *((feature, {"statistics": True, "endpoint": False}) for feature in FEATURES if feature != "waveform"),
    ],
    ids=str,
)
def test_gradient_of_every_feature_is_finite(feature, options):
    frontend = Frontend(features=(feature,), sample_rate=RATE, **options)
    given = waveforms()
    x = tf.constant(np.stack(list(given.values())))
    length = tf.constant([SAMPLES] * (len(given) - 1) + [SAMPLES - 777])
    weights = np.random.default_rng(1).normal(size=(1, 30, 700)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = frontend(x, length)[feature]
        total = tf.reduce_sum(found * weights[:, : found.shape[1], : found.shape[2]])
    assert np.isfinite(found).all()
    gradient = tape.gradient(total, x)
    if gradient is None:
        assert feature == "zero_crossing_rate", "counts have no gradient"
        return
    for name, row in zip(given, gradient.numpy(), strict=True):
        assert np.isfinite(row).all(), name
    assert gradient.numpy()[-1].any()
