"""Clips cut into overlapping windows: against a loop, and what splits make of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_ser.audio import info, io, read
from keras_ser.corpora import Corpus, CorpusError, Utterance
from keras_ser.pipelines.augmentation import Windows
from keras_ser.pipelines.records import cache
from keras_ser.pipelines.windows import _windows, cut_windows
from keras_ser.splits import LeakageError, Protocol, Split, check_split
from keras_ser.tasks import Task
from keras_ser.values import instance, plain

RATE = 8000
SECONDS = {"a": 1.0, "b": 2.5, "c": 0.2, "d": 1.7, "e": 3.01, "f": 0.9, "g": 1.1}
EMOTIONS = {"a": "joy", "b": "anger", "c": "joy", "d": None, "e": "anger", "f": "joy", "g": "fear"}
EMOTION = Task("emotion", ("anger", "joy"), ignore=("fear",))


@pytest.fixture
def corpus(tmp_path, rng) -> Corpus:
    utterances = []
    for name, seconds in SECONDS.items():
        soundfile.write(
            tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(round(seconds * RATE)), RATE, subtype="FLOAT"
        )
        labels = {"emotion": EMOTIONS[name]} if EMOTIONS[name] else {}
        # the second half of "e" is an utterance of its own, cut before
        more = {"start": 1.5, "end": 3.0, "groups": {"origin": "tape", "film": "x"}} if name == "e" else {}
        utterances.append(Utterance(name, f"{name}.wav", speaker=name.upper(), labels=labels, **more))
    return Corpus(
        "cut", Path(tmp_path), tuple(utterances), {"emotion": ("anger", "fear", "joy")}, expected={"utterances": 7}
    )


def test_every_window_of_every_clip(corpus):
    found = cut_windows(corpus, Windows(share=0.85, hop_seconds=0.03), EMOTION)
    expected = {}
    # "d" has no label, and "g" one that the task ignores
    for name, seconds in ((n, 1.5 if n == "e" else s) for n, s in SECONDS.items() if n not in "dg"):
        start, i = 0.0, 0
        while start + 0.85 * seconds <= seconds + 1e-9:
            expected[f"{name}@{i:03d}"] = (start, start + 0.85 * seconds)
            i, start = i + 1, 0.03 * (i + 1)
    assert {u.id for u in found} == set(expected) and not found.expected
    assert sum(u.id.startswith("b@") for u in found) == 13  # 0.375 s to spare
    for u in found:
        name = u.id.split("@")[0]
        first = 1.5 if name == "e" else 0.0
        assert (u.start - first, u.end - first) == pytest.approx(expected[u.id], abs=1e-6)
        assert (u.speaker, u.column("emotion")) == (name.upper(), EMOTIONS[name])
        assert u.groups["origin"] == ("tape" if name == "e" else name)
    # and the audio is that stretch of the file
    u = next(u for u in found if u.id == "b@004")
    whole = read(corpus.file(u), RATE)
    np.testing.assert_array_equal(read(corpus.file(u), RATE, u.start, u.end), whole[960 : 960 + 17000])


def test_balanced_to_a_stated_count(corpus):
    every = cut_windows(corpus, Windows(), EMOTION)
    some = cut_windows(corpus, Windows(each=9), EMOTION)
    assert some.counts("emotion") == {"anger": 9, "joy": 9} and len(some) == 18
    assert {u.id for u in some} <= {u.id for u in every}
    assert some == cut_windows(corpus, Windows(each=9), EMOTION)
    with pytest.raises(CorpusError, match="must give 15 windows of each emotion. It has fewer: joy 13. Ask for fewer"):
        cut_windows(corpus, Windows(each=15), EMOTION)


def test_windows_of_one_clip_stay_together_unless_a_leak_is_asked_for(corpus):
    found = cut_windows(corpus, Windows(), EMOTION)
    origin = {u.id: u.groups["origin"] for u in found}

    def both(split):
        return {origin[i] for i in split.train} & {origin[i] for i in split.test}

    (apart,) = Protocol("clean", test=0.4, validation=0).splits(found, seed=3)
    assert not both(apart) and apart.together
    check_split(apart, found)
    leaking = Protocol("paper", test=0.2, validation=0.1, together=False)
    (leaks,) = leaking.splits(found, seed=3)
    assert len(both(leaks)) > 3 and not leaks.together and leaks.speaker_dependent
    check_split(leaks, found)
    assert len(leaks.test) == pytest.approx(0.2 * len(found), abs=2)
    assert instance(Split, plain(leaks)) == leaks and instance(Protocol, plain(leaking)) == leaking
    with pytest.raises(LeakageError, match="origin must be on one side only"):
        check_split(Split("x", 0, leaks.train, leaks.validation, leaks.test), found)
    with pytest.raises(ValueError, match="only a random split may leak"):
        Protocol("p", "k-fold", together=False)


@pytest.mark.parametrize("fields", [{"share": 0.0}, {"share": 1.1}, {"hop_seconds": 0.0}, {"each": -1}])
def test_bad_windows(fields):
    with pytest.raises(ValueError, match="`(share|hop_seconds|each)` must be "):
        Windows(**fields)


def test_a_header_without_a_duration_is_no_unreadable_file(corpus, monkeypatch):
    """As a browser's recording has: it is decoded for its length."""
    expected = cut_windows(corpus, Windows(hop_seconds=0.01), EMOTION)
    monkeypatch.setattr(io, "info", lambda path: dataclasses.replace(info(path), seconds=0.0))
    assert cut_windows(corpus, Windows(hop_seconds=0.01), EMOTION) == expected


