"""One task stream: its clips in order, from cached waveforms through the front end, with noise mixed in.

What is drawn for a clip depends on seed, epoch and the clip's number, not on the clips beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ser.errors import UserError
from keras_ser.pipelines import augment
from keras_ser.pipelines.balance import RULES
from keras_ser.pipelines.batching import BATCH_CLIPS, BATCH_SECONDS, grouped
from keras_ser.tasks import Task

Labels = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Source:
    """One stream, ready to be read.

    Args:
        name: the stream's name.
        number: its `task_id`, the class of "source".
        cache: a `RecordCache`: waveforms by utterance number.
        indices: utterance numbers to read.
        labels: task -> (values, weights), arrays over the corpus's utterances.
        share: share of each batch.
        rules: index into `balance.RULES` for each utterance of the corpus.
        bank: noises to mix in, one waveform each; empty = none.
        bank_labels: class of each of the bank's noises in the task "noise"; of a stream without a bank, that of "clean" alone.
        snr: signal-to-noise ratios in dB to draw from.
        redraw: draw the noises anew in each epoch.
        origins: number of the recording that each window of the corpus was cut from; None = the clips are no windows.
        noise_odds: of the noise classes, where training labels are drawn by them instead of told (a control).
    """

    name: str
    number: int
    cache: object
    indices: np.ndarray
    labels: Labels
    share: float = 1.0
    rules: np.ndarray | None = None
    bank: tuple[np.ndarray, ...] = ()
    bank_labels: tuple[int, ...] = ()
    snr: tuple[float, ...] = ()
    redraw: bool = False
    origins: np.ndarray | None = None
    noise_odds: tuple[float, ...] = ()

    @property
    def noise_bytes(self) -> int:
        """Memory of the bank, its noises padded to the longest (`augment.stack_bank`)."""
        return 4 * len(self.bank) * max(map(len, self.bank), default=0)

    def batch_sizes(
        self, batch_size: int = BATCH_CLIPS, order: np.ndarray | None = None, samples: int = 0
    ) -> list[int]:
        """Clips of each batch: `batch_size`, or as many fewer as keep it, padded to its longest clip, at `BATCH_SECONDS`.

        Args:
            batch_size: clips a batch.
            order: utterance numbers in the order in which they are read; None = the corpus's.
            samples: of a stretch that is cut from longer clips; 0 = whole clips.
        """
        order = np.unique(self.indices) if order is None else order
        lengths = self.cache.lengths[np.searchsorted(self.cache.indices, order)]
        lengths = np.minimum(lengths, samples) if samples else lengths
        return [len(group) for group in grouped(lengths, int, batch_size, BATCH_SECONDS * self.cache.sample_rate)]


def encode_labels(
    corpus, tasks: Sequence[Task], untaught: Sequence[Task] = (), auxiliary: bool = False
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """task -> (values, weights) over the corpus's utterances, in order; "noise" is the stream's to know.

    Args:
        corpus: the corpus.
        tasks: what is encoded.
        untaught: those of them that the corpus does not teach: weight 0, whatever its labels.
        auxiliary: whether it is an auxiliary corpus; see `Task.encode_utterance`.

    Raises:
        ValueError: a label that the task does not know; the message names the utterance.
    """
    encoded = {}
    for task in tasks:
        rows = [(0, 0.0)] * len(corpus) if task in untaught else []
        for utterance in corpus if not rows else ():
            try:
                rows.append(task.encode_utterance(utterance, corpus.name, auxiliary))
            except ValueError as error:
                raise UserError(f"{corpus.name}, {utterance.id}: {error}") from None
        values, weights = zip(*rows, strict=True)
        encoded[task.name] = (np.array(values, "float32" if task.continuous else "int32"), np.array(weights, "float32"))
    return encoded


class Stretches(NamedTuple):
    """The clips, or random stretches of them, in random order.

    Args:
        samples: of a stretch; a shorter clip stays whole. 0 = all clips stay whole.
        drawn: (2,) integers that draw order and stretches.
    """

    samples: int
    drawn: np.ndarray

    def of(self, clip: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """A clip of the cache -> a stretch of it."""
        if not self.samples:
            return clip
        seed = tf.stack([tf.constant(self.drawn[1]), clip["index"]])
        waveform = augment.crop(clip["waveform"], self.samples, seed)
        return {**clip, "waveform": waveform, "length": tf.shape(waveform)[0]}


def drawn_seed(seed: int, epoch: int, number: int):
    """A two-number seed for everything drawn in one epoch of one stream."""
    return np.random.SeedSequence([seed, epoch, number]).generate_state(2, np.uint32).astype("int64") % 2**31


def padded(dataset: tf.data.Dataset, sizes: Sequence[int], shapes=None) -> tf.data.Dataset:
    """Consecutive elements in padded batches.

    Args:
        dataset: as many elements as all batches together.
        sizes: elements of each batch.
        shapes: see `tf.data.Dataset.padded_batch`.
    """
    if {*sizes[:-1]} <= {sizes[0]} and sizes[-1] <= sizes[0]:
        return dataset.padded_batch(sizes[0], shapes)
    batch_of, count = tf.constant(np.repeat(np.arange(len(sizes)), sizes)), tf.constant(sizes, tf.int64)
    return dataset.enumerate().group_by_window(
        lambda place, _: tf.gather(batch_of, place),
        lambda batch, elements: elements.map(lambda _, element: element).padded_batch(tf.gather(count, batch), shapes),
        window_size_func=lambda batch: tf.gather(count, batch),
    )


def _unbatch(features: Mapping[str, tf.Tensor], extra: Mapping[str, tf.Tensor]) -> tf.data.Dataset:
    """A batch of padded features -> its clips, trimmed to their valid frames."""
    valid = tf.reduce_sum(tf.cast(features["mask"], tf.int32), axis=1)
    rows = {name: value for name, value in features.items() if name != "mask"}
    dataset = tf.data.Dataset.from_tensor_slices((rows, dict(extra), valid))
    return dataset.map(lambda x, e, n: ({name: value[:n] for name, value in x.items()}, e))


def waveforms(
    source: Source,
    batch_size: int = BATCH_CLIPS,
    seed: int = 0,
    epoch: int = 0,
    clean: bool = False,
    stretches: Stretches | None = None,
) -> tf.data.Dataset:
    """One stream's clips, in order: batches of ({"waveform", "length"}, {"index", "noise"}), noises mixed in.

    Args:
        source: the stream.
        batch_size: clips a batch, or fewer where they are long (`Source.batch_sizes`); they are padded to the longest.
        seed, epoch: draw the noises, their stretches and SNRs.
        clean: hand on the waveform before the noise, too, as "clean".
        stretches: of each clip, instead of the whole.
    """
    if stretches:
        order = np.random.default_rng(stretches.drawn).permutation(source.indices)
        dataset = source.cache.dataset(order, keep_order=True).map(stretches.of)
        sizes = source.batch_sizes(batch_size, order, stretches.samples)
    else:
        dataset, sizes = source.cache.dataset(source.indices), source.batch_sizes(batch_size)
    dataset = padded(dataset, sizes, {"index": [], "waveform": [None], "length": []})
    drawn = drawn_seed(seed, epoch, source.number)
    bank = augment.stack_bank(source.bank) if source.bank else None
    classes = tf.constant(source.bank_labels or (0,) * max(1, len(source.bank)), tf.int32)

    def mixed(batch):
        waveform, length, index = batch["waveform"], batch["length"], batch["index"]
        before = {"clean": waveform} if clean else {}
        picked = tf.zeros_like(length)
        if bank is not None:
            each = tf.stack([tf.fill(tf.shape(index), tf.constant(drawn[0])), drawn[1] + index], axis=1)  # (batch, 2)
            waveform, picked = augment.mix_noise(waveform, length, *bank, snr=source.snr, seed=each)
        given = {"waveform": waveform, "length": length, **before}
        return given, {"index": index, "noise": tf.gather(classes, picked)}

    return dataset.map(mixed, num_parallel_calls=1, deterministic=True)


def clips(
    source: Source,
    extract: Callable,
    names: Sequence[str],
    *,
    seed: int = 0,
    epoch: int = 0,
    frame_targets: Callable | None = None,
    stretches: Stretches | None = None,
) -> tf.data.Dataset:
    """One stream's clips as features, in order: ({name: (frames, bins)}, {"index", "noise"}).

    Args:
        source: the stream.
        extract: {"waveform", "length"} -> {name: (batch, frames, bins), "mask": (batch, frames)}.
        names: the features to keep.
        seed, epoch: see `waveforms`.
        frame_targets: {"waveform", "length", "clean"} -> {name: (batch, frames, bins)}: what is learnt frame by frame; it
            goes the way of the features.
        stretches: see `waveforms`.
    """

    def features(given, extra):
        targets = frame_targets(given) if frame_targets else {}
        x = extract({name: given[name] for name in ("waveform", "length")})
        return {**{name: x[name] for name in (*names, "mask")}, **targets}, extra

    dataset = waveforms(source, seed=seed, epoch=epoch, clean=frame_targets is not None, stretches=stretches)
    return dataset.map(features, num_parallel_calls=1, deterministic=True).flat_map(_unbatch)


def rule_table(corpus, task: Task, ids: Sequence[str], find: Callable) -> np.ndarray:
    """`balance.RULES` index for each utterance, decided from the counts over the training ids."""
    column = [task.encode_utterance(u, corpus.name) for u in corpus]
    train = set(ids)
    counts = {label: 0 for label in task.labels}
    for utterance, (value, weight) in zip(corpus, column, strict=True):
        if weight and utterance.id in train:
            counts[task.labels[value]] += 1
    by_label = find(counts)
    return np.array([RULES.index(by_label[task.labels[v]]) if w else 0 for v, w in column], "int32")
