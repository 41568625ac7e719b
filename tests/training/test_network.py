"""What a compiled network logs of its outputs, and what their accuracy has to be held against."""

import numpy as np
import pytest

from keras_ser.models.aspmtl import Config
from keras_ser.models.paper import build_network
from keras_ser.pipelines.sources import Source
from keras_ser.recipe import Recipe, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.training.network import priors

STYLE = Task("style", ("read", "acted"))
NOISE = Task("noise", ("clean", "white", "pink"))


def prior(adversary: str, auxiliary: Task, *sources: Source) -> float:
    streams = tuple(Stream(source.name, share=source.share) for source in sources)
    tasks, protocols = (Task("emotion", ("anger", "joy")), auxiliary), (Protocol("p"),)
    recipe = Recipe("r", "demo", tasks, protocols, config=Config(units=2, adversary=adversary), streams=streams)
    (found,) = priors(build_network(recipe, {"energy": (None, 1)}), recipe, sources).values()
    return found


def source(number: int = 0, share: float = 1.0, values=(0,), weights=(1,), **more) -> Source:
    labels = {"style": (np.array(values), np.array(weights, "float32"))}
    return Source(f"s{number}", number, None, np.arange(len(values)), labels, share, **more)


def test_prior_of_labels_is_over_the_labelled_training_examples():
    """Two read, three acted; the others have no label."""
    given = source(values=(0, 1, 1, 0, 1, 0, 0, 0), weights=(1, 1, 1, 0.5, 2, 0, 0, 0))
    assert prior("label", STYLE, given) == pytest.approx(3 / 5)


def test_prior_of_streams_is_their_share():
    assert prior("source", STYLE, source(0, 0.75), source(1, 0.5)) == pytest.approx(0.6)


@pytest.mark.parametrize(("shares", "expected"), [((1.0, 2.0), 1 / 3), ((0.5, 0.5), 1 / 2)])
def test_prior_of_noises_is_that_of_the_streams(shares, expected):
    """A stream that mixes in one of two noises, beside a clean one."""
    clean = source(0, shares[0], mixed={"noise": (0,)})
    noisy = source(1, shares[1], mixed={"noise": (1, 2)})
    assert prior("label", NOISE, clean, noisy) == pytest.approx(expected)
