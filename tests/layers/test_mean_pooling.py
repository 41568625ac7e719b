import numpy as np

from keras_ser.layers import MeanPooling


def test_mean_over_real_frames():
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(4, 6, 3)).astype("float32"), [6, 2, 1, 0]
    found = MeanPooling()(x, mask=np.arange(6) < np.array(lengths)[:, None]).numpy()
    for i, length in enumerate(lengths[:3]):
        np.testing.assert_allclose(found[i], x[i, :length].astype("float64").mean(0), atol=1e-6)
    assert not found[3].any()
    np.testing.assert_allclose(MeanPooling()(x), x.mean(1), atol=1e-6)


def test_a_long_clip_does_not_overflow_float16():
    x = np.random.default_rng(1).uniform(50, 100, size=(1, 3000, 2)).astype("float16")
    found = MeanPooling(dtype="mixed_float16")(x)
    assert found.dtype == "float16"
    np.testing.assert_allclose(found, x.astype("float64").mean(1), rtol=2e-3)
