import librosa
import numpy as np
import pytest

from keras_ser.features import preemphasis


@pytest.mark.parametrize("coefficient", [0.5, 0.97])
def test_equals_librosa_from_the_second_sample(rng, coefficient):
    x = rng.standard_normal((3, 1001)).astype(np.float32)
    theirs = librosa.effects.preemphasis(x, coef=coefficient)
    ours = np.asarray(preemphasis(x, coefficient))
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], atol=1e-6)
    np.testing.assert_allclose(ours[:, 0], (1 - coefficient) * x[:, 0], atol=1e-6)
