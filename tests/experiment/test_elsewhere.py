"""Another corpus than the runs' own: labels, and speakers who have trained them."""

import dataclasses
import json
from types import SimpleNamespace

import pandas as pd
import pytest

from keras_ser.corpora import Corpus, CorpusError, Utterance
from keras_ser.errors import UserError
from keras_ser.experiment.elsewhere import Seen, evaluate_elsewhere, mapped, seen, without
from keras_ser.models import svm
from keras_ser.recipe import Stream
from keras_ser.splits import LeakageError, Split
from keras_ser.tasks import Task
from keras_ser.training import Run
from tests.training import tiny

TASK = Task("emotion", ("anger", "fear"), merge={"rage": "anger"}, ignore=("other",))


def corpus_of(*labels):
    found = [Utterance(f"u{i}", f"u{i}.wav", labels={"emotion": label}) for i, label in enumerate(labels)]
    return Corpus("manifest", "/", tuple(found), {"emotion": tuple(dict.fromkeys(labels))})


@pytest.mark.parametrize(
    ("labels", "options", "classes"),
    [
        (("anger", "rage", "other"), {}, ["anger", "anger", None]),
        (("Anger", " FEAR", "Rage"), {}, ["anger", "fear", "anger"]),
        (("wut", "fear"), {"merge": {"wut": "anger"}}, ["anger", "fear"]),
        (("rage", "fear"), {"merge": {"rage": "fear"}}, ["fear", "fear"]),
        (("other", "fear"), {"merge": {"other": "anger"}}, ["anger", "fear"]),
    ],
)
def test_labels_are_mapped_to_the_classes(labels, options, classes):
    task = mapped(TASK, corpus_of(*labels), **options)
    encoded = [task.encode(label) for label in labels]
    assert [task.decode(value) if weight else None for value, weight in encoded] == classes


def test_labels_that_are_not_known_are_refused():
    with pytest.raises(CorpusError, match=r"manifest has joy \(2\) as well. .*--merge joy=anger.*--ignore joy"):
        mapped(TASK, corpus_of("joy", "joy", "fear"))
    with pytest.raises(UserError, match="--merge must map to a class: anger, fear. Received: angst"):
        mapped(TASK, corpus_of("fear"), {"joy": "angst"})
    with pytest.raises(UserError, match="--merge names 'Fear', which no clip has. Did you mean 'fear'"):
        mapped(TASK, corpus_of("anger", "fear"), {"Fear": "anger"})


def test_clips_of_ignored_labels_are_left_out():
    """A class of the run, too."""
    assert [u.labels["emotion"] for u in without(corpus_of("anger", "joy", "fear"), "emotion", ["joy", "fear"])] == [
        "anger"
    ]
    with pytest.raises(UserError, match="takes labels of 'emotion': joy, fear. Received: yoy"):
        without(corpus_of("joy", "fear"), "emotion", ["yoy"])


def test_an_auxiliary_corpus_of_the_runs_is_one_that_they_have_seen(tmp_path, monkeypatch):
    """Of a version that stored no audio: by clip and by speaker, as heard.json names them."""
    own = SimpleNamespace(
        corpus=Corpus("emodb", "/", (Utterance("y", "y.wav", speaker="s0"),), {}), cache=SimpleNamespace(hashes={})
    )
    monkeypatch.setattr("keras_ser.experiment.elsewhere.data_of", lambda folder: own)
    people = [Utterance(f"u{i}", f"u{i}.wav", speaker=f"s{i // 2}") for i in range(6)]
    # a clip that names no speaker
    corpus = Corpus("ravdess", "/", (*people, Utterance("n0", "n0.wav"), Utterance("n1", "n1.wav")), {})
    hashes = {u.id: u.id for u in corpus}
    heard = {"emodb": {"clips": ["x"], "speakers": ["s2"]}, "ravdess": {"clips": ["u0", "n0"], "speakers": ["s1"]}}
    (tmp_path / "heard.json").write_text(json.dumps(heard))
    found_in, note = (
        (("s0", "s1"), ("n0", "u0", "u1", "u2", "u3")),
        "Not compared with the runs' auxiliary corpora slr45.",
    )
    for initial, streams, expected, said in (
        ("", (), (("s1",), ("u2", "u3")), ""),
        ("", ("ravdess", "slr45"), found_in, note),
        ("0123456789ab", (), found_in, ""),  # in a run that the weights descend from
    ):
        recipe = SimpleNamespace(initial=initial, streams=[Stream("own"), *(Stream(n, corpus=n) for n in streams)])
        run = SimpleNamespace(split=Split("p", 0, ("x",), (), ("y",)), recipe=recipe, folder=tmp_path)
        found = seen(tmp_path, [run], corpus, hashes)
        assert (found.speakers, tuple(sorted(found.clips)), found.note) == (*expected, said)


