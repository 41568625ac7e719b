"""What a run has heard, read from its files: nothing of it may be tested."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from keras_ser.corpora import Corpus, Utterance
from keras_ser.errors import RunError, UserError
from keras_ser.recipe import Stream
from keras_ser.splits import LeakageError, Split
from keras_ser.tasks import Task
from keras_ser.training import Run
from keras_ser.training.heard import heard_clips, heard_speakers, save_heard
from keras_ser.training.transfer import check_start
from tests.training import tiny

RECIPE = tiny.SINGLE.replace(corpus="emodb", tasks=(tiny.EMOTION, tiny.SPEAKER))


def spoken(name: str, *clips: tuple) -> Corpus:
    """A corpus of (id, speaker, film)."""
    made = [Utterance(i, f"{i}.wav", speaker=s, groups={"film": f} if f else {}) for i, s, f in clips]
    return Corpus(name, "/", tuple(made), {})


def run_of(folder, heard=None, train=("a1",), validation=("b1",), recipe=RECIPE) -> Run:
    """A run on emodb that was never trained; without `heard` it is of an earlier version."""
    folder.mkdir(exist_ok=True)
    (folder / "model.keras").touch()
    (folder / "recipe.json").write_text(recipe.to_json())
    Split("speakers", 0, train, validation, ("z9",), ("speaker",)).write(folder / "split.json")
    (folder / "history.json").write_text('{"seed": 0, "best_epoch": 1, "epochs": [{"loss": 1.0}]}')
    if heard is not None:
        found = {name: dict(zip(("clips", "speakers"), given, strict=True)) for name, given in heard.items()}
        (folder / "heard.json").write_text(json.dumps(found))
    return Run.load(folder)


EMODB = spoken("emodb", ("a1", "a", "x"), ("a2", "a", "y"), ("b1", "b", "x"), ("c1", "c", None), ("n1", None, None))


@pytest.mark.parametrize(
    ("heard", "corpus", "clips", "speakers"),
    [
        # as the corpus of the run
        ({"emodb": (["a1", "n1"], ["a"])}, EMODB, {"a1", "n1"}, {"a"}),
        # a speaker with clips that are no longer there, in another spelling
        ({"emodb": (["a0"], ["A "])}, EMODB, {"a0"}, {"a"}),
        # the clips of a file are heard though it names no speaker
        ({"emodb": (["b1"], [])}, EMODB, {"b1"}, {"b"}),
        # as an auxiliary corpus, or of a run before this one; the numbers of two corpora are not one speaker
        ({"emodb": (["a1"], ["a"]), "ravdess": (["r1"], ["r"])}, spoken("ravdess", ("r2", "r", None)), {"r1"}, {"r"}),
        ({"emodb": (["a1"], ["a"])}, spoken("ravdess", ("a1", "a", None)), set(), set()),
        (
            {"emodb": (["a1"], ["a"])},
            spoken("manifest", ("m1", "emodb/a", None), ("m2", "a", None)),
            set(),
            {"emodb/a"},
        ),
    ],
)
def test_what_heard_json_names_was_heard(heard, corpus, clips, speakers, tmp_path):
    run = run_of(tmp_path, heard)
    assert heard_clips(run, corpus) == clips and heard_speakers(run, corpus) == speakers


def test_of_a_run_without_heard_json_both_sides_and_the_streams_were_heard(tmp_path):
    further = Stream("further", corpus="ravdess", speakers=1)
    ravdess = spoken("ravdess", ("r1", "r", None), ("s1", "s", None))
    run = run_of(tmp_path, recipe=RECIPE.replace(streams=(*RECIPE.streams, further)))
    assert heard_clips(run, EMODB) == {"a1", "b1"} and heard_speakers(run, EMODB) == {"a", "b"}
    assert heard_clips(run, ravdess) == further.chosen(ravdess)
    assert heard_speakers(run, ravdess) == {i[0] for i in further.chosen(ravdess)} < {"r", "s"}
    assert heard_clips(run, spoken("slr45", ("a1", "a", None))) == set()


def test_of_other_clips_under_the_name_of_the_corpus_the_classes_tell_the_speakers(tmp_path):
    """Speakers who are a task's classes are known by name; without such a task, any may have trained the run."""
    other = spoken("emodb", ("o1", "a", None), ("o2", "c", None), ("o3", None, None))
    classes = (tiny.EMOTION, Task("speaker", ("emodb/a", "emodb/b"), identity=True))
    assert heard_speakers(run_of(tmp_path / "named", recipe=RECIPE.replace(tasks=classes)), other) == {"a"}
    assert heard_speakers(run_of(tmp_path / "alone", recipe=tiny.SINGLE.replace(corpus="emodb")), other) == {"a", "c"}
    assert heard_speakers(run_of(tmp_path / "alone"), spoken("slr45", ("o1", "a", None))) == set()


