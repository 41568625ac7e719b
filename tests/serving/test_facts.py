"""What an export says of itself: read without TensorFlow, and not by a package that does not understand it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import pandas as pd
import pytest
import tensorflow as tf

import keras_ser
from keras_ser.evaluation import read_predictions
from keras_ser.recipe import Recipe
from keras_ser.reports import score_report
from keras_ser.serving import ExportVersionWarning, find_export, read_facts
from keras_ser.serving.facts import FACTS, FORMAT
from keras_ser.tasks import Task
from tests.serving.conftest import TEMPERATURE

ROOT = Path(__file__).resolve().parents[2]


def test_what_a_client_needs(served):
    facts, recipe = served.facts, served.run.recipe
    assert facts["name"] == "emotions" and facts["format"] == FORMAT
    assert (facts["keras_ser"], facts["tensorflow"], facts["keras"]) == (
        keras_ser.__version__,
        tf.__version__,
        keras.__version__,
    )
    assert (facts["sample_rate"], facts["minimum_samples"], facts["max_seconds"]) == (16000, 400, 8)
    assert tuple(Task.from_dict(task) for task in facts["tasks"]) == recipe.tasks
    assert facts["temperature"] == {"emotion": 1.0, "gender": 1.0}
    assert Recipe.from_json(json.dumps(facts["recipe"])) == recipe
    assert facts["run"] == {"protocol": "speakers", "fold": 1, "seed": 0}
    assert (
        max(value for what, value in facts["parity"].items() if not what.endswith("Hz")) <= facts["tolerance"] == 1e-5
    )
    assert "RFFT" in facts["ops"] and facts["ops"] == sorted(facts["ops"])


def test_metrics_are_those_of_the_predictions(served):
    """By scikit-learn; clips without a label are left out."""
    from sklearn.metrics import accuracy_score, recall_score

    table = read_predictions(served.folder / "predictions.csv")
    found = served.facts["metrics"]
    assert found["speakers"] == table["speaker"].nunique() and found["speaker_dependent"] is False
    for task in ("emotion", "gender"):
        told = table[table[task] != ""]
        assert 0 < len(told) < len(table)
        truth, predicted = told[task], told[f"{task}/prediction"]
        uar = recall_score(truth, predicted, labels=sorted(set(truth)), average="macro")
        assert found[task]["uar"] == pytest.approx(uar)
        assert found[task]["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
        assert found[task]["clips"] == len(told)


def test_metrics_are_of_the_stream_that_the_report_scores(tmp_path):
    """A clean and a noisy stream of the same two clips; the noise, of which only the second has labels, on that one."""
    emotion, noise = Task("emotion", ("calm", "cross")), Task("noise", ("hum", "hiss"))
    columns = ["stream", "id", "emotion", "emotion/prediction", "noise", "noise/prediction"]
    rows = [
        ("clean", "a", "calm", "calm", "", "hum"),
        ("clean", "b", "cross", "cross", "", "hum"),
        ("noisy", "a", "calm", "cross", "hum", "hiss"),
        ("noisy", "b", "cross", "calm", "hiss", "hiss"),
    ]
    table = pd.DataFrame(rows, columns=columns).assign(protocol="p", fold=0, seed=0, gender="")
    table["speaker"] = table["group"] = table["id"]
    for task in (emotion, noise):
        for label in task.labels:
            table[f"{task.name}/{label}"] = (table[f"{task.name}/prediction"] == label).astype(float)
    table.to_csv(tmp_path / "predictions.csv", index=False)
    split = SimpleNamespace(apart=(), speaker_dependent=True)
    run = SimpleNamespace(folder=tmp_path, split=split, recipe=SimpleNamespace(tasks=(emotion, noise)))
    found = sys.modules["keras_ser.serving.export"]._metrics(run)
    assert found["emotion"] == {"uar": 1.0, "accuracy": 1.0, "clips": 2}
    assert found["noise"] == {"uar": 0.5, "accuracy": 0.5, "clips": 2}
    told = score_report(read_predictions(tmp_path / "predictions.csv"), (emotion, noise), title="both")
    for result in told.results:
        assert result["uar"].value == found[result.task]["uar"]


@pytest.mark.slow
def test_what_a_continuous_task_and_a_temperature_say(cascaded):
    assert cascaded.facts["temperature"] == {"emotion": TEMPERATURE}
    assert Task.from_dict(cascaded.facts["tasks"][1]).continuous
    assert cascaded.facts["metrics"] == {}


def test_read_without_tensorflow(served):
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


def test_the_newest_version_is_found(served, tmp_path):
    assert find_export(served.export) == served.export
    assert find_export(served.export.parent) == served.export
    assert find_export(served.folder) is None and find_export(tmp_path / "nowhere") is None
    for version in ("2", "10", "9", "11", "x"):
        (tmp_path / version / "assets").mkdir(parents=True)
        if version != "11":
            shutil.copy(served.export / FACTS, tmp_path / version / FACTS)
    assert find_export(tmp_path) == tmp_path / "10"


def changed(served, folder: Path, **changes) -> Path:
    (folder / "assets").mkdir()
    (folder / FACTS).write_text(json.dumps({**served.facts, **changes}))
    return folder


def test_of_another_version_of_the_package(served, tmp_path):
    folder = changed(served, tmp_path, keras_ser="0.0.7")
    with pytest.warns(
        ExportVersionWarning, match=rf"was exported by keras_ser 0\.0\.7, and this is {keras_ser.__version__}"
    ):
        assert read_facts(folder)["name"] == "emotions"


def test_of_another_format(served, tmp_path):
    folder = changed(served, tmp_path, format=FORMAT + 1, keras_ser="9.1")
    with pytest.raises(ValueError, match=rf"of format {FORMAT + 1}, made by keras_ser 9\.1;.* reads format {FORMAT}\."):
        read_facts(folder)


@pytest.mark.parametrize(
    "contents", [None, b"", b'{"format": 1', b"\xff\xfe\x00"], ids=["no", "empty", "half", "binary"]
)
def test_no_export(tmp_path, contents):
    if contents is not None:
        (tmp_path / "assets").mkdir()
        (tmp_path / FACTS).write_bytes(contents)
    with pytest.raises(ValueError, match="expected an export of keras-ser"):
        read_facts(tmp_path)


@pytest.mark.parametrize("contents", [b"[1, 2]", b'"format"', b'{"format": 1}'], ids=["list", "string", "no version"])
def test_json_of_something_else(tmp_path, contents):
    (tmp_path / "assets").mkdir()
    (tmp_path / FACTS).write_bytes(contents)
    with pytest.raises(ValueError, match="expected an export of keras-ser"):
        read_facts(tmp_path)
