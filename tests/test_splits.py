import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import keras_ser
from keras_ser.audio.io import content_hash, read
from keras_ser.corpora import Corpus, CorpusError, Utterance, read_corpus
from keras_ser.splits import SIDES, LeakageError, Protocol, Split, check_split, distributions

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


@pytest.mark.parametrize("protocol", GROUPED, ids=lambda p: p.name)
@pytest.mark.parametrize("seed", range(8))
def test_what_always_holds_of_grouped_splits(protocol, seed):
    corpus, hashes = random_corpus(seed)
    splits = protocol.splits(corpus, seed=seed, hashes=hashes, stratify="emotion")
    tested = Counter()
    for fold, split in enumerate(splits):
        check_partition(split, corpus)
        check_split(split, corpus, hashes)
        assert (split.protocol, split.fold) == (protocol.name, fold)
        for column in (protocol.by, *protocol.apart):
            test = values(corpus, split.test, column)
            assert not test & values(corpus, split.train + split.validation, column)
            if protocol.validation >= 1:
                assert not values(corpus, split.train, column) & values(corpus, split.validation, column)
        chosen = values(corpus, split.validation, protocol.by)
        if protocol.validation >= 1 or not protocol.validation:
            assert len(chosen) == protocol.validation
        else:
            share = len(split.validation) / len(split.train + split.validation)
            assert share == pytest.approx(protocol.validation, abs=0.06)
        assert split.validation_apart == (protocol.validation >= 1 or not protocol.validation)
        assert not split.speaker_dependent and not protocol.speaker_dependent
        tested.update(values(corpus, split.test, protocol.by))
    everyone = values(corpus, [u.id for u in corpus], protocol.by)
    assert set(tested.values()) == {1}
    assert set(tested) == (everyone if protocol.kind != "stated" else {"s0", "s1", "s3"})
    assert splits == protocol.splits(corpus, seed=seed, hashes=hashes, stratify="emotion")


@pytest.mark.parametrize("seed", range(10))
def test_what_always_holds_of_random_splits(seed):
    rng = np.random.default_rng(seed)
    test, validation = rng.uniform(0.1, 0.4), rng.choice([0.0, 0.1, 0.25])
    corpus = make(["a", "b"], clips=150, seed=seed, origin=lambda i, _: f"film{i // 2}" if i < 20 else None)
    hashes = {u.id: f"h{i % 140}" for i, u in enumerate(corpus)}  # ten pairs of copies
    protocol = Protocol("random", test=test, validation=validation)
    (split,) = protocol.splits(corpus, seed, hashes, "emotion")
    check_partition(split, corpus)
    check_split(split, corpus, hashes)
    assert split.speaker_dependent and protocol.speaker_dependent
    labels = {u.id: u.labels["emotion"] for u in corpus}
    for label in EMOTIONS:
        count = Counter(labels.values())[label]
        # units are drawn, and a unit is one clip or two
        for side, share in (("test", test), ("validation", validation * (1 - test))):
            assert sum(labels[i] == label for i in getattr(split, side)) == pytest.approx(
                share * count, abs=3 + 0.1 * count
            )
    other = protocol.splits(corpus, seed + 1, hashes, "emotion")[0]
    assert set(other.test) != set(split.test)


def test_shares_of_a_random_split_are_exact_where_they_can_be():
    """Every class gives round(share x count) clips to the test side, and the same of what is left to validation."""
    counts = {"a": 50, "b": 30, "c": 10, "d": 1, "e": 2}
    labels = [label for label, count in counts.items() for _ in range(count)]
    utterances = [Utterance(f"c{i:02}", f"{i}", labels={"emotion": label}) for i, label in enumerate(labels)]
    corpus = Corpus("x", Path("."), tuple(utterances), {})
    (split,) = Protocol("p", test=0.2, validation=0.125).splits(corpus, stratify="emotion")
    found = {side: Counter(labels[int(i[1:])] for i in getattr(split, side)) for side in SIDES}
    assert found["test"] == {"a": 10, "b": 6, "c": 2}
    assert found["validation"] == {"a": 5, "b": 3, "c": 1}
    assert found["train"] == {"a": 35, "b": 21, "c": 7, "d": 1, "e": 2}  # a class with one clip trains


