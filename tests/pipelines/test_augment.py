import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from scipy import signal, stats

from keras_ser.audio.noise import snr
from keras_ser.pipelines.augment import (
    crop,
    gain,
    mask_bins,
    mask_time,
    mel_warp,
    mix_noise,
    stack_bank,
    tempo,
)
from keras_ser.pipelines.augmentation import Augment


@pytest.fixture
def x(rng):
    """Features of one clip: every bin with its own level and spread."""
    return (rng.normal(size=(97, 40)) * rng.uniform(0.5, 2, 40) + rng.normal(size=40)).astype("float32")


def drawn(function, count=200, run=11):
    """The function's results in a data set, for seeds (run, 0), (run, 1), .."""
    numbers = tf.data.Dataset.range(count)
    dataset = numbers.map(lambda i: function(tf.stack([tf.constant(run, tf.int64), i])))
    return list(dataset.as_numpy_iterator())


EVERY = {
    "crop": lambda x, seed, p: crop(x, 60 if p else 97, seed),
    "tempo": lambda x, seed, p: tempo(x, seed, 0.2, p),
    "mel_warp": lambda x, seed, p: mel_warp(x, seed, 0.06, 4, p),
    "mask_time": lambda x, seed, p: mask_time(x, seed, 2, 20, probability=p),
    "mask_bins": lambda x, seed, p: mask_bins(x, seed, 2, 8, probability=p),
    "gain": lambda x, seed, p: gain(x, seed, 1.0, p),
    "all": lambda x, seed, p: Augment(p, 0.2, 0.06, 4, 1.0, 2, 20, 2, 8).apply({"log_mel": x}, seed)["log_mel"],
}


@pytest.mark.parametrize("name", EVERY)
def test_probability_zero_changes_nothing(x, name):
    for result in drawn(lambda seed: EVERY[name](x, seed, 0.0), 5):
        np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize("name", EVERY)
