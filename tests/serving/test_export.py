"""A run becomes a SavedModel: where it lies, what its signatures answer, and that a failed export leaves nothing."""

import json
import sys

import numpy as np
import pytest
import soxr
import tensorflow as tf

from keras_ser.serving import export, read_facts
from keras_ser.serving.export import _number
from keras_ser.serving.facts import FACTS
from keras_ser.serving.gate import ExportError
from tests.serving import test_gate
from tests.serving.clips import RATE, batch, files, recorded, spoken
from tests.serving.conftest import TEMPERATURE
from tests.training import tiny

# the module, whose name in its package is the function's
ROOM = sys.modules["keras_ser.serving.export"]


def offline(served, contents: list[bytes]) -> dict[str, np.ndarray]:
    """Keras's answers, clip by clip: {output: (batch, ..)}."""
    rows = [served.offline(batch([x])) for x in contents]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def agree(served, found: dict, expected: dict, atol: float = 1e-5) -> None:
    """Probabilities, labels, scores, values: as Keras's outputs have them."""
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


def test_where_it_lies(served):
    """Beside the older version, with nothing half-made left for a server that watches the folder."""
    assert {path.name for path in served.export.parent.iterdir()} == {"7", "8", "notes.txt"}
    files = {str(path.relative_to(served.export)) for path in served.export.rglob("*") if path.is_file()}
    assert {"saved_model.pb", "variables/variables.index", "assets/keras_ser.json"} <= files
    assert "assets.extra/tf_serving_warmup_requests" in files
    assert not list(served.export.parent.glob(".*"))


def test_signatures(served):
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
def test_a_request_leaves_no_trace(request, name):
    """Nothing is counted: the only assignments are those that load the weights."""
    ops = set(request.getfixturevalue(name).facts["ops"])
    assert {op for op in ops if op.startswith("Assign")} == {"AssignVariableOp"}


def test_answers_of_real_recordings(served, shared_data):
    contents = files(recorded(shared_data, 5))
    expected = offline(served, contents)
    assert len(set(expected["emotion"].argmax(axis=1))) > 1, "a model that hears a difference"
    agree(served, served.ask(contents), expected)
    given = batch(contents)
    found = served.loaded.signatures["predict"](
        waveform=tf.constant(given["waveform"]), lengths=tf.constant(given["length"])
    )
    agree(served, {name: value.numpy() for name, value in found.items()}, expected)


def test_serving_default_is_predict_bytes(served, rng):
    contents = files([spoken(rng, s) for s in (0.9, 0.02, 3.1)], subtype="PCM_24")
    default, named = served.ask(contents), served.ask(contents, "predict_bytes")
    assert default.keys() == named.keys()
    for name in default:
        assert np.array_equal(default[name], named[name])
    agree(served, default, offline(served, contents))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_other_rates(served, rng, rate):
    """Against soxr and Keras."""
    waveforms = [spoken(rng, s, rate) for s in (1.7, 0.4)]
    contents = files(waveforms, rate, "PCM_24")
    arrived = files([soxr.resample(x, rate, RATE, quality="VHQ") for x in waveforms], subtype="FLOAT")
    agree(served, served.ask(contents), offline(served, arrived), atol=1e-2)


def test_embeddings(served, rng):
    """The features that the heads see: Keras's own, of every clip by itself; garbage in the padding is not heard."""
    from keras_ser.models.whole_model import embedder

    given = batch(files([spoken(rng, s) for s in (1.1, 0.3, 2.2)]))
    keras_embed = embedder(served.run.model(), "pool_shared")
    expected = keras_embed(given, training=False).numpy()
    waveform = given["waveform"].copy()
    for row, length in zip(waveform, given["length"], strict=True):
        row[length:] = np.nan
    for x in (given["waveform"], waveform):
        found = served.loaded.signatures["embed"](waveform=tf.constant(x), lengths=tf.constant(given["length"]))
        assert set(found) == {"embedding"}
        np.testing.assert_allclose(found["embedding"], expected, atol=1e-5 * max(1, np.abs(expected).max()))
    assert np.ptp(expected, axis=0).max() > 1e-2


