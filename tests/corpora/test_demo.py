import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_ser.corpora import CorpusError, demo, read_corpus
from keras_ser.corpora.inspection import check


def digest(corpus):
    return {u.id: hashlib.sha256(corpus.file(u).read_bytes()).hexdigest() for u in corpus}


def folders(root):
    """What lies in a root, but the locks."""
    return [path.name for path in root.iterdir() if not path.name.endswith(".lock")]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return demo.read(tmp_path_factory.mktemp("demo"), speakers=4, sentences=1, seed=3)


def test_published_counts_rates_and_durations(small):
    report = check(small)
    assert report.ok
    assert report.counts["emotion"] == dict.fromkeys(demo.EMOTIONS, 4)
    assert report.counts["gender"] == {"female": 14, "male": 14}
    assert report.sample_rates == {16000: 28} and report.channels == {1: 28}
    assert report.seconds["min"] > 0.8 and report.seconds["max"] < 5
    assert report.duplicates == ()
    assert soundfile.info(small.file(small.utterances[0])).subtype == "PCM_16"


def test_same_seed_same_bytes_in_another_process(small, tmp_path):
    code = (
        f"from keras_ser.corpora import demo; print(demo.read({str(tmp_path)!r}, speakers=4, sentences=1, seed=3).root)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
    again = demo.read(tmp_path, speakers=4, sentences=1, seed=3)
    assert again.root.name == small.root.name
    assert digest(again) == digest(small)


def test_more_speakers_and_sentences_change_no_clip(small, tmp_path):
    more = demo.read(tmp_path, speakers=5, sentences=2, seed=3, emotions=("sadness",))
    assert more.root.name != small.root.name
    ours, theirs = digest(small), digest(more)
    shared = set(ours) & set(theirs)
    assert len(shared) == 4
    assert all(ours[key] == theirs[key] for key in shared)
    assert len(set(theirs.values())) == 10


def test_complete_corpus_is_not_written_again(small):
    before = {path: path.stat().st_mtime_ns for path in small.root.iterdir()}
    for root in (small.root.parent, small.root):
        assert demo.read(root, speakers=4, sentences=1, seed=3) == small
    assert {path: path.stat().st_mtime_ns for path in small.root.iterdir()} == before


@pytest.mark.parametrize("damage", ["missing", "short", "index", "parameters"])
def test_damaged_corpus_is_written_again(damage, tmp_path):
    options = {"speakers": 2, "sentences": 1, "seed": 1, "emotions": ("anger", "neutral")}
    corpus = demo.read(tmp_path, **options)
    whole = digest(corpus)
    victim = corpus.file(corpus.utterances[1])
    index = corpus.root / demo.INDEX
    if damage == "missing":
        victim.unlink()
    elif damage == "short":
        victim.write_bytes(victim.read_bytes()[:-20])
    elif damage == "index":
        index.write_text(index.read_text()[:-9])
    else:
        index.write_text(json.dumps(json.loads(index.read_text()) | {"parameters": {"seed": 1}}))
    again = demo.read(tmp_path, **options)
    assert digest(again) == whole
    assert folders(tmp_path) == [corpus.root.name]


@pytest.mark.parametrize(
    ("stop", "error", "message"),
    [
        (
            OSError(28, "No space left on device"),
            CorpusError,
            "expected to write 14 clips.*No space left on device. Free",
        ),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
    ids=["full disk", "interrupt"],
)
def test_unfinished_corpus_is_removed(stop, error, message, tmp_path, monkeypatch):
    written = []

    def write_bytes(self, data, write=Path.write_bytes):
        written.append(self)
        if len(written) > 2:
            raise stop
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(error, match=message):
        demo.read(tmp_path, speakers=2, sentences=1)
    assert folders(tmp_path) == []


def test_default_root_is_the_user_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_SER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    corpus = read_corpus("demo", speakers=1, sentences=1, emotions=("neutral",))
    assert corpus.root.parent == tmp_path / "keras_ser"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"speakers": 0}, "`speakers` must be a whole number of at least 1. Received: 0"),
        ({"sentences": 1.5}, "`sentences` must be a whole number"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0"),
        ({"emotions": ("anger", "calm")}, "`emotions` must be some of anger, disgust"),
        ({"emotions": ()}, "`emotions` must be some of"),
    ],
)
def test_wrong_options(options, message, tmp_path):
    with pytest.raises(CorpusError, match=message):
        demo.read(tmp_path, **options)


def test_numpy_integers_are_integers(tmp_path):
    corpus = demo.read(tmp_path, speakers=np.int64(1), sentences=np.int32(1), seed=np.uint8(3), emotions=("anger",))
    assert corpus.root == demo.read(tmp_path, speakers=1, sentences=1, seed=3, emotions=("anger",)).root
    with pytest.raises(CorpusError, match="`speakers` must be a whole number"):
        demo.read(tmp_path, speakers=True)
