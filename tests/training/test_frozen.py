"""Frozen pretrained layers between front ends and network: computed once for each clip, and part of the model that is saved."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_ser.corpora import demo
from keras_ser.features.segments import stretch_count
from keras_ser.models.multilevel import Config
from keras_ser.models.paper import frozen_parts
from keras_ser.pipelines.sources import waveforms
from keras_ser.recipe import FrontendConfig, Recipe, Sampling, Stream
from keras_ser.serving.integrated_gradients import Attributor
from keras_ser.splits import Split
from keras_ser.training import Data, RunError, fit, frozen, predict
from keras_ser.training.run import check_owner, claim
from tests.training import tiny

wav2vec2 = pytest.importorskip("keras_ser.models.wav2vec2")
STORED = Path(__file__).resolve().parents[1] / "models" / "wav2vec2" / "stored"
MFCC = FrontendConfig(("mfcc",), coefficients=10, deltas=0, endpoint=False)
WAVEFORM = FrontendConfig(("waveform",), window=160, hop=160, preemphasis=0.0, endpoint=False, name="raw")
STRETCH = 9600  # samples
FORMS = pytest.mark.parametrize("form", ["group", "layer"])


def recipe(checkpoint):
    given = {"levels": ("mfcc", "wav2vec2"), "wav2vec2": str(checkpoint), "wav2vec2_tuned": False}
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
    x, lengths = rng.normal(size=(3, STRETCH)).astype("float32"), np.array([STRETCH, 5000, 0], "int32")
    x *= np.arange(STRETCH) < lengths[:, None]
    frames = np.array([layer.frames(n) for n in lengths], "int32")
    found = [
        frozen.table(part, part.load(), tmp_path)(x[rows], lengths[rows], frames[rows])
        for rows in ([0, 1, 2], [2, 0, 1])
    ]
    np.testing.assert_array_equal(found[0], found[1][[1, 2, 0]])
    assert part.shape == found[0].shape[1:] and len(list(tmp_path.rglob("*.npy"))) == 2
    for row, clip, length, valid in zip(found[0], x, lengths, frames, strict=True):
        if valid:
            np.testing.assert_allclose(row[:valid], np.asarray(layer(clip[None, :length]))[0], atol=2e-5)
        assert not row[valid:].any()


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
    shutil.copytree(STORED / "layer", checkpoint)
    about = json.loads((out / "run.json").read_text())
    assert len(about.pop("pretrained")) == 12
    (out / "run.json").write_text(json.dumps(about))
    check_owner(out, made, split, 0)


@pytest.mark.slow
@FORMS
def test_computed_once_for_all_epochs_and_seeds_and_part_of_the_saved_model(form, tmp_path, monkeypatch):
    """Each stretch of the training and validation sides; the checkpoint may be gone afterwards."""
    put, computed = frozen.EmbeddingCache.put, []
    monkeypatch.setattr(
        frozen.EmbeddingCache, "put", lambda self, name, value: computed.append(name) or put(self, name, value)
    )
    checkpoint = Path(shutil.copytree(STORED / form, tmp_path / "checkpoint"))
    corpus = demo.read(tmp_path / "demo", speakers=4, sentences=1, emotions=tiny.EMOTION.labels)
    made, layer = recipe(checkpoint), wav2vec2.load(checkpoint)
    data = Data.load(made, corpus, tmp_path / "cache", progress=False)
    split = made.protocols[0].splits(corpus)[0]
    run = fit(made, data, split, tmp_path / "run")
    sides = [i for i, u in enumerate(corpus) if u.id in {*split.train, *split.validation}]
    lengths = data.cache.lengths[np.isin(data.cache.indices, sides)]
    assert len(computed) == len(set(computed)) == sum(stretch_count(int(n), STRETCH) for n in lengths)
    fit(made, data, split, tmp_path / "again", seed=1)
    assert len(computed) == len(set(computed)), "the second seed reads what the first has computed"

    shutil.rmtree(checkpoint)
    whole = run.model()
    for a, b in zip(whole.get_layer("extractor").get_layer("wav2vec2").weights, layer.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    # frames of 320 samples, with 0 as the baseline of an explanation
    explain = Attributor(run)
    found = explain(np.ones(2 * STRETCH, "float32"))
    assert explain.joined == {"raw.waveform": 2} and "0 (raw.waveform)" in found.against
    np.testing.assert_allclose(np.diff(found.times["raw.waveform"])[:3], 320 / 16000)
    assert found.times["raw.waveform"].max() > 0.6
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
            np.testing.assert_allclose(clip[k, : len(expected)], expected, atol=2e-5)
            assert not clip[k, len(expected) :].any()