def test_the_seed_decides_all(x, name):
    """Equal seeds give equal results in eager mode, in a graph, and in parallel maps; other seeds others."""
    function = EVERY[name]
    eager = [np.asarray(function(x, tf.constant([11, i], tf.int64), 1.0)) for i in range(6)]
    seeds = tf.data.Dataset.range(6).map(lambda i: tf.stack([tf.constant(11, tf.int64), i]))
    parallel = seeds.map(lambda seed: function(x, seed, 1.0), num_parallel_calls=2, deterministic=True)
    for a, b in zip(eager, parallel.as_numpy_iterator(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    other_run = np.asarray(function(x, tf.constant([12, 0]), 1.0))
    for other in (*eager[1:], other_run):
        assert other.shape != eager[0].shape or np.abs(other - eager[0]).max() > 1e-3


@pytest.mark.parametrize("frames", [1, 2, 50, 96])
def test_crop_is_a_stretch_from_anywhere(x, frames):
    starts = []
    for result in drawn(lambda seed: crop(x, frames, seed), 300):
        (start,) = np.flatnonzero((x[: 98 - frames] == result[0]).all(axis=1))
        np.testing.assert_array_equal(result, x[start : start + frames])
        starts.append(start)
    np.testing.assert_array_equal(crop(x[:frames], frames + 1, [1, 2]), x[:frames])
    counts = np.bincount(starts, minlength=98 - frames)
    assert len(counts) == 98 - frames
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("frames", [1, 2, 97, 400])
def test_tempo_equals_interpolation(rng, frames):
    x = rng.normal(size=(frames, 5)).astype("float32")
    lengths = []
    for result in drawn(lambda seed: tempo(x, seed, 0.2, 1.0), 60):
        at = np.linspace(0, frames - 1, len(result)) if len(result) > 1 else [0]
        expected = np.stack([np.interp(at, np.arange(frames), column) for column in x.T], axis=1)
        np.testing.assert_allclose(result, expected, atol=1e-5)
        lengths.append(len(result))
    assert min(lengths) >= max(1, round(frames * np.exp(-0.2)))
    assert max(lengths) <= round(frames * np.exp(0.2))
    if frames == 400:
        # log of the factor is uniform
        assert stats.kstest(np.log(np.array(lengths) / 400), stats.uniform(-0.2, 0.4).cdf).pvalue > 1e-3


def test_tempo_is_exact_in_long_recordings():
    """An hour of frames: positions in float32 would be off by hundredths of a frame."""
    x = np.arange(360_000, dtype="float32")[:, None]
    result = np.asarray(tempo(x, [1, 2], 0.2, 1.0))[:, 0]
    assert len(result) != len(x)
    np.testing.assert_allclose(result, np.linspace(0, 359_999, len(result)), rtol=2e-7, atol=1e-3)
    np.testing.assert_array_equal(tempo(x, [1, 2], 0.2, 0.0), x)


def test_mel_warp_equals_interpolation(x):
    """A ramp over the bins tells where each was read; inside the edges it is a line b exp(u) + v."""
    ramp = np.arange(40, dtype="float32")[None]
    scales, shifts = [], []
    both = drawn(lambda seed: (mel_warp(ramp, seed, 0.06, 4.0, 1.0)[0], mel_warp(x, seed, 0.06, 4.0, 1.0)), 150)
    for at, warped in both:
        inner = (at > 0.001) & (at < 38.999)
        slope, shift = np.polyfit(np.arange(40)[inner], at[inner], 1)
        np.testing.assert_allclose(at, np.clip(np.arange(40) * slope + shift, 0, 39), atol=1e-3)
        expected = np.stack([np.interp(at, np.arange(40), frame) for frame in x])
        np.testing.assert_allclose(warped, expected, atol=1e-4)
        scales.append(np.log(slope))
        shifts.append(shift)
    assert stats.kstest(scales, stats.uniform(-0.06, 0.12).cdf).pvalue > 1e-3
    assert stats.kstest(shifts, stats.uniform(-4, 8).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(scales, shifts)[0, 1]) < 0.3


def runs(flags):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize(("function", "axis"), [(mask_time, 0), (mask_bins, 1)])
def test_masks(x, function, axis):
    """Whole frames (bins) become the clip's mean of each bin; widths run from 0 to the most, places over the clip."""
    mean, size = x.mean(axis=0), x.shape[axis]
    widths, touched = [], np.zeros(size)
    for result in drawn(lambda seed: function(x, seed, masks=1, width=9, probability=1.0), 400):
        masked = (result != x).any(axis=1 - axis)
        assert (result != x).all(axis=1 - axis)[masked].all()
        np.testing.assert_allclose(result, np.where(masked[:, None] if axis == 0 else masked, mean, x), atol=1e-5)
        assert len(runs(masked)) <= 1
        widths.append(masked.sum())
        touched += masked
    assert stats.chisquare(np.bincount(widths, minlength=10)).pvalue > 1e-3
    assert (touched > 0).all()


def test_masks_together_and_their_share(x):
    for result in drawn(lambda seed: mask_time(x, seed, masks=3, width=90, share=0.1, probability=1.0), 50):
        lengths = runs((result != x).any(axis=1))
        assert len(lengths) <= 3 and sum(lengths) <= 3 * 9
    short = x[:4]  # a fifth of four frames is none
    for result in drawn(lambda seed: mask_time(short, seed, masks=2, width=20, probability=1.0), 10):
        np.testing.assert_array_equal(result, short)


def test_gain_is_one_constant(x):
    changes = []
    for result in drawn(lambda seed: gain(x, seed, 0.8, 1.0), 200):
        np.testing.assert_allclose(result - x, (result - x)[0, 0], atol=1e-6)
        changes.append((result - x)[0, 0])
    assert stats.kstest(changes, stats.uniform(-0.8, 1.6).cdf).pvalue > 1e-3


def test_probability_and_independence_of_the_kinds(x):
    """Each kind happens in its share of the clips, whatever the others do."""
    kinds = ("tempo", "mel_warp", "mask_time", "mask_bins", "gain")
    columns = [drawn(lambda seed, kind=kind: EVERY[kind](x, seed, 0.6), 400) for kind in kinds]
    happened = np.array([[not np.array_equal(result, x) for result in column] for column in columns]).T
    # Masks may be of width 0 and tempo may round to no change, so they happen a little less.
    assert (np.abs(happened.mean(axis=0) - 0.6) < 0.1).all()
    assert np.abs(np.corrcoef(happened.T) - np.eye(5)).max() < 0.2


def test_config(x):
    config = Augment(tempo=0.2, mel_warp_shift=4.0, time_masks=2)
    assert Augment(**json.loads(json.dumps(dataclasses.asdict(config)))) == config
    np.testing.assert_array_equal(Augment().apply({"log_mel": x}, [1, 2])["log_mel"], x)
    for bad in ({"tempo": -0.1}, {"gain": float("nan")}, {"probability": 1.5}, {"time_masks": -1}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}` must be"):
            Augment(**bad)


def test_order_of_application(x):
    config, seed = Augment(1.0, 0.2, 0.06, 4.0, 0.5, 2, 15, 1, 6), [4, 9]
    expected = mel_warp(tempo(x, seed, 0.2, 1.0), seed, 0.06, 4.0, 1.0)
    expected = mask_bins(mask_time(expected, seed, 2, 15, probability=1.0), seed, 1, 6, probability=1.0)
    np.testing.assert_allclose(config.apply({"log_mel": x}, seed)["log_mel"], gain(expected, seed, 0.5, 1.0), atol=1e-6)


def test_several_features_stay_aligned(x):
    config, seed = Augment(1.0, 0.2, 0.06, 4.0, 0.5, 2, 15, 1, 6), [4, 9]
    result = config.apply({"log_mel": x, "pitch": x[:, :2], "mfcc": x[:, ::-1]}, seed)
    np.testing.assert_allclose(result["log_mel"], config.apply({"log_mel": x}, seed)["log_mel"], atol=1e-6)
    # What is not a frequency axis is neither warped nor masked in bins nor raised.
    alike = mask_time(tempo(x, seed, 0.2, 1.0), seed, 2, 15, probability=1.0)
    np.testing.assert_allclose(result["pitch"], alike[:, :2], atol=1e-6)
    np.testing.assert_allclose(result["mfcc"], alike[:, ::-1], atol=1e-6)


@pytest.fixture
def clips(rng):
    """Four clips of different lengths and levels, with garbage behind them; the third is silent."""
    waveform = rng.normal(size=(4, 5000)) * np.array([[0.1], [1.0], [0.0], [3.0]])
    length = np.array([5000, 3210, 4000, 777], "int32")
    inside = np.arange(5000) < length[:, None]
    return np.where(inside, waveform, rng.normal(scale=50, size=(4, 5000))).astype("float32"), length


@pytest.fixture
def noises(rng):
    """Three noises: shorter and longer than the clips, one of them a ramp that shows where it was cut."""
    return [rng.normal(size=1234), np.arange(1, 20001) / 1e4, rng.normal(scale=7, size=5000)]


def test_mixing(clips, noises):
    waveform, length = clips
    bank, kinds, ratios = stack_bank(noises), [], []
    for i in range(30):
        seed = tf.constant([[9, 100 * i + k] for k in range(4)])
        mixed, kind = mix_noise(waveform, length, *bank, snr=(-5.0, 5.0, 10.0), seed=seed)
        assert mixed.dtype == tf.float32 and kind.dtype == tf.int32
        mixed, kind = mixed.numpy(), kind.numpy()
        assert np.isfinite(mixed).all()
        for b, n in enumerate(length):
            np.testing.assert_array_equal(mixed[b, n:], waveform[b, n:])
            if b == 2:
                np.testing.assert_array_equal(mixed[b], waveform[b])
                continue
            measured = snr(waveform[b, :n], mixed[b, :n])
            assert min(abs(measured - s) for s in (-5, 5, 10)) < 0.01
            # What was added is a stretch of that noise, going round.
            added, source = (mixed - waveform)[b, :n].astype(float), noises[kind[b]]
            scale = np.sqrt(np.mean(added**2))
            if kind[b] == 1:
                # a longer noise has no click where it would begin anew; the ramp only rises
                assert len(source) > n and (np.diff(added) > -1e-4 * scale).all()
            if len(source) < n:
                np.testing.assert_allclose(added[len(source) :], added[: n - len(source)], atol=1e-5 * scale + 1e-6)
            round_twice = np.tile(source, 2 + n // len(source))
            scores = signal.correlate(round_twice, added, "valid", "fft")[: len(source)]
            windows = signal.convolve(round_twice**2, np.ones(n), "valid", "fft")[: len(source)]
            assert np.max(scores / np.sqrt(windows)) / np.linalg.norm(added) > 0.999
            kinds.append(kind[b])
            ratios.append(round(measured))
    assert stats.chisquare(np.bincount(kinds, minlength=3)).pvalue > 1e-3
    assert stats.chisquare([ratios.count(s) for s in (-5, 5, 10)]).pvalue > 1e-3


def test_silent_noise_stays_out(clips):
    waveform, length = clips
    mixed, _ = mix_noise(waveform, length, *stack_bank([np.zeros(400)]), snr=(0.0,), seed=tf.ones((4, 2), tf.int32))
    np.testing.assert_array_equal(mixed, waveform)


def test_mixing_errors(clips, noises):
    with pytest.raises(ValueError, match="`snr` must hold"):
        mix_noise(*clips, *stack_bank(noises), snr=(), seed=tf.ones((4, 2), tf.int32))
    with pytest.raises(ValueError, match="at least one noise.*lengths: \\[\\]"):
        stack_bank([])
    with pytest.raises(ValueError, match="none of them empty.*\\[3, 0\\]"):
        stack_bank([np.ones(3), np.ones(0)])