def test_a_hundred_clips_of_very_different_length_keep_their_order(served, rng, monkeypatch):
    """More than one chunk is scored, sorted by length; the answers come in the order of the questions."""
    seconds = np.concatenate([rng.uniform(0.001, 0.6, 92), rng.uniform(5, 8, 7), [1 / RATE]])[rng.permutation(100)]
    contents = files([spoken(rng, s) for s in seconds])
    assert max(batch(contents)["length"]) * 100 > 320 * RATE
    found = served.ask(contents)
    some = rng.choice(100, 12, replace=False)
    agree(served, {name: value[some] for name, value in found.items()}, offline(served, [contents[i] for i in some]))


@pytest.mark.slow
def test_a_cascade_with_a_continuous_task_and_a_temperature(cascaded, rng):
    """Both models are one graph, which also says where model 1 would have dropped everything.

    Probabilities are softmax(log p / T), values are what they are; silence and full scale are no exceptions.
    """
    waveforms = [spoken(rng, s) for s in (2.5, 0.2, 1.4, 0.01, 3.0)]
    contents = files([*waveforms, rng.uniform(-1, 1, 20000), np.zeros(9000), np.sign(rng.standard_normal(9000))])
    expected, found = offline(cascaded, contents), cascaded.ask(contents)
    log = np.log(expected["emotion"].astype(np.float64)) / TEMPERATURE
    soft = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
    assert np.abs(soft - expected["emotion"]).max() > 1e-2
    agree(cascaded, found, {**expected, "emotion": soft})
    assert np.ptp(expected["arousal"]) > 1e-2
    assert found["emptied"].dtype == bool and list(found["emptied"]) == list(expected["emptied"])
    assert 0 < found["emptied"].sum() < len(contents)
    assert {len(value) for value in found.values()} == {len(contents)}, "REST's row format wants a row a clip"


@pytest.mark.slow
def test_mixed_precision(halved, rng):
    contents = files([spoken(rng, s) for s in (0.7, 2.0, 0.05)])
    agree(halved, halved.ask(contents), offline(halved, contents), atol=1e-2)
    assert halved.facts["tolerance"] == 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["SHARED_PRIVATE", "CASCADE", "MASK_CASCADE", "HALVED"])
def test_what_was_trained(corpus, split, tmp_path, recipe, rng):
    """From a corpus on disk to answers."""
    from keras_ser.training import Data, Run, fit
    from tests.serving import runs
    from tests.serving.conftest import Served

    recipe = getattr(runs, recipe)
    data = Data.load(tiny.EVERYTHING, corpus, tmp_path / "cache")
    run = fit(recipe, data, split, tmp_path / "run", seed=5)
    folder = export(run, tmp_path / "exports")
    assert folder == tmp_path / "exports" / recipe.name / "1"
    served = Served(Run.load(run.folder).folder, folder)
    contents = files([spoken(rng, s) for s in (0.9, 2.1, 0.04)])
    expected = offline(served, contents)
    agree(served, served.ask(contents), expected, atol=read_facts(folder)["tolerance"])


@pytest.mark.slow
def test_for_short_clips_only(served, tmp_path):
    """What is longer than the export takes is no golden clip of it, nor a warm-up request."""
    folder = export(served.run, tmp_path, "short", max_seconds=0.25)
    assert json.loads((folder / FACTS).read_text())["max_seconds"] == 0.25


