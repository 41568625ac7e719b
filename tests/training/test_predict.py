"""Predictions: whose row, whose truth, whose probabilities; with a model that was never trained."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops
from sklearn.metrics import recall_score

from keras_ser.evaluation import read_predictions, score, write_predictions
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.evaluation.scores import uar_or_ccc
from keras_ser.experiment import planning
from keras_ser.tasks import Task
from keras_ser.training import build, predict
from keras_ser.training.inference import Kept, forward
from keras_ser.training.predictions import judged, scored_streams, truths
from tests.training import tiny


def untrained(recipe):
    """The recipe's whole model with its first weights, statistics of decibels and all."""
    from keras_ser.features import Frontend
    from keras_ser.models.whole_model import assembled, extractor

    keras.utils.set_random_seed(1)  # some first weights leave no unit above 0
    extract = extractor(Frontend(**recipe.frontend.options()))
    made, score = build(recipe, {name: extract.output[name].shape[1:] for name in recipe.frontend.features})
    network = made.model
    bins = network.get_layer("normalization").mean.shape[0]
    network.get_layer("normalization").set_statistics(np.full(bins, -40.0), np.full(bins, 300.0))
    return assembled(extract, score, "untrained")


@pytest.fixture(scope="module")
def model():
    return untrained(tiny.EVERYTHING)


@pytest.fixture(scope="module")
def table(model, data, split):
    return predict(model, tiny.EVERYTHING, data, split, seed=5)


def test_one_row_a_clip_and_stream_in_the_corpuss_order(table, split):
    assert list(table["stream"]) == ["clean"] * 3 + ["noisy"] * 3
    assert list(table["id"]) == 2 * sorted(split.test)
    assert list(table["speaker"]) == ["f01"] * 6
    assert list(table["group"]) == ["f01"] * 6
    expected = ["stream", "id", "speaker", "gender", "group"]
    for task in (tiny.EMOTION, tiny.GENDER, tiny.NOISE):
        labels = [f"{task.name}/{label}" for label in task.labels]
        expected += [name for name in (task.name, f"{task.name}/prediction") if name not in expected] + labels
    assert list(table.columns) == expected


def test_truth_is_the_corpuss_and_missing_stays_missing(table):
    assert list(table["emotion"]) == 2 * ["anger", "", "sadness"]
    assert list(table["gender"]) == 2 * ["female", "female", ""]
    assert list(table["noise"][:3]) == ["clean"] * 3
    assert set(table["noise"][3:]) <= {"white", "pink"}


def test_noise_is_scored_in_every_stream_and_is_the_same_for_every_seed(model, data, split):
    """In one stream alone there is the class "clean" alone: UAR 100 % for whoever always says so."""
    runs = [SimpleNamespace(model=lambda: model, recipe=tiny.EVERYTHING, split=split, seed=seed) for seed in (0, 1)]
    table = pd.concat([planning.tested(run, data, split.protocol) for run in runs])
    found = score(table, tiny.NOISE, split.protocol)
    assert found.streams == ("clean", "noisy") and found.clips == 3 and found.seeds == (0, 1)
    rows = table[table["seed"] == 0]
    assert list(rows["noise"]) == list(table["noise"][table["seed"] == 1]) and set(rows["noise"]) > {"clean"}
    uar = recall_score(rows["noise"], rows["noise/prediction"], average="macro", labels=rows["noise"].unique())
    by_name = {each.metric: each.value for each in found.scores}
    np.testing.assert_allclose(by_name["uar"], uar, rtol=1e-6)
    assert uar_or_ccc(rows, tiny.NOISE) == pytest.approx(uar)
    assert score(table, tiny.EMOTION, split.protocol).streams == ("clean",)


def test_probabilities_are_the_models_for_that_clip(table, model, data):
    from keras_ser.audio import io

    for _, row in table[:3].iterrows():
        utterance = next(u for u in data.corpus if u.id == row["id"])
        waveform = io.read(data.corpus.file(utterance), 16000)
        found = model({"waveform": waveform[None], "length": np.array([len(waveform)], "int32")}, training=False)
        for task in tiny.EVERYTHING.tasks:
            p = ops.convert_to_numpy(found[task.name])[0]
            shown = row[[f"{task.name}/{label}" for label in task.labels]].to_numpy("float32")
            np.testing.assert_allclose(shown, p, atol=1e-5)
            assert row[f"{task.name}/prediction"] == task.labels[int(shown.argmax())]


@pytest.mark.slow
def test_noises_are_drawn_from_the_seed(table, model, data, split):
    columns = [f"emotion/{label}" for label in tiny.EMOTION.labels]
    again = predict(model, tiny.EVERYTHING, data, split, seed=5)
    other = predict(model, tiny.EVERYTHING, data, split, seed=6)
    assert again.equals(table)
    assert other[:3].equals(table[:3]), "clean clips know no seed"
    assert not np.array_equal(other[columns][3:], table[columns][3:])


