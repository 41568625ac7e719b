"""What always holds of the splits that a protocol makes, on random corpora and real ones, and what it refuses."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import keras_ser
from keras_ser.audio import content_hash, read
from keras_ser.corpora import Corpus, CorpusError, Utterance, read_corpus
from keras_ser.splits import SIDES, LeakageError, Protocol, Split, check_split
from keras_ser.values import instance, plain
from tests.splits.small_corpora import EMOTIONS, GROUPED, check_partition, corpus_of, make, random_corpus, values


@pytest.mark.parametrize("protocol", GROUPED, ids=lambda p: p.name)
@pytest.mark.parametrize("seed", range(3))
def test_invariants_of_grouped_splits(protocol, seed):
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


@pytest.mark.parametrize("seed", range(4))
def test_invariants_of_random_splits(seed):
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


@pytest.mark.parametrize("seed", range(3))
def test_stratified_folds_hold_every_speaker_and_no_copy_of_another_fold(seed):
    corpus = make(["a", "b", "c"], clips=150, seed=seed)
    hashes = {u.id: f"h{i % 140}" for i, u in enumerate(corpus)}  # ten pairs of copies, some of two speakers
    protocol = Protocol("ten", "stratified-k-fold", folds=10, validation=1)
    splits = protocol.splits(corpus, seed, hashes, "emotion")
    everyone = values(corpus, [u.id for u in corpus], "speaker")
    for fold, split in enumerate(splits):
        check_partition(split, corpus)
        check_split(split, corpus, hashes)
        assert split.fold == fold and split.speaker_dependent and split.validation == splits[(fold + 1) % 10].test
        assert all(values(corpus, side, "speaker") == everyone for side in (split.train, split.validation, split.test))
    assert Counter(i for split in splits for i in split.test) == Counter(u.id for u in corpus)
    labels = {u.id: (u.speaker, u.labels["emotion"]) for u in corpus}
    for key, count in Counter(labels.values()).items():
        found = [sum(labels[i] == key for i in split.test) for split in splits]
        assert max(found) - min(found) <= 3 and sum(found) == count, "copies move together"
    assert splits != protocol.splits(corpus, seed + 1, hashes, "emotion")


def test_stratified_folds_hold_every_class_where_every_speaker_has_the_same_clips():
    """RAVDESS: 24 actors, each with 8 clips of 7 emotions and 4 of an eighth, which would miss folds if dealt in turn."""
    kinds = [f"e{k}" for k in range(7) for _ in range(8)] + ["e7"] * 4
    actors = [f"s{actor:02}" for actor in range(24) for _ in kinds]
    corpus = corpus_of(len(actors), speaker=actors, emotion=24 * kinds)
    labels = {u.id: u.labels["emotion"] for u in corpus}
    for split in Protocol("ten", "stratified-k-fold", folds=10, validation=1).splits(corpus, stratify="emotion"):
        found = Counter(labels[i] for i in split.test)
        assert len(split.test) == 144 and 8 <= found.pop("e7") <= 11
        assert len(found) == 7 and min(found.values()) >= 17 and max(found.values()) <= 21


def test_a_speaker_with_fewer_recordings_than_stratified_folds_is_refused():
    corpus = make(["a", "b"], clips=12)
    with pytest.raises(
        CorpusError, match="10 folds with every speaker in each need 10 recordings of each; 2 have fewer: "
    ):
        Protocol("ten", "stratified-k-fold", folds=10, validation=1).splits(corpus)


def test_shares_of_a_random_split_are_exact_where_they_can_be():
    """Every class gives round(share x count) clips to the test set, and the same of what is left to validation."""
    counts = {"a": 50, "b": 30, "c": 10, "d": 1, "e": 2}
    labels = [label for label, count in counts.items() for _ in range(count)]
    corpus = corpus_of(len(labels), emotion=labels)
    (split,) = Protocol("p", test=0.2, validation=0.125).splits(corpus, stratify="emotion")
    found = {side: Counter(labels[int(i[1:])] for i in getattr(split, side)) for side in SIDES}
    assert found["test"] == {"a": 10, "b": 6, "c": 2}
    assert found["validation"] == {"a": 5, "b": 3, "c": 1}
    assert found["train"] == {"a": 35, "b": 21, "c": 7, "d": 1, "e": 2}  # a class with one clip trains


def test_the_only_clip_of_a_class_trains_however_much_is_tested():
    labels = ["a"] * 10 + ["b"]
    corpus = corpus_of(len(labels), emotion=labels)
    (split,) = Protocol("p", test=0.8, validation=0.5).splits(corpus, stratify="emotion")
    assert len(split.test) == 8 and "c10" in split.train


def test_requested_side_is_not_empty():
    """A tenth of four clips rounds to none in every class."""
    labels = [label for label in "abcde" for _ in range(4)]
    corpus = corpus_of(len(labels), emotion=labels)
    (split,) = Protocol("p", test=0.3, validation=0.1).splits(corpus, stratify="emotion")
    assert (len(split.test), len(split.validation), len(split.train)) == (5, 1, 14)


def test_copies_and_cuts_stay_together_through_chains():
    """a and b share their content, b and c their origin: all three are one unit."""
    corpus = corpus_of(60, origin=[f"o{i // 3}" if i % 3 else None for i in range(60)])
    hashes = {u.id: f"h{i // 3 if i % 3 < 2 else 100 + i}" for i, u in enumerate(corpus)}
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


def test_the_seed_draws_the_folds():
    corpus = make([f"s{i}" for i in range(9)], clips=200)
    protocol = Protocol("p", "k-fold", folds=4, validation=1)
    folds = {tuple(s.test for s in protocol.splits(corpus, seed=seed)) for seed in range(6)}
    assert len(folds) == 6
    sizes = [len(values(corpus, split.test, "speaker")) for split in protocol.splits(corpus)]
    assert sorted(sizes) == [2, 2, 2, 3]


SCRIPT = """
import json
from keras_ser.splits import Protocol
from keras_ser.values import plain
from tests.splits.small_corpora import GROUPED, random_corpus
corpus, hashes = random_corpus(3)
protocols = [*GROUPED, Protocol("r", test=0.3, validation=0.2)]
splits = [p.splits(corpus, 5, hashes, "emotion") for p in protocols]
print(json.dumps([plain(s) for folds in splits for s in folds]))
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


