import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.pipelines.augmentation import Augment
from keras_ser.pipelines.balance import RULES
from keras_ser.pipelines.streams import SOURCE, TrainingData
from keras_ser.recipe import Sampling
from keras_ser.settings import STRETCH
from tests.pipelines.numbered_clips import (
    FRAME,
    NAMES,
    TRAIN,
    Clips,
    batches,
    data,
    epochs_of,
    extract,
    same,
    source,
    whose,
)
from tests.pipelines.test_balance import starts_of


def main_examples(found):
    """The examples of the first stream, whatever their order: what they hold, with target and weight."""
    rows = []
    for x, y, w in found:
        for i in np.flatnonzero(y[SOURCE] == y[SOURCE].min()):
            rows.append((x["number"][i][x["mask"][i]].tobytes(), int(y["emotion"][i]), float(w["emotion"][i])))
    return sorted(rows)


def stretch_of(x, cache, i):
    """The sample of clip i at which an example begins, or None: it is no stretch of that clip."""
    wave, energy = cache.waves[i], x["energy"][:, 0]
    every = range(len(wave) - len(energy) * FRAME + 1)
    for s in every:
        own = (wave[s : s + len(energy) * FRAME].reshape(-1, FRAME) ** 2).sum(axis=1)
        if np.abs(own - energy).max() < 1e-4:
            return s
    return None


def test_stretches_are_drawn_for_each_clip_and_epoch():
    """Whole where a clip is short, inside it where it is long, each clip once, with its own label, in another order."""
    lengths = [5, 12, 13, 40, 7, 90, 12, 33]
    cache = Clips(lengths)
    labels = {"emotion": (np.arange(8, dtype="int32") % 3, np.arange(1, 9, dtype="float32"))}  # a weight is its clip
    stream = source(cache, range(8), labels=labels)
    training = data([stream], Sampling("whole"), batch_size=3, samples=12 * FRAME, measure=False)
    assert training.steps == 3 and cache.read.sum() == 0 and not training.statistics["number"].frames
    orders, places, epochs = [], [], epochs_of(training, 4)
    for epoch in epochs:
        found = {}
        for x, y, w in epoch:
            for row in range(len(w["emotion"])):
                i = int(w["emotion"][row]) - 1
                assert y["emotion"][row] == i % 3
                valid = x["mask"][row]
                assert valid.sum() == min(12, lengths[i])
                found[i] = stretch_of({"energy": x["energy"][row][valid]}, cache, i)
        assert sorted(found) == list(range(8)) and None not in found.values()
        assert all(found[i] == 0 for i in (0, 1, 4, 6)), "short clips stay whole"
        orders.append(list(found))
        places.append(found[5])
    assert len({tuple(order) for order in orders}) == 4 and len(set(places)) > 2
    assert any(s % FRAME for s in places), "a stretch begins at any sample"
    assert same(batches(training, 2), epochs[2])


def test_a_stretch_does_not_depend_on_the_clips_beside_it():
    cache = Clips([40, 50, 60, 70, 80])

    def of(indices, i):
        training = data([source(cache, indices)], Sampling("whole"), 8, samples=11 * FRAME, measure=False, seed=5)
        rows = [{"energy": row} for x, _, _ in batches(training, 3) for row in x["energy"]]
        return [s for s in (stretch_of(row, cache, i) for row in rows) if s is not None]

    assert of(range(5), 3) == of([3], 3) and len(of([3], 3)) == 1


def test_segments_of_one_stretch_do_not_stay_together():
    cache = Clips([60] * 30)
    stream = source(
        cache, range(30), labels={"emotion": (np.arange(30, dtype="int32") % 3, np.arange(1, 31, dtype="float32"))}
    )
    sampling = Sampling("segments", frames=6, hop=6, balance=False)
    training = data([stream], sampling, 10, samples=48 * FRAME, measure=False)
    for _, _, w in batches(training):
        assert len(set(w["emotion"])) > 5


