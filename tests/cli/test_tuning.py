"""`keras-ser tune`, from a CSV to a recipe that `train` takes."""

import pandas as pd
import pytest

from keras_ser.cli import main
from keras_ser.recipe import Recipe
from tests.test_cli import RECIPE, SMALL, write_corpus


@pytest.fixture
def manifest(tmp_path):
    return write_corpus(tmp_path / "corpus")


def tune(manifest, out, *more: str) -> int:
    start = ["tune", str(RECIPE), "--corpus-root", str(manifest), "--out", str(out), "--variant", "aspmtl", *SMALL]
    return main([*start, "--set=protocols.speaker-folds.folds=4", *more])


@pytest.mark.slow
def test_from_a_corpus_to_a_recipe(manifest, tmp_path, capsys):
    arguments = ["--trials=2", "--method=random", "--space=config.beta=0.1:1", "--space=config.units=3,4"]
    assert tune(manifest, tmp_path / "out", *arguments) == 0
    said = capsys.readouterr().out
    (folder,) = (tmp_path / "out").glob("aspmtl_manifest-*-search-*")
    assert f"next: keras-ser train {folder / 'recipe.json'} --corpus-root {manifest}" in said
    table = pd.read_csv(folder / "trials.csv")
    best = Recipe.from_json((folder / "recipe.json").read_text())
    row = table.loc[table["score"].idxmax()]
    assert (best.config.beta, best.config.units) == (row["config.beta"], row["config.units"])
    assert not list(folder.rglob("predictions.csv"))
    # again: nothing is trained, the answer is the same
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("model.keras")}
    assert tune(manifest, tmp_path / "out", *arguments) == 0
    assert capsys.readouterr().out == said
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("model.keras")} == before and len(before) == 3
    again = ["train", str(folder / "recipe.json"), "--corpus-root", str(manifest), "--out", str(tmp_path / "out")]
    assert main([*again, "--folds=0", "--protocol=speaker-folds", "--seed=0", "--quiet"]) == 0
    assert list((tmp_path / "out").glob("*-tuned-*/report.md"))
