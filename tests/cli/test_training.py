"""Which of a recipe's protocols are asked for."""

import pytest

from keras_ser.cli.training import _protocols
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
