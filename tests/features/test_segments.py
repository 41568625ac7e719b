import numpy as np
import pytest

from keras_ser.features import Segment, segment, unfold
from keras_ser.features.segments import AverageStretches, CutStretches, cut_stretches, stretch_count


@pytest.mark.parametrize("frames", [5, 4, 30, 23, 1])
def test_segments_equal_a_loop(rng, frames):
    lengths = np.array([23, 1, 11, 5])
    mask = np.arange(23) < lengths[:, None]
    x = rng.standard_normal((4, 23, 3)).astype(np.float32) * mask[..., None]
    folded, folded_mask = segment(x, mask, frames)

    def starts(length):
        found = [0]
        while found[-1] + frames < length:
            found.append(found[-1] + frames)
        return found

    clips = np.zeros((4, len(starts(23)), frames, 3), np.float32)
    valid = np.zeros(clips.shape[:3], bool)
    for b, n in enumerate(lengths):
        for k, s in enumerate(starts(n)):
            part = x[b, s : min(s + frames, n)]
            clips[b, k, : len(part)], valid[b, k, : len(part)] = part, True
    np.testing.assert_array_equal(folded, clips.reshape(-1, frames, 3))
    np.testing.assert_array_equal(folded_mask, valid.reshape(-1, frames))


def test_config_of_an_earlier_version_is_read():
    """It also held `hop`, the distance of segments, which was never set."""
    layer = Segment.from_config({**Segment(5).get_config(), "hop": None})
    assert layer.frames == 5 and "hop" not in layer.get_config()


def test_average_is_weighted_by_valid_frames(rng):
    mask = np.arange(12) < np.array([[12], [7], [3], [0]])
    _, folded = segment(np.zeros((4, 12, 1), np.float32), mask, 5)  # 3 segments a clip
    outputs = rng.standard_normal((12, 4)).astype(np.float32)
    outputs[~np.asarray(folded).any(1)] = np.nan
    weights = np.array([[5, 5, 2], [5, 2, 0], [3, 0, 0], [0, 0, 0]])
    expected = np.stack(
        [
            (np.nan_to_num(outputs.reshape(4, 3, 4)[b]) * w[:, None]).sum(0) / max(w.sum(), 1)
            for b, w in enumerate(weights)
        ]
    )
    np.testing.assert_allclose(unfold(outputs, folded, mask), expected, atol=1e-6)


LENGTHS = np.array([25, 10, 4, 14, 15, 1], "int32")
COUNTS = [3, 1, 1, 1, 2, 1]  # of 10 samples: a rest of 5 is kept, one of 4 is not


def test_count_is_the_length_in_stretches_rounded_half_up():
    assert [stretch_count(int(n), 10) for n in LENGTHS] == COUNTS
    assert np.asarray(stretch_count(LENGTHS, 10)).tolist() == COUNTS


def test_stretches_are_those_of_a_loop(rng):
    waveform = rng.normal(size=(len(LENGTHS), 27)).astype("float32")
    cut, lengths, valid = (np.asarray(x) for x in CutStretches(10)(waveform, LENGTHS))
    most = valid.shape[1]
    assert cut.shape == (len(LENGTHS) * most, 10) and lengths.tolist() == valid.reshape(-1).tolist()
    for i, (n, count) in enumerate(zip(LENGTHS, COUNTS, strict=True)):
        for k in range(most):
            part = waveform[i, 10 * k : min(10 * (k + 1), n)] if k < count else []
            assert valid[i, k] == len(part)
            expected = np.pad(part, (0, 10 - len(part)))
            if k < count:
                np.testing.assert_array_equal(cut[i * most + k], expected)


def test_average_weighs_stretches_by_their_samples(rng):
    outputs, valid = rng.normal(size=(6, 4)), np.array([[10, 10, 5], [7, 0, 0]], "int32")
    outputs[4:] = np.nan
    found = np.asarray(AverageStretches()(outputs.astype("float32"), valid))
    np.testing.assert_allclose(found[0], (10 * outputs[0] + 10 * outputs[1] + 5 * outputs[2]) / 25, atol=1e-6)
    np.testing.assert_allclose(found[1], outputs[3], atol=1e-6)


def test_a_clip_without_samples_is_one_stretch_of_silence():
    """So that it has an answer, beside a clip of three stretches."""
    x, _, valid = cut_stretches(np.ones((2, 30), "float32"), np.array([0, 30]), 10)
    assert np.asarray(valid).tolist() == [[1, 0, 0], [10, 10, 10]] and not np.asarray(x)[0].any()