def test_copies_and_cuts_stay_together_through_chains():
    """a and b share their content, b and c their origin: all three are one unit."""
    utterances = [Utterance(f"c{i:02}", f"{i}", groups={"origin": f"o{i // 3}"} if i % 3 else {}) for i in range(60)]
    corpus = Corpus("x", Path("."), tuple(utterances), {})
    hashes = {u.id: f"h{(i - i % 3) // 3 if i % 3 < 2 else 100 + i}" for i, u in enumerate(utterances)}
    for seed in range(10):
        (split,) = Protocol("p", test=0.3, validation=0.2).splits(corpus, seed, hashes)
        side = {i: s for s in SIDES for i in getattr(split, s)}
        for first in range(0, 60, 3):
            assert len({side[f"c{first + k:02}"] for k in range(3)}) == 1
        assert {len(getattr(split, s)) % 3 for s in SIDES} == {0}
        assert len(split.test) == 18


def test_validation_follows_the_tested_ones_and_rotates():
    corpus = make([f"s{i}" for i in range(5)])
    loso = Protocol("p", "leave-one-out", validation=2).splits(corpus)
    for i, split in enumerate(loso):
        assert values(corpus, split.test, "speaker") == {f"s{i}"}
        assert values(corpus, split.validation, "speaker") == {f"s{(i + 1) % 5}", f"s{(i + 2) % 5}"}
    lists = Protocol("p", "stated", stated=(("s4", "s1"), ("s0",)), validation=1).splits(corpus)
    assert [values(corpus, split.validation, "speaker") for split in lists] == [{"s0"}, {"s2"}]


def test_a_value_may_be_tested_in_several_folds():
    corpus = make([f"s{i}" for i in range(4)])
    splits = Protocol("p", "stated", stated=(("s0", "s1"), ("s1", "s2"), ("s0",)), validation=1).splits(corpus)
    for split in splits:
        check_partition(split, corpus)
        check_split(split, corpus)
        assert len(values(corpus, split.validation, "speaker")) == 1


def test_the_seed_draws_the_folds():
    corpus = make([f"s{i}" for i in range(9)], clips=200)
    protocol = Protocol("p", "k-fold", folds=4, validation=1)
    folds = {tuple(s.test for s in protocol.splits(corpus, seed=seed)) for seed in range(6)}
    assert len(folds) == 6
    sizes = [len(values(corpus, split.test, "speaker")) for split in protocol.splits(corpus)]
    assert sorted(sizes) == [2, 2, 2, 3]


SCRIPT = """
import json
from tests.test_splits import GROUPED, Protocol, random_corpus
corpus, hashes = random_corpus(3)
protocols = [*GROUPED, Protocol("r", test=0.3, validation=0.2)]
splits = [p.splits(corpus, 5, hashes, "emotion") for p in protocols]
print(json.dumps([s.to_dict() for folds in splits for s in folds]))
"""


def test_another_process_makes_the_same_splits():
    """Whatever the order of its sets: two hash seeds."""
    root = Path(keras_ser.__file__).parents[1]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, cwd=root, env={"PYTHONHASHSEED": seed}, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(json.loads(outputs.pop())) > 10


# what is refused


def corpus_of(count=12, **columns):
    """`columns`: speaker, or a group -> one value a clip (None = unknown)."""
    utterances = []
    for i in range(count):
        groups = {k: v[i] for k, v in columns.items() if k != "speaker" and v[i] is not None}
        speaker = columns["speaker"][i] if "speaker" in columns else None
        utterances.append(Utterance(f"c{i:02}", f"{i}.wav", speaker=speaker, labels={"emotion": "x"}, groups=groups))
    return Corpus("made", Path("."), tuple(utterances), {})


