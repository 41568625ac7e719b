"""`import keras_ser as ks`: its names, and an experiment from a corpus to predictions with a model from outside the package."""

import ast
import dataclasses
import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_ser as ks
from keras_ser.audio import read
from keras_ser.corpora import Corpus, Utterance
from keras_ser.errors import MissingModelError, UserError
from keras_ser.models import model_module
from tests.training import tiny

GRU = Path(__file__).parents[1] / "docs" / "code" / "gru.py"


@pytest.mark.parametrize("package", ["", ".audio", ".experiment", ".training"])
def test_every_name_of_a_stub_is_there(package):
    """`__init__.pyi` is what type checkers see, and where the names are imported from."""
    module = importlib.import_module(f"keras_ser{package}")
    stub = ast.parse((Path(module.__file__).parent / "__init__.pyi").read_text())
    places = {alias.name: node.module for node in stub.body for alias in node.names}
    assert set(module.__all__) == set(places) <= set(dir(module))
    for name, place in places.items():
        assert getattr(module, name) is getattr(importlib.import_module(f"{module.__name__}.{place}"), name)
    with pytest.raises(AttributeError, match="laod"):
        module.laod  # noqa: B018


@pytest.mark.parametrize("wrong", [None, 3, b"x"])
def test_what_is_no_path_is_refused(wrong):
    with pytest.raises(UserError, match="expected a path. Received: "):
        ks.load(wrong)


def test_one_task_protocol_and_seed_need_no_tuple_and_reprs_are_one_line(tmp_path):
    task, protocol = ks.Task("emotion", ("anger", "sadness")), ks.Protocol("folds", "k-fold", folds=2)
    recipe = ks.Recipe("short", "demo", task, protocol, seeds=3)
    assert recipe == ks.Recipe("short", "demo", (task,), (protocol,), seeds=(3,))
    corpus = ks.read_corpus("demo", tmp_path, speakers=4, sentences=1, emotions=("anger", "sadness"))
    split = protocol.splits(corpus)[0]
    assert repr(corpus) == "<Corpus demo: 8 clips, 4 speakers; emotion: 2 labels>"
    assert repr(split) == "<Split folds, fold 0: train 3, validation 1, test 4 clips; apart: speaker>"
    assert repr(recipe) == f"<Recipe short-{recipe.hash}: aspmtl on demo; emotion; folds; 1 seed>"
    # so that an experiment can read it again
    assert ks.read_corpus("demo", **corpus.read_by) == corpus


@pytest.fixture
def short(tmp_path):
    """A corpus of two classes, and a recipe that trains on it."""
    corpus = ks.read_corpus("demo", tmp_path / "demo", speakers=4, sentences=1, emotions=("anger", "sadness"))
    task, protocol = ks.Task("emotion", ("anger", "sadness")), ks.Protocol("folds", "k-fold", folds=2)
    return corpus, ks.Recipe("short", "demo", task, protocol, epochs=1)


def test_a_class_whose_files_were_all_dropped_is_refused(short, tmp_path):
    corpus, recipe = short
    for utterance in corpus:
        if utterance.labels["emotion"] == "anger":
            (corpus.root / utterance.path).write_bytes(b"RIFF")
    with pytest.raises(ks.CorpusError, match="anger"):
        ks.run(recipe, corpus, tmp_path / "out", bad="drop", cache=tmp_path / "cache", verbose=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": "short"}, "`recipe` must be a Recipe. Received: 'short'"),
        ({"corpus": "/data/demo"}, "`corpus` must be a Corpus: read it by ks.read_corpus.* Received: '/data/demo'"),
        ({"auxiliary": ["/data/demo"]}, "`auxiliary` must be a Corpus"),
        ({"auxiliary": "/data/demo"}, "`auxiliary` must be a Corpus.* Received: '/data/demo'"),
        ({"out": __file__}, "`out` must be a folder. Received: .*, a file"),
        ({"initial": "run", "model": "svm"}, "`initial` initialises a single network. Received: short"),
        ({"folds": 7}, "7"),
        ({"noise_root": "/noises"}, "no stream of short mixes in noise: omit the folder of noises. Received: /noises"),
        (
            {"auxiliary": Corpus("emodb", Path("/"), (Utterance("a", "a"),), {})},
            "no stream reads the corpus 'emodb': omit it",
        ),
    ],
)
def test_arguments_of_another_kind_are_refused_in_one_line(short, tmp_path, change, words):
    corpus, recipe = short
    if "model" in change:
        recipe = recipe.change({"model": change["model"]})
    options = {"recipe": recipe, "corpus": corpus, "out": tmp_path / "out"} | change
    options.pop("model", None)
    with pytest.raises(ks.UserError, match=words) as caught:
        ks.run(**options)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


