"""Damaged, odd and unknown inputs end in an answer or a message: no traceback, no hang, nothing written outside --out, no file
that is neither answered nor named."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_ser.cli import main
from keras_ser.corpora import read_corpus
from tests import fuzz

FILES, MANIFESTS = 300, 100
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> list[Path]:
    return fuzz.write_audio(tmp_path_factory.mktemp("fuzz") / "clips", FILES, seed=0)


@pytest.fixture(scope="module")
def answered(audio, tmp_path_factory) -> set[str]:
    """Names of the clips that `keras-ser predict` answers; all others must be named."""
    from tests.serving import runs

    run = runs.write(runs.SHARED_PRIVATE, tmp_path_factory.mktemp("run") / "run")
    done = command("predict", run.folder, audio[0].parent)
    assert done.returncode == 1, done.stderr[-2000:]
    found = {Path(json.loads(line)["file"]).name for line in done.stdout.splitlines()}
    silent = [path.name for path in audio if path.name not in found and path.name not in done.stderr]
    assert not silent, f"neither answered nor named: {silent}\n{done.stderr[-3000:]}"
    reported = [line.strip() for line in done.stderr.splitlines()]
    both = [name for name in found if any(line.startswith(f"{audio[0].parent / name}:") for line in reported)]
    assert not both, f"answered and called unusable: {both}"
    return found


def command(*words) -> subprocess.CompletedProcess:
    """A command as a user runs it; fails on a traceback or a hang."""
    line = [sys.executable, "-m", "keras_ser.cli", *map(str, words)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(line, capture_output=True, text=True, timeout=400, env=env)
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done


@pytest.fixture
def no_hang():
    """Fail after two minutes, since the commands run in this process."""

    def late(*_):
        raise AssertionError("a command hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def check_ending(code: int, capsys, given) -> None:
    """An answer, or one line of reasonable length."""
    said = capsys.readouterr()
    assert code in (0, 1, 2), given
    if code == 2:
        assert len(said.err.splitlines()) == 1 and len(said.err) < 1100, (given, said.err)


def test_predict_answers_or_names_every_file(audio, answered):
    whole = {path.name for path in audio[: len(fuzz.ENCODINGS)]}
    assert whole <= answered, f"undamaged files refused: {sorted(whole - answered)}"
    assert len(answered) < FILES - 50


def test_corpus_check_and_training_refuse_what_predict_refuses(audio, answered, tmp_path):
    """They share one reader."""
    from keras_ser.pipelines.records import cache

    table = audio[0].parent / "clips.csv"
    table.write_text("file,speaker,emotion\n" + "".join(f"{path.name},a,anger\n" for path in audio))
    done = command("corpus", "check", "manifest", table, "--json")
    assert done.returncode == 1
    problems = json.loads(done.stdout)["problems"]
    kinds = ("missing", "unreadable", "empty", "non-finite")
    refused = {name.split(" (")[0] for kind in kinds for name in problems.get(kind, ())}
    assert refused == {path.name for path in audio} - answered
    decoded = cache(read_corpus("manifest", table), tmp_path / "cache", sample_rate=16000, bad="drop")
    assert {Path(name).name for name in decoded.dropped} == refused


def test_manifests_are_read_or_refused_in_one_line(tmp_path, capsys, no_hang):
    rng = np.random.default_rng(1)
    fuzz.write_voices(tmp_path)
    path = tmp_path / "clips.csv"
    for _ in range(MANIFESTS):
        path.write_bytes(fuzz.manifest(rng))
        check_ending(main(["corpus", "check", "manifest", str(path)]), capsys, path.read_bytes())
