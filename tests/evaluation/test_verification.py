"""Speaker verification against scikit-learn and plain loops: figures, intervals, paired differences."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from scipy.stats import t

from keras_ser.evaluation.verification import Verification
from keras_ser.evaluation.verification_trials import score_trials, trials
from tests.evaluation.rates import brute, root


def make(rng, systems=(("single task", 0.5), ("multi-task", 1.0)), folds=2, seeds=(0, 1), speakers=6, clips=5):
    rows = []
    for fold in range(folds):
        names = np.repeat([f"{10 * fold + s}" for s in range(speakers + fold)], clips)  # text that looks like numbers
        genders = np.repeat([("female", "male")[s % 2] for s in range(speakers + fold)], clips)
        ids = np.array([f"00{name}-{i}" for i, name in enumerate(names)])
        for seed in seeds:
            a, b, same = trials(names, seed=fold, most=260)
            for system, skill in systems:
                centres = rng.normal(size=(speakers + fold, 8)) + 1.5 * (np.arange(speakers + fold) % 2)[:, None]
                x = skill * np.repeat(centres, clips, axis=0) + rng.normal(size=(len(names), 8))
                facts = {"fold": fold, "seed": seed, "system": system, "a": ids[a], "b": ids[b]}
                facts |= {"speaker_a": names[a], "speaker_b": names[b], "gender_a": genders[a], "gender_b": genders[b]}
                # scales of two networks differ
                score = score_trials(x, a, b) * (1 + fold) + seed
                rows.append(pd.DataFrame(facts | {"same": same, "score": score}))
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def made(rng):
    return Verification(make(rng))


def test_trials_of_unknown_genders_are_not_of_one_gender(made):
    table = made.table
    some = table.assign(gender_a=table.gender_a.replace("male", ""), gender_b=table.gender_b.replace("male", ""))
    found, known = (Verification(t).score("multi-task", "eer", True) for t in (some, table[table.gender_a == "female"]))
    assert (found.value, found.clips) == (known.value, known.clips)
    assert Verification(table.assign(gender_a="", gender_b="")).kinds == {"all": False}


def part(table, system, same_gender_only=False):
    rows = table[table.system == system]
    return rows[rows.gender_a == rows.gender_b] if same_gender_only else rows


def plain(rows):
    """EER, accuracy and minDCF of some rows, as scikit-learn and a loop say."""
    scores, same = rows.score.to_numpy(float), rows.same.to_numpy(bool)
    points = list(brute(scores, same))
    threshold = min(points, key=lambda point: (round(abs(point[1] - point[2]), 12), point[0]))[0]
    cost = min(0.01 * miss + 0.99 * false_alarm for _, false_alarm, miss in points) / 0.01
    return root(scores, same), np.mean((scores >= threshold) == same), cost


@pytest.mark.parametrize("same_gender_only", [False, True])
def test_a_figure_is_the_mean_of_its_runs(made, same_gender_only):
    for system in made.systems:
        rows = part(made.table, system, same_gender_only)
        expected = np.mean([plain(run) for _, run in rows.groupby(["fold", "seed"])], axis=0)
        found = [made.score(system, m, same_gender_only) for m in ("eer", "accuracy", "min_dcf")]
        assert [cell.value for cell in found] == pytest.approx(list(expected))
        assert found[0].clips == len(rows) / 2  # a seed
    pooled = root(*part(made.table, "multi-task")[["score", "same"]].to_numpy(float).T)
    assert abs(pooled - made.score("multi-task", "eer").value) > 0.05  # what pooling would say


def without(made, system, same_gender_only=False):
    """EER, accuracy, minDCF of each seed without each speaker, (speakers, seeds, 3)."""
    rows = part(made.table, system, same_gender_only)
    found = []
    for name in sorted({*made.table.speaker_a, *made.table.speaker_b}):
        rest = rows[(rows.speaker_a != name) & (rows.speaker_b != name)]
        of_seed = []
        for _, seed_rows in rest.groupby("seed"):
            runs = [run for _, run in seed_rows.groupby("fold") if run.same.nunique() == 2]
            of_seed.append(np.mean([plain(run) for run in runs], axis=0))
        found.append(of_seed)
    return np.array(found)


def half_width(left_out, second=None):
    """Of speakers alone: (speakers, seeds), a system's, or two systems'; in the unit of the score."""
    n = len(left_out)
    by_speaker = left_out.mean(axis=1) - (0 if second is None else second.mean(axis=1))
    variance = (n - 1) / n * ((by_speaker - by_speaker.mean()) ** 2).sum()
    return t.ppf(0.975, n - 1) * variance**0.5


@pytest.mark.parametrize("same_gender_only", [True])
def test_intervals_of_two_networks_leave_speakers_out(made, same_gender_only):
    left = {system: without(made, system, same_gender_only) for system in made.systems}
    for column, metric in enumerate(("eer", "accuracy", "min_dcf")):
        cell = made.score("multi-task", metric, same_gender_only)
        half = half_width(left["multi-task"][..., column])
        if metric == "min_dcf":
            factor = np.exp(half / cell.value)
            assert (cell.low, cell.high) == pytest.approx((cell.value / factor, min(1, cell.value * factor)))
        else:
            half /= cell.value * (1 - cell.value)
            assert (logit(cell.low), logit(cell.high)) == pytest.approx(
                (logit(cell.value) - half, logit(cell.value) + half)
            )
    assert made.score("multi-task", "eer").low < made.score("multi-task", "eer").value


@pytest.mark.parametrize(("skill", "truth", "widest"), [(0.7, 1.0, 0.1), (1.5, 0.97, 0.75), (2.2, 0.7, 0.95)])
def test_intervals_of_the_cost_cover_it_without_spanning_every_cost(rng, skill, truth, widest):
    """`truth`: of 300 speakers. Once 0.997 [0.001, 1.000]."""
    names, found = np.repeat([f"{s}" for s in range(10)], 9), []
    a, b, same = trials(names)
    facts = {"fold": 0, "seed": 0, "system": "x", "a": a, "b": b, "speaker_a": names[a], "speaker_b": names[b]}
    for _ in range(30):
        x = skill * np.repeat(rng.normal(size=(10, 8)), 9, axis=0) + rng.normal(size=(90, 8))
        table = pd.DataFrame(facts | {"gender_a": "", "gender_b": "", "same": same, "score": score_trials(x, a, b)})
        found.append(Verification(table).score("x", "min_dcf"))
    known = [cell for cell in found if cell.low is not None]
    assert all(0 < cell.low <= cell.value <= cell.high <= 1 for cell in known) and len(known) >= 15
    assert np.mean([cell.low <= truth <= cell.high for cell in known]) >= 0.8
    assert max(cell.high - cell.low for cell in known) < widest


def test_a_difference_is_paired_by_speaker(rng):
    made = Verification(make(rng, seeds=(0,)))
    left = {system: without(made, system) for system in made.systems}
    for column, metric in enumerate(("eer", "accuracy")):
        gap = made.difference("multi-task", "single task", metric)
        half = half_width(left["multi-task"][..., column], left["single task"][..., column])
        assert (gap.low, gap.high) == pytest.approx((gap.value - half, gap.value + half))


def test_a_fold_that_a_left_out_speaker_empties_is_left_out_of_its_mean(rng):
    made = Verification(make(rng, (("one", 0.7),), folds=4, seeds=(0,), speakers=2))
    cell = made.score("one", "eer")
    # fold 0 has two speakers: without either there is nobody to tell apart
    half = half_width(without(made, "one")[..., 0]) / (cell.value * (1 - cell.value))
    assert (logit(cell.low), logit(cell.high)) == pytest.approx((logit(cell.value) - half, logit(cell.value) + half))


def test_a_difference_needs_the_same_trials(made):
    table = made.table.drop(made.table.index[(made.table.system == "multi-task") & ~made.table.same][5])
    report = Verification(table)
    assert not report.pairs() and made.pairs()
    shuffled = Verification(made.table.sample(frac=1, random_state=1))
    assert shuffled.difference("multi-task", "single task", "eer") == made.difference(
        "multi-task", "single task", "eer"
    )


def test_an_interval_needs_six_speakers_with_such_trials(rng):
    """Of eight speakers, the gender of three is known: the others have no trials of one gender."""
    table = make(rng, folds=1, speakers=8)
    unknown = {side: ~table[f"speaker_{side}"].isin(["0", "2", "4"]) for side in "ab"}
    table = table.assign(**{f"gender_{s}": table[f"gender_{s}"].mask(unknown[s], "") for s in "ab"})
    alone = table[~unknown["a"] & ~unknown["b"]]
    for made, only in ((Verification(table), True), (Verification(alone), False)):
        cell = made.score("multi-task", "eer", only)
        assert cell.value == pytest.approx(Verification(alone).score("multi-task", "eer").value)
        assert cell.low is None and made.difference("multi-task", "single task", "eer", only).low is None
    assert Verification(table).score("multi-task", "eer").low is not None
