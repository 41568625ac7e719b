"""`keras-ser export`, `predict` and `demo` as a user meets them; the model is a stand-in where no network is needed."""

import csv
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_ser import models, serving
from keras_ser.audio import read
from keras_ser.cli import main
from keras_ser.serving import ExportVersionWarning, Predictor, demo_page
from keras_ser.serving import predictor as predictor_module
from tests import disk
from tests.serving import standin
from tests.wavs import lying_list


@pytest.fixture
def files(tmp_path, rng):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, seconds, rate in (("b.wav", 0.7, 16000), ("a.flac", 1.9, 44100), ("c.wav", 3.0, 8000)):
        soundfile.write(folder / name, 0.2 * np.sin(np.cumsum(rng.uniform(0, 0.6, int(seconds * rate)))), rate)
    return folder


@pytest.fixture
def predict(files, monkeypatch, capsys):
    """(options of `predict` with the stand-in model on the files, exit code) -> lines of output and of errors."""
    monkeypatch.setattr(Predictor, "load", lambda path: standin.predictor())

    def run(*options, code: int = 0, paths=(files,)) -> tuple[list[str], list[str]]:
        assert main(["predict", "MODEL", *map(str, (*paths, *options))]) == code
        return lines(capsys)

    return run


def lines(capsys) -> tuple[list[str], list[str]]:
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_run_and_export_predict_alike(served, files, capsys):
    found = []
    for model in (served.folder, served.export.parent):
        assert main(["predict", str(model), str(files)]) == 0
        out, err = lines(capsys)
        assert not err
        found.append([json.loads(line) for line in out])
    assert [row["file"] for row in found[0]] == [str(files / name) for name in ("a.flac", "b.wav", "c.wav")]
    for run, export in zip(*found, strict=True):
        assert run.keys() == export.keys() == {"file", "emotion", "gender"}
        for task in ("emotion", "gender"):
            assert run[task]["label"] == export[task]["label"]
            assert run[task]["probabilities"] == pytest.approx(export[task]["probabilities"], abs=1e-5)


def test_csv_and_table_hold_the_same_as_jsonl(predict):
    rows = [json.loads(line) for line in predict()[0]]
    table = list(csv.DictReader(predict("--format", "csv")[0]))
    for row, cells in zip(rows, table, strict=True):
        assert (cells["file"], cells["emotion/prediction"]) == (row["file"], row["emotion"]["label"])
        probabilities = {label: float(cells[f"emotion/{label}"]) for label in standin.EMOTION.labels}
        assert probabilities == pytest.approx(row["emotion"]["probabilities"], abs=1e-6)
        assert float(cells["arousal/prediction"]) == pytest.approx(row["arousal"]["value"])
    shown = "\n".join(predict("--format", "table")[0])
    assert all(f"{row['emotion']['label']} {row['emotion']['score']:.2f}" in shown for row in rows)


