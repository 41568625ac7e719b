"""A run's folder: whose it is, and what a kill leaves."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from keras_ser import models
from keras_ser.models import attention_dnn
from keras_ser.pipelines.augmentation import Augment
from keras_ser.recipe import Recipe, Sampling
from keras_ser.splits import Split
from keras_ser.training.owner import check_owner, claim
from keras_ser.training.run import Run, RunError
from keras_ser.values import instance
from tests import disk
from tests.serving import runs
from tests.training import tiny

SPLIT = Split("speakers", 0, ("a", "b"), ("c",), ("d",), ("speaker",))
GRU = (Path(__file__).parents[2] / "docs" / "code" / "gru.py").read_text()
OTHER = Split("speakers", 1, ("a", "c"), ("b",), ("d",), ("speaker",))


def test_the_same_run_may_go_on(tmp_path):
    claim(tmp_path / "run", tiny.SINGLE, SPLIT, 0)
    (tmp_path / "run" / "history.csv").write_text("epoch\n")
    claim(tmp_path / "run", tiny.SINGLE.replace(name="renamed", seeds=(0, 5)), SPLIT, 0)
    assert (tmp_path / "run" / "history.csv").exists()
    written = json.loads((tmp_path / "run" / "split.json").read_text())
    assert instance(Split, written) == SPLIT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": tiny.SINGLE.replace(batch_size=17)}, "other recipe"),
        ({"split": OTHER}, "other split"),
        ({"seed": 1}, "other seed"),
        ({"data": "0a1b"}, "other data"),
    ],
)
def test_the_folder_of_another_run_is_refused_and_left_alone(tmp_path, change, words):
    claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    given = {"recipe": tiny.SINGLE, "split": SPLIT, "seed": 0, **change}
    with pytest.raises(RunError, match=rf"{tmp_path} holds another run \({words}\). Give another --out"):
        claim(tmp_path, **given)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_does_not_say_what_it_holds(tmp_path):
    with pytest.raises(RunError, match="does not say which run it holds"):
        check_owner(tmp_path, tiny.SINGLE, SPLIT, 0)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("do not touch")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_killed_while_it_is_claimed(tmp_path, writes):
    """Wherever the first claim was cut off, the next one of the same run succeeds."""
    with disk.killed_after(writes):
        claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "recipe.json", "split.json"}


def test_an_unfinished_run_does_not_load(tmp_path):
    claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    with pytest.raises(RunError, match="holds no finished run"):
        Run.load(tmp_path)


DAMAGED = {
    "empty": b"",
    "cut": b'{"seed": 0, "best_epo',
    "a list": b"[]",
    "null": b"null",
    "a number": b"1e400",
    "an object": b"{}",
    "binary": bytes(range(128, 256)),
    "deep": b"[" * 100_000,
    "nothing right": b'{"seed": "0", "best_epoch": null, "epochs": 3, "name": 5, "train": 1, "hash": []}',
}


@pytest.fixture
def finished(tmp_path):
    """A folder of which everything but the model is whole."""
    claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    (tmp_path / "history.json").write_text('{"seed": 0, "best_epoch": 1, "monitor": null, "epochs": [{"epoch": 1}]}')
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(1000))
    assert Run.load(tmp_path).recipe == tiny.SINGLE
    return tmp_path


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("name", ["history.json", "recipe.json", "split.json"])
def test_damaged_run_file_is_named_in_one_line(finished, name, content):
    (finished / name).write_bytes(content)
    with pytest.raises(
        RunError, match=f"{finished / name} is damaged: .* Remove .* and run the recipe again"
    ) as caught:
        Run.load(finished)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 800


def test_model_that_is_not_installed_is_named_with_the_way_out(finished):
    recipe = (finished / "recipe.json").read_text().replace('"model": "aspmtl"', '"model": "their_package.their_model"')
    (finished / "recipe.json").write_text(recipe)
    with pytest.raises(
        RunError, match="needs the model 'their_package.their_model', which is not installed here. Install"
    ):
        Run.load(finished)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("class Config: ...", "but changed_model is another module here, without `Config` and `build` .*changed_model.py"),
        ("def f(:\n", r"whose module changed_model fails: SyntaxError: .*changed_model.py, line 1"),
        ("import nosuchmodule", "fails in line 1 of .*changed_model.py: ModuleNotFoundError: No module named 'nosuchmodule'"),
        (GRU.replace("units", "width"), "does not fit the module changed_model .*: Config has no units. It has: width"),
        (GRU.replace("units: int = 32", "units: str = ''"), "does not fit the module changed_model .* expected str. Received: 7"),
    ],
)  # fmt: skip
def test_changed_module_of_a_model_is_no_damage_of_its_run(finished, source, words, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "changed_model.py").write_text(source)
    recipe = json.loads((finished / "recipe.json").read_text())
    recipe |= {"model": "changed_model", "config": {"units": 7, "dropout": 0.2}}
    (finished / "recipe.json").write_text(json.dumps(recipe))
    try:
        with pytest.raises(RunError, match=words) as caught:
            Run.load(finished)
        assert "PYTHONPATH" in str(caught.value) and "emove" not in str(caught.value)
    finally:
        sys.modules.pop("changed_model", None)
        models._OWN.pop("changed_model", None)


@pytest.mark.parametrize("name", ["history.json", "recipe.json", "split.json"])
def test_missing_run_file_is_named(finished, name):
    (finished / name).unlink()
    with pytest.raises(RunError, match=f"{finished / name} is missing"):
        Run.load(finished)


@pytest.mark.parametrize(
    "history",
    [
        {"seed": 0, "best_epoch": 2, "epochs": [{"epoch": 1}]},
        {"seed": 0, "best_epoch": 1, "epochs": [{"epoch": 1}], "training": 0.9},
        {"seed": 0, "best_epoch": 0, "epochs": [{"epoch": 1}]},
        {"seed": True, "best_epoch": 1, "epochs": []},
        {"seed": -1, "best_epoch": 1, "epochs": []},
        {"seed": 0, "best_epoch": 1, "epochs": [[1]]},
        {"seed": 0, "epochs": []},
    ],
)
def test_history_that_does_not_hold_together(finished, history):
    (finished / "history.json").write_text(json.dumps(history))
    with pytest.raises(RunError, match="history.json is damaged"):
        Run.load(finished)


def test_truncated_or_overwritten_model_is_named(finished):
    file = finished / "model.keras"
    whole = file.read_bytes()
    place = whole.index(bytes(100))
    for content in (b"", whole[: len(whole) // 2], whole[:-1], whole[:place] + b"x" + whole[place + 1 :]):
        file.write_bytes(content)
        with pytest.raises(RunError, match=r"model\.keras is damaged: .* Remove .* and run the recipe again"):
            Run.load(finished).model()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(RunError, match=r"it has no model\.weights\.h5"):
        Run.load(finished).model()


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_run_whose_owner_is_damaged_is_refused_and_left_alone(tmp_path, content):
    claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match="Remove that folder|holds another run") as caught:
        claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    assert str(caught.value).isprintable()
    assert (tmp_path / "run.json").read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"", DAMAGED["cut"], DAMAGED["nothing right"]], ids=["empty", "cut", "nothing right"]
)
@pytest.mark.parametrize("name", ["recipe.json", "split.json"])
def test_an_unfinished_run_goes_on_over_a_damaged_recipe_or_split(tmp_path, name, content):
    """Its owner says what it is; both files are written anew."""
    claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    (tmp_path / name).write_bytes(content)
    claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    assert Recipe.from_json((tmp_path / "recipe.json").read_text()) == tiny.SINGLE
    assert instance(Split, json.loads((tmp_path / "split.json").read_text())) == SPLIT


def as_hashed_before(folder, recipe) -> None:
    """Let a folder be one of an earlier version, which noted another hash."""
    owner = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(owner | {"hash": "0123abcd"}))
    assert owner["hash"] == recipe.hash


def test_a_run_of_an_earlier_version_is_known_by_its_recipe(tmp_path):
    claim(tmp_path, tiny.SINGLE, SPLIT, 0)
    as_hashed_before(tmp_path, tiny.SINGLE)
    check_owner(tmp_path, tiny.SINGLE, SPLIT, 0)
    for other in (tiny.SINGLE.replace(batch_size=17), tiny.SINGLE.replace(epochs=5)):
        with pytest.raises(RunError, match="other recipe"):
            check_owner(tmp_path, other, SPLIT, 0)
    # without its recipe nothing says that it is the same
    (tmp_path / "recipe.json").unlink()
    with pytest.raises(RunError, match="other recipe"):
        check_owner(tmp_path, tiny.SINGLE, SPLIT, 0)


@pytest.mark.slow
def test_a_cascade_of_two_kinds_of_models_loads_in_a_new_process(tmp_path):
    """Its layers are those of both models and of the cascade, whichever model classifies the emotion."""
    recipe = runs.CASCADE.replace(
        model="attention_dnn", config=attention_dnn.Config(units=(4,)), sampling=Sampling("whole"), augment=Augment()
    )
    runs.write(recipe, tmp_path)
    code = f"from keras_ser.training import Run; print(*Run.load({str(tmp_path)!r}).model().output)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["emotion", "arousal", "emptied"], done.stderr[-2000:]
