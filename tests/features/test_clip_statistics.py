import numpy as np

from keras_ser.features import clip_statistics


def test_mean_and_variance_equal_numpy(rng):
    x = (rng.standard_normal((5, 13, 5)) * [1, 10, 0.1, 3, 2] + [0, 100, 5, -3, 1]).astype(np.float32)
    x[:, :, 4] = 1.7
    frames = np.array([13, 1, 6, 9, 0])
    mask = np.arange(13) < frames[:, None]
    x[~mask] = np.nan
    found = np.asarray(clip_statistics(x, mask))
    assert found.shape == (5, 10) and not found[4].any()
    for row, clip, n in zip(found[:4], x[:4].astype(np.float64), frames[:4], strict=True):
        expected = np.concatenate([clip[:n].mean(axis=0), clip[:n].var(axis=0)])
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)
