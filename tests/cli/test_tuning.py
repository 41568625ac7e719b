"""`keras-ser tune`, from a CSV to a recipe that `train` takes."""

import json
import shlex
from types import SimpleNamespace

import pandas as pd
import pytest

import keras_ser.tuning.runs as runs
from keras_ser.cli import main, tune_main, tuning
from keras_ser.cli.parsing import Parser
from keras_ser.cli.training import add_training_arguments
from keras_ser.cli.tuning import following
from keras_ser.recipe import Recipe
from tests.test_cli import RECIPE, SMALL, write_corpus


@pytest.fixture
def manifest(tmp_path):
    return write_corpus(tmp_path / "corpus")


def tune(manifest, out, *more: str) -> int:
    start = ["tune", str(RECIPE), "--corpus-root", str(manifest), "--out", str(out), "--variant", "aspmtl", *SMALL]
    return main([*start, "--set=protocols.speaker-folds.folds=4", *more])


GIVEN = {
    "corpus_root": "/c/my clips.csv",
    "columns": ["file=path", '{"emotion": "a,b"}'],
    "audio_root": "/audio",
    "metadata": "/m.csv",
    "noise_root": "/noise",
    "aux_corpus": "librispeech",
    "aux_root": "/aux",
    "init_from": "/run",
    "bad": "drop",
    "out": "/my runs",
    "cache": "/cache",
    "strategy": "mirrored",
}


def test_the_next_command_reads_the_same_corpora():
    words = [
        f"--{n.replace('_', '-')}={v}"
        for n, given in GIVEN.items()
        for v in ([given] if isinstance(given, str) else given)
    ]
    parser = Parser()
    add_training_arguments(parser)
    options = parser.parse_args([*words, "--corpus-root=emodb=/e", "--deterministic"])
    start, command, recipe, *rest = shlex.split(following("r/recipe.json", options))
    assert (start, command, recipe) == ("keras-ser", "train", "r/recipe.json")
    again = vars(parser.parse_args(rest))
    assert {name: again[name] for name in GIVEN} == GIVEN and again["corpus_roots"] == {"emodb": "/e"}
    assert again["deterministic"]
    assert following("r/recipe.json", parser.parse_args([])) == "keras-ser train r/recipe.json"


@pytest.mark.parametrize(
    ("words", "expected"), [([], ["config.beta=0.1:1"]), (["--space=a=1,2", "--space=b=3"], ["a=1,2", "b=3"])]
)
def test_spaces_of_the_command_take_the_place_of_the_files_own(words, expected, monkeypatch):
    given = []
    monkeypatch.setattr(tuning, "_tune", lambda options, *_: given.append(options.space))
    monkeypatch.setattr("sys.argv", ["x.py", *words])
    assert tune_main({}, "", space=("config.beta=0.1:1",)) == 0 and given == [expected]


def test_an_unknown_option_of_a_search_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["x.py", "--trails=3"])
    with pytest.raises(SystemExit, match="2"):
        tune_main({}, "")
    assert "Did you mean --trials?" in capsys.readouterr().err


@pytest.mark.parametrize("best", [True, False], ids=["a setting", "the unchanged recipe"])
def test_the_terminal_tells_what_the_search_has_shown(best, manifest, tmp_path, monkeypatch, capsys):
    """Whether further seeds confirm the gain, which folds the choice was made on, and what to train, if anything."""

    def fit(recipe, data, split, out, seed, **options):
        out.mkdir(parents=True, exist_ok=True)
        gain = recipe.config.beta if best else -recipe.config.beta
        rows = [{"epoch": 1, "val_emotion_uar": 0.9 + gain + 0.001 * seed}]
        return SimpleNamespace(about={"best_epoch": 1, "epochs": rows}, history=rows, split=split, seed=seed)

    monkeypatch.setattr(runs, "fit", fit)
    monkeypatch.setattr(runs.keras.backend, "clear_session", lambda: None)
    space = ["--space=config.beta=0.02,0.05", "--method=grid", "--confirm=3", "--set=config.beta=0.01"]
    assert tune(manifest, tmp_path / "out", *space) == 0
    said = capsys.readouterr().out.splitlines()
    (report,) = (tmp_path / "out").glob("*-search-*/tuning.md")
    notes = [line.removeprefix("- ") for line in report.read_text().splitlines()]
    end = said.index(f"report: {report}")
    shown = said[said.index("", 3) : end]
    told = [line for line in shown if line in notes and line]
    if best:
        assert any("the difference is +0.040 [" in line for line in told)
        assert said[
            end + 1
        ] == f"next: keras-ser train {report.parent / 'recipe.json'} --corpus-root {manifest} --out " + str(
            tmp_path / "out"
        )
    else:
        assert "No setting scores better than the unchanged recipe." in told
        assert any(line.startswith("Over 3 further seeds it scores 0.89") for line in told)
        assert said[end + 1 :] == ["best: the unchanged recipe, which needs no other settings"]
    assert any("are tested in" in line and "whose scores are therefore biased" in line for line in told)


@pytest.mark.slow
def test_from_a_corpus_to_a_recipe(manifest, tmp_path, capsys):
    """The scores are the runs' own, and no test set is read."""
    arguments = ["--trials=1", "--method=random", "--space=config.beta=0.1:1", "--space=config.units=3,4"]
    assert tune(manifest, tmp_path / "out", *arguments) == 0
    said = capsys.readouterr().out
    (folder,) = (tmp_path / "out").glob("aspmtl_manifest-*-search-*")
    if pd.read_csv(folder / "trials.csv")["score"].idxmax():
        assert f"next: keras-ser train {folder / 'recipe.json'} --corpus-root {manifest}" in said
    else:
        assert "best: the unchanged recipe" in said
    table = pd.read_csv(folder / "trials.csv")
    best = Recipe.from_json((folder / "recipe.json").read_text())
    row = table.loc[table["score"].idxmax()]
    assert (best.config.beta, best.config.units) == (row["config.beta"], row["config.units"])
    own = [json.loads(path.read_text())["epochs"][-1]["val_emotion_uar"] for path in folder.rglob("history.json")]
    assert sorted(own) == sorted(table["score"]) and not list(folder.rglob("predictions.csv"))
    # again: nothing is trained, the answer is the same
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("model.keras")}
    assert tune(manifest, tmp_path / "out", *arguments) == 0
    assert capsys.readouterr().out == said
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("model.keras")} == before and len(before) == 2
    again = ["train", str(folder / "recipe.json"), "--corpus-root", str(manifest), "--out", str(tmp_path / "out")]
    assert main([*again, "--folds=0", "--protocol=speaker-folds", "--seed=0", "--quiet"]) == 0
    assert list((tmp_path / "out").glob("*-tuned-*/report.md"))
