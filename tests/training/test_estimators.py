"""Baselines as runs: the choice on the validation set against scikit-learn by hand, files, and what is refused."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from keras_ser.corpora import demo
from keras_ser.features import Frontend
from keras_ser.models import random_forest, svm
from keras_ser.pipelines.sources import Source
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.serving import ExportError, Predictor, export
from keras_ser.splits import Protocol
from keras_ser.training import Data, Run, RunError, baselines, fit, predict
from keras_ser.training.inference import features
from tests import disk
from tests.training import tiny

FRONTEND = FrontendConfig(features=("energy", "zero_crossing_rate"), endpoint=False, statistics=True)
SVM = Recipe(
    name="baseline",
    corpus="demo",
    tasks=(tiny.EMOTION, tiny.GENDER),
    protocols=(tiny.SPEAKERS,),
    model="svm",
    config=svm.Config(C=(0.001, 0.5, 20.0)),
    frontend=FRONTEND,
    sampling=Sampling("whole"),
    seeds=(0,),
)
FOREST = SVM.replace(model="random_forest", config=random_forest.Config(trees=20, leaf=(1, 4)))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six speakers, three emotions, two sentences; two clips lack an emotion."""
    made = demo.read(tmp_path_factory.mktemp("corpus"), speakers=6, sentences=2, emotions=tiny.EMOTION.labels)
    rng = np.random.default_rng(3)
    utterances = []
    for i, u in enumerate(made):
        labels = {**u.labels, "arousal": float(rng.uniform(-1, 1))}
        if i in (1, 20):
            del labels["emotion"]
        utterances.append(dataclasses.replace(u, labels=labels))
    return dataclasses.replace(made, utterances=tuple(utterances), expected={})


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory):
    return Data.load(SVM, corpus, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def split(corpus):
    return tiny.SPEAKERS.splits(corpus)[0]


def described(corpus, data, ids) -> np.ndarray:
    """The clips' features one by one, without a batch."""
    frontend = Frontend(**dataclasses.asdict(FRONTEND))
    rows = []
    for i, u in enumerate(corpus):
        if u.id in ids:
            (clip,) = data.cache.dataset([i]).batch(1)
            found = frontend(clip["waveform"], clip["length"])
            rows.append(np.concatenate([found[name][0, 0] for name in FRONTEND.features]))
    return np.stack(rows)


@pytest.fixture(scope="module")
def made(data, split, tmp_path_factory):
    seen = []
    on_epoch = lambda stage, epoch, epochs, logs: seen.append((stage, epoch, epochs, dict(logs)))  # noqa: E731
    run = fit(SVM, data, split, tmp_path_factory.mktemp("runs") / "svm", seed=1, on_epoch=on_epoch)
    return run, seen


def test_the_setting_is_chosen_on_the_validation_side(made, corpus, data, split):
    run, seen = made
    labels = {u.id: u.labels.get("emotion") for u in corpus}
    order = [u.id for u in corpus]
    sides = {}
    for side in ("train", "validation", "test"):
        ids = [i for i in order if i in getattr(split, side) and labels[i]]
        sides[side] = described(corpus, data, ids), [tiny.EMOTION.labels.index(labels[i]) for i in ids], ids
    scaler = StandardScaler().fit(sides["train"][0])
    own, predicted = [], {}
    for C in SVM.config.C:
        model = SVC(C=C, break_ties=True).fit(scaler.transform(sides["train"][0]), sides["train"][1])
        own.append(
            balanced_accuracy_score(sides["validation"][1], model.predict(scaler.transform(sides["validation"][0])))
        )
        predicted[C] = model.predict(scaler.transform(sides["test"][0]))
    assert [row["val_emotion_uar"] for row in run.history] == pytest.approx(own, abs=1e-6)
    assert [row["C"] for row in run.history] == list(SVM.config.C)
    assert run.about["best_epoch"] == 1 + int(np.argmax(own)) and run.about["monitor"] == "val_emotion_uar"
    assert [call[:3] for call in seen] == [("baseline", setting, 3) for setting in (1, 2, 3)]
    table = predict(run.model(), SVM, data, split)
    found = table.set_index("id").loc[sides["test"][2], "emotion/prediction"]
    best = SVM.config.C[int(np.argmax(own))]
    assert list(found) == [tiny.EMOTION.labels[k] for k in predicted[best]]
    assert {"gender/prediction", "gender/male"} <= set(table.columns)


def test_the_first_of_the_best_settings_is_kept_and_an_undefined_score_gives_way(data, split, tmp_path, monkeypatch):
    scores = iter([float("nan"), 0.5, 0.5, 0.0])  # the last is that of the training set
    monkeypatch.setattr(baselines, "side_scores", lambda *_: {"emotion_uar": next(scores)})
    assert fit(SVM, data, split, tmp_path / "run").about["best_epoch"] == 2


def test_a_run_is_a_folder_like_any_other(made, data, split):
    run, _ = made
    assert run.kind == "pipelines" and Run.find(run.folder) == run.folder
    assert {"model.skops", "history.csv", "history.json", "recipe.json", "split.json"} <= {
        p.name for p in run.folder.iterdir()
    }
    written = (run.folder / "model.skops").stat().st_mtime_ns
    assert fit(SVM, data, split, run.folder, seed=1).recipe == SVM
    assert (run.folder / "model.skops").stat().st_mtime_ns == written, "a finished run is left as it is"
    with pytest.raises(ExportError, match="scikit-learn"):
        export(run, run.folder.parent / "exports")


def test_it_answers_about_files(made, corpus, data, split):
    run, _ = made
    predictor = Predictor.load(run.folder)
    table = predict(run.model(), SVM, data, split).set_index("id")
    i, utterance = next((i, u) for i, u in enumerate(corpus) if u.id in split.test)
    (clip,) = data.cache.dataset([i]).as_numpy_iterator()
    (answer,) = predictor([clip["waveform"]])
    expected = [table.loc[utterance.id, f"emotion/{label}"] for label in tiny.EMOTION.labels]
    assert [answer["emotion"]["probabilities"][label] for label in tiny.EMOTION.labels] == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.slow
def test_noise_streams_and_a_continuous_task(corpus, split, tmp_path):
    """A forest hears the noisy stream, too, and names the noise; a continuous task is chosen by its CCC."""
    noisy = dataclasses.replace(tiny.NOISY, redraw=False)
    recipe = FOREST.replace(tasks=(tiny.AROUSAL, tiny.NOISE), streams=(tiny.CLEAN, noisy))
    data = Data.load(recipe, corpus, tmp_path / "cache")
    run = fit(recipe, data, split, tmp_path / "run")
    assert run.about["monitor"] == "val_arousal_ccc" and "val_noise_uar" in run.history[0]
    table = predict(run.model(), recipe, data, split)
    assert set(table["stream"]) == {"clean", "noisy"} and set(table["noise"]) == {"clean", "white", "pink"}
    assert table["arousal/prediction"].between(-1, 1).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampling": Sampling("segments", frames=30)}, "fitted once on whole"),
        ({"augment": tiny.Augment(time_masks=1, time_mask_frames=3)}, "fitted once on whole"),
        ({"first": tiny.FIRST.replace(frontend=SVM.frontend, augment=tiny.Augment())}, "fitted once on whole"),
        ({"streams": (tiny.CLEAN, tiny.NOISY)}, "fitted once on whole"),
        ({"protocols": (dataclasses.replace(tiny.SPEAKERS, validation=0),)}, "no validation set"),
    ],
    ids=["segments", "augmentation", "cascade", "drawn anew", "no choice"],
)
def test_what_it_can_not_do(changes, words, corpus, data, tmp_path):
    recipe = SVM.replace(**changes)
    (split, *_) = recipe.protocols[0].splits(corpus)
    with pytest.raises(ValueError, match=words):
        fit(recipe, data, split, tmp_path / "run")