def split_of(train, validation, test, apart=(), **more):
    sides = [tuple(f"c{i:02}" for i in side) for side in (train, validation, test)]
    return Split("p", 1, *sides, apart, **more)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("column", ["speaker", "session", "film"])
def test_a_group_on_two_sides_is_refused(column, side):
    """c05 belongs to the first side's group, wherever it stands, if only the split promises it."""
    members = ["a"] * 4 + ["b", "a"] + ["c"] * 3 + ["d"] * 3
    corpus = corpus_of(**{column: members})
    sides = {"train": [0, 1, 2, 3], "validation": [4, 6, 7, 8], "test": [9, 10, 11]}
    sides[side] = [*sides[side], 5]
    split = split_of(*sides.values(), apart=(column,))
    if side == "train":
        check_split(split, corpus)
        return
    with pytest.raises(
        LeakageError, match=f"'p', fold 1: {column} must be on one side only. On two: a. Split by {column}."
    ):
        check_split(split, corpus)
    check_split(dataclasses.replace(split, apart=()), corpus)


def test_a_drawn_validation_side_stands_apart_from_the_test_side_only():
    corpus = corpus_of(6, speaker=["a", "a", "a", "b", "b", "b"])
    fine = split_of([0, 1], [2], [3, 4, 5], ("speaker",), validation_apart=False)
    check_split(fine, corpus)
    with pytest.raises(LeakageError, match="On two: a"):
        check_split(dataclasses.replace(fine, validation_apart=True), corpus)
    with pytest.raises(LeakageError, match="On two: b"):
        check_split(split_of([0, 1], [2, 3], [4, 5], ("speaker",), validation_apart=False), corpus)


def test_a_promise_that_nobody_can_keep_is_refused():
    corpus = corpus_of(4, speaker=["a", "b", None, None])
    with pytest.raises(LeakageError, match="speaker must be .*, and 2 clips name none: c02, c03. Name it in"):
        check_split(split_of([0], [1], [2, 3], ("speaker",)), corpus)
    check_split(split_of([0], [], [1], ("speaker",)), corpus)  # clips on no side may be anyone's
    check_split(split_of([0], [1], [2, 3]), corpus)


@pytest.mark.parametrize("sides", [([0, 1], [2], [3]), ([0, 2], [1], [3]), ([2], [0], [3, 1])])
def test_equal_content_on_two_sides_is_refused(sides):
    corpus = corpus_of(4)
    hashes = {"c00": "h", "c01": "h", "c02": "h2", "c03": "h3"}
    split = split_of(*sides)
    if 0 in sides[0] and 1 in sides[0]:
        check_split(split, corpus, hashes)
        return
    with pytest.raises(
        LeakageError, match="audio content must be on one side only. On two: c0[01], c0[01]. Split by a column"
    ):
        check_split(split, corpus, hashes)
    check_split(split, corpus)  # nothing is known


def test_cuts_of_one_recording_on_two_sides_are_refused():
    corpus = corpus_of(6, origin=["r1", "r2", None, "r2", "r3", None], speaker=list("abcdef"))
    check_split(split_of([0, 1, 3], [2, 5], [4], ("speaker",)), corpus)
    with pytest.raises(LeakageError, match="origin must be on one side only. On two: c01, c03"):
        check_split(split_of([0, 1], [2, 5], [3, 4], ("speaker",)), corpus)
    with pytest.raises(LeakageError, match="origin"):  # a drawn validation side as well
        check_split(split_of([0, 1], [3], [4], validation_apart=False), corpus)


def test_an_auxiliary_corpus_may_not_hold_what_is_tested():
    corpus = corpus_of(4)
    hashes = {f"c{i:02}": f"h{i}" for i in range(4)}
    split = split_of([0], [1], [2, 3])
    check_split(split, corpus, hashes, [{"x": "h0", "y": "h9"}, {}])  # what trains may train twice
    for content, clip in (("h1", "c01"), ("h3", "c03")):
        with pytest.raises(
            LeakageError, match=f"auxiliary corpus .* validation or test side: x = {clip}. Leave it out"
        ):
            check_split(split, corpus, hashes, [{"z": "h9"}, {"x": content}])


