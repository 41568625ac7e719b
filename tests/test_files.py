import errno
import gc
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import keras_ser
from keras_ser.cli import main
from keras_ser.errors import DiskError
from keras_ser.files import (
    TEMPORARY,
    disk_error,
    lock,
    read_exact,
    remove_parts,
    user_cache,
    write_figure,
    write_json,
    write_table,
    write_text,
    write_whole,
)
from tests import disk


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_a_disk_that_takes_no_more_is_one_line_with_folder_and_way_out(tmp_path, number, reason):
    (tmp_path / "state.npz").write_text("old")

    def full(temporary):
        temporary.write_text("new, cut off")
        raise OSError(number, os.strerror(number))

    with pytest.raises(DiskError, match=rf"^{tmp_path}: cannot write state.npz, {reason}\. .* kept\. ") as caught:
        write_whole(tmp_path / "state.npz", full)
    assert "or name another folder, and run the command again" in str(caught.value) and "\n" not in str(caught.value)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"state.npz": "old"}


@pytest.mark.parametrize("home", ["made", "missing", "file"])
def test_a_home_that_cannot_be_written_is_one_line_that_names_the_variable(home, tmp_path, monkeypatch, capsys):
    for name in ("KERAS_SER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / home))
    (tmp_path / "file").touch()
    (tmp_path / "made" / ".cache" / "keras_ser" / "waveforms").mkdir(parents=True)
    in_cache = r"name another folder \(environment variable KERAS_SER_CACHE; in training also --cache\), and"
    with disk.read_only(tmp_path / "made", tmp_path / "missing"):
        assert main(["corpus", "check", "demo"]) == 2
        with pytest.raises(DiskError, match=in_cache), lock(user_cache() / "waveforms" / "demo.tfrecord"):
            pass
    (said,) = capsys.readouterr().err.splitlines()
    reason = "not a directory" if home == "file" else "permission denied"
    assert f" {tmp_path / home / '.cache'}" in said and f", {reason}. All" in said
    assert "or name another folder (environment variable KERAS_SER_CACHE), and" in said


def test_a_user_without_a_home_is_told_the_variable(monkeypatch, capsys):
    """As one that the system does not know, in a container."""

    def home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("KERAS_SER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    assert main(["corpus", "check", "demo"]) == 2
    said = "expected a home folder, in which the cache lies. Received: none. Set the environment variable KERAS_SER_CACHE to a"
    assert said in capsys.readouterr().err
    with pytest.raises(DiskError, match="or name another folder, and"):
        raise disk_error(OSError(errno.ENOSPC, "full"), Path("a.txt"))


def test_a_full_disk_that_is_found_when_the_file_is_put_in_place(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(DiskError, match="the disk is full"):
                write_text(tmp_path / "a.txt", "a")
        assert not list(tmp_path.iterdir())


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "missing" / "a.txt", "a")
    assert disk_error(OSError(errno.EIO, "I/O error"), tmp_path) is None
    assert disk_error(PermissionError(errno.EACCES, "of a file that is read"), tmp_path) is None
    assert disk_error(RuntimeError("write failed: No space left on device"), tmp_path / "a") is not None


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.name != "posix"
        or os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True).returncode
    ):
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


# NumPy's and Keras's ZIP files try once more when they are collected
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_is_really_full(small_disk):
    """Text, NumPy, pandas, Matplotlib and Keras, each with an error of its own."""
    import keras

    rng = np.random.default_rng(0)
    figure = Figure(figsize=(20, 20))
    figure.subplots().imshow(rng.uniform(size=(400, 400)))
    model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(300)])
    writers = {
        "a.txt": lambda path: write_text(path, "a" * 400_000),
        "a.csv": lambda path: write_table(path, pd.DataFrame(rng.uniform(size=(10000, 4)))),
        "a.png": lambda path: write_figure(path, figure),
        "a.npz": lambda path: write_whole(path, lambda part: np.savez(part, x=rng.uniform(size=80_000))),
        "a.keras": lambda path: write_whole(path, model.save),
    }
    for name, write in writers.items():
        (small_disk / name).write_text("old")
        with pytest.raises(DiskError, match=f"{small_disk}: cannot write {name}, the disk is full"):
            write(small_disk / name)
        assert (small_disk / name).read_text() == "old"
        gc.collect()
    assert sorted(path.name for path in small_disk.iterdir()) == sorted(writers)
    write_text(small_disk / "b.txt", "b" * 100_000)  # nothing half-written takes the space


