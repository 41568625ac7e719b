"""One tiny corpus and one tiny run for the whole package, made once."""

from dataclasses import dataclass, field

import pytest

from tests.training import tiny


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return tiny.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def data(corpus, tmp_path_factory):
    from keras_ser.training import Data

    return Data.load(tiny.EVERYTHING, corpus, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def split(corpus):
    """The second fold: its test and training sets both hold clips without a label."""
    return tiny.SPEAKERS.splits(corpus)[1]


@dataclass
class Trained:
    """A run, and what was seen while it was made: clips that were read, calls of `on_epoch`, and graphs traced until each."""

    run: object
    read: set[int] = field(default_factory=set)
    calls: list = field(default_factory=list)
    traced: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


@pytest.fixture(scope="session")
def trained(data, split, tmp_path_factory) -> Trained:
    from keras_ser.pipelines.records import RecordCache
    from keras_ser.training import fit
    from tests.training import graphs

    seen = Trained(None)
    dataset = RecordCache.dataset

    def spy(self, indices=None, **options):
        seen.read |= set(range(len(data.corpus)) if indices is None else map(int, indices))
        return dataset(self, indices, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordCache, "dataset", spy)
        out = tmp_path_factory.mktemp("runs") / "trained"
        seen.traced = graphs.watch(patch)

        def on_epoch(stage, epoch, epochs, logs):
            seen.calls.append((stage, epoch, epochs, dict(logs)))
            seen.counts.append(len(seen.traced))

        seen.run = fit(tiny.TRAINED, data, split, out, seed=3, on_epoch=on_epoch)
    return seen
