"""What is said of two experiments: whether their classes can be compared, and whether their runs have learned."""

import pandas as pd
import pytest

from keras_ser.errors import RunError, UserError
from keras_ser.evaluation.learning import LEARNED, Learning
from keras_ser.experiment import compare_folders, comparing
from keras_ser.experiment.stored import run_folder
from tests.training import tiny


def write(path, *labels):
    rows = {"protocol": ["p"] * 4, "fold": [0] * 4, "seed": [0] * 4, "stream": ["clips"] * 4, "id": list("abcd")}
    rows |= {"speaker": list("xxyy"), "gender": [""] * 4, "group": list("xxyy")}
    rows |= {"emotion": [labels[i % 2] for i in range(4)], "emotion/prediction": [labels[0]] * 4}
    rows |= {f"emotion/{label}": [1.0 - i] * 4 for i, label in enumerate(labels)}
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("Anger", "fear"), "They are the same up to case: anger, fear; Anger, fear. Rename"),
        (("anger", "joy"), "only a has fear; only b has joy."),
    ],
)
def test_other_classes_are_named(labels, words, tmp_path):
    a, b = write(tmp_path / "a.csv", "anger", "fear"), write(tmp_path / "b.csv", *labels)
    with pytest.raises(RunError, match="must have the same classes of 'emotion'") as error:
        compare_folders(a, b, "emotion", "uar")
    assert words in str(error.value)


def test_runs_are_judged_with_those_of_the_other_protocols(tmp_path, monkeypatch):
    """As in the report of their experiment: 85 % in training is far below the 99 % of another run."""
    scores = {("random", 0): 0.99, ("unseen", 0): 0.85, ("unseen", 1): 0.85}
    found = {
        tmp_path / run_folder(*key, 0): Learning(*key, 0, "emotion", "uar", score, 0.5, 80, LEARNED, kept=8, epochs=10)
        for key, score in scores.items()
    }
    monkeypatch.setattr(comparing, "model_file", lambda folder: folder != tmp_path)
    monkeypatch.setattr(comparing.Run, "load", lambda path: path)
    monkeypatch.setattr(comparing, "judge", found.__getitem__)
    table = pd.DataFrame([(protocol, fold, 0) for protocol, fold in scores], columns=["protocol", "fold", "seed"])
    line, *_ = comparing._trained("a", tmp_path, table, "unseen")
    assert "runs 2" in line and "training 85.0" in line and "2 of 2 underfit" in line
    line, *_ = comparing._trained("a", tmp_path, table[table["protocol"] == "unseen"], "unseen")
    assert "verdict learned" in line


def test_runs_without_a_model_do_not_hide_the_verdicts_of_the_others(tmp_path, monkeypatch):
    found = Learning("p", 0, 0, "emotion", "uar", 0.4, 0.3, 80, "underfit: ..", kept=8, epochs=10)
    monkeypatch.setattr(comparing, "model_file", lambda folder: folder if folder.name == "fold-00-seed-0" else None)
    monkeypatch.setattr(comparing.Run, "load", lambda path: path)
    monkeypatch.setattr(comparing, "judge", lambda path: found)
    table = pd.DataFrame({"protocol": "p", "fold": 0, "seed": [0, 1, 2]})
    line, *_ = comparing._trained("a", tmp_path, table, "p")
    assert "1 of 1 underfit" in line and line.endswith("; 2 of 3 runs unknown (no model found)")


def test_predictions_alone_do_not_tell_whether_a_run_has_learned(tmp_path):
    a, b = write(tmp_path / "a.csv", "anger", "fear"), write(tmp_path / "b.csv", "anger", "fear")
    lines = compare_folders(a, b, "emotion", "uar").splitlines()
    assert lines[-2:] == [
        f"{x}: whether its runs have learned is unknown, since only predictions were found" for x in "ab"
    ]


def test_what_is_not_compared_is_said(tmp_path):
    """Folds that are not trained, and finished runs that the table of predictions lacks."""
    for name, folds in (("a", (0,)), ("b", (0, 1, 2))):
        folder = tmp_path / name
        for fold in folds:
            (folder / "p" / f"fold-{fold:02d}-seed-0").mkdir(parents=True)
            write(folder / "p" / f"fold-{fold:02d}-seed-0" / "predictions.csv", "anger", "fear")
        write(folder / "predictions.csv", "anger", "fear")
        (folder / "recipe.json").write_text(tiny.SINGLE.to_json())  # four folds, three seeds
        (folder / "experiment.json").write_text("{}")
    lines = compare_folders(tmp_path / "a", tmp_path / "b", "emotion", "uar").splitlines()
    assert {"a: 1 of 12 runs are compared.", "b: 1 of 12 runs are compared."} < set(lines)
    old = f"b: 3 runs are finished, more than were scored. Score them: keras-ser evaluate {tmp_path / 'b'}."
    assert old in lines and not any(line.startswith("a: 1 runs") for line in lines)
    other = write(tmp_path / "other.csv", "anger", "fear")
    other.write_text(other.read_text().replace(",x,", ",z,"))
    with pytest.raises(RunError, match="a: 3 runs are finished, more than"):
        compare_folders(tmp_path / "b", other, "emotion", "uar")


def test_another_file_is_not_evaluated_anew(tmp_path):
    (tmp_path / "recipe.py").write_text("f(a, b)\n1\nf(1, 2, 3, 4)\n")
    with pytest.raises(UserError, match="not a table of predictions.*give another file") as error:
        compare_folders(tmp_path / "recipe.py", tmp_path / "recipe.py", "emotion", "uar")
    assert "keras-ser evaluate" not in str(error.value) and str(error.value).count("is damaged") == 1
