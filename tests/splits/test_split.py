"""What a split refuses, and what `check_split` finds on two sides."""

import dataclasses
import re
from contextlib import nullcontext

import pytest

from keras_ser.checks import listed
from keras_ser.corpora import CorpusError
from keras_ser.corpora.spelling import quoted
from keras_ser.splits import SIDES, LeakageError, Protocol, check_split
from tests.splits.small_corpora import check_partition, corpus_of, make, split_of


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


def test_clip_without_a_value_of_a_column_apart_is_refused():
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
    with pytest.raises(LeakageError, match="origin"):  # a drawn validation set as well
        check_split(split_of([0, 1], [3], [4], validation_apart=False), corpus)


def auxiliary(count=2, name="other", **columns):
    """An auxiliary corpus without hashes, in a folder of its own."""
    return dataclasses.replace(corpus_of(count, **columns), name=name, root="elsewhere"), {}


def test_an_auxiliary_corpus_may_not_hold_copies_of_what_is_tested():
    corpus, (other, _) = corpus_of(4), auxiliary()
    hashes = {f"c{i:02}": f"h{i}" for i in range(4)}
    split = split_of([0], [1], [2, 3])
    check_split(split, corpus, hashes, [(other, {"x": "h0", "y": "h9"}), (other, {})])  # what trains may train twice
    for content, clip in (("h1", "c01"), ("h3", "c03")):
        with pytest.raises(
            LeakageError, match=f"auxiliary corpus other holds recordings .* test set: x = {clip}. Leave them out"
        ):
            check_split(split, corpus, hashes, [(other, {"z": "h9"}), (other, {"x": content})])


