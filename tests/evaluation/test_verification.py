"""The report of a speaker verification against scikit-learn and plain loops: figures, intervals, tables, curves."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit, ndtri
from scipy.stats import norm, t
from sklearn import metrics as sk

from keras_ser.evaluation.trials import equal_error_rate, score_trials, trials
from keras_ser.evaluation.verification import VerificationReport, read_trials
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
    return VerificationReport("title", make(rng), notes=("a note",))


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


@pytest.mark.parametrize("same_gender_only", [False, True])
def test_intervals_of_two_networks_leave_speakers_out(made, same_gender_only):
    left = {system: without(made, system, same_gender_only) for system in made.systems}
    for column, metric in enumerate(("eer", "accuracy", "min_dcf")):
        cell = made.score("multi-task", metric, same_gender_only)
        half = half_width(left["multi-task"][..., column]) / (cell.value * (1 - cell.value))
        if cell.low is not None:  # minDCF may be 1
            assert (logit(cell.low), logit(cell.high)) == pytest.approx(
                (logit(cell.value) - half, logit(cell.value) + half)
            )
    assert made.score("multi-task", "eer").low < made.score("multi-task", "eer").value


def test_a_difference_is_paired_by_speaker(rng):
    made = VerificationReport("t", make(rng, seeds=(0,)))
    left = {system: without(made, system) for system in made.systems}
    for column, metric in enumerate(("eer", "accuracy")):
        gap = made.difference("multi-task", "single task", metric)
        half = half_width(left["multi-task"][..., column], left["single task"][..., column])
        assert (gap.low, gap.high) == pytest.approx((gap.value - half, gap.value + half))


def test_a_fold_that_a_left_out_speaker_empties_is_left_out_of_its_mean(rng):
    made = VerificationReport("t", make(rng, (("one", 0.7),), folds=4, seeds=(0,), speakers=2))
    cell = made.score("one", "eer")
    # fold 0 has two speakers: without either there is nobody to tell apart
    half = half_width(without(made, "one")[..., 0]) / (cell.value * (1 - cell.value))
    assert (logit(cell.low), logit(cell.high)) == pytest.approx((logit(cell.value) - half, logit(cell.value) + half))


def test_speakers_left_out_together_widen_the_interval(rng):
    """A bootstrap over trials takes clips of one voice for independent; this one must not."""
    made = VerificationReport("t", make(rng, folds=1, seeds=(0,), clips=10))
    rows = part(made.table, "multi-task")
    scores, same = rows.score.to_numpy(float), rows.same.to_numpy(bool)
    singly = [equal_error_rate(scores[i], same[i])[0] for i in rng.integers(len(rows), size=(300, len(rows)))]
    cell = made.score("multi-task", "eer")
    assert cell.high - cell.low > 1.3 * np.subtract(*np.quantile(singly, (0.975, 0.025)))


def test_few_speakers_have_no_interval(rng):
    made = VerificationReport("t", make(rng, folds=1, speakers=5))
    cell = made.score("multi-task", "eer")
    assert (cell.low, cell.high) == (None, None) and "no 95 % CI: 5 speakers" in made.to_markdown()


def test_a_difference_needs_the_same_trials(made):
    table = made.table.drop(made.table.index[(made.table.system == "multi-task") & ~made.table.same][5])
    report = VerificationReport("t", table)
    with pytest.raises(ValueError, match="scored on the same trials"):
        report.difference("multi-task", "single task", "eer")
    assert "less that of" not in "\n".join(report.lines())
    shuffled = VerificationReport("t", made.table.sample(frac=1, random_state=1))
    assert shuffled.difference("multi-task", "single task", "eer") == made.difference(
        "multi-task", "single task", "eer"
    )


def test_genders_that_are_not_known(made):
    blank = VerificationReport("t", made.table.assign(gender_a="", gender_b=""))
    assert made.genders_known and not blank.genders_known
    assert np.isnan(blank.score("multi-task", "eer", same_gender_only=True).value)
    assert "same-gender" in "\n".join(made.lines()) and "same-gender" not in "\n".join(blank.lines())
    assert len(made.figure().axes) == 2 and len(blank.figure().axes) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="gender_b"), "without gender_b"),
        (lambda t: t[:0], "0 rows"),
        (lambda t: t.assign(same=~t.same), "rows that do not"),
        (lambda t: t.assign(score=t.score.where(t.index != 7)), "scores must be finite"),
        (lambda t: t[t.same | (t.fold == 0)], "trials of one kind for"),
    ],
)
def test_tables_that_are_refused(made, change, message):
    with pytest.raises(ValueError, match=message):
        VerificationReport("t", change(made.table))


def test_names_that_are_refused(made):
    with pytest.raises(ValueError, match="Received: 'uar'"):
        made.score("multi-task", "uar")
    with pytest.raises(ValueError, match="single task, multi-task. Received: 'ours'"):
        made.score("ours", "eer")
    with pytest.raises(ValueError, match="'uar'"):
        VerificationReport("t", made.table, {"multi-task": {"uar": 0.5}})


def test_the_papers_figures_stand_beside_the_measured(made):
    paper = {"multi-task": {"accuracy": 0.529}, "theirs": {"accuracy": 0.5312}}
    report = VerificationReport("t", made.table, paper)
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in report.to_markdown().splitlines() if line[:1] == "|"]
    header = rows[0]
    assert header[-4:] == ["EER, %", "accuracy, %", "paper", "minDCF"]
    shown = {(row[0], row[1]): dict(zip(header, row, strict=True)) for row in rows[2:]}
    assert shown["all", "multi-task"]["paper"] == "52.9" and shown["same-gender", "multi-task"]["paper"] == ""
    assert shown["all", "theirs"] == dict.fromkeys(header, "") | {
        "trials": "all",
        "system": "theirs",
        "paper": "53.1",
    }
    cell = report.score("multi-task", "accuracy")
    assert (
        shown["all", "multi-task"]["accuracy, %"]
        == f"{100 * cell.value:.1f} [{100 * cell.low:.1f}, {100 * cell.high:.1f}]"
    )
    assert "paper" not in made.lines()[2]


def test_what_is_written_can_be_read_again(made, tmp_path):
    made.save(tmp_path / "one")
    names = {f"verification.{end}" for end in ("csv.gz", "json", "md", "png")}
    assert {p.name for p in (tmp_path / "one").iterdir()} == names
    table = read_trials(tmp_path / "one" / "verification.csv.gz")
    assert table["speaker_a"].tolist() == made.table["speaker_a"].tolist()
    again = VerificationReport("title", table, notes=("a note",))
    again.save(tmp_path / "two")
    for name in names - {"verification.png"}:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    told = json.loads((tmp_path / "one" / "verification.json").read_text())
    assert len(told["scores"]) == 2 * 2 * 3 and len(told["differences"]) == 2 and told["speakers"] == 13
    entry = next(
        s for s in told["scores"] if (s["trials"], s["system"], s["metric"]) == ("same-gender", "multi-task", "eer")
    )
    cell = made.score("multi-task", "eer", same_gender_only=True)
    assert (entry["value"], entry["low"], entry["high"]) == (cell.value, cell.low, cell.high)
    text = (tmp_path / "one" / "verification.md").read_text()
    assert (
        "- a note" in text
        and "95 % CI over 13 speakers, of these 2 networks (t)" in text
        and "(verification.png)" in text
    )
    gap = made.difference("multi-task", "single task", "eer")
    assert f"all trials: EER of multi-task less that of single task: {100 * gap.value:+.1f}" in "\n".join(made.lines())


def test_the_curve_of_one_run_is_scikit_learns_and_is_marked_at_its_eer(rng):
    made = VerificationReport("t", make(rng, folds=1, seeds=(0,)))
    axes = made.figure().axes[0]
    for system in made.systems:
        line = next(one for one in axes.lines if one.get_label().startswith(system))
        rows = part(made.table, system)
        eer = root(rows.score, rows.same)
        (marked,) = line.get_markevery()
        x, y = norm.cdf(line.get_xdata()), norm.cdf(line.get_ydata())
        assert (x[marked], y[marked]) == pytest.approx((eer, eer)) and f"EER {100 * eer:.1f} %" in line.get_label()
        false_alarm, miss, _ = sk.det_curve(rows.same, rows.score)
        inside = (x > 0.02) & (y > 0.02)
        assert inside.sum() > 30
        # at one difference of the rates there is one point of the curve
        np.testing.assert_allclose(x[inside], np.interp((y - x)[inside], miss - false_alarm, false_alarm), atol=1e-9)


def test_the_mark_of_several_runs_is_their_mean_eer_on_deviate_axes(made):
    for axes, same_gender_only in zip(made.figure().axes, (False, True), strict=True):
        for system in made.systems:
            line = next(one for one in axes.lines if one.get_label().startswith(system))
            (marked,) = line.get_markevery()
            place = ndtri(made.score(system, "eer", same_gender_only).value)
            assert (line.get_xdata()[marked], line.get_ydata()[marked]) == pytest.approx((place, place))
        ticks = {text.get_text(): x for text, x in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)}
        assert ticks["20"] == pytest.approx(norm.ppf(0.2))
