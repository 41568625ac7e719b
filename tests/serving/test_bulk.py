"""Bulk prediction: every file once, over shards, kills and lists; what failed is in a table of its own."""

import contextlib
import json
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from keras_ser.cli import main
from keras_ser.errors import RunError, UserError
from keras_ser.serving import Predictor, bulk
from keras_ser.serving.bulk import digest
from keras_ser.serving.file_lists import listed_files
from tests.serving import standin

pytest.importorskip("pyarrow")


@pytest.fixture
def files(tmp_path, rng):
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(11):
        x = 0.2 * np.sin(np.cumsum(rng.uniform(0, 0.1 + 0.3 * number, 2000 + 500 * number)))
        soundfile.write(folder / f"{number:02d}.wav", x, standin.RATE)
    (folder / "07.wav").write_bytes(b"RIFF, but no more")
    return folder


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """Sizes of the batches that the stand-in scored."""
    found = []
    monkeypatch.setattr(Predictor, "load", lambda path: standin.predictor(calls=found))
    monkeypatch.setattr(bulk, "digest", str)
    return found


def predicted(out):
    return pd.read_parquet(out / "predictions").sort_values("file", ignore_index=True)


def expected(files):
    """What the stand-in says of each readable file, one at a time."""
    rows = []
    for path in sorted(files.glob("*.wav")):
        if path.stem != "07":
            p, value = standin.answers(soundfile.read(path, dtype="float32")[0])
            rows.append({"file": str(path), "emotion/score": p.max(), "arousal/prediction": value})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("shards", [1, 4])
def test_shards_together_are_every_file_once(files, tmp_path, shards):
    out = tmp_path / "out"
    codes = [
        main(["predict", "M", str(files), "--out", str(out), "--shards", f"{k + 1}/{shards}"]) for k in range(shards)
    ]
    assert sorted(codes) == [0] * (shards - 1) + [1], "one shard has the broken file"
    found, right = predicted(out), expected(files)
    pd.testing.assert_frame_equal(found[right.columns], right, check_exact=False, rtol=1e-5)
    assert list(found)[:3] == ["file", "emotion/prediction", "emotion/score"]
    (failed,) = pd.read_parquet(out / "failed").to_dict("records")
    assert failed["file"] == str(files / "07.wav") and "07.wav" in failed["reason"]


def test_a_file_that_arrives_between_two_shards_moves_no_other(files, tmp_path):
    """It comes first of all, and is of the shard that starts last."""
    command = ["predict", "M", str(files), "--out", str(tmp_path / "out"), "--shards"]
    codes = [main([*command, "1/2"])]
    new = next(path for k in range(99) if bulk.shard_of(path := files / f"000-{k}.wav", 2) == 2)
    new.write_bytes((files / "03.wav").read_bytes())
    codes.append(main([*command, "2/2"]))
    assert sorted(codes) == [0, 1]
    assert predicted(tmp_path / "out")["file"].tolist() == expected(files)["file"].tolist()
    assert len({bulk.shard_of(f"{k}.wav", 8) for k in range(99)}) == 8


def test_what_a_kill_left_is_not_predicted_again(files, tmp_path, calls):
    every = sorted(files.glob("*.wav"))

    def killed(left):
        for number, row in enumerate(bulk.Rows("M")(left)):
            if number == 7:
                assert len(predicted(tmp_path / "out")) == 6
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        bulk.predict_bulk("M", every, tmp_path / "out", part=3, rows=contextlib.nullcontext(killed))
    assert len(predicted(tmp_path / "out")) == 7, "an interrupt also leaves the rows of the part under way"
    del calls[:]
    shard = bulk.shard_of(files / "07.wav", 2)
    good = sum(bulk.shard_of(path, 2) == shard for path in every) - 1
    assert bulk.predict_bulk("M", every, tmp_path / "out", shard=(shard, 2)) == (good, 1), "other shards than before"
    assert bulk.predict_bulk("M", every, tmp_path / "out") == (10, 1)
    assert sum(clips for clips, _ in calls) == 3
    pd.testing.assert_series_equal(predicted(tmp_path / "out")["file"], expected(files)["file"])


def test_progress_counts_the_rows_that_come_back(files, tmp_path, monkeypatch):
    every, seen = sorted(files.glob("*.wav")), []

    def late(left):
        assert not seen
        for row in list(bulk.Rows("M")(left)):
            yield row
            seen.append("row")

    def track(left, *_, shown):
        assert shown
        for file in left:
            yield file
            seen.append("taken")

    monkeypatch.setattr(bulk, "track", track)
    bulk.predict_bulk("M", every, tmp_path / "out", rows=contextlib.nullcontext(late), verbose=True)
    assert seen == ["row", "taken"] * len(every)


