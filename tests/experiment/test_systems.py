"""Several systems on the same splits: all of them or no table, and what can't be trained is refused before anything is."""

import contextlib
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_ser.errors import DivergenceError
from keras_ser.evaluation import read_predictions
from keras_ser.experiment import runner
from keras_ser.experiment import systems as room
from keras_ser.experiment.failures import TakenError
from keras_ser.experiment.planning import experiment_folder
from keras_ser.experiment.systems import comparable, run_systems, with_first_alone
from keras_ser.files import lock
from keras_ser.models import random_forest, svm
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.splits import Protocol, Split
from keras_ser.training import Data, Run, RunError
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


def owned(recipe, data, out):
    """The folder of a recipe's experiment, begun."""
    folder = experiment_folder(recipe, out)
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text(json.dumps({"recipe": recipe.hash, "data": data.digest}))
    return folder


@pytest.mark.slow
def test_a_run_that_another_process_has_left_meanwhile_is_compared(data, tmp_path):
    """Also if it is the only one of its system."""
    trained, held = [], contextlib.ExitStack()
    held.enter_context(lock(owned(SVM, data, tmp_path) / "speakers" / "fold-00-seed-0", wait=False))

    def on_job(number, count, job):
        trained.append(job.recipe)
        held.close()

    found = run_systems(SYSTEMS, data, tmp_path, folds=[0], on_job=on_job)
    assert trained == ["forest", "machine"] and set(found) == set(SYSTEMS)
    assert all(system.missing == () for system in found.values())


