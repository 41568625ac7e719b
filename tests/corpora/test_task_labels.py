"""Whether a corpus has what a task learns: what it has is counted, and what it lacks is named."""

from pathlib import Path

import pytest

from keras_ser.corpora import Corpus, CorpusError, Utterance
from keras_ser.corpora.task_labels import check_task
from keras_ser.tasks import Task


def corpus(name: str, *emotions: str | None, **more) -> Corpus:
    utterances = tuple(
        Utterance(f"{i}", f"{i}.wav", labels={"emotion": emotion} if emotion else {}, **more)
        for i, emotion in enumerate(emotions)
    )
    return Corpus(name, Path("."), utterances, {})


FOUND = corpus("found", "anger", "joy", "joy", "fear", None)


@pytest.mark.parametrize(
    "task",
    [
        Task("emotion", ("anger", "joy"), ignore=("fear",)),
        Task("emotion", ("anger", "fear", "joy")),
        Task("emotion", ("bad", "joy"), merge={"anger": "bad", "fear": "bad"}),
        # derived from another task's column
        Task("activation", ("high", "low"), column="emotion", merge={"anger": "high", "joy": "high", "fear": "low"}),
    ],
    ids=["ignored", "all", "merged", "derived"],
)
def test_a_task_that_it_has(task):
    check_task(task, FOUND)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            Task("emotion", ("anger", "joy", "sadness"), ignore=("fear",)),
            r"found has anger \(1\), fear \(1\), joy \(2\), and lacks sadness\. Make them agree: .*labels=\[\"anger\", \"joy\"\]",
        ),
        (Task("emotion", ("anger", "joy")), r"found has anger \(1\), fear \(1\), joy \(2\)\. Make them agree"),
        (Task("emotion", ("anger",), ignore=("fear", "joy")), "a task needs at least two classes"),
        (Task("mood", ("good", "bad")), "found has no 'mood' for any clip"),
        (Task("arousal", low=-1.0, high=1.0), "found has no 'arousal' for any clip"),
    ],
    ids=["lacking", "unknown", "one class", "no column", "continuous"],
)
def test_a_task_that_it_has_not(task, words):
    with pytest.raises(CorpusError, match=words):
        check_task(task, FOUND)


def test_another_way_out():
    for task in (Task("emotion", ("anger", "joy", "sadness"), ignore=("fear",)), Task("mood", ("good", "bad"))):
        with pytest.raises(CorpusError, match="call them so") as told:
            check_task(task, FOUND, way="call them so")
        assert "--" not in str(told.value)


def test_what_one_corpus_lacks_another_may_have():
    task = Task("emotion", ("anger", "fear", "joy", "sadness"))
    check_task(task, FOUND, corpus("other", "sadness"))
    with pytest.raises(CorpusError, match=r"joy \(3\).*and lacks sadness"):
        check_task(task, FOUND, corpus("other", "joy"))