def test_what_a_grouped_protocol_cannot_keep_is_found():
    """Speakers apart, and a copy of one's clip under another's name: no validation share may hide it."""
    corpus = make(["s0", "s1", "s2", "s3"])
    first = {u.speaker: u.id for u in corpus}
    hashes = {u.id: u.id for u in corpus} | {first["s1"]: first["s0"]}
    for validation in (0, 1, 0.2):
        splits = Protocol("p", "leave-one-out", validation=validation).splits(corpus, hashes=hashes, stratify="emotion")
        for split in splits:
            check_partition(split, corpus)
        with pytest.raises(LeakageError, match="audio content"):
            check_split(splits[0], corpus, hashes)


def test_a_long_list_of_leaks_is_shortened():
    corpus = corpus_of(40, speaker=[f"s{i % 20:02}" for i in range(40)])
    with pytest.raises(LeakageError, match="On two: s00, s01, .*s09 and 10 more"):
        check_split(split_of(range(20), [], range(20, 40), ("speaker",)), corpus)


def test_ids_of_another_corpus_are_refused():
    with pytest.raises(CorpusError, match="names utterances that made lacks: c07"):
        check_split(split_of([0, 1], [7], [2]), corpus_of(4))


def test_a_split_refuses_what_is_no_split():
    with pytest.raises(LeakageError, match="Both in train and test: c01"):
        split_of([0, 1], [2], [1, 3])
    with pytest.raises(LeakageError, match="Both in train and validation: c01"):
        split_of([0, 1], [1], [3])
    with pytest.raises(LeakageError, match="Both in validation and test: c02"):
        split_of([0, 1], [2], [2])
    with pytest.raises(LeakageError, match="More than once in validation: c02"):
        split_of([0, 1], [2, 2], [3])
    for sides, empty in ((([], [1], [2]), "train"), (([1], [2], []), "test")):
        with pytest.raises(CorpusError, match=f"'p', fold 1: the {empty} side is empty"):
            split_of(*sides)


def test_speakers_without_a_name():
    corpus = corpus_of(12, speaker=["a", None] * 6, subset=["Train", "Val"] * 6)
    with pytest.raises(
        CorpusError, match="'p' needs a speaker for each utterance; 6 of 12 have none: c01, c03.*random"
    ):
        Protocol("p", "leave-one-out").splits(corpus)
    (split,) = Protocol("p", "stated", by="subset", stated=(("Val",),), validation=0.2).splits(corpus)
    check_split(split, corpus)
    assert split.speaker_dependent and len(split.validation) == 1
    (split,) = Protocol("p", "stated", by="subset", stated=(("Val",),), validation=0, apart=("speaker",)).splits(corpus)
    with pytest.raises(LeakageError, match="6 clips name none"):
        check_split(split, corpus)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (Protocol("p", "k-fold", folds=5), r"5 folds by speaker need as many values. Received: 3 \(s0, s1, s2\)"),
        (
            Protocol("p", "stated", stated=(("s1", "s7"),)),
            "'p' tests speaker s7, which the corpus lacks. It has: s0, s1, s2",
        ),
        (Protocol("p", "leave-one-out", by="film"), "needs a film"),
        (Protocol("p", "leave-one-out", validation=2), "train side is empty"),
        (Protocol("p", "stated", stated=(("s0", "s1", "s2"),)), "train side is empty"),
    ],
)
def test_a_corpus_that_a_protocol_cannot_split(protocol, message):
    with pytest.raises(CorpusError, match=message):
        protocol.splits(make(["s0", "s1", "s2"]))