@pytest.mark.parametrize("names", [("train", "validation", "test"), ("Train", "Val", "Test"), ("train", "dev", "test")])
def test_the_official_validation_part_chooses_the_epoch(names):
    """Not the part that follows the tested one in the alphabet, which is the training part."""
    train, chosen, tested = names
    corpus = corpus_of(12, subset=[train, train, chosen, tested] * 3)
    protocol = Protocol("official", "stated", by="subset", stated=((tested,),), validation=1)
    (split,) = protocol.splits(corpus)
    sides = [values(corpus, ids, "subset") for ids in (split.train, split.validation, split.test)]
    assert sides == [{train}, {chosen}, {tested}]


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (Protocol("p", "k-fold", folds=5), r"5 folds by speaker need as many values. Received: 3 \(s0, s1, s2\)"),
        (
            Protocol("p", "stated", stated=(("s1", "s7"),)),
            "'p' tests speaker s7, which the corpus lacks. It has: s0, s1, s2",
        ),
        (Protocol("p", "leave-one-out", by="film"), "needs a film"),
        (Protocol("p", "leave-one-out", validation=2), "train set is empty"),
        (Protocol("p", "stated", stated=(("s0", "s1", "s2"),)), "train set is empty"),
    ],
)
def test_a_corpus_that_a_protocol_cannot_split(protocol, message):
    with pytest.raises(CorpusError, match=message):
        protocol.splits(make(["s0", "s1", "s2"]))


@pytest.mark.parametrize("count", [2, 3, 7, 12])
def test_across_corpora_nothing_trains_and_whole_speakers_choose(count):
    corpus = make([f"s{k}" for k in range(count)], clips=30 * count)
    protocol = Protocol("cross", "cross-corpus", validation=0.3)
    (split,) = protocol.splits(corpus)
    check_partition(split, corpus)
    chosen, tested = (values(corpus, ids, "speaker") for ids in (split.validation, split.test))
    assert split.train == () and split.foreign and not chosen & tested
    assert len(chosen) == max(1, round(0.3 * count)) and len(chosen | tested) == count
    check_split(split, corpus)
    assert protocol.splits(corpus) == (split,) and not protocol.speaker_dependent


