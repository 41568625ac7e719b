"""Runs trained by several processes: all runs, each once, and the figures of one process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keras_ser.cli import main
from keras_ser.corpora.demo import EMOTIONS

ROOT = Path(__file__).resolve().parents[2]
RECIPE = f"""
import os, pathlib, signal
import keras_ser.experiment.runner as runner
from keras_ser.cli import recipe_main
from keras_ser.errors import DivergenceError
from keras_ser.models import svm
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

RECIPES = {{"svm": Recipe(
    "svm", "demo", (Task("emotion", {tuple(EMOTIONS)!r}),), (Protocol("f", "k-fold", by="speaker", folds=4),),
    model="svm", config=svm.Config(C=(1.0,)), sampling=Sampling("whole"), seeds=(0,),
    frontend=FrontendConfig(features=("energy",), endpoint=False, statistics=True),
)}}
plain, tries = runner._run, pathlib.Path(os.environ["TRIES"])
def run(recipe, data, job, *rest):
    (tries / f"{{job.split.fold}}-{{len(list(tries.iterdir()))}}").touch()
    if job.split.fold == 1:
        raise DivergenceError("it diverges.")
    if job.split.fold == 2 and len(list(tries.glob("2-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(recipe, data, job, *rest)
if os.environ["TRIES"] != os.devnull:
    runner._run = run
if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, "", "svm"))
"""


@pytest.mark.slow
def test_processes_train_every_run_once_though_one_is_killed_and_one_fails(tmp_path, monkeypatch):
    """The killed process's run is trained again; the run that fails is tried once, and reported once."""
    file, tries = tmp_path / "recipe.py", tmp_path / "tries"
    file.write_text(RECIPE)
    tries.mkdir()
    found = {}
    for jobs, spy in (("1", "/dev/null"), ("2", str(tries))):
        monkeypatch.setenv("TRIES", spy)
        command = [sys.executable, str(file), "--out", str(tmp_path / jobs), "--jobs", jobs]
        found[jobs] = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found["1"].returncode == 0, found["1"].stderr
    assert found["2"].returncode == 1 and found["2"].stderr.count("it diverges") == 1, found["2"].stderr
    assert "1 of 4 runs failed" in found["2"].stdout
    assert sorted(path.name.split("-")[0] for path in tries.iterdir()) == ["0", "1", "2", "2", "3"]
    for fold in (0, 2, 3):
        run = f"svm-*/f/fold-0{fold}-seed-0/predictions.csv"
        (one,), (other,) = (tmp_path / "1").glob(run), (tmp_path / "2").glob(run)
        assert one.read_bytes() == other.read_bytes()
    about = json.loads(next((tmp_path / "2").glob("svm-*/f/fold-01-seed-0/failed.json")).read_text())
    assert about["reason"] == "it diverges."


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--job-cpus", "2"], "--job-cpus requires --engine ray."),
        (["--address", "host:6379"], "--address requires --engine ray."),
    ],
)
def test_options_of_ray_without_ray_are_refused(given, words, tmp_path, capsys):
    recipe = ROOT / "recipes" / "aspmtl_afew.py"
    for command in ("train", "tune"):
        assert main([command, str(recipe), "--out", str(tmp_path / "out"), *given]) == 2
        assert capsys.readouterr().err.strip().endswith(words)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        main(["train", str(recipe), "--job-cpus", "1.5"])
    assert "expected an integer, or a fraction from 0.01 to 1. Received: '1.5'" in capsys.readouterr().err


def test_a_missing_ray_is_named_before_anything_is_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    recipe = str(ROOT / "recipes" / "aspmtl_afew.py")
    assert main(["train", recipe, "--out", str(tmp_path / "out"), "--engine", "ray"]) == 2
    assert "pip install 'keras-ser[cluster]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
