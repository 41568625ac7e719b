"""Pieces of the training commands: progress on a terminal, and which protocols are asked for."""

import sys

import pytest

from keras_ser.cli.training import Progress, _protocols
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

APART = Protocol("unseen", "leave-one-out")
PAPER = Protocol("paper", "random", test=0.2)
OTHER = Protocol("other", "random", test=0.3)


def recipe(*protocols: Protocol) -> Recipe:
    return Recipe("x", "demo", (Task("emotion", ("a", "b")),), protocols)


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        ((PAPER, OTHER, APART), "paper", (PAPER,)),
        ((PAPER, OTHER, APART), "disjoint", (APART,)),
        ((PAPER, OTHER, APART), "both", (PAPER, OTHER, APART)),
        ((PAPER, OTHER, APART), "other", (OTHER,)),
        # nothing says who speaks: the second is the stricter one
        ((PAPER, OTHER), "disjoint", (OTHER,)),
    ],
)
def test_protocols(there, asked, expected):
    assert _protocols(recipe(*there), asked) == expected


@pytest.mark.parametrize(
    ("there", "asked", "known"),
    [((PAPER,), "disjoint", "paper, both"), ((PAPER, APART), "official", "paper, disjoint, both, unseen")],
)
def test_a_protocol_that_there_is_not(there, asked, known):
    with pytest.raises(ValueError, match=f"--protocol must be one of {known}. Received: '{asked}'"):
        _protocols(recipe(*there), asked)


def test_bars_of_epochs_settings_and_clips(monkeypatch):
    """A baseline has no loss, and its settings are no epochs."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(quiet=False) as progress:
        progress.epoch("x", 2, 7, {"loss": 1.25, "val_emotion_uar": 0.5, "val_gender_uar": 0.9})
        progress.epoch("eGeMAPSv02", 30, 100, {})
        progress.epoch("baseline", 1, 4, {"C": 0.1, "val_emotion_uar": 0.25})
        shown = {task.description: (task.completed, task.total) for task in progress.bar.tasks}
    assert shown == {
        "x: loss 1.250 emotion_uar 0.500": (2, 7),
        "eGeMAPSv02": (30, 100),
        "baseline: emotion_uar 0.250": (1, 4),
    }