def test_across_corpora_no_speaker_of_a_side_may_train():
    """A corpus that trains may hold the corpus's own speakers under another name."""
    corpus = make(["s0", "s1", "s2"])
    (split,) = Protocol("cross", "cross-corpus", validation=0.3).splits(corpus)
    for speaker, *_ in (values(corpus, ids, "speaker") for ids in (split.validation, split.test)):
        clip = Utterance("x", "x.wav", speaker=f"made/{speaker}")
        with pytest.raises(LeakageError, match=f"the auxiliary corpus other holds .*: made/{speaker}"):
            check_split(split, corpus, None, [(Corpus("other", Path("elsewhere"), (clip,), {}), {})])


def test_across_corpora_one_speaker_can_not_both_choose_and_be_tested():
    with pytest.raises(CorpusError, match="needs at least two speakers. Received: s0"):
        Protocol("cross", "cross-corpus", validation=0.3).splits(make(["s0"]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "cross-corpus", "validation": 0.0}, "must be a share of the speakers, in .0, 1.. Received: 0.0"),
        ({"kind": "loso"}, "matched, stated, cross-corpus. Received: kind='loso'"),
        ({"kind": "stratified-k-fold", "validation": 0.1}, "`validation` is a number of folds"),
        ({"kind": "stratified-k-fold", "folds": 3, "validation": 2}, "one must be left to train on"),
        ({"kind": "stratified-k-fold", "validation": 1, "apart": ("session",)}, "stratified folds keep nothing apart"),
        ({"kind": "stated"}, "needs `stated`"),
        ({"kind": "stated", "stated": ("Val",)}, "tuple of tested values for each fold"),
        ({"test": 0.0}, "shares"),
        ({"apart": ("session",)}, "keeps nothing apart. .* Use kind=.k-fold. with by=.session."),
        ({"kind": "k-fold", "folds": 1}, "`folds` must be at least 2"),
        ({"kind": "k-fold", "validation": 1.5}, "whole number of values of 'speaker'"),
        ({"kind": "k-fold", "validation": -0.1}, "`validation` must be"),
        ({"kind": "matched"}, "`match` names the columns of kind 'matched'. Received: kind='matched', match=()"),
        (
            {"kind": "matched", "match": ("gender",), "test": 0},
            "`test` must be a whole number of values of 'speaker', or a share",
        ),
        ({"kind": "matched", "match": "gender"}, "`match` must be a tuple of columns"),
        ({"kind": "random", "within": "session"}, "`within` ranks the values"),
        ({"kind": "leave-one-out", "within": "session", "validation": 0.1}, "validation=1 or more"),
        ({"kind": "leave-one-out", "chosen_on_test": True}, "needs validation=0"),
    ],
)
def test_wrong_protocols(fields, message):
    with pytest.raises(ValueError, match=message):
        Protocol("p", **fields)


def test_json(tmp_path):
    for protocol in [*GROUPED, Protocol("m", "matched", match=("gender",))]:
        assert instance(Protocol, json.loads(json.dumps(plain(protocol)))) == protocol
    corpus, hashes = random_corpus(1)
    for split in GROUPED[-1].splits(corpus, hashes=hashes):
        split.write(tmp_path / "split.json")
        assert instance(Split, json.loads((tmp_path / "split.json").read_text())) == split


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
    for seed in range(12):
        (split,) = random.splits(corpus, seed, hashes, "emotion")
        check_split(split, corpus, hashes)
        assert any(set(pair) <= set(getattr(split, side)) for side in SIDES)
        try:
            check_split(random.splits(corpus, seed, stratify="emotion")[0], corpus, hashes)
            together += 1
        except LeakageError as error:
            assert set(pair) <= set(str(error).replace(",", "").replace(".", "").split())
    assert 0 < together < 12  # unknown hashes leave it to chance