@pytest.mark.parametrize("write", [write_text, write_json])
def test_what_cannot_be_written_leaves_the_old_file(tmp_path, write):
    file = tmp_path / "report"
    file.write_text("old")
    with pytest.raises((AttributeError, TypeError)):
        write(file, object())
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"report": "old"}


def test_threads_that_write_one_file_do_not_mix(tmp_path):
    """Each writes slowly; whoever ends last, the file is one of theirs, whole, and nobody fails."""
    file, errors = tmp_path / "table.csv", []
    start = threading.Barrier(8)

    def slowly(part, letter):
        with open(part, "w") as text:
            for _ in range(20):
                text.write(letter * 1000)
                text.flush()
                time.sleep(0.001)

    def work(letter):
        try:
            start.wait()
            for _ in range(5):
                write_whole(file, lambda part: slowly(part, letter))
                assert len(set(file.read_text())) == 1 and file.stat().st_size == 20_000
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_only_half_written_files_that_are_old_are_removed(tmp_path):
    old, fresh = (tmp_path / f".{name}{TEMPORARY}state.npz" for name in ("0123456789ab", "ba9876543210"))
    for path in (old, fresh, tmp_path / "state.npz"):
        path.write_text("half")
    os.utime(old, (1e9, 1e9))
    os.utime(tmp_path / "state.npz", (1e9, 1e9))
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [fresh.name, "state.npz"]
    remove_parts(tmp_path, older=0)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_a_lock_keeps_threads_apart(tmp_path):
    """Read, wait, write: without the lock nearly all of the additions would be lost."""
    file = tmp_path / "count"
    file.write_text("0")

    def add():
        for _ in range(10):
            with lock(file):
                count = int(file.read_text())
                time.sleep(0.001)
                write_text(file, str(count + 1))

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(file.read_text()) == 60


def test_a_lock_ends_with_its_process(tmp_path):
    """What a killed process left is taken; what a living one holds is left alone, or waited for."""
    target = tmp_path / "speakers" / "fold-00-seed-0"
    with lock(target, wait=False) as mine:
        assert mine
        with lock(target, wait=False) as second:
            assert not second
    script = (
        "import sys, time, pathlib\nfrom keras_ser.files import lock\n"
        "with lock(pathlib.Path(sys.argv[1])) as mine:\n    print(mine, flush=True)\n    time.sleep(600)"
    )
    root = str(Path(keras_ser.__file__).parents[1])
    other = subprocess.Popen([sys.executable, "-c", script, target], stdout=subprocess.PIPE, text=True, cwd=root)
    try:
        assert other.stdout.readline() == "True\n"
        with lock(target, wait=False) as mine:
            assert not mine
        killer = threading.Timer(0.3, other.kill)
        killer.start()
        with lock(target) as mine:
            assert mine
        killer.join()
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert not target.exists(), "a lock is no folder"


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
    table = pd.DataFrame({"id": ["ä", "b,c"], "value": [4.4e-29 / 7, 1 / 3]})
    write_table(tmp_path / name, table)
    pd.testing.assert_frame_equal(read_exact(tmp_path / name), table, check_exact=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("ending", "sign"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")])
def test_a_figure_is_of_the_kind_of_its_ending(tmp_path, ending, sign):
    figure = Figure()
    figure.subplots().plot([1, 3, 2])
    write_figure(tmp_path / f"a{ending}", figure)
    assert (tmp_path / f"a{ending}").read_bytes().startswith(sign)
