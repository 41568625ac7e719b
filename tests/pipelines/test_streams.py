from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.pipelines.augmentation import Augment
from keras_ser.pipelines.balance import RULES
from keras_ser.pipelines.batching import stream_sizes
from keras_ser.pipelines.sources import Source
from keras_ser.pipelines.streams import SOURCE, TrainingData
from keras_ser.recipe import Sampling
from keras_ser.tasks import Task
from tests.pipelines.test_balance import starts_of
from tests.pipelines.told import FRAME, TRAIN, Clips, extract, source

GENDER = Task("gender", ("female", "male"))
NOISE = Task("noise", ("white", "clean", "pink"))
NAMES = ("told", "energy")


def data(sources, sampling, batch_size=8, augmentation=Augment(), **more):  # noqa: B008
    return TrainingData(sources, extract, NAMES, sampling, augmentation, batch_size, **more)


def batches(training, epoch=0):
    return list(training.epoch(epoch).as_numpy_iterator())


def epochs_of(training, count):
    """The batches of the first epochs, from one graph."""
    found = list(training.epochs(0, count).as_numpy_iterator())
    assert len(found) == count * training.steps > 0
    return [found[k * training.steps : (k + 1) * training.steps] for k in range(count)]


def whose(x, place=0):
    """(clip, first frame) of each example of a batch."""
    told = x["told"][:, place, 0]
    return [(int(t), round((t - int(t)) * 1000)) for t in told]


def same(a, b):
    return len(a) == len(b) and all(
        len(p) == len(q) and all(np.array_equal(p[k], q[k]) for k in p)
        for x, y in zip(a, b, strict=True)
        for p, q in zip(x, y, strict=True)
    )


def main_examples(found):
    """The examples of the first stream, whatever their order: what they hold, with target and weight."""
    rows = []
    for x, y, w in found:
        for i in np.flatnonzero(y[SOURCE] == y[SOURCE].min()):
            rows.append((x["told"][i][x["mask"][i]].tobytes(), int(y["emotion"][i]), float(w["emotion"][i])))
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
    assert training.steps == 3 and cache.read.sum() == 0 and not training.statistics["told"].frames
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
                assert n == min(20 if kind == "crop" else 60, len(whole["told"]))
                for name, value in whole.items():
                    np.testing.assert_allclose(x[name][row, :n], value[first : first + n], rtol=1e-6)
                    assert not x[name][row, n:].any()
                firsts.add((i, first))
    assert len(firsts) > 45 if kind == "crop" else firsts == {(i, 0) for i in TRAIN}


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
def test_an_epoch_can_be_made_again(cache, sampling):
    """By the same object, and by one that keeps no features in memory."""

    def make(**more):
        noisy = source(cache, TRAIN[:10], 1, bank=(np.sin(np.arange(33)).astype("float32"),), snr=(0.0, 10.0))
        # tempo changes how many segments there are; which of them have no room depends on their order
        augmentation = replace(AUGMENT, tempo=0.0) if sampling.kind == "segments" else Augment()
        return data([source(cache, TRAIN), noisy], sampling, augmentation=augmentation, **more)

    kept, anew = make(seed=5), make(seed=5, memory_limit=0)
    np.testing.assert_array_equal(kept.statistics["told"].mean, anew.statistics["told"].mean)
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


def test_nothing_of_another_side_is_touched(cache):
    other = Clips([1] * 40)
    other.waves = [wave if i in TRAIN else wave * np.nan for i, wave in enumerate(cache.waves)]
    a, b = (data([source(c, TRAIN)], Sampling("segments", 12, 9), memory_limit=0) for c in (cache, other))
    assert same(batches(a), batches(b))
    np.testing.assert_array_equal(a.statistics["told"].mean, b.statistics["told"].mean)
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


# several streams


@pytest.mark.parametrize(
    ("shares", "size", "expected"),
    [
        ((0.5, 0.5), 256, [128, 128]),
        ((1, 1, 1), 256, [85, 86, 85]),
        ((0.5, 0.5), 15, [8, 7]),
        ((3.0, 1.0), 8, [6, 2]),
        ((0.99, 0.01), 8, [8, 1]),
        ((1.0,), 7, [7]),
        ((1, 1, 1), 2, [1, 1, 1]),
    ],
)
def test_sizes(shares, size, expected):
    assert stream_sizes(shares, size) == expected


