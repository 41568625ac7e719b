"""A run becomes a SavedModel: its layout, the answers of its signatures, and nothing left of a refused export."""

import os
import time

import keras
import numpy as np
import pytest
import soxr
import tensorflow as tf

from keras_ser.files import STALE_SECONDS
from keras_ser.layers import StackedLSTM
from keras_ser.serving import ExportError, export, saved_model
from keras_ser.serving.facts import FACTS
from keras_ser.serving.saved_model import _prepare
from tests.serving import runs, test_export_checks
from tests.serving.clips import RATE, batch, files, spoken
from tests.serving.conftest import MAX_SECONDS, Served
from tests.training import tiny
from tests.wavs import wav


def offline(served, contents: list[bytes]) -> dict[str, np.ndarray]:
    """Keras's answers, clip by clip: {output: (batch, ..)}."""
    rows = [served.offline(batch([x])) for x in contents]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def agree(served, found: dict, expected: dict, atol: float = 1e-5) -> None:
    """Probabilities, labels, scores and values follow from Keras's outputs."""
    names = set()
    for task in served.run.recipe.tasks:
        values = expected[task.name]
        if task.continuous:
            np.testing.assert_allclose(found[f"{task.name}/value"], values[:, 0], atol=atol)
            names |= {f"{task.name}/value"}
            continue
        np.testing.assert_allclose(found[f"{task.name}/probabilities"], values, atol=atol)
        np.testing.assert_allclose(found[f"{task.name}/score"], values.max(axis=1), atol=atol)
        top = np.sort(values, axis=1)
        sure = top[:, -1] - top[:, -2] > 2 * atol
        labels = np.array(task.labels)[values.argmax(axis=1)]
        assert sure.any() or atol > 1e-5
        assert list(labels[sure]) == [x.decode() for x in found[f"{task.name}/label"][sure]]
        names |= {f"{task.name}/{what}" for what in ("probabilities", "label", "score")}
    assert set(found) - {"emptied"} == names


def test_layout(served):
    assert [path.name for path in served.export.parent.iterdir()] == ["1"]
    found = {str(path.relative_to(served.export)) for path in served.export.rglob("*") if path.is_file()}
    assert {"saved_model.pb", "variables/variables.index", str(FACTS)} <= found
    assert "assets.extra/tf_serving_warmup_requests" in found


def test_signatures_have_named_inputs_and_outputs(served):
    signatures = served.loaded.signatures
    assert set(signatures) == {"serving_default", "predict_bytes", "predict", "embed"}
    for name in ("serving_default", "predict_bytes"):
        assert signatures[name].structured_input_signature[1]["audio"] == tf.TensorSpec((None,), tf.string, "audio")
    for name in ("predict", "embed"):
        given = signatures[name].structured_input_signature[1]
        assert given["waveform"] == tf.TensorSpec((None, None), tf.float32, "waveform")
        assert given["lengths"] == tf.TensorSpec((None,), tf.int32, "lengths")
    outputs = signatures["predict"].structured_outputs
    assert outputs["emotion/probabilities"].shape.as_list() == [None, 3]
    assert (outputs["emotion/label"].dtype, outputs["emotion/score"].shape.as_list()) == (tf.string, [None])


@pytest.mark.parametrize("name", ["served", pytest.param("cascaded", marks=pytest.mark.slow)])
def test_requests_change_no_variable(request, name):
    """The only assignments in the graph load the weights."""
    ops = set(request.getfixturevalue(name).facts["ops"])
    assert {op for op in ops if op.startswith("Assign")} == {"AssignVariableOp"}


