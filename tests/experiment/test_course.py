"""Curves and embeddings of several systems: whose accuracy is drawn, and what cannot be drawn is said."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_ser.experiment import course
from keras_ser.experiment.course import course_report
from keras_ser.experiment.systems import System
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol
from tests.training import tiny

HONEST = Protocol("speakers", "leave-one-out", by="speaker", validation=1)
LEAKY = Protocol("speakers-leaky", "leave-one-out", by="speaker", validation=0, chosen_on_test=True)
ORDER = ("ser", "mf", "mf-mtl-cr")


@pytest.fixture
def report(monkeypatch, rng):
    """A function of protocols, systems, and whether runs have a validation set, that makes the report."""
    people = [SimpleNamespace(id=f"{s}/{k}", speaker=s, labels={"emotion": "anger"}) for s in "ab" for k in range(5)]
    data = SimpleNamespace(corpus=type("Corpus", (list,), {"name": "mine", "utterances": people})(people))

    def load(folder, validated):
        fold, seed = int(folder.name[5:7]), int(folder.name[-1])
        value = 0.3 + 0.1 * fold + 0.02 * (seed - 1)
        row = {"epoch": 1, "emotion_accuracy": 0.9} | ({"val_emotion_accuracy": value} if validated else {})
        split = SimpleNamespace(fold=fold, test=[u.id for u in people if u.speaker == "ab"[fold]])
        return SimpleNamespace(history=[row], split=split)

    def make(protocols, names, validated=True, places=None):
        """`places`: system -> (fold, seed) of its runs."""
        every = [(fold, seed) for fold in (0, 1) for seed in (1, 3)]
        rows = {n: [(p.name, *place) for p in protocols for place in (places or {}).get(n, every)] for n in names}
        tables = {name: pd.DataFrame(found, columns=["protocol", "fold", "seed"]) for name, found in rows.items()}
        recipe = Recipe(name="x", corpus="demo", tasks=(tiny.EMOTION,), protocols=protocols, config=tiny.CONV)
        monkeypatch.setattr(course.Run, "load", lambda folder: load(folder, validated))
        vectors = range(5), rng.normal(size=(5, 3))
        monkeypatch.setattr(course, "embeddings", lambda run, data: vectors)
        monkeypatch.setattr(course, "truths", lambda task, clips, corpus: ["anger"] * len(clips))
        systems = {name: System(recipe, Path("experiment"), tables[name]) for name in names}
        return course_report("title", systems, data, ORDER)

    return make


def titles(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_visible()]


def test_panels_say_whose_accuracy_is_drawn(report):
    made = report((HONEST,), ORDER)
    curves, maps = made.figures
    figure = curves.draw()
    assert titles(figure) == [f"validation set of the run\nthat tests {s} (fold {k})" for k, s in enumerate("ab")]
    drawn = [axes.get_lines()[0].get_ydata()[0] for axes in figure.axes]
    np.testing.assert_allclose(drawn, [30, 40])
    assert curves.caption == "Validation accuracy by epoch, speakers, seed 1" and not made.notes
    assert titles(maps.draw()) == ["ser", "mf-mtl-cr"]


def test_leaking_curves_are_drawn_and_marked(report):
    made = report((LEAKY, HONEST), ORDER)
    curves, maps = made.figures
    assert titles(curves.draw()) == [f"LEAKING: validated on\nthe test set, {s} (fold {k})" for k, s in enumerate("ab")]
    assert "speakers-leaky, seed 1 (LEAKING" in made.to_markdown()
    assert "speakers, fold 0" in maps.caption, "embeddings are those of the honest protocol"


def test_training_accuracy_is_not_drawn_for_a_missing_validation_side(report):
    made = report((HONEST,), ORDER, validated=False)
    assert [picture.file for picture in made.figures] == ["course-tsne.png"]
    assert "- No accuracy by epoch: the runs of speakers have no validation set." in made.to_markdown()


def test_systems_that_finished_other_seeds_and_folds_are_drawn_where_they_can_be(report):
    """A failed run leaves a system its other seeds: the comparison goes on, and no training ends in a traceback."""
    names = ("ser", "mf-mtl-cr")
    made = report((HONEST,), names, places={"ser": [(0, 3), (1, 3)], "mf-mtl-cr": [(0, 1), (1, 1), (1, 3)]})
    curves, maps = made.figures
    assert curves.caption.endswith("speakers, seeds ser 3, mf-mtl-cr 1")
    assert [len(axes.get_lines()) for axes in curves.draw().axes] == [2, 2]
    assert maps.caption.startswith("t-SNE of the test clips of speakers, fold 1, seed 3")
    made = report((HONEST,), names, places={"ser": [(0, 3)], "mf-mtl-cr": [(0, 1)]})
    assert made.notes == ["No t-SNE: ser and mf-mtl-cr have finished no fold of speakers with one seed."]


@pytest.mark.parametrize(
    ("trained", "shown"), [(("ser",), ["ser"]), (("ser", "mf", "w2e"), ["ser", "mf"]), (("bilstm",), None)]
)
def test_embeddings_are_those_of_the_first_and_the_last_of_the_trained_systems(report, trained, shown):
    made = report((HONEST,), trained)
    if shown:
        assert titles(made.figures[1].draw()) == shown and not made.notes
    else:
        assert len(made.figures) == 1
        assert made.notes == ["No t-SNE: it compares two of ser, mf, mf-mtl-cr, and none of them was trained."]
