"""Every model learns: eight clips by heart, and the emotions of speakers that it has not heard."""

import dataclasses

import pytest

from keras_ser.corpora import demo
from keras_ser.evaluation.learning import run_learning
from keras_ser.splits import Split
from keras_ser.training import Data, fit, predict
from tests.models.papers import EMOTIONS, RECIPES

# less those whose parts the others have, too; a new recipe is in both
HEART = [name for name in RECIPES if name not in ("ae", "cnn", "multilevel")]
UNSEEN = [name for name in RECIPES if name not in ("multilevel-all", "multilevel-wav2vec2", "multilevel-dlinear")]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return demo.read(tmp_path_factory.mktemp("demo"), speakers=10, sentences=4, emotions=EMOTIONS)


@pytest.fixture(scope="module")
def loaded(corpus, tmp_path_factory):
    return Data.load(next(iter(RECIPES.values())), corpus, tmp_path_factory.mktemp("cache"), progress=False)


def accuracy(run, recipe, data, split, side="test") -> dict[str, float]:
    table = predict(run.model(), recipe, data, split, side)
    return {task.name: (table[task.name] == table[f"{task.name}/prediction"]).mean() for task in recipe.tasks}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEART)
def test_it_learns_eight_clips_by_heart(name, corpus, loaded, tmp_path):
    """Judged by the saved model, as a user would: what training learns is there at inference."""
    by_emotion = [[u.id for u in corpus if u.labels["emotion"] == emotion] for emotion in EMOTIONS]
    train = [clips[k] for clips in by_emotion for k in (0, -1)]  # the first speaker is a woman, the last one a man
    rest = [u.id for u in corpus if u.id not in train]
    split = Split("heart", 0, tuple(train), (), tuple(rest))
    recipe = dataclasses.replace(RECIPES[name], epochs=60)
    run = fit(recipe, loaded, split, tmp_path / "run")
    assert accuracy(run, recipe, loaded, split, "train") == {"emotion": 1.0, "gender": 1.0}
    found = run_learning(recipe, run.about, "heart", 0, 0)
    assert (found.training, found.verdict) == (1.0, "learned")


@pytest.mark.slow
@pytest.mark.parametrize("name", UNSEEN)
def test_it_recognises_emotions_of_unseen_speakers(name, corpus, loaded, tmp_path):
    """Four classes, three speakers of ten, 48 clips: chance gets 25 %, and 42 % or more in one of a hundred cases."""
    recipe = RECIPES[name].replace(epochs=RECIPES[name].epochs * (2 if name == "vggvox" else 1))
    split = recipe.protocols[0].splits(corpus)[0]
    run = fit(recipe, loaded, split, tmp_path / "run")
    assert accuracy(run, recipe, loaded, split)["emotion"] > 0.42
    assert run_learning(recipe, run.about, "speakers", 0, 0).verdict == "learned"