def test_one_setting_needs_no_validation_side(corpus, data, tmp_path):
    recipe = SVM.replace(config=svm.Config(C=(1.0,)))
    (split, *_) = dataclasses.replace(tiny.SPEAKERS, validation=0).splits(corpus)
    run = fit(recipe, data, split, tmp_path / "run")
    assert run.about["monitor"] is None and run.about["best_epoch"] == 1


def test_one_class_in_training_is_said(corpus, data, tmp_path):
    one = dataclasses.replace(tiny.EMOTION, labels=("anger", "neutral"), ignore=("sadness",))
    (split,) = Protocol("random", test=0.2, validation=0.1).splits(corpus)
    angry = [u.id for u in corpus if u.labels.get("emotion") == "anger" and u.id in split.train]
    split = dataclasses.replace(split, train=tuple(angry))
    with pytest.raises(ValueError, match="fold 0, has anger"):
        fit(SVM.replace(tasks=(one,), config=svm.Config(C=(1.0,))), data, split, tmp_path / "run")


@pytest.mark.slow
def test_functionals_are_computed_once(corpus, split, tmp_path, monkeypatch):
    pytest.importorskip("opensmile")
    from keras_ser.audio import opensmile_functionals as module

    recipe = SVM.replace(config=svm.Config(functionals="eGeMAPSv02"), tasks=(tiny.EMOTION,))
    data = Data.load(recipe, corpus, tmp_path / "cache")
    told = []
    run = fit(recipe, data, split, tmp_path / "run", on_epoch=lambda *call: told.append(call[:3]))
    (file,) = (tmp_path / "cache").glob("*.eGeMAPSv02.npy")
    kept = np.load(file)
    heard = [i for i, u in enumerate(corpus) if u.id in {*split.train, *split.validation}]
    assert [i for i in range(len(corpus)) if kept[i, 0]] == heard
    assert told[: len(split.train)] == [("eGeMAPSv02", n + 1, len(split.train)) for n in range(len(split.train))]
    for i in heard[:3]:
        (clip,) = data.cache.dataset([i]).as_numpy_iterator()
        np.testing.assert_array_equal(kept[i, 1:], module.functionals(clip["waveform"], 16000))
    monkeypatch.setattr(module, "functionals", None)  # computed again it would fail
    again = fit(recipe, data, split, tmp_path / "again")
    assert again.history == run.history
    monkeypatch.undo()
    table = predict(run.model(), recipe, data, split).set_index("id")
    assert set(table.index) == set(split.test) and np.load(file)[:, 0].all()
    # what is kept gives the answers that a waveform gives
    i, tested = next((i, u) for i, u in enumerate(corpus) if u.id in split.test)
    (clip,) = data.cache.dataset([i]).batch(1)
    found = run.model()({name: np.asarray(clip[name]) for name in ("waveform", "length")})["emotion"][0]
    np.testing.assert_allclose(
        found, table.loc[tested.id, [f"emotion/{x}" for x in tiny.EMOTION.labels]].astype(float), atol=1e-4
    )


