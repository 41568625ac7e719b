"""Frozen pretrained layers between front ends and network: computed once for each clip, and part of the model that is saved."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_ser.corpora import demo
from keras_ser.errors import DiskError, UserError
from keras_ser.features import Frontend
from keras_ser.features.segments import stretch_count
from keras_ser.models.multilevel import Config
from keras_ser.models.paper import frozen_parts
from keras_ser.models.whole_model import extractor, frames_joined, with_frozen
from keras_ser.pipelines.sources import waveforms
from keras_ser.recipe import FrontendConfig, Recipe, Sampling, Stream
from keras_ser.serving.averaging import averaged
from keras_ser.serving.integrated_gradients import Attributor
from keras_ser.splits import Split
from keras_ser.training import Data, RunError, fit, fitting, frozen, predict
from keras_ser.training.owner import check_owner, claim
from keras_ser.training.preflight import check_network
from keras_ser.training.transfer import check_frozen
from tests.training import tiny

wav2vec2 = pytest.importorskip("keras_ser.models.wav2vec2")
STORED = Path(__file__).resolve().parents[1] / "models" / "wav2vec2" / "stored"
MFCC = FrontendConfig(("mfcc",), coefficients=10, deltas=0, endpoint=False)
WAVEFORM = FrontendConfig(("waveform",), window=160, hop=160, preemphasis=0.0, endpoint=False, name="raw")
STRETCH = 9600  # samples
FORMS = pytest.mark.parametrize("form", ["group", "layer"])


def recipe(checkpoint, states="last"):
    given = {"levels": ("mfcc", "wav2vec2"), "wav2vec2": str(checkpoint), "wav2vec2_tuned": False}
    given["wav2vec2_states"] = states
    return Recipe(
        "frozen",
        "demo",
        (tiny.EMOTION,),
        (tiny.SPEAKERS,),
        model="multilevel",
        config=Config(units=3, dense=6, **given),
        frontend=MFCC,
        frontends=(WAVEFORM,),
        sampling=Sampling("segments", seconds=STRETCH / 16000, balance=False),
        batch_size=8,
        epochs=2,
        patience=0,
        monitor="",
    )


@FORMS
def test_read_from_disk_or_computed_it_is_the_layer_s_answer_to_each_clip_alone(form, rng, tmp_path):
    layer = wav2vec2.load(STORED / form)
    (part,) = frozen_parts(recipe(STORED / form), {"mfcc": (60, 10), "raw.waveform": (60, 160)}).values()
    x, lengths = rng.normal(size=(4, STRETCH)).astype("float32"), np.array([STRETCH, 5000, 0, 5000], "int32")
    x[3, :1000] = x[1, :1000]
    x *= np.arange(STRETCH) < lengths[:, None]
    frames = np.array([layer.frames(n) for n in lengths], "int32")
    found = [
        frozen.table(part, part.load(), tmp_path)(x[rows], lengths[rows], frames[rows])
        for rows in ([0, 1, 2, 3], [2, 3, 0, 1])
    ]
    np.testing.assert_array_equal(found[0], found[1][[2, 3, 0, 1]])
    assert part.shape == found[0].shape[1:] and len(list(tmp_path.rglob("*.npy"))) == 3
    for row, clip, length, valid in zip(found[0], x, lengths, frames, strict=True):
        if valid:
            np.testing.assert_allclose(row[:valid], np.asarray(layer(clip[None, :length]))[0], atol=2e-5)
        assert not row[valid:].any()


def test_a_full_disk_is_said_once_and_ends_nothing(rng, tmp_path, caplog, monkeypatch):
    def full(self, name, value):
        raise DiskError("no space left on device")

    monkeypatch.setattr(wav2vec2.EmbeddingCache, "put", full)
    (part,) = frozen_parts(recipe(STORED / "group"), {"mfcc": (60, 10), "raw.waveform": (60, 160)}).values()
    layer, x = part.load(), rng.normal(size=(2, STRETCH)).astype("float32")
    lengths, frames = np.full(2, STRETCH, "int32"), np.full(2, layer.frames(STRETCH), "int32")
    found = [frozen.table(part, layer, folder)(x, lengths, frames) for folder in (tmp_path, None)]
    np.testing.assert_array_equal(*found)
    assert caplog.text.count("no space left on device: the frames of pretrained layers are not kept") == 1


def test_a_folder_that_can_not_be_written_is_said_and_nothing_is_kept(rng, tmp_path, caplog):
    (part,) = frozen_parts(recipe(STORED / "group"), {"mfcc": (60, 10), "raw.waveform": (60, 160)}).values()
    (tmp_path / "file").touch()
    layer, x = part.load(), rng.normal(size=(1, STRETCH)).astype("float32")
    lengths, frames = np.array([STRETCH], "int32"), np.array([layer.frames(STRETCH)], "int32")
    found = [
        frozen.table(part, layer, folder)(x, lengths, frames) for folder in (tmp_path / "file", None, tmp_path / "kept")
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert "file/" in caplog.text and "are not kept" in caplog.text and caplog.text.count("WARNING") == 1


@pytest.mark.parametrize(
    ("changes", "inputs", "words"),
    [
        ({"sampling": Sampling("segments", frames=60, balance=False)}, None, "set sampling.seconds"),
        ({}, {"mfcc": (60, 10), "raw.waveform": (None, 160)}, "stretches of one length"),
        ({}, {"raw.mfcc": (60, 10), "raw.waveform": (60, 160)}, "a front end of its own"),
    ],
)
def test_what_frozen_layers_can_not_be_put_behind(changes, inputs, words):
    made = recipe(STORED / "group")
    with pytest.raises(UserError, match=words):
        if inputs:
            frozen_parts(made, inputs)
        else:
            check_network(
                made.replace(frontend=dataclasses.replace(WAVEFORM, name=""), frontends=(), **changes).replace(
                    config=dataclasses.replace(made.config, levels=("wav2vec2",))
                )
            )


def test_frames_are_as_far_apart_as_the_checkpoint_says():
    """Hops that do not divide its stride of 320 samples, too."""
    for hop in (160, 480):
        (part,) = frozen_parts(recipe(STORED / "group"), {"raw.waveform": (20, hop)}).values()
        front = Frontend(**dataclasses.replace(WAVEFORM, window=hop, hop=hop).options())
        extract = with_frozen(
            extractor(front, stretch=20 * hop), {"waveform": (part.prepare("prepare_waveform"), part.load())}
        )
        assert frames_joined(extract) == {"waveform": 320 / hop}


def test_the_memory_of_frames_that_a_frozen_layer_joins_is_theirs():
    """Batches of clips of 20 and 10 hops, with the padding: half as many frames of 320 samples, four bytes a unit."""
    hop = 160
    settings = dataclasses.replace(WAVEFORM, window=hop, hop=hop, name="")
    (part,) = frozen_parts(recipe(STORED / "group"), {"raw.waveform": (20, hop)}).values()
    front = extractor(Frontend(**settings.options()), stretch=20 * hop)
    extract = with_frozen(front, {"waveform": (part.prepare("prepare_waveform"), part.load())})
    cache = SimpleNamespace(lengths=hop * np.array([20, 10, 10, 8, 99]), indices=np.arange(5))
    source = SimpleNamespace(cache=cache, indices=np.arange(4), draw=lambda epoch: SimpleNamespace(sizes=[2, 2]))
    found = fitting._bytes(source, extract, SimpleNamespace(frontend=settings, every_frontend=(settings,)))
    assert found == 4 * part.shape[-1] * (2 * 20 + 2 * 10) / 2


def test_what_changes_from_epoch_to_epoch_is_not_kept_on_disk():
    made = recipe(STORED / "group")
    assert frozen.kept_on_disk(made)
    assert not frozen.kept_on_disk(made.replace(streams=(Stream("noisy", noises=("white",), redraw=True),)))
    # a random second of each clip
    main, further = (dataclasses.replace(each, seconds=1.0) for each in (MFCC, WAVEFORM))
    assert not frozen.kept_on_disk(made.replace(frontend=main, frontends=(further,), sampling=Sampling("whole")))


def test_a_run_of_other_weights_under_the_same_path_is_another_run(tmp_path):
    checkpoint = Path(shutil.copytree(STORED / "group", tmp_path / "checkpoint"))
    made, split, out = recipe(checkpoint), Split("speakers", 0, ("a",), (), ("b",)), tmp_path / "run"
    claim(out, made, split, 0)
    (checkpoint / "model.safetensors").touch()
    claim(out, made, split, 0)
    shutil.copy(STORED / "layer" / "model.safetensors", checkpoint)
    for check in (claim, check_owner):
        with pytest.raises(RunError, match=r"another run \(other pretrained weights\)"):
            check(out, made, split, 0)
    # a finished run can be read without its checkpoint, and one of an earlier version does not name it
    shutil.rmtree(checkpoint)
    check_owner(out, made, split, 0)
    claim(out, made, split, 0)
    shutil.copytree(STORED / "layer", checkpoint)
    (checkpoint / "model.safetensors").unlink()
    check_owner(out, made, split, 0)
    shutil.copy(STORED / "layer" / "model.safetensors", checkpoint)
    with pytest.raises(RunError, match="other pretrained weights"):
        check_owner(out, made, split, 0)
    about = json.loads((out / "run.json").read_text())
    assert len(about.pop("pretrained")) == 12
    (out / "run.json").write_text(json.dumps(about))
    check_owner(out, made, split, 0)


def test_a_run_goes_on_with_its_checkpoint_in_another_folder(tmp_path):
    """On a cluster, each job copies it to a folder of its own."""
    first, second = (Path(shutil.copytree(STORED / "group", tmp_path / job / "base")) for job in ("job-1", "job-2"))
    made, split, out = recipe(first), Split("speakers", 0, ("a",), (), ("b",)), tmp_path / "run"
    assert recipe(second).hash == made.hash != recipe(tmp_path / "job-1" / "large").hash
    for each in (made, recipe(second)):
        claim(out, each, split, 0)
    shutil.copy(STORED / "layer" / "model.safetensors", second)
    with pytest.raises(RunError, match=r"another run \(other pretrained weights\)"):
        claim(out, recipe(second), split, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "states"), [("group", "last"), ("layer", "weighted")])
def test_computed_once_for_all_epochs_and_seeds_and_part_of_the_saved_model(form, states, rng, tmp_path, monkeypatch):
    """Each stretch of the training and validation sets; the checkpoint may be gone afterwards."""
    put, computed = wav2vec2.EmbeddingCache.put, []
    monkeypatch.setattr(
        wav2vec2.EmbeddingCache, "put", lambda self, name, value: computed.append(name) or put(self, name, value)
    )
    checkpoint = Path(shutil.copytree(STORED / form, tmp_path / "checkpoint"))
    corpus = demo.read(tmp_path / "demo", speakers=4, sentences=1, emotions=tiny.EMOTION.labels)
    made = recipe(checkpoint, states)
    layer = wav2vec2.load(checkpoint, states="stacked" if states == "weighted" else "last")
    data = Data.load(made, corpus, tmp_path / "cache", progress=False)
    split = made.protocols[0].splits(corpus)[0]
    run = fit(made, data, split, tmp_path / "run")
    sides = [i for i, u in enumerate(corpus) if u.id in {*split.train, *split.validation}]
    lengths = data.cache.lengths[np.isin(data.cache.indices, sides)]
    assert len(computed) == len(set(computed)) == sum(stretch_count(int(n), STRETCH) for n in lengths)
    if states == "weighted":
        other = fit(made, data, split, tmp_path / "again", seed=1)
        assert len(computed) == len(set(computed)), "the second seed reads what the first has computed"

    shutil.rmtree(checkpoint)
    whole = run.model()
    for a, b in zip(whole.get_layer("extractor").get_layer("wav2vec2").weights, layer.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    # frames of 320 samples, with 0 as the baseline of an explanation
    explain = Attributor(run.recipe, whole)
    found = explain(rng.normal(size=2 * STRETCH).astype("float32"))
    assert explain.joined == {"raw.waveform": 2.0} and "0 (raw.waveform)" in found.against
    np.testing.assert_allclose(np.diff(found.times["raw.waveform"])[:3], 320 / 16000)
    assert found.times["raw.waveform"].max() > 0.6
    # the mean of two seeds; another checkpoint's frames would be others, so that extractors are not shared
    if states == "weighted":
        models = [whole, other.model()]
        x = {"waveform": rng.normal(size=(1, STRETCH)).astype("float32"), "length": np.array([STRETCH], "int32")}
        answer = averaged([run, other], models)(x)["emotion"]
        np.testing.assert_allclose(answer, np.mean([model(x)["emotion"] for model in models], axis=0), atol=1e-6)
    # a run whose network was trained on other frames is nothing to begin with
    own = whole.get_layer("extractor").get_layer("wav2vec2")
    check_frozen([own], run.folder)
    own.projection.bias.assign_add(np.ones(layer.hidden))
    with pytest.raises(UserError, match="other weights of the frozen layers .wav2vec2/projection/bias"):
        check_frozen([own], run.folder)
    own.projection.bias.assign(layer.projection.bias)
    # training read from disk what the saved model computes
    table = predict(whole, run.recipe, data, split, "train")
    truth = [tiny.EMOTION.labels.index(label) for label in table["emotion"]]
    p = table[[f"emotion/{label}" for label in tiny.EMOTION.labels]].to_numpy()[np.arange(len(table)), truth]
    assert -np.log(p).mean() == pytest.approx(run.about["training"]["emotion_loss"], abs=1e-4)
    # and what the network reads is the layer's answer to each stretch alone
    source = data.source(run.recipe, 0, split, "test", 0)
    given, _ = next(iter(waveforms(source, source.draw(0))))
    features = whole.get_layer("extractor")({name: np.asarray(value) for name, value in given.items()})
    frames = np.asarray(features["raw.waveform"]).reshape(len(given["length"]), -1, *features["raw.waveform"].shape[1:])
    for clip, x, length in zip(frames, np.asarray(given["waveform"]), np.asarray(given["length"]), strict=True):
        for k in range(stretch_count(int(length), STRETCH)):
            stretch = x[STRETCH * k : min(length, STRETCH * (k + 1))]
            expected = np.asarray(layer(stretch[None, : len(stretch) // 160 * 160]))[0]  # whole frames of 160 samples
            np.testing.assert_allclose(clip[k, : len(expected)], expected, atol=1e-4)
            assert not clip[k, len(expected) :].any()
