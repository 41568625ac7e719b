"""Trials of a baseline, whose history has a row for each of its settings."""

from types import SimpleNamespace

from keras_ser.experiment.planning import Job
from keras_ser.splits import Protocol, Split
from keras_ser.tuning import runs
from tests.training import tiny


def test_the_score_of_a_baseline_is_that_of_its_kept_setting(tmp_path, monkeypatch):
    """Not a mean over the settings before it, as over the epochs of a network."""
    history = [{"val_emotion_uar": score} for score in (0.3, 0.4, 0.5, 0.7, 0.6)]
    split = Split("p", 0, ("a",), (), ("b",))
    made = SimpleNamespace(about={"best_epoch": 4, "epochs": history}, history=history, split=split, seed=0)
    monkeypatch.setattr(runs, "fit", lambda *given, **options: made)
    monkeypatch.setattr(runs, "must_see", lambda file: None)
    monkeypatch.setattr(runs, "check_stopped", lambda *given: None)
    monkeypatch.setattr(runs, "curve", lambda *given: ())
    job = Job("svm", Protocol("p", "leave-one-out"), split, 0)
    target = tmp_path / "a" / "b" / "c" / "run"
    for recipe, score in (
        (tiny.SINGLE.replace(model="svm", config=None, smoothing=5, monitor=""), 0.7),
        (tiny.SINGLE.replace(smoothing=5, epochs=9, monitor="val_emotion_uar"), 0.475),
        (tiny.SINGLE.replace(smoothing=5, epochs=9, monitor=""), 0.7),  # keeps its last epoch
    ):
        assert abs(runs.train_run(None, recipe, job, target, None, False, {}).score - score) < 1e-9
