"""Which of a stream's examples an epoch takes, where it does not take them all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Examples:
    """A stream's examples, numbered clip by clip.

    Args:
        index: (clips,) utterance numbers, in rising order.
        counts: (clips,) examples of each clip.
        wanted: examples that an epoch takes.
        turns: The clips are dealt to so many epochs, whose shuffle then chooses the `wanted` examples.
        buffer: examples that are shuffled together.
    """

    index: np.ndarray
    counts: np.ndarray
    wanted: int
    turns: int
    buffer: int

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def dealt(self) -> bool:
        """Whether the examples themselves are dealt to the epochs, because the shuffle would not choose each of them alike:
        where an epoch would read twice as many as it takes, or more than it takes and than are shuffled together.
        """
        given = -(-self.total // self.turns)
        return given >= 2 * self.wanted or (given > self.wanted and given > self.buffer)

    def of_epoch(self, epoch: int, seed: Sequence[int]) -> np.ndarray:
        """(wanted,) numbers in rising order: over the epochs each example comes up as often as any other, or once more."""
        order = np.random.default_rng(seed).permutation(self.total)
        return np.sort(order[np.arange(epoch * self.wanted, (epoch + 1) * self.wanted) % self.total])

    def clip_of(self, numbers: np.ndarray) -> np.ndarray:
        """Utterance numbers of examples."""
        return self.index[np.searchsorted(np.cumsum(self.counts), numbers, side="right")]

    def of_clips(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Example numbers -> (ends, parts), as `taken` wants them: the examples of utterance i are, within its own,
        parts[ends[i]:ends[i + 1]]."""
        first = np.zeros(1 + int(self.index.max()), "int64")
        first[self.index] = np.cumsum(self.counts) - self.counts
        clip = self.clip_of(numbers)
        return np.searchsorted(clip, np.arange(len(first) + 1)).astype("int64"), numbers - first[clip]

    def taken(self, ends, parts) -> Callable:
        """A function: (segments of a clip (segments,), its utterance number) -> those that `of_clips` named.

        Where augmentation makes more or fewer segments than were counted, as many are taken, spread alike.
        """
        counts = np.ones(1 + int(self.index.max()), "int64")
        counts[self.index] = self.counts
        counts = tf.constant(counts)

        def of(segments, index):
            chosen = parts[ends[index] : ends[index + 1]]
            return tf.gather(segments, chosen * tf.size(segments, tf.int64) // counts[index])

        return of
