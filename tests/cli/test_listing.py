"""`list` and `new`."""

import json

import pytest

from keras_ser.cli import main
from keras_ser.cli.recipes import load_recipes
from keras_ser.experiment.listing import experiments
from tests.training import tiny


@pytest.fixture
def folder(tmp_path):
    """An experiment of two seeds and four folds, three of whose runs are finished, and a damaged one."""
    one = tmp_path / "single-01234567"
    recipe = tiny.SINGLE.replace(seeds=(0, 1))
    for fold, seed in ((0, 0), (1, 0), (0, 1)):
        run = one / "speakers" / f"fold-{fold:02d}-seed-{seed}"
        run.mkdir(parents=True)
        (run / "predictions.csv").touch()
    (one / "final" / "seed-0").mkdir(parents=True)
    (one / "final" / "seed-0" / "model.keras").touch()
    (one / "recipe.json").write_text(recipe.to_json())
    (one / "experiment.json").write_text(json.dumps({"root": "/data/mine.csv"}))
    scores = [{"metric": "accuracy", "value": 0.9}, {"metric": "uar", "value": 0.625, "low": 0.5, "high": 0.75}]
    learned = [{"protocol": "speakers", "verdict": verdict} for verdict in ("learned", "underfit: ..", "learned")]
    results = [{"task": "emotion", "protocol": "speakers", "scores": scores}]
    results.insert(0, {"task": "emotion", "protocol": "random", "scores": [{"metric": "uar", "value": 0.99}]})
    (one / "report.json").write_text(json.dumps({"results": results, "learned": learned}))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "experiment.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_experiments_are_listed(folder, capsys):
    assert main(["list", str(folder)]) == 0
    out, err = capsys.readouterr()
    (row,) = (line for line in out.splitlines() if "single-01234567" in line)
    assert "demo mine.csv" in row and "3 of 8 runs + 1 final" in row and "UAR 62.5 [50.0, 75.0], speakers" in row
    assert "1 of 3 underfit" in row
    assert "unreadable" in out and f"{folder / 'bad' / 'recipe.json'}" in err and "covers" not in err
    assert main(["list", str(folder), "--json"]) == 0
    assert {each["finished"] for each in json.loads(capsys.readouterr().out)} == {0, 3}


def test_a_report_without_the_runs_finished_since_is_said_to_be_old(folder, capsys):
    run = folder / "single-01234567" / "speakers" / "fold-02-seed-0"
    run.mkdir()
    (run / "predictions.csv").touch()
    assert main(["list", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "4 of 8 runs + 1 final, report of 3" in out
    assert "covers 3 of 4 finished runs. Update it: keras-ser evaluate" in err


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"learned": [{"verdict": 1}]}',
        '{"learned": 1}',
        "[1]",
        '{"results": 3}',
        '{"results": ["x"]}',
        '{"results": {"a": 1}}',
        '{"protocols": []}',
        '{"protocols": {"speakers": 1}}',
        '{"results": [{"task": "emotion", "scores": [{"metric": "uar", "value": "high"}]}]}',
        '{"results": [{"task": "emotion", "scores": [{"metric": "uar", "value": 1, "low": []}]}]}',
        "[" * 100_000,
    ],
)
def test_a_damaged_report_is_a_fault_of_its_row(text, folder, capsys):
    (folder / "other").mkdir()
    for name in ("recipe.json", "experiment.json", "report.json"):
        (folder / "other" / name).write_text((folder / "single-01234567" / name).read_text())
    (folder / "other" / "report.json").write_text(text)
    assert main(["list", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "UAR 62.5" in out and sum(" unreadable " in line for line in out.splitlines()) == 2
    assert f"{folder / 'other' / 'report.json'} is damaged: " in err and len(err.splitlines()) == 2


def test_folders_of_unknown_numbers_of_folds(folder):
    loso = tiny.SINGLE.replace(protocols=(tiny.Protocol("loso", "leave-one-out"),))
    (folder / "single-01234567" / "recipe.json").write_text(loso.to_json())
    assert {each.runs for each in experiments(folder) if not each.fault} == {None}
    assert main(["list", str(folder / "nowhere")]) == 2


def test_a_new_recipe_can_be_read_and_is_never_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine"]) == 0
    recipes, demo = load_recipes("mine.py")
    assert (recipes["own"].name, recipes[demo].name, recipes[demo].corpus) == ("mine", "mine-demo", "demo")
    assert recipes["own"].tasks[0].open
    before = (tmp_path / "mine.py").read_bytes()
    assert main(["new", "mine.py"]) == 2 and "already exists" in capsys.readouterr().err
    assert (tmp_path / "mine.py").read_bytes() == before
    assert main(["new", "../mine"]) == 2


@pytest.mark.parametrize("name", ["keras_ser", "json.py", "numpy", "__main__", "x" * 96, "x" * 100])
def test_a_new_recipe_that_could_not_run_is_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", name]) == 2 and len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x" * 95, "my-recipe", "keras_ser.2"])
def test_a_new_recipe_of_any_other_name_can_be_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", name]) == 0 and load_recipes(f"{name}.py")[0]["demo"].name == f"{name}-demo"