def test_without_a_cluster_no_folder_is_taken(files, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'keras-ser[cluster]'")
    rows = bulk.ray_rows("M", tmp_path / "out", 2, "127.0.0.1:1")
    with pytest.raises(UserError, match="there is no Ray cluster at 127.0.0.1:1"):
        bulk.predict_bulk("M", sorted(files.glob("*.wav")), tmp_path / "out", rows=rows)
    assert not (tmp_path / "out").exists()


def test_a_list_names_files_and_a_missing_one_is_a_failure(files, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text(f"\ufeff{files / '03.wav'}\n \n{files / 'gone.wav'}\r\n{files / '03.wav'}\n", encoding="utf-8")
    assert main(["predict", "M", str(listed), "--out", str(tmp_path / "out")]) == 1
    assert list(predicted(tmp_path / "out")["file"]) == [str(files / "03.wav")]
    assert list(pd.read_parquet(tmp_path / "out" / "failed")["file"]) == [str(files / "gone.wav")]


def test_a_list_holds_any_name_the_home_folder_and_folders(files, tmp_path, monkeypatch):
    """Latin-1, a space at either end, and what Unicode calls the end of a line; a folder is searched, as in the command."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = [b" a.wav", b"b.wav ", b"caf\xe9.wav", "line\u2028x\x0c.wav".encode(), b"~/clips"]
    (tmp_path / "list.txt").write_bytes(b"\n".join([*names, b"~/clips/03.wav"]))
    found, skipped = listed_files(["list.txt"])
    assert found == [*(Path(os.fsdecode(name)) for name in names[:4]), *sorted(files.glob("*.wav"))] and not skipped
    assert [path.name for path in listed_files(["~/list.txt"])[0]] == [path.name for path in found]
    (files / "notes.md").write_text("")
    (tmp_path / "more.txt").mkdir()
    (tmp_path / "more.txt" / "a.wav").touch()
    assert listed_files(["list.txt", "clips", "clips"])[1] == [files / "notes.md", Path("clips/notes.md")]
    assert listed_files(["more.txt"])[0] == [Path("more.txt/a.wav")]
    assert listed_files(["more.txt", "gone.wav"])[0] == [Path("more.txt/a.wav"), Path("gone.wav")]
    with pytest.raises(UserError, match="gone.wav, which does not exist"):
        listed_files(["gone.wav"])


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "expected a list of files, one per line. Received: list.txt, which names none."),
        (b"\n \r\n", "expected a list of files, one per line. Received: list.txt, which names none."),
        ("a.wav".encode("utf-16"), "Received: list.txt, which is binary or UTF-16: save it as UTF-8."),
        (b"void\n", "expected audio files below void, found none."),
    ],
)
def test_a_list_of_nothing_is_refused(contents, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "void").mkdir()
    (tmp_path / "list.txt").write_bytes(contents)
    assert main(["predict", "M", "list.txt", "--out", "out"]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and err.endswith(f"{said}\n") and not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="expected at least one audio file to predict. Received: none."):
        bulk.predict_bulk("M", [], tmp_path / "out")


@pytest.mark.parametrize("after", [0, 4])
def test_an_interrupt_says_what_is_there(after, files, tmp_path, monkeypatch, capsys):
    def rows(self, left):
        for number, path in enumerate(left):
            if number == after:
                raise KeyboardInterrupt
            yield {"file": str(path), "emotion/prediction": "low"}

    monkeypatch.setattr(bulk.Rows, "__call__", rows)
    assert main(["predict", "M", str(files), "--out", str(tmp_path / "out")]) == 130
    said = f"the rows so far are in {tmp_path / 'out'}, where the same command continues"
    assert capsys.readouterr() == ("", f"interrupted; {said if after else 'no file has been predicted'}\n")
    if after:
        assert len(predicted(tmp_path / "out")) == after


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shards", "1/2"], "--shards requires --out."),
        (["list.txt"], "a list of files (.txt) requires --out. Received: list.txt."),
        (["--out", "O", "--shards", "0/2"], "expected N/OF, N from 1 to OF, e.g. 1/8. Received: 0/2."),
        (["--retry-failed"], "--retry-failed requires --out."),
        (["--out", "O", "--workers", "2"], "--workers requires --engine."),
        (["--out", "O", "--timeline"], "--out writes Parquet, one row per file: omit --format and --timeline."),
    ],
)
def test_refusals(files, capsys, options, said):
    try:
        code = main(["predict", "M", str(files), *options])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2 and capsys.readouterr().err.splitlines()[-1].endswith(said)


def test_folders_of_other_models_and_damaged_tables_are_refused(files, tmp_path):
    every = sorted(files.glob("*.wav"))
    bulk.predict_bulk("M", every, tmp_path / "out")
    with pytest.raises(RunError, match="holds the predictions of another model"):
        bulk.predict_bulk("other", every, tmp_path / "out")
    with pytest.raises(RunError, match="is not empty and holds no predictions"):
        bulk.predict_bulk("M", every, files)
    (table,) = (tmp_path / "out" / "predictions").iterdir()
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(RunError, match=r"\.parquet is damaged .* Remove it: its files are predicted again"):
        bulk.predict_bulk("M", every, tmp_path / "out")
    table.unlink()
    assert bulk.predict_bulk("M", every, tmp_path / "out") == (10, 1)


def test_the_weights_are_part_of_what_identifies_an_export(tmp_path):
    for name in ("assets/keras_ser.json", "saved_model.pb", "variables/variables.data"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    before = digest(tmp_path)
    (tmp_path / "variables" / "variables.data").write_bytes(b"2")
    assert digest(tmp_path) != before


def test_shards_that_start_together_share_a_folder(tmp_path):
    shards, refused = 8, []

    def shard(out, barrier):
        barrier.wait()
        try:
            bulk.claim(out, {"model": "M"})
        except RunError as error:
            refused.append(str(error))

    for number in range(10):
        barrier = threading.Barrier(shards)
        threads = [threading.Thread(target=shard, args=(tmp_path / f"out-{number}", barrier)) for _ in range(shards)]
        for step in (threading.Thread.start, threading.Thread.join):
            for thread in threads:
                step(thread)
    assert refused == []


def test_failed_files_are_read_again_if_asked(files, tmp_path, capsys):
    (files / "02.wav").write_bytes(b"RIFF, but no more")
    command = ["predict", "M", str(files), "--out", str(tmp_path / "out")]
    assert main(command) == 1
    assert capsys.readouterr().err.endswith("--retry-failed reads these files again.\n")
    for name in ("02", "07"):
        (files / f"{name}.wav").write_bytes((files / "03.wav").read_bytes())
    assert main(command) == 1
    # the shard of 07 leaves the failures of others as they are
    shard, shards = next(
        (mine, n)
        for n in range(2, 99)
        if (mine := bulk.shard_of(files / "07.wav", n)) != bulk.shard_of(files / "02.wav", n)
    )
    assert main([*command, "--shards", f"{shard}/{shards}", "--retry-failed"]) == 0
    assert pd.read_parquet(tmp_path / "out" / "failed")["file"].tolist() == [str(files / "02.wav")]
    assert main([*command, "--retry-failed"]) == 0
    assert list((tmp_path / "out" / "failed").glob("*.parquet")) == []
    assert predicted(tmp_path / "out")["file"].tolist() == [str(files / f"{number:02d}.wav") for number in range(11)]


def test_names_that_are_not_utf8_are_escaped(files, tmp_path, calls):
    for name, source in ((b"caf\xe9.wav", "03.wav"), (b"\xff.wav", "07.wav")):
        Path(os.fsdecode(os.fsencode(files) + b"/" + name)).write_bytes((files / source).read_bytes())
    every = sorted(files.glob("*.wav"))
    assert bulk.predict_bulk("M", every, tmp_path / "out") == (11, 2)
    assert str(files / r"caf\xe9.wav") in predicted(tmp_path / "out")["file"].tolist()
    assert sorted(pd.read_parquet(tmp_path / "out" / "failed")["file"]) == [
        str(files / "07.wav"),
        str(files / r"\xff.wav"),
    ]
    del calls[:]
    assert bulk.predict_bulk("M", every, tmp_path / "out") == (11, 2) and not calls


def test_actors_read_relative_paths_from_another_folder(files, monkeypatch):
    monkeypatch.chdir(files)
    sent = [bulk.item(Path(name)) for name in ("03.wav", "07.wav")]
    monkeypatch.chdir("/")
    good, bad = (json.loads(row) for row in bulk.RayRows("M")({"file": np.array(sent)})["row"])
    assert good["file"] == "03.wav" and "emotion/score" in good
    assert bad["file"] == "07.wav" and "reason" in bad
