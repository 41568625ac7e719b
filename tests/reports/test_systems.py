"""Several systems in one report: scores are the report's, differences `compare`'s, gains scikit-learn's."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from keras_ser.evaluation import compare, corrected, score
from keras_ser.evaluation.learning import LEARNED, Learning, trained_unlike
from keras_ser.evaluation.systems import Systems
from keras_ser.evaluation.tables import Cell, Published
from keras_ser.reports import Swept, gain_report, systems_report
from tests.evaluation.conftest import EMOTION, table

PAPER = ((0.5, 0.3, 0.1, 0.1), (0.1, 0.7, 0.1, 0.1), (0.0, 0.2, 0.6, 0.2), (0.25, 0.25, 0.25, 0.25))
PROTOCOLS, PAIR = ("leaking", "disjoint"), ("net", "svm")


@pytest.fixture(scope="module")
def tables():
    return {
        name: table(protocols=PROTOCOLS, skill=skill, draw=i)
        for i, (name, skill) in enumerate((("net", 1.5), ("svm", 0.3)))
    }


@pytest.fixture(scope="module")
def parts(tables):
    return [Systems(tables, EMOTION, protocol, (PAIR,)) for protocol in PROTOCOLS]


@pytest.fixture(scope="module")
def made(parts):
    return systems_report(
        "title",
        parts,
        about={"net": "ours", "svm": "old"},
        described={"leaking": "random (LEAKING: copies on both sides); x", "disjoint": "speakers apart"},
        paper={"net": {"accuracy": 0.6002}},
        confused="net",
        paper_confusion=PAPER,
        missing=["svm: 1 of 8 runs failed."],
        notes=["a note"],
    )


def test_the_terminal_says_that_intervals_over_clips_are_too_narrow(tables):
    alone = {name: rows.assign(group=None) for name, rows in tables.items()}
    parts = [
        Systems({**tables, **{n: alone[n] for n in tables if p == "leaking"}}, EMOTION, p, (PAIR,)) for p in PROTOCOLS
    ]
    made = systems_report("title", parts, about={"net": "ours", "svm": "old"})
    assert made.lines()[-1] == "Caution: leaking: speakers unknown, intervals too narrow."


def test_what_was_learned_stands_first_and_each_protocol_has_its_own_figures_of_the_paper(parts):
    runs = [Learning(p, fold, 0, "emotion", "uar", 0.9, 0.6, 80, LEARNED) for p in PROTOCOLS for fold in range(2)]
    short = replace(runs[0], verdict="underfit: too short")
    papers = {"disjoint": {"net": {"uar": Published(0.688, 0.012)}, "ProgNet [88]": {"uar": 0.657}}}
    learned = {"net": [short, *runs[1:]], "svm": runs}
    made = systems_report("title", parts, about={"net": "ours", "svm": "old"}, learned=learned, papers=papers)
    assert made.lines()[-1] == "Caution: net: 1 of 4 underfit."
    header, *rows = made.sections[0].text()
    uar = 100 * parts[1].scores["svm"]["uar"].value
    assert (
        rows[1] == ["net", "disjoint", "2", "80", "90.0", "60.0", rows[1][6], "learned"] and rows[3][6] == f"{uar:.1f}"
    )
    text = made.to_markdown()
    assert "- net: 1 of 4 underfit (leaking, fold 0, seed 0: underfit: too short)." in text.split("##")[0]
    header, net, svm, other = next(t for t in made.sections[1:] if getattr(t, "title", "").startswith("UAR")).text()
    assert header[1:4] == ["leaking", "disjoint (paper)", "disjoint"] and (net[2], svm[2]) == ("68.8 ± 1.2", "")
    assert other == ["ProgNet [88]", "–", "65.7", "–", "–"]
    assert made.data["protocols"]["disjoint"]["paper"]["net"] == {"uar": 0.688}
    drawn = [line for axes in made.figures[0].draw().axes for line in axes.lines if line.get_marker() == "*"]
    assert [line.get_xdata()[0] for line in drawn] == pytest.approx([68.8, 65.7])


def test_picture_shows_the_papers_deviations_other_authors_and_chance(parts):
    papers = {"disjoint": {"net": {"uar": Published(0.688, 0.012)}, "ProgNet [88]": {"uar": 0.657}}}
    made = systems_report("title", parts, about={"net": "ours", "svm": "old"}, papers=papers)
    figure = made.figures[0].draw()
    uar, accuracy = figure.axes
    assert [label.get_text() for label in uar.get_yticklabels()] == ["net", "svm", "ProgNet [88]"]
    bars = [line.get_xdata() for line in uar.lines if line.get_marker() == "|" and len(line.get_xdata()) == 2]
    np.testing.assert_allclose(bars, [[67.6, 70.0]])
    upright = [[line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]] for axes in figure.axes]
    assert upright == [[25.0], []], "four classes; the chance level of accuracy is not known"
    assert "± of the paper" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_networks_trained_to_different_scores_are_named_first(parts):
    def runs(training, verdict=LEARNED, steps=80):
        return [
            Learning(p, fold, 0, "emotion", "uar", training, 0.6, steps, verdict) for p in PROTOCOLS for fold in (0, 1)
        ]

    short = "underfit: too short"
    learned = {"net": runs(0.9), "svm": runs(1.0, steps=None), "near": runs(0.96), "best": runs(0.997)}
    said = trained_unlike({**learned, "short": runs(0.4, short)})
    sentence = "Training scores under {}: net 90.0, but best 99.7: compare them after longer training."
    assert said == [sentence.format(protocol) for protocol in PROTOCOLS]
    assert trained_unlike({"net": runs(0.9), "next": runs(0.94)}) == []
    alone = {name: mine[:2] for name, mine in learned.items() if name != "near"}
    made = systems_report("title", parts[:1], about={"net": "ours", "svm": "old"}, learned=alone)
    sentence = "Training scores: net 90.0, but best 99.7: compare them after longer training."
    assert made.lines()[-1] == f"Caution: {sentence}" and made.to_markdown().splitlines()[2] == f"- {sentence}"


def test_sweep_shares_an_axis_between_panels_of_one_quantity(parts):
    further = {"accuracy of gender, leaking": {"net": Cell(0.95)}, "EER of the speakers of x": {"net": Cell(0.05)}}
    swept = Swept("alpha", {"gender": {1.0: "net", 0.0: "svm"}}, further)
    figure = systems_report("title", parts, about={"net": "ours", "svm": "old"}, swept=swept).figures[-1].draw()
    axes = {each.get_title(): each for each in figure.axes if each.get_visible()}
    shared = axes["UAR (UA), leaking"].get_shared_y_axes()
    for title, others in {
        "UAR (UA), leaking": {"UAR (UA), disjoint"},
        "accuracy (WA), leaking": {"accuracy (WA), disjoint"},
        "accuracy of gender, leaking": set(),
        "EER of the speakers of x": set(),
    }.items():
        assert {t for t in axes if t != title and shared.joined(axes[t], axes[title])} == others
    assert {each.get_ylabel() for each in axes.values()} == {"%"}
    expected = [100 * parts[0].scores[name]["uar"].value for name in ("svm", "net")]
    np.testing.assert_allclose(axes["UAR (UA), leaking"].lines[0].get_ydata(), expected)


def test_scores_and_corrected_differences_are_those_of_each_protocol(parts, tables):
    for part in parts:
        for system, mine in tables.items():
            assert part.scores[system] == {s.metric: s for s in score(mine, EMOTION, part.protocol).scores}
        expected = [compare(*tables.values(), EMOTION, m, protocol=part.protocol) for m in part.metrics]
        # the p values of a report are corrected for all that it shows
        assert [c for *_, c in part.differences] == corrected(expected)
        assert "95 % CI over 8 speakers and 3 seeds (t)" in part.scale()


def test_deterministic_systems_are_compared_with_one_seed(tables):
    one = {name: mine[mine["seed"] == 0] for name, mine in tables.items()}
    drawn, known = (Systems(one, EMOTION, "disjoint", (PAIR,), deterministic=names) for names in ((), PAIR))
    assert all(c.p is None for *_, c in drawn.differences) and all(c.p is not None for *_, c in known.differences)
    assert "of this one model" in drawn.scale() and "95 % CI over 8 speakers (t)" in known.scale()
    mixed = Systems({**tables, "svm": one["svm"]}, EMOTION, "disjoint", (PAIR, PAIR[::-1]), deterministic=("svm",))
    assert all(c.p is not None for *_, c in mixed.differences), "beside three seeds of the other"


def test_clips_without_a_label_are_not_counted(tables):
    mine = tables["net"]
    known = Systems({"net": mine}, EMOTION, "disjoint").results["net"].clips
    lacking = mine.assign(emotion=mine["emotion"].where(mine["id"] != mine["id"].iloc[0], ""))
    assert f", {known - 1} clips; " in Systems({"net": lacking}, EMOTION, "disjoint").scale()


def test_systems_report(made, tables, tmp_path):
    """A column each protocol, the paper's beside them, and the first less the last."""
    values = [
        100 * (m["emotion"] == m["emotion/prediction"]).mean() for _, m in tables["net"].groupby("protocol", sort=False)
    ]
    header, net, svm = made.summary[0].text()
    assert header == ["system", "paper", *PROTOCOLS, "leaking minus disjoint"]
    assert net[:2] == ["net", "60.02"] and svm[:2] == ["svm", ""] and net[-1] == f"{values[0] - values[1]:+.1f}"
    assert all(cell.startswith(f"{value:.1f} ± ") for cell, value in zip(net[2:4], values, strict=True))
    assert made.lines()[-1] == "Caution: svm: 1 of 8 runs failed. leaking leaks: copies on both sides."
    accuracy = made.figures[0].draw().axes[1]
    ((figure, y),) = (line.get_xydata()[0] for line in accuracy.lines if line.get_marker() == "*")
    assert figure == pytest.approx(60.02)
    first = [100 * score(tables["svm"], EMOTION, "leaking")["accuracy"].value, y + 1]  # in the next row
    assert any(np.allclose(line.get_xydata(), [first]) for line in accuracy.lines), "beside the first protocol"
    text = made.save(tmp_path).read_text()
    assert {p.name for p in tmp_path.iterdir()} == {
        "systems.md",
        "systems.html",
        "systems.tex",
        "systems.json",
        "systems.png",
        "systems-confusion.png",
    }
    for words in (
        "- a note",
        "random (LEAKING: copies on both sides); x",
        "## leaking",
        "- net - svm: emotion accuracy: ",
        "| net | ours |",
    ):
        assert words in text, words
    assert "leaking leaks: copies on both sides." in made.caution
    assert "| anger | paper | 50 | 30 | 10 | 10 |" in text
    told = json.loads((tmp_path / "systems.json").read_text())
    own = score(tables["net"], EMOTION, "disjoint")
    assert told["protocols"]["disjoint"]["systems"]["net"]["uar"]["value"] == own["uar"].value
    np.testing.assert_allclose(told["confusion"]["disjoint"], own.confusion.share)