def test_the_other_speaker_of_the_session_validates():
    """IEMOCAP's names: without `within` the man of one session would be judged by the woman of the next."""
    people = [f"Ses{k:02d}{who}" for k in range(1, 6) for who in "FM"]
    corpus = corpus_of(30, speaker=people * 3, session=[name[:5] for name in people] * 3)
    protocol = Protocol("p", "leave-one-out", validation=1, within="session")
    for split in protocol.splits(corpus):
        ((tested,), (chosen,)) = (values(corpus, side, "speaker") for side in (split.test, split.validation))
        assert tested[:5] == chosen[:5] and tested != chosen
        check_split(split, corpus)
    plain_order = Protocol("p", "leave-one-out", validation=1).splits(corpus)[1]
    assert values(corpus, plain_order.validation, "speaker") == {"Ses02F"}


def test_of_two_tested_speakers_of_a_session_neither_validates():
    """Both are among those of the tested session, which come first; the third of it validates, and one of another."""
    people = [f"s{k}{who}" for k in range(3) for who in "abc"]
    corpus = corpus_of(18, speaker=people * 2, session=[name[:2] for name in people] * 2)
    stated = (("s0a", "s0b"), ("s1a", "s1b"))
    for k, split in enumerate(Protocol("p", "stated", stated=stated, validation=2, within="session").splits(corpus)):
        chosen = values(corpus, split.validation, "speaker")
        assert len(chosen) == 2 and f"s{k}c" in chosen and values(corpus, split.test, "speaker") == set(stated[k])


def test_within_falls_back_to_the_next_value():
    """A session of one speaker, and a column that no clip has."""
    corpus = corpus_of(4, speaker=["a", "b", "c", "d"], session=["1", "2", "3", "1"])
    chosen = [
        [
            values(corpus, split.validation, "speaker")
            for split in Protocol("p", "leave-one-out", validation=1, within=w).splits(corpus)
        ]
        for w in ("session", "film")
    ]
    assert chosen == [[{"d"}, {"c"}, {"d"}, {"a"}], [{"b"}, {"c"}, {"d"}, {"a"}]]


def test_the_test_side_chooses_the_model_only_where_it_is_asked_for():
    corpus = corpus_of(12, speaker=["a", "b", "c"] * 4)
    protocol = Protocol("leaky", "leave-one-out", validation=0, chosen_on_test=True)
    for split in protocol.splits(corpus):
        assert split.validation == split.test and split.chosen_on_test and not set(split.train) & set(split.test)
        check_split(split, corpus)
        assert instance(Split, plain(split)) == split
    with pytest.raises(LeakageError, match="Both in validation and test: c01"):
        Split("p", 0, ("c03",), ("c01",), ("c01",))
    with pytest.raises(LeakageError, match="must have its test set"):
        Split("p", 0, ("c03",), ("c02",), ("c01",), chosen_on_test=True)
    with pytest.raises(LeakageError, match="Both in train and validation: c01"):
        Split("p", 0, ("c01",), ("c01",), ("c01",), chosen_on_test=True)


def test_classes_of_one_clip_each_are_not_tested():
    """Rather than leaving a class without training."""
    with pytest.raises(CorpusError, match="the test set is empty"):
        Protocol("p", test=0.3, validation=0).splits(corpus_of(3, emotion=["a", "b", "c"]), stratify="emotion")


def test_another_seed_selects_by_other_clips_of_the_other_corpus():
    corpus = make([f"s{k}" for k in range(9)], clips=90)
    protocol = Protocol("cross", "cross-corpus", validation=0.3)
    assert len({protocol.splits(corpus, seed) for seed in range(6)}) > 1


def test_copies_of_a_recording_count_as_so_many_clips_of_a_fold():
    """A fold that got three of a class is the last to get another."""
    corpus = corpus_of(11, speaker=["a"] * 8 + ["b"] * 3, emotion=["x"] * 4 + ["y"] * 4 + ["x"] * 3)
    recordings = [0, 0, 0, 1, 2, 2, 2, 3, 4, 5, 6]
    hashes = {u.id: f"h{k}" for u, k in zip(corpus, recordings, strict=True)}
    labels = {u.id: u.labels["emotion"] for u in corpus}
    for seed in range(20):
        splits = Protocol("two", "stratified-k-fold", folds=2, validation=0).splits(corpus, seed, hashes, "emotion")
        assert sorted(sum(labels[i] == "x" for i in split.test) for split in splits) == [3, 4]