def test_model_of_ones_own_is_found_by_its_import_path(tmp_path, monkeypatch):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "__init__.py").touch()
    shutil.copy(GRU, tmp_path / "outside" / "recurrent.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert model_module("outside.recurrent").__file__ == str(tmp_path / "outside" / "recurrent.py")
    recipe = tiny.SINGLE.change({"model": "outside.recurrent", "config.units": "5"})
    assert ks.Recipe.from_json(recipe.to_json()) == recipe and recipe.config.units == 5
    for name in ("outside.nothing", "nowhere.recurrent", "outside/recurrent", "aspmlt", "__main__x"):
        with pytest.raises(MissingModelError, match="import path of an installed module. Received: '") as caught:
            model_module(name)
        assert caught.value.model == name
    with pytest.raises(ks.UserError, match="must be a module with `Config` and `build`.* Received: outside"):
        model_module("outside")
    for name in ("outside", "outside.recurrent"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(model_module.__globals__["_OWN"], "outside.recurrent")


def test_model_of_an_entry_point(tmp_path, monkeypatch):
    shutil.copy(GRU, tmp_path / "pointed_at.py")
    info = tmp_path / "pointed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pointed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[keras_ser.models]\ngated = pointed_at\nsvm = json\ngone = not_installed.net\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = model_module.__globals__["_entry_points"]
    found.cache_clear()
    try:
        assert model_module("gated").__name__ == "pointed_at"
        assert model_module("svm").__name__ == "keras_ser.models.svm"
        with pytest.raises(
            MissingModelError, match="registers the model 'gone' as the module not_installed.net, .* reinstall"
        ) as error:
            model_module("gone")
        assert error.value.model == "gone"
    finally:
        found.cache_clear()
        sys.modules.pop("pointed_at", None)
        model_module.__globals__["_OWN"].pop("gated", None)


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(GRU, folder / "gru_of_a_test.py")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield "gru_of_a_test"
    sys.path.remove(str(folder))


@pytest.mark.slow
def test_run_load_predict_and_evaluate_with_a_model_from_outside(tmp_path, monkeypatch, outside, capsys):
    monkeypatch.setenv("KERAS_SER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("keras_ser.reports.report.write_figure", lambda path, figure: path.touch())
    corpus = ks.read_corpus("demo", speakers=4, sentences=1, emotions=tiny.EMOTION.labels)
    recipe = tiny.SINGLE.change({"model": outside}).replace(seeds=(0,), epochs=1)
    experiment = ks.run(recipe, corpus, tmp_path / "out", folds=[0, 1])
    assert "fold 1, seed 0" in capsys.readouterr().err
    assert experiment.folder.parent == tmp_path / "out" and list((tmp_path / "cache").rglob("*.tfrecord"))
    assert set(experiment.predictions["fold"]) == {0, 1} and "emotion" in str(experiment)
    scores = experiment.scores.set_index("metric")
    correct = experiment.predictions["emotion"] == experiment.predictions["emotion/prediction"]
    assert scores.loc["accuracy", "value"] == pytest.approx(correct.mean())
    assert scores.loc["uar", "chance"] == pytest.approx(1 / 3)

    file = corpus.root / corpus.utterances[0].path
    each = [ks.load(run.folder).predict(file)[0]["emotion"]["probabilities"] for run in experiment.runs]
    mean = {label: np.mean([p[label] for p in each]) for label in each[0]}
    (answer,) = ks.load(experiment.folder).predict(read(file, 16000), sampling_rate=16000)
    assert len(each) == 2 and answer["emotion"]["probabilities"] == pytest.approx(mean, abs=1e-6)
    assert experiment.predict(file)[0]["emotion"]["label"] == max(mean, key=mean.get)

    # nothing is trained again
    again = ks.run(recipe, corpus, tmp_path / "out", folds=[0, 1], verbose=False)
    assert again.predictions.equals(experiment.predictions) and capsys.readouterr().err == ""
    made, _ = ks.evaluate(str(experiment.folder))
    assert made.results[0].scores == experiment.report.results[0].scores
    # a start that has heard the tested speakers is refused before anything is decoded
    with pytest.raises(ks.LeakageError, match="trained or validated on what speakers, fold 1, tests"):
        ks.run(recipe, corpus, tmp_path / "new", initial=experiment.runs[0].folder, cache=tmp_path / "none")
    assert not (tmp_path / "none").exists() and not (tmp_path / "new").exists()
    with pytest.raises(ks.UserError, match="expects the corpus 'demo'"):
        ks.run(recipe, dataclasses.replace(corpus, name="other"), tmp_path / "out")
