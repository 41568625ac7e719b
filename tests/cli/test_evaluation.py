"""`evaluate` of several folders: a row each."""

from types import SimpleNamespace

import pytest

from keras_ser.cli import evaluation, main
from keras_ser.errors import RunError
from keras_ser.evaluation.scores import Score


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two runs, a damaged one and a folder of something else; scored without a model."""
    for name in ("a", "b", "damaged", "notes"):
        (tmp_path / name).mkdir()
        if name != "notes":
            (tmp_path / name / "run.json").touch()
    verdicts = {"a": ("underfit", "overfit", "underfit")}
    scores = {"a": (0.5, 0.25, 0.75), "b": (0.625, None, None)}

    def score(folder):
        if folder.name not in scores:
            raise RunError("cut off")
        found = {metric: Score(metric, *scores[folder.name], seeds=()) for metric in ("uar", "accuracy")}
        facts = {"task": "emotion", "protocol": "unseen", "labels": ("x", "y"), "clips": 7, "speakers": 3}
        result = type("Result", (), {**facts, "__getitem__": lambda self, name: found[name]})()
        learned = [{"protocol": "unseen", "verdict": f"{verdict}: .."} for verdict in verdicts.get(folder.name, ())]
        return SimpleNamespace(results=(result,), data={"learned": learned}), folder

    monkeypatch.setattr(evaluation, "_scorer", lambda options: score)
    return tmp_path


def test_a_row_for_each_folder_of_a_pattern(folders, capsys):
    assert main(["evaluate", f"{folders}/[abn]*"]) == 0
    out, err = capsys.readouterr()
    header, *rows = (line.split() for line in out.splitlines())
    assert "UAR," in header and "CCC" not in header
    assert [row[0] for row in rows] == [str(folders / "a"), str(folders / "b")]
    assert rows[0][3:6] == ["50.0", "[25.0,", "75.0]"] and rows[1][3] == "62.5"
    assert header[-1] == "verdict" and rows[1][-1] == "–"
    assert "2 of 3 underfit, 1 of 3 overfit" in out
    assert err == f"keras-ser: left out, not a run or experiment: {folders / 'notes'}\n"


def test_the_folder_of_a_table_of_systems_is_passed_over(folders, capsys):
    """A pattern of all experiments of a recipe also finds it."""
    (folders / "notes" / "systems.md").touch()
    assert main(["evaluate", f"{folders}/[abn]*"]) == 0
    assert capsys.readouterr().err == ""


def test_what_fails_is_named_and_the_exit_code_says_so(folders, capsys):
    assert main(["evaluate", str(folders / "a"), str(folders / "damaged")]) == 1
    assert f"left out: {folders / 'damaged'}: cut off" in capsys.readouterr().err
    assert main(["evaluate", f"{folders}/no*", str(folders / "notes" / "..")]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--columns=file=path"], "--columns goes with --corpus NAME"),
        (["--trained-speakers=drop"], "--trained-speakers goes with --corpus NAME"),
        (["--bad=raise"], "--bad goes with --corpus NAME"),
        (["--noise=x", "--columns=file=path"], "--columns goes with --corpus NAME"),
        (["--noise=x", "--merge=a=b"], "--merge goes with --corpus NAME"),
        (["--noise=x", "--ignore=a"], "--ignore goes with --corpus NAME"),
        (["nowhere"], "Received: nowhere, which does not exist"),
        (["--snr=5"], "--denoiser and --snr go with --noise DIR"),
        (["b", "--out=x"], "--out takes the report of one RUN"),
        (["b", "--noise=x"], "--noise takes one RUN"),
    ],
)
def test_options_that_do_not_go_together(words, said, folders, monkeypatch, capsys):
    monkeypatch.chdir(folders)
    assert main(["evaluate", "a", *words]) == 2
    assert said in capsys.readouterr().err


def test_several_labels_in_one_option():
    known = {"joy", "fear", "calm, bored"}
    assert evaluation._several(["joy,fear", "calm, bored"], known) == ["joy", "fear", "calm, bored"]
    assert evaluation._several(["joy=a, fear=a", "calm, bored=b"], known) == ["joy=a", "fear=a", "calm, bored=b"]
