import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from keras_ser.corpora import Utterance
from keras_ser.corpora.task_labels import clustered
from keras_ser.errors import UserError
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol
from keras_ser.tasks import Task, monitors

EMOTION = Task(
    "emotion", ("sad", "angry", "happy"), merge={"excited": "happy", "furious": "angry"}, ignore=("other", "xxx")
)
AROUSAL = Task("arousal", low=-1.0, high=1.0, weight=0.5, column="activation")


def test_every_label_round_trips():
    for i, label in enumerate(EMOTION.labels):
        assert EMOTION.encode(label) == (i, 1.0)
        assert EMOTION.decode(i) == EMOTION.decode(np.int64(i)) == label
    for value in np.random.default_rng(0).uniform(-1, 1, 20):
        assert AROUSAL.decode(AROUSAL.encode(value)[0]) == value
    assert AROUSAL.encode(-1) == (-1.0, 1.0) and AROUSAL.encode("0.25") == (0.25, 1.0)


def test_merged_labels_lead_to_their_class():
    assert [EMOTION.encode(label)[0] for label in ("excited", "furious")] == [2, 1]
    renamed = Task("emotion", ("a", "b"), merge={"a": "b", "c": "a"})  # a corpus may use a name otherwise
    assert [renamed.encode(label)[0] for label in "abc"] == [1, 1, 0]


AFFECT = Task("affect", ("cluster 1", "cluster 2"), columns=("valence", "arousal"), centres=((1.0, 4.0), (3.0, 2.0)))


def point(valence, arousal) -> Utterance:
    numbers = {"valence": valence, "arousal": arousal}
    return Utterance("c", "c.wav", labels={name: number for name, number in numbers.items() if number is not None})


def test_a_cluster_is_that_of_the_nearest_centre():
    assert AFFECT.encode_utterance(point(1.5, 3.9), "x") == (0, 1.0)
    assert AFFECT.encode_utterance(point(2.6, 2.9), "x") == (1, 1.0)
    assert AFFECT.encode_utterance(point(1.5, None), "x") == (0, 0.0)
    assert Task.from_dict(AFFECT.to_dict()) == AFFECT and AFFECT.strata is None


def points(centres, rng) -> list[Utterance]:
    """Return 30 utterances around each of the centres."""
    found = np.concatenate([rng.normal(size=(30, 2)) * 0.1 + centre for centre in centres])
    return [dataclasses.replace(point(*xy), id=str(k)) for k, xy in enumerate(found.tolist())]


THREE = Task("affect", ("a", "b", "c"), columns=("valence", "arousal"))


def test_clusters_are_those_of_the_training_side(rng):
    # would be a cluster of their own
    away = [dataclasses.replace(u, id=f"away{u.id}") for u in points([(100.0, 100.0)], rng)]
    corpus = [*points(((1.0, 4.0), (3.0, 2.0), (4.5, 4.5)), rng), *away]
    found = clustered(THREE, corpus[:90], corpus[:90])
    xy = np.array([THREE.coordinates(u) for u in corpus[:90]])
    np.testing.assert_allclose(found.centres, xy.reshape(3, 30, 2).mean(axis=1), atol=1e-6)
    recipe = Recipe("x", "demo", (THREE,), (Protocol("p"),), model="aae_mtl")
    split = SimpleNamespace(train=[u.id for u in corpus[:90]])
    of_split = recipe.for_split(corpus, split).tasks[0].centres
    assert sorted(of_split) == sorted(found.centres)  # the test set has a part in the names only
    with pytest.raises(UserError, match="needs 3 different points to cluster. Received: 2 on the training set"):
        clustered(THREE, [corpus[0], corpus[1], corpus[1]], corpus)


