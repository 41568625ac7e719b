"""Trials, scores and rates of speaker verification against scikit-learn, closed forms and plain loops."""

import tracemalloc

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk
from sklearn.metrics.pairwise import cosine_similarity

from keras_ser.evaluation.trials import Steps, equal_error_rate, min_dcf, score_trials, trials
from tests.evaluation.rates import brute, root


def draw(rng, number=400, gap=1.3, digits=None):
    same = rng.random(number) < 0.3
    scores = rng.normal(gap * same, 1)
    return (scores if digits is None else scores.round(digits)), same


# trials


def test_all_pairs(rng):
    speakers = rng.permutation(["x"] * 4 + ["y"] * 3 + ["z"] * 2)
    a, b, same = trials(speakers)
    expected = [(i, j, speakers[i] == speakers[j]) for i in range(9) for j in range(i + 1, 9)]
    assert list(zip(a, b, same, strict=True)) == expected and same.sum() == 6 + 3 + 1


def test_a_draw_is_balanced_seeded_and_of_different_pairs(rng):
    speakers = rng.choice(list("uvwxyz"), 40)
    every = set(zip(*trials(speakers), strict=True))
    drawn = [trials(speakers, seed, 61) for seed in (3, 3, 4)]
    rows = [list(zip(*one, strict=True)) for one in drawn]
    assert rows[0] == rows[1] != rows[2]
    assert len(set(rows[0])) == 60 and set(rows[0]) <= every and drawn[0][2].sum() == 30
    assert rows[0] == sorted(rows[0])
    kinds = trials(speakers, most=10**6)[2]  # no more than there are
    assert kinds.sum() == (~kinds).sum() == trials(speakers)[2].sum()
    kinds = trials([*"xxxxxxxy"], most=30)[2]
    assert kinds.sum() == (~kinds).sum() == 7