def test_a_corpus_too_small_for_a_random_split():
    with pytest.raises(CorpusError, match="test side is empty"):
        Protocol("p", test=0.2).splits(corpus_of(2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "loso"}, "random, leave-one-out, k-fold, matched, stated. Received: 'loso'"),
        ({"kind": "stated"}, "needs `stated`"),
        ({"kind": "stated", "stated": ("Val",)}, "tuple of tested values for each fold"),
        ({"kind": "stated", "stated": ((),)}, "tuple of tested values for each fold"),
        ({"test": 0.0}, "shares"),
        ({"test": 1.0}, "shares"),
        ({"apart": ("session",)}, "keeps nothing apart. .* Use kind=.k-fold. with by=.session."),
        ({"validation": 1}, "shares"),
        ({"kind": "k-fold", "folds": 1}, "`folds` must be at least 2"),
        ({"kind": "k-fold", "validation": 1.5}, "whole number of values of 'speaker'"),
        ({"kind": "k-fold", "validation": -0.1}, "`validation` must be"),
        ({"kind": "matched"}, "`match` names the columns of kind 'matched'. Received: kind='matched', match=()"),
        ({"kind": "k-fold", "match": ("gender",)}, "`match` names the columns of kind 'matched'"),
        (
            {"kind": "matched", "match": ("gender",), "test": 0},
            "`test` must be a whole number of values of 'speaker', or a share",
        ),
        ({"kind": "matched", "match": ("gender",), "test": 1.5}, "`test` must be a whole number"),
        ({"kind": "matched", "match": "gender"}, "`match` must be a tuple of columns"),
    ],
)
def test_protocols_refuse(fields, message):
    with pytest.raises(ValueError, match=message):
        Protocol("p", **fields)


def people(rng, count=30) -> Corpus:
    """Speakers of three ages, two sexes and two towns, drawn apart from each other."""
    ages, towns = (
        rng.choice(["young", "middle", "old"], count, p=[0.5, 0.3, 0.2]),
        rng.choice(["north", "south"], count),
    )
    utterances = [
        Utterance(
            f"c{i:02}-{k}",
            f"{i}-{k}.wav",
            speaker=f"s{i:02}",
            gender=("female", "male")[i % 2],
            labels={"emotion": "joy", "age": str(ages[i])} | ({"town": str(towns[i])} if i else {}),
        )
        for i in range(count)
        for k in range(int(rng.integers(1, 4)))
    ]
    return Corpus("people", Path("."), tuple(utterances), {})


def distance(split, corpus, columns):
    """Sum of the total variation distances, by counting speakers."""
    known = {u.id: u for u in corpus}
    total = 0.0
    for column in columns:
        shares = []
        for side in ("train", "test"):
            who = {known[i].speaker: str(known[i].column(column)) for i in getattr(split, side)}
            shares.append({value: n / len(who) for value, n in Counter(who.values()).items()})
        total += sum(abs(shares[0].get(v, 0) - shares[1].get(v, 0)) for v in {*shares[0], *shares[1]}) / 2
    return total


@pytest.mark.parametrize("test", [8, 0.27])
def test_matched_sides_are_alike(rng, test):
    """Better than nearly all of many random choices, counted anew; the seed draws it."""
    corpus, columns = people(rng), ("gender", "age", "town")
    protocol = Protocol("matched", "matched", test=test, match=columns, validation=0)
    (split,) = protocol.splits(corpus, seed=3)
    check_partition(split, corpus)
    check_split(split, corpus)
    assert len(values(corpus, split.test, "speaker")) == 8 and not split.speaker_dependent
    ours = distance(split, corpus, columns)
    others = []
    for seed in range(300):
        names = np.random.default_rng(seed).permutation(sorted(values(corpus, [u.id for u in corpus], "speaker")))[:8]
        stated = Protocol("stated", "stated", stated=(tuple(names),), validation=0)
        others.append(distance(stated.splits(corpus)[0], corpus, columns))
    assert ours <= np.percentile(others, 1) and ours < 0.2 * np.median(others)
    assert protocol.splits(corpus, seed=3) == (split,) and protocol.splits(corpus, seed=4) != (split,)
    (with_choice,) = dataclasses.replace(protocol, validation=3).splits(corpus, seed=3)
    assert with_choice.test == split.test and len(values(corpus, with_choice.validation, "speaker")) == 3


