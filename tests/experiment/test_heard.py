"""Runs that have heard whom they would be tested on: as denoisers of other runs, and in verification."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_ser.corpora import Corpus, Utterance
from keras_ser.experiment import robustness, verification
from keras_ser.splits import LeakageError, Split
from tests.training import tiny

SPEAKERS = "aaabbbcccddd"
CORPUS = Corpus("demo", "/", tuple(Utterance(f"{s}{i}", f"{i}.wav", speaker=s) for i, s in enumerate(SPEAKERS)), {})


def run_of(folder, clips=(), speakers=(), test=("a0",)):
    folder.mkdir()
    (folder / "heard.json").write_text(json.dumps({"demo": {"clips": clips, "speakers": speakers}}))
    split = Split("speakers", 0, ("d9",), (), tuple(test), ("speaker",))
    about = {"epochs": [], "best_epoch": 0}
    return SimpleNamespace(folder=folder, split=split, recipe=tiny.SINGLE, seed=0, about=about)


def test_a_denoiser_that_has_not_heard_the_tested_speakers_is_taken(tmp_path):
    """Neither a tested clip, nor another one of its speaker, nor the speaker in another corpus."""
    nameless = (Utterance("x1", "x1.wav"), Utterance("x2", "x2.wav"))
    data = SimpleNamespace(corpus=Corpus("demo", "/", (*CORPUS, *nameless), {}), cache=SimpleNamespace(hashes={}))
    run = run_of(tmp_path / "run", test=("a0", "x1"))
    heard = [
        run_of(tmp_path / "clip", ["x1"]),
        run_of(tmp_path / "another", ["a1"]),
        run_of(tmp_path / "speaker", ["b3"], ["a"]),
    ]
    fine = run_of(tmp_path / "fine", ["b3", "x2"], ["b"])
    for denoiser in heard:
        with pytest.raises(LeakageError, match="its test speakers occur in the training of the denoiser"):
            robustness._unheard(run, [denoiser], data)
    assert robustness._unheard(run, [*heard, fine, run_of(tmp_path / "later")], data) is fine


def enrolled(monkeypatch, run, out, corpora=(CORPUS,)):
    """The trials of random embeddings, two clips enrolling a speaker."""
    rng = np.random.default_rng(0)
    vectors = lambda run, source: (source.indices, rng.normal(size=(len(source.indices), 3)))  # noqa: E731
    monkeypatch.setattr(verification, "_embedded", vectors)
    caches = [SimpleNamespace(dropped={}, hashes={}, sample_rate=16000) for _ in corpora]
    verification.run_enrolled({"one": [run]}, list(zip(corpora, caches, strict=True)), out, utterances=2)
    return pd.read_csv(next(run.folder.glob("enrolled-*.csv")))


def test_speakers_on_whom_a_run_was_trained_are_not_verified(tmp_path, monkeypatch):
    trials = enrolled(monkeypatch, run_of(tmp_path / "run", ["a0"], ["a", "c"]), tmp_path / "out")
    assert {*trials["speaker_a"], *trials["speaker_b"]} == {"b", "d"}
    (text,) = (path.read_text() for path in (tmp_path / "out").glob("*.md"))
    assert "Speakers of demo on whom a run was trained or validated are left out." in text


def test_a_run_that_was_trained_on_everybody_verifies_nobody(tmp_path, monkeypatch):
    with pytest.raises(LeakageError, match="single was trained on all speakers of demo. Verify others"):
        enrolled(monkeypatch, run_of(tmp_path / "run", [], list("abcd")), tmp_path / "out")
