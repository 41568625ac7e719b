"""What damaged, odd and unknown inputs do to the commands: no traceback, no hang, nothing written outside --out, no file that is
neither answered nor named."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_ser.cli import main
from keras_ser.corpora import read_corpus
from tests import fuzz
from tests.training import tiny

FILES, MANIFESTS, RECIPES = 300, 100, 100
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> list[Path]:
    return fuzz.write_audio(tmp_path_factory.mktemp("fuzz") / "clips", FILES, seed=0)


@pytest.fixture(scope="module")
def answered(audio, tmp_path_factory) -> set[str]:
    """Names of the clips that `keras-ser predict` answers; all others must be named."""
    from tests.serving import runs

    root = tmp_path_factory.mktemp("run")
    corpus = tiny.corpus(root / "corpus")
    runs.write(runs.SHARED_PRIVATE, root / "run")
    done = command("predict", root / "run", audio[0].parent)
    assert done.returncode == 1, done.stderr[-2000:]
    found = {Path(json.loads(line)["file"]).name for line in done.stdout.splitlines()}
    silent = [path.name for path in audio if path.name not in found and path.name not in done.stderr]
    assert not silent, f"neither answered nor named: {silent}\n{done.stderr[-3000:]}"
    both = [
        name
        for name in found
        if any(line.strip().startswith(str(audio[0].parent / name) + ":") for line in done.stderr.splitlines())
    ]
    assert not both, f"answered and called unusable: {both}"
    return found


def command(*words, seconds: int = 400) -> subprocess.CompletedProcess:
    """A command as a user runs it; fails on a traceback or a hang."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "keras_ser.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=env,
    )
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done


def test_predict_answers_or_names_every_file(audio, answered):
    whole = {path.name for path in audio[: len(fuzz.ENCODINGS)]}
    assert whole <= answered, f"undamaged files refused: {sorted(whole - answered)}"
    assert len(answered) < FILES - 50


def test_corpus_check_and_training_refuse_what_predict_refuses(audio, answered, tmp_path):
    """One reader for all of them."""
    from keras_ser.pipelines.records import cache

    table = audio[0].parent / "clips.csv"
    table.write_text("file,speaker,emotion\n" + "".join(f"{path.name},a,anger\n" for path in audio))
    done = command("corpus", "check", "manifest", table, "--json")
    assert done.returncode == 1
    problems = json.loads(done.stdout)["problems"]
    refused = {
        name.split(" (")[0]
        for kind in ("missing", "unreadable", "empty", "non-finite")
        for name in problems.get(kind, ())
    }
    assert refused == {path.name for path in audio} - answered
    decoded = cache(read_corpus("manifest", table), tmp_path / "cache", sample_rate=16000, bad="drop")
    assert {Path(name).name for name in decoded.dropped} == refused


def test_manifests_end_in_a_table_or_in_one_line(tmp_path, capsys):
    rng = np.random.default_rng(1)
    for i in range(12):
        soundfile.write(tmp_path / f"c{i}.wav", fuzz.voice(0.3, rng), fuzz.RATE)
    path = tmp_path / "clips.csv"
    for _ in range(MANIFESTS):
        path.write_bytes(fuzz.manifest(rng))
        with fuzz.limit(60, path.read_bytes()):
            code = main(["corpus", "check", "manifest", str(path)])
        said = capsys.readouterr()
        assert code in (0, 1, 2)
        if code == 2:
            assert len(said.err.splitlines()) == 1 and len(said.err) < 1100, said.err


class Accepted(BaseException):
    """A recipe that would be trained."""


def test_recipes_are_accepted_or_refused_in_one_line(tmp_path, capsys, monkeypatch):
    from keras_ser.training import Data

    def accept(*_, **__):
        raise Accepted

    monkeypatch.setattr(Data, "load", accept)
    rng = np.random.default_rng(2)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i in range(12):
        soundfile.write(corpus / f"c{i}.wav", fuzz.voice(0.3, rng), fuzz.RATE)
    (corpus / "clips.csv").write_text(fuzz.MANIFEST)
    good = tiny.TRAINED.replace(corpus="manifest").to_json()
    path, out = tmp_path / "recipe.json", tmp_path / "out" / "deep"
    accepted, before = 0, sorted(tmp_path.rglob("*"))
    for text in [good] + [fuzz.recipe_json(good, rng) for _ in range(RECIPES)]:
        path.write_text(text)
        try:
            with fuzz.limit(60, text):
                code = main(
                    ["train", str(path), "--corpus-root", str(corpus / "clips.csv"), "--out", str(out), "--quiet"]
                )
        except Accepted:
            accepted += 1
            capsys.readouterr()
            continue
        said = capsys.readouterr()
        assert code == 2, text
        assert len(said.err.splitlines()) == 1 and len(said.err) < 1100, said.err
    outside = [
        found
        for found in sorted(tmp_path.rglob("*"))
        if found not in before and found != path and out not in (found, *found.parents)
    ]
    assert not [found for found in outside if found != out.parent]
    assert 1 <= accepted < RECIPES / 2
