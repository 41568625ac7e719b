"""What a report says beside its scores, and two folders compared."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from keras_ser.corpora import Corpus, Utterance
from keras_ser.evaluation import write_predictions
from keras_ser.experiment import compare_folders
from keras_ser.experiment.planning import by_validity
from keras_ser.experiment.reporting import notes, protocol_facts
from keras_ser.models import deterministic_model, svm
from keras_ser.models.aspmtl import Config
from keras_ser.recipe import Recipe, Stream
from keras_ser.reports import score_report
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.training.data import labelled_clips
from tests.recipes.common import imported

NOTHING: dict[str, str] = {}
MAIN = Task("emotion", ("anger", "joy"))
PROTOCOL = Protocol("speakers", "leave-one-out", by="speaker", validation=0)


def recipe() -> Recipe:
    return Recipe(name="r", corpus="demo", tasks=(MAIN,), protocols=(PROTOCOL,), config=Config(adversary="label"))


def predictions(right: float, seeds=(0,)) -> pd.DataFrame:
    truth, rng = np.random.default_rng(1).integers(2, size=(8, 20)), np.random.default_rng(int(100 * right))
    rows = []
    for seed in seeds:
        for s in range(8):
            for c in range(20):
                told = truth[s, c] if rng.random() < right else 1 - truth[s, c]
                row = {"protocol": "speakers", "fold": s, "seed": seed, "stream": "main", "id": f"{s}-{c}"}
                row |= {"speaker": f"s{s}", "gender": "", "group": f"s{s}", "emotion": MAIN.labels[truth[s, c]]}
                row |= {
                    "emotion/prediction": MAIN.labels[told],
                    "emotion/anger": 1.0 - told,
                    "emotion/joy": float(told),
                }
                rows.append(row)
    return pd.DataFrame(rows)


def test_folders_of_deterministic_recipes_have_a_p_with_one_seed(tmp_path):
    fixed = recipe().replace(model="svm", config=svm.Config())
    drawn = fixed.replace(shuffle=("emotion",))
    assert deterministic_model(fixed) and not deterministic_model(drawn) and not deterministic_model(recipe())
    assert not deterministic_model(fixed.replace(labelled=0.5)), "the seed draws the speakers"
    for name, right, made in (("a", 0.9, fixed), ("b", 0.6, fixed), ("c", 0.6, drawn)):
        (tmp_path / name).mkdir()
        write_predictions(predictions(right), tmp_path / name / "predictions.csv")
        (tmp_path / name / "recipe.json").write_text(made.to_json())
    said = compare_folders(tmp_path / "a", tmp_path / "b", "emotion", "uar")
    assert "p = 0.002" in said and "95 % CI over 8 speakers (t)" in said
    # labels in another order for another seed
    assert "no p (one seed" in compare_folders(tmp_path / "a", tmp_path / "c", "emotion", "uar")
    # a table without its recipe
    (tmp_path / "b" / "recipe.json").unlink()
    assert "no p (one seed" in compare_folders(tmp_path / "a", tmp_path / "b", "emotion", "uar")


def told(recipe, corpus, auxiliary=(), hashes=NOTHING) -> list[str]:
    """The notes of a report, without its models."""
    cache = SimpleNamespace(hashes=hashes, dropped={}, problems={})
    further = {other.name: (other, cache) for other in auxiliary}
    return notes(recipe, SimpleNamespace(corpus=corpus, readable=corpus, auxiliary=further, cache=cache), None)


def spoken(name: str, speakers) -> Corpus:
    """A corpus of (speaker, emotion)."""
    made = [Utterance(f"{i}", f"{i}.wav", speaker=s, labels={"emotion": e}) for i, (s, e) in enumerate(speakers)]
    return Corpus(name, Path("made"), tuple(made), {})


def test_copies_are_named():
    hashes = {"0": "x", "1": "y", "2": "x"}
    corpus = spoken("found", [("a", "joy"), ("b", "anger"), ("a", "joy")])
    (line,) = (line for line in told(recipe(), corpus, hashes=hashes) if "same audio" in line)
    assert line == "2 clips have the same audio as another, and more weight: 0, 2."
    assert not [line for line in told(recipe(), corpus) if "same audio" in line]


def test_a_class_that_the_labelled_speakers_lack_is_named():
    """One of three training speakers has labels; a has no joy."""
    corpus = spoken("demo", [(s, e) for s in "abcd" for e in MAIN.labels if (s, e) != ("a", "joy")])
    some = recipe().replace(labelled=0.1, seeds=tuple(range(8)))
    found = told(some, corpus)
    assert "r: 1 of 3 training speakers have labels of emotion (33%); the others are without these labels." in found
    lacking = {line for line in found if "no training clips of" in line}
    expected = set()
    for seed in some.seeds:
        for fold, tested in enumerate("abcd"):
            train = {u.id for u in corpus if u.speaker != tested}
            (speaker,) = {u.speaker for u in corpus if u.id in labelled_clips(corpus, train, 0.1, seed)}
            if speaker == "a" and tested != "a":
                expected.add(f"speakers, fold {fold}, seed {seed}: no training clips of joy.")
    assert lacking == expected and expected
    assert not [line for line in told(recipe(), corpus) if "no training clips" in line or "labels of" in line]


def test_shares_of_auxiliary_corpora_are_of_what_is_trained_on():
    corpus = spoken("demo", [(s, e) for s in "abcd" for e in MAIN.labels])
    other = spoken("slr45", [("x", "anger"), ("y", "joy"), (None, "joy")])
    both = recipe().replace(streams=(Stream("main"), Stream("slr45", corpus="slr45", share=3.0)))
    (line,) = (line for line in told(both, corpus, [other]) if "slr45" in line)
    assert line == (
        "r is also trained on slr45: 3 clips of 2 speakers (1 of them name no speaker), without labels of the main task, 75% of "
        "each batch."
    )
    (line,) = (line for line in told(both, corpus) if "slr45" in line)
    assert line == "r is also trained on slr45, 75% of each batch."  # `evaluate`, which does not read it
    across = Protocol("across", "cross-corpus", by="speaker", validation=0.5)
    foreign = both.replace(
        protocols=(across,), streams=(Stream("main"), Stream("slr45", corpus="slr45", teaches=True, share=3.0))
    )
    (line,) = (line for line in told(foreign, corpus, [other]) if "also trained on slr45" in line)
    assert "with the labels of the main task, 100% of each batch" in line


def test_of_a_baseline_a_setting_is_chosen_not_an_epoch():
    data = SimpleNamespace(
        corpus=spoken("demo", [(s, e) for s in "abcdef" for e in MAIN.labels]), cache=SimpleNamespace(hashes={})
    )
    network, machine = recipe(), recipe().replace(model="svm", config=svm.Config())
    for protocol, chosen in (
        (PROTOCOL, "no validation set: the settings are fixed"),
        (replace(PROTOCOL, validation=1), "the setting is chosen on 1 speaker of the training set"),
    ):
        described = protocol_facts(protocol, data, machine)["description"]
        assert described == f"leave one speaker out; {chosen}"
        assert "epoch" in protocol_facts(protocol, data, network)["description"]


def test_the_last_protocol_is_the_most_valid_one():
    random = Protocol("random", test=0.2)
    leaking = replace(PROTOCOL, name="leaking", chosen_on_test=True)
    windows = replace(random, name="windows", together=False)
    sentences = Protocol("sentences", "k-fold", by="sentence")  # of speakers on both sides
    for order in itertools.permutations((random, leaking, windows, sentences, PROTOCOL)):
        assert [p.name for p in by_validity(order)] == ["leaking", "windows", "random", "sentences", PROTOCOL.name]


def test_a_papers_figure_stands_beside_its_own_protocol_alone():
    table = predictions(0.8)
    both = pd.concat([table.assign(protocol=name) for name in ("random", "speakers")])
    facts = {"random": {"paper": True}, "speakers": {"paper": False}}
    made = score_report(both, [MAIN], title="t", paper={("emotion", "uar"): 0.9}, protocols=facts)
    figures = {r["protocol"]: {s["metric"]: s["paper"] for s in r["scores"]}["uar"] for r in made.data["results"]}
    assert figures == {"random": 0.9, "speakers": None}
    data = SimpleNamespace(corpus=spoken("demo", [("a", "joy"), ("b", "joy")]), cache=SimpleNamespace(hashes={}))
    given = [recipe().replace(paper_protocol=name) for name in ("random", PROTOCOL.name, "")]
    assert [protocol_facts(PROTOCOL, data, each)["paper"] for each in given] == [False, True, True]
    recipes = imported("aspmtl").variants(
        "p", "emodb", MAIN, (Protocol("random"), PROTOCOL), (("emotion", "uar", 0.9, "table"),)
    )
    assert {name for name, made in recipes.items() if made.paper} == {"cascade", "paper-cascade"}
    assert recipes["cascade"].paper_protocol == "random"