def test_a_cluster_has_one_name_in_all_folds(rng):
    """Clusters of almost the same valence: the first of one training set is the last of the other."""
    corpus = points(((3.07, 4.0), (3.0, 2.0), (3.07, 6.0)), rng)
    low = sorted(corpus[30:60], key=lambda u: u.column("valence"))
    sides = [[*corpus[:30], *part, *corpus[60:]] for part in (low[:15], low[25:])]
    apart, alike = ([clustered(THREE, side, every or side).centres for side in sides] for every in (None, corpus))
    assert apart[0][0][1] < 3 and apart[1][2][1] < 3  # named by each side
    named = clustered(THREE, corpus, corpus).centres
    for centres in alike:
        assert [round(arousal) for _, arousal in centres] == [round(arousal) for _, arousal in named]


def test_clusters_are_refused_before_they_are_fitted_and_beside_cuts():
    with pytest.raises(UserError, match="the clusters of task 'affect' are not fitted"):
        dataclasses.replace(AFFECT, centres=()).encode_utterance(point(1.0, 1.0), "x")
    for change in ({"cuts": (2.0,)}, {"labels": (), "low": 1.0, "high": 5.0}, {"column": "arousal"}):
        with pytest.raises(UserError, match="has `columns`"):
            dataclasses.replace(AFFECT, **change)
    with pytest.raises(UserError, match="one number per column for each label"):
        dataclasses.replace(AFFECT, centres=((1.0, 2.0),))


def test_cuts_divide_numbers_into_classes():
    """[1, 2], (2, 3.5], (3.5, 5], the levels of IEMOCAP in the AAE-MTL paper; numbers as text are numbers."""
    task = Task("activation", ("low", "middle", "high"), column="arousal", cuts=(2.0, 3.5))
    values = (1.0, 2.0, 2.0001, 3.5, "3.6", 5.0, "high")
    assert [task.label(v, "c") for v in values] == ["low", "low", "middle", "middle", "high", "high", "high"]
    assert task.encode(task.label(float("nan"), "c")) == task.encode(task.label(None, "c")) == (0, 0.0)
    with pytest.raises(UserError, match="activation must be one of low, middle, high. Received: 'loud'"):
        task.encode(task.label("loud", "c"))
    for cuts in ((2.0,), (3.0, 2.0), (2.0, 2.0)):
        with pytest.raises(UserError, match="must be rising numbers, one fewer than its labels"):
            dataclasses.replace(task, cuts=cuts)


@pytest.mark.parametrize("missing", [None, "", float("nan"), np.float64("nan")])
def test_missing_labels_weigh_nothing(missing):
    for task in (EMOTION, AROUSAL):
        assert task.encode(missing) == (0, 0.0)
    assert all(isinstance(number, int | float) for number in EMOTION.encode(missing))


def test_ignored_labels_weigh_nothing():
    assert EMOTION.encode("other") == EMOTION.encode("xxx") == (0, 0.0)
    assert Task("e", ("a",), merge={"b": "a"}, ignore=("c",)).encode("b") == (0, 1.0)


def test_zero_is_no_missing_number():
    assert AROUSAL.encode(0) == AROUSAL.encode(0.0) == (0.0, 1.0)


@pytest.mark.parametrize("label", ["calm", "Sad", "sad ", 1, 0.0])
def test_unknown_labels_are_errors(label):
    with pytest.raises(
        ValueError, match=r"emotion must be one of sad, angry, happy\. Received: .*labels, merge or ignore"
    ):
        EMOTION.encode(label)


@pytest.mark.parametrize("value", [1.0001, -2, float("inf"), "-inf"])
def test_numbers_out_of_range_are_errors(value):
    with pytest.raises(ValueError, match=r"arousal must be in \[-1\.0, 1\.0\]"):
        AROUSAL.encode(value)


def test_words_are_no_numbers():
    with pytest.raises(ValueError, match="arousal must be a number.*'high'"):
        AROUSAL.encode("high")


