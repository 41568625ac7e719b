import numpy as np
import pytest
from scipy import stats

from keras_ser.evaluation.intervals import (
    Jackknife,
    basis,
    estimate,
    holm,
    interval,
    jackknife,
    over_seeds,
    p_value,
    seeds_known,
    variance,
)


def of_means(values: np.ndarray, deterministic: bool = False) -> Jackknife:
    """The mean over groups of (groups, seeds) numbers, one metric."""
    found = jackknife(values[..., None], lambda s: s, deterministic)
    groups = len(values)
    return Jackknife(found.whole[0] / groups, found.left_out[0] / (groups - 1), deterministic)


@pytest.mark.parametrize("groups", [2, 6, 31])
def test_interval_of_a_mean_of_one_seed_is_the_t_interval(rng, groups):
    values = rng.exponential(size=(groups, 1))
    low, high = interval(values.mean(), *variance(of_means(values)))
    np.testing.assert_allclose([low, high], stats.ttest_1samp(values[:, 0], 0).confidence_interval(0.95))


@pytest.mark.parametrize("systems", [1, 2])
@pytest.mark.parametrize("groups", [5, 6])
def test_five_groups_have_no_interval(rng, groups, systems):
    values = rng.normal(size=(systems, groups, 3))
    cell = estimate(*map(of_means, values), clips=9)
    assert cell.value == pytest.approx(values[0].mean() - values[1:].mean() if systems == 2 else values.mean())
    assert (cell.low is None and cell.high is None) == (groups < 6)


def test_p_value_of_deterministic_systems_is_the_paired_t_test(rng):
    shared = rng.normal(size=(9, 1))
    a, b = (shared + rng.normal(scale=0.3, size=(9, 1)) + shift for shift in (0.0, 0.2))
    systems = of_means(a, True), of_means(b, True)
    expected = stats.ttest_rel(a[:, 0], b[:, 0])
    total, degrees = variance(*systems)
    assert degrees == pytest.approx(8)
    assert p_value(a.mean() - b.mean(), total, degrees) == pytest.approx(expected.pvalue)
    ends = interval(a.mean() - b.mean(), total, degrees)
    np.testing.assert_allclose(ends, expected.confidence_interval(0.95))


def test_seeds_without_speakers_give_welchs_test(rng):
    """Where all groups are alike, only initialisations vary: Welch's two-sample t test over seeds."""
    a, b = rng.normal(size=(1, 4)), rng.normal(scale=3.0, size=(1, 6))
    systems = [of_means(np.repeat(x, 8, axis=0)) for x in (a, b)]
    total, degrees = variance(*systems)
    expected = stats.ttest_ind(a[0], b[0], equal_var=False)
    assert degrees == pytest.approx(expected.df)
    assert p_value(a.mean() - b.mean(), total, degrees) == pytest.approx(expected.pvalue)


def test_variance_components_are_unbiased():
    """Of effects of groups, seeds and both with known variances, V is in the mean the variance of the mean."""
    rng = np.random.default_rng(7)
    groups, seeds, replicates = 12, 4, 4000
    # so large an effect of seeds that it is never under the share of the sampling
    a, b, ab = 3.0, 2.0, 1.0
    values = (
        rng.normal(0, a, (replicates, 1, seeds))
        + rng.normal(0, b, (replicates, groups, 1))
        + rng.normal(0, ab, (replicates, groups, seeds))
    )
    total = values.sum(axis=1, keepdims=True)
    found = Jackknife(values.mean(axis=1), (total - values) / (groups - 1))
    expected = a**2 / seeds + b**2 / groups + ab**2 / (groups * seeds)
    assert variance(found)[0].mean() == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize(
    ("seeds", "deterministic", "known"),
    [
        ((1,), (False,), False),
        ((2,), (False,), False),
        ((3,), (False,), True),
        ((1,), (True,), True),
        ((2, 2), (False, False), True),
        ((1, 5), (False, False), False),
        ((1, 3), (True, False), True),
        ((1, 2), (True, False), False),
        ((1, 1), (True, True), True),
    ],
)
def test_spread_over_seeds_takes_two_degrees_of_freedom(seeds, deterministic, known):
    systems = [Jackknife(np.zeros(s), np.zeros((7, s)), d) for s, d in zip(seeds, deterministic, strict=True)]
    assert seeds_known(*systems) is known


