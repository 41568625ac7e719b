import keras
import numpy as np

from keras_ser.layers import CenterLoss
from keras_ser.losses import TrueClass


def test_compiled_with_true_class_it_is_the_centre_loss_over_labelled_examples():
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(6, 3)).astype("float32"), np.array([0, 2, 1, 1, 2, 0])
    weight = np.array([1.0, 1, 0, 1, 0, 1], "float32")
    inputs = keras.Input((3,))
    layer = CenterLoss(3, name="centre")
    model = keras.Model(inputs, layer(inputs))
    centers = rng.normal(size=(3, 3)).astype("float32")
    layer.centers.assign(centers)
    model.compile(keras.optimizers.SGD(0.5), TrueClass(), jit_compile=False)
    history = model.fit(features, labels, sample_weight=weight, batch_size=6, epochs=1, verbose=0).history
    keep = weight > 0
    difference = features[keep] - centers[labels[keep]]
    np.testing.assert_allclose(history["loss"], 0.5 * (difference**2).sum(-1).mean(), rtol=1e-5)
    # The gradient of a centre is the mean of (c - f) over its own examples' share of the batch.
    expected = centers.copy()
    for f, y in zip(features[keep], labels[keep], strict=True):
        expected[y] -= 0.5 * (centers[y] - f) / keep.sum()
    np.testing.assert_allclose(layer.centers.numpy(), expected, atol=1e-6)


def test_distances_are_float32_under_mixed_precision():
    features = (np.random.default_rng(3).normal(size=(2, 4)) * 300).astype("float16")
    found = CenterLoss(2, dtype="mixed_float16")(features)
    assert found.dtype == "float32"
    assert np.isfinite(found.numpy()).all() and found.numpy().max() > np.finfo("float16").max