def test_gains_are_scikit_learns(tables, tmp_path):
    metrics = [*(f"recall/{label}" for label in EMOTION.labels), "accuracy", "uar"]
    one = {name: mine[(mine["seed"] == 0) & (mine["emotion"] != "fear")] for name, mine in tables.items()}
    part = Systems(one, EMOTION, "disjoint", [PAIR], metrics)
    paper = {"svm": {"recall/joy": 0.371}, "net": {"recall/joy": 0.435}}
    short = Learning("disjoint", 0, 0, "emotion", "uar", 0.9, 0.6, 80, "underfit: too short")
    made = gain_report("title", part, paper=paper, learned={"net": [short], "svm": []})
    assert made.head[0].startswith("**Not trained to the end:** net: 1 of 1 underfit")
    text = made.save(tmp_path).read_text()
    rows = {
        c[0]: c for c in ([x.strip() for x in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|")
    }
    assert list(rows["%"]) == [
        "%", "svm (paper)", "svm", "net (paper)", "net", "gain (of the paper's)", "gain", "difference", "p (Holm)",
    ]  # fmt: skip
    there = [label for label in EMOTION.labels if label != "fear"]
    scores = []
    for name in ("svm", "net"):
        mine = one[name][one[name]["protocol"] == "disjoint"]
        truth, named = mine["emotion"], mine["emotion/prediction"]
        recalls = recall_score(truth, named, average=None, labels=there)
        scores.append([*recalls, accuracy_score(truth, named), recalls.mean()])
    for name, a, b in zip([*there, "accuracy (WA)", "UAR (UA)"], *scores, strict=True):
        row = rows[name]
        assert (row[2].split(" [")[0], row[4].split(" [")[0]) == (f"{100 * a:.1f}", f"{100 * b:.1f}")
        assert (row[6], row[7].split(" [")[0]) == (f"{100 * (b - a) / a:+.1f}", f"{100 * (b - a):+.1f}")
    assert rows["joy"][1] == "37.1" and rows["joy"][5] == "+17.3"  # 6.4 of 37.1
    assert rows["fear"][1:] == ["", "–", "", "–", "", "", "–", "–"], "nobody was tested on it"
    told = json.loads((tmp_path / "gain.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert told["rows"][1]["measured"]["net"]["value"] is None
    assert "No p: one seed: the spread over initialisations is not known." in text
