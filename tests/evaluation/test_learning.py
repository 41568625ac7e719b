"""What is called underfit, overfit and learned, on histories made for it (trained runs: tests/training/test_learning.py)."""

import dataclasses

import numpy as np
import pytest

from keras_ser.evaluation.learning import (
    Learning,
    faults,
    learning_table,
    run_learning,
    stored_verdicts,
    together,
    untrained,
    verdicts,
)
from keras_ser.reports.render import strict_json
from keras_ser.settings import OptimizerConfig, Stream
from keras_ser.tasks import Task
from tests.training import tiny

STEPS = 4
RECIPE = tiny.SINGLE.replace(optimizer=OptimizerConfig("adam", 1e-3), epochs=20, patience=5, monitor="")  # 3 classes

ANNEALED = RECIPE.replace(optimizer=OptimizerConfig("adam", 1e-3, schedule="cosine"))


def curve(*points: tuple[int, float], epochs: int = 20) -> np.ndarray:
    return np.interp(np.arange(1, epochs + 1), *zip(*points, strict=True))


UP = curve((1, 0.3), (20, 0.85))
FLAT = curve((1, 0.4), (8, 0.97))
HELD = curve((1, 0.4), (8, 0.7))


def run(training, validation, known: float | None, kept: int | None = None, recipe=RECIPE, monitor="val_emotion_uar"):
    rows = [
        {"epoch": i, "emotion_accuracy": a, "val_emotion_uar": b}
        for i, (a, b) in enumerate(zip(training, validation, strict=True), 1)
    ]
    about = {"epochs": rows, "best_epoch": kept or len(rows), "steps": STEPS, "monitor": monitor}
    about |= {} if known is None else {"training": {"emotion_uar": known}}
    return run_learning(recipe, about, "speakers", 1, 2)


def test_figures_are_those_of_the_kept_epoch():
    found = run(FLAT, HELD, 0.97, kept=6)
    assert (found.steps, found.training, found.task, found.metric) == (6 * STEPS, 0.97, "emotion", "uar")
    assert found.validation == pytest.approx(HELD[5]) and found.where == "speakers, fold 1, seed 2"


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (run(FLAT, HELD, 0.97), "learned"),
        (run(UP, curve((1, 0.3), (20, 0.6)), 0.85), "underfit: still rising on both sides when its 20 epochs ended"),
        # patience ended it early, by chance, on a validation side of few clips
        (
            run(UP[:9], HELD[::-1][:9], 0.7, kept=9),
            "underfit: patience ended it at 36 steps, when the training side had 70.0 and was still rising",
        ),
        (run(UP[:9], HELD[::-1][:9], 0.95, kept=9), "learned"),
        (
            run(FLAT, HELD[::-1], 0.7, kept=2),
            "underfit: kept at epoch 2 of 20, 44.1 in training, which reached 97.0 later",
        ),
        (
            run(FLAT * 0.6, HELD, 0.66),
            "underfit: 66.0 on the training side, nearer to chance (33.3) than to a perfect score",
        ),
        (
            run(FLAT, curve((1, 0.4), (5, 0.8), (20, 0.5)), 0.97),
            "overfit: validation fell from 77.0 at epoch 8 to 53.0 at the kept one",
        ),
        # nothing was chosen: all epochs are trained, and they were too few
        (
            run(UP, np.full(20, np.nan), 0.85, monitor=None),
            "underfit: its epochs ended it at 80 steps, when the training side had 85.0 and was still rising",
        ),
        # a learning rate that falls to 0 makes both sides rise to the end
        (run(UP, curve((1, 0.3), (20, 0.6)), 0.85, recipe=ANNEALED), "learned"),
        # unless the schedule was too short
        (
            run(UP * 0.8, np.full(20, np.nan), 0.68, recipe=ANNEALED, monitor=None),
            "underfit: the learning rate had fallen to 0 after 80 steps, with 68.0 on the training side",
        ),
        (run(UP * 0.8, HELD, 0.81, recipe=ANNEALED), "learned"),
        (run(FLAT * 0.8, HELD, 0.75, recipe=ANNEALED), "learned"),
        # patience ended it before the learning rate had fallen
        (
            run(UP[:9], HELD[::-1][:9], 0.7, kept=9, recipe=ANNEALED),
            "underfit: patience ended it at 36 steps, when the training side had 70.0 and was still rising",
        ),
        (run(UP[:4], HELD[:4], 0.7), "underfit: 4 epochs, 16 steps, with 70.0 on the training side"),
        (run(FLAT[:4], HELD[:4], 0.95), "learned"),
        (run(FLAT, HELD, None), "unknown: trained by a version that did not note it"),
    ],
    ids=lambda value: None if isinstance(value, Learning) else value.split(",")[0],
)
def test_verdict(made, verdict):
    assert made.verdict == verdict


