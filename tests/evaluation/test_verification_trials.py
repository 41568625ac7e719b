"""Trials, scores and rates of speaker verification against scikit-learn, closed forms and plain loops."""

import tracemalloc

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics.pairwise import cosine_similarity

from keras_ser.evaluation.verification_trials import (
    TrialsError,
    check_enrolment,
    crossing,
    enrolled_trials,
    enrolled_vectors,
    least_cost,
    rates,
    score_trials,
    trials,
)
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


def test_enrolled_speakers_are_compared_with_every_other_clip(rng):
    speakers = list(rng.permutation(["x"] * 5 + ["y"] * 3 + ["z"] * 4))
    enrolled, model, clip = enrolled_trials(speakers, 2)
    assert list(enrolled) == ["x", "y", "z"] and all(
        speakers[i] == name for name, held in enrolled.items() for i in held
    )
    held = {int(i) for places in enrolled.values() for i in places}
    tested = [i for i in range(12) if i not in held]
    assert len(held) == 6 and list(zip(model, clip, strict=True)) == [(k, i) for k in range(3) for i in tested]
    assert all(
        np.array_equal(a, b) for a, b in zip(enrolled.values(), enrolled_trials(speakers, 2)[0].values(), strict=True)
    )


def test_speakers_with_too_few_clips_are_left_out_of_enrolment(rng):
    """Also as tested clips; refused only if fewer than two speakers remain."""
    speakers = list(rng.permutation(["x"] * 5 + ["y"] * 3 + ["z"] * 4 + ["one"]))
    assert check_enrolment(speakers, 1) == ["one"] and check_enrolment(speakers, 3) == ["one", "y"]
    enrolled, model, clip = enrolled_trials(speakers, 3)
    assert list(enrolled) == ["x", "z"] and {speakers[i] for i in clip} == {"x", "z"}
    assert len(clip) == len(model) == 2 * (5 - 3 + 4 - 3)
    way = (
        r"Received: 4 speakers not seen in training, 3 of them with fewer: one, y, z. Enrol by 3 or fewer \(--enrol 3\)"
    )
    with pytest.raises(TrialsError, match=f"enrolment by 4 utterances .* {way}"):
        enrolled_trials(speakers, 4)
    with pytest.raises(
        TrialsError, match="enrolment by 1 utterance needs .* with more clips of more speakers, or add one"
    ):
        check_enrolment(["x", "x", "one"], 1)
    with pytest.raises(
        TrialsError, match="Received: 1 speaker not .* a second --corpus-root NAME=DIR of `keras-ser verify`"
    ):
        check_enrolment(["x"] * 30, 20)


def test_a_d_vector_is_the_mean_of_directions(rng):
    x = rng.normal(size=(7, 3)) * rng.uniform(0.1, 10, (7, 1))
    held = [np.array([0, 4]), np.array([1, 2, 6])]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(enrolled_vectors(x, held), [(unit[0] + unit[4]) / 2, unit[[1, 2, 6]].mean(0)])


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


def eer(scores, same) -> float:
    return crossing(*rates(scores, same))[0]


@pytest.mark.parametrize("digits", [None, 1, 0])  # ever more ties
def test_rates_and_eer_are_those_of_every_threshold(rng, digits):
    for gap in (-1.0, 0.0, 2.5):
        scores, same = draw(rng, 300, gap, digits)
        points = list(brute(scores, same))
        false_alarm, miss = rates(scores, same)
        np.testing.assert_allclose(np.stack([false_alarm, miss], axis=1), [point[1:] for point in points], atol=1e-12)
        found, point = crossing(false_alarm, miss)
        assert found == pytest.approx(root(scores, same), abs=1e-9)
        gaps = [abs(f - m) for _, f, m in points]
        assert gaps[point] == pytest.approx(min(gaps))


@pytest.mark.parametrize("d", [0.5, 1.5, 3.0])
def test_eer_of_two_gaussians_is_the_closed_form(d):
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    same = np.repeat([True, False], [20_000, 10_000])
    assert eer(np.concatenate([quantiles + d, quantiles[::2]]), same) == pytest.approx(norm.cdf(-d / 2), abs=2e-4)


def test_perfect_inverted_and_constant_scores():
    same = np.array([True, False, True, False, False])
    scores = np.array([0.9, 0.2, 0.7, 0.1, -0.3])
    assert eer(scores, same) == 0 and least_cost(*rates(scores, same)) == 0
    assert eer(-scores, same) == 1 and least_cost(*rates(-scores, same)) == 1
    assert eer(np.full(5, 0.4), same) == 0.5
    assert rates(scores[same], same[same]) is None and rates(scores[~same], same[~same]) is None


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_least_cost_is_that_of_all_thresholds(rng, p):
    for digits in (None, 1):
        scores, same = draw(rng, 200, 2.0, digits)
        costs = [p * miss + (1 - p) * false_alarm for _, false_alarm, miss in brute(scores, same)]
        expected = min(costs) / min(p, 1 - p)
        assert least_cost(*rates(scores, same), p) == pytest.approx(expected) and expected < 1
