"""One run a process, as a batch system starts them: `keras-ser jobs` and `--job`."""

import contextlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from keras_ser.cli import main, one_run
from keras_ser.errors import UserError
from keras_ser.experiment import experiment_folder, runner
from keras_ser.files import lock
from keras_ser.splits import Protocol
from keras_ser.training import Data
from tests.training import tiny

SPEAKERS = Protocol("speakers", "k-fold", folds=2, validation=0)
SMALL = (("speakers", 4), ("sentences", 1), ("emotions", tiny.EMOTION.labels))
RECIPE = tiny.SINGLE.replace(
    name="jobs", protocols=(SPEAKERS,), seeds=(0, 1), epochs=1, monitor="", corpus_options=SMALL
)
NAMES = [f"speakers/fold-{fold:02d}-seed-{seed}" for seed in (0, 1) for fold in (0, 1)]


def keras_ser(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "keras_ser.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.json"
    path.write_text(RECIPE.to_json())
    return path


def test_the_list_needs_no_decoding(recipe, tmp_path, capsys):
    assert main(["jobs", str(recipe), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines() == [f"open      {name}" for name in NAMES]
    assert not (tmp_path / "out").exists()
    main(["jobs", str(recipe), "--folds", "1", "--state", "open"])
    assert capsys.readouterr().out.split() == NAMES[1::2]


def test_of_several_recipes_the_listed_one_is_named(tmp_path, capsys):
    path = tmp_path / "several.py"
    conv, svm = (f"Recipe.from_json({RECIPE.replace(name=name).to_json()!r})" for name in ("net-conv", "net-svm"))
    path.write_text(f"from keras_ser import Recipe\nRECIPES = {{'conv': {conv}, 'svm': {svm}}}\n")
    for words, name in (([], "net-conv"), (["--variant", "svm"], "net-svm")):
        assert main(["jobs", str(path), *words]) == 0
        out, err = capsys.readouterr()
        assert out.split()[1::2] == NAMES
        assert err == f"runs of {name}; --variant lists those of another: conv, svm\n"


def test_a_command_whose_runs_are_all_trained_by_others_ends_without_an_error(recipe, tmp_path, capsys):
    folder = experiment_folder(RECIPE, tmp_path)
    with contextlib.ExitStack() as held:
        for name in NAMES[:2]:
            held.enter_context(lock(tmp_path / "elsewhere" / name, wait=False))
        (tmp_path / "elsewhere").rename(folder)
        data = Data.load(RECIPE, RECIPE.read()[1], tmp_path / "cache", progress=False)
        (folder / "experiment.json").write_text(json.dumps({"recipe": RECIPE.hash, "data": data.digest}))
        assert main(["train", str(recipe), "--out", str(tmp_path), "--seed", "0", "--quiet"]) == 0
    said = f"other processes are still training {', '.join(f'jobs/{name}' for name in NAMES[:2])}. The last of them to"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("finished", "code"), [(False, one_run.TAKEN), (True, 0)])
def test_a_run_that_another_process_holds_is_waited_for_and_not_reported_as_trained(
    finished, code, recipe, tmp_path, monkeypatch, capsys
):
    """As a dead node's lock does; `finished`: the other process stores the predictions in the meantime."""
    held, waited = experiment_folder(RECIPE, tmp_path) / NAMES[1], []

    @contextlib.contextmanager
    def taken(path, wait=True):
        with lock(path, wait if path != held else 0.01) as mine:
            if path == held:
                waited.append(wait)
                held.mkdir()
                if finished:
                    (held / "predictions.csv").touch()
            yield mine and path != held

    monkeypatch.setattr(runner, "lock", taken)
    words = ["train", str(recipe), "--out", str(tmp_path), "--cache", str(tmp_path / "cache"), "--quiet", "--job", "1"]
    assert main(words) == code and waited == [runner.LAST_BREATH]
    out, err = capsys.readouterr()
    assert out == (f"{held}\n" if finished else "")
    assert (
        (err == "")
        if finished
        else err.endswith(f"another process is training {NAMES[1]}, which is left to it (exit code 75).\n")
    )


@pytest.mark.parametrize("job", ["speakers/fold-07-seed-0", "", "4", "²"])
def test_no_run_is_trained_for_a_name_that_there_is_not_or_a_number_too_large(recipe, tmp_path, capsys, job):
    assert main(["train", str(recipe), "--out", str(tmp_path), "--job", job]) == 2
    said = f"--job takes a name listed by `keras-ser jobs`, or its number, 0 to 3: {', '.join(NAMES[:3])}, .."
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"{said}. Received: {job!r}.")
    assert not list(tmp_path.glob("jobs-*"))


def test_a_name_without_its_system_is_taken_if_it_is_unique(tmp_path, monkeypatch):
    """As `keras-ser jobs` lists it."""
    import keras_ser.experiment.planning as planning

    trained, progress = [], SimpleNamespace(failure=None, failures=[])
    monkeypatch.setattr(planning, "job_names", lambda recipe, corpus, folds: recipe)
    monkeypatch.setattr(runner, "train_experiment", lambda *given, only, **more: trained.append((given[2], only)))
    recipes, folders = {"a": ["p/0", "p/1"], "b": ["p/1", "p/2"]}, {"a": tmp_path / "a", "b": tmp_path / "b"}

    def train(job, of=recipes):
        one_run.train_one(job, of, SimpleNamespace(corpus=None), folders, None, True, {}, progress)

    for job in ("p/0", "p/2", "b/p/1"):
        train(job)
    train("p/1", {"b": recipes["b"]})  # --systems b
    a, b = folders.values()
    assert trained == [(a, ("p/0",)), (b, ("p/2",)), (b, ("p/1",)), (b, ("p/1",))]
    with pytest.raises(UserError, match=r"0 to 3: a/p/0, a/p/1, b/p/1, \.\.\. Received: 'p/1'"):
        train("p/1")


@pytest.mark.parametrize("option", ["--protocol=paper", "--folds=0", "--jobs=2"])
def test_a_final_model_has_no_protocol_folds_or_jobs(recipe, tmp_path, capsys, option):
    assert main(["train", str(recipe), "--out", str(tmp_path), "--final", option]) == 2
    assert capsys.readouterr().err.endswith(f"after cross-validation: omit {option.partition('=')[0]}.\n")


@pytest.mark.slow
def test_runs_in_any_order_and_several_at_a_time_make_the_same_table(tmp_path, capsys):
    recipe, names = tmp_path / "recipe.json", [f"speakers/fold-{fold:02d}-seed-0" for fold in range(3)]
    recipe.write_text(RECIPE.override("protocols.speakers.folds", 3).replace(seeds=(0,)).to_json())

    def job(name: str):
        return keras_ser("train", recipe, "--out", tmp_path / "apart", "--quiet", "--deterministic", "--job", name)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(job, ["2", names[0]]))
    assert [each.returncode for each in done] == [0, 0], done[0].stderr
    (folder,) = (tmp_path / "apart").glob("jobs-*")
    assert done[1].stdout.strip() == str(folder / names[0]) and not (folder / "report.md").exists()
    assert main(["jobs", str(recipe), "--out", str(tmp_path / "apart"), "--state", "open"]) == 0
    assert capsys.readouterr().out.split() == [names[1]]
    made = (folder / names[0] / "model.keras").stat().st_mtime_ns
    # killed after its model was stored, before it was tested
    (folder / names[0] / "predictions.csv").unlink()
    assert main(["jobs", str(recipe), "--out", str(tmp_path / "apart"), "--state", "open"]) == 0
    assert capsys.readouterr().out.split() == names[:2]
    for out in ("apart", "whole"):
        assert keras_ser("train", recipe, "--out", tmp_path / out, "--quiet", "--deterministic").returncode == 0
    assert (folder / names[0] / "model.keras").stat().st_mtime_ns == made, "what is finished is not repeated"
    tables = [pd.read_csv(next((tmp_path / out).glob("jobs-*/predictions.csv"))) for out in ("apart", "whole")]
    pd.testing.assert_frame_equal(*tables)
    scores = [
        json.loads(next((tmp_path / out).glob("jobs-*/report.json")).read_text())["results"]
        for out in ("apart", "whole")
    ]
    assert scores[0] == scores[1]
