"""`keras-ser wav2vec2`: what it prints and writes, and the one line that a mistake gets."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ser.cli import main
from keras_ser.models.wav2vec2 import load, weights_hash
from tests.models.wav2vec2.reference import STORED, padded, waveforms
from tests.test_cli import mistake as refused

ROOT = Path(__file__).parents[2]


def answer(model) -> np.ndarray:
    x, mask = padded(waveforms())
    return model.predict_on_batch({"waveform": x, "mask": mask})


@pytest.mark.parametrize("form", ["group", "layer"])
def test_info_describes_the_checkpoint(form, capsys):
    assert main(["wav2vec2", "info", str(STORED / form)]) == 0
    printed = capsys.readouterr().out
    kind = {"group": "wav2vec2, group norm", "layer": "hubert, layer norm, normalised before each block"}[form]
    total = sum(np.prod(weight.shape) for weight in load(STORED / form).weights)
    words = [
        kind,
        "2 layers, 16 units, 4 heads",
        f"{total:,}",
        "16000 Hz",
        "every 20 ms, each from 25 ms",
        "400 samples",
    ]
    for word in [*words, weights_hash(STORED / form), "nothing"]:
        assert word in printed


@pytest.mark.parametrize("form", ["group", "layer"])
def test_converted_files_give_what_the_checkpoint_gives(form, tmp_path, capsys):
    layer = load(STORED / form)
    x, mask = padded(waveforms())
    expected = np.array(layer(x, mask=mask))
    for name in ("model.keras", "model.weights.h5"):
        assert main(["wav2vec2", "convert", str(STORED / form), str(tmp_path / name)]) == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / name)
    model = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(answer(model), expected, atol=2e-5)
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape, "float32"))
    model.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(answer(model), expected, atol=2e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "model.weights.h5"]


@pytest.mark.slow
def test_converted_model_loads_in_another_process_that_imports_the_package(tmp_path):
    assert main(["wav2vec2", "convert", str(STORED / "group"), str(tmp_path / "model.keras")]) == 0
    script = (
        "import keras, numpy as np, keras_ser.models.wav2vec2\n"
        f"model = keras.saving.load_model({str(tmp_path / 'model.keras')!r})\n"
        "x = np.ones((1, 800), 'float32')\n"
        "assert model.predict_on_batch({'waveform': x, 'mask': x > 0}).shape == (1, 2, 16)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def mistake(capsys, *arguments) -> str:
    return refused(capsys, main(["wav2vec2", *map(str, arguments)]))


def test_mistakes_are_one_line(tmp_path, capsys):
    good, there = STORED / "group", tmp_path / "there.keras"
    there.write_bytes(b"mine")
    assert "which is no folder" in mistake(capsys, "info", tmp_path / "absent")
    assert "no config.json" in mistake(capsys, "info", tmp_path)
    assert ".keras or .weights.h5" in mistake(capsys, "convert", good, tmp_path / "model.pt")
    assert ".keras or .weights.h5" in mistake(capsys, "convert", good, tmp_path / ".keras")
    assert "Create the folder" in mistake(capsys, "convert", good, tmp_path / "new" / "model.keras")
    assert "--overwrite" in mistake(capsys, "convert", good, there)
    assert there.read_bytes() == b"mine"
    assert main(["wav2vec2", "convert", str(good), str(there), "--overwrite"]) == 0
    assert len(there.read_bytes()) > 1000


def test_refused_checkpoint_leaves_no_file(tmp_path, capsys):
    folder = shutil.copytree(STORED / "group", tmp_path / "checkpoint")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 25}))
    text = mistake(capsys, "convert", folder, tmp_path / "model.keras")
    assert "feed_forward.intermediate_dense.weight (expected (25, 16), received (24, 16))" in text
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "whisper"}))
    assert "'whisper'" in mistake(capsys, "convert", folder, tmp_path / "model.keras")
    assert not (tmp_path / "model.keras").exists()
