"""The contract holds for a paper of another shape: trained, evaluated, exported, searched."""

import numpy as np
import pytest

from tests.models import toy_paper
from tests.training import tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="module")
def experiment(folder):
    """The tiny corpus, and beside it three readers of a manifest without emotions."""
    from keras_ser.corpora import demo, read_corpus
    from keras_ser.experiment import run_experiment
    from keras_ser.training import Data

    corpus = tiny.corpus(folder)
    readers = demo.read(folder / "readers", speakers=3, sentences=1, emotions=("neutral", "sadness"), seed=5)
    rows = ["file,speaker", *(f"{u.path},reader{u.speaker}" for u in readers)]
    (readers.root / "manifest.csv").write_text("\n".join(rows))
    auxiliary = {"manifest": read_corpus("manifest", readers.root / "manifest.csv")}
    recipe = toy_paper.recipe().for_corpus(corpus, *auxiliary.values())
    data = Data.load(recipe, corpus, folder / "cache", auxiliary, progress=False)
    split = recipe.protocols[0].splits(corpus)[0]
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
    found = search(recipe, data, default_space(recipe), folder / "search", trials=1)
    assert len(found.trials) == 2 and all(trial.scores for trial in found.trials.values())
    assert found.trials[1].values["config.critic"] != recipe.config.critic