@pytest.mark.parametrize(
    ("scale", "value", "to", "back"),
    [
        ("logit", 0.93, lambda x: np.log(x / (1 - x)), lambda y: 1 / (1 + np.exp(-y))),
        ("z", -0.6, np.arctanh, np.tanh),
        ("log", 0.2, np.log, np.exp),
    ],
)
def test_scales_keep_the_ends_in_range(scale, value, to, back):
    step = 1e-6
    slope = (to(value + step) - to(value - step)) / (2 * step)
    half = stats.t.ppf(0.975, 8) * 0.05 * slope
    expected = back(to(value) - half), back(to(value) + half)
    np.testing.assert_allclose(interval(value, 0.05**2, 8.0, scale), expected, rtol=1e-6)


@pytest.mark.parametrize("scale", ["plain", "logit", "z", "log"])
def test_no_variance_gives_no_interval(scale):
    for value, total in ((1.0, 0.0), (0.0, 0.0), (0.5, np.nan), (0.5, 0.0)):
        assert np.isnan(interval(value, total, 5.0, scale)).all()


def test_no_variance_gives_no_p_but_no_difference_has_one_of_1():
    assert np.isnan(p_value(0.1, 0.0, 5.0))
    assert p_value(0.0, 0.0, 5.0) == 1.0 and p_value(0.0, 1.0, 5.0) == 1.0


def test_holm_is_the_worked_example():
    """Of Wright, Adjusted P-Values for Simultaneous Inference, Biometrics 48 (1992), the step-down Bonferroni rule."""
    assert holm([0.01, 0.02, 0.022, 0.09]) == pytest.approx([0.04, 0.06, 0.06, 0.09])
    assert holm([0.09, 0.01, 0.022, 0.02]) == pytest.approx([0.09, 0.04, 0.06, 0.06])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([None, 0.03, float("nan"), 0.02]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]
    assert holm([0.6, None, 0.9, 0.01]) == [1.0, None, 1.0, pytest.approx(0.03)], "a probability is 1 at most"
    assert holm([]) == []


def test_basis_says_what_an_interval_is_over():
    assert basis(10, "speaker", over_seeds(3)) == "95 % CI over 10 speakers and 3 seeds (t)"
    assert basis(10, "speaker", over_seeds(1)) == "95 % CI over 10 speakers, of this one model (t)"
    assert basis(10, "film", over_seeds(2, 1)) == "95 % CI over 10 films, of these 2 models (t)"
    assert basis(10, "speaker", over_seeds(1, 3)) == "95 % CI over 10 speakers and seeds, where there are 3 (t)"
    assert basis(10, "speaker") == "95 % CI over 10 speakers (t)"
    assert basis(5, "speaker") == "no 95 % CI: 5 speakers, and 6 are needed"
    assert basis(1, "speaker") == "no 95 % CI: 1 speaker, and 6 are needed"
    assert basis(40, "none").endswith("(t): too narrow, since speakers are unknown")


def test_degrees_of_freedom_are_one_at_least(rng):
    """Also where seeds vary far more than speakers."""
    for _ in range(300):
        pseudo = rng.normal(size=(1, 6, 3))
        pseudo -= pseudo.mean(axis=-1, keepdims=True)
        whole = pseudo.mean(axis=-2)
        total, free = variance(Jackknife(whole, (6 * whole[:, None] - pseudo) / 5))
        assert total[0] == 0 or free[0] >= 1
