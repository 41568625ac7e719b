"""Runs trained by several processes: all runs, each once, and the figures of one process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keras_ser.cli.processes import WORKER, workers

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """
from keras_ser.cli import recipe_main
from keras_ser.models import svm
from keras_ser.recipe import FrontendConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

RECIPES = {"svm": Recipe(
    "svm", "demo", (Task("emotion", EMOTIONS),), (Protocol("f", "k-fold", by="speaker", folds=4),),
    model="svm", config=svm.Config(C=(1.0,)), sampling=Sampling("whole"), seeds=(0,),
    frontend=FrontendConfig(features=("energy",), endpoint=False, statistics=True),
)}
if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, "", "svm"))
"""


def test_copies_are_ended_with_the_block_and_know_what_they_are(tmp_path):
    code = (
        f"import os, pathlib, time; pathlib.Path(r'{tmp_path}', str(os.getpid())).write_text(os.environ['{WORKER}']);"
    )
    with workers([sys.executable, "-c", code], 2) as wait:
        wait()
    assert [file.read_text() for file in tmp_path.iterdir()] == ["1", "1"]
    with pytest.raises(KeyError), workers([sys.executable, "-c", "import time; time.sleep(600)"], 1):
        raise KeyError  # and the copy does not keep this process for ten minutes


@pytest.mark.slow
def test_two_processes_train_every_run_once(tmp_path):
    """The report is that of one process, and the same command again starts no copy."""
    from keras_ser.corpora.demo import EMOTIONS

    file = tmp_path / "recipe.py"
    file.write_text(RECIPE.replace("EMOTIONS", repr(tuple(EMOTIONS))))
    reports = []
    for jobs in ("1", "2", "2"):
        out = tmp_path / jobs
        command = [sys.executable, str(file), "--out", str(out), "--jobs", jobs]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (folder,) = out.glob("svm-*")
        assert len(list(folder.glob("f/fold-*/model.skops"))) == 4
        reports.append(json.loads((folder / "report.json").read_text()))
    assert reports[0] == reports[1] == reports[2] and not done.stderr


@pytest.mark.slow
def test_a_run_that_fails_is_tried_by_one_process_only(tmp_path):
    """A fold whose folder is damaged fails; it is tried once a command, and reported by the first process."""
    from keras_ser.corpora.demo import EMOTIONS

    file, tries = tmp_path / "recipe.py", tmp_path / "tries"
    tries.mkdir()
    spy = f"""
import os, pathlib, keras_ser.experiment.runner as runner
from keras_ser.errors import DivergenceError
plain = runner._run
def run(recipe, data, job, *rest):
    if job.split.fold == 1:
        (pathlib.Path(r'{tries}') / str(os.getpid())).touch()
        raise DivergenceError("it diverges.")
    return plain(recipe, data, job, *rest)
runner._run = run
"""
    file.write_text(spy + RECIPE.replace("EMOTIONS", repr(tuple(EMOTIONS))))
    for times in (1, 2):
        command = [sys.executable, str(file), "--out", str(tmp_path / "out"), "--jobs", "2"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.count("it diverges") == 1
        assert "1 of 4 runs failed" in done.stdout
        assert len(list(tries.iterdir())) == times
