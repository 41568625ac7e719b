"""Whether 95 % intervals cover 95 %, and whether equal systems are called different in 5 % of comparisons: by simulation."""

import numpy as np
import pytest

from keras_ser.evaluation.group_sums import measure, scale
from keras_ser.evaluation.intervals import Jackknife, interval, p_value, seeds_known, variance
from keras_ser.tasks import Task

TASK = Task("emotion", ("anger", "fear", "joy", "sadness"))
UAR = 1
TRUTH = 0.55  # expected UAR of every system
CLIPS = 8  # at most, a speaker and class
REPLICATES = 2000
CHUNK = 250
SPEAKERS, SEEDS = (6, 10, 24), (1, 3, 5)
POINTS = (0.0, 0.03, 0.05)  # standard deviation of the initialisations' UAR
INTERACTIONS = (0.0, 0.04)  # of a speaker's recall under one system alone


def simulated(rng, replicates: int, speakers: int, seeds: int, points: float, interaction: float, systems: int = 2):
    """Sums of systems with one expected UAR on the same clips, and each initialisation's own.

    A clip is right where a uniform draw is under the sum of the class's, the speaker's (shared by the systems, and of each), the
    initialisation's and the clip's own share.

    Returns:
        [(replicates, speakers, seeds, 3, classes)] and [(replicates, seeds)], one a system.
    """
    own = rng.normal(0, 0.08, (replicates, speakers, 1, 1, 1))
    clips = rng.normal(0, 0.1, (replicates, speakers, 1, TASK.size, CLIPS))
    # speakers have 3 to 8 clips of a class, a few have none
    number = rng.integers(3, CLIPS + 1, (replicates, speakers, 1, TASK.size, 1))
    number[rng.random(number.shape) < 0.05] = 0
    there = np.arange(CLIPS) < number
    sums, expected = [], []
    for _ in range(systems):
        classes = rng.permutation([-0.1, -0.04, 0.04, 0.1])[:, None]
        drawn = rng.normal(0, points, (replicates, 1, seeds, 1, 1))
        each = rng.normal(0, interaction, (replicates, speakers, 1, 1, 1))
        share = TRUTH + classes + own + each + drawn + clips
        right = (rng.random(share.shape) < share) & there
        hits = right.sum(axis=-1)
        true = np.broadcast_to(there.sum(axis=-1), hits.shape)
        sums.append(np.stack([hits, true, true], axis=-2).astype(np.float64))
        expected.append(TRUTH + drawn[:, 0, :, 0, 0])
    return sums, expected


def left_out(sums: np.ndarray, deterministic: bool = False) -> Jackknife:
    total = sums.sum(axis=1)
    without = measure(total[:, None] - sums, TASK)[..., UAR]
    return Jackknife(measure(total, TASK)[..., UAR], without, deterministic)


def rates(speakers: int, seeds: int, points: float, interaction: float, deterministic: bool = False):
    """The share of equal systems that are called different (None: no p), and of intervals that hold the expected score."""
    rng = np.random.default_rng([speakers, seeds, int(1000 * points), int(1000 * interaction)])
    called, covered = [], []
    for _ in range(REPLICATES // CHUNK):
        sums, expected = simulated(rng, CHUNK, speakers, seeds, points, interaction)
        systems = [left_out(s, deterministic) for s in sums]
        difference = systems[0].whole.mean(axis=-1) - systems[1].whole.mean(axis=-1)
        called.append(p_value(difference, *variance(*systems)) < 0.05)
        first = systems[0]
        low, high = interval(first.whole.mean(axis=-1), *variance(first), scale("uar"))
        # without a spread over seeds, of this network alone
        truth = TRUTH if seeds_known(first) else expected[0].mean(axis=-1)
        covered.append((low <= truth) & (truth <= high))
    known = seeds_known(*systems)
    return float(np.mean(called)) if known else None, float(np.mean(covered))


@pytest.mark.slow
def test_equal_systems_differ_in_at_most_7_percent_and_intervals_cover_92_to_98_percent():
    cells = [(g, s, p, x, False) for g in SPEAKERS for s in SEEDS for p in POINTS for x in INTERACTIONS]
    cells += [(g, 1, 0.0, x, True) for g in SPEAKERS for x in INTERACTIONS]
    found = {cell: rates(*cell) for cell in cells}
    table = ["speakers, seeds, points, interaction, deterministic: called different, covered"]
    table += [f"{cell}: {called}, {covered}" for cell, (called, covered) in found.items()]
    bad = [cell for cell, (called, covered) in found.items() if (called or 0) > 0.07 or not 0.92 <= covered <= 0.98]
    assert not bad, "\n".join([*map(str, bad), *table])
    assert all((called is None) == (seeds == 1 and not known) for (_, seeds, *_, known), (called, _) in found.items())