# what an epoch holds


@pytest.mark.parametrize("kind", ["whole", "crop"])
def test_each_clip_once_an_epoch_whole_or_cropped(cache, kind):
    """All features of a clip are cut at the same place; clips that are shorter than a crop stay whole."""
    training = data([source(cache, TRAIN)], Sampling(kind, frames=20))
    assert training.steps == 4  # 30 clips in batches of 8
    firsts = set()
    for epoch in epochs_of(training, 3 if kind == "crop" else 1):
        assert [len(x["mask"]) for x, _, _ in epoch] == [8, 8, 8, 6]
        assert sorted(i for x, _, _ in epoch for i, _ in whose(x)) == TRAIN
        for x, _, _ in epoch:
            for row, (i, first) in enumerate(whose(x)):
                whole, n = cache.features(i), int(x["mask"][row].sum())
                assert x["mask"][row, :n].all()
                assert n == min(20 if kind == "crop" else 60, len(whole["number"]))
                for name, value in whole.items():
                    np.testing.assert_allclose(x[name][row, :n], value[first : first + n], rtol=1e-6)
                    assert not x[name][row, n:].any()
                firsts.add((i, first))
    assert len(firsts) > 45 if kind == "crop" else firsts == {(i, 0) for i in TRAIN}


def test_training_data_are_forgotten_with_their_data_sets(cache):
    """Features fill the memory, and TensorFlow keeps the functions that its graphs call."""
    training = data([source(cache, TRAIN)], Sampling("whole"))
    found = training.epochs(0, 2)
    batches, kept = found.as_numpy_iterator(), weakref.ref(training)
    next(batches)
    del training
    assert kept() is not None and len(list(batches)) == 7  # the data set needs them
    del batches, found
    gc.collect()
    assert kept() is None


