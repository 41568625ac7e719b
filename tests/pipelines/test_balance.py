import statistics
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.pipelines.balance import RULES, class_weights, cut_segments, rules, segment_counts, segment_starts

FRAMES, HOP, RARE_HOP = 96, 96, 24


def starts_of(valid, rule, frames, hop, rare_hop):
    """The paper's balance, in a loop."""
    if rule == "frequent":
        return sorted({0, max(valid - frames, 0)})
    starts, step = [0], rare_hop if rule == "rare" else hop
    while starts[-1] + step + frames <= valid:
        starts.append(starts[-1] + step)
    return starts


@pytest.mark.parametrize("sizes", [(96, 96, 24), (7, 5, 2), (10, 17, 10), (1, 1, 1)])
def test_segments_of_a_clip(rng, sizes):
    frames = sizes[0]
    lengths = [1, frames - 1 or 1, frames, frames + 1, 2 * frames - 1, 2 * frames, *rng.integers(1, 8 * frames, 12)]
    for rule in RULES:
        total = 0
        for valid in map(int, lengths):
            starts = np.asarray(segment_starts(tf.constant(valid), tf.constant(RULES.index(rule)), *sizes))
            assert starts.dtype == np.int32
            assert starts.tolist() == starts_of(valid, rule, *sizes)
            total += len(starts)
        table = np.full(len(lengths), RULES.index(rule))
        assert segment_counts(np.array(lengths), table, *sizes).sum() == total


def test_clip_of_400_frames_in_the_paper():
    """400 frames: a frequent class gives its beginning and end, a rare one 13 segments, the others four."""
    lengths = {"frequent": [0, 304], "usual": [0, 96, 192, 288], "rare": list(range(0, 305, 24))}
    for rule, expected in lengths.items():
        assert segment_starts(400, RULES.index(rule), FRAMES, HOP, RARE_HOP).numpy().tolist() == expected


def test_rules_compare_with_the_median(rng):
    for _ in range(50):
        counts = {f"c{i}": int(n) for i, n in enumerate(rng.integers(0, 40, rng.integers(1, 9)))}
        median = statistics.median([n for n in counts.values() if n] or [0])
        found = rules(counts)
        assert list(found) == list(counts)
        for label, count in counts.items():
            expected = "frequent" if count > 1.25 * median else "rare" if count < 0.75 * median else "usual"
            assert found[label] == expected


def test_the_bounds_themselves_are_usual():
    assert rules({"a": 100, "b": 125, "c": 75}) == {"a": "usual", "b": "usual", "c": "usual"}
    assert rules({"a": 100, "b": 126, "c": 74}) == {"a": "usual", "b": "frequent", "c": "rare"}
    assert rules({"a": 5}) == {"a": "usual"} and rules({"a": 0, "b": 0}) == {"a": "usual", "b": "usual"}
    assert rules({"a": 0, "b": 8, "c": 10}) == {"a": "rare", "b": "usual", "c": "usual"}  # nobody's clips: no vote


@pytest.mark.parametrize("length", [3, 7, 20])
def test_cut_segments(rng, length):
    x = {name: rng.normal(size=(length, bins)).astype("float32") for name, bins in (("a", 4), ("b", 1))}
    starts, frames = [0, 2, length - 1], 7
    cut = cut_segments({name: tf.constant(value) for name, value in x.items()}, tf.constant(starts), frames)
    assert set(cut) == {"a", "b", "mask"}
    for name, value in x.items():
        assert cut[name].shape == (3, frames, value.shape[1])
        for k, start in enumerate(starts):
            for i in range(frames):
                inside = start + i < length
                assert bool(cut["mask"][k, i]) == inside
                np.testing.assert_array_equal(cut[name][k, i], value[start + i] if inside else 0)


def test_class_weights(rng):
    """n / (k n_c) by a loop; the mean over the labelled examples is 1, a class without one weighs 0."""
    values, counts = rng.choice(4, 200, p=[0.6, 0.3, 0.1, 0.0]), rng.integers(0, 5, 200)
    found = class_weights(values, counts, 5)
    examples = [v for v, n in zip(values, counts, strict=True) for _ in range(n)]
    seen = Counter(examples)
    expected = [len(examples) / (len(seen) * seen[c]) if c in seen else 0 for c in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.mean(found[examples]) == pytest.approx(1)
    assert not class_weights(values, np.zeros(200), 4).any()
