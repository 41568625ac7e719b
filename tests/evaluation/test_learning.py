"""What is called underfit, overfit and learned, on histories made for it (trained runs: tests/training/test_learning.py)."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from keras_ser.evaluation.learning import (
    LEARNED,
    Learning,
    faults,
    judge,
    learning_of,
    learning_table,
    monitored_task,
    run_learning,
    stored_verdicts,
    together,
    trained_unlike,
    untrained,
    verdicts,
)
from keras_ser.models import aae_mtl
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
        (run(UP, curve((1, 0.3), (20, 0.6)), 0.85), "underfit: both scores were still rising when its 20 epochs ended"),
        # patience ended it early, by chance, on a validation set of few clips
        (
            run(UP[:9], HELD[::-1][:9], 0.7, kept=9),
            "underfit: patience ended it at 36 steps, when the training set had 70.0 and was still rising",
        ),
        (run(UP[:9], HELD[::-1][:9], 0.95, kept=9), "learned"),
        (
            run(FLAT, HELD[::-1], 0.7, kept=2),
            "underfit: kept at epoch 2 of 20, around which training had 52.2, and 97.0 later",
        ),
        (
            run(curve((1, 0.4), (7, 0.97), (20, 0.80)), HELD, 0.80),
            "underfit: kept at epoch 20 of 20, around which training had 81.3, and 94.4 before, at epoch 9",
        ),
        (
            run(FLAT * 0.6, HELD, 0.66),
            "underfit: 66.0 on the training set, nearer to chance (33.3) than to a perfect score",
        ),
        (
            run(FLAT, curve((1, 0.4), (5, 0.8), (20, 0.5)), 0.97),
            "overfit: validation fell from 77.0 at epoch 8 to 53.0 at the kept one",
        ),
        # nothing was chosen: all epochs are trained, and they were too few
        (
            run(UP, np.full(20, np.nan), 0.85, monitor=None),
            "underfit: its epochs ended it at 80 steps, when the training set had 85.0 and was still rising",
        ),
        # a validation set that is flat, or noisy, does not hide that the training set was not learned when the epochs ended
        (
            run(UP, HELD, 0.85),
            "underfit: its epochs ended it at 80 steps, when the training set had 85.0 and was still rising",
        ),
        (
            run(UP, [*curve((1, 0.3), (20, 0.6))[:-1], np.nan], 0.95),
            "underfit: both scores were still rising when its 20 epochs ended",
        ),
        (
            run(FLAT, [0.66] * 4 + [0.6] * 16, 0.97),
            "overfit: validation fell from 66.0 at epoch 4 to 60.0 at the kept one",
        ),
        # the best of single epochs is luck: .8 at the first, or at two that a mean over a fifth (four) has beside others
        (run(FLAT, [0.8, *HELD[1:]], 0.97), "learned"),
        # a learning rate that falls to 0 makes both sides rise to the end
        (run(UP, curve((1, 0.3), (20, 0.6)), 0.85, recipe=ANNEALED), "learned"),
        # unless the schedule was too short
        (
            run(UP * 0.8, np.full(20, np.nan), 0.68, recipe=ANNEALED, monitor=None),
            "underfit: the learning rate had fallen to 0 after 80 steps, with 68.0 on the training set",
        ),
        (run(UP * 0.8, HELD, 0.81, recipe=ANNEALED), "learned"),
        (run(FLAT * 0.8, HELD, 0.75, recipe=ANNEALED), "learned"),
        # patience ended it before the learning rate had fallen
        (
            run(UP[:9], HELD[::-1][:9], 0.7, kept=9, recipe=ANNEALED),
            "underfit: patience ended it at 36 steps, when the training set had 70.0 and was still rising",
        ),
        (run(UP[:4], HELD[:4], 0.7), "underfit: 4 epochs, 16 steps, with 70.0 on the training set"),
        (run(FLAT[:4], HELD[:4], 0.95), "learned"),
        (run(FLAT, HELD, None), "unknown: trained by a version that did not note it"),
    ],
    ids=lambda value: None if isinstance(value, Learning) else value.split(",")[0],
)
def test_verdict(made, verdict):
    assert made.verdict == verdict


@pytest.mark.parametrize("epochs", [24, 60, 200])
def test_how_long_a_run_went_on_after_the_kept_epoch_does_not_change_the_verdict(epochs):
    """The training set is learned by epoch 10; the best validation score comes at epoch 12."""
    training = curve((1, 0.3), (10, 0.86), (20, 0.88), epochs=epochs)
    held = curve((1, 0.4), (12, 0.7), (24, 0.68), epochs=epochs)
    assert run(training, held, 0.88, kept=12, recipe=RECIPE.replace(epochs=300)).verdict == "learned"
    early = run(training, held, 0.7, kept=4, recipe=RECIPE.replace(epochs=300)).verdict
    assert early.startswith(f"underfit: kept at epoch 4 of {epochs}, around which training had 48.7, and 88.0 later")


def test_a_cascade_has_learned_if_both_of_its_models_have(tmp_path):
    def made(training, known, **more):
        rows = [{"epoch": i, "emotion_accuracy": a} for i, a in enumerate(training, 1)]
        about = {"epochs": rows, "best_epoch": 20, "steps": STEPS, "monitor": None, "training": {"emotion_uar": known}}
        recipe = RECIPE.replace(first=tiny.FIRST if more else None)
        split = SimpleNamespace(protocol="speakers", fold=1)
        return SimpleNamespace(recipe=recipe, about=about, split=split, seed=2, **more)

    good, bad = made(FLAT, 0.97), made(FLAT * 0.6, 0.6)
    low = "60.0 on the training set, nearer to chance (33.3) than to a perfect score"
    assert judge(made(FLAT, 0.97, first=good)).verdict == "learned"
    assert judge(made(FLAT, 0.97, first=bad)).verdict == f"underfit: model 1: {low}"
    assert judge(made(FLAT * 0.6, 0.6, first=bad)).verdict == f"underfit: {low}"
    unknown = learning_of([made(FLAT, 0.97, first=None)])
    assert unknown[0].verdict.startswith("unknown") and not unknown[0].fault and unknown[0].training == 0.97


def test_a_run_is_held_against_the_others_of_its_recipe():
    others = [dataclasses.replace(run(FLAT, HELD, known), seed=seed) for seed, known in enumerate((0.97, 0.83, 0.96))]
    assert {r.verdict for r in others} == {"learned"}
    found = together(others)
    assert [r.verdict for r in found] == [
        "learned",
        "underfit: 83.0 on the training set, where other runs reach 97.0",
        "learned",
    ]
    assert verdicts(found) == "1 of 3 underfit" and verdicts(found[:1]) == "learned"
    assert faults({"mtl": found}) == [
        "mtl: 1 of 3 underfit (speakers, fold 1, seed 1: underfit: 83.0 on the training set, where other runs reach 97.0)."
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
    assert found.verdict == "underfit: 40.0 on the training set, nearer to chance (33.3) than to a perfect score"
    assert strict_json(dataclasses.asdict(found))["validation"] is None


def test_the_monitored_task_may_begin_with_the_name_of_another():
    tasks = (tiny.EMOTION, Task("emotion_level", ("low", "high")))
    recipe = SimpleNamespace(tasks=tasks, monitor="val_emotion_level_uar")
    assert monitored_task(recipe) is tasks[1]


def test_chance_is_that_of_the_speakers_who_are_scored():
    """A speaker task also has the speakers of an auxiliary corpus, who train and are on no side."""
    labels = (*"abcd", *(f"slr45/{name}" for name in "efghijklmn"))
    task = Task("speaker", labels, identity=True)
    recipe = RECIPE.replace(tasks=(task,), streams=(Stream("own"), Stream("slr45", corpus="slr45")), patience_steps=0)
    rows = [{"epoch": i, "speaker_accuracy": 0.5} for i in range(1, 21)]
    about = {"epochs": rows, "best_epoch": 20, "steps": 4, "monitor": None, "training": {"speaker_uar": 0.26}}
    found = run_learning(recipe, about, "speakers", 0, 0)
    assert found.verdict == "underfit: 26.0 on the training set, nearer to chance (25.0) than to a perfect score"


def judged_aae(rows, **settings):
    """The verdict on a run of AAE-MTL with these logs."""
    recipe = RECIPE.replace(model="aae_mtl", config=aae_mtl.Config(**settings))
    about = {"epochs": rows, "best_epoch": len(rows), "steps": 4, "monitor": None, "training": {"emotion_uar": 0.97}}
    return run_learning(recipe, about, "speakers", 0, 0)


GOOD = {"discriminator_right": 0.7, "reconstruction_loss": 0.4, "code_active": 0.9, "emotion_accuracy": 0.97}
FALLING = [GOOD | {"code_mmd": distance} for distance in np.linspace(0.05, 0.02, 10)]


def test_what_goes_wrong_in_an_adversarial_autoencoder_is_said():
    bad = {"discriminator_right": 1.0, "reconstruction_loss": 1.0, "code_mmd": 0.06, "code_active": 0.0}
    assert judged_aae(FALLING).remarks == () == judged_aae([]).remarks
    found = judged_aae(FALLING[:8] + [GOOD | bad] * 2)
    assert len(found.remarks) == 4 and found.verdict == "learned"
    still = [row | {"discriminator_right": 0.51} for row in FALLING]
    (said,) = judged_aae(still).remarks
    assert "at chance" in said and judged_aae(still[:1]).remarks == (), "one epoch shows nothing"
    sentences = faults({"aae": [found, judged_aae(FALLING)]})
    assert (
        "aae: in 1 of 2 runs the reconstruction is no better than the mean frame." in sentences and len(sentences) == 4
    )


def test_a_code_that_does_not_approach_its_prior_is_said():
    """Distances of runs on EmoDB, first, highest and last: at the end hardly, or not at all, below that of the first epoch."""

    def said(*distances, **settings):
        rows = [GOOD | {"code_mmd": d} for d in np.interp(np.arange(25), [0, 7, 20, 24], [*distances, distances[-1]])]
        return "".join(judged_aae(rows, **settings).remarks)

    for of_aae in ((0.0464, 0.0611, 0.0506), (0.0435, 0.0652, 0.0475), (0.0467, 0.0619, 0.0453)):
        assert said(*of_aae).startswith("the code did not clearly approach its prior"), of_aae
        assert not said(*of_aae, adversary=0.0), "nothing draws it there"
    for approached in ((0.0498, 0.0651, 0.0417), (0.0420, 0.0437, 0.0315), (0.001, 0.002, 0.002)):
        assert not said(*approached), approached


def test_controls_do_not_fail_at_what_they_do_not_learn():
    """Without an adversary the discriminator wins though the code approaches its prior; without alpha nothing is reconstructed."""
    won = [row | {"discriminator_right": 1.0} for row in FALLING]
    assert judged_aae(won).remarks == ("the discriminator nearly always tells codes from the prior",)
    (said,) = judged_aae(won, adversary=0.0).remarks
    assert said.endswith(", which is no failure without an adversary")
    (said,) = judged_aae([row | {"reconstruction_loss": 1.3} for row in FALLING], alpha=0.0).remarks
    assert said.endswith("mean frame, which is no failure where it is not learned")


@pytest.mark.parametrize(("unit", "error", "fails"), [(0.94, 0.93, True), (2.0, 1.2, False), (1.0, 0.9, False)])
def test_a_reconstruction_is_compared_with_the_mean_frame_of_its_batches(unit, error, fails):
    rows = [row | {"reconstruction_loss": error, "mean_frame_error": unit} for row in FALLING]
    assert (judged_aae(rows).remarks == ("the reconstruction is no better than the mean frame",)) == fails


def test_what_is_too_short_to_judge_is_not_called_rising():
    assert run(UP[[0, 19]], UP[[0, 19]], 0.95, recipe=RECIPE.replace(epochs=2)).verdict == "learned"
    five = run(FLAT[:5], HELD[:5], 0.7, recipe=RECIPE.replace(epochs=5), kept=5).verdict
    assert not five.startswith("underfit: 5 epochs,"), "fewer than five are too few"


def test_a_later_epoch_that_validates_better_is_no_fall_before_the_kept_one():
    assert run(np.full(20, 0.97), curve((1, 0.4), (20, 0.9)), 0.97, kept=10).verdict == "learned"


def test_a_system_of_which_some_runs_learned_is_compared_with_the_best():
    def runs(training, *verdicts):
        return [Learning("p", 0, seed, "emotion", "uar", training, 0.6, 80, v) for seed, v in enumerate(verdicts)]

    mixed = runs(0.8, LEARNED, "underfit: too short")
    (said,) = trained_unlike({"best": runs(0.99, LEARNED), "mixed": mixed})
    assert "mixed 80.0, but best 99.0" in said