@pytest.mark.slow
def test_a_run_of_another_process_is_waited_for(data, tmp_path):
    """A table of systems on different clips would compare what can't be compared."""
    target = owned(SYSTEMS["forest"], data, tmp_path) / "speakers" / "fold-01-seed-0"
    with (
        lock(target, wait=False) as mine,
        pytest.raises(TakenError, match="other processes are still training forest/speakers/fold-01-seed-0. The last"),
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


@pytest.mark.parametrize("about", [{"recipe": "0" * 8}, {"data": "0" * 8}])
def test_another_experiment_in_a_systems_folder_is_refused_before_any_training(about, data, tmp_path):
    folder = experiment_folder(SYSTEMS["forest"], tmp_path)
    folder.mkdir(parents=True)
    owner = {"recipe": SYSTEMS["forest"].hash, "data": data.digest} | about
    (folder / "experiment.json").write_text(json.dumps(owner))
    with pytest.raises(RunError, match=folder.name):
        run_systems(SYSTEMS, data, tmp_path, folds=[0], on_job=lambda *_: pytest.fail("trained"))
    assert json.loads((folder / "experiment.json").read_text()) == owner


def asked(seeds, folds, protocol="p"):
    return {(protocol, fold, seed) for fold in folds for seed in seeds}


@pytest.mark.parametrize(
    ("missing", "kept"),
    [
        # a system keeps the seeds that have all folds
        ({"a": [("p", 1, 0)]}, {"a": asked([1, 2], range(3)), "b": asked([0], range(3))}),
        # where it has no such seed, the fold is left out for all
        ({"b": [("p", 1, 0)]}, {"a": asked([0, 1, 2], [0, 2]), "b": asked([0], [0, 2])}),
        # of several seeds the one that has most folds decides
        (
            {"a": [("p", 1, 0), ("p", 2, 0), ("p", 0, 1), ("p", 0, 2), ("p", 1, 2)]},
            {"a": asked([1], [1, 2]), "b": asked([0], [1, 2])},
        ),
        # a system without anything is left out
        ({"b": [("p", fold, 0) for fold in range(3)]}, {"a": asked([0, 1, 2], range(3))}),
        ({}, {"a": asked([0, 1, 2], range(3)), "b": asked([0], range(3))}),
    ],
)
def test_systems_are_compared_on_the_folds_that_all_have_finished(missing, kept):
    wanted = {"a": asked([0, 1, 2], range(3)), "b": asked([0], range(3))}
    done = {name: runs - set(missing.get(name, ())) for name, runs in wanted.items()}
    assert comparable(wanted, done) == kept


def test_of_seeds_with_as_many_folds_the_first_decides():
    """However the set of finished runs is ordered."""
    runs = [("p", 0, 0), ("p", 1, 0), ("p", 0, 1), ("p", 2, 1)]
    wanted = {"a": asked([0, 1], range(3))}
    assert comparable(wanted, {"a": set(runs)}) == comparable(wanted, {"a": runs[::-1]}) == {"a": set(runs[:2])}


def test_systems_without_a_common_fold_are_not_compared():
    wanted = {name: asked([0], [0, 1]) for name in "ab"}
    with pytest.raises(RunError, match="no fold of protocol 'p' has finished in all systems"):
        comparable(wanted, {"a": asked([0], [0]), "b": asked([0], [1])})
    with pytest.raises(RunError, match="no fold has finished in all systems"):
        comparable(wanted, {"a": set(), "b": set()})


@pytest.mark.slow
def test_a_failed_run_of_one_system_is_left_out_of_the_comparison(data, tmp_path, monkeypatch):
    plain, failures = runner.fit, []

    def fit(recipe, data, split, *arguments, **options):
        if (recipe.name, split.fold) in failing:
            raise DivergenceError(f"{recipe.name}, fold {split.fold}: the loss is nan.")
        return plain(recipe, data, split, *arguments, **options)

    monkeypatch.setattr(runner, "fit", fit)
    failing = {("machine", 1), ("forest", 0), ("forest", 1)}
    told = lambda job, reason: failures.append((job.recipe, job.split.fold))  # noqa: E731
    found = run_systems(SYSTEMS, data, tmp_path, folds=[0, 1], on_failure=told)
    assert failures == [("machine", 1), ("forest", 0), ("forest", 1)]
    assert list(found) == ["svm"] and found["svm"].runs == {("speakers", 0, 0)}
    said = "\n".join(found["svm"].missing)
    assert "svm: Failed: speakers, fold 1, seed 0: machine, fold 1: the loss is nan." in said
    assert "forest is excluded: no run in " in said and "forest, fold 0: the loss is nan." in said
    failing = {("machine", 1)}
    found = run_systems(SYSTEMS, data, tmp_path, folds=[0, 1])
    assert {name: system.runs for name, system in found.items()} == dict.fromkeys(SYSTEMS, {("speakers", 0, 0)})
    assert found["forest"].missing == found["svm"].missing
    assert found["svm"].missing[-1] == "Compared without speakers, fold 1, which not all systems have finished."
    failing = set()
    found = run_systems(SYSTEMS, data, tmp_path, folds=[0, 1])
    assert all(system.runs == {("speakers", 0, 0), ("speakers", 1, 0)} for system in found.values())
    assert not found["svm"].missing


NOISY = dataclasses.replace(tiny.NOISY, redraw=False)
ALONE = tiny.SINGLE.replace(name="alone", streams=(NOISY,), epochs=1, seeds=(0,))
CASCADES = {
    "mask": ALONE.replace(
        name="both",
        first=tiny.MASKED.replace(streams=(tiny.NOISY, tiny.CLEAN), monitor="val_noise_uar"),
        discard="mask",
    ),
    "A": ALONE,
}


def test_a_known_label_is_the_true_one_and_an_unknown_one_changes_nothing(monkeypatch):
    table = pd.DataFrame({"id": list("abc"), "gender": ["male", "female", ""], "gender/prediction": "female"})
    table["emotion/prediction"] = "anger"
    network = SimpleNamespace(priors={"gender": None}, layer_of=lambda tensor: "prior")
    monkeypatch.setattr("keras_ser.models.whole_model.network_again", lambda *given: network)
    monkeypatch.setattr("keras_ser.models.whole_model.known_prior", lambda whole, layer, number: str(number))
    monkeypatch.setattr(room, "tested", lambda *given: table)
    answer = lambda number, recipe, data, split: pd.DataFrame({"emotion/prediction": [number] * len(split.test)})  # noqa: E731
    monkeypatch.setattr(room, "predict", answer)
    recipe = SimpleNamespace(tasks=(tiny.EMOTION, tiny.GENDER))
    run = SimpleNamespace(model=lambda: None, recipe=recipe, split=Split("p", 0, ("x",), (), tuple("abc")))
    assert room._known(run, None, "p", "gender")["emotion/prediction"].tolist() == ["1", "0", "anger"]


@pytest.mark.slow
def test_model_1_alone_is_one_more_system_on_the_same_clips(masked, tmp_path, monkeypatch):
    _, data, _ = masked
    systems = run_systems(CASCADES, data, tmp_path, folds=[0])
    found = with_first_alone(systems, data, [0])
    assert list(found) == ["mask", "A", "B (mask)"]
    truths = [s.predictions.query("stream == 'noisy'").set_index("id")["emotion"] for s in found.values()]
    assert all(truth.equals(truths[0]) for truth in truths[1:])
    target = experiment_folder(CASCADES["mask"], tmp_path) / "speakers" / "fold-00-seed-0"
    run = Run.load(target)
    assert (run.recipe.discard, set(run.model().output)) == ("mask", {"emotion"})
    first = read_predictions(target / "model_1" / "predictions.csv")
    assert np.array_equal(first["emotion/prediction"], found["B (mask)"].predictions["emotion/prediction"])
    monkeypatch.setattr(room, "tested", lambda *_: pytest.fail("predicted again"))
    assert with_first_alone(systems, data, [0])["B (mask)"].predictions.equals(first)
    first_run = Run.load(target / "model_1")
    (learned,) = found["B (mask)"].learned
    assert first_run.recipe.monitor == "val_noise_uar" and learned.task == "emotion"
    assert learned.training == first_run.about["training"]["emotion_uar"]
    assert learned.steps == first_run.about["best_epoch"] * first_run.about["steps"]
