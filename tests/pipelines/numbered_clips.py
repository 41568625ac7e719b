"""Clips whose samples hold their numbers, so that a test can find out which frames a batch consists of.

The first sample of frame j of clip i, and with it the first bin of the feature "number", is i + j / 1000.
"""

import numpy as np
import tensorflow as tf

from keras_ser.pipelines.augmentation import Augment
from keras_ser.pipelines.sources import Source
from keras_ser.pipelines.streams import SOURCE, TrainingData
from keras_ser.tasks import Task

FRAME = 10
RATE = 1000
EMOTION = Task("emotion", ("anger", "joy", "fear"))
TRAIN = [i for i in range(40) if i % 4]  # the others are somebody's test set


class Clips:
    """Waveforms by number, in order, as a `RecordCache` gives them; counts how often each is read."""

    def __init__(self, lengths, seed=0):
        rng = np.random.default_rng(seed)
        self.waves = []
        for i, frames in enumerate(lengths):
            wave = rng.normal(size=(frames, FRAME)).astype("float32")
            wave[:, 0] = i + np.arange(frames) / 1000
            self.waves.append(wave.reshape(-1))
        self.read = np.zeros(len(lengths), int)
        self.sample_rate, self.indices = RATE, np.arange(len(lengths))
        self.lengths = np.array([len(wave) for wave in self.waves])

    def dataset(self, indices):
        def items(order):
            for i in map(int, order):
                self.read[i] += 1
                yield {"index": i, "waveform": self.waves[i], "length": len(self.waves[i])}

        kinds = {"index": ([], tf.int64), "waveform": ([None], tf.float32), "length": ([], tf.int32)}
        spec = {name: tf.TensorSpec(*kind) for name, kind in kinds.items()}
        return tf.data.Dataset.from_generator(items, args=(tf.cast(indices, tf.int64),), output_signature=spec)

    def features(self, i):
        return features_of(self.waves[i])


def features_of(wave):
    frames = wave.reshape(-1, FRAME)
    return {"number": frames[:, :2], "energy": (frames**2).sum(axis=1, keepdims=True)}


def extract(given):
    """(batch, samples) -> "number", the first two samples of each frame, and "energy"; 0 beyond a clip's length."""
    waveform = given["waveform"]
    frames = tf.reshape(waveform, [tf.shape(waveform)[0], -1, FRAME])
    mask = tf.sequence_mask(given["length"] // FRAME, tf.shape(frames)[1])
    x = {"number": frames[..., :2], "energy": tf.reduce_sum(frames**2, axis=-1, keepdims=True)}
    return {**{name: tf.where(mask[..., None], value, 0.0) for name, value in x.items()}, "mask": mask}


def source(cache, indices, number=0, labels=None, **more):
    if labels is None:
        rng = np.random.default_rng(99)
        size = len(cache.waves)
        labels = {
            "emotion": (rng.integers(0, 3, size).astype("int32"), rng.integers(0, 2, size).astype("float32")),
            "gender": (rng.integers(0, 2, size).astype("int32"), rng.integers(0, 2, size).astype("float32")),
        }
    return Source(f"stream{number}", number, cache, np.array(indices), labels, **more)


NAMES = ("number", "energy")


def data(sources, sampling, batch_size=8, augmentation=Augment(), **more):  # noqa: B008
    return TrainingData(sources, extract, NAMES, sampling, augmentation, batch_size, **more)


def batches(training, epoch=0):
    return list(training.epoch(epoch).as_numpy_iterator())


def epochs_of(training, count):
    """The batches of the first epochs, from one graph."""
    found = list(training.epochs(0, count).as_numpy_iterator())
    assert len(found) == count * training.steps > 0
    return [found[k * training.steps : (k + 1) * training.steps] for k in range(count)]


def whose(x):
    """(clip, first frame) of each example of a batch."""
    return [(int(number), round((number - int(number)) * 1000)) for number in x["number"][:, 0, 0]]


def same(a, b):
    return len(a) == len(b) and all(
        len(p) == len(q) and all(np.array_equal(p[k], q[k]) for k in p)
        for x, y in zip(a, b, strict=True)
        for p, q in zip(x, y, strict=True)
    )


def examples_of(training, count, number=1):
    """(clip, first frame) of each of a stream's examples, epoch by epoch."""
    found = []
    for epoch in epochs_of(training, count):
        own = [zip(whose(x), y[SOURCE], strict=True) for x, y, _ in epoch]
        found.append([example for batch in own for example, k in batch if k == number])
    return found
