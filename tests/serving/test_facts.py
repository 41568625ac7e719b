"""An export's metadata is complete, is read without TensorFlow, and is refused in another format."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import keras_ser
from keras_ser.audio.waveforms import problems
from keras_ser.errors import UserError
from keras_ser.evaluation import read_predictions
from keras_ser.recipe import FrontendConfig, Recipe
from keras_ser.reports import score_report
from keras_ser.serving import ExportVersionWarning, Predictor, find_export, read_facts, saved_model
from keras_ser.serving.facts import FACTS, FORMAT
from keras_ser.tasks import Task

ROOT = Path(__file__).resolve().parents[2]


def test_facts_of_an_export(served):
    facts, recipe = served.facts, served.run.recipe
    assert (facts["name"], facts["format"], facts["keras_ser"]) == ("emotions", FORMAT, keras_ser.__version__)
    assert (facts["sample_rate"], facts["minimum_samples"], facts["max_seconds"]) == (16000, 400, 3)
    assert tuple(Task.from_dict(task) for task in facts["tasks"]) == recipe.tasks
    assert Recipe.from_json(json.dumps(facts["recipe"])) == recipe
    assert facts["run"] == {"protocol": "speakers", "fold": 1, "seed": 0} and facts["metrics"] == {}
    own = [value for what, value in facts["parity"].items() if not what.endswith("Hz")]
    assert max(own) <= facts["tolerance"] == 1e-5
    assert "RFFT" in facts["ops"] and facts["ops"] == sorted(facts["ops"])


def test_the_shortest_clip_is_that_which_predict_does_not_call_too_short():
    """25 ms, also of wav2vec 2.0, whose front end hands on the waveform in pieces of 10 ms; more for a longer window."""
    pieces = FrontendConfig(("waveform",), window=160, hop=160)
    assert saved_model._shortest([pieces]) == 400
    assert saved_model._shortest([pieces, FrontendConfig(window=640, fft=1024)]) == 640
    assert "shorter than one window" in problems(np.ones(399, "float32"), 16000)
    assert "shorter than one window" not in problems(np.ones(400, "float32"), 16000)


def test_metrics_are_of_the_stream_that_the_report_scores(tmp_path):
    """A clean and a noisy stream of the same clips: "noise" is scored on the noisy one; clips without a label are left out."""
    emotion, noise = Task("emotion", ("calm", "cross")), Task("noise", ("hum", "hiss"))
    columns = ["stream", "id", "emotion", "emotion/prediction", "noise", "noise/prediction"]
    rows = [
        ("clean", "a", "calm", "calm", "", "hum"),
        ("clean", "b", "cross", "cross", "", "hum"),
        ("clean", "c", "cross", "calm", "", "hum"),
        ("clean", "d", "", "calm", "", "hum"),
        ("noisy", "a", "calm", "cross", "hum", "hiss"),
        ("noisy", "b", "cross", "calm", "hiss", "hiss"),
    ]
    table = pd.DataFrame(rows, columns=columns).assign(protocol="p", fold=0, seed=0, gender="")
    table["speaker"] = table["group"] = table["id"]
    for task in (emotion, noise):
        for label in task.labels:
            table[f"{task.name}/{label}"] = (table[f"{task.name}/prediction"] == label).astype(float)
    table.to_csv(tmp_path / "predictions.csv", index=False)
    split = SimpleNamespace(apart=(), speaker_dependent=True, chosen_on_test=False)
    run = SimpleNamespace(folder=tmp_path, split=split, recipe=SimpleNamespace(tasks=(emotion, noise)))
    found = saved_model._metrics(run)
    assert found["speaker_dependent"] is True and found["speakers"] == 4
    assert found["emotion"] == {"uar": 0.75, "accuracy": pytest.approx(2 / 3), "clips": 3}
    assert found["noise"] == {"uar": 0.5, "accuracy": 0.5, "clips": 2}
    split.chosen_on_test = True
    assert saved_model._metrics(run) == {}, "the test set chose the model"
    told = score_report(read_predictions(tmp_path / "predictions.csv"), (emotion, noise), title="both")
    for result in told.results:
        assert result["uar"].value == found[result.task]["uar"]


def test_facts_are_read_without_tensorflow(served):
    script = (
        "import sys\n"
        "from keras_ser.serving import find_export, read_facts\n"
        "print(read_facts(find_export(sys.argv[1]))['tasks'][0]['labels'])\n"
        "heavy = sorted({m.split('.')[0] for m in sys.modules} & {'tensorflow', 'keras', 'torch', 'jax'})\n"
        "assert not heavy, heavy"
    )
    command = [sys.executable, "-c", script, served.export.parent]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['anger', 'neutral', 'sadness']"


def test_find_export_takes_the_newest_version(served, tmp_path):
    assert find_export(served.export) == find_export(served.export.parent) == served.export
    assert find_export(served.folder) is None and find_export(tmp_path / "nowhere") is None
    for version in ("2", "10", "9", "11", "x"):
        (tmp_path / version / "assets").mkdir(parents=True)
        if version != "11":
            shutil.copy(served.export / FACTS, tmp_path / version / FACTS)
    assert find_export(tmp_path) == tmp_path / "10"


KNOWN = {
    "format": FORMAT,
    "keras_ser": keras_ser.__version__,
    "name": "x",
    "sample_rate": 8000,
    "max_seconds": 9.5,
    "tasks": [],
    "recipe": {"corpus": "demo", "frontend": {}},
    "run": {"protocol": "p"},
}


def write(folder: Path, contents: bytes) -> Path:
    (folder / "assets").mkdir()
    (folder / FACTS).write_bytes(contents)
    return folder


def test_another_version_of_the_package_is_a_warning(tmp_path):
    folder = write(tmp_path, json.dumps(KNOWN | {"keras_ser": "0.0.7"}).encode())
    with pytest.warns(ExportVersionWarning, match=rf"by keras_ser 0\.0\.7, and this is {keras_ser.__version__}"):
        assert read_facts(folder)["name"] == "x"


def test_another_format_is_refused(tmp_path):
    folder = write(tmp_path, json.dumps({"format": FORMAT + 1, "keras_ser": "9.1"}).encode())
    with pytest.raises(ValueError, match=rf"of format {FORMAT + 1}, made by keras_ser 9\.1;.* reads format {FORMAT}\."):
        read_facts(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tasks": None}, "it lacks tasks"),
        ({"recipe": {"corpus": "demo"}, "run": {}}, r"it lacks recipe\.frontend, run\.protocol"),
        ({"run": [], "name": 3}, "it lacks name, run"),
        ({"tasks": [{"labels": ["a", "b"]}]}, "is damaged"),
        ({"recipe": {"corpus": "demo", "frontend": 3}}, "is damaged"),
    ],
)
def test_facts_that_lack_what_is_read_are_refused(tmp_path, change, words):
    folder = write(tmp_path, json.dumps(KNOWN | change).encode())
    with pytest.raises(UserError, match=rf"keras_ser\.json is damaged.*{words}.* Export the run again|{words} \("):
        Predictor.load(folder)


@pytest.mark.parametrize("contents", [None, b"", b'{"format": 1', b"\xff\xfe\x00", b"[1, 2]", b'{"format": 1}'])
def test_anything_else_is_refused(tmp_path, contents):
    folder = tmp_path if contents is None else write(tmp_path, contents)
    with pytest.raises(ValueError, match="expected an export of keras-ser"):
        read_facts(folder)
