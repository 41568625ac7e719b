import keras
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from keras_ser.features import FeatureNormalization, Statistics, clip_statistics, normalized


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


def test_statistics_without_a_mask_are_those_of_every_frame(rng):
    x = rng.standard_normal((3, 7, 5)).astype(np.float32)
    statistics = Statistics()
    statistics.update(x)
    np.testing.assert_allclose(statistics.mean, x.astype(np.float64).mean((0, 1)), rtol=1e-9)
    assert statistics.frames == 21


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


def test_errors():
    layer = FeatureNormalization()
    with pytest.raises(ValueError, match="needs a built layer"):
        layer.set_statistics([0.0], [1.0])
    layer.build((None, None, 3))
    with pytest.raises(ValueError, match=r"must have shape \(3,\). Received: \(2,\) and \(2,\)"):
        layer.set_statistics([0.0, 0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="finite, and the variance must not be negative"):
        layer.set_statistics([0.0] * 3, [1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match="at least one valid frame. Received: none"):
        _ = Statistics().mean
    with pytest.raises(ValueError, match="must be finite"):
        Statistics().update(np.array([[[np.nan]]]), np.array([[True]]))


def test_each_bin_is_scaled_over_the_frames_of_its_own_clip(rng):
    x = rng.normal(3.0, [0.1, 5.0, 40.0], size=(3, 20, 3)).astype("float32")
    mask = np.arange(20) < np.array([[20], [13], [2]])
    found = np.asarray(normalized(np.where(mask[..., None], x, np.float32(7e4)), mask))
    for row, clip, valid in zip(found, x, mask, strict=True):
        np.testing.assert_allclose(row[valid], StandardScaler().fit_transform(clip[valid]), atol=2e-4)
        assert not row[~valid].any()
    # a bin that is silent (far under -100 dB) stays so
    assert 0 < np.abs(normalized(np.float32(1e-7) * x / 40, mask)).max() < 0.05


def test_clip_statistics_are_those_of_numpy(rng):
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


def test_bins_of_any_scale_have_unit_variance_and_constant_ones_are_left(rng):
    """Over a clip, the variance of chroma is 1e-9, and that of a quiet recording's energy far less. A constant bin that varies in a
    test clip is not amplified.
    """
    scales, means = [1.0, 3e-5, 1e3, 1e-12, 1e6, 0.0], [0.0, 2e-4, 1e5, 0.0, 0.0, 0.7]
    x = rng.normal(size=(4, 500, 6)) * scales + means
    mask = np.ones((4, 500), bool)
    statistics = Statistics()
    statistics.update(x, mask)
    layer = FeatureNormalization()
    layer.build((None, None, 6))
    layer.set_statistics(statistics.mean, statistics.variance)
    y = np.array(layer(x.astype("float32"), mask))
    np.testing.assert_allclose(y[..., :5].std((0, 1)), 1.0, atol=0.01)
    np.testing.assert_allclose(y[..., 5], 0.0, atol=1e-6)
    other = np.array(layer(x.astype("float32") + np.float32([0, 0, 0, 0, 0, 0.5]), mask))
    np.testing.assert_allclose(other[..., 5], 0.5, atol=1e-6)
