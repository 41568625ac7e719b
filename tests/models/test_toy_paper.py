"""The contract holds for a paper of another shape: trained, killed, resumed, evaluated, exported, searched."""

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.models import toy_paper
from tests.training import tiny
from tests.training.test_processes import ROOT, same_runs, subprocess_env

pytestmark = pytest.mark.slow


def prepared(folder: Path):
    """(recipe, data, split): the tiny corpus, and beside it three readers of a manifest without emotions."""
    from keras_ser.corpora import demo, read_corpus
    from keras_ser.training import Data

    corpus = tiny.corpus(folder)
    readers = demo.read(folder / "readers", speakers=3, sentences=1, emotions=("neutral", "sadness"), seed=5)
    rows = ["file,speaker", *(f"{u.path},reader{u.speaker}" for u in readers)]
    (readers.root / "manifest.csv").write_text("\n".join(rows))
    auxiliary = {"manifest": read_corpus("manifest", readers.root / "manifest.csv")}
    recipe = toy_paper.recipe().for_corpus(corpus, *auxiliary.values())
    data = Data.load(recipe, corpus, folder / "cache", auxiliary, progress=False)
    return recipe, data, recipe.protocols[0].splits(corpus)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="module")
def experiment(folder):
    from keras_ser.experiment import run_experiment

    recipe, data, split = prepared(folder)
    return recipe, data, split, run_experiment(recipe, data, folder / "experiment"), folder / "experiment"


def test_it_trains_and_is_scored(experiment):
    from keras_ser.training import Run

    recipe, data, split, report, out = experiment
    run = Run.load(Run.find(out))
    first, last = run.history[0], run.history[-1]
    assert {"emotion_accuracy", "speaker_loss", "image_loss", "learning_rate", "critic_learning_rate"} <= set(last)
    assert last["loss"] < first["loss"] and last["image_loss"] < first["image_loss"]
    assert last["critic_learning_rate"] == pytest.approx(0.05)
    names = recipe.tasks[1].labels
    assert sum(name.startswith("manifest/reader") for name in names) == 3 and len(names) == 7
    assert (out / "report.md").exists() and set(report.predictions["id"]) == set(run.split.test)


def test_a_clip_is_judged_by_the_mean_of_its_stretches(experiment, rng):
    from keras_ser.training import Run

    model = Run.load(Run.find(experiment[-1])).model()
    rate, half = 16000, 8000
    wave = (0.1 * rng.normal(size=(1, 3 * half + 5000))).astype("float32")
    ask = lambda x, n: np.asarray(model({"waveform": x, "length": np.array([n], "int32")})["emotion"])[0]  # noqa: E731
    parts = [(wave[:, :half], half), (wave[:, half : 2 * half], half), (wave[:, 2 * half : 3 * half], half)]
    parts.append((wave[:, 3 * half :], 5000))
    expected = sum(n * ask(x, n) for x, n in parts) / wave.shape[1]
    np.testing.assert_allclose(ask(wave, wave.shape[1]), expected, atol=1e-5)
    padded = np.concatenate([wave, np.full((1, rate), np.nan, "float32")], axis=1)
    np.testing.assert_allclose(ask(padded, wave.shape[1]), expected, atol=1e-5)
    # a rest of less than half a stretch is left out
    short = ask(wave[:, : half + 3000], half + 3000)
    np.testing.assert_allclose(short, ask(wave[:, :half], half), atol=1e-6)


def test_its_export_passes_the_gate(experiment, folder):
    from keras_ser.serving import Predictor, export
    from keras_ser.training import Run

    run = Run.load(Run.find(experiment[-1]))
    served = Predictor.load(export(run, folder / "exports"))
    wave = np.random.default_rng(2).normal(scale=0.1, size=11000).astype("float32")
    expected = np.asarray(run.model()({"waveform": wave[None], "length": np.array([11000], "int32")})["emotion"])[0]
    (answer,) = served([wave])
    np.testing.assert_allclose(list(answer["emotion"]["probabilities"].values()), expected, atol=1e-5)


def test_the_tuner_searches_it(experiment, folder):
    from keras_ser.tuning.space import default_space
    from keras_ser.tuning.tuner import search

    recipe, data, split, *_ = experiment
    recipe = recipe.replace(epochs=1)
    found = search(recipe, data, default_space(recipe), folder / "search", trials=2)
    assert len(found.trials) == 3 and all(trial.scores for trial in found.trials.values())
    assert found.trials[1].values["config.critic"] != recipe.config.critic


def test_killed_and_resumed_it_is_the_run_that_was_not(tmp_path):
    for name, kill in (("unbroken", ""), ("broken", "2"), ("broken", "")):
        command = [sys.executable, "-m", "tests.models.test_toy_paper", str(tmp_path), name, kill]
        done = subprocess.run(command, env=subprocess_env(), cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == (-signal.SIGKILL if kill else 0), done.stderr[-2000:]
    same_runs(tmp_path, "unbroken", "broken")


def main(folder: str, name: str, kill: str) -> None:
    import os

    from keras_ser.evaluation import write_predictions
    from keras_ser.training import deterministic, fit, predict

    deterministic()
    recipe, data, split = prepared(Path(folder))

    def die(stage, epoch, epochs, logs):
        if str(epoch) == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    run = fit(dataclasses.replace(recipe, patience=2), data, split, Path(folder) / name, seed=4, on_epoch=die)
    write_predictions(predict(run.model(), recipe, data, split), Path(folder) / f"{name}.csv")


if __name__ == "__main__":
    main(*sys.argv[1:])
