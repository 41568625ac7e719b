"""What is logged of an output of classes, against scikit-learn."""

import keras
import numpy as np
import pytest
from sklearn.metrics import recall_score

from keras_ser.models.heads import UnweightedAverageRecall


def test_uar_over_batches_is_scikit_learns(rng):
    """Five classes of which one is absent; a quarter of the examples has no label (weight 0), some of these no number either."""
    truth, weight = rng.choice([0, 1, 1, 1, 2, 4], 60), rng.choice([0.0, 1.0, 1.0, 1.0], 60)
    logits = rng.normal(size=(60, 5)) + 2 * np.eye(5)[truth]
    truth[np.flatnonzero(weight == 0)[:3]] = -1
    metric = keras.metrics.deserialize(keras.metrics.serialize(UnweightedAverageRecall(5)))
    for _ in range(2):  # again after a reset, as by epoch
        metric.reset_state()
        for batch in np.split(np.arange(60), [7, 40]):
            metric.update_state(truth[batch], logits[batch], sample_weight=weight[batch])
        there = weight > 0
        known = {"average": "macro", "labels": np.unique(truth[there])}
        expected = recall_score(truth[there], logits.argmax(1)[there], **known)
        assert float(metric.result()) == pytest.approx(expected, abs=1e-6)
    assert metric.name == "uar" and 0.5 < expected < 1
