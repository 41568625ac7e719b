"""The report of a speaker verification: its tables, and curves against scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn import metrics as sk

from keras_ser.evaluation.verification import Verification
from keras_ser.reports import verification_report
from tests.evaluation.rates import root
from tests.evaluation.test_verification import make, part
from tests.reports.test_scores import learning


def test_what_is_written_is_what_was_computed(rng, tmp_path):
    table, paper = make(rng), {"multi-task": {"accuracy": 0.529}, "theirs": {"accuracy": 0.5312}}
    made, found = verification_report("title", table, paper=paper, notes=["a note"]), Verification(table)
    text = made.save(tmp_path).read_text()
    assert {p.name for p in tmp_path.iterdir()} == {
        f"verification.{end}" for end in ("csv.gz", "html", "json", "md", "png", "tex")
    }
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
    shown = {(row[0], row[1]): dict(zip(rows[0], row, strict=True)) for row in rows[2:]}
    cell = found.score("multi-task", "accuracy")
    assert shown["all", "multi-task"]["accuracy, %"] == cell.text() and "[" in cell.text()
    assert shown["all", "multi-task"]["accuracy, % (paper)"] == "52.9"
    assert shown["all", "theirs"]["accuracy, % (paper)"] == "53.12"
    assert shown["same-gender", "multi-task"]["accuracy, % (paper)"] == ""
    assert "- a note" in text and "95 % CI over 13 speakers, of these 2 models (t)" in text
    gap = found.difference("multi-task", "single task", "eer")
    assert f"- all trials: EER of multi-task minus that of single task: {100 * gap.value:+.1f} [" in text
    told = json.loads((tmp_path / "verification.json").read_text())
    assert len(told["scores"]) == 2 * 2 * 3 and len(told["differences"]) == 2 and told["speakers"] == 13
    again = pd.read_csv(tmp_path / "verification.csv.gz", dtype={"speaker_a": str, "speaker_b": str})
    assert again["speaker_a"].tolist() == table["speaker_a"].tolist()
    with pytest.raises(ValueError, match="'uar'"):
        verification_report("t", table, paper={"multi-task": {"uar": 0.5}})


def test_underfit_systems_are_named_first(rng):
    runs = [learning(0, 0, verdict="underfit: too short"), learning(1, 0)]
    made = verification_report("t", make(rng), learned={"multi-task": runs, "single task": runs[1:]})
    said = "multi-task: 1 of 2 underfit (disjoint, fold 0, seed 0: underfit: too short)."
    assert made.head == (f"**Not trained to the end:** {said}",) and made.data["notes"] == [said]
    assert made.lines()[-1] == "Caution: multi-task: 1 of 2 underfit."
    made = verification_report("t", make(rng), learned={"multi-task": runs[1:], "single task": runs[1:]})
    assert made.head == ("Trained to the end: all 2 runs.",) and made.caution == ""


def test_genders_that_are_not_known_give_no_trials_of_one_gender(rng):
    table = make(rng).assign(gender_a="", gender_b="")
    made = verification_report("t", table)
    assert len(made.figures[0].draw().axes) == 1 and "same-gender" not in made.to_markdown()
    assert np.isnan(Verification(table).score("multi-task", "eer", same_gender_only=True).value)


def test_the_curve_of_several_runs_is_marked_at_their_mean_eer(rng):
    table = make(rng)
    axes = verification_report("t", table).figures[0].draw().axes[0]
    for system in dict.fromkeys(table["system"]):
        line = next(one for one in axes.lines if one.get_label().startswith(system))
        eer = Verification(table).score(system, "eer").value
        assert norm.cdf([line.get_xdata(), line.get_ydata()])[:, line.get_markevery()[0]] == pytest.approx(eer)


def test_the_curve_of_one_run_is_scikit_learns_and_is_marked_at_its_eer(rng):
    table = make(rng, folds=1, seeds=(0,))
    axes = verification_report("t", table).figures[0].draw().axes[0]
    for system in dict.fromkeys(table["system"]):
        line = next(one for one in axes.lines if one.get_label().startswith(system))
        rows = part(table, system)
        eer = root(rows.score, rows.same)
        (marked,) = line.get_markevery()
        x, y = norm.cdf(line.get_xdata()), norm.cdf(line.get_ydata())
        assert (x[marked], y[marked]) == pytest.approx((eer, eer)) and f"EER {100 * eer:.1f} %" in line.get_label()
        false_alarm, miss, _ = sk.det_curve(rows.same, rows.score)
        inside = (x > 0.02) & (y > 0.02)
        assert inside.sum() > 30
        # at one difference of the rates there is one point of the curve
        np.testing.assert_allclose(x[inside], np.interp((y - x)[inside], miss - false_alarm, false_alarm), atol=1e-9)
