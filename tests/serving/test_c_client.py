"""A client in C, without Python, gets Python's answers from an export."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.serving.clips import files, spoken

SOURCE = Path(__file__).parent / "client.c"
pytestmark = pytest.mark.slow
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Path:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc to build the client with")
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
    """Without this process's environment."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([client, export, *arguments], capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize("name", ["served", "cascaded"])
def test_c_client_answers_as_python(client, request, name, rng, tmp_path):
    """Bad requests are one line each and exit code 1, and the process goes on."""
    served = request.getfixturevalue(name)
    stereo = np.stack([spoken(rng, 0.8, 44100), spoken(rng, 0.8, 44100)], axis=1)
    contents = [
        *files([spoken(rng, 1.3)]),
        *files([spoken(rng, 0.4, 8000)], 8000, "FLOAT"),
        *files([stereo], 44100, "PCM_24"),
        *files([spoken(rng, 0.01)], subtype="PCM_32"),
    ]
    paths = [tmp_path / f"clip {i}.wav" for i in range(6)]
    for path, content in zip(paths, [*contents, contents[0][:30], contents[0][:-1001]], strict=True):
        path.write_bytes(content)
    good, (header, cut) = paths[:4], paths[4:]
    requests = [good[:3], [good[1], header], [], [good[0], cut], [tmp_path / "nowhere.wav"], good[3:]]
    done = run(client, served.export, *[x for request in requests for x in (*request, "--")][:-1])
    assert done.returncode == 1
    for words in (
        "[clip 1: its header is cut short or damaged.]",
        "[expected at least one clip, received none.]",
        "[clip 1: cut short: its header promises ",
        f"can't be read: {tmp_path / 'nowhere.wav'}",
    ):
        assert words in done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    answers, tasks = served.ask(audio=contents), served.run.recipe.tasks
    found = {(file, task): rest for file, task, *rest in rows}
    assert len(rows) == len(found) == len(good) * len(tasks)
    for i, task in ((i, task) for i in range(len(good)) for task in tasks):
        *label, number = found[str(good[i]), task.name]
        score = answers[f"{task.name}/{'value' if task.continuous else 'score'}"][i]
        assert float(number) == pytest.approx(score, abs=1e-5)
        assert label == ([] if task.continuous else [answers[f"{task.name}/label"][i].decode()])