def split_of(test, apart=("speaker",)) -> Split:
    return Split("p", 1, ("t",), (), tuple(test), apart)


@pytest.mark.parametrize(
    ("heard", "split", "named"),
    [
        ((["a1"], ["a"]), split_of(["b1"]), None),
        ((["a1"], ["a"]), split_of(["a2", "b1"]), "speaker a"),
        ((["a1"], []), split_of(["a2"]), "speaker a"),
        # what the split does not keep apart may be heard; the clips may not
        ((["a1"], ["a"]), split_of(["a2"], ()), None),
        ((["a1"], ["a"]), split_of(["b1", "a1"], ()), "a1"),
        ((["a1"], ["a"]), split_of(["a2"], ("film",)), None),
        ((["a1"], ["a"]), split_of(["b1"], ("speaker", "film")), "film x"),
        # clips without a film share none
        ((["n1"], []), split_of(["c1"], ("film",)), None),
        # a speaker of that name in other clips is the same person
        ((["b0"], ["b"]), split_of(["b1"]), "speaker b"),
        (([], ["b"]), split_of(["b1"]), "speaker b"),
    ],
)
def test_weights_that_have_heard_what_is_tested_are_no_beginning(heard, split, named, tmp_path):
    run_of(tmp_path, {"emodb": heard})
    unheard = split_of(["c1"])
    if named is None:
        check_start(RECIPE, tmp_path, EMODB, [unheard, split])
        return
    with pytest.raises(LeakageError, match=f"validated on what p, fold 1, tests: {named}. Start.*--folds.*CORPUS/NAME"):
        check_start(RECIPE, tmp_path, EMODB, [unheard, split])


def test_copies_under_other_names_are_heard_once_they_are_decoded(tmp_path):
    """In the audio of any corpus that was heard, and so their speakers."""
    run_of(tmp_path)
    held = {"clips": ["x"], "speakers": ["y"], "audio": ["0123456789abcdef"]}
    (tmp_path / "heard.json").write_text(json.dumps({"slr45": held}))
    hashes = {"a1": "0123456789abcdef" + 24 * "0", "b1": 40 * "f"}
    check_start(RECIPE, tmp_path, EMODB, [split_of(["a1"]), split_of(["a2"])])
    check_start(RECIPE, tmp_path, EMODB, [split_of(["b1"])], hashes)
    for tested, apart, named in ((["b1", "a2"], ("speaker",), "speaker a"), (["a1"], (), "a1")):
        with pytest.raises(LeakageError, match=f"fold 1, tests: {named}. Start"):
            check_start(RECIPE, tmp_path, EMODB, [split_of(tested, apart)], hashes)
    run = Run.load(tmp_path)
    assert heard_clips(run, EMODB, hashes) == {"a1"} and heard_speakers(run, EMODB, hashes) == {"a"}


