"""Stretches of a waveform against a loop."""

import keras
import numpy as np
import pytest

from keras_ser.features.segments import AverageStretches, CutStretches, stretch_count

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


@pytest.mark.parametrize("samples", [0, -1, 2.5])
def test_samples_of_a_stretch_are_a_positive_integer(samples):
    with pytest.raises(ValueError, match="`samples` must be a positive integer"):
        CutStretches(samples)


def test_stretches_in_a_functional_model_and_from_its_file(rng, tmp_path):
    given = keras.Input((None,), name="waveform"), keras.Input((), dtype="int32", name="length")
    cut, _, valid = CutStretches(10)(*given)
    mean = AverageStretches()(keras.layers.Dense(2)(cut), valid)
    model = keras.Model(given, mean)
    model.save(tmp_path / "model.keras")
    waveform = rng.normal(size=(6, 27)).astype("float32")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again((waveform, LENGTHS)), model((waveform, LENGTHS)), atol=1e-6)