def test_functionals_are_read_and_computed_where_they_cannot_be_written(corpus, tmp_path, monkeypatch, caplog):
    """In a folder, or a file, of another user."""
    from keras_ser.audio import opensmile_functionals as module

    calls = []
    monkeypatch.setattr(module, "functionals", lambda x, *_: calls.append(len(x)) or np.full(88, x.std(), "float32"))
    recipe = SVM.replace(config=svm.Config(functionals="eGeMAPSv02"), tasks=(tiny.EMOTION,))
    cache = Data.load(recipe, corpus, tmp_path / "cache").cache
    file = cache.path.with_suffix(".eGeMAPSv02.npy")

    def found(*clips):
        del calls[:]
        x, _ = features(recipe, Source("clips", 0, cache, np.array(clips), {}), None, 0)
        return x[:, 0].tolist(), len(calls)

    with disk.read_only(file.parent):
        first = found(0, 1, 2)
        assert found(0, 1, 2) == first and first[1] == 3 and not file.exists()
    assert len(caplog.messages) == 1 and "Permission denied): openSMILE's numbers are not kept" in caplog.text
    assert found(0, 1) == (first[0][:2], 2)
    for closed in (file.parent, file):
        stored = file.read_bytes()
        with disk.read_only(closed):
            assert found(0, 1) == (first[0][:2], 0)
            assert found(0, 1, 2) == (first[0], 1)
        assert file.read_bytes() == stored
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("content", [b"", b"nothing", None], ids=["empty", "garbage", "other shape"])
def test_damaged_functionals_are_one_line(content, corpus, split, tmp_path):
    pytest.importorskip("opensmile")
    recipe = SVM.replace(config=svm.Config(functionals="eGeMAPSv02"), tasks=(tiny.EMOTION,))
    data = Data.load(recipe, corpus, tmp_path / "cache")
    file = data.cache.path.with_suffix(".eGeMAPSv02.npy")
    if content is None:
        np.save(file, np.zeros((3, 89), "float32"))
    else:
        file.write_bytes(content)
    with pytest.raises(RunError, match=r"eGeMAPSv02\.npy (is damaged|holds).*Remove it"):
        fit(recipe, data, split, tmp_path / "run")
