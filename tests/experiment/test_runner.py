"""An experiment of quick runs: what is skipped, what is refused, what the report says of its folds."""

import dataclasses
import shutil

import numpy as np
import pytest

from keras_ser.corpora import demo
from keras_ser.evaluation import read_predictions
from keras_ser.experiment import run_experiment
from keras_ser.experiment.jobs import jobs, unit
from keras_ser.experiment.reporting import evaluate
from keras_ser.models import svm
from keras_ser.pipelines.augmentation import Windows
from keras_ser.pipelines.windows import cut_windows
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.splits import LeakageError, Protocol
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


def test_an_experiment_can_go_on_with_more(data, folder, tmp_path, monkeypatch):
    """What a folder holds stays in its report, whatever is asked for next."""
    part = tmp_path / "quick"
    shutil.copytree(folder, part)
    whole = read_predictions(part / "predictions.csv")
    shutil.rmtree(part / "speakers" / "fold-03-seed-0")
    one = RECIPE.replace(protocols=(SPEAKERS,), seeds=(1,))
    run_experiment(one, data, part, folds=[2])
    found = read_predictions(part / "predictions.csv")
    runs = set(zip(found["protocol"], found["fold"], found["seed"], strict=True))
    assert runs == {("random", 0, 0), *(("speakers", fold, 0) for fold in range(3)), ("speakers", 2, 1)}
    kept = found[found["seed"] == 0]
    assert len(kept) == len(whole[(whole["protocol"] != "speakers") | (whole["fold"] != 3)])
    stored = Recipe.from_json((part / "recipe.json").read_text())
    assert (stored.protocols, stored.seeds) == (RECIPE.protocols, (0, 1)) and stored.hash == RECIPE.hash
    text = (part / "report.md").read_text()
    first = text.split("## Protocol")[0]
    assert "5 of 10 runs are unfinished and excluded from all results: speakers/fold-03-seed-0, random/fold-00" in first
    monkeypatch.setattr(Recipe, "read", lambda recipe, *_, **__: (recipe, data.corpus))
    made, _ = evaluate(part, out=tmp_path / "again")
    assert len(made.predictions) == len(found)


def test_a_leak_in_the_last_fold_is_told_before_the_first(clips, tmp_path):
    """Two speakers share a recording: the fold that parts them comes late."""
    data = Data.load(RECIPE, cut_windows(clips, RECIPE.windows, RECIPE.tasks[0]), tmp_path / "cache", progress=False)
    last = max(u.speaker for u in data.corpus)
    groups = {"origin": next(u.groups["origin"] for u in data.corpus if u.speaker != last)}
    shared = [dataclasses.replace(u, groups=groups) if u.speaker == last else u for u in data.corpus]
    leaky = dataclasses.replace(data, corpus=dataclasses.replace(data.corpus, utterances=tuple(shared)))
    with pytest.raises(LeakageError, match="origin must be on one side only"):
        run_experiment(RECIPE, leaky, tmp_path / "out", on_job=lambda *_: pytest.fail("trained"))
    assert not (tmp_path / "out").exists()


def test_another_corpus_is_not_evaluated_as_this_one(data, folder, tmp_path, monkeypatch):
    """Labels that were changed since would give wrong figures without a word."""
    changed = [dataclasses.replace(u, labels={"emotion": "anger"}) for u in data.corpus]
    other = dataclasses.replace(data.corpus, utterances=tuple(changed))
    monkeypatch.setattr(Recipe, "read", lambda recipe, *_, **__: (recipe, other))
    for path in (folder, folder / "speakers" / "fold-01-seed-0"):
        with pytest.raises(RunError, match="is not what .* was trained and tested on"):
            evaluate(path, out=tmp_path)


def test_other_settings_of_a_protocol_do_not_mix_with_finished_folds(data, folder, tmp_path):
    """Also where the fold that is asked for is not finished yet."""
    part = tmp_path / "quick"
    shutil.copytree(folder, part)
    shutil.rmtree(part / "speakers" / "fold-03-seed-0")
    stored = (part / "recipe.json").read_text()
    other = RECIPE.replace(protocols=(dataclasses.replace(SPEAKERS, validation=0),))
    with pytest.raises(RunError, match=r"holds another run \(other split\)"):
        run_experiment(other, data, part, folds=[3])
    assert (part / "recipe.json").read_text() == stored and not (part / "speakers" / "fold-03-seed-0").exists()


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
