"""`keras-ser export`, `predict` and `demo` as a person meets them."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_ser import serving
from keras_ser.audio import read
from keras_ser.cli import main
from keras_ser.serving.facts import FACTS
from keras_ser.serving.predictor import Predictor
from tests import disk
from tests.audio.files import lying_list


@pytest.fixture
def files(tmp_path, rng):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, seconds, rate in (("b.wav", 0.7, 16000), ("a.flac", 1.9, 44100), ("c.wav", 3.0, 8000)):
        soundfile.write(folder / name, 0.2 * np.sin(np.cumsum(rng.uniform(0, 0.6, int(seconds * rate)))), rate)
    return folder


def lines(capsys) -> tuple[list[str], list[str]]:
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_a_run_and_its_export_answer_alike(served, files, capsys):
    found = []
    for model in (served.folder, served.export, served.export.parent):
        assert main(["predict", str(model), str(files)]) == 0
        out, err = lines(capsys)
        assert not err
        found.append([json.loads(line) for line in out])
    assert [row["file"] for row in found[0]] == [str(files / name) for name in ("a.flac", "b.wav", "c.wav")]
    predictor = Predictor.load(served.folder)
    for rows in found:
        for row in rows:
            (answer,) = predictor([read(row["file"], predictor.sample_rate)])
            for task, told in answer.items():
                assert row[task]["label"] == told["label"]
                for label, p in told["probabilities"].items():
                    assert row[task]["probabilities"][label] == pytest.approx(p, abs=2e-5)


def test_csv_holds_the_same(served, files, capsys):
    model = str(served.export)
    main(["predict", model, str(files)])
    rows = [json.loads(line) for line in lines(capsys)[0]]
    assert main(["predict", model, str(files), "--format", "csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    for row, cells in zip(rows, table, strict=True):
        assert cells["file"] == row["file"]
        for task in (task.name for task in served.run.recipe.tasks):
            assert cells[f"{task}/prediction"] == row[task]["label"]
            for label, p in row[task]["probabilities"].items():
                assert float(cells[f"{task}/{label}"]) == pytest.approx(p, abs=1e-6)
    assert main(["predict", model, str(files), "--format", "table"]) == 0
    shown = capsys.readouterr().out
    assert all(row["emotion"]["label"] in shown for row in rows)


def test_bad_files_are_reported_at_the_end(served, files, capsys):
    (files / "broken.wav").write_bytes(b"RIFF" + bytes(100))
    soundfile.write(files / "long.wav", np.full(9 * 8000, 0.1), 8000)
    assert main(["predict", str(served.export), str(files)]) == 1
    out, err = lines(capsys)
    assert len(out) == 3
    assert err[0] == "keras-ser: 2 of 5 files could not be answered:"
    assert "broken.wav: corrupt or not audio" in err[1]
    assert "long.wav: expected at most 8 s, received 9.0 s. Cut it, or use predict --timeline." in err[2]


@pytest.mark.slow
def test_timeline(served, files, tmp_path, capsys):
    # longer than the export takes at once
    rng = np.random.default_rng(5)
    soundfile.write(files / "talk.wav", 0.1 * rng.standard_normal(11 * 16000), 16000)
    ask = ["predict", str(served.export), str(files / "talk.wav"), "--timeline", "--window=2", "--hop=1"]
    assert main([*ask, f"--plot={tmp_path / 'talk.png'}"]) == 0
    rows = [json.loads(line) for line in lines(capsys)[0]]
    assert [row["start"] for row in rows] == [float(i) for i in range(10)] and rows[-1]["end"] == 11.0
    predictor = Predictor.load(served.export)
    whole = read(files / "talk.wav", predictor.sample_rate)
    piece = whole[4 * predictor.sample_rate : 6 * predictor.sample_rate]
    expected = predictor([piece])[0]["emotion"]["probabilities"]
    assert rows[4]["emotion"]["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert (tmp_path / "talk.png").read_bytes().startswith(b"\x89PNG")
    with disk.at_most(1000):
        assert main([*ask, f"--plot={tmp_path / 'full' / 'talk.svg'}"]) == 2
    assert f"{tmp_path / 'full'}: cannot write talk.svg, the file is larger" in capsys.readouterr().err
    assert list((tmp_path / "full").iterdir()) == []
    assert main([*ask, f"--plot={tmp_path / 'full' / 'talk'}"]) == 0
    assert lines(capsys)[0] and [path.name for path in (tmp_path / "full").iterdir()] == ["talk.png"]
    for form, columns in (("rttm", 10), ("audacity", 3)):
        assert main([*ask, f"--format={form}"]) == 0
        out, _ = lines(capsys)
        assert out and all(len(line.split("\t" if form == "audacity" else " ")) == columns for line in out)
    assert (
        main(["predict", str(served.export), str(files), "--timeline", "--format=csv", f"--plot={tmp_path / 'all'}"])
        == 0
    )
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len({row["file"] for row in table}) == 4 and len(list((tmp_path / "all").glob("*.png"))) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "rttm"], "--format of files (without --timeline) must be one of jsonl, csv, table"),
        (["--format", "table", "--timeline"], "--format of a timeline must be one of jsonl, csv, rttm, audacity"),
        (["--format", "audacity", "--timeline"], "a label track is of one recording. Received: 3 files"),
        (["--plot", "x.png"], "--plot is about a timeline: add --timeline"),
        (["--task", "gender"], "--task is about a timeline: add --timeline"),
        (["--hop", "2"], "--hop is about a timeline: add --timeline"),
        (["--timeline", "--plot", "x.bmp"], "--plot takes a name that ends in .png, .pdf, .svg, or a folder"),
        (["--timeline", "--hop", "5"], "expected 0 < hop <= window <= 8 s"),
        (["--timeline", "--task", "mood"], "must be one of emotion, gender. Received: 'mood'"),
    ],
)
def test_options_that_do_not_fit(served, files, capsys, arguments, words):
    assert main(["predict", str(served.export), str(files), *arguments]) == 2
    out, err = lines(capsys)
    assert not out and len(err) == 1 and words in err[0]


def test_models_and_files_that_are_not_there(served, files, tmp_path, capsys):
    assert main(["predict", str(tmp_path / "nowhere"), str(files)]) == 2
    assert "expected the folder of a finished run" in lines(capsys)[1][0]
    assert main(["predict", str(served.export), str(tmp_path / "nothing.wav")]) == 2
    assert "nothing.wav, where there is none" in lines(capsys)[1][0]
    assert main(["export", str(tmp_path)]) == 2
    assert "expected the folder of a finished run" in lines(capsys)[1][0]


def test_a_damaged_flac_on_a_timeline_ends_nothing(served, files, capsys, rng):
    """libsndfile finds the damage in the middle of the file, after pieces that were good."""
    soundfile.write(files / "d.flac", 0.1 * rng.standard_normal(8 * 16000), 16000)
    contents = (files / "d.flac").read_bytes()
    (files / "d.flac").write_bytes(contents[: len(contents) // 2])
    assert main(["predict", str(served.export), str(files), "--timeline", "--format", "csv"]) == 1
    out, err = lines(capsys)
    assert {Path(line.split(",")[0]).name for line in out[1:]} == {"a.flac", "b.wav", "c.wav"}
    assert "1 of 4 files could not be answered" in err[0] and "d.flac: c" in err[1]


def test_names_that_are_no_text_and_names_that_are_markup(served, files, capfd):
    wave, rate = soundfile.read(files / "b.wav")
    soundfile.write(files / "[bold]x.wav", wave, rate)
    shutil.copy(files / "b.wav", os.fsencode(files) + b"/n\xff.wav")
    for form in ("jsonl", "csv", "table"):
        assert main(["predict", str(served.export), str(files), "--format", form]) == 0
        out = capfd.readouterr().out
        assert "[bold]x.wav" in out and "c.wav" in out and "ff.wav" in out


def test_recordings_of_one_name_are_told_apart(served, files, tmp_path, capsys):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        shutil.copy(files / "c.wav", tmp_path / folder / "talk.wav")
    ask = ["predict", str(served.export), "--timeline", "--format", "rttm", "--window=1"]
    assert main([*ask, str(tmp_path / "x"), str(tmp_path / "y")]) == 0
    assert {Path(line.split()[1]).parent.name for line in lines(capsys)[0]} == {"x", "y"}
    assert main([*ask, str(tmp_path / "x")]) == 0
    assert {line.split()[1] for line in lines(capsys)[0]} == {"talk"}


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_a_damaged_export_says_so(served, files, tmp_path, capsys, name):
    shutil.copytree(served.export, tmp_path / "1")
    part = tmp_path / "1" / name
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    assert main(["predict", str(tmp_path / "1"), str(files)]) == 2
    (line,) = lines(capsys)[1]
    assert f"{tmp_path / '1'} is damaged and can't be loaded" in line


def test_an_experiment_of_several_runs_asks_which(served, tmp_path, capsys):
    for fold in range(2):
        shutil.copytree(served.folder, tmp_path / "speakers" / f"fold-0{fold}-seed-0")
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    (line,) = lines(capsys)[1]
    assert "holds 2 runs; name one of them: speakers/fold-00-seed-0, speakers/fold-01-seed-0" in line
    assert not (tmp_path / "out").exists()


def test_another_version_says_so(served, files, tmp_path, capsys):
    copy = tmp_path / "model" / "1"
    shutil.copytree(served.export, copy)
    facts = json.loads((copy / FACTS).read_text())
    (copy / FACTS).write_text(json.dumps(facts | {"keras_ser": "0.0.1"}))
    assert main(["predict", str(copy), str(files / "b.wav")]) == 0
    out, err = lines(capsys)
    assert len(out) == 1 and len(err) == 1 and "was exported by keras_ser 0.0.1" in err[0]


@pytest.mark.slow
def test_export_and_a_refusal(served, tmp_path, capsys, monkeypatch):
    assert main(["export", str(served.folder), "--name", "mine", "--out", str(tmp_path)]) == 0
    out, err = lines(capsys)
    assert out == [str(tmp_path / "mine" / "1")] and (tmp_path / "mine" / "1" / "saved_model.pb").exists()
    assert "largest difference from Keras" in err[-1]

    def refuse(*arguments):
        raise serving.ExportError("predict: emotion of clip 3 differs.")

    monkeypatch.setattr(serving, "export", refuse)
    assert main(["export", str(served.folder), "--name", "other", "--out", str(tmp_path)]) == 1
    out, err = lines(capsys)
    assert not out and err == ["keras-ser: export refused: predict: emotion of clip 3 differs."]


def test_mistakes_are_told_before_tensorflow_is_imported(tmp_path):
    script = (
        "import sys; from keras_ser.cli import main\n"
        "code = main(['predict', 'model', 'file.wav', '--plot', 'x.png'])\n"
        "assert code == 2 and 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_predict_answers_whole_files_beside_unusable_ones(served, files, capsys):
    """One that libsndfile never comes back from, samples without a header, a pipe, a folder named like a file, a table."""
    (files / "hang.wav").write_bytes(lying_list())
    (files / "headerless.raw").write_bytes(bytes(32000))
    (files / "x.wav").mkdir()
    shutil.copy(files / "b.wav", files / "x.wav" / "inner.dat")
    (files / "x.wav" / "up").symlink_to(files)
    os.mkfifo(files / "pipe.wav")
    (files / "labels.csv").write_text("file,emotion\n")
    assert main(["predict", str(served.export), str(files)]) == 1
    out, err = lines(capsys)
    answered = [Path(json.loads(line)["file"]).relative_to(files).as_posix() for line in out]
    assert answered == ["a.flac", "b.wav", "c.wav", "x.wav/inner.dat"]
    assert err[0] == f"keras-ser: skipped, not audio (2): {files / 'labels.csv'}, {files / 'pipe.wav'}"
    assert err[1] == "keras-ser: 2 of 6 files could not be answered:"
    assert "hang.wav: corrupt: in its chunk LIST" in err[2] and "headerless.raw: corrupt or not audio" in err[3]


@pytest.mark.parametrize("form", ["jsonl", "csv", "table", "timeline"])
def test_predict_names_odd_files(served, files, capsys, form):
    wave, rate = soundfile.read(files / "b.wav", dtype="float32")
    soundfile.write(files / "d.wav", np.stack([wave, -wave], 1), rate)
    soundfile.write(files / "e.wav", np.stack([0 * wave, wave], 1), rate)
    soundfile.write(files / "f.wav", wave + 0.1, rate)
    options = ["--timeline"] if form == "timeline" else ["--format", form]
    assert main(["predict", str(served.export), str(files), *options]) == 0
    out, err = lines(capsys)
    assert err == [
        f"keras-ser: warning: cancelling channels (1): {files / 'd.wav'}",
        f"keras-ser: warning: silent channels (1): {files / 'e.wav'}",
        f"keras-ser: warning: constant offset (1): {files / 'f.wav'}",
    ]
    if form == "jsonl":
        rows = {Path(row["file"]).name: row for row in map(json.loads, out)}
        assert {name: row["problems"] for name, row in rows.items() if "problems" in row} == {
            "d.wav": ["cancelling channels"],
            "e.wav": ["silent channels"],
            "f.wav": ["constant offset"],
        }
        for name in ("d.wav", "e.wav", "f.wav"):  # and they are answered as the voice in them is
            expected, found = (rows[n]["emotion"]["probabilities"] for n in ("b.wav", name))
            assert found == pytest.approx(expected, abs=0.02)


def test_timelines_of_one_name_keep_their_whole_path(served, files, tmp_path, monkeypatch, capsys):
    """Dots at the beginning of a path belong to it."""
    for folder in ("..x", "x", ".x"):
        (tmp_path / folder).mkdir()
        shutil.copy(files / "b.wav", tmp_path / folder / "talk.wav")
    shutil.copy(files / "a.flac", tmp_path / "x" / "talk.flac")
    monkeypatch.chdir(tmp_path / "x")
    paths = ["../..x/talk.wav", "../.x/talk.wav", "talk.wav", "./talk.flac"]
    assert main(["predict", str(served.export), "--timeline", "--format", "rttm", *paths]) == 0
    assert sorted({line.split()[1] for line in lines(capsys)[0]}) == [*paths[:2], "talk.flac", "talk.wav"]
