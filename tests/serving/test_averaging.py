"""Several runs as one graph: the mean of their probabilities."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from keras_ser.errors import UserError
from keras_ser.serving import Predictor, export, read_facts
from keras_ser.serving.averaging import averaged, check_together
from keras_ser.serving.export_checks import golden
from keras_ser.serving.predictor import mean_predictor, of_runs
from keras_ser.tasks import Task
from tests.serving import runs, standin
from tests.training import tiny


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two seeds of one recipe."""
    folder = tmp_path_factory.mktemp("runs")
    return [runs.write(runs.SHARED_PRIVATE, folder / str(seed), seed) for seed in (0, 1)]


@pytest.mark.slow
def test_an_export_of_several_runs_answers_with_their_mean(two, tmp_path):
    folder = export([two[0], str(two[1].folder)], tmp_path, "mean", 3.0)
    clips = [clip.waveform for clip in golden(16000, max_seconds=3.0)[2:5]]
    alone = [Predictor.load(run.folder)(clips) for run in two]
    together = Predictor.load(folder)(clips)
    for found, exported in zip(of_runs(two)(clips), together, strict=True):
        for task in two[0].recipe.tasks:
            assert found[task.name]["probabilities"] == pytest.approx(exported[task.name]["probabilities"], abs=1e-5)
    for task in two[0].recipe.tasks:
        for i, found in enumerate(together):
            expected = {
                label: np.mean([each[i][task.name]["probabilities"][label] for each in alone]) for label in task.labels
            }
            assert found[task.name]["probabilities"] == pytest.approx(expected, abs=1e-5)
            assert found[task.name]["label"] == max(expected, key=expected.get)
    first, second = (np.array([a["emotion"]["score"] for a in each]) for each in alone)
    assert np.abs(first - second).max() > 0.01, "the two runs differ, or their mean would prove nothing"
    facts = read_facts(folder)
    assert [run["seed"] for run in facts["runs"]] == [0, 1] and facts["metrics"] == {}


@pytest.mark.slow
@pytest.mark.parametrize("crops", [(0.0, 1.0), (2.0, 1.0)])
def test_the_shortest_crop_of_the_runs_counts_in_any_order(crops, tmp_path):
    base = runs.HALVED.replace(precision="float32", frontend=dataclasses.replace(runs.HALVED.frontend, endpoint=False))
    made = []
    for number, seconds in enumerate(crops):
        recipe = base.replace(name=f"r{number}", frontend=dataclasses.replace(base.frontend, seconds=seconds))
        made.append(runs.write(recipe, tmp_path / str(number), number))
    assert [of_runs(order).centre_seconds for order in (made, made[::-1], made[:1])] == [1.0, 1.0, crops[0]]
    folder = export(made, tmp_path / "out", "mean", 3.0)
    assert read_facts(folder)["centre_seconds"] == Predictor.load(folder).centre_seconds == 1.0


def test_several_baselines_crop_like_the_shortest():
    every = [dataclasses.replace(standin.predictor(), centre_seconds=seconds) for seconds in (0.0, 3.0, 2.0)]
    assert mean_predictor(every).centre_seconds == 2.0 and mean_predictor(every[:1]).centre_seconds == 0.0


def standing_for(flags, seconds: float, first=None):
    """A run and its model, whose front end raises `flags` of the clips; runs of equal `seconds`, but no cascades, share it."""
    given = {"waveform": keras.Input((None,), name="waveform")}
    raised = keras.layers.Lambda(lambda x: ops.convert_to_tensor(flags), output_shape=())(given["waveform"])
    extract = keras.Model(given, {"x": given["waveform"], "short": raised}, name="extractor")
    x = keras.Input((None,), name="x")
    score = keras.Model({"x": x}, {"emotion": ops.softmax(x)}, name="scorer")
    parts = {"extractor": extract, "scorer": score}
    recipe = SimpleNamespace(first=first, every_frontend=(), sampling=SimpleNamespace(seconds=seconds))
    recipe.tasks = (tiny.EMOTION,)
    return SimpleNamespace(recipe=recipe), SimpleNamespace(get_layer=parts.get)


@pytest.mark.parametrize(("seconds", "first"), [((0, 1), None), ((0, 0), "model 1")])
def test_a_clip_has_the_flags_of_any_of_the_runs(seconds, first):
    flags = ([True, False, False, True], [False, False, True, True])
    of, models = zip(*(standing_for(each, k, first) for k, each in zip(seconds, flags, strict=True)), strict=True)
    found = averaged(of, models)({"waveform": np.eye(4, 3, dtype="float32")})
    assert np.asarray(found["short"]).tolist() == [True, False, True, True]


@pytest.mark.parametrize("given", [None, [], [None], 3])
def test_an_export_of_no_run_is_refused(given, tmp_path):
    with pytest.raises(
        UserError, match=r"expected a run, its folder, or several of them. Received: (NoneType|an empty|int)"
    ):
        export(given, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_of_other_questions_are_refused(two):
    with pytest.raises(UserError, match="each run must be given once"):
        check_together([two[0], two[0]])
    emotion = tiny.EMOTION.labels[::-1]
    other = runs.SHARED_PRIVATE.override("tasks.emotion.labels", list(emotion))
    for recipe, words in (
        (other, "the same classes of 'emotion'. Received: anger, neutral, sadness in"),
        (runs.SHARED_PRIVATE.replace(tasks=(tiny.EMOTION,), config=tiny.SINGLE.config), "the same tasks"),
        (runs.SHARED_PRIVATE.override("frontend.sample_rate", 8000), "the same sample rate"),
    ):
        run = dataclasses.replace(two[1], recipe=recipe)
        with pytest.raises(UserError, match=words):
            check_together([two[0], run])
    # clusters are fitted anew in each fold: their names are the same
    moods = [Task("emotion", ("low", "high"), columns=("v", "a"), centres=((0, 0), (1, k))) for k in (1, 2)]
    folds = [
        dataclasses.replace(run, recipe=tiny.SINGLE.replace(tasks=(mood,)))
        for run, mood in zip(two, moods, strict=True)
    ]
    for joined in (check_together, of_runs):
        with pytest.raises(UserError, match=r"the same clusters of 'emotion'. Received: .*1.0, 1.0.* in .*1.0, 2.0"):
            joined(folds)
