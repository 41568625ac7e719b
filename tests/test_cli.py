"""The command line as a person meets it: what works, and the one line that a mistake gets."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from keras_ser.cli import main
from keras_ser.files import lock

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "aspmtl_manifest.py"
LABELS = '["anger", "sadness"]'
SMALL = [
    "--set=config.units=4",
    "--set=config.dense=0",
    "--set=config.layers=1",
    "--set=frontend.features=mfcc,energy",
    "--set=sampling.frames=20",
    "--set=sampling.hop=20",
    f"--set=tasks.emotion.labels={LABELS}",
    "--set=batch_size=16",
    "--epochs=1",
    "--quiet",
]


def speech(rng, pitch: float, seconds: float, rate: int = 16000) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6)) * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))
    return 0.1 * wave + 0.003 * rng.standard_normal(len(time))


def write_corpus(
    folder: Path, speakers=("a", "b", "c", "d"), emotions=("anger", "sadness"), takes: int = 3, seed: int = 1
) -> Path:
    """A manifest of short voices whose pitch tells speaker and emotion."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, speaker in enumerate(speakers):
        for j, emotion in enumerate(emotions):
            for take in range(takes):
                name = f"{speaker}_{emotion}_{take}.wav"
                wave = speech(rng, 110 + 60 * (i % 2) + 40 * j + 3 * take, 0.5 + 0.1 * take)
                soundfile.write(folder / name, wave, 16000)
                rows.append({"file": name, "speaker": speaker, "gender": ("male", "female")[i % 2], "emotion": emotion})
    write_rows(folder / "clips.csv", rows)
    return folder / "clips.csv"