def test_streams_of_different_lengths_and_labels(cache):
    """The first makes the epoch; a short one goes round; batches are padded to their longest clip."""
    short = Clips([70, 2, 9], seed=3)
    labels = {
        "emotion": (np.zeros(3, "int32"), np.zeros(3, "float32")),
        "gender": (np.array([1, 0, 1], "int32"), np.ones(3, "float32")),
    }
    streams = [source(cache, TRAIN, share=0.75), source(short, [0, 1, 2], 1, labels, share=0.25)]
    heard = {0: [], 1: []}
    for x, y, w in batches(data(streams, Sampling("whole"))):
        assert x["mask"].any(axis=0).all() and np.bincount(y[SOURCE])[1] == 2
        for row, (i, _) in enumerate(whose(x)):
            k = y[SOURCE][row]
            heard[k].append(i)
            n = int(x["mask"][row].sum())
            np.testing.assert_allclose(x["energy"][row, :n], (cache, short)[k].features(i)["energy"], rtol=1e-6)
            assert not x["energy"][row, n:].any()
            for task in ("emotion", "gender"):
                values, weights = streams[k].labels[task]
                assert (y[task][row], w[task][row]) == (values[i], weights[i])
    assert sorted(heard[0]) == TRAIN
    assert len(heard[1]) == 2 * 5 and {heard[1].count(i) for i in range(3)} <= {3, 4}


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2**30, 0])
def test_clips_of_a_long_stream_take_turns(cache, limit):
    """Each as often as the others, however long the stream."""
    long = Clips([4] * 33, seed=3)
    training = data([source(cache, TRAIN[:10]), source(long, range(33), 1)], Sampling("whole"), 20, memory_limit=limit)
    epochs = [[i for i, _ in epoch] for epoch in examples_of(training, 4)]
    assert {len(epoch) for epoch in epochs} == {10} and {len(set(epoch)) for epoch in epochs} == {10}
    seen = [i for epoch in epochs for i in epoch]
    assert len(set(seen[:30])) == 30 and max(map(seen.count, seen)) == 2


def examples_of(training, count, number=1):
    """(clip, first frame) of each of a stream's examples, epoch by epoch."""
    found = []
    for epoch in epochs_of(training, count):
        own = [zip(whose(x), y[SOURCE], strict=True) for x, y, _ in epoch]
        found.append([example for batch in own for example, k in batch if k == number])
    return found


@pytest.mark.parametrize("count, held", [(8, [8]), (9, [8]), (11, [8]), (12, [8, 4]), (19, [8, 8]), (3, [3])])
def test_the_last_batch_is_at_least_half_full(count, held):
    """Batch normalisation over a single example gives 0 in every channel, and the moving variance of nothing."""
    training = data([source(Clips([4] * count), range(count))], Sampling("whole"))
    epochs = epochs_of(training, 12)
    assert [[len(x["told"]) for x, _, _ in epoch] for epoch in epochs] == 12 * [held]
    read = {i for epoch in epochs for x, _, _ in epoch for i, _ in whose(x)}
    assert read == set(range(count))  # what is left out differs by epoch


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2**30, 0])
def test_segments_of_a_long_stream_come_up_evenly(limit):
    """Clips of 1, 5 and 34 segments, of which an epoch takes 8: each segment once in five epochs, wherever it stands."""
    main, long = Clips([3] * 8), Clips([2, 15, 104], seed=3)
    streams = [source(main, range(8)), source(long, range(3), 1)]
    training = data(streams, Sampling("segments", 3, 3), 16, memory_limit=limit)
    assert training.steps == 1
    every = [(i, 3 * j) for i, count in enumerate((1, 5, 34)) for j in range(count)]
    epochs = examples_of(training, 10)
    assert {len(epoch) for epoch in epochs} == {8}
    assert sorted(sum(epochs[:5], [])) == sorted(sum(epochs[5:], [])) == every
    assert epochs[:5] != epochs[5:] and epochs == examples_of(training, 10)


@pytest.mark.slow
def test_segments_of_a_long_stream_come_up_evenly_under_tempo():
    """Where a clip has more or fewer segments than were counted: as many examples, from its whole length."""
    main, long = Clips([3] * 12), Clips([90, 90, 180], seed=3)
    streams = [source(main, range(12)), source(long, range(3), 1)]
    training = data(streams, Sampling("segments", 3, 3), 24, augmentation=Augment(1.0, tempo=0.4))
    epochs = examples_of(training, 10)
    assert {len(epoch) for epoch in epochs} == {12}
    clips_of, places = zip(*sum(epochs, []), strict=True)
    assert np.bincount(clips_of).tolist() == [30, 30, 60]
    # tempo has moved the frames, and not what they hold: a place in the clip is a share of its length
    shares = np.array(places) / np.array([90, 90, 180])[list(clips_of)]
    assert np.histogram(shares, 4, (0, 1))[0].min() > 15