def test_answers_equal_keras(served, rng):
    """Every signature, in a batch of very different clips against each clip alone; garbage in the padding is ignored."""
    from keras_ser.models.whole_model import embedder

    loud = np.sign(rng.standard_normal(9000))
    waveforms = [*(spoken(rng, s) for s in (1.7, 0.4, 2.9, 0.02)), np.zeros(9000), loud, np.linspace(-0.5, 0.4, 2)]
    contents = files(waveforms, subtype="PCM_24") + [wav(4e9 * loud, subtype="FLOAT"), wav([0.3])]
    expected = offline(served, contents)
    assert len(set(expected["emotion"].argmax(axis=1))) > 1, "a model that tells clips apart"
    default, named = served.ask(audio=contents), served.ask("predict_bytes", audio=contents)
    agree(served, default, expected)
    assert default.keys() == named.keys() and all(np.array_equal(default[name], named[name]) for name in default)
    given, padded = batch(contents), batch(contents, padding=np.nan)
    agree(served, served.ask("predict", waveform=padded["waveform"], lengths=padded["length"]), expected)
    found = served.ask("embed", waveform=padded["waveform"], lengths=padded["length"])
    features = embedder(served.run.model(), "pool_shared")(given, training=False).numpy()
    assert set(found) == {"embedding"} and np.ptp(features, axis=0).max() > 1e-2
    np.testing.assert_allclose(found["embedding"], features, atol=1e-5 * max(1, np.abs(features).max()))


def test_answers_at_another_rate_equal_soxr_and_keras(served, rng):
    waveforms = [spoken(rng, s, 44100) for s in (1.7, 0.4)]
    arrived = files([soxr.resample(x, 44100, RATE, quality="VHQ") for x in waveforms], subtype="FLOAT")
    agree(served, served.ask(audio=files(waveforms, 44100, "PCM_24")), offline(served, arrived), atol=1e-2)


@pytest.mark.slow
def test_answers_of_a_cascade_with_a_continuous_task(cascaded, rng):
    """Both models are one graph, which also tells where model 1 would have dropped every segment."""
    waveforms = [spoken(rng, s) for s in (2.5, 0.2, 1.4, 0.01, 3.0)]
    contents = files([*waveforms, rng.uniform(-1, 1, 20000), np.zeros(9000), np.sign(rng.standard_normal(9000))])
    expected, found = offline(cascaded, contents), cascaded.ask(audio=contents)
    agree(cascaded, found, expected)
    assert np.ptp(expected["arousal"]) > 1e-2
    assert found["emptied"].dtype == bool and list(found["emptied"]) == list(expected["emptied"])
    assert 0 < found["emptied"].sum() < len(contents)
    assert {len(value) for value in found.values()} == {len(contents)}, "REST's row format requires a row per clip"


@pytest.mark.slow
def test_answers_in_mixed_precision(halved, rng):
    contents = files([spoken(rng, s) for s in (0.7, 2.0, 0.05)])
    agree(halved, halved.ask(audio=contents), offline(halved, contents), atol=1e-2)
    assert halved.facts["tolerance"] == 1e-2


@pytest.mark.slow
def test_answers_of_a_trained_mask_cascade(tmp_path, rng):
    from keras_ser.training import Data, fit

    corpus = tiny.corpus(tmp_path / "corpus")
    data = Data.load(tiny.EVERYTHING, corpus, tmp_path / "cache")
    run = fit(runs.MASK_CASCADE, data, tiny.SPEAKERS.splits(corpus)[1], tmp_path / "run", seed=5)
    served = Served(run.folder, export(run, tmp_path / "exports"))
    assert served.export == tmp_path / "exports" / "mask_cascade" / "1"
    contents = files([spoken(rng, s) for s in (0.9, 2.1, 0.04)])
    agree(served, served.ask(audio=contents), offline(served, contents))


