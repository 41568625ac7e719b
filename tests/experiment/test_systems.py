"""Several systems on the same splits: all of them or no table, and what can't be trained is refused before anything is."""

import dataclasses
import json

import pytest

from keras_ser.evaluation import read_predictions
from keras_ser.experiment.jobs import experiment_folder
from keras_ser.experiment.reporting import protocol_facts
from keras_ser.experiment.systems import run_systems
from keras_ser.files import lock
from keras_ser.models import random_forest, svm
from keras_ser.pipelines.augmentation import Windows
from keras_ser.pipelines.windows import cut_windows
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.training import Data, RunError
from tests.training import tiny

SVM = Recipe(
    name="machine",
    corpus="demo",
    tasks=(tiny.EMOTION,),
    protocols=(tiny.SPEAKERS,),
    model="svm",
    config=svm.Config(C=(1.0,)),
    frontend=FrontendConfig(features=("energy",), endpoint=False, statistics=True),
    sampling=Sampling("whole"),
    seeds=(0,),
)
SYSTEMS = {
    "svm": SVM,
    "forest": SVM.replace(name="forest", model="random_forest", config=random_forest.Config(5, (1,))),
}


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory):
    return Data.load(SVM, corpus, tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_a_run_of_another_process_is_waited_for(data, tmp_path):
    """A table of systems on different clips would compare what can't be compared."""
    target = experiment_folder(SYSTEMS["forest"], tmp_path) / "speakers" / "fold-01-seed-0"
    owner = {"recipe": SYSTEMS["forest"].hash, "data": data.digest}
    target.parent.mkdir(parents=True)
    (target.parents[1] / "experiment.json").write_text(json.dumps(owner))
    with (
        lock(target, wait=False) as mine,
        pytest.raises(RunError, match="other processes are still training forest/speakers/fold-01-seed-0. When they"),
    ):
        assert mine
        run_systems(SYSTEMS, data, tmp_path, folds=[0, 1])
    trained = []
    found = run_systems(SYSTEMS, data, tmp_path, folds=[0, 1], on_job=lambda *job: trained.append(job[2]))
    assert [(job.recipe, job.split.fold) for job in trained] == [("forest", 1)]
    ids = [set(system.predictions["id"]) for system in found.values()]
    assert ids[0] == ids[1]
    # what is compared is what was asked for, also where a folder holds more
    fewer = run_systems(SYSTEMS, data, tmp_path, folds=[1])
    assert {fold for system in fewer.values() for fold in system.predictions["fold"]} == {1}
    assert set(read_predictions(fewer["svm"].folder / "predictions.csv")["fold"]) == {0, 1}


def test_a_training_side_of_one_class_is_refused_before_any_training(corpus, data, tmp_path):
    tested = next(u.speaker for u in corpus if u.labels.get("emotion") == "sadness")
    kept = [u for u in corpus if u.labels.get("emotion") == "anger" or u.speaker == tested]
    angry = dataclasses.replace(corpus, utterances=tuple(kept))
    protocol = Protocol("one", "stated", stated=((tested,),), validation=0)
    systems = {name: recipe.replace(protocols=(protocol,)) for name, recipe in reversed(SYSTEMS.items())}
    few = Data.load(SVM, angry, tmp_path / "cache")
    with pytest.raises(ValueError, match="2 classes of 'emotion'. .* protocol 'one', fold 0, has anger"):
        run_systems(systems, few, tmp_path, on_job=lambda *_: pytest.fail("trained"))


@pytest.mark.parametrize(
    ("protocol", "words", "others"),
    [
        (
            Protocol("clips", test=0.2),
            ["of the recordings", "windows of a recording on one side"],
            "LEAK",
        ),
        (
            Protocol("leak", test=0.2, together=False),
            ["of the windows", "LEAKING"],
            "recordings,",
        ),
        (tiny.SPEAKERS, ["folds by speaker, the windows of a recording on one side"], "LEAKING"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_splits_of_windows_are_described_as_they_are(protocol, words, others, corpus, tmp_path):
    recipe = SVM.replace(protocols=(protocol,), windows=Windows(hop_seconds=0.1))
    data = Data.load(recipe, cut_windows(corpus, recipe.windows, tiny.EMOTION), tmp_path)
    told = protocol_facts(protocol, data, recipe)["description"]
    assert all(word in told for word in words) and others not in told, told