@pytest.mark.slow
def test_a_surplus_beyond_the_buffer_is_dealt_evenly():
    """1.5 times as many clips as an epoch takes, and a buffer for few of them: the last ones come up as often as the first."""
    main, long = Clips([4] * 20), Clips([4] * 30, seed=3)
    streams = [source(main, range(20)), source(long, range(30), 1)]
    training = data(streams, Sampling("whole"), 8, memory_limit=3 * 2 * 5 * 4 * 3 * 4)
    epochs = examples_of(training, 6)
    clips_of = [i for epoch in epochs for i, _ in epoch]
    assert np.bincount(clips_of).tolist() == [4] * 30


def test_front_ends_of_different_hops_are_not_cut_to_different_seconds():
    def halved(given):
        x = extract(given)
        halves = {"b.energy": x["energy"][:, ::2], "b.mask": x["mask"][:, ::2]}
        return {"told": x["told"], "mask": x["mask"], **halves}

    stream, names = source(Clips([8, 20]), range(2)), ("told", "b.energy")
    made = TrainingData([stream], halved, names, Sampling("whole"), Augment(), 2, batch_frames=40)
    assert made.steps == 1
    with pytest.raises(ValueError, match="clips of up to 20 frames cannot be cut to the 19 .* different hops"):
        TrainingData([stream], halved, names, Sampling("whole"), Augment(), 2, batch_frames=39)


def some_streams(rng, kind):
    """One to three streams of any lengths, some with a single clip, some with clips that are far longer than all others."""
    streams = []
    for k in range(int(rng.integers(1, 4))):
        count = int(rng.integers(1, 14))
        lengths = rng.integers(1, rng.choice([4, 30, 150]), count)
        bank = (rng.normal(size=99).astype("float32"),) if rng.random() < 0.3 else ()
        rules = rng.integers(0, 3, count).astype("int32") if k == 0 else None
        share, redraw = float(rng.choice([0.1, 0.5, 1.0, 3.0])), bool(rng.random() < 0.5)
        cache = Clips(lengths, seed=k)
        streams.append(
            source(
                cache,
                range(count),
                k,
                share=share,
                bank=bank,
                mixed={"noise": (0,)},
                snr=(9.0,),
                redraw=redraw,
                rules=rules,
            )
        )
    return streams


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["segments", "crop", "whole"])
@pytest.mark.parametrize("seed", range(6))
def test_streams_never_run_dry(kind, seed):
    """Any lengths, batch sizes, shares, memory and augmentation: every epoch has its steps, every batch all of its streams."""
    rng = np.random.default_rng([seed, len(kind)])
    streams, size = some_streams(rng, kind), int(rng.integers(1, 12))
    augmentation = Augment(1.0, tempo=0.4) if rng.random() < 0.5 else Augment()
    limit = int(rng.choice([0, 3000, 2**30]))
    frames, hop = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    sampling = Sampling(kind, frames, hop, rare_hop=2, balance=bool(rng.random() < 0.5))
    check_epochs(data(streams, sampling, size, augmentation=augmentation, memory_limit=limit, seed=seed))


def test_long_clips_of_a_second_stream_do_not_run_dry():
    """12 clips of one segment beside two of thirty, which give more segments in five epochs than there are clips."""
    lengths = (12 * [3], 2 * [90])
    streams = [source(Clips(own, seed=k), range(len(own)), k) for k, own in enumerate(lengths)]
    check_epochs(data(streams, Sampling("segments", 3, 3), 8, memory_limit=0))


def check_epochs(training):
    sizes = np.array(training.sizes)
    for epoch in epochs_of(training, 8):
        for n, (_, y, _) in enumerate(epoch):
            counts = np.bincount(y[SOURCE], minlength=len(sizes))
            assert counts[1:].tolist() == sizes[1:].tolist()
            assert counts[0] == sizes[0] or (0 < counts[0] < sizes[0])
            least = sizes[0] if n < training.steps - 1 else sizes[0] / 2
            assert counts[0] >= least or training.steps == 1 or not training.augmentation.off


# noise


