import numpy as np
import pytest
from keras import ops

from keras_ser.features import fixed_length, frame, frame_count, frame_mask, mask_samples, pack
from keras_ser.features.framing import frame_sums


@pytest.mark.parametrize(("window", "hop"), [(400, 160), (401, 160), (7, 3), (5, 9), (8, 4), (160, 160)])
def test_frames_are_the_slices_of_a_loop(rng, window, hop):
    for samples in (1, window - 1, window, window + 1, 3 * window + hop - 1, 1003):
        x = rng.standard_normal((2, samples)).astype(np.float32)
        padded = np.pad(x, ((0, 0), (0, max(0, window - samples))))
        count = 1 + (padded.shape[1] - window) // hop
        expected = np.stack([padded[:, t * hop : t * hop + window] for t in range(count)], axis=1)
        np.testing.assert_array_equal(frame(x, window, hop), expected)
        np.testing.assert_allclose(frame_sums(x, window, hop), expected.sum(-1), atol=1e-4)
        assert frame_count(samples, window, hop) == count


def test_counts_agree_between_ints_arrays_and_tensors(rng):
    lengths = rng.integers(0, 3000, 50)
    one_by_one = [frame_count(int(n), 400, 160) for n in lengths]
    assert frame_count(lengths, 400, 160).tolist() == one_by_one
    assert ops.convert_to_numpy(frame_count(ops.convert_to_tensor(lengths), 400, 160)).tolist() == one_by_one
    assert min(one_by_one) == 1


def test_mask_counts_each_clips_frames():
    length = np.array([0, 399, 400, 559, 560, 1999])
    mask = ops.convert_to_numpy(frame_mask(2000, length, 400, 160))
    assert mask.shape == (6, 11)
    assert mask.sum(1).tolist() == [1, 1, 1, 1, 2, 10]
    assert (np.diff(mask.astype(int), axis=1) <= 0).all()


def test_samples_beyond_the_clip_are_zero_whatever_they_were(rng):
    x = rng.standard_normal((3, 9)).astype(np.float32)
    bad = x.copy()
    bad[0, 4:], bad[1, 7:] = np.nan, np.inf
    out = ops.convert_to_numpy(mask_samples(bad, np.array([4, 7, 9])))
    np.testing.assert_array_equal(out, x * (np.arange(9) < np.array([[4], [7], [9]])))


@pytest.mark.parametrize("samples", [50, 51, 64])
def test_the_middle_of_long_clips_and_zeros_behind_short_ones(rng, samples):
    lengths = np.array([0, 1, 49, 50, 51, 52, 90, 91], "int32")
    wave = rng.normal(size=(8, 91)).astype("float32")
    found, length = fixed_length(wave, lengths, samples, margin=7)
    assert np.asarray(length).tolist() == [samples + 7] * 8
    for row, x, n in zip(np.asarray(found), wave, lengths, strict=True):
        expected = np.zeros(samples + 7, "float32")
        first = max(0, n - samples) // 2
        kept = x[first : min(n, first + samples)]
        expected[: len(kept)] = kept
        np.testing.assert_array_equal(row, expected)


def test_pack_moves_what_is_kept_to_the_left(rng):
    x = rng.standard_normal((6, 23, 3)).astype(np.float32)
    keep = rng.random((6, 23)) < np.array([[0.0], [0.1], [0.4], [0.6], [0.9], [1.0]])
    dirty = np.where(keep[..., None], x, np.nan).astype(np.float32)
    packed, mask = pack({"x": dirty, "other": dirty[..., :1]}, keep)
    np.testing.assert_array_equal(mask, np.arange(23) < keep.sum(1, keepdims=True))
    for name, features in (("x", x), ("other", x[..., :1])):
        for row, n in enumerate(keep.sum(1)):
            np.testing.assert_array_equal(packed[name][row, :n], features[row, keep[row]])
            assert not np.asarray(packed[name][row, n:]).any()