def test_version_is_the_next_integer(tmp_path):
    for name in ("1", "2", "10", "07", "x3", ".5"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").write_text("a file counts, too")
    part = tmp_path / ".1234.part"
    part.mkdir()
    (part / "saved_model.pb").write_bytes(b"x")
    assert saved_model._number(part, tmp_path) == tmp_path / "12"
    assert (tmp_path / "12" / "saved_model.pb").exists() and not part.exists()


def test_version_that_another_export_takes_first(tmp_path, monkeypatch):
    part = tmp_path / ".1234.part"
    part.mkdir()
    rename = saved_model.os.rename

    def slower(source, target):
        monkeypatch.setattr(saved_model.os, "rename", rename)
        target.mkdir()
        (target / "saved_model.pb").write_bytes(b"another's")
        rename(source, target)

    monkeypatch.setattr(saved_model.os, "rename", slower)
    assert saved_model._number(part, tmp_path) == tmp_path / "2"
    assert (tmp_path / "1" / "saved_model.pb").read_bytes() == b"another's"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "the name of a model must be 1 to 100 letters"),
        ({"name": "../up"}, "the name of a model must be 1 to 100 letters"),
        ({"max_seconds": 0.05}, "`max_seconds` must be from 0.1 to 36000"),
        ({"max_seconds": float("nan")}, "`max_seconds` must be from 0.1 to 36000"),
    ],
)
def test_invalid_options_are_refused(served, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        export(served.run, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_another_backend_is_refused(served, tmp_path, monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match="a SavedModel requires KERAS_BACKEND=tensorflow. Received: jax"):
        export(served.run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def wrong(found):
    return {**found, "emotion/probabilities": found["emotion/probabilities"] + 1e-4}


def by_python(found):
    p = found["emotion/probabilities"]
    same = tf.numpy_function(lambda a: a, [p], tf.float32)
    same.set_shape(p.shape)
    return {**found, "emotion/probabilities": same}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (wrong, "predict, one by one: emotion/probabilities of clip 0 differs by 0.0001"),
        (by_python, "lacks: PyFunc"),
    ],
    ids=["other answers", "foreign op"],
)
def test_refused_export_leaves_only_older_versions(served, tmp_path, monkeypatch, broken, words):
    """The exported functions are broken, those that they are compared with are not."""
    answers = iter([broken, lambda found: found])

    def functions(run, model):
        answer, checks = next(answers), test_export_checks
        return checks.traced(lambda given: answer(checks.model(given))), checks.traced(checks.embedding)

    monkeypatch.setattr(saved_model, "_functions", functions)
    monkeypatch.setattr(type(served.run), "model", lambda run: test_export_checks.NO_LAYERS)
    (tmp_path / "second" / "1").mkdir(parents=True)
    (tmp_path / "second" / "1" / "saved_model.pb").write_bytes(b"an older one")
    with pytest.raises(ExportError, match=words):
        export(served.run, tmp_path, "second", MAX_SECONDS)
    left = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))]
    assert left == ["second", "second/1", "second/1/saved_model.pb"]


def test_interrupted_export_leaves_nothing(served, tmp_path, monkeypatch):
    def interrupted(folder, *args):
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(saved_model, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(served.run, tmp_path, "first")
    assert not list(tmp_path.iterdir())


def test_exports_at_once_have_folders_of_their_own_and_remove_old_ones_of_killed_exports(served, tmp_path, monkeypatch):
    for name, age in ((".77.part.", 2 * STALE_SECONDS), (".78.part.", 0)):
        (tmp_path / "emotions" / name / "variables").mkdir(parents=True)
        for path in (tmp_path / "emotions" / name / "variables", tmp_path / "emotions" / name):
            os.utime(path, (time.time() - age,) * 2)
    seen = []

    def interrupted(folder, *args):
        folder.mkdir()
        seen.append(folder)
        if len(seen) == 1:
            with pytest.raises(KeyboardInterrupt):
                export(served.run, tmp_path, "emotions")
            assert folder.is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(saved_model, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(served.run, tmp_path, "emotions")
    assert len(set(seen)) == 2 and [path.name for path in (tmp_path / "emotions").iterdir()] == [".78.part."]


def test_cudnn_is_disabled_in_every_recurrent_layer():
    """In models in models, in lists and in attributes of layers."""
    x = keras.Input((None, 5), name="x")
    inner = keras.Model(x, StackedLSTM(3, 2)(keras.layers.GRU(2, return_sequences=True)(x)))
    both = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))
    model = keras.Model(x, StackedLSTM(3, 2, name="more")(both(inner(x))))
    _prepare(model)
    found = [layer.use_cudnn for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    assert len(found) >= 7 and not any(found)
