"""Choose the examples of a stream for an epoch that does not use them all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Examples:
    """A stream's examples, numbered clip by clip.

    Args:
        index: (clips,) utterance numbers, ascending.
        counts: (clips,) number of examples of each clip.
        wanted: number of examples in an epoch.
        turns: number of epochs over which the clips are dealt; each epoch's shuffle then chooses `wanted` examples.
        buffer: number of examples in the shuffle buffer.
    """

    index: np.ndarray
    counts: np.ndarray
    wanted: int
    turns: int
    buffer: int

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def per_class(self, values: np.ndarray, weights: np.ndarray, classes: int) -> np.ndarray:
        """Count the labelled clips and their examples in each class, int64 (2, classes).

        Args:
            values, weights: class of each utterance of the corpus, and 0 where it has no label.
            classes: number of classes.
        """
        labelled = weights[self.index] > 0
        of_class = values[self.index[labelled]]
        counts = np.ones(len(of_class)), self.counts[labelled]
        return np.stack([np.bincount(of_class, n, classes) for n in counts]).astype("int64")

    @property
    def dealt(self) -> bool:
        """True if examples instead of clips are dealt to the epochs, because the shuffle would not choose them uniformly.

        This is so if an epoch would read at least twice the examples that it uses, or more than it uses and than the buffer holds.
        """
        given = -(-self.total // self.turns)
        return given >= 2 * self.wanted or (given > self.wanted and given > self.buffer)

    def of_epoch(self, epoch: int, seed: Sequence[int]) -> np.ndarray:
        """Return the numbers of an epoch's examples, (wanted,), ascending; over epochs, uses of examples differ by at most one."""
        order = np.random.default_rng(seed).permutation(self.total)
        return np.sort(order[np.arange(epoch * self.wanted, (epoch + 1) * self.wanted) % self.total])

    def clip_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the utterance numbers of examples."""
        return self.index[np.searchsorted(np.cumsum(self.counts), numbers, side="right")]

    def of_clips(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert example numbers to the arguments of `taken`: (ends, parts).

        The chosen examples of utterance i, numbered within the utterance, are parts[ends[i]:ends[i + 1]].
        """
        first = np.zeros(1 + int(self.index.max()), "int64")
        first[self.index] = np.cumsum(self.counts) - self.counts
        clip = self.clip_of(numbers)
        return np.searchsorted(clip, np.arange(len(first) + 1)).astype("int64"), numbers - first[clip]

    def taken(self, ends, parts) -> Callable:
        """Return a function (segments of a clip (segments,), its utterance number) -> those chosen by `of_clips`.

        If augmentation makes more or fewer segments than were counted, the same number is chosen, spread proportionally.
        """
        counts = np.ones(1 + int(self.index.max()), "int64")
        counts[self.index] = self.counts
        counts = tf.constant(counts)

        def of(segments, index):
            chosen = parts[ends[index] : ends[index + 1]]
            return tf.gather(segments, chosen * tf.size(segments, tf.int64) // counts[index])

        return of
