import keras
import numpy as np
import pytest

from keras_ser.features import FeatureNormalization, Statistics


def test_statistics_equal_numpy_over_valid_frames(rng):
    statistics, rows = Statistics(), []
    for frames in (7, 31, 1, 12):
        # A large offset: sums of squares in float32 would lose the variance.
        x = (rng.standard_normal((3, frames, 5)) * np.arange(1, 6) + 3000).astype(np.float32)
        mask = np.arange(frames) < rng.integers(0, frames + 1, (3, 1))
        statistics.update(np.where(mask[..., None], x, np.nan), mask)
        rows.append(x[mask])
    rows = np.concatenate(rows).astype(np.float64)
    assert statistics.frames == len(rows) > 0
    np.testing.assert_allclose(statistics.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.variance, rows.var(0), rtol=1e-9)
    assert statistics.mean.dtype == np.float64


def test_normalises_valid_frames_and_zeroes_the_rest(rng, tmp_path):
    x = (rng.standard_normal((4, 9, 3)) * [1, 10, 0.1] + [5, -50, 0]).astype(np.float32)
    mask = np.arange(9) < np.array([[9], [4], [1], [6]])
    statistics = Statistics()
    statistics.update(x, mask)
    layer = FeatureNormalization(epsilon=0.0)
    inputs = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    model = keras.Model(inputs, layer(*inputs))
    layer.set_statistics(statistics.mean, statistics.variance)
    assert not model.trainable_weights and len(model.weights) == 2
    model.save(tmp_path / "model.keras")
    x[~mask] = np.nan
    out = keras.models.load_model(tmp_path / "model.keras").predict([x, mask], verbose=0)
    rows = x[mask].astype(np.float64)
    np.testing.assert_allclose(out[mask], (rows - rows.mean(0)) / rows.std(0), atol=1e-5)
    assert not out[~mask].any()


def test_float32_under_mixed_precision(rng):
    x = rng.standard_normal((2, 5, 3)).astype(np.float32) * 1e-3 + 1000
    mask = np.ones((2, 5), bool)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = FeatureNormalization()
        layer.build(x.shape)
        layer.set_statistics([1000] * 3, [1e-6] * 3)
        out = layer(x, mask)
    finally:
        keras.config.set_dtype_policy(policy)
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    np.testing.assert_allclose(out, (x.astype(np.float64) - 1000) / np.sqrt(2e-6), atol=1e-3)


def test_errors():
    layer = FeatureNormalization()
    with pytest.raises(ValueError, match="needs a built layer"):
        layer.set_statistics([0.0], [1.0])
    layer.build((None, None, 3))
    with pytest.raises(ValueError, match=r"must have shape \(3,\). Received: \(2,\) and \(2,\)"):
        layer.set_statistics([0.0, 0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="finite and the variance not negative"):
        layer.set_statistics([0.0] * 3, [1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match="at least one valid frame. Received: none"):
        _ = Statistics().mean
    with pytest.raises(ValueError, match="must be finite"):
        Statistics().update(np.array([[[np.nan]]]), np.array([[True]]))