@pytest.mark.parametrize(
    ("train", "validation", "speakers", "clips"),
    [
        (("a",), (), ("emodb/1",), ("m1", "m2")),
        (("b",), ("a",), ("emodb/1",), ("m1", "m2")),  # who only chose the epoch
        (("b",), (), (), ()),  # another corpus's number is another speaker
        (("c",), (), (), ("m4",)),  # a copy of what trained, under no name
        (("b",), ("c",), (), ("m4",)),
    ],
)
def test_speakers_and_copies_of_the_runs_own_corpus_are_ones_that_they_have_seen(
    train, validation, speakers, clips, tmp_path, monkeypatch
):
    names = {"a": "1", "b": "2", "c": None, "tested": "3"}
    own = Corpus("emodb", "/", tuple(Utterance(i, f"{i}.wav", speaker=s) for i, s in names.items()), {})
    own = SimpleNamespace(corpus=own, cache=SimpleNamespace(hashes={i: f"h{i}" for i in names}))
    monkeypatch.setattr("keras_ser.experiment.elsewhere.data_of", lambda folder: own)
    people = {"m1": "emodb/1", "m2": "emodb/1", "m3": "2", "m4": None, "m5": "emodb/3"}
    other = Corpus("manifest", "/", tuple(Utterance(i, f"{i}.wav", speaker=s) for i, s in people.items()), {})
    run = SimpleNamespace(split=Split("p", 0, train, validation, ("tested",)), folder=tmp_path)
    run.recipe = SimpleNamespace(initial="", streams=[Stream("own")])
    found = seen(tmp_path, [run], other, {"m1": "x", "m2": "y", "m3": "z", "m4": "hc", "m5": "htested"})
    assert (found.speakers, tuple(sorted(found.clips))) == (speakers, clips)


@pytest.mark.parametrize(
    ("heard", "speakers", "clips"),
    [
        ({"manifest": {"clips": ["u0"], "speakers": ["nobody"], "audio": ["x"]}}, (), ()),  # an id of another table
        ({"manifest": {"clips": ["a"], "speakers": ["S1"], "audio": []}}, ("s1",), ("u2", "u3")),
        ({"emodb": {"clips": ["a"], "speakers": ["s1"], "audio": ["4" * 16]}}, (), ("u4",)),
        ({"emodb": {"clips": [], "speakers": ["manifest/s0"], "audio": []}}, ("s0",), ("u0", "u1")),
    ],
)
def test_what_the_runs_have_heard_is_known_without_their_corpus(tmp_path, monkeypatch, heard, speakers, clips):
    """By the names of the speakers and by the audio of the clips, wherever their files have gone."""
    monkeypatch.setattr("keras_ser.experiment.elsewhere.data_of", pytest.fail)
    people = [Utterance(f"u{i}", f"u{i}.wav", speaker=f"s{i // 2}") for i in range(6)]
    (tmp_path / "heard.json").write_text(json.dumps(heard))
    found = seen(
        tmp_path,
        [SimpleNamespace(folder=tmp_path)],
        Corpus("manifest", "/", tuple(people), {}),
        {u.id: u.id[1:] * 40 for u in people},
    )
    assert (found.speakers, found.clips, found.note) == (speakers, frozenset(clips), "")


def pretend(monkeypatch, runs, corpus, tested):
    """`evaluate_elsewhere` of these runs and this corpus, with `tested` in place of their networks."""
    data = SimpleNamespace(readable=corpus, cache=SimpleNamespace(hashes={}))
    for name, given in {"runs_of": runs, "decode_in_cache": data, "seen": Seen()}.items():
        monkeypatch.setattr(f"keras_ser.experiment.elsewhere.{name}", lambda *asked, given=given: given)
    monkeypatch.setattr("keras_ser.experiment.elsewhere.tested", tested)


@pytest.mark.parametrize("folds", [1, 2])
def test_clusters_beside_the_main_task_are_those_of_each_run(folds, tmp_path, monkeypatch):
    """Of several runs they are not scored together, since a clip's cluster depends on the run."""
    about, asked = {"best_epoch": 1, "epochs": [{"C": 1.0}], "training": {"emotion_uar": 0.95}}, {}
    moods = [Task("mood", ("low", "high"), columns=("v", "a"), centres=((0, 0), (1, 1 + k))) for k in range(folds)]
    recipes = [tiny.SINGLE.replace(tasks=(tiny.EMOTION, mood), streams=(tiny.CLEAN,)) for mood in moods]
    runs = [Run(tmp_path, r, Split("p", fold, ("x",), (), ("y",)), 0, about) for fold, r in enumerate(recipes)]
    labels = [{"emotion": tiny.EMOTION.labels[k % 2], "v": float(k % 3), "a": float(k % 2)} for k in range(8)]
    people = [Utterance(f"u{k}", f"u{k}.wav", speaker=f"s{k}", labels=labels[k]) for k in range(8)]
    corpus = Corpus("manifest", "/", tuple(people), {"emotion": tiny.EMOTION.labels})

    def tested(run, data, protocol):
        asked[run.split.fold] = run.recipe.tasks[1]
        rows = pd.DataFrame(
            [(u.id, u.speaker, u.labels["emotion"]) for u in corpus], columns=["id", "speaker", "emotion"]
        )
        rows = rows.assign(
            protocol=protocol, fold=run.split.fold, seed=0, stream="clips", gender="", group=rows["speaker"]
        )
        rows = rows.assign(mood="low", **{"emotion/prediction": rows["emotion"], "mood/prediction": "low"})
        sure = {f"emotion/{x}": 1.0 * (rows["emotion"] == x) for x in tiny.EMOTION.labels}
        return rows.assign(**sure, **{"mood/low": 1.0, "mood/high": 0.0})

    pretend(monkeypatch, runs, corpus, tested)
    made, _ = evaluate_elsewhere(tmp_path, corpus, out=tmp_path / "out")
    assert asked == dict(enumerate(moods))
    assert ("mood" in {result.task for result in made.results}) == (folds == 1)
    assert any("Not scored: mood" in note for note in made.notes) == (folds == 2)