def test_the_next_number(tmp_path):
    for name in ("1", "2", "10", "07", "x3", ".5"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").write_text("a file may stand there too")
    part = tmp_path / ".1234.part"
    part.mkdir()
    (part / "saved_model.pb").write_bytes(b"x")
    assert _number(part, tmp_path) == tmp_path / "12"
    assert (tmp_path / "12" / "saved_model.pb").exists() and not part.exists()


def test_another_export_takes_the_number_first(tmp_path, monkeypatch):
    part = tmp_path / ".1234.part"
    part.mkdir()
    rename = ROOM.os.rename

    def slower(source, target):
        monkeypatch.setattr(ROOM.os, "rename", rename)
        target.mkdir()
        (target / "saved_model.pb").write_bytes(b"another's")
        rename(source, target)

    monkeypatch.setattr(ROOM.os, "rename", slower)
    assert _number(part, tmp_path) == tmp_path / "2"
    assert (tmp_path / "1" / "saved_model.pb").read_bytes() == b"another's"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../up", "-rf", ".hidden", "übung", "a b", "a\n"])
def test_names_that_are_none(served, tmp_path, name):
    with pytest.raises(ValueError, match="the name of a model must be 1 to 100 letters"):
        export(served.run, tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("temperature", "words"),
    [
        ({"emotion": 0.0}, "must be positive and finite. Received: {'emotion': 0.0}"),
        ({"emotion": -1.0}, "must be positive and finite"),
        ({"gender": float("nan")}, "must be positive and finite"),
        ({"gender": float("inf")}, "must be positive and finite"),
        ({"valence": 2.0}, "`temperature` is for emotion, gender. Received: valence"),
    ],
)
def test_temperatures_that_are_none(served, tmp_path, temperature, words):
    with pytest.raises(ValueError, match=words):
        export(served.run, tmp_path / "out", temperature=temperature)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_continuous_task_has_no_temperature(cascaded, tmp_path):
    with pytest.raises(ValueError, match="`temperature` is for emotion. Received: arousal"):
        export(cascaded.run, tmp_path / "out", temperature={"arousal": 2.0})


@pytest.mark.parametrize("seconds", [0, -3, 0.05, 1e6, float("inf"), float("nan")])
def test_lengths_that_are_none(served, tmp_path, seconds):
    with pytest.raises(ValueError, match="`max_seconds` must be from 0.1 to 36000"):
        export(served.run, tmp_path / "out", max_seconds=seconds)
    assert not (tmp_path / "out").exists()


def cheap(broken):
    """Functions for `export` instead of the run's network: first the exported ones, answers as `broken` makes them, then
    those that they are compared with."""
    answers = iter([broken, lambda found: found])

    def functions(run, model, temperature):
        answer = next(answers)
        return test_gate.traced(lambda given: answer(test_gate.model(given))), test_gate.traced(test_gate.embedding)

    return functions


def wrong(found):
    return {**found, "emotion/probabilities": found["emotion/probabilities"] + 1e-4}


def by_python(found):
    p = found["emotion/probabilities"]
    same = tf.numpy_function(lambda a: a, [p], tf.float32)
    same.set_shape(p.shape)
    return {**found, "emotion/probabilities": same}


def test_an_export_with_a_foreign_op_leaves_nothing(served, tmp_path, monkeypatch):
    monkeypatch.setattr(ROOM, "_functions", cheap(by_python))
    with pytest.raises(ExportError, match="lacks: PyFunc"):
        export(served.run, tmp_path, "first")
    assert not list(tmp_path.iterdir())


def test_an_export_with_other_answers_leaves_nothing_but_older_versions(served, tmp_path, monkeypatch):
    monkeypatch.setattr(ROOM, "_functions", cheap(wrong))
    (tmp_path / "second" / "1").mkdir(parents=True)
    (tmp_path / "second" / "1" / "saved_model.pb").write_bytes(b"an older one")
    with pytest.raises(ExportError, match="predict, one by one: emotion/probabilities of clip 0 differs by 0.0001"):
        export(served.run, tmp_path, "second")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "second",
        "second/1",
        "second/1/saved_model.pb",
    ]


def test_an_export_cut_off_leaves_nothing(served, tmp_path, monkeypatch):
    """By Ctrl+C, or a full disk."""

    def interrupted(folder, *args):
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(ROOM, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(served.run, tmp_path, "first")
    assert not list(tmp_path.iterdir())


def test_another_backend(served, tmp_path, monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match="a SavedModel is written by TensorFlow. Received: KERAS_BACKEND=jax"):
        export(served.run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