def test_weighted_classes_weigh_the_same_however_many_segments_they_have(cache):
    """Also where the balance has already given each class another number of segments."""
    lengths = [len(wave) for wave in cache.waves]
    values = (np.argsort(np.argsort(lengths)) // 15).astype("int32")  # the longest clips are of class 2
    labels = {"emotion": (values, np.array([i % 5 > 0 for i in range(40)], "float32"))}
    rules = np.array([RULES.index("rare" if value else "frequent") for value in values], "int32")
    sampling = Sampling("segments", frames=6, hop=6, rare_hop=3)
    training = data([source(cache, TRAIN, labels=labels, rules=rules)], sampling, 4096, weighted="emotion")
    ((x, y, w),) = batches(training)
    counts, sums = (np.bincount(y["emotion"], v, minlength=3) for v in (w["emotion"] > 0, w["emotion"]))
    assert counts.max() > 2 * counts.min() > 0
    np.testing.assert_allclose(sums, counts.sum() / 3, rtol=1e-5)
    assert not w["emotion"][[i % 5 == 0 for i, _ in whose(x)]].any()
    clips = np.bincount([values[i] for i in TRAIN if i % 5], minlength=3)
    np.testing.assert_array_equal(training.examples[0].per_class(*labels["emotion"], 3), [clips, counts])


@pytest.mark.parametrize("balance, size", [(True, 8), pytest.param(False, 7, marks=pytest.mark.slow)])
def test_segments_are_those_of_the_balance(cache, balance, size):
    table = np.random.default_rng(1).integers(0, 3, 40).astype("int32")
    training = data([source(cache, TRAIN, rules=table)], Sampling("segments", 12, 9, balance=balance, rare_hop=4), size)
    expected = []
    for i in TRAIN:
        rule = RULES[table[i]] if balance else "usual"
        expected += [(i, start) for start in starts_of(len(cache.waves[i]) // FRAME, rule, 12, 9, 4)]
    found = []
    assert training.steps == -(-len(expected) // size)
    for x, _, _ in epochs_of(training, 1)[0]:
        assert x["mask"].shape[1] == 12
        for row, (i, first) in enumerate(whose(x)):
            found.append((i, first))
            value = cache.features(i)["energy"][first : first + 12]
            np.testing.assert_allclose(x["energy"][row, : len(value)], value, rtol=1e-6)
            assert x["mask"][row].sum() == len(value) and not x["energy"][row, len(value) :].any()
    assert sorted(found) == sorted(expected)


# what is drawn


AUGMENT = Augment(1.0, tempo=0.2, time_masks=1, time_mask_frames=5)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [Sampling("crop", frames=20), Sampling("segments", 12, 9)], ids=lambda s: s.kind)
def test_epochs_are_reproducible(cache, sampling):
    """By the same object, and by one that keeps no features in memory."""

    def make(**more):
        noisy = source(cache, TRAIN[:10], 1, bank=(np.sin(np.arange(33)).astype("float32"),), snr=(0.0, 10.0))
        # tempo changes how many segments there are; which of them have no room depends on their order
        augmentation = replace(AUGMENT, tempo=0.0) if sampling.kind == "segments" else Augment()
        return data([source(cache, TRAIN), noisy], sampling, augmentation=augmentation, **more)

    kept, anew = make(seed=5), make(seed=5, memory_limit=0)
    np.testing.assert_array_equal(kept.statistics["number"].mean, anew.statistics["number"].mean)
    assert kept.steps == anew.steps
    first = batches(kept, 2)
    assert same(first, batches(kept, 2)) and same(batches(anew, 2), batches(anew, 2))
    # kept clips are shuffled as a whole, the others as they come from the disk: the examples are the same
    assert main_examples(first) == main_examples(batches(anew, 2))
    assert not same(first, batches(kept, 3))
    assert sampling.kind == "crop" or not same(first, batches(make(seed=6), 2))


def test_order_crops_and_augmentation_change_from_epoch_to_epoch():
    cache = Clips([*range(7, 19), *range(30, 48)])
    training = data([source(cache, range(30))], Sampling("crop", frames=20), augmentation=Augment(1.0, tempo=0.3))
    epochs = []
    for epoch in epochs_of(training, 3):
        found = {}
        for x, _, _ in epoch:
            found |= {i: (first, int(n)) for (i, first), n in zip(whose(x), x["mask"].sum(axis=1), strict=True)}
        epochs.append(found)
    assert len({tuple(found) for found in epochs}) == 3
    for place, numbers in ((0, range(12, 30)), (1, range(10))):  # where long ones are cut; how long short ones become
        assert np.mean([len({found[i][place] for found in epochs}) > 1 for i in numbers]) > 0.7


# what is kept


def test_memory_limit_bounds_the_kept_features_over_all_streams(cache):
    """Two thirds of it are for features; what is over them is read again in each epoch."""
    size = sum(len(cache.waves[i]) // FRAME for i in TRAIN) * 3 * 4
    for limit, reads, left in ((3 * size, (1, 1), 0), (3 * size - 3, (1, 2), size - 2)):
        caches = [Clips([len(wave) // FRAME for wave in cache.waves]) for _ in range(2)]
        training = data([source(c, TRAIN, k) for k, c in enumerate(caches)], Sampling("whole"), 12, memory_limit=limit)
        batches(training)
        assert training.left == left
        for c, expected in zip(caches, reads, strict=True):
            assert set(c.read[TRAIN]) == {expected}, limit


def test_noises_count_against_the_memory_limit(cache, noisy):
    """As they are held: each as long as the longest."""
    size = sum(len(cache.waves[i]) // FRAME for i in TRAIN) * 3 * 4
    bank = 4 * len(noisy.bank) * max(map(len, noisy.bank))
    for features, kept in ((size, True), (size - 2, False)):
        limit = 3 * (features + bank) // 2
        training = data([noisy], Sampling("whole"), 12, memory_limit=limit)
        assert training.left == (0 if kept else features)


SLOW_KINDS = [pytest.param("crop", 20, marks=pytest.mark.slow), pytest.param("segments", 12, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("kind", "frames"), [("whole", 59), *SLOW_KINDS])
def test_shuffling_is_bounded_in_bytes(cache, monkeypatch, kind, frames):
    """By a third of the limit, over all streams, whatever the examples' length; a stream that does not fit is read at random."""
    buffers = []
    shuffle = tf.data.Dataset.shuffle
    spy = lambda self, size, *args, **more: buffers.append(size) or shuffle(self, size, *args, **more)  # noqa: E731
    monkeypatch.setattr(tf.data.Dataset, "shuffle", spy)
    limit = 3 * 2 * 10 * frames * 3 * 4  # room for ten of the longest examples of each of two streams
    streams = [source(cache, TRAIN), source(cache, TRAIN, 1)]
    training = data(streams, Sampling(kind, frames, 9), memory_limit=limit)
    found = batches(training)
    assert len(buffers) == 2 and all(10 <= size < 30 for size in buffers)
    own = [[i for (i, _), k in zip(whose(x), y[SOURCE], strict=True) if k == 0] for x, y, _ in found]
    # shuffled in a window of ten, clips that were read in order would come in order but for ten places
    assert max(abs(i - TRAIN[n * len(TRAIN) // len(own)]) for n, row in enumerate(own) for i in row) > 25


def test_other_sides_are_not_read(cache):
    other = Clips([1] * 40)
    other.waves = [wave if i in TRAIN else wave * np.nan for i, wave in enumerate(cache.waves)]
    a, b = (data([source(c, TRAIN)], Sampling("segments", 12, 9), memory_limit=0) for c in (cache, other))
    assert same(batches(a), batches(b))
    np.testing.assert_array_equal(a.statistics["number"].mean, b.statistics["number"].mean)
    assert not other.read[[i for i in range(40) if i not in TRAIN]].any()


def test_statistics_are_those_of_the_training_frames(cache):
    """Over the frames of all streams, unaugmented and uncut: a plain NumPy mean."""
    second = Clips([3, 50, 8], seed=7)
    streams = [source(cache, TRAIN), source(second, [0, 2], 1)]
    training = data(streams, Sampling("crop", frames=5), augmentation=AUGMENT)
    clip_features = [cache.features(i) for i in TRAIN] + [second.features(i) for i in (0, 2)]
    frames = np.concatenate([np.concatenate([x[name] for name in NAMES], axis=1) for x in clip_features])
    found = [training.statistics[name] for name in NAMES]
    mean, variance = np.concatenate([s.mean for s in found]), np.concatenate([s.variance for s in found])
    np.testing.assert_allclose(mean, frames.mean(axis=0, dtype=float), rtol=1e-6)
    np.testing.assert_allclose(variance, frames.var(axis=0, dtype=float), rtol=1e-5)
    assert {s.frames for s in found} == {len(frames)}


def test_statistics_of_stretches_leave_their_padding_out(cache):
    def cut(given):
        x = extract(given)
        spare = -tf.shape(x["mask"])[1] % 5
        gaps = {name: [[0, 0], [0, spare], *[[0, 0]] * (len(value.shape) - 2)] for name, value in x.items()}
        x = {name: tf.reshape(tf.pad(value, gaps[name]), [-1, 5, *value.shape[2:]]) for name, value in x.items()}
        held = tf.reshape(tf.reduce_any(x["mask"], axis=1), [tf.shape(given["length"])[0], -1])
        return {**x, STRETCH: held}

    streams, sampling = [source(cache, TRAIN)], Sampling("segments", 5, 5, balance=False)
    found = TrainingData(streams, cut, NAMES, sampling, Augment(), 8, stretch=5 * FRAME).statistics["energy"]
    frames = np.concatenate([cache.features(i)["energy"] for i in TRAIN])
    assert found.frames == len(frames) and found.mean == pytest.approx(frames.mean())
