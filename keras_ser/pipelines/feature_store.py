"""Keep features of clips in memory that are computed only once."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf


class FeatureStore:
    """The concatenated features of a stream's clips, from which a graph can read any clip.

    Args:
        clips: utterance number -> ({name: (frames, ..)}, {"index", "mixed"}), at least one; the number of frames may differ
            between names. The dictionary is emptied, so that memory holds the features only once.
    """

    def __init__(self, clips: dict[int, tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]]):
        order = sorted(clips)
        names, extras = (tuple(part) for part in clips[order[0]])
        self.extra, self.place, self.values = {}, {}, {}
        for name in extras:
            table = np.zeros(1 + order[-1], clips[order[0]][1][name].dtype)
            table[order] = [clips[i][1][name] for i in order]
            self.extra[name] = tf.constant(table)
        for name in names:
            frames = [len(clips[i][0][name]) for i in order]
            place = np.zeros((1 + order[-1], 2), "int64")
            place[order] = np.stack([np.cumsum(frames) - frames, np.cumsum(frames)], axis=1)
            self.place[name] = tf.constant(place)
            self.values[name] = tf.constant(np.concatenate([clips[i][0].pop(name) for i in order]))
        clips.clear()

    def dataset(self, order) -> tf.data.Dataset:
        """Return the clips of `order`, (clips,) utterance numbers, in the form of `keras_ser.pipelines.sources.clips`."""

        def of(i):
            ends = {name: place[i] for name, place in self.place.items()}
            x = {name: value[ends[name][0] : ends[name][1]] for name, value in self.values.items()}
            return x, {name: table[i] for name, table in self.extra.items()}

        return tf.data.Dataset.from_tensor_slices(order).map(of)