@pytest.mark.parametrize("content", [b"RIFF nothing", b"", None], ids=["garbage", "empty", "no samples"])
def test_a_file_that_can_not_be_read_stays_for_the_cache_to_name(content, corpus):
    """It is in no draw and no count."""
    if content is None:
        soundfile.write(corpus.root / "b.wav", np.zeros(0), RATE)
    else:
        (corpus.root / "b.wav").write_bytes(content)
    found = cut_windows(corpus, Windows(hop_seconds=0.01), EMOTION)
    assert found.counts("emotion") == {"anger": 23 + 1, "joy": 16 + 4 + 14}
    assert [u.id for u in found if u.id.startswith("b")] == ["b"]
    few = cut_windows(corpus, Windows(hop_seconds=0.01, each=5), EMOTION)
    assert "b" in {u.id for u in few} and len(few) == 11
    with pytest.raises(CorpusError, match="b.wav"):
        cache(found, corpus.root / "cache", sample_rate=RATE, progress=False)
    assert list(cache(found, corpus.root / "cache", RATE, bad="drop", progress=False).dropped) == ["b"]


def test_a_class_without_a_readable_clip(corpus):
    for name in "be":
        (corpus.root / f"{name}.wav").write_bytes(b"RIFF nothing")
    sure = corpus.root / "e.wav"
    for windows in (Windows(), Windows(each=5), Windows(each=5, fewer=True)):
        found = cut_windows(corpus, windows, EMOTION)  # "e" has its ends stated: its header is not asked
        assert found.counts("emotion")["anger"] > 1 and sure.exists()
    stated = [u for u in corpus if u.id != "e"]
    lost = dataclasses.replace(corpus, utterances=tuple(stated))
    for windows in (Windows(), Windows(each=5), Windows(each=5, fewer=True)):
        with pytest.raises(CorpusError, match=r"cut has no readable clip of anger: repair b\.wav\."):
            cut_windows(lost, windows, EMOTION)


def test_as_many_of_each_as_the_rarest_has(corpus):
    every = cut_windows(corpus, Windows(), EMOTION).counts("emotion")
    assert every["joy"] < every["anger"]
    rarest = {"anger": every["joy"], "joy": every["joy"]}
    assert cut_windows(corpus, Windows(each=600, fewer=True), EMOTION).counts("emotion") == rarest
    assert cut_windows(corpus, Windows(each=9, fewer=True), EMOTION).counts("emotion") == {"anger": 9, "joy": 9}


def test_labels_that_are_not_the_task_s(corpus):
    """What is there is counted in clips, and what lacks is named."""
    more = Task("emotion", ("anger", "joy", "sadness"), ignore=("fear",))
    with pytest.raises(CorpusError, match=r"cut has anger \(2\), fear \(1\), joy \(3\), and lacks sadness"):
        cut_windows(corpus, Windows(), more)


@pytest.mark.parametrize("seconds", range(1, 20))
def test_a_window_at_the_very_end_is_not_lost_to_rounding(seconds):
    """0.15 s after the first window hold five hops of 0.03 s, though 0.15 / 0.03 = 4.999.."""
    found = _windows(Utterance("a", "a.wav"), float(seconds), Windows(share=0.85, hop_seconds=0.03))
    assert len(found) == 1 + 5 * seconds
