"""The reports on noise: what is printed and written is what `keras_ser.evaluation` computes."""

import json

import numpy as np
import pandas as pd
import pytest

from keras_ser.evaluation.denoising import Denoising
from keras_ser.evaluation.robustness import NoiseCurves
from keras_ser.reports import denoising_report, robustness_report
from tests.evaluation.test_denoising import METHODS, make
from tests.evaluation.test_robustness import LABELS, draw
from tests.reports.test_scores import learning


def test_denoising_report(rng, tmp_path):
    table, paper = make(rng, snrs=(10.0, -5.0)), {("white", 10.0): {"a": 9.57, "proposed": 20.25}}
    made = denoising_report("title", table, METHODS, paper=paper, ours=("ours",), against=("a", "b"), notes=["a note"])
    header, first, *rows = made.summary[0].text()
    assert header == ["noise", "SNR_in", "none", "a (paper)", "a", "b", "proposed (paper)", "ours"]
    assert first[3] == "9.57" and first[6] == "20.25" and [row[0] for row in rows] == ["white"] + 2 * ["volvo (unseen)"]
    cell = Denoising(table).mean("snr_out", "white", 10.0, "ours")
    assert first[-1] == f"{cell.value:.2f}"
    line = next(x for x in made.figures[0].draw().axes[0].lines if x.get_label() == "ours")
    drawn = [Denoising(table).mean("snr_out", "white", snr, "ours").value for snr in line.get_xdata()]
    np.testing.assert_allclose(line.get_ydata(), drawn)
    text = made.save(tmp_path).read_text()
    pictures = {"snr_out.png", "si_sdr.png", "stoi.png"}
    assert {p.name for p in tmp_path.iterdir()} == {
        f"denoising.{end}" for end in ("csv", "html", "json", "md", "tex")
    } | pictures
    assert f"{cell.value:.2f} [{cell.low:.2f}, {cell.high:.2f}] |" in text and "SNR_out alone rewards silence" in text
    assert "95 % CI over 6 speakers, of this one model (t)" in text and "- a note" in text
    assert "ours beats a and b in SNR_out (eq. 23) in 2 of 2 cells of seen noises, in 2 with" in text
    means = json.loads((tmp_path / "denoising.json").read_text())["means"]
    keys = ("measure", "noise", "snr_in", "method")
    (found,) = [m for m in means if tuple(m[k] for k in keys) == ("snr_out", "white", 10, "ours")]
    again = pd.read_csv(tmp_path / "denoising.csv").query("noise == 'white' and snr_in == 10 and method == 'ours'")
    assert found["value"] == pytest.approx(again["snr_out"].mean()) and found["clips"] == len(again)


def test_robustness_report(rng, tmp_path):
    table = draw(rng)
    made = robustness_report("title", table, LABELS, missing=["a run failed."])
    text = made.save(tmp_path).read_text()
    assert {p.name for p in tmp_path.iterdir()} == {
        f"robustness.{end}" for end in ("csv", "html", "json", "md", "png", "tex")
    }
    assert "volvo (unseen)" in text and "95 % CI over 6 speakers, of these 2 models (t)" in text
    assert "- a run failed." in text and made.lines()[-1] == "Caution: a run failed."
    told = json.loads((tmp_path / "robustness.json").read_text())
    cell = NoiseCurves(table, LABELS).uar("with model 1", "clean", np.inf)
    assert told["clean"]["with model 1"] == {"value": cell.value, "low": cell.low, "high": cell.high}
    assert len(told["curves"]) == 16 and len(told["areas"]) == 4
    gap = NoiseCurves(table, LABELS).area_difference("with model 1", "without model 1", "pink")
    assert f"pink: area of with model 1 minus that of without model 1: {100 * gap.value:+.1f} [" in text
    assert NoiseCurves(pd.read_csv(tmp_path / "robustness.csv"), LABELS).uar("with model 1", "clean") == cell
    line = made.figures[0].draw().axes[0].lines[0]
    curve = [100 * NoiseCurves(table, LABELS).uar("with model 1", "pink", snr).value for snr in line.get_xdata()]
    np.testing.assert_allclose(line.get_ydata(), curve)


def test_underfit_runs_are_named_first(rng):
    learned = [learning(0, 0, verdict="underfit: too short"), learning(1, 0)]
    noisy = robustness_report("t", draw(rng), LABELS, learned=learned)
    denoised = denoising_report("t", make(rng, snrs=(10.0,)), METHODS, learned=learned)
    for made in (noisy, denoised):
        assert made.head[0].startswith("**Not trained to the end:** 1 of 2 underfit (disjoint, fold 0, seed 0")
        assert made.lines()[-1].startswith("Caution: 1 of 2 underfit.")


def test_chance_line_is_of_the_classes_that_were_tested(rng):
    table = draw(rng)
    for rows, chance in ((table, 100 / 3), (table[table["truth"] != "joy"], 50)):
        axes = robustness_report("t", rows, LABELS).figures[0].draw().axes[0]
        assert any(line.get_linestyle() == ":" and line.get_ydata()[0] == pytest.approx(chance) for line in axes.lines)
    figure = robustness_report("t", table[table["truth"] == "joy"], LABELS).figures[0].draw()
    assert not any(line.get_linestyle() == ":" and len(line.get_xdata()) == 2 for line in figure.axes[0].lines)
    assert figure.get_supylabel() == "UAR, %", "of one class alone there is no chance level"
