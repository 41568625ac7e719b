"""Scores of scikit-learn pipelines against scikit-learn itself, and what is stored."""

import pickle
import zipfile

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from keras_ser.models import random_forest, svm
from keras_ser.models.estimators import Estimators, load_pipelines, scores
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "happiness", "neutral", "sadness"))
AROUSAL = Task("arousal", low=-1.0, high=1.0)
MODELS = {"svm": (svm, svm.Config()), "random_forest": (random_forest, random_forest.Config(trees=100))}


@pytest.fixture
def clips(rng):
    """Features and classes; no clip of the second class."""
    y = rng.choice([0, 2, 3], 90)
    return rng.normal(size=(90, 5)) + 0.8 * y[:, None], y


@pytest.mark.parametrize("name", MODELS)
def test_the_largest_score_is_the_class_that_scikit_learn_names(name, clips, rng):
    x, y = clips
    module, config = MODELS[name]
    made = module.estimator(config, module.candidates(config)[1], EMOTION, 3).fit(x, y)
    new = rng.normal(size=(200, 5)) * 3
    found = scores(made, new, EMOTION)
    assert found.shape == (200, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found[:, 1] == 0).all(), "a class that was never seen"
    assert (found.argmax(axis=1) == made.predict(new)).mean() > 0.99  # a forest's ties aside
    again = module.estimator(config, module.candidates(config)[1], EMOTION, 3).fit(x, y)
    np.testing.assert_array_equal(scores(again, new, EMOTION), found)
    other = module.estimator(config, module.candidates(config)[1], EMOTION, 4).fit(x, y)
    assert np.array_equal(scores(other, new, EMOTION), found) == getattr(module, "DETERMINISTIC", False)


def test_two_classes(rng):
    y = rng.integers(0, 2, 60)
    x = rng.normal(size=(60, 3)) + y[:, None]
    made = svm.estimator(svm.Config(), {"C": 1.0}, Task("t", ("a", "b"))).fit(x, y)
    found = scores(made, x, Task("t", ("a", "b")))
    assert (found.argmax(axis=1) == made.predict(x)).all()
    np.testing.assert_allclose(np.log(found[:, 1] / found[:, 0]), made.decision_function(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_continuous_task_has_values(name, rng):
    x = rng.normal(size=(80, 4))
    module, config = MODELS[name]
    made = module.estimator(config, module.candidates(config)[0], AROUSAL).fit(x, 0.3 * x[:, 1])
    found = scores(made, x, AROUSAL)
    assert found.shape == (80, 1)
    np.testing.assert_allclose(found[:, 0], made.predict(x), rtol=1e-5)
    assert np.corrcoef(found[:, 0], x[:, 1])[0, 1] > 0.5


def test_the_file_gives_the_same_scores_and_holds_no_pickle(clips, tmp_path):
    x, y = clips
    config = random_forest.Config(trees=5)
    made = random_forest.estimator(config, random_forest.candidates(config)[0], EMOTION).fit(x, y)
    model = Estimators(lambda given: given["waveform"], {"emotion": made}, [EMOTION])
    model.save(tmp_path / "model.skops")
    found = Estimators(model.describe, load_pipelines(tmp_path / "model.skops"), [EMOTION])
    np.testing.assert_array_equal(found({"waveform": x})["emotion"], model({"waveform": x})["emotion"])
    assert zipfile.is_zipfile(tmp_path / "model.skops")
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads((tmp_path / "model.skops").read_bytes())


class Stranger(LogisticRegression):
    """Whoever loads it would run its code."""


def test_what_is_not_scikit_learns_own_is_refused(clips, tmp_path):
    made = make_pipeline(Stranger()).fit(*clips)
    Estimators(None, {"emotion": made}, [EMOTION]).save(tmp_path / "model.skops")
    with pytest.raises(ValueError, match=r"it holds .*Stranger, which skops does not trust"):
        load_pipelines(tmp_path / "model.skops")
    (tmp_path / "broken.skops").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"broken\.skops can't be loaded"):
        load_pipelines(tmp_path / "broken.skops")


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (svm.Config, {"C": ()}),
        (svm.Config, {"C": (0.0,)}),
        (svm.Config, {"kernel": "poly"}),
        (svm.Config, {"functionals": "IS09"}),
        (random_forest.Config, {"trees": 0}),
        (random_forest.Config, {"leaf": ()}),
        (random_forest.Config, {"leaf": (0,)}),
    ],
)
def test_bad_settings(config, changes):
    with pytest.raises(ValueError, match=f"`{next(iter(changes))}` must (be|contain)"):
        config(**changes)
