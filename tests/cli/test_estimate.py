"""What is said before a training: the classes, the runs, and how long they take."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_ser.cli import estimate
from keras_ser.corpora import Corpus, Utterance
from keras_ser.experiment.planning import Job
from keras_ser.models import aspmtl
from keras_ser.recipe import Sampling
from keras_ser.splits import Split
from tests.training import tiny

LABELS = ("anger", "neutral", "rage", "sadness")


@pytest.fixture
def data():
    """Four clips of 1, 2, 3 and 4 s at 100 Hz, of two speakers."""
    clips = [Utterance(f"u{i}", f"u{i}.wav", speaker="ab"[i % 2], labels={"emotion": LABELS[i]}) for i in range(4)]
    corpus = Corpus("manifest", "/", tuple(clips), {"emotion": LABELS})
    cache = SimpleNamespace(ids=tuple(u.id for u in clips), lengths=np.array([100, 200, 300, 400]), sample_rate=100)
    return SimpleNamespace(readable=corpus, cache=cache)


def test_seconds_of_a_run(data, monkeypatch):
    """Crops count as long as they are, whole segments as long as their clips; on two cores twice as fast after the start."""
    monkeypatch.setattr(estimate, "cores", lambda: 2)
    recipe = tiny.SINGLE.change({"frontend.hop": 10, "frontend.sample_rate": 100, "frontend.window": 10})
    job = Job("single", recipe.protocols[0], Split("speakers", 0, ("u0", "u2", "u3"), (), ("u1",)), 0)
    speed = 2 * aspmtl.speed(recipe.config)
    whole = estimate.expected_seconds(recipe.replace(epochs=10), data, job)
    assert whole == pytest.approx(estimate.START + 10 * (1 + 3 + 4) / speed)
    crop = recipe.replace(sampling=Sampling("crop", frames=20), epochs=10)
    assert estimate.expected_seconds(crop, data, job) == pytest.approx(estimate.START + 10 * (1 + 2 + 2) / speed)


def test_classes_and_runs_are_named(data):
    recipe = tiny.SINGLE.replace(
        tasks=(tiny.Task("emotion", ("anger", "neutral", "sadness"), merge={"rage": "anger"}),)
    )
    job = Job("single", recipe.protocols[0], Split("speakers", 0, ("u0", "u2"), (), ("u1",)), 0)
    first, second = estimate.announcement({"net": recipe}, data, [("net", job), ("net", job)])
    assert first == "emotion: anger 2, neutral 1, sadness 1; 4 clips of 2 speakers"
    assert second.startswith("to train: 2 of net; about 40 s on ") and "2 epochs at most" in second
    assert estimate.announcement({"net": recipe}, data, []) == [first]
