"""An experiment of quick runs: what is skipped, what is refused, what the report says of its folds."""

import dataclasses

import numpy as np
import pytest

from keras_ser.corpora import demo
from keras_ser.experiment import run_experiment
from keras_ser.experiment.jobs import jobs, unit
from keras_ser.models import svm
from keras_ser.pipelines.augmentation import Windows
from keras_ser.pipelines.windows import cut_windows
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.training import Data, RunError

LEAKING = Protocol("random", test=0.3, validation=0.1, together=False)
SPEAKERS = Protocol("speakers", "leave-one-out", by="speaker", validation=1)
RECIPE = Recipe(
    name="quick",
    corpus="demo",
    tasks=(Task("emotion", ("anger", "neutral", "sadness")),),
    protocols=(LEAKING, SPEAKERS),
    model="svm",
    config=svm.Config(C=(1.0,)),
    frontend=FrontendConfig(features=("energy",), endpoint=False, statistics=True),
    sampling=Sampling("whole"),
    seeds=(0,),
    windows=Windows(hop_seconds=0.2),
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Four speakers; only the first of them is ever sad."""
    made = demo.read(tmp_path_factory.mktemp("corpus"), speakers=4, sentences=1, emotions=RECIPE.tasks[0].labels)
    first = made.utterances[0].speaker
    kept = [u for u in made if u.speaker == first or u.labels["emotion"] != "sadness"]
    return dataclasses.replace(made, utterances=tuple(kept), expected={})


@pytest.fixture(scope="module")
def data(clips, tmp_path_factory):
    corpus = cut_windows(clips, RECIPE.windows, RECIPE.tasks[0])
    return Data.load(RECIPE, corpus, tmp_path_factory.mktemp("cache"), progress=False)


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "quick"
    run_experiment(RECIPE, data, folder)
    return folder


def test_figures_of_another_split_are_not_taken_for_this_one_s(data, folder):
    """The split's settings are no part of the folder's name: a leaking split's scores must not pass for a clean one's."""
    asked = []
    run_experiment(RECIPE, data, folder, on_job=lambda *job: asked.append(job))
    assert not asked, "what is finished is not trained again"
    clean = RECIPE.replace(protocols=(dataclasses.replace(LEAKING, together=True), SPEAKERS))
    with pytest.raises(RunError, match=r"holds another run \(other split\)"):
        run_experiment(clean, data, folder)


def test_only_folds_that_there_are(data, folder):
    assert [(job.protocol.name, job.split.fold) for job in jobs(RECIPE, data, [0, 3])] == [
        ("random", 0),
        ("speakers", 0),
        ("speakers", 3),
    ]
    with pytest.raises(ValueError, match=r"there is no fold 9\. There are, random: 0 to 0; speakers: 0 to 3"):
        run_experiment(RECIPE, data, folder, folds=[1, 9])


def test_the_report_says_what_was_never_taught_and_what_a_row_is(data, folder):
    text = (folder / "report.md").read_text()
    assert "speakers, fold 0: nothing of sadness is trained on." in text and "fold 1: nothing" not in text
    recordings = len({u.groups["origin"] for u in data.corpus})
    assert recordings < len(data.corpus)
    assert f"{len(data.corpus)} windows of {recordings} recordings" in text
    assert "LEAKING" in text and "of the windows" in text and "not calibrated" in text


def test_windows_of_nobody_are_resampled_by_their_recording(data):
    nameless = [dataclasses.replace(u, speaker=None, groups={"origin": u.groups["origin"]}) for u in data.corpus]
    lone = dataclasses.replace(data, corpus=dataclasses.replace(data.corpus, utterances=tuple(nameless)))
    assert unit(data) == "speaker" and unit(lone) == "origin"
    assert len(np.unique([u.column("origin") for u in lone.corpus])) < len(lone.corpus)
