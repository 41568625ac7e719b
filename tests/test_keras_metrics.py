import keras
import numpy as np
import pytest
from sklearn.metrics import recall_score

from keras_ser import metrics
from keras_ser.keras_metrics import ConcordanceCorrelation, UnweightedAverageRecall


def batches(*arrays, sizes=(7, 1, 30, 12)):
    ends = np.cumsum(sizes)
    return zip(*[[a[end - size : end] for end, size in zip(ends, sizes, strict=True)] for a in arrays], strict=True)


@pytest.mark.parametrize("column", [False, True])
def test_uar_over_batches_against_scikit_learn(column):
    """Class 3 never occurs, and batches hold different classes."""
    rng = np.random.default_rng(0)
    truth = np.sort(rng.choice([0, 1, 2, 4], 50, p=[0.5, 0.3, 0.1, 0.1]))
    scores = rng.normal(size=(50, 5)) + 1.5 * np.eye(5)[truth]
    weight = rng.uniform(0, 2, 50) * (rng.random(50) < 0.8)
    metric = UnweightedAverageRecall(5)
    assert float(metric.result()) == 0
    for y, p, w in batches(truth, scores, weight):
        metric.update_state(y[:, None] if column else y, p, sample_weight=w[:, None] if column else w)
    there = sorted(set(truth[weight > 0]))
    predicted = scores.argmax(1)
    expected = recall_score(truth, predicted, labels=there, average="macro", sample_weight=weight)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 0


@pytest.mark.parametrize("column", [False, True])
def test_ccc_over_batches_is_that_of_everything(column):
    rng = np.random.default_rng(1)
    x = rng.normal(loc=3, size=50)
    y, weight = 0.6 * x + rng.normal(scale=0.4, size=50), rng.integers(0, 3, 50).astype("float32")
    x = np.where(weight > 0, x, np.nan)
    metric = ConcordanceCorrelation()
    assert float(metric.result()) == 0
    for a, b, w in batches(x, y, weight):
        metric.update_state(a, b[:, None] if column else b, sample_weight=w)
    np.testing.assert_allclose(metric.result(), metrics.ccc(metrics.sums(x, y, weight)), rtol=1e-4)


def test_in_fit_they_are_those_of_the_data_set():
    """`fit` hands labels on in batches, with sample weights as `weighted_metrics`."""
    rng = np.random.default_rng(2)
    x, labels, numbers = rng.normal(size=(50, 4)), rng.integers(0, 3, 50), rng.normal(size=50)
    weight = (rng.random(50) < 0.7).astype("float32")
    inputs = keras.Input((4,))
    outputs = {
        "emotion": keras.layers.Dense(3, activation="softmax", name="emotion")(inputs),
        "arousal": keras.layers.Dense(1, name="arousal")(inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        loss={"emotion": "sparse_categorical_crossentropy", "arousal": "mse"},
        weighted_metrics={"emotion": [UnweightedAverageRecall(3)], "arousal": [ConcordanceCorrelation()]},
        jit_compile=False,
    )
    y, w = {"emotion": labels, "arousal": numbers}, {"emotion": weight, "arousal": weight}
    found = model.evaluate(x, y, sample_weight=w, batch_size=16, verbose=0, return_dict=True)
    predicted = model.predict(x, verbose=0)
    matrix = metrics.confusion(labels, predicted["emotion"].argmax(1), 3, weight)
    np.testing.assert_allclose(found["emotion_uar"], metrics.uar(matrix), rtol=1e-5)
    expected = metrics.ccc(metrics.sums(numbers, predicted["arousal"], weight))
    np.testing.assert_allclose(found["arousal_ccc"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    "metric", [UnweightedAverageRecall(4, name="ua"), ConcordanceCorrelation()], ids=lambda m: m.name
)
def test_they_survive_serialization(metric):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.get_config() == metric.get_config()
