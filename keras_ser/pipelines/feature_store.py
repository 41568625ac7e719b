"""Features of clips that are computed once and kept in memory."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf


class FeatureStore:
    """The features of a stream's clips, laid end to end, so that a graph finds those of any clip.

    Args:
        clips: utterance number -> ({name: (frames, bins)}, {"index", "noise"}), at least one; emptied while it is read, so that
            memory holds the features once.
    """

    def __init__(self, clips: dict[int, tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]]):
        order = sorted(clips)
        names, extras = (tuple(part) for part in clips[order[0]])
        frames = [len(next(iter(clips[i][0].values()))) for i in order]
        first, size = np.zeros(1 + order[-1], "int64"), np.zeros(1 + order[-1], "int64")
        size[order] = frames
        first[order] = np.cumsum(frames) - frames
        self.first, self.size = tf.constant(first), tf.constant(size)
        self.extra = {}
        for name in extras:
            table = np.zeros(len(first), clips[order[0]][1][name].dtype)
            table[order] = [clips[i][1][name] for i in order]
            self.extra[name] = tf.constant(table)
        self.values = {name: tf.constant(np.concatenate([clips[i][0].pop(name) for i in order])) for name in names}
        clips.clear()

    def dataset(self, order) -> tf.data.Dataset:
        """The clips `order` (clips,), as `keras_ser.pipelines.sources.clips` gives them."""

        def of(i):
            first, size = self.first[i], self.size[i]
            x = {name: value[first : first + size] for name, value in self.values.items()}
            return x, {name: table[i] for name, table in self.extra.items()}

        return tf.data.Dataset.from_tensor_slices(order).map(of)