def test_what_a_task_is():
    assert not EMOTION.continuous and EMOTION.size == 3 and EMOTION.column == "emotion"
    assert AROUSAL.continuous and AROUSAL.size == 1 and AROUSAL.column == "activation"


def test_an_identity_may_wait_for_its_classes():
    speaker = Task("speaker", identity=True)
    assert not speaker.continuous and speaker.labels == ()
    known = dataclasses.replace(speaker, labels=["f01", "m02"])
    assert known.encode("m02") == (1, 1.0)
    assert speaker.encode("m02") == known.encode("f03") == (0, 0.0), "a stranger is as good as missing"


class Row(dict):
    column = dict.get


SPEAKERS = Task("speaker", ("emodb/03", "emodb/08", "ravdess/03"), identity=True)


@pytest.mark.parametrize(
    ("name", "corpus", "encoded"),
    [
        ("03", "emodb", (0, 1.0)),
        ("03", "ravdess", (2, 1.0)),
        ("08", "ravdess", (0, 0.0)),
        ("ravdess/03", "manifest", (2, 1.0)),
        ("ravdess/03", "emodb", (2, 1.0)),
        ("ravdess/08", "emodb", (0, 0.0)),
        (None, "emodb", (0, 0.0)),
        ("", "emodb", (0, 0.0)),
    ],
)
def test_identities_are_named_by_corpus(name, corpus, encoded):
    """Whether the corpus is the recipe's own or an auxiliary one; a name with a "/" names its corpus itself."""
    for auxiliary in (False, True):
        assert SPEAKERS.encode_utterance(Row(speaker=name), corpus, auxiliary) == encoded


def test_identities_without_a_corpus_are_those_of_the_recipe_s_own_corpus():
    """As recipes were stored before identities were named by corpus."""
    stored = Task("speaker", ("03", "08"), identity=True)
    assert stored.encode_utterance(Row(speaker="08"), "emodb") == (1, 1.0)
    assert stored.encode_utterance(Row(speaker="09"), "emodb") == (0, 0.0)
    assert stored.encode_utterance(Row(speaker="08"), "emodb", auxiliary=True) == (0, 0.0)
    assert stored.encode_utterance(Row(speaker="08"), "ravdess", auxiliary=True) == (0, 0.0)


def test_merged_and_ignored_identities():
    """By either name; the merged ones are one person."""
    merged = Task(
        "speaker",
        ("emodb/03", "emodb/08"),
        identity=True,
        merge={"3": "emodb/03", "ravdess/08": "emodb/08"},
        ignore=("09",),
    )
    names = [("3", "emodb", False), ("08", "ravdess", True), ("09", "emodb", False), ("3", "ravdess", True)]
    found = [merged.encode_utterance(Row(speaker=name), corpus, aux) for name, corpus, aux in names]
    assert found == [(0, 1.0), (1, 1.0), (0, 0.0), (0, 0.0)]


def test_labels_of_other_tasks_know_no_corpus():
    assert EMOTION.encode_utterance(Row(emotion="excited"), "emodb", auxiliary=True) == (2, 1.0)
    with pytest.raises(ValueError, match="Received: 'emodb/sad'"):
        EMOTION.encode_utterance(Row(emotion="emodb/sad"), "emodb")


@pytest.mark.parametrize("task", [EMOTION, AROUSAL, Task("speaker", identity=True)])
def test_json_and_hash(task):
    again = Task.from_dict(json.loads(json.dumps(task.to_dict())))
    assert again == task and hash(again) == hash(task)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "x"