@pytest.mark.parametrize("side", ["validation", "test"])
def test_an_auxiliary_corpus_may_not_hold_other_cuts_of_what_is_tested(side, tmp_path):
    """The same file, through another root, a link in the way."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    corpus = dataclasses.replace(corpus_of(4), root=tmp_path / "a" / "b")
    other = dataclasses.replace(corpus_of(1), root=tmp_path / "link")
    sides = {"train": [0], "validation": [1], "test": [2]}
    for number in (0, 3, sides[side][0]):
        cut = dataclasses.replace(other.utterances[0], id="cut", path=f"b/{number}.wav", start=0.5)
        given = [(dataclasses.replace(other, utterances=(cut,)), {})]
        if number in (0, 3):  # 3 is on no side
            check_split(split_of(*sides.values()), corpus, None, given)
            continue
        with pytest.raises(LeakageError, match=f"holds recordings of the validation or test set: cut = c0{number}"):
            check_split(split_of(*sides.values()), corpus, None, given)


def test_a_linked_file_is_the_file_that_it_leads_to(tmp_path):
    """As git-annex, DVC and Hugging Face's cache store recordings."""
    (tmp_path / "store").write_bytes(b"")
    for name in ("a/2.wav", "b/cut.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).symlink_to(tmp_path / "store")
    (tmp_path / "b" / "else.wav").symlink_to(tmp_path / "gone")
    corpus = dataclasses.replace(corpus_of(3), root=tmp_path / "a")
    other = dataclasses.replace(corpus_of(1), root=tmp_path / "b")
    for path, leaks in (("else.wav", False), ("cut.wav", True)):
        cut = dataclasses.replace(other.utterances[0], id="cut", path=path, start=0.5)
        given = [(dataclasses.replace(other, utterances=(cut,)), {})]
        with pytest.raises(LeakageError, match="holds recordings .*: cut = c02") if leaks else nullcontext():
            check_split(split_of([0], [1], [2]), corpus, None, given)


@pytest.mark.parametrize("column", ["speaker", "session", "film", "sentence"])
def test_an_auxiliary_corpus_may_not_hold_a_tested_group(column):
    """Of one adapter equal names are one group, of two they are not, unless a name says so."""
    corpus = dataclasses.replace(corpus_of(4, **{column: ["01", "02", "03", "04"]}), name="ravdess")
    split = split_of([0], [1], [2, 3], (column,))

    def check(name, *values, split=split):
        check_split(split, corpus, None, [auxiliary(len(values), name, **{column: values})])

    for name, *values in (("ravdess", "01", "09", None), ("emodb", "02", "03"), ("manifest", "ravdess/01", "emodb/03")):
        check(name, *values)
    for name, *values in (
        ("ravdess", "01", "02"),
        ("ravdess", "03"),
        ("manifest", "ravdess/04"),
        ("manifest", "RAVDESS/04\u200b "),
    ):
        leak = values[-1] if "/" in values[-1] else f"ravdess/{values[-1]}"
        with pytest.raises(
            LeakageError,
            match=f"{column} must be on one side only, and the auxiliary corpus {name} holds .*: {re.escape(listed([leak]))}. Take",
        ):
            check(name, *values)
        check(name, *values, split=dataclasses.replace(split, apart=()))
    # a validation set of the training set's own groups keeps none from training
    drawn = dataclasses.replace(split, validation_apart=False)
    check("ravdess", "02", split=drawn)
    with pytest.raises(LeakageError, match="ravdess/03"):
        check("ravdess", "03", split=drawn)


@pytest.mark.parametrize("side", ["validation", "test"])
def test_an_auxiliary_corpus_may_not_hold_another_cut_of_a_tested_recording(side):
    """Named by `origin`, in files of its own; a drawn validation set is kept from training as well."""
    corpus = dataclasses.replace(corpus_of(4, origin=["r1", None, "r3", "r4"]), name="manifest")
    sides = {"validation": ([0], [2], [3]), "test": ([0], [1], [2, 3])}[side]
    split = split_of(*sides, validation_apart=False)

    def check(*origins, name="manifest", split=split):
        check_split(split, corpus, None, [auxiliary(len(origins), name, origin=origins)])

    check("r1", "r9", None)  # what trains may train twice
    check("r3", "r4", name="emodb")
    check("emodb/r3")
    for name, given, said in (("manifest", "R3 ", "manifest/R3 "), ("emodb", "manifest/r3", "manifest/r3")):
        with pytest.raises(LeakageError, match=f"origin must be .* auxiliary corpus {name} holds .*: {said}. Take"):
            check("r9", given, name=name)
        check("r9", given, name=name, split=dataclasses.replace(split, together=False))


def test_an_origin_that_names_a_file_or_a_clip_means_that_one():
    """As tables without `origin` and windows have it: two corpora may have a file of one name."""
    corpus, (other, _) = corpus_of(4, origin=[f"{i}.wav" for i in range(4)]), auxiliary(origin=["2.wav", "3.wav"])
    split = split_of([0], [1], [2, 3])
    elsewhere = [
        dataclasses.replace(u, path=f"../x/{name}", groups={"origin": name})
        for u, name in zip(other, ("2.wav", "3.wav"), strict=True)
    ]
    check_split(split, corpus, None, [(dataclasses.replace(other, name="made", utterances=tuple(elsewhere)), {})])
    with pytest.raises(LeakageError, match="holds .*: made/2.wav, made/3.wav. Take"):  # no files of the other corpus
        check_split(split, corpus, None, [(dataclasses.replace(other, name="made"), {})])

    def windows(corpus, count):
        cut = [dataclasses.replace(u, id=f"{u.id}@000", groups={"origin": u.id}) for u in corpus.utterances[-count:]]
        return dataclasses.replace(corpus, utterances=(*corpus.utterances[:-count], *cut))

    tested = dataclasses.replace(split, test=("c02@000", "c03@000"))
    check_split(tested, windows(corpus_of(4), 2), None, [(dataclasses.replace(windows(other, 2), name="made"), {})])


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


SPELLINGS = [("Jos\u00e9", "Jose\u0301"), ("ben", "ben\u200b"), ("Anna", "anna"), ("A Lee", "A  Lee")]


@pytest.mark.parametrize(
    ("column", "one", "other"), [("speaker", *SPELLINGS[0]), ("session", *SPELLINGS[1]), ("film", *SPELLINGS[2])]
)
def test_one_name_in_two_spellings_on_two_sides_is_refused(column, one, other):
    corpus = corpus_of(4, **{column: [one, other, "c", "d"]})
    check_split(split_of([0, 1], [2], [3], (column,)), corpus)
    check_split(split_of([0], [1], [2, 3], (column,), validation_apart=False), corpus)
    check_split(split_of([0], [2], [1, 3]), corpus)  # nothing is promised
    for sides in ([0], [1], [2, 3]), ([0, 2], [3], [1]), ([3], [0], [1, 2]):
        with pytest.raises(LeakageError) as caught:
            check_split(split_of(*sides, (column,)), corpus)
        names = " = ".join(map(quoted, sorted([one, other])))
        assert f"{column} must be on one side only. On two: {names}. Spell each name in one way." in str(caught.value)


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_cuts_of_one_recording_in_two_spellings_stay_together(one, other):
    corpus = corpus_of(20, origin=[one, other] * 5 + [f"r{i}" for i in range(10)])
    with pytest.raises(LeakageError, match="origin must be on one side only. On two: c00, c01"):
        check_split(split_of([0, 10], [], [1, 11]), corpus)
    for seed in range(5):
        (split,) = Protocol("p", test=0.3).splits(corpus, seed)
        check_split(split, corpus)


def test_ids_of_another_corpus_are_refused():
    with pytest.raises(CorpusError, match="names utterances that made lacks: c07"):
        check_split(split_of([0, 1], [7], [2]), corpus_of(4))


def test_overlapping_repeated_or_empty_sides_are_refused():
    with pytest.raises(LeakageError, match="Both in train and test: c01"):
        split_of([0, 1], [2], [1, 3])
    with pytest.raises(LeakageError, match="Both in train and validation: c01"):
        split_of([0, 1], [1], [3])
    with pytest.raises(LeakageError, match="Both in validation and test: c02"):
        split_of([0, 1], [2], [2])
    with pytest.raises(LeakageError, match="More than once in validation: c02"):
        split_of([0, 1], [2, 2], [3])
    for sides, empty in ((([], [1], [2]), "train"), (([1], [2], []), "test")):
        with pytest.raises(CorpusError, match=f"'p', fold 1: the {empty} set is empty"):
            split_of(*sides)