@pytest.mark.parametrize("most", [10, 300, 1201])
def test_a_draw_is_that_from_the_list_of_all_pairs(rng, most):
    speakers = rng.choice(list("uvwxyz"), 60)
    a, b, same = trials(speakers)
    kinds = np.flatnonzero(same), np.flatnonzero(~same)
    each = min(most // 2, *map(len, kinds))
    draws = np.random.default_rng(5)
    chosen = np.sort(np.concatenate([draws.choice(kind, each, replace=False) for kind in kinds]))
    for found, expected in zip(trials(speakers, 5, most), (a, b, same), strict=True):
        assert np.array_equal(found, expected[chosen])


def test_a_draw_does_not_hold_all_pairs(rng):
    """All pairs of 6000 clips are 18 million, of 17 bytes each."""
    speakers = rng.integers(0, 50, 6000).astype(str)
    tracemalloc.start()
    try:
        a, b, same = trials(speakers, most=2000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(set(zip(a, b, strict=True))) == 2000 and (a < b).all() and same.sum() == 1000
    assert peak < 10e6


@pytest.mark.parametrize("speakers", [["x", "y", "z"], ["x", "x", "x"], ["x"], []])
def test_trials_need_both_kinds(speakers):
    with pytest.raises(ValueError, match="a pair of clips of one speaker and a pair of two"):
        trials(speakers)


def test_trials_refuse_unknown_speakers_and_a_single_trial():
    with pytest.raises(ValueError, match="2 of 4 without, the first at 1"):
        trials(["x", "", "x", None])
    with pytest.raises(ValueError, match="most=1"):
        trials(["x", "x", "y"], most=1)


# scores


def test_scores_are_scikit_learns_cosines(rng):
    x = rng.normal(size=(50, 7))
    a, b = rng.integers(50, size=(2, 40_000))
    np.testing.assert_allclose(score_trials(x, a, b), cosine_similarity(x)[a, b], atol=1e-6)
    # whatever the size of the vectors
    sizes = 10.0 ** rng.integers(-200, 200, (50, 1))
    np.testing.assert_allclose(score_trials(x * sizes, a, b), score_trials(x, a, b), atol=1e-6)


def test_what_has_no_direction_is_refused(rng):
    x = rng.normal(size=(5, 3))
    x[2] = 0
    with pytest.raises(ValueError, match="vector of zeros is not defined. Received: 1 of 5"):
        score_trials(x, np.array([0]), np.array([1]))
    x[2] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        score_trials(x, np.array([0]), np.array([1]))


# error rates


@pytest.mark.parametrize("digits", [None, 1, 0])  # ever more ties
def test_eer_is_the_root_on_scikit_learns_roc_curve(rng, digits):
    for gap in (-1.0, 0.0, 0.4, 2.5):
        scores, same = draw(rng, 300, gap, digits)
        assert equal_error_rate(scores, same)[0] == pytest.approx(root(scores, same), abs=1e-9)


@pytest.mark.parametrize("digits", [None, 1])
def test_the_threshold_is_the_one_nearest_to_equal_rates(rng, digits):
    scores, same = draw(rng, 250, 1.0, digits)
    eer, threshold = equal_error_rate(scores, same)
    gaps = {t: abs(false_alarm - miss) for t, false_alarm, miss in brute(scores, same)}
    assert gaps[threshold] == pytest.approx(min(gaps.values()))
    around = [(f, m) for t, f, m in brute(scores, same) if gaps[t] <= sorted(gaps.values())[1]]
    assert min(min(p) for p in around) <= eer <= max(max(p) for p in around)


@pytest.mark.parametrize("d", [0.5, 1.5, 3.0])
def test_eer_of_two_gaussians_is_the_closed_form(d):
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    same = np.repeat([True, False], [20_000, 10_000])
    eer, threshold = equal_error_rate(np.concatenate([quantiles + d, quantiles[::2]]), same)
    assert eer == pytest.approx(norm.cdf(-d / 2), abs=2e-4) and threshold == pytest.approx(d / 2, abs=2e-3)


def test_perfect_inverted_and_constant_scores(rng):
    same = np.array([True, False, True, False, False])
    scores = np.array([0.9, 0.2, 0.7, 0.1, -0.3])
    assert equal_error_rate(scores, same) == (0.0, 0.7)
    assert min_dcf(scores, same) == 0
    assert equal_error_rate(-scores, same)[0] == 1 and min_dcf(-scores, same) == 1
    assert equal_error_rate(np.full(5, 0.4), same) == (0.5, 0.4)
    scores, same = draw(rng)
    assert equal_error_rate(-scores, same)[0] == pytest.approx(1 - equal_error_rate(scores, same)[0])


def test_accuracy_at_the_equal_error_threshold(rng):
    scores, same = draw(rng, 900)
    eer, threshold = equal_error_rate(scores, same)
    # a step of the curve is one trial of its kind
    step = 1 / min(same.sum(), (~same).sum())
    assert sk.accuracy_score(same, scores >= threshold) == pytest.approx(1 - eer, abs=step)


@pytest.mark.parametrize(("p", "c_miss", "c_false_alarm"), [(0.01, 1, 1), (0.3, 1, 1), (0.5, 10, 1), (0.9, 1, 0.2)])
def test_min_dcf_is_that_of_all_thresholds(rng, p, c_miss, c_false_alarm):
    for digits in (None, 1):
        scores, same = draw(rng, 200, 2.0, digits)
        costs = [c_miss * p * miss + c_false_alarm * (1 - p) * fa for _, fa, miss in brute(scores, same)]
        expected = min(costs) / min(c_miss * p, c_false_alarm * (1 - p))
        assert min_dcf(scores, same, p, c_miss, c_false_alarm) == pytest.approx(expected) and expected < 1


def test_a_weight_is_a_number_of_copies(rng):
    scores, same = draw(rng, 300, 1.0, 1)
    weight = rng.integers(0, 4, 300)
    copies = np.repeat(scores, weight), np.repeat(same, weight)
    assert equal_error_rate(scores, same, weight) == pytest.approx(equal_error_rate(*copies))
    assert equal_error_rate(scores, same, weight / 7) == pytest.approx(equal_error_rate(*copies))
    assert equal_error_rate(*copies)[0] != pytest.approx(equal_error_rate(scores, same)[0], abs=1e-4)
    assert min_dcf(scores, same, 0.2, weight=weight) == pytest.approx(min_dcf(*copies, 0.2))


@pytest.mark.parametrize("digits", [None, 1])
def test_det_curve_is_scikit_learns(rng, digits):
    scores, same = draw(rng, 200, 1.5, digits)
    steps = Steps(scores, same)
    (false_alarm, miss), thresholds = steps.rates(), steps.thresholds
    expected = {t: (f, m) for f, m, t in zip(*sk.det_curve(same, scores), strict=True)}
    found = {t: (f, m) for f, m, t in zip(false_alarm, miss, thresholds, strict=True) if t in expected}
    finite = {t for t in expected if np.isfinite(t)}
    assert len(finite) > 20 and finite <= set(found)
    for t in finite:
        assert found[t] == pytest.approx(expected[t])
    assert (false_alarm[0], miss[0], thresholds[0]) == (0, 1, np.inf) and (false_alarm[-1], miss[-1]) == (1, 0)


def test_what_no_rate_can_be_told_of(rng):
    scores, same = draw(rng, 20)
    for kind in (same, ~same):
        with pytest.raises(ValueError, match="trials of one speaker and trials of two"):
            equal_error_rate(scores[kind], same[kind])
    with pytest.raises(ValueError, match="NaN for 1 of 20"):
        min_dcf(np.where(np.arange(20) == 3, np.nan, scores), same)
    with pytest.raises(ValueError, match="20 and 19"):
        equal_error_rate(scores, same[1:])
    with pytest.raises(ValueError, match="p_target=0"):
        min_dcf(scores, same, p_target=0)
    with pytest.raises(ValueError, match="the smallest -1"):
        equal_error_rate(scores, same, np.append(np.ones(19), -1))
