"""Two tables of different classes: said in words, before anything is compared."""

import pandas as pd
import pytest

from keras_ser.errors import RunError
from keras_ser.experiment import compare_folders


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


def test_predictions_alone_do_not_tell_whether_a_run_has_learned(tmp_path):
    a, b = write(tmp_path / "a.csv", "anger", "fear"), write(tmp_path / "b.csv", "anger", "fear")
    lines = compare_folders(a, b, "emotion", "uar").splitlines()
    assert lines[-2:] == [
        f"{x}: whether its runs have learned is unknown, since only predictions were found" for x in "ab"
    ]
