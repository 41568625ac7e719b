import keras
import numpy as np
import pytest

from keras_ser.features import AverageSegments, Segment, segment, unfold


@pytest.mark.parametrize(("frames", "hop"), [(5, None), (5, 5), (5, 2), (4, 7), (30, None), (23, 3)])
def test_segments_equal_a_loop(rng, frames, hop):
    lengths = np.array([23, 1, 11, 5])
    mask = np.arange(23) < lengths[:, None]
    x = rng.standard_normal((4, 23, 3)).astype(np.float32) * mask[..., None]
    folded, folded_mask = segment(x, mask, frames, hop)
    step = hop or frames

    def starts(length):
        found = [0]
        while found[-1] + frames < length:
            found.append(found[-1] + step)
        return found

    clips = np.zeros((4, len(starts(23)), frames, 3), np.float32)
    valid = np.zeros(clips.shape[:3], bool)
    for b, n in enumerate(lengths):
        for k, s in enumerate(starts(n)):
            part = x[b, s : min(s + frames, n)]
            clips[b, k, : len(part)], valid[b, k, : len(part)] = part, True
    np.testing.assert_array_equal(folded, clips.reshape(-1, frames, 3))
    np.testing.assert_array_equal(folded_mask, valid.reshape(-1, frames))


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


@pytest.mark.parametrize(("frames", "hop"), [(6, None), (6, 4)])
def test_functional_model_of_unknown_sizes(rng, tmp_path, frames, hop):
    """A clip's average does not depend on what it is batched with, and survives a file."""
    features, mask = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    folded, folded_mask = Segment(frames, hop)(features, mask)
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Dense(4, activation="tanh")(folded))
    model = keras.Model({"x": features, "mask": mask}, AverageSegments()(pooled, folded_mask, mask))
    assert model.output_shape == (None, 4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")

    lengths = np.array([23, 6, 1])
    mask = np.arange(23) < lengths[:, None]
    x = rng.standard_normal((3, 23, 3)).astype(np.float32) * mask[..., None]
    together = again.predict({"x": x, "mask": mask}, batch_size=2, verbose=0)
    assert together.shape == (3, 4)
    for row, n in enumerate(lengths):
        # Same number of frames valid; a long clip needs the windows that the padded batch has.
        alone = model.predict({"x": x[row : row + 1, :n], "mask": mask[row : row + 1, :n]}, verbose=0)
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="`frames` must be a positive integer. Received: frames=0"):
        Segment(0)
