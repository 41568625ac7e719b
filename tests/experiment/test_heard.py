"""Runs that have heard whom they would be tested on: as denoisers of other runs, and in verification."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
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


def enrolled(monkeypatch, systems, out, corpora=(CORPUS,)):
    """The trials of random embeddings, two clips enrolling a speaker, and the text of the report."""
    rng = np.random.default_rng(0)
    vectors = lambda run, source: (source.indices, rng.normal(size=(len(source.indices), 3)))  # noqa: E731
    monkeypatch.setattr(verification, "_embedded", vectors)
    caches = [SimpleNamespace(dropped={}, hashes={}, sample_rate=16000) for _ in corpora]
    made = verification.run_enrolled(systems, list(zip(corpora, caches, strict=True)), out, utterances=2)
    (text,) = (path.read_text() for path in out.glob("*.md"))
    return made.predictions, text


def test_speakers_on_whom_a_run_was_trained_are_not_verified(tmp_path, monkeypatch):
    run = run_of(tmp_path / "run", ["a0"], ["a", "c"])
    trials, text = enrolled(monkeypatch, {"one": [run]}, tmp_path / "out")
    assert {*trials["speaker_a"], *trials["speaker_b"]} == {"b", "d"}
    assert "Left out, since a run was trained or validated on them: 2 of the 4 speakers of demo." in text


def test_systems_that_heard_other_speakers_are_verified_on_the_same_trials(tmp_path, monkeypatch):
    """As with an auxiliary corpus that only some systems train on; other folds keep their own speakers."""
    alone = run_of(tmp_path / "alone", [], ["a"])
    together = run_of(tmp_path / "together", [], ["b"])
    nobody = run_of(tmp_path / "nobody")
    nobody.split = replace(nobody.split, fold=1)
    systems = {"alone": [alone, nobody], "together": [together]}
    trials, text = enrolled(monkeypatch, systems, tmp_path / "out")
    found = trials.groupby(["system", "fold"])["speaker_a"].agg(set).to_dict()
    assert found == {("alone", 0): {"c", "d"}, ("together", 0): {"c", "d"}, ("alone", 1): set("abcd")}
    assert (
        "since a run of any system was trained or validated on them: 0 to 2 of the 4 speakers of demo in each fold."
        in text
    )
    assert "Scored on other trials than alone, so that the error rates cannot be compared: together." in text
    _, text = enrolled(monkeypatch, {"alone": [alone], "together": [together]}, tmp_path / "same")
    assert "EER of together minus that of alone" in text and "Scored on other trials" not in text


def test_a_run_that_was_trained_on_everybody_verifies_nobody(tmp_path, monkeypatch):
    with pytest.raises(LeakageError, match="single was trained on all speakers of demo. Verify others"):
        enrolled(monkeypatch, {"one": [run_of(tmp_path / "run", [], list("abcd"))]}, tmp_path / "out")
    parts = {name: [run_of(tmp_path / name, [], list(name))] for name in ("ab", "cd")}
    parts["cd"][0].recipe = tiny.SINGLE.replace(name="other")
    with pytest.raises(LeakageError, match="single, other were together trained on all speakers of demo"):
        enrolled(monkeypatch, parts, tmp_path / "both")