@pytest.mark.slow
@pytest.mark.parametrize("side", ["validation", "train"])
def test_other_sides_and_no_group(model, data, split, side):
    found = predict(model, tiny.SINGLE.replace(tasks=tiny.EVERYTHING.tasks), data, split, side, group="none")
    assert list(found["id"]) == sorted(getattr(split, side)) and set(found["group"]) == {""}


def test_evaluation_takes_the_table(table, tmp_path):
    full = table.assign(protocol="speakers", fold=1, seed=0)
    checked = check_predictions(full, tiny.EVERYTHING.tasks)
    write_predictions(full, tmp_path / "predictions.csv")
    again = check_predictions(read_predictions(tmp_path / "predictions.csv"), tiny.EVERYTHING.tasks)
    pd.testing.assert_frame_equal(again[checked.columns], checked, rtol=1e-6)


def test_a_continuous_task(data, split):
    recipe = tiny.SINGLE.replace(tasks=(tiny.AROUSAL,), monitor="val_arousal_ccc")
    model = untrained(recipe)
    found = predict(model, recipe, data, split)
    assert list(found.columns)[5:] == ["arousal", "arousal/prediction"]
    truth = [u.labels["arousal"] for u in data.corpus if u.id in split.test]
    np.testing.assert_allclose(found["arousal"], truth)
    assert found["arousal/prediction"].std() > 0


def test_truths():
    class Row(dict):
        column = dict.get

    task = dataclasses.replace(tiny.EMOTION, merge={"rage": "anger"}, ignore=("boredom",))
    rows = [Row(emotion=label) for label in ("rage", "neutral", None, "boredom")]
    assert truths(task, rows, "made") == ["anger", "neutral", "", ""]
    numbers = truths(tiny.AROUSAL, [Row(arousal=0.25), Row(arousal=None)], "made")
    assert numbers[0] == 0.25 and np.isnan(numbers[1])


@pytest.mark.parametrize(
    ("streams", "tasks", "scored"),
    [
        ([None], ["emotion"], [0]),
        ([None, None], ["emotion", "gender"], [0]),
        ([None, None], ["emotion", "noise"], [0, 1]),
        (["other", None, None], ["emotion"], [1]),
        ([None, "other", None], ["emotion", "noise"], [0, 2]),
    ],
)
def test_scored_streams(streams, tasks, scored):
    known = {task.name: task for task in (tiny.EMOTION, tiny.GENDER, tiny.NOISE)}
    made = [dataclasses.replace(tiny.CLEAN, name=f"s{i}", corpus=corpus) for i, corpus in enumerate(streams)]
    recipe = tiny.EVERYTHING.replace(streams=tuple(made), tasks=tuple(known[name] for name in tasks))
    assert scored_streams(recipe) == scored


def test_kept_batches_are_computed_in_the_first_whole_pass_only():
    class Batches:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield 1
            if self.passes == 1:
                raise OSError
            yield 2

    kept = Kept(batches := Batches())
    with pytest.raises(OSError):
        list(kept)
    assert [list(kept), list(kept)] == [[1, 2], [1, 2]] and batches.passes == 2


def test_forward_is_one_graph_for_every_length(model, rng):
    traced = []

    class Traced:
        input = model.input

        def __call__(self, given, training):
            traced.append(given)
            return model(given, training=training)

    infer = forward(Traced())
    for batch, samples in ((1, 900), (3, 4000), (2, 16000)):
        waveform = 0.1 * rng.normal(size=(batch, samples)).astype("float32")
        given = {"waveform": waveform, "length": np.full(batch, samples, "int32")}
        expected = model(given, training=False)
        for name, value in infer({k: ops.convert_to_tensor(v) for k, v in given.items()}).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-5)
    assert len(traced) == 1


SPEAKER = Task("speaker", ("f01", "f03", "m02", "m04"), identity=True)


@pytest.mark.parametrize(
    ("side", "apart", "validation_apart", "judged_too"),
    [
        ("test", ("speaker",), True, False),
        ("test", ("session",), True, True),
        ("test", ("speaker",), False, False),
        ("validation", ("speaker",), True, False),
        ("validation", ("speaker",), False, True),
    ],
)
def test_nobody_can_be_named_who_was_never_heard(split, side, apart, validation_apart, judged_too):
    split = dataclasses.replace(split, apart=apart, validation_apart=validation_apart)
    tasks = (tiny.EMOTION, SPEAKER, tiny.GENDER)
    assert judged(tasks, split, side) == (tasks if judged_too else (tiny.EMOTION, tiny.GENDER))
