"""Choose the training segments of a clip: the data balance of the ASP-MTL paper (section IV-B, after Chen et al. 2020).

Clips of frequent classes contribute only their first and last segment, those of rare classes overlapping segments, and the
others adjacent segments (96 frames in the paper, every 24 frames for rare classes). Classes are rated by their counts in the
training split, not by a fixed list.
"""

from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf

RULES = ("usual", "frequent", "rare")


def rules(counts: Mapping[str, int]) -> dict[str, str]:
    """Return label -> "frequent" (more than 1.25 times the median count), "rare" (less than 0.75 times) or "usual".

    Args:
        counts: label -> number of clips in the training split; labels without a clip are left out of the median.
    """
    present = [n for n in counts.values() if n]
    median = float(np.median(present)) if present else 0.0
    return {
        label: "frequent" if n > 1.25 * median else "rare" if n < 0.75 * median else "usual"
        for label, n in counts.items()
    }


def class_weights(values: np.ndarray, counts: np.ndarray, classes: int) -> np.ndarray:
    """Return class weights n / (k n_c), (classes,) float32, for the k classes that occur; their mean over the n examples is 1.

    Args:
        values: (clips,) class of each clip.
        counts: (clips,) number of labelled examples that each clip gives.
        classes: number of classes.
    """
    found = np.bincount(values, counts, minlength=classes)
    present = found > 0
    return np.where(present, found.sum() / np.maximum(found, 1) / max(present.sum(), 1), 0).astype("float32")


def segment_starts(valid, rule, frames: int, hop: int, rare_hop: int):
    """Return the first frames of the segments of one clip, int32 (segments,), at least one.

    Args:
        valid: int32 scalar, the clip's number of frames.
        rule: int32 scalar, an index into `RULES`.
        frames: length of a segment in frames.
        hop: frames between segments of usual classes. An incomplete segment at the end is dropped, unless it is the only one.
        rare_hop: frames between segments of rare classes.
    """
    last = tf.maximum(valid - frames, 0)
    ends = tf.cond(last > 0, lambda: tf.stack([0, last]), lambda: tf.zeros([1], tf.int32))
    step = tf.where(tf.equal(rule, RULES.index("rare")), rare_hop, hop)
    return tf.cond(tf.equal(rule, RULES.index("frequent")), lambda: ends, lambda: tf.range(0, last + 1, step))


def segment_counts(valid: np.ndarray, rule: np.ndarray, frames: int, hop: int, rare_hop: int) -> np.ndarray:
    """Return the number of segments that `segment_starts` gives for each clip of `valid` frames, (clips,)."""
    last = np.maximum(np.asarray(valid) - frames, 0)
    step = np.where(rule == RULES.index("rare"), rare_hop, hop)
    return np.where(rule == RULES.index("frequent"), np.where(last > 0, 2, 1), last // step + 1)


def cut_segments(x: Mapping[str, tf.Tensor], starts, frames: int) -> dict[str, tf.Tensor]:
    """Cut one clip's features at `starts` (segments,); beyond the clip's end segments are zero and masked.

    {name: (frames of the clip, bins)} -> {name: (segments, frames, bins), "mask": (segments, frames)}.
    """
    valid = tf.shape(next(iter(x.values())))[0]
    at = starts[:, None] + tf.range(frames)[None, :]  # (segments, frames)
    mask = at < valid
    inside = tf.minimum(at, valid - 1)
    cut = {
        name: tf.where(mask[..., None], tf.gather(value, inside), tf.zeros([], value.dtype))
        for name, value in x.items()
    }
    return {**cut, "mask": mask}


def rule_table(corpus, task, ids: Collection[str], auxiliary: bool = False) -> np.ndarray:
    """Return the index into `balance.RULES` for each utterance, chosen by the class counts over the training ids."""
    column = [task.encode_utterance(u, corpus.name, auxiliary) for u in corpus]
    train = set(ids)
    counts = {label: 0 for label in task.labels}
    for utterance, (value, weight) in zip(corpus, column, strict=True):
        if weight and utterance.id in train:
            counts[task.labels[value]] += 1
    by_label = rules(counts)
    return np.array([RULES.index(by_label[task.labels[v]]) if w else 0 for v, w in column], "int32")
