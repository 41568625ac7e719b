"""The server mixes channels as the offline reader does."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.audio.channels import survey
from keras_ser.serving.wav import downmix

RATE = 16000


def voice(rng, samples=24000):
    t = np.arange(samples) / RATE
    return 0.2 * np.sin(2 * np.pi * (150 + 30 * np.sin(2 * np.pi * t)) * t) * (
        0.6 + 0.4 * np.sin(20 * t)
    ) + 0.01 * rng.normal(size=samples)


def cases(rng):
    x, y = voice(rng), voice(rng)[::-1]
    quiet = 1e-6 * rng.normal(size=x.size)
    yield "mono", [x]
    yield "stereo", [x, 0.7 * y]
    yield "cancelling", [x, -x]
    yield "nearly cancelling", [x, -0.99 * x + 0.001 * y]
    yield "one of four cancels", [x, -x, x, -x]
    yield "silent right", [x, 0 * x]
    yield "noise floor on the left", [quiet, x]
    yield "silent with an offset of its own", [x, 0 * x + 0.3]
    yield "one of six", [0 * x] * 3 + [x] + [0 * x] * 2
    yield "offset", [0.7 * x + 0.1]
    yield "offset in stereo", [x + 0.05, 0.5 * y + 0.03]
    yield "small offset", [x + 0.005]
    yield "offset that comes and goes", [x + 0.3 * np.sin(np.arange(x.size) / 3000)]
    yield "short with an offset", [x[:3000] + 0.2]
    yield "shorter than a frame", [x[:700] + 0.2, y[:700]]
    yield "one sample", [x[:1], y[:1]]
    yield "silence", [0 * x, 0 * x]
    yield "constant", [0 * x + 0.25]
    yield "loud", [2.0**31 * x, 2.0**30 * y]


@pytest.mark.parametrize("rate", [RATE, 11025])
def test_downmix_equals_the_offline_reader(rng, rate):
    graph = tf.function(downmix, input_signature=[tf.TensorSpec((None, None)), tf.TensorSpec((), tf.int64)])
    seen = set()
    for name, channels in cases(rng):
        samples = np.stack(channels, axis=1).astype("float32")
        expected = survey([samples], rate)
        np.testing.assert_allclose(
            graph(samples, rate), expected(samples), rtol=1e-6, atol=1e-7 * np.abs(samples).max(), err_msg=name
        )
        seen |= {*expected.problems}
    assert len(seen) == 3, "each rule has been at work"
