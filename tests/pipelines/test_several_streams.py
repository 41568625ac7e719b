import numpy as np
import pytest
import tensorflow as tf

from keras_ser.pipelines.augmentation import Augment
from keras_ser.pipelines.sources import Source
from keras_ser.pipelines.streams import SOURCE, TrainingData
from keras_ser.recipe import Sampling
from tests.pipelines.numbered_clips import (
    FRAME,
    TRAIN,
    Clips,
    batches,
    data,
    epochs_of,
    examples_of,
    extract,
    source,
    whose,
)


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


def test_a_short_stream_is_varied_in_each_of_its_rounds():
    """Six clips beside forty: each is cut elsewhere each time it returns within an epoch, and in another order."""
    streams = [source(Clips([4] * 40), range(40)), source(Clips([200] * 6, seed=3), range(6), 1)]
    training = data(streams, Sampling("crop", 10), 16)
    for epoch in (epochs := examples_of(training, 2)):
        orders = [tuple(clip for clip, _ in epoch[i : i + 6]) for i in range(0, 36, 6)]
        assert all(sorted(order) == list(range(6)) for order in orders) and len(set(orders)) >= 5
        assert all(len({start for clip, start in epoch if clip == i}) >= 5 for i in range(6))
    assert len(set(epochs[0] + epochs[1])) >= 65 and epochs == examples_of(training, 2)


def test_an_epoch_keeps_its_steps_where_clips_were_left_out():
    """Three of thirty clips, ten rounds of them: each is cut elsewhere each time, also beside another stream."""
    cache = Clips([200] * 30)
    whole = data([source(cache, range(30))], Sampling("crop", 10))
    left, other = source(cache, [4, 9, 20], rounds=10.0), source(Clips([4] * 5, seed=3), range(5), 1)
    for streams, size in (([left], 8), ([left, other], 16)):
        training = data(streams, Sampling("crop", 10), size)
        assert training.steps == whole.steps == 4
        for epoch in (epochs := examples_of(training, 2, number=0)):
            assert len(epoch) == 32 and sorted({clip for clip, _ in epoch}) == [4, 9, 20]
            assert all(10 <= sum(clip == i for clip, _ in epoch) <= 11 for i in (4, 9, 20))
            assert len(set(epoch)) >= 28
        assert epochs[0] != epochs[1] and epochs == examples_of(training, 2, number=0)


def test_stretches_of_a_short_stream_are_drawn_in_each_of_its_rounds():
    streams = [source(Clips([4] * 40), range(40)), source(Clips([200] * 2, seed=3), range(2), 1)]
    training = data(streams, Sampling("whole"), 16, samples=10 * FRAME)
    rows = [(x["energy"], y[SOURCE]) for x, y, _ in batches(training)]
    assert len({float(row.sum()) for energy, of in rows for row, k in zip(energy, of, strict=True) if k}) > 30


@pytest.mark.parametrize("redraw", [False, True])
def test_noise_of_a_short_stream_is_drawn_in_each_of_its_rounds_if_in_each_epoch(redraw, rng):
    bank = (rng.normal(size=999).astype("float32"),)
    short = source(Clips([4] * 2, seed=3), range(2), 1, bank=bank, snr=(-10.0, 0.0, 10.0), redraw=redraw)
    training = data([source(Clips([4] * 40), range(40)), short], Sampling("whole"), 16)
    rows = [(x["energy"], y[SOURCE]) for x, y, _ in batches(training)]
    found = {float(row.sum()) for energy, number in rows for row, k in zip(energy, number, strict=True) if k}
    assert len(found) > 30 if redraw else len(found) == 2


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


@pytest.mark.parametrize("count, held", [(8, [8]), (9, [8]), (11, [8]), (12, [8, 4]), (19, [8, 8]), (3, [3])])
def test_the_last_batch_is_at_least_half_full(count, held):
    """Batch normalisation over a single example gives 0 in every channel, and the moving variance of nothing."""
    training = data([source(Clips([4] * count), range(count))], Sampling("whole"))
    epochs = epochs_of(training, 12)
    assert [[len(x["number"]) for x, _, _ in epoch] for epoch in epochs] == 12 * [held]
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
        return {"number": x["number"], "mask": x["mask"], **halves}

    stream, names = source(Clips([8, 20]), range(2)), ("number", "b.energy")
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


def test_noise_task_distinguishes_clean_from_noisy_streams(cache, noisy):
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
def test_frame_targets_are_treated_like_features(cache, sampling, rng):
    """Cut, cropped, shuffled and padded with them; made of the clean and the noisy waveform."""

    def targets(given):
        clean, noisy = (
            tf.reshape(given[name], [tf.shape(given[name])[0], -1, FRAME]) for name in ("clean", "waveform")
        )
        return tf.concat([clean[..., :2], noisy[..., :1]], -1)

    noisy = source(cache, TRAIN, 1, bank=(rng.normal(size=99).astype("float32"),), snr=(3.0,))
    training = data([source(cache, TRAIN), noisy], sampling, frame_targets={"target/mask": targets})
    assert set(training.statistics) == {"number", "energy"}, "a target is no feature"
    seen = 0
    for x, y, _ in batches(training):
        for row in range(len(y[SOURCE])):
            valid = x["mask"][row]
            assert not x["target/mask"][row][~valid].any()
            clean, heard = x["target/mask"][row][valid, :2], x["target/mask"][row][valid, 2]
            np.testing.assert_array_equal(heard, x["number"][row][valid, 0])
            # the clean waveform says whose frame it is
            clip, frame = int(clean[0, 0]), round((clean[0, 0] - int(clean[0, 0])) * 1000)
            expected = cache.features(clip)["number"][frame : frame + valid.sum()]
            np.testing.assert_allclose(clean, expected, atol=1e-6)
            assert np.array_equal(heard, clean[:, 0]) == (y[SOURCE][row] == 0)
            seen += 1
    assert seen > 40
