import json
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from keras_ser.cli import main
from keras_ser.errors import RunError, UserError
from keras_ser.evaluation.learning import LEARNED, Learning
from keras_ser.files import lock
from keras_ser.serving import run_checks
from keras_ser.settings import Stream
from keras_ser.splits import Split
from keras_ser.training import Data, Run, fit
from tests.training import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    corpus = tiny.corpus(tmp_path_factory.mktemp("corpus"))
    return Data.load(tiny.SINGLE, corpus, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    split = tiny.SPEAKERS.splits(data.corpus)[0]
    return fit(tiny.SINGLE, data, split, tmp_path_factory.mktemp("runs") / "run", seed=1)


@pytest.mark.slow
def test_every_check_is_a_line(run, data, monkeypatch):
    seen = []
    checks = {c.name: c for c in run_checks.check_run(run, data, on_epoch=lambda *call: seen.append(call))}
    assert list(checks) == ["learned", "alone = in a batch", "recording level", "export", "shuffled labels"]
    assert not checks["learned"].passed and "underfit" in checks["learned"].said, "two epochs"
    assert checks["alone = in a batch"].passed and checks["export"].passed
    assert checks["recording level"].passed is None and "10 dB louder" in checks["recording level"].said
    assert len(seen) == tiny.SINGLE.epochs and (run.folder / "check").is_dir()
    monkeypatch.setattr(run_checks, "_exported", lambda run: checks["export"])  # which takes seconds
    again = list(run_checks.check_run(run, data, on_epoch=seen.append))[-1]
    assert again == checks["shuffled labels"] and len(seen) == tiny.SINGLE.epochs, "kept"


def test_a_run_is_judged_among_those_of_its_experiment(tmp_path, monkeypatch):
    """As its report and `compare` do: 82 % in training are underfit where another run reaches 97. A damaged one is left out."""
    scores, runs = {"fold-00-seed-0": 0.97, "fold-00-seed-1": 0.82, "fold-01-seed-0": None}, {}
    for name in scores:
        folder = tmp_path / "speakers" / name
        folder.mkdir(parents=True)
        (folder / "model.keras").touch()
        runs[folder] = SimpleNamespace(recipe=name, folder=folder)

    def load(path):
        if scores[path.name] is None:
            raise RunError("damaged")
        return runs[path]

    monkeypatch.setattr(run_checks.Run, "load", load)
    monkeypatch.setattr(
        "keras_ser.evaluation.learning.judge",
        lambda run: Learning(
            "speakers", 0, 0, "emotion", "uar", scores[run.recipe], 0.5, 80, LEARNED, kept=8, epochs=10
        ),
    )
    weak = runs[tmp_path / "speakers" / "fold-00-seed-1"]
    assert run_checks._among_others(weak).verdict == LEARNED, "a folder of a run, not of an experiment"
    (tmp_path / "experiment.json").touch()
    assert run_checks._among_others(weak).verdict == "underfit: 82.0 on the training set, where other runs reach 97.0"
    assert run_checks._among_others(runs[tmp_path / "speakers" / "fold-00-seed-0"]).verdict == LEARNED


def test_a_louder_clip_is_a_waveform_of_larger_samples(rng):
    given = {"waveform": keras.Input((None,), name="waveform"), "length": keras.Input((), dtype="int32", name="length")}
    largest = keras.Model(given, {"emotion": keras.ops.max(given["waveform"], axis=1, keepdims=True)})
    x = rng.normal(size=(3, 7)).astype("float32")
    found = run_checks._amplified(largest, -10.0)({"waveform": x, "length": np.full(3, 7, "int32")})["emotion"]
    np.testing.assert_allclose(found[:, 0], x.max(axis=1) / np.sqrt(10), rtol=1e-6)


@pytest.mark.slow
def test_a_model_that_looks_at_the_batch_fails(run, data):
    whole = run.model()
    peeking = {name: x + 0.1 * keras.ops.std(x, axis=0) for name, x in whole.output.items()}
    made = keras.Model(whole.input, peeking)
    assert run_checks._alone(made, run, data) > run_checks.TOLERANCE
    assert run_checks._alone(whole, run, data) <= run_checks.TOLERANCE


def test_a_final_run_has_no_test_side_but_an_export(tmp_path, monkeypatch, capsys):
    about = {"best_epoch": 1, "epochs": [{}], "training": {"emotion_uar": 0.625}, "steps": 7}
    split = Split("final", 0, ("a", "b"), (), (), final=True)
    run = Run(tmp_path, tiny.SINGLE, split, 1, about)
    monkeypatch.setattr(run_checks, "_exported", lambda run: run_checks.Check("export", True, "same"))
    learned, test, export = run_checks.check_run(run, None)
    assert learned.name == "learned" and "7 optimizer steps, UAR: training 62.5" in learned.said
    assert test == ("test set", None, "trained on all clips of its corpus, which cannot be used to test it")
    assert export.passed
    monkeypatch.setattr(Run, "find", lambda folder: folder)
    monkeypatch.setattr(Run, "load", lambda folder: run)
    main(["check", str(tmp_path)])
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]] == ["it", "same"]