def energies(epoch):
    """clip (by its length, as noise hides its name) -> sum of the energy feature"""
    found = {}
    for x, _, _ in epoch:
        for row, mask in enumerate(x["mask"]):
            found[int(mask.sum())] = float(x["energy"][row].sum())
    return found


@pytest.mark.parametrize("redraw", [pytest.param(False, marks=pytest.mark.slow), True])
def test_noise_is_drawn_once_or_in_each_epoch(redraw, rng):
    cache = Clips(range(1, 30))
    bank = (rng.normal(size=99).astype("float32"),)
    stream = source(cache, range(29), 1, bank=bank, snr=(-10.0, 0.0, 10.0), redraw=redraw)
    training = data([stream], Sampling("whole"))
    first, second = map(energies, epochs_of(training, 2))
    changed = [n for n in first if abs(first[n] - second[n]) > 1e-3 * first[n]]
    assert len(changed) > 20 if redraw else not changed
    assert set(cache.read) == ({3} if redraw else {1})


def test_the_noise_task_knows_clean_from_noisy(cache, noisy):
    """ "clean" may stand anywhere among the labels."""
    clean = source(cache, TRAIN, 0, mixed={"noise": (1,)})
    noisy = Source(**{**vars(noisy), "mixed": {"noise": (0, 2, 2)}})
    kinds = {0: set(), 1: set()}
    for _, y, w in batches(data([clean, noisy], Sampling("whole"))):
        assert set(w["noise"]) == {1.0}
        for k, kind in zip(y[SOURCE], y["noise"], strict=True):
            kinds[k].add(int(kind))
    assert kinds == {0: {1}, 1: {0, 2}}


def test_a_control_s_noise_labels_are_drawn_by_their_odds(cache, noisy):
    """For each clip, the same in every stream and epoch: nothing that is heard tells the label."""
    odds = (0.5, 0.1, 0.4)
    clean = source(Clips([3] * 600), range(600), 0, mixed={"noise": (1,)}, odds={"noise": odds})
    second = Source(**{**vars(clean), "number": 1, "bank": noisy.bank, "mixed": {"noise": (0, 2, 2)}, "snr": (5.0,)})
    kinds = {}
    training = data([clean, second], Sampling("whole"), batch_size=60)
    for number, epoch in enumerate(epochs_of(training, 2)):
        for _, y, w in epoch:
            assert set(w["noise"]) == {1.0}
            for k, kind in zip(y[SOURCE], y["noise"], strict=True):
                kinds.setdefault((number, int(k)), []).append(int(kind))
    counts = [np.bincount(found, minlength=3) for found in kinds.values()]
    assert len(counts) == 4 and all(np.array_equal(count, counts[0]) for count in counts)
    np.testing.assert_allclose(counts[0] / 600, odds, atol=0.06)


# targets of every frame


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling("segments", 12, 9, balance=False),
        pytest.param(Sampling("crop", frames=20), marks=pytest.mark.slow),
    ],
    ids=lambda sampling: sampling.kind,
)
def test_frame_targets_go_the_way_of_the_features(cache, sampling, rng):
    """Cut, cropped, shuffled and padded with them; made of the clean and the noisy waveform."""

    def targets(given):
        clean, noisy = (
            tf.reshape(given[name], [tf.shape(given[name])[0], -1, FRAME]) for name in ("clean", "waveform")
        )
        return tf.concat([clean[..., :2], noisy[..., :1]], -1)

    noisy = source(cache, TRAIN, 1, bank=(rng.normal(size=99).astype("float32"),), snr=(3.0,))
    training = data([source(cache, TRAIN), noisy], sampling, frame_targets={"target/mask": targets})
    assert set(training.statistics) == {"told", "energy"}, "a target is no feature"
    seen = 0
    for x, y, _ in batches(training):
        for row in range(len(y[SOURCE])):
            valid = x["mask"][row]
            assert not x["target/mask"][row][~valid].any()
            clean, heard = x["target/mask"][row][valid, :2], x["target/mask"][row][valid, 2]
            np.testing.assert_array_equal(heard, x["told"][row][valid, 0])
            # the clean waveform says whose frame it is
            clip, frame = int(clean[0, 0]), round((clean[0, 0] - int(clean[0, 0])) * 1000)
            expected = cache.features(clip)["told"][frame : frame + valid.sum()]
            np.testing.assert_allclose(clean, expected, atol=1e-6)
            assert np.array_equal(heard, clean[:, 0]) == (y[SOURCE][row] == 0)
            seen += 1
    assert seen > 40
