"""What an earlier version wrote is loaded, predicts and is evaluated as it was then (see tests/stored/README.md)."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from keras_ser.evaluation import read_predictions
from keras_ser.experiment import evaluate, experiment_folder, run_experiment
from keras_ser.recipe import Recipe
from keras_ser.serving import Predictor
from keras_ser.training import Data, Run

STORED = sorted(
    path for path in (Path(__file__).parent / "stored").iterdir() if path.is_dir() and path.name[0].isdigit()
)


@pytest.fixture(params=STORED, ids=lambda path: path.name)
def version(request, tmp_path) -> Path:
    """A copy of one version's folder."""
    return Path(shutil.copytree(request.param, tmp_path / "stored"))


def experiment_of(version: Path) -> Path:
    (owner,) = version.glob("*/experiment.json")
    return owner.parent


def run_of(version: Path) -> Path:
    return Run.find(experiment_of(version))


def check_answer(predictor, version: Path) -> None:
    with np.load(version / "answer.npz") as stored:
        (answer,) = predictor([stored["waveform"]])
        assert set(answer) >= {"emotion", "gender"}
        for task in ("emotion", "gender"):
            np.testing.assert_allclose(list(answer[task]["probabilities"].values()), stored[task], atol=1e-5)


def close(table, stored) -> None:
    order = ["protocol", "fold", "seed", "stream", "id"]
    table, stored = (each.set_index(order).sort_index() for each in (table, stored))
    assert list(table.index) == list(stored.index) and len(stored)
    for column in stored.columns:
        if stored[column].dtype == float:
            np.testing.assert_allclose(table[column], stored[column], atol=1e-5, err_msg=column)
        else:
            assert list(table[column]) == list(stored[column]), column


def test_there_is_a_stored_version():
    assert STORED


def test_stored_run_predicts_what_it_predicted(version):
    check_answer(Predictor.load(run_of(version)), version)


def test_stored_experiment_is_evaluated_again(version, tmp_path):
    folder = experiment_of(version)
    made, where = evaluate(folder, str(version / "corpus" / "clips.csv"), str(tmp_path))
    close(made.predictions, read_predictions(folder / "predictions.csv"))
    assert (where / "report.md").exists()


def test_stored_experiment_goes_on_without_training_again(version):
    """Its folder is found by its recipe, whatever its name's hash was."""
    folder, manifest = experiment_of(version), version / "corpus" / "clips.csv"
    recipe, corpus = Recipe.from_json((folder / "recipe.json").read_text()).read(manifest)
    assert experiment_folder(recipe, version) == folder
    assert experiment_folder(recipe.replace(epochs=recipe.epochs + 1), version) != folder
    assert experiment_folder(recipe.replace(name="another"), version) != folder
    model = run_of(version) / "model.keras"
    before = model.stat().st_mtime_ns
    made = run_experiment(recipe, Data.load(recipe, corpus, version / "cache"), folder, folds=[0])
    assert model.stat().st_mtime_ns == before
    close(made.predictions, read_predictions(run_of(version) / "predictions.csv"))


def test_stored_export_answers_what_its_run_answered(version):
    archive = version / "exports.tar.xz"
    with tarfile.open(archive) as packed:
        packed.extractall(version, filter="data")
    (model,) = version.glob("exports/*/1")
    check_answer(Predictor.load(model), version)