def test_folds_of_a_deterministic_model_are_models_not_a_network(tmp_path, monkeypatch):
    about = {"best_epoch": 1, "epochs": [{"C": 1.0}], "training": {"emotion_uar": 0.55}}
    recipe = tiny.SINGLE.replace(name="own-svm", model="svm", config=svm.Config(), streams=(tiny.CLEAN,))
    runs = [Run(tmp_path, recipe, Split("p", fold, ("x",), (), ("y",)), 0, about) for fold in range(5)]
    people = [
        Utterance(f"u{i}", f"u{i}.wav", speaker=f"s{i % 8}", labels={"emotion": tiny.EMOTION.labels[i % 2]})
        for i in range(32)
    ]
    corpus = Corpus("manifest", "/", tuple(people), {"emotion": tiny.EMOTION.labels})

    def tested(run, data, protocol):
        facts = [(u.id, u.speaker, u.labels["emotion"]) for u in corpus]
        rows = pd.DataFrame(facts, columns=["id", "speaker", "emotion"])
        rows = rows.assign(
            protocol=protocol, fold=run.split.fold, seed=0, stream="clips", gender="", group=rows["speaker"]
        )
        guess = rows["emotion"].where(rows.index % 5 > 0, tiny.EMOTION.labels[0])
        return rows.assign(
            **{"emotion/prediction": guess}, **{f"emotion/{x}": 1.0 * (guess == x) for x in tiny.EMOTION.labels}
        )

    pretend(monkeypatch, runs, corpus, tested)
    made, _ = evaluate_elsewhere(tmp_path, corpus, out=tmp_path / "out")
    text = made.to_markdown()
    assert "95 % CI over 8 speakers, of these 5 models (t). 32 clips of 8 speakers, 5 folds." in text
    assert "summed over 5 runs" in text and not any(
        word in text.split("```")[0] for word in ("network", "nitialisation")
    )
    assert "**Not trained to the end:** 5 of 5 underfit (other-corpus, fold 0, seed 0: underfit: 55.0 on" in text
    assert made.lines()[-1].startswith("Caution: 5 of 5 underfit.")


@pytest.mark.slow
def test_speakers_who_trained_the_run_are_refused_or_left_out(masked, tmp_path, monkeypatch):
    """The demo corpus's own clips: all speakers but the tested ones have trained the run."""
    recipe, data, folder = masked
    monkeypatch.setattr("keras_ser.experiment.elsewhere.data_of", lambda folder: data)
    (run,) = folder.glob("*/fold-00-seed-0")
    with pytest.raises(LeakageError, match="have trained the runs"):
        evaluate_elsewhere(run, data.corpus)
    made, where = evaluate_elsewhere(run, data.corpus, trained="drop", out=tmp_path)
    tested = {u.speaker for u in data.corpus if u.id in set(made.predictions["id"])}
    assert len(tested) == len({u.speaker for u in data.corpus}) / 4 and "left out" in (where / "report.md").read_text()
    kept, _ = evaluate_elsewhere(run, data.corpus, trained="keep", out=tmp_path)
    assert len(kept.predictions) == len(data.corpus) and any("too high" in note for note in kept.notes)
    facts = lambda: json.loads((tmp_path / "report.json").read_text())["protocols"]["other-corpus"]  # noqa: E731
    assert facts()["speaker_dependent"] is True
    # speakers that the run has only been tested on
    unseen = dataclasses.replace(data.corpus, utterances=tuple(u for u in data.corpus if u.speaker in tested))
    made, _ = evaluate_elsewhere(run, unseen, trained="keep", out=tmp_path)
    assert facts()["speaker_dependent"] is False and not any("too high" in note for note in made.notes)
    with pytest.raises(UserError, match="`trained` must be one of refuse, drop, keep. Received: 'kept'"):
        evaluate_elsewhere(run, unseen, trained="kept")
    # other people of other names, in recordings that differ: no overlap
    others = dataclasses.replace(data.corpus, name="manifest")
    with pytest.raises(LeakageError, match="recordings of this corpus"):
        evaluate_elsewhere(run, others)