def test_the_sides_are_shown_side_by_side(rng):
    corpus = people(rng)
    (split,) = Protocol("m", "matched", test=8, match=("gender",), validation=0).splits(corpus)
    rows = distributions(split, corpus, ("gender", "town"))
    known = {u.id: u for u in corpus}
    for row in rows:
        for side in ("train", "test"):
            who = {known[i].speaker: known[i].column(row["column"]) or "unknown" for i in getattr(split, side)}
            count = sum(value == row["value"] for value in who.values())
            assert row[side] == count and row[f"{side} %"] == pytest.approx(100 * count / len(who), abs=0.051)
    assert [(row["column"], row["value"]) for row in rows] == [
        ("gender", "female"),
        ("gender", "male"),
        ("town", "north"),
        ("town", "south"),
        ("town", "unknown"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"match": ("accent",)}, "people has no 'accent' to match by"),
        ({"test": 30}, "tests 30 values of speaker, and the corpus has 30"),
        (
            {"by": "gender", "test": 1, "match": ("age",)},
            "gender female has the age .* match by columns that each gender",
        ),
    ],
)
def test_what_cannot_be_matched(rng, changes, message):
    with pytest.raises(CorpusError, match=message):
        Protocol("m", **{"kind": "matched", "test": 8, "match": ("gender",), "validation": 0} | changes).splits(
            people(rng)
        )


def test_json(tmp_path):
    for protocol in [*GROUPED, Protocol("m", "matched", match=("gender",))]:
        assert Protocol.from_dict(json.loads(json.dumps(protocol.to_dict()))) == protocol
    corpus, hashes = random_corpus(1)
    for split in GROUPED[-1].splits(corpus, hashes=hashes):
        split.write(tmp_path / "split.json")
        assert Split.from_dict(json.loads((tmp_path / "split.json").read_text())) == split


# real recordings


def test_emodb_leaves_each_speaker_out(shared_data):
    corpus = read_corpus("emodb", shared_data / "emodb")
    splits = Protocol("loso", "leave-one-out", validation=1).splits(corpus)
    assert len(splits) == 10 and sum(len(split.test) for split in splits) == 535
    for split in splits:
        check_partition(split, corpus)
        check_split(split, corpus)
        assert [len(values(corpus, getattr(split, side), "speaker")) for side in SIDES] == [8, 1, 1]


def test_ravdess_folds_and_its_double_take(shared_data):
    corpus = read_corpus("ravdess", shared_data / "ravdess")
    seventh = [u for u in corpus if u.speaker == "07"]
    hashes = {u.id: content_hash(read(corpus.file(u))) for u in seventh}
    pair = [i for i, h in hashes.items() if Counter(hashes.values())[h] > 1]
    assert len(pair) == 2
    folds = tuple(tuple(f"{actor:02}" for actor in range(first, first + 4)) for first in range(1, 25, 4))
    splits = Protocol("six", "stated", stated=folds, validation=2).splits(corpus, hashes=hashes, stratify="emotion")
    for split, actors in zip(splits, folds, strict=True):
        check_partition(split, corpus)
        check_split(split, corpus, hashes)
        assert values(corpus, split.test, "speaker") == set(actors) and len(split.test) == 240
        assert Counter(u.gender for u in corpus if u.id in set(split.test)) == {"male": 120, "female": 120}
    random = Protocol("random", test=0.2, validation=0.1)
    together = 0
    for seed in range(25):
        (split,) = random.splits(corpus, seed, hashes, "emotion")
        check_split(split, corpus, hashes)
        assert any(set(pair) <= set(getattr(split, side)) for side in SIDES)
        try:
            check_split(random.splits(corpus, seed, stratify="emotion")[0], corpus, hashes)
            together += 1
        except LeakageError as error:
            assert set(pair) <= set(str(error).replace(",", "").replace(".", "").split())
    assert 0 < together < 25  # unknown hashes leave it to chance
