import pytest

from tests.pipelines.numbered_clips import TRAIN, Clips, source


@pytest.fixture
def cache(rng):
    return Clips(rng.integers(1, 60, 40))


@pytest.fixture
def noisy(cache, rng):
    bank = tuple(rng.normal(size=n).astype("float32") for n in (501, 37, 2000))
    return source(cache, TRAIN, 1, bank=bank, mixed={"noise": (2, 0, 5)}, snr=(-10.0, -5.0, 5.0, 10.0))
