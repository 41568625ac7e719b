"""Features of clips that are computed once and kept in memory."""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from keras_ser.pipelines.shared_memory import aligned_zeros, as_tensor


class FeatureStore:
    """The features of a stream's clips, laid end to end, so that a graph finds those of any clip.

    Call `add` for each clip, then `close`, then `dataset`. The features lie in memory once, at any time: pages that `room` reserves
    are taken when they are written to.

    Args:
        room: bytes that the features of all clips may take.
    """

    def __init__(self, room: int):
        self.room, self.size = room, 0
        self._rows: dict[str, np.ndarray] = {}
        self._ends: dict[str, list[int]] = {}
        self._numbers: list[int] = []
        self._extras: list[Mapping[str, np.ndarray]] = []

    def add(self, number: int, x: Mapping[str, np.ndarray], extra: Mapping[str, np.ndarray]) -> bool:
        """Keep a clip's features; return False, and keep nothing, where the room is used up.

        Args:
            number: of the utterance.
            x: name -> (frames, ..); the frames may differ from name to name.
            extra: "index" and "mixed", scalars.
        """
        self.size += sum(value.nbytes for value in x.values())
        if self.size > self.room:
            return False
        for name, value in x.items():
            if name not in self._rows:
                row = math.prod(value.shape[1:]) * value.dtype.itemsize
                self._rows[name] = aligned_zeros((self.room // row, *value.shape[1:]), value.dtype)
                self._ends[name] = [0]
            start = self._ends[name][-1]
            self._rows[name][start : start + len(value)] = value
            self._ends[name].append(start + len(value))
        self._numbers.append(number)
        self._extras.append({name: np.asarray(value) for name, value in extra.items()})
        return True

    def close(self) -> int:
        """Turn what was added into tensors, without a copy; return their bytes."""
        last = 1 + max(self._numbers)
        self.extra, self.place, self.values = {}, {}, {}
        for name, value in self._extras[0].items():
            table = np.zeros(last, value.dtype)
            table[self._numbers] = [extra[name] for extra in self._extras]
            self.extra[name] = tf.constant(table)
        for name, ends in self._ends.items():
            place = np.zeros((last, 2), "int64")
            place[self._numbers] = np.stack([ends[:-1], ends[1:]], axis=1)
            self.place[name] = tf.constant(place)
            self.values[name] = as_tensor(self._rows[name][: ends[-1]])
        self._rows, self._extras = {}, []
        return self.size

    def dataset(self, order) -> tf.data.Dataset:
        """Return the clips `order` (clips,) in the form of `keras_ser.pipelines.sources.clips`."""

        def of(i):
            ends = {name: place[i] for name, place in self.place.items()}
            x = {name: value[ends[name][0] : ends[name][1]] for name, value in self.values.items()}
            return x, {name: table[i] for name, table in self.extra.items()}

        return tf.data.Dataset.from_tensor_slices(order).map(of)
