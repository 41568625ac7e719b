import numpy as np
import pytest

from keras_ser.features import detect_endpoints, short_time_energy, zero_crossing_rate
from tests.features.clips import speech


def loop(energy, crossings, high=0.5, low=0.25, limit=25, hangover=5, unvoiced=0.25):
    """Frame by frame, one clip without padding."""
    n = len(energy)
    peak, quiet = energy.max(), np.sort(energy)[int(np.float32(0.1) * np.float32(n - 1))]
    floor = max(quiet, peak - np.float32(60))
    core, candidate = energy > floor + high * (peak - floor), energy > floor + low * (peak - floor)
    kept = core.copy()
    for order in (range(1, n), range(n - 2, -1, -1)):
        step = 1 if order.step == 1 else -1
        for t in order:
            kept[t] |= candidate[t] and kept[t - step]
    noise = crossings[energy <= quiet]
    rough = crossings > max(noise.mean() + 2 * noise.std(), unvoiced)

    def spread(kept, passable, limit):
        found = kept.copy()
        for t in np.flatnonzero(kept):
            for step in (-1, 1):
                for distance in range(1, limit + 1):
                    s = t + step * distance
                    if not 0 <= s < n or not (passable[s] or kept[s]):
                        break
                    found[s] = True
        return found

    kept = spread(spread(kept, rough, limit), np.ones(n, bool), hangover)
    return kept if kept.any() and peak - floor >= 6 else np.ones(n, bool)


def measured(clip):
    return (np.asarray(f(clip[None]))[0] for f in (short_time_energy, zero_crossing_rate))


def padded(rows, rng):
    frames = max(len(e) for e, _ in rows) + 7
    # Padding louder and rougher than any clip: it must not count.
    energy, crossings = rng.uniform(0, 20, (len(rows), frames)), rng.uniform(0.6, 1, (len(rows), frames))
    for row, (e, z) in enumerate(rows):
        energy[row, : len(e)], crossings[row, : len(e)] = e, z
    mask = np.arange(frames) < np.array([len(e) for e, _ in rows])[:, None]
    return energy.astype(np.float32), crossings.astype(np.float32), mask


@pytest.mark.parametrize(
    ("high", "low", "limit", "hangover"), [(0.5, 0.25, 25, 5), (0.6, 0.3, 3, 0), (0.5, 0.25, 0, 2)]
)
def test_equals_the_loop_on_synthetic_levels(rng, high, low, limit, hangover):
    rows = []
    for n in (1, 2, 9, 40, 150, 300, 300, 300):
        walk = np.cumsum(rng.standard_normal(n)) * 4 - 60
        rows.append((walk.astype(np.float32), (rng.uniform(0, 0.45, n) + 0.1 * (rng.random(n) < 0.3)).astype("f4")))
    energy, crossings, mask = padded(rows, rng)
    ours = np.asarray(detect_endpoints(energy, crossings, mask, high, low, limit, hangover))
    dropped = 0
    for row, (e, z) in enumerate(rows):
        expected = loop(e, z, high, low, limit, hangover)
        np.testing.assert_array_equal(ours[row, : len(e)], expected)
        assert not ours[row, len(e) :].any()
        dropped += (~expected).sum()
    assert dropped > 100


def test_equals_the_loop_on_real_speech(shared_data, rng):
    clips = speech(shared_data, "emodb", 8) + speech(shared_data, "ravdess", 8)
    rows = [tuple(measured(clip)) for clip in clips]
    ours = np.asarray(detect_endpoints(*padded(rows, rng)))
    for row, (e, z) in enumerate(rows):
        np.testing.assert_array_equal(ours[row, : len(e)], loop(e, z))


@pytest.mark.parametrize("level", [-100.0, -30.0])
def test_keeps_everything_where_nothing_tells_speech_from_pause(level, rng):
    energy = (level + rng.uniform(0, 5, (1, 50))).astype(np.float32)
    mask = np.arange(50)[None] < 41
    kept = detect_endpoints(energy, np.zeros((1, 50), np.float32), mask)
    np.testing.assert_array_equal(kept, mask)


def test_a_range_of_six_db_tells_speech_from_pause():
    """One of 5.9 dB does not."""
    energy = np.where(np.arange(100) < 50, -40.0, [[-34.1], [-34.0]]).astype("float32")
    kept = np.asarray(detect_endpoints(energy, np.zeros((2, 100), "float32"), np.ones((2, 100), bool)))
    assert kept[0].all() and 50 <= kept[1].sum() < 60
