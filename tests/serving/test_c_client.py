"""A client in C, without Python, gets Python's answers from an export."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.serving.clips import files, recorded, spoken

SOURCE = Path(__file__).parent / "client.c"
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Path:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc here to build the client with")
    tensorflow = Path(importlib.util.find_spec("tensorflow").origin).parent
    if not all((tensorflow / name).exists() for name in LIBRARIES):
        pytest.skip(f"this TensorFlow comes without {' or '.join(LIBRARIES)}")
    program = tmp_path_factory.mktemp("client") / "client"
    command = [gcc, "-std=c11", "-Wall", "-Wextra", "-Werror", SOURCE, "-o", program, f"-I{tensorflow}/include"]
    command += [f"-L{tensorflow}", *(f"-l:{name}" for name in LIBRARIES), f"-Wl,-rpath,{tensorflow}"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return program


def run(client, export, *arguments) -> subprocess.CompletedProcess:
    """With nothing of this process's environment."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([client, export, *arguments], capture_output=True, text=True, env=environment, timeout=120)


def write(folder: Path, contents: list[bytes]) -> list[Path]:
    paths = [folder / f"clip {i}.wav" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def table(printed: str) -> dict[tuple[str, str], tuple[str, float]]:
    """(file, task) -> (label, score), or ("", value)."""
    rows = [line.split("\t") for line in printed.splitlines()]
    return {(file, task): (label[0] if label else "", float(number)) for file, task, *label, number in rows}


def compare(served, printed: str, paths: list[Path], contents: list[bytes]) -> None:
    answers, found = served.ask(contents), table(printed)
    tasks = served.run.recipe.tasks
    assert set(found) == {(str(path), task.name) for path in paths for task in tasks}
    for i, path in enumerate(paths):
        for task in tasks:
            label, number = found[str(path), task.name]
            if task.continuous:
                assert (label, number) == ("", pytest.approx(answers[f"{task.name}/value"][i], abs=1e-5))
            else:
                assert label == answers[f"{task.name}/label"][i].decode()
                assert number == pytest.approx(answers[f"{task.name}/score"][i], abs=1e-5)


@pytest.fixture
def contents(rng) -> list[bytes]:
    stereo = np.stack([spoken(rng, 0.8, 44100), spoken(rng, 0.8, 44100)], axis=1)
    return [
        *files([spoken(rng, 1.3)]),
        *files([spoken(rng, 0.4, 8000)], 8000, "FLOAT"),
        *files([stereo], 44100, "PCM_24"),
        *files([spoken(rng, 0.01)], subtype="PCM_32"),
    ]


def test_answers_are_pythons(client, served, contents, tmp_path):
    paths = write(tmp_path, contents)
    done = run(client, served.export, *paths[:3], "--", paths[3])
    assert done.returncode == 0, done.stderr
    compare(served, done.stdout, paths, contents)
    assert len({label for label, _ in table(done.stdout).values()}) > 2


def test_real_recordings(client, served, shared_data, tmp_path):
    contents = files(recorded(shared_data, 4))
    paths = write(tmp_path, contents)
    done = run(client, served.export, *paths)
    assert done.returncode == 0, done.stderr
    compare(served, done.stdout, paths, contents)


@pytest.mark.slow
def test_a_cascade_and_a_continuous_task(client, cascaded, contents, tmp_path):
    paths = write(tmp_path, contents)
    done = run(client, cascaded.export, *paths)
    assert done.returncode == 0, done.stderr
    compare(cascaded, done.stdout, paths, contents)


def test_after_bad_requests_a_good_one_is_answered(client, served, contents, tmp_path):
    """The words of the server, exit code 1, and the process goes on."""
    paths = write(tmp_path, [*contents, contents[0][:30], b"", contents[0][:-1001]])
    good, (header, empty, cut) = paths[:4], paths[4:]
    requests = [[good[1], header], [empty], [], [good[0], good[1], cut], [tmp_path / "nowhere.wav"], good[:2]]
    arguments = [x for request in requests for x in (*request, "--")][:-1]
    done = run(client, served.export, *arguments)
    assert done.returncode == 1
    for words in (
        "[clip 1: its header is cut short or damaged.]",
        "[clip 0: expected a WAV file (RIFF .. WAVE), received 0 bytes of something else.]",
        "[expected at least one clip, received none.]",
        "[clip 2: cut short: its header promises ",
        f"can't be read: {tmp_path / 'nowhere.wav'}",
    ):
        assert words in done.stderr
    compare(served, done.stdout, good[:2], contents[:2])


def test_no_model(client, tmp_path):
    done = run(client, tmp_path, tmp_path / "x.wav")
    assert done.returncode == 2 and "not loaded: Could not find SavedModel" in done.stderr


def test_no_python_in_it(client):
    ldd = shutil.which("ldd")
    if ldd is None:
        pytest.skip("no ldd here")
    libraries = subprocess.run([ldd, client], capture_output=True, text=True).stdout
    assert "libtensorflow_cc" in libraries and "libpython" not in libraries
