import numpy as np
import pytest

from keras_ser.evaluation.bootstrap import interval, p_value, resample, weights


def test_weights_are_the_documented_draws_whatever_the_chunks(monkeypatch):
    drawn = np.random.default_rng(3).integers(7, size=(501, 7))
    expected = np.stack([np.bincount(row, minlength=7) for row in drawn])
    assert np.array_equal(weights(7, 501, seed=3), expected)
    monkeypatch.setattr("keras_ser.evaluation.bootstrap._CELLS", 50)
    assert np.array_equal(weights(7, 501, seed=3), expected)


def test_resample_equals_a_loop_that_repeats_the_groups(rng):
    sums = rng.normal(size=(5, 2, 3))
    found = resample(sums, lambda s: np.log(np.abs(s)).sum(axis=1), 40, seed=1)
    drawn = np.random.default_rng(1).integers(5, size=(40, 5))
    expected = [np.log(np.abs(sum(sums[g] for g in row))).sum(axis=0) for row in drawn]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_interval_of_a_mean_is_the_normal_one(rng):
    values = rng.exponential(size=4000)
    sums = np.stack([values, np.ones(4000)], axis=1)
    low, high = interval(resample(sums, lambda s: s[:, :1] / s[:, 1:], 2000))
    half = 1.96 * values.std() / np.sqrt(4000)
    np.testing.assert_allclose([low[0], high[0]], [values.mean() - half, values.mean() + half], atol=0.08 * half)


def test_interval_leaves_undefined_resamples_out(rng):
    samples = rng.normal(size=(500, 3))
    samples[::7, 1] = np.nan
    samples[:, 2] = np.nan
    low, high = interval(samples)
    kept = np.delete(samples[:, 1], np.arange(0, 500, 7))
    np.testing.assert_allclose([low[0], high[0]], np.percentile(samples[:, 0], [2.5, 97.5]))
    np.testing.assert_allclose([low[1], high[1]], np.percentile(kept, [2.5, 97.5]))
    assert np.isnan([low[2], high[2]]).all()


def test_p_value_is_its_formula_and_agrees_with_the_interval(rng):
    assert p_value(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 4)
    assert p_value(np.array([-1.0, 2.0, 3.0, 4.0, 0.0])) == pytest.approx(1.0)
    assert p_value(np.zeros(9)) == 1.0
    for shift in (1.8, 2.2, -1.8, -2.2):
        d = rng.normal(shift, 1, 4999)
        low, high = interval(d[:, None])
        assert (p_value(d) < 0.05) == (low[0] > 0 or high[0] < 0)
        assert p_value(d) == p_value(-d)


def test_speakers_cover_where_clips_do_not():
    """Clips of a speaker are alike: 95 % intervals over speakers hold the truth about as often as they say."""
    rng = np.random.default_rng(4)
    hits = {"speakers": 0, "clips": 0}
    trials, speakers, clips = 150, 40, 12
    for trial in range(trials):
        right = rng.random((speakers, clips)) < rng.beta(2.0, 2.0, size=(speakers, 1))  # mean 0.5
        groups = {"speakers": right.sum(axis=1), "clips": right.ravel()}
        size = {"speakers": clips, "clips": 1}
        for unit, sums in groups.items():
            n = len(sums) * size[unit]
            low, high = interval(resample(sums[:, None].astype(float), lambda s, n=n: s / n, 300, seed=trial))
            hits[unit] += low[0] <= 0.5 <= high[0]
    assert 0.88 <= hits["speakers"] / trials <= 0.99
    assert hits["clips"] / trials < 0.8


@pytest.mark.parametrize(
    "call", [lambda: weights(0), lambda: weights(3, 0), lambda: resample(np.zeros((0, 2)), np.sum)]
)
def test_nothing_to_draw_is_an_error(call):
    with pytest.raises(ValueError, match="at least one group and one resample"):
        call()
