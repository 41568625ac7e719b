import keras
import numpy as np
import pytest

from keras_ser.layers import OrthogonalityLoss


def oracle(shared, privates, lengths, normalize):
    """Equation 13, entry by entry: one number per example."""
    found = []
    for i, length in enumerate(lengths):
        total = 0.0
        for private in privates:
            s, h = shared[i, :length].astype("float64"), private[i, :length].astype("float64")
            for a in range(s.shape[1]):
                for b in range(h.shape[1]):
                    entry = sum(s[t, a] * h[t, b] for t in range(length))
                    if normalize:
                        total += (entry / length) ** 2 / (s.shape[1] * h.shape[1])
                    else:
                        total += entry**2
        found.append(total)
    return np.array(found)


def data():
    rng = np.random.default_rng(0)
    shared, first, second = (rng.normal(size=(3, 7, units)).astype("float32") for units in (4, 2, 5))
    lengths = np.array([7, 3, 1])
    return shared, [first, second], lengths, np.arange(7) < lengths[:, None]


@pytest.mark.parametrize("normalize", [True, False])
def test_against_a_loop_over_entries(normalize):
    shared, privates, lengths, mask = data()
    layer = OrthogonalityLoss(0.3, normalize=normalize)
    outputs = layer([shared, *privates], mask=mask)
    for a, b in zip(outputs, [shared, *privates], strict=True):
        np.testing.assert_array_equal(a, b)
    expected = oracle(shared, privates, lengths, normalize)
    expected = expected.mean() if normalize else expected.sum()
    np.testing.assert_allclose(layer.losses, [0.3 * expected], rtol=1e-5)


def test_fit_and_evaluate_log_it_by_name_and_unweighted():
    shared, (private, _), lengths, mask = data()
    inputs = {
        "s": keras.Input((None, 4), name="s"),
        "h": keras.Input((None, 2), name="h"),
        "mask": keras.Input((None,), dtype="bool", name="mask"),
    }
    s, h = OrthogonalityLoss(0.3, name="orthogonality")([inputs["s"], inputs["h"]], mask=inputs["mask"])
    # All that is compiled is a loss of 0, and no weight moves: "loss" is what the layer adds.
    out = keras.layers.Dense(1, kernel_initializer="zeros")(keras.ops.concatenate([s, h], -1)[:, 0])
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
    x, y = {"s": shared, "h": private, "mask": mask}, np.zeros((3, 1))
    expected = oracle(shared, [private], lengths, True).mean()
    # A batch of two and one of one: the mean over examples, not over batches.
    history = model.fit(x, y, batch_size=2, epochs=2, validation_data=(x, y), verbose=0, shuffle=False).history
    for name in ("orthogonality", "val_orthogonality"):
        np.testing.assert_allclose(history[name], [expected] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], 0.3 * np.array(history["val_orthogonality"]), rtol=1e-5)


def test_a_bare_call_leaves_the_metric_alone():
    """As an export makes it: no state changes in what is served."""
    shared, privates, _, mask = data()
    layer = OrthogonalityLoss()
    layer([shared, *privates], mask=mask)
    assert float(layer.tracker.total) == 0
    layer([shared, *privates], mask=mask, training=False)
    assert float(layer.tracker.total) > 0


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="`weight` must be at least 0 and finite. Received: weight=-1"):
        OrthogonalityLoss(-1)
    with pytest.raises(ValueError, match="at least two sequences"):
        OrthogonalityLoss()([np.zeros((2, 3, 4), "float32")])
    with pytest.raises(ValueError, match="at least two sequences"):
        OrthogonalityLoss()(np.zeros((2, 3, 4), "float32"))