def test_sequences_and_mappings_are_one():
    a = Task("e", ["a", "b"], merge={"c": "a"}, ignore=["d"])
    assert a == Task("e", ("a", "b"), merge=[["c", "a"]], ignore=("d",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": ("a",), "low": 0, "high": 1}, "either labels or low and high"),
        ({"labels": ("a",), "low": 0}, "either labels or low and high"),
        ({"high": 1}, "either labels or low and high"),
        ({"low": 1, "high": 1}, "`low` must be under `high`"),
        ({"low": float("nan"), "high": 1}, "`low` must be under `high`"),
        ({"labels": ("a", "b", "a")}, "distinct"),
        ({"labels": ("a", "")}, "not empty"),
        ({"labels": ("a", "b"), "merge": {"x": "c"}}, r"`merge`.*\['c'\]"),
        ({"labels": ("a", "b"), "ignore": ("b",)}, "`ignore`.*b"),
        ({"labels": "ab"}, "`labels`.*'ab'"),
        ({"labels": ("a", "b"), "weight": -1.0}, "`weight`"),
        ({"identity": True, "low": 0.0, "high": 1.0}, "is an identity, which has no range"),
        ({"labels": ("a", "b"), "weight": float("nan")}, "`weight`"),
    ],
)
def test_mistakes(fields, message):
    with pytest.raises(ValueError, match=message):
        Task("emotion", **fields)


@pytest.mark.parametrize(
    "name",
    [
        "my emotion", "a/b", "a:b", "../../x", "_x", "", ".hidden", "-x", "Gefühl", "a\nb", "a\n", "x" * 101, None, 5, ("a",),
        "protocol", "fold", "seed", "stream", "id", "group",
        "file", "problems", "start", "end",
    ],
)  # fmt: skip
def test_names_that_are_refused(name):
    with pytest.raises(UserError) as caught:
        Task(name, ("a", "b"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["emotion", "emotion_2", "Arousal-mean", "v1.0", "x_", "9", "x" * 100, "noise", "speaker"]
)
def test_names_that_are_allowed(name):
    assert Task(name, ("a", "b")).name == name


@pytest.mark.parametrize("name", ["speaker", "gender"])
def test_a_column_of_the_predictions_table_is_only_its_own_task(name):
    assert Task(name, ("a", "b"), column=name).column == Task(name, ("a", "b")).column == name
    with pytest.raises(UserError, match=f"cannot be called '{name}': the predictions table has a column of that name"):
        Task(name, ("a", "b"), column="emotion")


@pytest.mark.parametrize("label", ["very sad", "a/b", "Gefühl", "悲しい", "n/a", "0", "emotion/prediction", " x "])
def test_labels_may_be_any_text_of_one_line(label):
    assert Task("emotion", ("a", label)).encode(label) == (1, 1.0)


@pytest.mark.parametrize("label", ["prediction", "a\nb", "a\0", "\x1b[31m", "a\u2028b", 5, None])
def test_labels_that_cannot_be_columns(label):
    with pytest.raises(UserError) as caught:
        Task("emotion", ("a", label))
    assert str(caught.value).isprintable()


def test_monitors_are_what_validation_logs():
    """Held against what the loop logs, of which a larger one is better."""
    from keras_ser.pipelines.sources import Source
    from keras_ser.training.loop import SCORES, side_scores

    labels = {
        "emotion": (np.array([0, 1, 2, 0]), np.ones(4)),
        "arousal": (np.array([0.1, 0.5, -0.2, 0.3]), np.ones(4)),
    }
    source = Source("clips", 0, None, np.arange(4), labels)

    rng = np.random.default_rng(0)
    outputs = {"emotion": rng.dirichlet(np.ones(3), 4), "arousal": rng.uniform(-1, 1, (4, 1))}
    batches = [({}, {"index": np.arange(4), "mixed": np.zeros(4, int)})]
    logs = side_scores(lambda x: outputs, [(source, batches)], (EMOTION, AROUSAL))
    assert set(monitors((EMOTION, AROUSAL))) == {
        name for name in (f"val_{name}" for name in logs) if name.endswith(SCORES)
    }


def test_the_ends_of_a_range_are_in_it():
    arousal = Task("arousal", low=1, high=5)
    assert arousal.encode(1) == (1.0, 1.0) and arousal.encode("5") == (5.0, 1.0)
