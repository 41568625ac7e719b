"""What denoising leaves, against plain loops: means, paired differences and verdicts."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from keras_ser.evaluation.denoising import Denoising

METHODS = {"none": "nothing", "a": "one", "b": "another", "ours": "ours"}


def make(rng, groups=6, clips=4, noises=(("white", True), ("volvo", False)), snrs=(-5.0, 10.0)) -> pd.DataFrame:
    rows = []
    for noise, seen in noises:
        for snr in snrs:
            for g in range(groups):
                for c in range(clips + g):
                    base = rng.normal(snr, 2)
                    for m, method in enumerate(METHODS):
                        row = {"noise": noise, "snr_in": snr, "id": f"{g}-{c}", "group": f"s{g}", "method": method}
                        row |= {"fold": 0, "seed": 0, "seen": seen, "snr_out": base + m * rng.uniform(0.5, 1)}
                        rows.append(row | {"si_sdr": base - m + rng.normal(0, 0.1), "stoi": rng.uniform(0, 1)})
    return pd.DataFrame(rows)


@pytest.fixture
def made(rng):
    return Denoising(make(rng))


def values(table, noise, snr, method, measure):
    part = table[(table.noise == noise) & (table.snr_in == snr) & (table.method == method)]
    return part.set_index("id")[measure].sort_index()


def test_means_and_intervals_are_those_of_a_loop(made):
    found = made.mean("si_sdr", "white", -5.0, "a")
    plain = values(made.table, "white", -5.0, "a", "si_sdr")
    assert found.value == pytest.approx(plain.mean()) and found.clips == len(plain)
    group = plain.index.str[0].astype(int)
    without = [plain[group != g].mean() for g in range(6)]
    variance = 5 / 6 * sum((x - np.mean(without)) ** 2 for x in without)
    half = stats.t.ppf(0.975, 5) * variance**0.5
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_intervals_are_over_the_seeds_of_model_1(rng):
    """The network's luck widens the interval of its method, and of its difference from one without a network."""
    one = make(rng)
    several = []
    for seed, luck in enumerate((-1.0, 0.0, 1.0)):
        ours = one["method"] == "ours"
        several.append(one.assign(seed=seed, snr_out=one["snr_out"] + luck * ours))
    made = Denoising(pd.concat(several))
    alone = Denoising(one)
    for found, single in (
        (made.mean("snr_out", "white", 10.0, "ours"), alone.mean("snr_out", "white", 10.0, "ours")),
        (
            made.difference("snr_out", "white", 10.0, "ours", "a"),
            alone.difference("snr_out", "white", 10.0, "ours", "a"),
        ),
    ):
        assert found.value == pytest.approx(single.value) and found.clips == single.clips
        assert found.high - found.low > 1.2 * (single.high - single.low)
    same, single = (m.mean("snr_out", "white", 10.0, "a") for m in (made, alone))
    assert (same.low, same.high) == pytest.approx((single.low, single.high))


def test_a_clip_that_is_undefined_for_one_seed_leaves_the_others_their_spread(rng):
    """The interval is that of the seeds over the other clips, not that of their mean as of one network."""
    one = make(rng)
    table = pd.concat([one.assign(seed=seed, stoi=one["stoi"] + seed) for seed in range(3)], ignore_index=True)
    where = (table.noise == "white") & (table.snr_in == 10) & (table.method == "ours")
    lost = table[where & (table.seed == 1)].index[0]
    some = table.copy()
    some.loc[lost, "stoi"] = np.nan
    without = table[table["id"] != table.loc[lost, "id"]]
    found, expected = (Denoising(t).mean("stoi", "white", 10.0, "ours") for t in (some, without))
    assert (found.value, found.low, found.high, found.clips) == pytest.approx(
        (expected.value, expected.low, expected.high, expected.clips)
    )
    assert found.high - found.low > 2


def test_differences_are_paired(made):
    """Clip by clip, so what the clips share does not widen the interval."""
    found = made.difference("snr_out", "volvo", 10.0, "ours", "none")
    gap = values(made.table, "volvo", 10.0, "ours", "snr_out") - values(made.table, "volvo", 10.0, "none", "snr_out")
    assert found.value == pytest.approx(gap.mean())
    assert 1.5 < found.low < found.value < found.high < 3
    own = made.mean("snr_out", "volvo", 10.0, "ours")
    assert own.high - own.low > 2 * (found.high - found.low)


def test_wins_count_the_cells_of_seen_noises(made):
    """Of two noises at two SNRs, one noise was trained on."""
    assert made.wins("snr_out", "ours", ("a", "b")) == (2, 2, 2)
    assert made.wins("si_sdr", "ours", ("a", "b")) == (0, 0, 2)
    assert made.wins("si_sdr", "none", ("a", "b")) == (2, 2, 2)


def test_an_estimate_that_holds_nothing_counts_as_minus_60(made):
    table = made.table.copy()
    where = (table.noise == "white") & (table.snr_in == 10) & (table.method == "ours")
    table.loc[where, "si_sdr"] = -np.inf
    assert Denoising(table).mean("si_sdr", "white", 10.0, "ours").value == -60


def test_a_measure_that_is_not_defined_for_a_clip_leaves_it_out(made):
    table = made.table.copy()
    first = table.index[(table.noise == "white") & (table.snr_in == 10) & (table.method == "ours")][0]
    table.loc[first, "stoi"] = np.nan
    report = Denoising(table)
    assert report.mean("stoi", "white", 10.0, "ours").clips == made.mean("stoi", "white", 10.0, "ours").clips - 1
    assert (
        report.difference("stoi", "white", 10.0, "ours", "a").clips == report.mean("stoi", "white", 10.0, "ours").clips
    )