def test_other_cuts_and_copies_of_a_recording_are_heard(tmp_path):
    """By the file, without links, and by the origin that is named; whatever the clips and the speakers are called there."""
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")

    def cut(i, path, origin=None):
        return Utterance(i, path, speaker=f"of {i}", groups={"origin": origin} if origin else {}, start=1.0)

    own = (
        cut("whole", "x.wav"),
        cut("copy", "t.wav", "x.wav"),
        cut("named", "y.wav", "tape 1"),
        cut("part 1", "z.wav", "tape 2"),  # two recordings in one file
        cut("part 2", "z.wav", "tape 3"),
    )
    cases = {"whole": {"1"}, "copy": {"1", "6"}, "named": {"2", "3", "4"}, "part 1": {"5"}, "part 2": set()}
    other = (
        cut("1", "link/x.wav"),
        cut("2", "link/y.wav"),
        cut("3", "elsewhere.wav", "Manifest/Tape 1"),
        cut("4", "link/y.wav", "link/y.wav"),
        cut("5", "further.wav", "manifest/tape 2"),
        cut("6", "link/t.wav"),
        cut("7", "link/z.wav"),
        cut("8", "there.wav", "tape 1"),
    )
    own, other = Corpus("manifest", tmp_path / "a", own, {}), Corpus("other", tmp_path, other, {})
    data = SimpleNamespace(corpus=own, cache=SimpleNamespace(hashes={}, dropped={}), auxiliary={})
    for clip, found in cases.items():
        run = run_of(tmp_path / clip)
        save_heard(RECIPE, data, Split("p", 0, (clip,), (), ("nothing else",)), run.folder)
        assert heard_clips(run, other) == found, clip
        assert heard_speakers(run, other) == {f"of {i}" for i in found}
        assert heard_clips(run, own, together=False) == {clip}
    assert heard_clips(Run.load(tmp_path / "whole"), own) == {"whole", "copy"}
    assert heard_clips(Run.load(tmp_path / "part 1"), own) == {"part 1"}
    later = run_of(tmp_path / "later")
    save_heard(RECIPE, data, Split("p", 0, ("part 2",), (), ("none",)), later.folder, tmp_path / "whole")
    assert heard_clips(later, other) == {"1"}, "of the run that its weights descend from"
    leaky = replace(split_of(["1"], ()), together=False)
    check_start(RECIPE, tmp_path / "whole", other, [leaky])
    with pytest.raises(LeakageError, match="tests: 1. Start"):
        check_start(RECIPE, tmp_path / "whole", other, [replace(leaky, together=True)])


def test_weights_of_another_model_or_a_damaged_heard_json_are_no_beginning(tmp_path):
    run_of(tmp_path, {"emodb": (["a1"], ["a"])})
    with pytest.raises(UserError, match="a run of the model 'aspmtl': expected one of 'vggvox'"):
        check_start(tiny.STRETCHED, tmp_path, EMODB, [])
    for content in ("{", "[]", '{"emodb": []}', '{"emodb": {"clips": []}}'):
        (tmp_path / "heard.json").write_text(content)
        with pytest.raises(RunError, match="heard.json is damaged: .* Remove .* and run the recipe again"):
            check_start(RECIPE, tmp_path, EMODB, [split_of(["b1"])])


def test_a_clip_that_could_not_be_read_was_not_heard(tmp_path):
    cache = SimpleNamespace(hashes={"a1": "0" * 40, "b1": "1" * 40}, dropped={"a2": "cut short", "c1": "cut short"})
    data, run = SimpleNamespace(corpus=EMODB, cache=cache, auxiliary={}), run_of(tmp_path / "run")
    save_heard(RECIPE, data, Split("speakers", 0, ("a1", "a2", "c1"), ("b1",), ("n1",)), run.folder)
    assert heard_clips(run, EMODB, together=False) == {"a1", "b1"}
    assert heard_speakers(run, EMODB) == {"a", "b"}
