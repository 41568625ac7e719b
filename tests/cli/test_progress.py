"""Bars on a terminal."""

import sys

from keras_ser.cli.progress import Progress
from keras_ser.experiment.planning import Job
from keras_ser.splits import Protocol, Split

JOBS = [Job("svm", Protocol("loso", "leave-one-out"), Split("loso", 3, ("a",), (), ("b",)), 1)] * 2


def test_jobs_of_several_systems(monkeypatch, capsys):
    """Each has a total of its own; without a terminal a line names the system."""
    with Progress(quiet=False) as progress:
        progress.job(4, 12, JOBS[0])
    assert capsys.readouterr().err == "[4/12] svm: loso, fold 3, seed 1\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(quiet=False) as progress:
        progress.job(36, 36, JOBS[0])
        progress.job(4, 12, JOBS[1])
        (bar,) = progress.bar.tasks
        assert (bar.completed, bar.total, bar.description) == (3, 12, "svm: loso, fold 3, seed 1")
        progress.epoch("model 1", 1, 2, {})
        assert progress.bar.tasks[0].completed == 3.25
        progress.epoch("model 2", 1, 4, {})
        assert progress.bar.tasks[0].completed == 3.625
        progress.done(11, 20, JOBS[1])
        assert progress.bar.tasks[0].completed == 11


def test_bars_of_epochs_settings_and_clips(monkeypatch):
    """A baseline has no loss, and its settings are no epochs."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(quiet=False) as progress:
        progress.epoch("x", 2, 7, {"loss": 1.25, "emotion_uar": 0.75, "val_emotion_uar": 0.5, "val_gender_uar": 0.9})
        progress.epoch("eGeMAPSv02", 30, 100, {})
        progress.epoch("baseline", 1, 4, {"C": 0.1, "val_emotion_uar": 0.25})
        shown = {task.description: (task.completed, task.total) for task in progress.bar.tasks}
    assert shown == {
        "x: loss 1.250 emotion_uar 0.500": (2, 7),
        "eGeMAPSv02": (30, 100),
        "baseline: emotion_uar 0.250": (1, 4),
    }


def test_without_a_validation_side_the_score_in_training_is_shown(monkeypatch):
    """Not the total loss, which has that of the adversary."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    logs = {"emotion_accuracy": 0.7, "emotion_loss": 0.75, "emotion_uar": 0.625, "adversary_loss": 9.0, "loss": 9.75}
    with Progress(quiet=False) as progress:
        progress.epoch("x", 1, 7, logs | {"gender_uar": 1.0})
        progress.epoch("y", 1, 7, {"valence_loss": 0.5, "valence_ccc": 0.25, "loss": 2.0})
        progress.epoch("z", 1, 7, logs | {"val_emotion_uar": 0.5})
        shown = [task.description for task in progress.bar.tasks]
    assert shown == [
        "x: emotion_loss 0.750 emotion_uar in training 0.625",
        "y: valence_loss 0.500 valence_ccc in training 0.250",
        "z: emotion_loss 0.750 emotion_uar 0.500",
    ]


def test_a_resumed_training_is_said_once(capsys):
    with Progress(quiet=False) as progress:
        for _ in range(2):
            progress.job(1, 2, JOBS[0])
            for epoch in (5, 6):
                progress.epoch("svm", epoch, 10, {"loss": 1.5})
        progress.job(2, 2, JOBS[1])
        progress.epoch("svm", 1, 10, {"loss": 1.5})
        progress.epoch("eGeMAPSv02", 3, 10, {})
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "epoch" in line] == ["svm: continued after epoch 4"] * 2
    with Progress(quiet=True) as progress:
        progress.epoch("svm", 5, 10, {"loss": 1.5})
    assert capsys.readouterr().err == ""


def test_lines_on_epochs_where_there_is_no_terminal(monkeypatch, capsys):
    """One every few seconds; with the time that is left as soon as an epoch has been timed."""
    now = [100.0]
    monkeypatch.setattr("keras_ser.cli.progress.time.monotonic", lambda: now[0])
    with Progress(quiet=False) as progress:
        progress.job(1, 3, JOBS[0])
        for epoch, seconds in ((1, 20), (2, 4), (3, 4), (4, 4)):
            now[0] += seconds
            progress.epoch("svm", epoch, 10, {"loss": 1.5, "val_emotion_uar": 0.25})
    said = "loss 1.500, emotion_uar 0.250"
    # each further epoch takes 4 s: 28 s are left after the third, and two more runs of 20 + 9 * 4 s
    lines = ["[1/3] svm: loso, fold 3, seed 1", f"  svm: epoch 1 of 10: {said}"]
    assert capsys.readouterr().err.splitlines() == [*lines, f"  svm: epoch 3 of 10: {said}; about 2 min left at most"]
    with Progress(quiet=True) as progress:
        progress.job(1, 3, JOBS[0])
        now[0] += 100
        progress.epoch("svm", 1, 10, {"loss": 1.5})
    assert capsys.readouterr().err == ""


def test_a_failed_job_is_counted_and_said_even_where_all_else_is_quiet(monkeypatch, capsys):
    for quiet in (True, False):
        with Progress(quiet=quiet) as progress:
            progress.failure(JOBS[0], "[Errno 5] the loss is nan.")
        assert progress.failures == 1
        assert capsys.readouterr().err == "svm: loso, fold 3, seed 1 failed: [Errno 5] the loss is nan.\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(quiet=False) as progress:
        progress.failure(JOBS[0], "[bold] is no markup.")
    assert "[bold] is no markup." in capsys.readouterr().err
