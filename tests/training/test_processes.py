"""Runs in processes of their own: killed and continued, on two devices."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keras_ser.training import Run
from tests.training import tiny

ROOT = Path(__file__).resolve().parents[2]


def subprocess_env():
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    return {**os.environ, **threads, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}


def run_program(*arguments, module="resume", check=True):
    command = [sys.executable, "-m", f"tests.training.{module}", *map(str, arguments)]
    done = subprocess.run(command, env=subprocess_env(), cwd=ROOT, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def same_runs(folder: Path, a: str, b: str, depth: str = "."):
    """Weights, history and predictions of two runs, bit by bit."""
    for name in ("history.json", "history.csv"):
        assert (folder / a / depth / name).read_text() == (folder / b / depth / name).read_text()
    models = [Run.load(folder / name / depth).model() for name in (a, b)]
    weights = [model.get_weights() for model in models]
    assert len(weights[0]) == len(weights[1]) > 0
    for x, y in zip(*weights, strict=True):
        np.testing.assert_array_equal(x, y)
    assert (folder / f"{a}.csv").read_bytes() == (folder / f"{b}.csv").read_bytes()


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> Path:
    """RECIPE/unbroken and RECIPE/broken of each recipe.

    Every process continues the run that was killed in the one before, and is then killed in the next run.
    """
    folder = tmp_path_factory.mktemp("resumed")
    runs = [f"{recipe}/unbroken" for recipe in ("levels", "adversarial", "cascade")]
    kills = ["levels/broken@levels:2", "adversarial/broken@adversarial:3"]
    kills += ["cascade/broken@model 1:1", "cascade/broken@model 2:2"]
    for kill in kills:
        killed = run_program(folder, *runs, kill, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
        name = kill.partition("@")[0]
        assert (folder / name).is_dir() and not (folder / name / "model.keras").exists()
        assert all((folder / run / "model.keras").exists() for run in runs)
        runs = [name] if kill != kills[2] else []
    run_program(folder, *runs)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["levels", "adversarial", "cascade"])
def test_killed_and_resumed_is_bit_equal(resumed, recipe):
    """SIGKILL, a new process, the same numbers."""
    folder = resumed / recipe
    same_runs(folder, "unbroken", "broken")
    if recipe == "cascade":
        same_runs(folder, "unbroken", "broken", "model_1")
        check_cascade(folder / "unbroken", pd.read_csv(folder / "unbroken.csv"))


def check_cascade(folder: Path, table: pd.DataFrame) -> None:
    """Model 1 went into the cascade as it was trained, and training model 2 left it alone; it judges one stream."""
    run, first = Run.load(folder), Run.load(folder / "model_1")
    assert (first.recipe, first.about["monitor"]) == (run.recipe.first, "val_noise_uar")
    assert (len(first.history), len(run.history), run.about["monitor"]) == (2, 3, "val_emotion_uar")
    inside = run.model().get_layer("extractor").get_layer("aspmtl")
    alone = first.model().get_layer("scorer").get_layer("aspmtl")
    for a, b in zip(inside.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert list(table["stream"]) == ["clean"] * 3 and table["emptied"].dtype == bool
    # the names of a network with one output
    assert {"loss", "emotion_loss", "emotion_accuracy", "val_emotion_accuracy"} <= set(run.history[0])


@pytest.mark.slow
def test_two_devices_are_one(tmp_path):
    """`strategy="mirrored"` on two logical CPUs; more than one run in the process, batch normalisation among them."""
    run_program(tmp_path, module="mirrored")
    one, two = (Run.load(tmp_path / name) for name in ("one", "two"))
    for a, b in zip(one.history, two.history, strict=True):
        assert set(a) == set(b)
        for name in a:
            if not name.startswith("val_"):
                assert a[name] == pytest.approx(b[name], rel=2e-3), name
    for x, y in zip(one.model().get_weights(), two.model().get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=2e-3)
    p = [
        pd.read_csv(tmp_path / f"{name}.csv")[[f"emotion/{label}" for label in tiny.EMOTION.labels]]
        for name in ("one", "two")
    ]
    np.testing.assert_allclose(*p, atol=5e-3)
    row = Run.load(tmp_path / "conv").history[0]
    assert np.isfinite(list(row.values())).all()
    # an adversarial autoencoder, whose losses of the discriminator are no loss objects
    one, two = (np.load(tmp_path / f"phases_{name}.npz") for name in ("one", "two"))
    assert len(one.files) == len(two.files) > 20
    for a, b in zip(one.files, two.files, strict=True):
        np.testing.assert_allclose(two[b], one[a], rtol=1e-4, atol=1e-5, err_msg=a)
