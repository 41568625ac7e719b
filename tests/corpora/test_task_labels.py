"""Whether a corpus has what a task learns: what it has is counted, and what it lacks is named."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from keras_ser.corpora import Corpus, CorpusError, Utterance
from keras_ser.corpora.task_labels import check_task, open_labels
from keras_ser.errors import UserError
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol
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
def test_task_that_the_corpus_has(task):
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
        (
            Task("emotion", ("anger", "joy", "fear"), ignore=("angr",)),
            "`ignore` of the task 'emotion' names 'angr', which no clip has. Did you mean 'anger'",
        ),
        (
            Task("emotion", ("anger", "joy", "fear"), merge={"Joy": "joy", "excited": "joy", "fearr": "fear"}),
            "`merge` of the task 'emotion' names 'fearr', which no clip has. Did you mean 'fear'",
        ),
        (Task("mood", ("good", "bad")), "found has no 'mood' for any clip"),
        (Task("arousal", low=-1.0, high=1.0), "found has no 'arousal' for any clip"),
    ],
    ids=["lacking", "unknown", "one class", "ignored typo", "merged typo", "no column", "continuous"],
)
def test_task_that_the_corpus_lacks(task, words):
    with pytest.raises(CorpusError, match=words):
        check_task(task, FOUND)


def test_way_replaces_the_proposed_remedy():
    for task in (Task("emotion", ("anger", "joy", "sadness"), ignore=("fear",)), Task("mood", ("good", "bad"))):
        with pytest.raises(CorpusError, match="call them so") as told:
            check_task(task, FOUND, way="call them so")
        assert "--" not in str(told.value)


def test_what_one_corpus_lacks_another_may_have():
    task = Task("emotion", ("anger", "fear", "joy", "sadness"))
    check_task(task, FOUND, corpus("other", "sadness"))
    with pytest.raises(CorpusError, match=r"joy \(3\).*and lacks sadness"):
        check_task(task, FOUND, corpus("other", "joy"))


def test_labels_of_another_case_are_named():
    with pytest.raises(CorpusError, match=r"'Joy' is 'joy' up to case: --set 'tasks.emotion.merge={\"Joy\": \"joy\"}'"):
        check_task(Task("emotion", ("anger", "joy")), corpus("found", "anger", "Joy"))


SPELT = corpus("spelt", *["joy"] * 5, *["Joy"] * 6, *["anger"] * 7, "Anger", *["rage"] * 5, "fear")


def test_spellings_of_a_label_are_no_classes_by_themselves():
    """The proposed merge is whole: with it, only the rare label is left to be refused."""
    with pytest.raises(
        CorpusError, match=r"'Anger' \(1\) = 'anger' \(12\) up to case; 'Joy' \(6\) = 'joy' \(5\)"
    ) as error:
        open_labels(Task("emotion", merge={"rage": "anger"}), SPELT)
    merge = {"joy": "Joy", "Anger": "anger", "rage": "anger"}
    recipe = Recipe("x", "manifest", (Task("emotion", merge={"rage": "anger"}),), (Protocol("p"),))
    changed = recipe.change(
        {"tasks.emotion.merge": re.search(r"--set 'tasks.emotion.merge=(.*)'", str(error.value))[1]}
    )
    assert dict(changed.tasks[0].merge) == merge and "ignore" not in str(error.value)
    with pytest.raises(CorpusError, match=r"Received: fear \(1\)") as error:
        changed.for_corpus(SPELT)
    assert json.loads(re.search(r"merge=(\{.*\})'", str(error.value))[1]) == merge | {"fear": "Joy"}
    found = changed.change({"tasks.emotion.ignore": '["fear"]'}).for_corpus(SPELT).tasks[0]
    assert found.labels == ("Joy", "anger")
    check_task(found, SPELT)


def test_spellings_that_are_merged_or_ignored_are_taken():
    task = Task("emotion", merge={"Joy": "joy"}, ignore=("Anger", "fear"))
    assert open_labels(task, SPELT) == ["anger", "joy", "rage"]


def test_spellings_named_as_classes_are_refused():
    """Also as identities."""
    task = Task("emotion", ("Anger", "anger", "Joy", "joy", "rage"), ignore=("fear",))
    with pytest.raises(CorpusError, match="must differ in more than their spelling") as error:
        check_task(task, SPELT)
    merge, labels = re.search(r"merge=(.*)' --set 'tasks.emotion.labels=(.*)'\)", str(error.value)).groups()
    check_task(replace(task, merge=json.loads(merge), labels=json.loads(labels)), SPELT)
    utterances = [Utterance(name, f"{name}.wav", speaker=name) for name in ("s01", "S01", "s02")]
    people = Corpus("found", Path("."), tuple(utterances), {})
    with pytest.raises(CorpusError, match=r"'found/S01' \(1\) = 'found/s01' \(1\) up to case"):
        check_task(Task("who", ("found/S01", "found/s01", "found/s02"), column="speaker", identity=True), people)


@pytest.mark.parametrize("fields", [{"merge": {"JOY": "anger"}}, {"ignore": ("JOY",)}])
def test_a_merged_or_ignored_label_of_another_case_is_named(fields):
    with pytest.raises(CorpusError, match="'JOY', which no clip has. Did you mean 'joy'"):
        check_task(Task("emotion", ("anger", "joy"), **fields), corpus("found", "anger", "joy"))


def test_a_column_of_another_name_is_found_by_its_option():
    with pytest.raises(CorpusError, match="it has emotion, gender; name the column with --columns mood=COLUMN"):
        held = Corpus("manifest", Path("."), corpus("x", "anger", gender="male").utterances, {"emotion": ("anger",)})
        check_task(Task("mood"), held)


MANY = corpus("many", *["joy"] * 5, *["anger"] * 7, *["rage"] * 2, *["other"] * 6, None)


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"ignore": ("rage",)}, ["anger", "joy", "other"]),
        ({"merge": {"rage": "anger"}, "ignore": ("other",)}, ["anger", "joy"]),
        ({"merge": {"rage": "furor", "other": "furor"}}, ["anger", "furor", "joy"]),
    ],
)
def test_a_task_without_labels_takes_those_of_the_corpus(fields, labels):
    task = Task("emotion", **fields)
    assert open_labels(task, MANY) == labels and task.open
    recipe = Recipe("x", "manifest", (task,), (Protocol("p"),))
    assert recipe.for_corpus(MANY).tasks[0].labels == tuple(labels)
    check_task(recipe.for_corpus(MANY).tasks[0], MANY)


def test_rare_labels_become_no_classes_by_themselves():
    with pytest.raises(CorpusError, match=r"at least 5 clips each. Received: rage \(2\)") as error:
        open_labels(Task("emotion"), MANY)
    for way in ('ignore=["rage"]', 'merge={"rage": "anger"}', 'labels=["anger", "joy", "other", "rage"]'):
        assert f"--set 'tasks.emotion.{way}'" in str(error.value)


def test_a_merge_is_given_as_an_object():
    """As in the docstring of `Task`, or as pairs; on a task with and without labels."""
    recipe = Recipe("x", "manifest", (Task("emotion"),), (Protocol("p"),))
    expected = (("rage", "anger"), ("other", "joy"))
    for text in ('{"rage": "anger", "other": "joy"}', '[["rage", "anger"], ["other", "joy"]]'):
        assert recipe.change({"tasks.emotion.merge": text}).tasks[0].merge == expected
    with pytest.raises(UserError, match=r'expected a JSON object, such as {"surprised": "surprise"}'):
        recipe.change({"tasks.emotion.merge": '{"rage": "anger"'})
