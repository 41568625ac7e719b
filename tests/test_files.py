import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from keras_ser.files import write_figure, write_json, write_table, write_text, write_whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "state.npz").write_text("old")

    def full(temporary):
        temporary.write_text("new, cut off")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "state.npz", full)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"state.npz": "old"}


@pytest.mark.parametrize("write", [write_text, write_json])
def test_what_cannot_be_written_leaves_the_old_file(tmp_path, write):
    file = tmp_path / "report"
    file.write_text("old")
    with pytest.raises((AttributeError, TypeError)):
        write(file, object())
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"report": "old"}


def test_json_is_json(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"Gefühl": [1, 0.1, None]})
    assert file.read_text(encoding="utf-8") == '{\n "Gefühl": [\n  1,\n  0.1,\n  null\n ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, {"loss": float("nan")})
    assert json.loads(file.read_text())["Gefühl"][1] == 0.1
    write_json(file, {"loss": float("nan")}, allow_nan=True)
    assert np.isnan(json.loads(file.read_text())["loss"])


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_table_comes_back(tmp_path, name):
    table = pd.DataFrame({"id": ["ä", "b,c"], "value": [0.1, 1 / 3]})
    write_table(tmp_path / name, table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / name, float_precision="round_trip"), table)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_figure_gives_the_same_bytes(tmp_path):
    figure = Figure()
    figure.subplots().plot([1, 3, 2])
    for name in ("a.png", "b.png"):
        write_figure(tmp_path / name, figure)
    found = (tmp_path / "a.png").read_bytes()
    assert found == (tmp_path / "b.png").read_bytes() and found.startswith(b"\x89PNG")
