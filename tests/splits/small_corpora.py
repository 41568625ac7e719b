"""Corpora and protocols that the tests of this package share."""

from pathlib import Path

import numpy as np

from keras_ser.corpora import Corpus, Utterance
from keras_ser.splits import SIDES, Protocol, Split

EMOTIONS = ("anger", "joy", "fear")


def make(speakers, classes=EMOTIONS, clips=60, seed=0, **groups) -> Corpus:
    """Clips of random speakers and classes; `groups`: column -> function of the clip's number and speaker."""
    rng = np.random.default_rng(seed)
    utterances = []
    for i in range(clips):
        speaker = str(rng.choice(speakers))
        named = {name: value(i, speaker) for name, value in groups.items()}
        named = {name: value for name, value in named.items() if value is not None}
        emotion = str(rng.choice(classes, p=np.arange(1, len(classes) + 1) / np.arange(1, len(classes) + 1).sum()))
        utterances.append(Utterance(f"c{i:03}", f"{i}.wav", speaker=speaker, labels={"emotion": emotion}, groups=named))
    return Corpus("made", Path("."), tuple(utterances), {})


def values(corpus, ids, column):
    known = {u.id: u.column(column) for u in corpus}
    return {known[i] for i in ids}


def check_partition(split, corpus):
    """Every clip is on one side, once, in the corpus's order."""
    ids = [i for side in SIDES for i in getattr(split, side)]
    assert sorted(ids) == [u.id for u in corpus] and len(set(ids)) == len(ids)
    for side in SIDES:
        assert list(getattr(split, side)) == sorted(getattr(split, side))


GROUPED = [
    Protocol("loso", "leave-one-out", validation=1),
    Protocol("loso-alone", "leave-one-out", validation=0),
    Protocol("folds", "k-fold", folds=3, validation=2),
    Protocol("sessions", "k-fold", by="session", folds=2, validation=1, apart=("speaker",)),
    Protocol("lists", "stated", stated=(("s0", "s3"), ("s1",)), validation=1),
    Protocol("share", "k-fold", folds=3, validation=0.2),
    Protocol("loso-share", "leave-one-out", validation=0.15),
]


def random_corpus(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(7, 11))
    corpus = make(
        [f"s{i}" for i in range(count)],
        clips=int(rng.integers(50, 120)),
        seed=seed,
        session=lambda i, speaker: f"session{int(speaker[1:]) // 2}",
    )
    hashes = {u.id: f"h{i}" for i, u in enumerate(corpus)}
    # a few copies, each of the same speaker's clip
    for _ in range(5):
        a, b = rng.choice(len(corpus), 2, replace=False)
        if corpus.utterances[a].speaker == corpus.utterances[b].speaker:
            hashes[corpus.utterances[a].id] = hashes[corpus.utterances[b].id]
    return corpus, hashes


def corpus_of(count=12, **columns):
    """`columns`: speaker, emotion, or a group -> one value a clip (None = unknown)."""
    speakers, emotions = columns.pop("speaker", [None] * count), columns.pop("emotion", ["x"] * count)
    utterances = []
    for i, (speaker, emotion) in enumerate(zip(speakers, emotions, strict=True)):
        groups = {k: v[i] for k, v in columns.items() if v[i] is not None}
        utterances.append(
            Utterance(f"c{i:02}", f"{i}.wav", speaker=speaker, labels={"emotion": emotion}, groups=groups)
        )
    return Corpus("made", Path("."), tuple(utterances), {})


def split_of(train, validation, test, apart=(), **more):
    sides = [tuple(f"c{i:02}" for i in side) for side in (train, validation, test)]
    return Split("p", 1, *sides, apart, **more)