def test_a_run_is_held_against_the_others_of_its_recipe():
    others = [dataclasses.replace(run(FLAT, HELD, known), seed=seed) for seed, known in enumerate((0.97, 0.83, 0.96))]
    assert {r.verdict for r in others} == {"learned"}
    found = together(others)
    assert [r.verdict for r in found] == [
        "learned",
        "underfit: 83.0 on the training side, where other runs reach 97.0",
        "learned",
    ]
    assert verdicts(found) == "1 of 3 underfit" and verdicts(found[:1]) == "learned"
    assert faults({"mtl": found}) == [
        "mtl: 1 of 3 underfit (speakers, fold 1, seed 1: underfit: 83.0 on the training side, where other runs reach 97.0)."
    ]
    assert not faults({"mtl": found[:1]})
    table = learning_table({"mtl": found, "single": found[:1]}, {("mtl", "speakers"): 0.654})
    assert table.text() == [
        ["system", "protocol", "runs", "optimizer steps", "training", "validation", "test", "verdict"],
        ["mtl", "speakers", "3", "80", "92.0", "70.0", "65.4", "1 of 3 underfit"],
        ["single", "speakers", "1", "80", "97.0", "70.0", "–", "learned"],
    ]


def test_verdicts_of_a_stored_report_are_those_of_its_runs():
    runs = together([dataclasses.replace(run(FLAT, HELD, known), seed=seed) for seed, known in enumerate((0.97, 0.83))])
    report = {"learned": [dataclasses.asdict(each) for each in runs]}
    assert stored_verdicts(report, "speakers") == verdicts(runs) == "1 of 2 underfit"
    assert stored_verdicts(report, "random") == stored_verdicts({}, "speakers") == ""
    assert untrained({"": runs, "svm": runs[:1]}) == ["1 of 2 underfit."] and untrained({"a": runs})[0][:2] == "a:"


def test_baselines_have_scores_and_no_steps():
    recipe = RECIPE.replace(model="svm", config=None)
    found = run_learning(
        recipe, {"epochs": [{"epoch": 1, "C": 1.0}], "best_epoch": 1, "training": {"emotion_uar": 0.4}}, "p", 0, 0
    )
    assert (found.steps, found.training) == (None, 0.4) and np.isnan(found.validation)
    assert found.verdict == "underfit: 40.0 on the training side, nearer to chance (33.3) than to a perfect score"
    assert strict_json(dataclasses.asdict(found))["validation"] is None


def test_chance_is_that_of_the_speakers_who_are_scored():
    """A speaker task also has the speakers of an auxiliary corpus, who train and are on no side."""
    labels = (*"abcd", *(f"slr45/{name}" for name in "efghijklmn"))
    task = Task("speaker", labels, identity=True)
    recipe = RECIPE.replace(tasks=(task,), streams=(Stream("own"), Stream("slr45", corpus="slr45")), patience_steps=0)
    rows = [{"epoch": i, "speaker_accuracy": 0.5} for i in range(1, 21)]
    about = {"epochs": rows, "best_epoch": 20, "steps": 4, "monitor": None, "training": {"speaker_uar": 0.26}}
    found = run_learning(recipe, about, "speakers", 0, 0)
    assert found.verdict == "underfit: 26.0 on the training side, nearer to chance (25.0) than to a perfect score"


def test_what_goes_wrong_in_an_adversarial_autoencoder_is_said():
    good = {"discriminator_right": 0.7, "reconstruction_loss": 0.4, "code_active": 0.9, "emotion_accuracy": 0.97}
    recipe = RECIPE.replace(model="aae_mtl", config=None)

    def of(rows):
        about = {
            "epochs": rows,
            "best_epoch": len(rows),
            "steps": 4,
            "monitor": None,
            "training": {"emotion_uar": 0.97},
        }
        return run_learning(recipe, about, "speakers", 0, 0)

    good["code_mmd"] = 0.02
    assert of([good] * 10).remarks == ()
    bad = {"discriminator_right": 1.0, "reconstruction_loss": 1.0, "code_mmd": 0.03, "code_active": 0.0}
    found = of([good] * 8 + [good | bad] * 2)
    assert len(found.remarks) == 4 and found.verdict == "learned"
    (still,) = of([good | {"discriminator_right": 0.51}] * 10).remarks
    assert "at chance" in still and of([good | {"discriminator_right": 0.51}]).remarks == (), "one epoch shows nothing"
    sentences = faults({"aae": [found, of([good] * 10)]})
    assert (
        sentences[1] == "aae: in 1 of 2 runs the reconstruction is no better than the mean frame."
        and len(sentences) == 4
    )
