"""What an explanation promises: shares that sum to 1, contributions that sum to the difference, loops that agree."""

import json

import keras
import numpy as np
import pytest
import soundfile

from keras_ser.cli import main
from keras_ser.features import Frontend
from keras_ser.models.attention_dnn import Config
from keras_ser.models.whole_model import extractor, whole_model
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.serving.explain import Explainer, explain, shared_out
from keras_ser.tasks import Task
from keras_ser.training import Run, build
from keras_ser.training.run import claim
from tests.models.rows import randomized
from tests.training import tiny

RATE = 16000
RECIPE = Recipe(
    name="attention",
    corpus="demo",
    tasks=(tiny.EMOTION, Task("activation", ("high", "low")), tiny.AROUSAL),
    protocols=(tiny.SPEAKERS,),
    model="attention_dnn",
    config=Config(units=(9,)),
    frontend=FrontendConfig(features=("short_term", "energy"), endpoint=False, statistics=True),
    sampling=Sampling("whole"),
)


def write(recipe: Recipe, folder, corpus) -> Run:
    """A finished run with random weights."""
    split = tiny.SPEAKERS.splits(corpus)[0]
    claim(folder, recipe, split, 0)
    extract = extractor(Frontend(**recipe.frontend.options()))
    sizes = {name: extract.output[name].shape[1:] for name in recipe.frontend.features}
    made, score = build(recipe, sizes)
    network = made.model
    randomized(network, 5)
    network.get_layer("normalization").set_statistics(
        np.linspace(-1, 1, bins := sum(size for _, size in sizes.values())), np.full(bins, 4.0)
    )
    whole_model(extract, score, recipe.name).save(folder / "model.keras")
    (folder / "history.json").write_text(
        json.dumps({"seed": 0, "monitor": None, "best_epoch": 1, "epochs": [{"epoch": 1}]})
    )
    return Run.load(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(
    scope="module", params=[Config(units=(9,)), Config(units=(7, 4), activation="relu", attention="scalar")]
)
def run(request, corpus, tmp_path_factory):
    return write(RECIPE.replace(config=request.param), tmp_path_factory.mktemp("runs") / "run", corpus)


@pytest.fixture(scope="module")
def waveform():
    rng = np.random.default_rng(7)
    t = np.arange(12345) / RATE
    return (0.3 * np.sin(2 * np.pi * 170 * t * (1 + 0.1 * t)) + 0.02 * rng.standard_normal(len(t))).astype("float32")


def test_the_answers_are_the_models(run, waveform):
    found = Explainer(run)(waveform)
    whole = run.model()({"waveform": waveform[None], "length": np.array([len(waveform)])}, training=False)
    for told in found.tasks[:2]:
        answer = np.asarray(whole[told.task][0])
        labels = next(task.labels for task in RECIPE.tasks if task.name == told.task)
        assert told.label == labels[answer.argmax()] and told.probability == pytest.approx(answer.max(), abs=1e-5)
    assert found.tasks[2].label == "value"
    assert found.tasks[2].probability == pytest.approx(float(whole["arousal"][0, 0]), abs=1e-4)


def test_attention_sums_to_one_and_contributions_to_the_difference(run, waveform):
    explainer = Explainer(run)
    found = explainer(waveform)
    for told, task in zip(found.tasks, RECIPE.tasks, strict=True):
        assert told.features[:2] == ("mean zero_crossing_rate", "mean energy") and len(told.features) == 70
        assert told.features[34] == "variance zero_crossing_rate" and told.features[68:] == (
            "mean energy",
            "variance energy",
        )
        assert told.attention.min() >= 0 and told.attention.sum() == pytest.approx(1, abs=1e-5)
        assert told.even.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(told.focus * told.even, told.attention, rtol=1e-6)
        assert told.units.sum() == pytest.approx(1, abs=1e-5)
        assert 1 <= told.effective_units <= len(told.units) + 1e-6
        zero, clip = (explainer.judge(x[None].astype("float32"))[told.task][0] for x in (0 * told.values, told.values))
        ends = [np.asarray(keras.ops.convert_to_numpy(p), "float64") for p in (zero, clip)]
        if not task.continuous:
            ends = [np.log(p) for p in ends]
            label = task.labels.index(told.label)
        else:
            label = 0
        assert told.contributions.sum() == pytest.approx(ends[1][label] - ends[0][label], abs=5e-3)


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
    # a clip at the mean tells nothing of which feature it was
    np.testing.assert_allclose(shared_out(weights, kernels[1:], [np.zeros(4)]), 0.25)


def test_the_command(run, waveform, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    picture = tmp_path / "new" / "bars.png"
    assert main(["explain", str(run.folder), str(tmp_path / "a.wav"), "--top", "4", "--plot", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert "66 others" in shown and "activation: " in shown and picture.stat().st_size > 10_000
    assert main(["explain", str(run.folder), str(tmp_path / "a.wav"), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["tasks"]["emotion"]
    found = explain(run, tmp_path / "a.wav").tasks[0]
    assert told["label"] == found.label and len(told["features"]) == 70
    sizes = [abs(row["contribution"]) for row in told["features"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(row["attention"] for row in told["features"]) == pytest.approx(1)
    soundfile.write(tmp_path / "long.wav", np.zeros(8000 * 61), 8000)
    assert main(["explain", str(run.folder), str(tmp_path / "long.wav")]) == 2
    assert "long.wav: expected at most 60 s, received 61.0 s" in capsys.readouterr().err
    assert main(["explain", str(run.folder), str(tmp_path / "b.wav")]) == 2
    assert "b.wav" in capsys.readouterr().err


def test_a_model_without_attention_is_refused(corpus, tmp_path):
    run = write(RECIPE.replace(config=Config(units=(4,), attention=None)), tmp_path / "run", corpus)
    with pytest.raises(ValueError, match="no attention over features"):
        Explainer(run)