def test_chance(rng):
    """Against scikit-learn on guesses at random: mean and standard deviation of many tables."""
    labels, counts = tiny.EMOTION.labels, (30, 12, 5)
    truth = np.repeat(labels, counts)
    scores = []
    for _ in range(300):
        table = pd.DataFrame(
            {"stream": "clips", "emotion": truth, "emotion/prediction": rng.choice(labels, len(truth))}
        )
        value, (chance, spread) = run_checks._score(table, tiny.EMOTION)
        assert value == pytest.approx(recall_score(truth, table["emotion/prediction"], average="macro"))
        scores.append(value)
    noisy = table.assign(stream="noisy", **{"emotion/prediction": labels[0]})
    assert run_checks._score(pd.concat([table, noisy]), tiny.EMOTION)[0] == value
    assert np.mean(scores) == pytest.approx(chance, abs=0.015)
    assert np.std(scores) == pytest.approx(spread, rel=0.15)


def test_chance_of_a_continuous_task(rng):
    values = rng.normal(size=(300, 2, 50))
    found = [
        run_checks._score(
            pd.DataFrame({"stream": "clips", "arousal": truth, "arousal/prediction": guess}), tiny.AROUSAL
        )
        for truth, guess in values
    ]
    scores, spread = [score for score, _ in found], found[0][1][1]
    assert found[0][1][0] == 0 and np.std(scores) == pytest.approx(spread, rel=0.15)


def test_windows_of_a_recording_count_once(rng):
    """Guesses at random for whole recordings, of 1 to 9 windows each: the spread is that of many tables."""
    windows = rng.integers(1, 10, 40)
    names = np.repeat([f"r{k}" for k in range(40)], windows)
    truth = np.repeat(rng.permutation(np.repeat(tiny.EMOTION.labels, (20, 12, 8))), windows)
    ids = [f"{name}/{k}" for k, name in enumerate(names)]
    scores = []
    for _ in range(300):
        guesses = np.repeat(rng.choice(tiny.EMOTION.labels, 40), windows)
        table = pd.DataFrame({"id": ids, "stream": "clips", "emotion": truth, "emotion/prediction": guesses})
        value, (_, spread) = run_checks._score(table, tiny.EMOTION, dict(zip(ids, names, strict=True)))
        scores.append(value)
        assert spread > 1.5 * run_checks._score(table, tiny.EMOTION)[1][1]
    assert np.std(scores) == pytest.approx(spread, rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize(("scores", "passed"), [((0.9, 0.34), True), ((0.9, 0.8, 0.95), False), ((0.3,), True)])
def test_a_control_away_from_chance_is_trained_in_other_orders(run, data, monkeypatch, scores, passed):
    told, seeds = iter(scores), []
    monkeypatch.setattr(run_checks, "_exported", lambda run: run_checks.Check("export", True, ""))
    monkeypatch.setattr(run_checks, "fit", lambda *given, **options: seeds.append(given[4]) or run)
    real = run_checks._score
    monkeypatch.setattr(
        run_checks, "_score", lambda *given: real(*given) if len(given) == 2 else (next(told), (1 / 3, 0.05))
    )
    last = list(run_checks.check_run(run, data))[-1]
    assert last.passed is passed and seeds == [run.seed + k for k in range(len(scores))]
    assert ("in another random order" in last.said) == (len(scores) > 1)
    assert last.said.startswith("UAR " + ", then ".join(f"{100 * score:.1f}" for score in scores))


@pytest.mark.slow
def test_a_run_of_an_earlier_version_is_neither_right_nor_wrong(run, data):
    about = json.loads((run.folder / "history.json").read_text())
    del about["training"]
    old = Run(run.folder, run.recipe, run.split, run.seed, about)
    first = next(run_checks.check_run(old, data, train=False))
    assert first.passed is None and "unknown" in first.said


@pytest.mark.slow
def test_what_cannot_be_checked_is_said(run, data, monkeypatch):
    """Labels of auxiliary corpora, and an identity that is apart, so that no test clip can be judged."""
    monkeypatch.setattr(run_checks, "_exported", lambda run: run_checks.Check("export", True, ""))
    with_readers = run.recipe.replace(streams=(*run.recipe.streams, Stream("readers", corpus="librispeech")))
    *_, last = run_checks.check_run(Run(run.folder, with_readers, run.split, run.seed, run.about), data)
    assert last == ("shuffled labels", None, "training needs librispeech, no longer where it was read from")
    table = run_checks.predict(run.model(), run.recipe, data, run.split)
    monkeypatch.setattr(run_checks, "predict", lambda *given, **named: table.drop(columns="emotion/prediction"))
    learned, *_, last = run_checks.check_run(run, data)
    assert "test –" in learned.said and last.passed is None and "no emotion of the test set" in last.said


@pytest.mark.slow
def test_a_control_that_another_process_trains_is_left_to_it(run, data, monkeypatch):
    monkeypatch.setattr(run_checks, "_exported", lambda run: run_checks.Check("export", True, ""))
    monkeypatch.setattr(run_checks, "fit", lambda *given, **options: pytest.fail("trained"))
    control = run.recipe.replace(shuffle=("emotion",))
    with lock(run.folder / "check" / control.hash):
        last = list(run_checks.check_run(run, data))[-1]
    assert last.passed is None and "another process is training this control" in last.said


@pytest.mark.slow
def test_a_control_that_cannot_be_trained_is_said(run, data, monkeypatch):
    def moved(*given, **options):
        raise UserError("expected the folder of a checkpoint. Received: x, which is no folder.")

    monkeypatch.setattr(run_checks, "_exported", lambda run: run_checks.Check("export", True, ""))
    monkeypatch.setattr(run_checks, "fit", moved)
    last = list(run_checks.check_run(run, data))[-1]
    assert last.name == "shuffled labels" and last.passed is None
    assert last.said.startswith("cannot be trained: expected the folder of a checkpoint.")
