"""Shares of an explanation sum to 1, contributions to the difference in log p, and loops agree."""

import dataclasses
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import soundfile

from keras_ser.cli import main
from keras_ser.layers import FeatureAttention
from keras_ser.models.attention_dnn import Config
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.serving.attribution import Attribution, TaskAttribution
from keras_ser.serving.explanation import explain
from keras_ser.serving.feature_attention import AttentionExplainer, attends, shared_out
from keras_ser.serving.integrated_gradients import Attributor
from keras_ser.tasks import Task
from tests.serving import runs
from tests.training import tiny

RATE = 16000
RECIPE = Recipe(
    name="attention",
    corpus="demo",
    tasks=(tiny.EMOTION, Task("activation", ("high", "low")), tiny.AROUSAL),
    protocols=(tiny.SPEAKERS,),
    model="attention_dnn",
    config=Config(units=(7, 4), activation="relu"),
    frontend=FrontendConfig(features=("short_term", "energy"), endpoint=False, statistics=True),
    sampling=Sampling("whole"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return runs.write(RECIPE, tmp_path_factory.mktemp("runs") / "run", seed=5)


@pytest.fixture(scope="module")
def waveform():
    rng = np.random.default_rng(7)
    t = np.arange(12345) / RATE
    return (0.3 * np.sin(2 * np.pi * 170 * t * (1 + 0.1 * t)) + 0.02 * rng.standard_normal(len(t))).astype("float32")


def test_answers_are_the_models(run, waveform):
    model = run.model()
    found = AttentionExplainer(RECIPE, model)(waveform)
    whole = model({"waveform": waveform[None], "length": np.array([len(waveform)])}, training=False)
    for told in found.tasks[:2]:
        answer = np.asarray(whole[told.task][0])
        labels = next(task.labels for task in RECIPE.tasks if task.name == told.task)
        assert told.label == labels[answer.argmax()] and told.probability == pytest.approx(answer.max(), abs=1e-5)
    assert found.tasks[2].label == "value"
    assert found.tasks[2].probability == pytest.approx(float(whole["arousal"][0, 0]), abs=1e-4)


def test_attention_sums_to_one_and_contributions_to_the_difference(run, waveform):
    explainer = AttentionExplainer(RECIPE, run.model())
    names = explainer.features
    assert len(names) == 70 and names[:2] == ("mean zero_crossing_rate", "mean energy")
    assert names[34] == "variance zero_crossing_rate" and names[68:] == ("mean energy", "variance energy")
    for told, task in zip(explainer(waveform).tasks, RECIPE.tasks, strict=True):
        rows = told.features
        assert sorted(rows["feature"]) == sorted(names) and rows["contribution"].abs().is_monotonic_decreasing
        assert rows["attention"].min() >= 0
        for shares in (rows["attention"], rows["even"], told.units):
            assert shares.sum() == pytest.approx(1, abs=1e-5)
        assert 1 <= told.effective_units <= len(told.units) + 1e-6
        clip = rows["value"].loc[range(len(rows))].to_numpy("float32")  # in the order of the features
        ends = (explainer.judge(x[None])[told.task][0] for x in (0 * clip, clip))
        zero, full = (np.asarray(keras.ops.convert_to_numpy(p), "float64") for p in ends)
        label = 0 if task.continuous else task.labels.index(told.label)
        difference = full - zero if task.continuous else np.log(full) - np.log(zero)
        assert rows["contribution"].sum() == pytest.approx(difference[label], abs=5e-3)


def test_shares_against_loops(rng):
    kernels = [rng.normal(size=(5, 4)), rng.normal(size=(4, 3))]
    inputs = [rng.normal(size=5), np.array([0.5, 0.0, -2.0, 1.0])]
    weights = np.array([0.2, 0.7, 0.1])
    middle = np.zeros(4)
    for j in range(3):
        total = sum(abs(kernels[1][k, j] * inputs[1][k]) for k in range(4))
        for i in range(4):
            middle[i] += weights[j] * abs(kernels[1][i, j] * inputs[1][i]) / total
    expected = np.zeros(5)
    for j in range(4):
        total = sum(abs(kernels[0][k, j] * inputs[0][k]) for k in range(5))
        for i in range(5):
            expected[i] += middle[j] * abs(kernels[0][i, j] * inputs[0][i]) / total
    np.testing.assert_allclose(shared_out(weights, kernels, inputs), expected, rtol=1e-9)
    # inputs of 0 share equally
    np.testing.assert_allclose(shared_out(weights, kernels[1:], [np.zeros(4)]), 0.25)


def test_explain_command(run, waveform, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    picture = tmp_path / "new" / "bars.png"
    assert main(["explain", str(run.folder), str(tmp_path / "a.wav"), "--top", "4", "--plot", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert "66 others" in shown and "activation: " in shown and picture.stat().st_size > 10_000
    assert main(["explain", str(run.folder), str(tmp_path / "a.wav"), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["tasks"]["emotion"]
    found = explain(run, tmp_path / "a.wav").tasks[0]
    assert told["label"] == found.label
    assert [row["contribution"] for row in told["features"]] == pytest.approx([*found.features["contribution"]])
    soundfile.write(tmp_path / "long.wav", np.zeros(8000 * 61), 8000)
    assert main(["explain", str(run.folder), str(tmp_path / "long.wav")]) == 2
    assert "long.wav: expected at most 60 s, received 61.0 s" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["attention", "gradients"])
def test_explanations_name_the_problems_of_the_audio_and_any_file(kind, run, tmp_path, monkeypatch, capfd):
    """The same words, and the same form of a name that is not UTF-8, as `predict` has."""
    if kind == "gradients":
        values = {"log_mel": np.ones((3, 2))}
        made = Attribution(Path(), (TaskAttribution("t", "a", 0.5, 6.0, values),), values, {"log_mel": np.arange(3.0)})
        monkeypatch.setattr(
            "keras_ser.serving.explanation.AttentionExplainer", lambda *_: lambda x, path: replace(made, path=path)
        )
    loud = np.clip(8 * np.sin(np.arange(RATE) / 9), -1, 1)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xff.wav"))
    soundfile.write(os.fsencode(path), np.stack([loud, 0 * loud], 1), RATE)
    problems, name = ["silent channels", "clipped"], str(tmp_path / r"n\xff.wav")
    assert main(["explain", str(run.folder), str(path)]) == 0
    assert capfd.readouterr().out.splitlines()[:2] == [name, f"problems of its audio: {', '.join(problems)}"]
    assert main(["explain", str(run.folder), str(path), "--format=json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["file"], told["problems"]) == (name, problems)
    assert main(["predict", str(run.folder), str(path)]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["file"], told["problems"]) == (name, problems)
    soundfile.write(tmp_path / "good.wav", 0.1 * loud, RATE)
    assert "problems" not in explain(run, tmp_path / "good.wav").to_dict()


@pytest.mark.parametrize("kind", ["no attention", "segments"])
def test_networks_without_attention_over_whole_clips_are_explained_over_time(kind, run, waveform, tmp_path):
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    if kind == "segments":
        run = dataclasses.replace(run, recipe=RECIPE.replace(sampling=Sampling(seconds=0.5, balance=False)))
    else:
        run = runs.write(RECIPE.change({"config.attention": None}), tmp_path / "run", seed=5)
    found = explain(run, tmp_path / "a.wav")
    assert isinstance(found, Attribution)
    for told in found.tasks:
        assert told.total == pytest.approx(told.difference, rel=0.02, abs=5e-3)


def test_attention_of_a_network_of_another_form_is_not_what_is_explained():
    x = keras.Input((4,))
    network = keras.Model(x, FeatureAttention(name="attention_emotion")(keras.layers.Dense(3)(x)))
    whole = SimpleNamespace(get_layer=lambda name: SimpleNamespace(layers=[network]))
    assert not attends(RECIPE.replace(tasks=(tiny.EMOTION,)), whole)


def test_baseline_has_no_gradients_to_explain(tmp_path, run):
    (tmp_path / "model.skops").touch()
    with pytest.raises(ValueError, match="is a baseline .* which has no gradients: give the run of a network"):
        explain(dataclasses.replace(run, folder=tmp_path), tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("labels", "closing", "axis"),
    [
        (["anger"], "log p of the predicted class, against", "log p(anger)"),
        (["value"], "the value, against", "the value"),
        (
            ["anger", "value"],
            "log p of the predicted class (of a continuous task: to the value), against",
            "log p(anger)",
        ),
    ],
)
def test_what_is_explained_and_its_baseline_are_named(labels, closing, axis):
    values = {"log_mel": np.ones((3, 2)), "waveform": np.ones((3, 1))}
    tasks = tuple(TaskAttribution(f"t{i}", label, 0.5, 9.0, values) for i, label in enumerate(labels))
    explained = Attributor.__new__(Attributor)
    explained.joined = {}
    explained.standardised = {"log_mel"}
    against = explained._against(list(values))
    found = Attribution(Path("a.wav"), tasks, values, {name: np.arange(3) / 100 for name in values}, against=against)
    assert found.lines()[-1] == (
        f"Contribution to {closing} the mean frame of the training set (log_mel), white noise of the clip's level (waveform)."
    )
    assert found.figure().axes[1].get_ylabel() == f"contribution to\n{axis}"
    assert (
        explained._against(["log_mel"]) == "the mean frame of the training set" and explained._against(["mfcc"]) == "0"
    )


def test_a_frame_counts_in_the_segment_in_which_it_starts():
    values = {"log_mel": np.array([[1.0, 2.0], [4.0, 8.0]])}
    told = TaskAttribution("t", "a", 0.5, 15.0, values)
    found = Attribution(Path("a.wav"), (told,), values, {"log_mel": np.array([0.0, 0.5])})
    assert found.by_time(told, np.array([0.0, 0.5, 1.0])).tolist() == [3, 12]
    # a clip too short for a frame of one of the features
    both = values | {"waveform": np.zeros((0, 1))}
    told = TaskAttribution("t", "a", 0.5, 15.0, both)
    found = Attribution(Path("a.wav"), (told,), both, {"log_mel": np.array([0.0, 0.5]), "waveform": np.zeros(0)})
    assert found.seconds == 1.0 and found.lines(2)[-3].split() == ["sum", "+15.000"]


@pytest.mark.slow
def test_explain_command_shows_any_network_over_time(served, waveform, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    picture = tmp_path / "time.png"
    command = ["explain", str(served.folder), str(tmp_path / "a.wav")]
    assert main([*command, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    whole = {
        name: np.asarray(value[0])
        for name, value in served.offline({"waveform": waveform[None], "length": np.array([len(waveform)])}).items()
    }
    for name, answer in told["tasks"].items():
        assert answer["probability"] == pytest.approx(whole[name].max(), abs=1e-5)
        sums = [sum(feature[axis]) for feature in answer["features"].values() for axis in ("frames", "bins")]
        assert sum(sums) / 2 == pytest.approx(answer["difference"], rel=0.02, abs=5e-3)
        assert {len(f["frames"]) for f in answer["features"].values()} == {len(t) for t in told["seconds"].values()}
    assert main([*command, "--top", "4", "--plot", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(" - 0." in line or " - 1." in line for line in lines) == 4 and picture.stat().st_size > 10_000
