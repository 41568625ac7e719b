import numpy as np

from keras_ser.layers import StatisticsPooling


def test_mean_and_deviation_of_real_frames():
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(3, 2, size=(4, 6, 3)).astype("float32"), [6, 2, 1, 0]
    mask = np.arange(6) < np.array(lengths)[:, None]
    found = StatisticsPooling()(np.where(mask[..., None], x, np.nan), mask=mask).numpy()
    for i, length in enumerate(lengths[:3]):
        real = x[i, :length].astype("float64")
        np.testing.assert_allclose(found[i, :3], real.mean(0), rtol=1e-5)
        np.testing.assert_allclose(found[i, 3:], np.sqrt(real.var(0) + 1e-5), rtol=1e-4)
    np.testing.assert_allclose(found[3], [0, 0, 0] + [np.sqrt(1e-5)] * 3, atol=1e-7)


def test_a_large_mean_does_not_drown_the_deviation():
    x = np.random.default_rng(1).normal(1000, 1, size=(1, 500, 2)).astype("float32")
    found = StatisticsPooling()(x).numpy()[0, 2:]
    np.testing.assert_allclose(found, x.astype("float64").std(1)[0], rtol=1e-3)