def write_rows(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def read_rows(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def train(manifest: Path, out: Path, *more: str) -> int:
    arguments = ["train", str(RECIPE), "--corpus-root", str(manifest), "--out", str(out), "--variant", "aspmtl", *SMALL]
    return main([*arguments, "--protocol", "paper", "--seed", "0", *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(manifest, out, experiment's folder) of one small experiment."""
    folder = tmp_path_factory.mktemp("cli")
    manifest = write_corpus(folder / "corpus")
    assert train(manifest, folder / "out") == 0
    (experiment,) = (folder / "out").glob("aspmtl_manifest-*")
    return manifest, folder / "out", experiment


@pytest.fixture
def manifest(tmp_path):
    return write_corpus(tmp_path / "corpus")


def free(run) -> bool:
    """Nobody holds a run's lock."""
    with lock(run, wait=False) as mine:
        return mine


def mistake(capsys, code: int) -> str:
    """The one line on standard error of a command that was refused."""
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("keras-ser: error: "), lines
    return lines[0]


def test_help_answers_without_tensorflow():
    for command in ([], ["corpus", "check"], ["train"]):
        code = (
            "import sys; from keras_ser.cli import main\n"
            f"try: main({[*command, '--help']!r})\n"
            "except SystemExit as end: assert not end.code\n"
            "assert not {'tensorflow', 'keras', 'librosa'} & set(sys.modules)"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "usage: keras-ser" in shown.stdout


def test_an_experiment_leaves_what_it_promises(trained):
    _, _, experiment = trained
    run = experiment / "paper-random-80-20" / "fold-00-seed-0"
    for name in ("report.md", "report.json", "predictions.csv", "recipe.json"):
        assert (experiment / name).stat().st_size
    for name in ("model.keras", "recipe.json", "split.json", "history.json", "history.csv", "predictions.csv"):
        assert (run / name).stat().st_size
    assert list(experiment.glob("*.png")) and list((run / "tensorboard").glob("events*"))
    assert not (run / "state.npz").exists() and free(run)
    text = (experiment / "report.md").read_text()
    assert "speaker-dependent split" in text and str(experiment.parent) not in text
    split = json.loads((run / "split.json").read_text())
    table = pd.read_csv(experiment / "predictions.csv")
    assert sorted(table["id"]) == split["test"]
    report = json.loads((experiment / "report.json").read_text())
    assert "adversary" in report["tables"]


def test_a_finished_experiment_named_by_its_json_or_its_folder_is_not_trained_again(trained, capsys):
    manifest, out, experiment = trained
    model = experiment / "paper-random-80-20" / "fold-00-seed-0" / "model.keras"
    before = model.stat().st_mtime_ns
    for source in (experiment, experiment / "recipe.json"):
        assert main(["train", str(source), "--corpus-root", str(manifest), "--out", str(out), "--quiet"]) == 0
        assert "report:" in capsys.readouterr().out
    assert model.stat().st_mtime_ns == before and len(list(out.glob("aspmtl_manifest-*"))) == 1


def test_evaluate_a_run(trained, tmp_path, capsys):
    _, _, experiment = trained
    run = experiment / "paper-random-80-20" / "fold-00-seed-0"
    assert main(["evaluate", str(run), "--out", str(tmp_path / "r")]) == 0
    ours = pd.read_csv(tmp_path / "r" / "predictions.csv").set_index("id")
    stored = pd.read_csv(experiment / "predictions.csv").set_index("id").loc[ours.index]
    np.testing.assert_allclose(ours["emotion/anger"], stored["emotion/anger"], atol=1e-5)
    assert "UAR" in capsys.readouterr().out


def test_compare_with_itself_is_no_difference(trained, capsys):
    _, _, experiment = trained
    assert main(["compare", str(experiment), str(experiment)]) == 0
    said = capsys.readouterr().out
    assert "0.0" in said
    assert [line[:2] for line in said.splitlines() if "optimizer steps" in line] == ["a:", "b:"]
    table = str(experiment / "predictions.csv")
    assert main(["compare", table, table]) == 0 and "optimizer steps" not in capsys.readouterr().out
    assert "must be one of" in mistake(capsys, main(["compare", str(experiment), str(experiment), "--task", "mood"]))


def test_an_out_that_holds_something_else_is_refused(trained, manifest, capsys):
    _, out, experiment = trained
    # the same recipe on another corpus would land in the same folder
    rows = read_rows(manifest)
    write_rows(manifest, rows[1:])
    assert "holds another experiment" in mistake(capsys, train(manifest, out))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set=config.betta=1"], ["config.betta", "Did you mean beta", "gamma"]),
        (["--set=config.beta"], ["KEY=VALUE"]),
        (["--variant=best"], ["--variant", "cascade", "single-task"]),
        (["--protocol=mine"], ["--protocol", "paper", "disjoint", "both"]),
        (["--set=config.adversary=source"], ["tells streams apart", "label"]),
    ],
)
def test_a_wrong_option_is_told_in_one_line(manifest, tmp_path, capsys, arguments, words):
    message = mistake(capsys, train(manifest, tmp_path / "out", *arguments))
    assert all(word in message for word in words), message


def test_unknown_and_missing_labels_are_told_with_the_way_out(manifest, tmp_path, capsys):
    rows = read_rows(manifest)
    rows[0]["emotion"] = "angst"
    write_rows(manifest, rows)
    message = mistake(capsys, train(manifest, tmp_path / "out"))
    assert "angst (1)" in message and "--set 'tasks.emotion.labels=" in message
    for row in rows:
        row["emotion"], row["gender"] = "anger", ""
    write_rows(manifest, rows)
    assert "sadness" in mistake(capsys, train(manifest, tmp_path / "out"))
    rows[0]["emotion"] = "sadness"
    write_rows(manifest, rows)
    assert "no 'gender' for any clip" in mistake(capsys, train(manifest, tmp_path / "out"))


def test_missing_roots_and_recipes(tmp_path, capsys):
    assert "--corpus-root" in mistake(capsys, main(["train", str(RECIPE)]))
    assert "nowhere" in mistake(capsys, main(["train", str(RECIPE), "--corpus-root", str(tmp_path / "nowhere.csv")]))
    assert "recipe.json" in mistake(capsys, main(["train", str(tmp_path / "none.py")]))
    (tmp_path / "broken.py").write_text("RECIPES = {")
    assert "SyntaxError" in mistake(capsys, main(["train", str(tmp_path / "broken.py")]))
    assert "neither" in mistake(capsys, main(["evaluate", str(tmp_path)]))
    assert "emodb" in mistake(capsys, main(["corpus", "check", "emobd", str(tmp_path)]))
    assert "emodb" in mistake(capsys, main(["corpus", "check", "emodb", str(tmp_path)]))


def damage(folder: Path) -> dict[str, str]:
    """File -> kind, for six clips of the corpus that are overwritten by something odd."""
    rng = np.random.default_rng(2)
    (folder / "a_anger_0.wav").write_bytes(b"RIFF....WAVE no more")
    (folder / "a_anger_1.wav").write_bytes(b"")
    soundfile.write(folder / "a_anger_2.wav", np.full(4000, np.nan, "float32"), 16000, subtype="FLOAT")
    soundfile.write(folder / "b_anger_0.wav", np.zeros(8000), 16000)
    soundfile.write(folder / "b_anger_1.wav", np.array([0.1]), 16000)
    stereo = np.stack([speech(rng, 150, 0.6, 48000), speech(rng, 150, 0.6, 48000)], 1)
    soundfile.write(folder / "b_anger_2.wav", stereo, 48000)
    soundfile.write(folder / "c_anger_0.wav", speech(rng, 120, 0.6, 8000), 8000)
    return {"a_anger_0.wav": "bad", "a_anger_1.wav": "bad", "a_anger_2.wav": "bad"}


def test_bad_files_are_all_named_and_nothing_is_dropped_in_silence(manifest, tmp_path, capsys):
    bad = damage(manifest.parent)
    message = mistake(capsys, train(manifest, tmp_path / "out"))
    assert "3 of 24" in message and all(name in message for name in bad), message
    assert main(["corpus", "check", "manifest", str(manifest)]) == 1
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*bad, "b_anger_0.wav", "b_anger_1.wav"))
    assert "48000" in shown and "8000" in shown


@pytest.mark.slow
def test_odd_files_and_a_class_with_one_example_train_and_the_report_says_so(manifest, tmp_path):
    damage(manifest.parent)
    rows = [row for row in read_rows(manifest) if row["emotion"] == "anger" or row["file"] == "a_sadness_0.wav"]
    write_rows(manifest, rows)
    assert train(manifest, tmp_path / "out", "--bad", "drop") == 0
    (experiment,) = (tmp_path / "out").glob("aspmtl_manifest-*")
    text = (experiment / "report.md").read_text()
    for words in ("3 files could not be read", "unusual but kept", "No clip is sadness"):
        assert words in text
    table = pd.read_csv(experiment / "predictions.csv")
    assert np.isfinite(table[["emotion/anger", "emotion/sadness"]].to_numpy()).all()


@pytest.mark.slow
def test_a_cascade_and_an_auxiliary_corpus(manifest, tmp_path):
    aux = write_corpus(tmp_path / "aux", speakers=("x", "y"), emotions=("neutral",), seed=2)
    rows = read_rows(manifest)
    write_rows(manifest, [{k: v for k, v in row.items() if k != "gender"} for row in rows])
    arguments = ["train", str(RECIPE), f"--corpus-root={manifest}", f"--out={tmp_path / 'out'}", *SMALL, "--seed=0"]
    arguments += ["--set=protocols.speaker-folds.folds=2", "--protocol=disjoint", "--folds=0", f"--aux-root={aux}"]
    assert main([*arguments, "--variant=cascade", "--set=first.config.units=4"]) == 0
    (experiment,) = (tmp_path / "out").glob("aspmtl_manifest-*")
    report = json.loads((experiment / "report.json").read_text())
    assert set(report["protocols"]) == {"speaker-folds"}
    assert (experiment / "speaker-folds" / "fold-00-seed-0" / "model_1" / "model.keras").exists()


@pytest.mark.slow
def test_an_interrupted_training_says_how_to_go_on(manifest, tmp_path):
    import signal
    import time

    arguments = ["train", str(RECIPE), "--corpus-root", str(manifest), "--out", str(tmp_path / "out"), *SMALL]
    arguments += ["--variant=aspmtl", "--protocol=paper", "--seed=0", "--epochs=5000", "--set=patience=0"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_ser.cli", *arguments], stderr=subprocess.PIPE, text=True, env=environment
    )
    end = time.monotonic() + 180
    while time.monotonic() < end and not list((tmp_path / "out").rglob("state.npz")):
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "continues from the last finished epoch" in errors, errors
    (run,) = (tmp_path / "out").glob("*/*/fold-00-seed-0")
    assert free(run)


def test_columns_of_a_table_need_a_manifest(tmp_path, capsys):
    assert main(["verify", str(tmp_path), "--corpus-root", f"emodb={tmp_path}", "--columns=speaker=spk"]) == 2
    assert "--columns and --audio-root are for a manifest, and none is given" in capsys.readouterr().err


def test_verify_refuses_two_corpora_of_one_adapter(tmp_path, capsys):
    """Whose speakers of one name would be one person."""
    roots = [f"--corpus-root=manifest={tmp_path / name}.csv" for name in "ab"]
    assert main(["verify", str(tmp_path), *roots]) == 2
    assert "--corpus-root manifest= is given twice" in capsys.readouterr().err


def test_corpus_check_reports_faults_of_rows_and_of_files_together(tmp_path, capsys):
    rows = [{"file": f"{name}.wav", "gender": "male", "emotion": "sad"} for name in ("a", "b", "a", "gone")]
    for row in rows[:1]:
        soundfile.write(tmp_path / row["file"], 0.1 * np.sin(np.arange(8000)), 16000)
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    write_rows(tmp_path / "clips.csv", [*rows, {**rows[0], "gender": "x"}])
    assert main(["corpus", "check", "manifest", str(tmp_path / "clips.csv")]) == 1
    out = capsys.readouterr().out
    assert "manifest: 2 utterances" in out and "unreadable (1): b.wav" in out
    for words in ("Not found: gone.wav (line 5)", "Received: 'x' (line 6)", "Received: a.wav (lines 2, 4)"):
        assert words in out
    assert main(["corpus", "show", "manifest", str(tmp_path / "clips.csv")]) == 2
    assert "gone.wav (line 5). Also, gender must be" in capsys.readouterr().err