def test_flag_of_a_model_registered_later_is_shown(files, monkeypatch, tmp_path, capsys):
    """Both in the table and on the page; a model from outside is known once it has been used."""
    (tmp_path / "later_model.py").write_text(
        "from keras_ser.models.paper import Flag\n"
        "FLAGS = {'odd': Flag('{count} of {clips} are odd.', 'an odd clip')}\nConfig = build = object\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(models, "_OWN", {})
    models.model_module("later_model")
    plain = standin.predictor()
    flagged = replace(plain, score=lambda x, n: {**plain.score(x, n), "odd": np.arange(len(x)) == 0}, flags=("odd",))
    monkeypatch.setattr(Predictor, "load", lambda path: flagged)
    assert main(["predict", "MODEL", str(files), "--format", "table"]) == 0
    out, _ = lines(capsys)
    assert ["(an odd clip)" in line for line in out] == [False, True, False, False]
    assert demo_page._note(flagged, 1.0, {"odd": True}, []) == "1.0 s (an odd clip): the result is unreliable."


def test_unusable_files_are_reported_at_the_end(predict, files):
    """One that libsndfile never returns from, samples without a header, a pipe, a folder named like a file, a table."""
    (files / "hang.wav").write_bytes(lying_list())
    (files / "headerless.raw").write_bytes(bytes(32000))
    soundfile.write(files / "long.wav", np.full(21 * 8000, 0.1), 8000)
    (files / "x.wav").mkdir()
    shutil.copy(files / "b.wav", files / "x.wav" / "inner.dat")
    (files / "x.wav" / "up").symlink_to(files)
    os.mkfifo(files / "pipe.wav")
    (files / "labels.csv").write_text("file,emotion\n")
    out, err = predict(code=1)
    answered = [Path(json.loads(line)["file"]).relative_to(files).as_posix() for line in out]
    assert answered == ["a.flac", "b.wav", "c.wav", "x.wav/inner.dat"]
    assert err[0] == f"keras-ser: skipped, not audio (2): {files / 'labels.csv'}, {files / 'pipe.wav'}"
    assert err[1] == "keras-ser: 3 of 7 files could not be predicted:"
    assert "hang.wav: corrupt: its LIST chunk" in err[2] and "headerless.raw: corrupt or not audio" in err[3]
    assert "long.wav: expected at most 20 s, received 21.0 s. Cut it, or use predict --timeline." in err[4]


def test_timeline(predict, files, tmp_path, rng):
    """Longer than the model takes at once."""
    talk = files / "talk.wav"
    soundfile.write(talk, 0.1 * rng.standard_normal(21 * 8000), 8000)
    ask = ["--timeline", "--window=2", "--hop=1"]
    rows = [json.loads(line) for line in predict(*ask, f"--plot={tmp_path / 'talk.png'}", paths=[talk])[0]]
    assert [row["start"] for row in rows] == [float(i) for i in range(20)] and rows[-1]["end"] == 21.0
    expected = standin.predictor()([read(talk, 8000)[4 * 8000 : 6 * 8000]])[0]["emotion"]
    assert rows[4]["emotion"]["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
    assert (tmp_path / "talk.png").read_bytes().startswith(b"\x89PNG")
    with disk.at_most(1000):
        _, err = predict(*ask, f"--plot={tmp_path / 'full' / 'talk.svg'}", paths=[talk], code=2)
    assert f"{tmp_path / 'full'}: cannot write talk.svg, the file is larger" in err[0]
    assert list((tmp_path / "full").iterdir()) == []
    (tmp_path / "plots.v2").mkdir()
    predict(*ask, f"--plot={tmp_path / 'plots.v2'}", paths=[talk])
    assert [path.name for path in (tmp_path / "plots.v2").iterdir()] == ["talk.png"]
    for form, columns in (("rttm", 10), ("audacity", 3)):
        out, _ = predict(*ask, f"--format={form}", paths=[talk])
        assert out and all(len(line.split("\t" if form == "audacity" else " ")) == columns for line in out)
    table = list(csv.DictReader(predict("--timeline", "--format=csv", f"--plot={tmp_path / 'all'}")[0]))
    assert len({row["file"] for row in table}) == 4 and len(list((tmp_path / "all").glob("*.png"))) == 4


def test_damaged_recording_does_not_end_timelines(predict, files, rng):
    """libsndfile finds the damage in the middle of the file, after good blocks."""
    soundfile.write(files / "d.flac", 0.1 * rng.standard_normal(8 * 16000), 16000)
    contents = (files / "d.flac").read_bytes()
    (files / "d.flac").write_bytes(contents[: len(contents) // 2])
    out, err = predict("--timeline", "--format", "csv", code=1)
    assert {Path(line.split(",")[0]).name for line in out[1:]} == {"a.flac", "b.wav", "c.wav"}
    assert "1 of 4 files could not be predicted" in err[0] and "d.flac: c" in err[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "rttm"], "--format without --timeline must be one of jsonl, csv, table. Received: rttm"),
        (["--format", "audacity", "--timeline"], "takes one recording; use rttm, csv or jsonl. Received: 3 files"),
        (["--hop", "2"], "--hop requires --timeline"),
        (["--timeline", "--plot", "x.bmp"], "--plot takes a name that ends in .png, .pdf, .svg, or a folder"),
        (["--timeline", "--plot", "x.png"], "--plot takes a folder for several recordings. Received: x.png, 3 files"),
        (["--timeline", "--hop", "5"], "expected 0 < hop <= window <= 20 s"),
        (["--timeline", "--task", "mood"], "must be one of emotion, arousal. Received: 'mood'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(predict, options, words):
    out, err = predict(*options, code=2)
    assert not out and len(err) == 1 and words in err[0]


def test_missing_models_and_files_are_refused(served, files, tmp_path, capsys):
    for command in (["predict", tmp_path / "nowhere", files], ["export", tmp_path]):
        assert main([str(word) for word in command]) == 2
        assert "expected the folder of a finished run" in lines(capsys)[1][0]
    for command, said in (
        (
            ["predict", tmp_path / "nowhere", files],
            ", or of an export (NAME or NAME/VERSION). Received: {}, which does not",
        ),
        (["predict", files, files], "or of an export (NAME or NAME/VERSION). Received: {}."),
        (["explain", served.export, files / "b.wav"], "{}, an export: give the run that it was made from."),
        (["explain", served.export.parent, files / "b.wav"], "{}, an export: give the run that it was made from."),
    ):
        assert main([str(word) for word in command]) == 2
        assert said.format(command[1]).lstrip(", ") in lines(capsys)[1][0]
    assert main(["predict", str(served.export), str(tmp_path / "nothing.wav")]) == 2
    assert "nothing.wav, which does not exist" in lines(capsys)[1][0]


@pytest.mark.parametrize("options", [(), ("--timeline",)])
def test_missing_files_among_others_are_listed_at_the_end(predict, files, options):
    gone = files / "gone.wav"
    out, err = predict(*options, code=1, paths=(gone, files / "b.wav"))
    assert len({json.loads(line)["file"] for line in out}) == 1
    assert err[0] == "keras-ser: 1 of 2 files could not be predicted:" and err[1].startswith(f"  {gone}: ")
    assert "which does not exist" in predict(*options, code=2, paths=(gone, files / "far.wav"))[1][0]


def test_standard_input_is_not_read(predict):
    assert "Standard input is not read" in predict(code=2, paths=("-",))[1][0]


def test_file_names_that_are_not_text_and_that_are_markup(files, monkeypatch, capfd):
    monkeypatch.setattr(Predictor, "load", lambda path: standin.predictor())
    shutil.copy(files / "b.wav", files / "[bold]x.wav")
    shutil.copy(files / "b.wav", os.fsencode(files) + b"/n\xff.wav")
    Path(os.fsdecode(os.fsencode(files) + b"/o\xff.wav")).write_bytes(b"RIFF")
    for form in ("jsonl", "csv", "table", "rttm"):
        for more in ([], ["--timeline"]) if form != "rttm" else (["--timeline"],):
            assert main(["predict", "MODEL", str(files), "--format", form, *more]) == 1
            out, err = capfd.readouterr()
            assert r"o\xff.wav: c" in err
            if form == "jsonl":
                assert all(json.loads(line)["file"].startswith(str(files)) for line in out.splitlines())
                out = out.replace(r"\\", "\\")
            stems = ("[bold]x", "c", r"n\xff")
            assert all(f"{stem} 1" if form == "rttm" else f"{stem}.wav" in out for stem in stems)
    broken = os.fsencode(files) + b"/gone\xff.wav"
    assert main(["predict", "MODEL", os.fsdecode(broken)]) == 2
    assert r"/gone\xff.wav, which does not exist" in capfd.readouterr().err


def test_timelines_of_the_same_name_are_named_by_their_paths(predict, files, tmp_path, monkeypatch):
    """Dots at the beginning of a path are kept."""
    for folder in ("..x", "x", ".x"):
        (tmp_path / folder).mkdir()
        shutil.copy(files / "b.wav", tmp_path / folder / "talk.wav")
    shutil.copy(files / "a.flac", tmp_path / "x" / "talk.flac")
    monkeypatch.chdir(tmp_path / "x")
    ask = ["--timeline", "--format", "rttm"]
    paths = ["../..x/talk.wav", "../.x/talk.wav", "talk.wav", "./talk.flac"]
    named = {line.split()[1] for line in predict(*ask, paths=paths)[0]}
    assert sorted(named) == [*paths[:2], "talk.flac", "talk.wav"]
    assert {line.split()[1] for line in predict(*ask, paths=paths[:1])[0]} == {"talk"}


def test_names_in_rttm_are_apart_as_they_are_written(predict, files, tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    names = ["a b.flac", "a_b.flac", "a_b.flac.wav", "x/c d.wav", "c_d.wav", "e.wav"]
    for name in names:
        shutil.copy(files / ("a.flac" if name.endswith("flac") else "b.wav"), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    named = dict.fromkeys(line.split(" ")[1] for line in predict("--timeline", "--format=rttm", paths=names)[0])
    assert list(named) == ["a_b.flac-2", "a_b.flac-3", "a_b.flac", "x/c_d.wav", "c_d.wav", "e"]


def test_a_label_of_two_words_is_one_field_of_rttm(files, monkeypatch, capsys):
    tasks = (dataclasses.replace(standin.EMOTION, labels=("very low", "in the middle", "very high")), standin.AROUSAL)
    monkeypatch.setattr(Predictor, "load", lambda path: standin.predictor(tasks=tasks))
    assert main(["predict", "MODEL", str(files), "--timeline", "--format=rttm"]) == 0
    rows = [line.split() for line in lines(capsys)[0]]
    assert {len(row) for row in rows} == {10} and {row[7] for row in rows} <= {"very_low", "in_the_middle", "very_high"}


@pytest.mark.parametrize("form", ["csv", "table"])
def test_a_timeline_has_its_header_where_the_first_recording_fails(predict, files, form):
    good = predict("--timeline", f"--format={form}", paths=[files / "b.wav"])[0]
    (files / "0.wav").write_bytes(b"RIFF")
    bad_first = predict("--timeline", f"--format={form}", paths=[files / "0.wav", files / "b.wav"], code=1)[0]
    assert bad_first == good and bad_first[0].split("," if form == "csv" else None)[:3] == ["file", "start", "end"]


@pytest.mark.parametrize("options", [[], ["--timeline"]], ids=["clips", "timeline"])
@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_an_interrupt_leaves_what_is_predicted_and_says_how_much(files, monkeypatch, capsys, form, options):
    """The third file is never scored."""
    (files / "a.flac").write_bytes(b"RIFF")
    plain, model = standin.predictor(), []

    def score(waveform, lengths):
        if lengths.max() > 2.5 * standin.RATE:
            raise KeyboardInterrupt
        return plain.score(waveform, lengths)

    monkeypatch.setattr(predictor_module, "BATCH_CLIPS", 1)
    monkeypatch.setattr(Predictor, "load", lambda path: model.append(1) or dataclasses.replace(plain, score=score))
    assert main(["predict", "MODEL", str(files), "--format", form, *options]) == 130
    out, err = lines(capsys)
    assert err == ["interrupted after 2 of 3 files; the predictions of 1 are printed"]
    assert [("b.wav" in line) for line in out] == [True] if form == "jsonl" else [False, True]


def test_an_interrupt_before_the_first_prediction_promises_nothing(files, monkeypatch, capsys):
    def load(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "load", load)
    for more in ([], ["--format=table"], ["--timeline"]):
        assert main(["predict", "MODEL", str(files), *more]) == 130
        assert lines(capsys) == ([], ["interrupted; no file has been predicted"])


def test_skipped_files_are_named_once(predict, files):
    (files / "labels.csv").write_text("file,emotion\n")
    _, err = predict(paths=[files, files])
    assert err == [f"keras-ser: skipped, not audio (1): {files / 'labels.csv'}"]


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_damaged_export_is_named(served, files, tmp_path, capsys, name):
    shutil.copytree(served.export, tmp_path / "1")
    part = tmp_path / "1" / name
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    assert main(["predict", str(tmp_path / "1"), str(files)]) == 2
    (line,) = lines(capsys)[1]
    assert f"{tmp_path / '1'} is damaged and cannot be loaded" in line


def test_experiment_of_several_runs_lists_them(served, tmp_path, capsys):
    for fold in range(2):
        shutil.copytree(served.folder, tmp_path / "speakers" / f"fold-0{fold}-seed-0")
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    (line,) = lines(capsys)[1]
    assert "holds 2 runs; name one of them: speakers/fold-00-seed-0, speakers/fold-01-seed-0" in line
    assert "ks.load of this folder" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("default::keras_ser.serving.ExportVersionWarning")
def test_export_of_another_version_is_one_line(predict, monkeypatch):
    def load(path):
        warnings.warn("exported by keras_ser 0.0.1.", ExportVersionWarning, stacklevel=2)
        return standin.predictor()

    monkeypatch.setattr(Predictor, "load", load)
    out, err = predict()
    assert len(out) == 3 and err == ["keras-ser: warning: exported by keras_ser 0.0.1."]


def test_export_prints_the_folder_or_the_refusal(served, tmp_path, capsys, monkeypatch):
    given = []
    monkeypatch.setattr(serving, "export", lambda run, *options: given.append(options) or served.export)
    command = ["export", str(served.folder), "--name", "mine", "--out", str(tmp_path), "--max-seconds", "7"]
    assert main(command) == 0
    out, err = lines(capsys)
    assert given == [(str(tmp_path), "mine", 7.0)]
    assert out == [str(served.export)] and "largest difference from Keras" in err[-1]

    def refuse(*arguments):
        raise serving.ExportError("predict: emotion of clip 3 differs.")

    monkeypatch.setattr(serving, "export", refuse)
    assert main(command) == 1
    assert lines(capsys) == ([], ["keras-ser: export refused: predict: emotion of clip 3 differs."])


def test_mistaken_options_are_refused_before_tensorflow_is_imported(tmp_path):
    script = (
        "import sys; from keras_ser.cli import main\n"
        "code = main(['predict', 'model', 'file.wav', '--plot', 'x.png'])\n"
        "assert code == 2 and 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [[], ["--timeline"]], ids=["clips", "timeline"])
def test_problems_of_files_are_named(predict, files, options):
    wave, rate = soundfile.read(files / "b.wav", dtype="float32")
    soundfile.write(files / "d.wav", np.stack([wave, -wave], 1), rate)
    soundfile.write(files / "e.wav", np.stack([0 * wave, wave], 1), rate)
    soundfile.write(files / "f.wav", wave + 0.1, rate)
    soundfile.write(files / "g.wav", 0 * wave, rate)
    soundfile.write(files / "h.wav", (30 * wave).clip(-1, 1), 8000)
    soundfile.write(files / "i.wav", 1e4 * wave, rate, subtype="FLOAT")
    soundfile.write(files / "j.wav", wave[:50], rate)
    out, err = predict(*options)
    problems = {"d.wav": "cancelling channels", "e.wav": "silent channels", "f.wav": "constant offset"}
    problems |= {"g.wav": "silent", "h.wav": "clipped", "i.wav": "far beyond full scale"}
    problems |= {"j.wav": "shorter than one window"}
    assert err == [f"keras-ser: warning: {text} (1): {files / name}" for name, text in problems.items()]
    if not options:
        rows = {Path(row["file"]).name: row for row in map(json.loads, out)}
        assert {name: row["problems"] for name, row in rows.items() if "problems" in row} == {
            name: [text] for name, text in problems.items()
        }
        for name in ("d.wav", "e.wav", "f.wav"):  # predicted as the voice in them
            expected, found = (rows[n]["emotion"]["probabilities"] for n in ("b.wav", name))
            assert found == pytest.approx(expected, abs=0.02)
