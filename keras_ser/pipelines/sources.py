"""One task stream: its clips in order, from cached waveforms through the front end, with noise mixed in.

Random choices for a clip depend on the seed, the epoch and the clip's number, not on other clips.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ser.errors import UserError
from keras_ser.pipelines import augment
from keras_ser.pipelines.balance import class_weights
from keras_ser.pipelines.batching import BATCH_CLIPS, BATCH_SECONDS, grouped
from keras_ser.settings import STRETCH, mask_of
from keras_ser.tasks import Task

Labels = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Source:
    """One stream of clips with labels.

    Args:
        name: the stream's name.
        number: its `task_id`, the class of "source".
        cache: a `RecordCache`: waveforms by utterance number.
        indices: utterance numbers to read.
        labels: task -> (values, weights), arrays over the corpus's utterances.
        share: share of the stream in each batch.
        rules: index into `balance.RULES` for each utterance of the corpus.
        bank: noises to mix in, one waveform each; empty = none.
        mixed: task -> class of each noise in the bank, or, without a bank, the class of all clips in the stream. These are
            the tasks with labels that depend on the stream, not on the corpus (`keras_ser.settings.of_stream`).
        snr: signal-to-noise ratios in dB to draw from.
        redraw: draw the noises anew in each epoch.
        origins: number of the recording that each window of the corpus was cut from; None = the clips are not windows.
        odds: task of `mixed` -> share of each class; the labels of these tasks are drawn at random, independently of the noise (a
            control experiment).
        rounds: how often an epoch of the first stream reads its clips, on average: more than once where clips were left out, so
            that the epoch is as long as with them.
    """

    name: str
    number: int
    cache: object
    indices: np.ndarray
    labels: Labels
    share: float = 1.0
    rules: np.ndarray | None = None
    bank: tuple[np.ndarray, ...] = ()
    mixed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    snr: tuple[float, ...] = ()
    redraw: bool = False
    origins: np.ndarray | None = None
    odds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    rounds: float = 1.0

    @property
    def noise_bytes(self) -> int:
        """Memory of the bank in bytes, with its noises padded to the longest (`augment.stack_bank`)."""
        return 4 * len(self.bank) * max(map(len, self.bank), default=0)

    def weighted(self, task: str, index: np.ndarray, counts: np.ndarray | int = 1) -> "Source":
        """Return the source with weights of a task such that each of its classes weighs the same in all examples together.

        Args:
            task: name of a task with classes.
            index, counts: (clips,) utterance numbers, and their numbers of examples.
        """
        values, weights = self.labels[task]
        factors = class_weights(values[index], weights[index] * counts, 1 + int(values.max()))
        return replace(self, labels={**self.labels, task: (values, weights * factors[values])})

    def targets(self, task: str, index: np.ndarray, mixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels of clips of this stream: (values, weights), (clips,) each.

        Args:
            task: name of the task.
            index, mixed: (clips,) utterance numbers, and the numbers of the noises in the bank that were mixed in.
        """
        if task not in self.mixed:
            values, weights = self.labels[task]
            return values[index], weights[index]
        values = np.array(self.mixed[task])[mixed]
        if task in self.odds:
            drawn = np.random.default_rng([self.number, len(index)])
            values = drawn.choice(len(self.odds[task]), len(index), p=self.odds[task])
        return values, np.ones(len(index), "float32")

    def batch_sizes(self, order: np.ndarray, samples: int = 0) -> np.ndarray:
        """Return the number of clips of each batch: at most `BATCH_CLIPS`, and at most `BATCH_SECONDS` including padding.

        The clips are read in `order`; longer clips are cut to a stretch of `samples`, 0 = whole clips.
        """
        lengths = self.cache.lengths[np.searchsorted(self.cache.indices, order)]
        lengths = np.minimum(lengths, samples) if samples else lengths
        return np.array([len(g) for g in grouped(lengths, int, BATCH_CLIPS, BATCH_SECONDS * self.cache.sample_rate)])

    def draw(self, seed: int, epoch: int = 0, samples: int = 0, order: np.ndarray | None = None) -> "Draw":
        """Draw what is random in one pass over the stream, in `order` (default: the corpus's); `samples`: see `batch_sizes`."""
        clips = np.unique(self.indices) if order is None else order
        return Draw(
            clips=clips.astype("int64"),
            sizes=self.batch_sizes(clips, samples=samples),
            noise=drawn_seed(seed, epoch if self.redraw else 0, self.number),
            vary=drawn_seed(seed, epoch, 1000 + self.number),
            stretch=drawn_seed(seed, epoch, 2000 + self.number),
        )


class Draw(NamedTuple):
    """Random choices for one pass over a stream, as arrays, so that one graph serves every epoch.

    Args:
        clips: (clips,) utterance numbers in reading order.
        sizes: (batches,) number of clips of each batch, see `Source.batch_sizes`.
        noise: (2,) seed of noises, their stretches and SNRs.
        vary: (2,) seed of shuffling, augmentation and crops.
        stretch: (2,) seed of stretches of the waveforms.
        ends, parts: see `examples.Examples.of_clips`; empty if every example of the clips is used.
    """

    clips: np.ndarray
    sizes: np.ndarray
    noise: np.ndarray
    vary: np.ndarray
    stretch: np.ndarray
    ends: np.ndarray = np.zeros(0, "int64")
    parts: np.ndarray = np.zeros(0, "int64")

    @classmethod
    def spec(cls) -> "Draw":
        """Return the tensor specs of a draw."""
        shapes = {"noise": [2], "vary": [2], "stretch": [2]}
        return cls(**{name: tf.TensorSpec(shapes.get(name, [None]), tf.int64) for name in cls._fields})

    def of_round(self, number: tf.Tensor, redraw: bool) -> "Draw":
        """Return the choices for a stream's repetition `number` within the epoch: the first is this one; `redraw`: see `Source`."""
        return self._replace(
            **{name: getattr(self, name) + number for name in ("vary", "stretch", *("noise",) * redraw)}
        )


def encode_labels(
    corpus, tasks: Sequence[Task], untaught: Sequence[Task] = (), auxiliary: bool = False
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Encode labels: task -> (values, weights) over the corpus's utterances, in order.

    Args:
        corpus, tasks: the corpus, and the tasks to encode.
        untaught: those of `tasks` that are not learnt from this corpus: weight 0, whatever its labels.
        auxiliary: see `Task.encode_utterance`.

    Raises:
        UserError: a label that is unknown to the task; the message names the utterance.
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


def drawn_seed(seed: int, epoch: int, number: int):
    """Return a seed of two integers for one epoch of one stream."""
    return np.random.SeedSequence([seed, epoch, number]).generate_state(2, np.uint32).astype("int64") % 2**31


def padded(dataset: tf.data.Dataset, source: Source, draw: Draw, shapes=None, samples: int = 0) -> tf.data.Dataset:
    """Batch a stream's clips, one element each in the order of `draw.clips`, into padded batches of `draw.sizes`."""
    longest = min(samples or np.inf, max(source.cache.lengths))
    if longest * BATCH_CLIPS <= BATCH_SECONDS * source.cache.sample_rate:
        return dataset.padded_batch(BATCH_CLIPS, shapes)
    batch_of = tf.repeat(tf.range(tf.size(draw.sizes, tf.int64)), draw.sizes)
    sizes = tf.convert_to_tensor(draw.sizes, tf.int64)
    return dataset.enumerate().group_by_window(
        lambda place, _: tf.gather(batch_of, place),
        lambda batch, elements: elements.map(lambda _, element: element).padded_batch(tf.gather(sizes, batch), shapes),
        window_size_func=lambda batch: tf.gather(sizes, batch),
    )


def _unbatch(features: Mapping[str, tf.Tensor], extra: Mapping[str, tf.Tensor]) -> tf.data.Dataset:
    """Split a batch of padded features into its clips, trimmed to their valid frames or, for stretches, their own stretches."""
    rows = dict(features)
    if STRETCH in rows:
        stretch = rows.pop(STRETCH)  # (clips, stretches)
        shapes = {name: [None, *x.shape[1:]] for name, x in rows.items()}
        rows = {name: tf.reshape(x, tf.concat([tf.shape(stretch), tf.shape(x)[1:]], 0)) for name, x in rows.items()}
        valid = dict.fromkeys(rows, tf.math.count_nonzero(stretch, axis=1, dtype=tf.int32))
    else:
        masks = {name: rows.pop(name) for name in features if name.rpartition(".")[2] == "mask"}
        shapes = {name: [None, *x.shape[2:]] for name, x in rows.items()}
        frames = {name: tf.reduce_sum(tf.cast(mask, tf.int32), axis=1) for name, mask in masks.items()}
        valid = {name: frames[mask_of(name)] for name in rows}
    dataset = tf.data.Dataset.from_tensor_slices((rows, dict(extra), valid))
    return dataset.map(lambda x, e, n: ({k: tf.ensure_shape(v[: n[k]], shapes[k]) for k, v in x.items()}, e))


def waveforms(source: Source, draw: Draw, clean: bool = False, samples: int = 0) -> tf.data.Dataset:
    """Return one stream's clips, in order, with noise: batches of ({"waveform", "length"}, {"index", "mixed"}).

    Args:
        source: the stream.
        draw: the random choices, from `Source.draw`.
        clean: also return the waveform without noise, as "clean".
        samples: cut longer clips to a random stretch of this length; 0 = whole clips.

    Returns:
        Dataset of padded batches; "mixed" is the number of the noise in the bank, 0 without a bank.
    """

    def stretch(clip):
        waveform = augment.crop(clip["waveform"], samples, tf.stack([draw.stretch[1], clip["index"]]))
        return {**clip, "waveform": waveform, "length": tf.shape(waveform)[0]}

    dataset = source.cache.dataset(draw.clips)
    dataset = dataset.map(stretch) if samples else dataset
    dataset = padded(dataset, source, draw, {"index": [], "waveform": [None], "length": []}, samples)
    # outside any graph being traced: a graph's constants are copied several times, and are limited to 2 GB
    with tf.init_scope():
        bank = augment.stack_bank(source.bank) if source.bank else None

    def mixed(batch):
        waveform, length, index = batch["waveform"], batch["length"], batch["index"]
        before = {"clean": waveform} if clean else {}
        picked = tf.zeros_like(length)
        if bank is not None:
            each = tf.stack([tf.fill(tf.shape(index), draw.noise[0]), draw.noise[1] + index], axis=1)  # (batch, 2)
            waveform, picked = augment.mix_noise(waveform, length, *bank, snr=source.snr, seed=each)
        given = {"waveform": waveform, "length": length, **before}
        return given, {"index": index, "mixed": picked}

    return dataset.map(mixed, num_parallel_calls=1, deterministic=True)


def _selected(x: Mapping[str, tf.Tensor], names: Sequence[str]) -> dict[str, tf.Tensor]:
    """Return the named features of an extractor's output, with their masks and stretches."""
    masks = dict.fromkeys(map(mask_of, names))
    return {name: x[name] for name in (*names, *masks, STRETCH) if name in x}


def clips(
    source: Source,
    extract: Callable,
    names: Sequence[str],
    draw: Draw,
    *,
    frame_targets: Mapping[str, Callable] | None = None,
    samples: int = 0,
) -> tf.data.Dataset:
    """Return one stream's clips as features, in order: ({name: (frames, bins)}, {"index", "mixed"}).

    With an extractor that cuts stretches, features and masks are (stretches, frames, bins) and (stretches, frames).

    Args:
        source, draw, samples: see `waveforms`.
        extract: {"waveform", "length"} -> features and masks, e.g. `keras_ser.models.whole_model.extractor`.
        names: the features to keep.
        frame_targets: name -> a function {"waveform", "length", "clean"} -> (batch, frames, bins) of the targets of each
            frame, which are then treated like features.
    """

    def features(given, extra):
        x = extract({name: given[name] for name in ("waveform", "length")})
        targets = {name: compute(given) for name, compute in (frame_targets or {}).items()}
        return {**_selected(x, names), **targets}, extra

    dataset = waveforms(source, draw, clean=bool(frame_targets), samples=samples)
    return dataset.map(features, num_parallel_calls=1, deterministic=True).flat_map(_unbatch)


@tf.autograph.experimental.do_not_convert
def evaluation_batches(source: Source, extract: Callable, names: Sequence[str], seed: int = 0) -> tf.data.Dataset:
    """Return every clip once, whole, in order: batches of (features and masks, {"index", "mixed"}), smaller if clips are long."""

    def features(given, extra):
        x = _selected(extract(given), names)
        if STRETCH not in x:
            masks = dict.fromkeys(map(mask_of, names))
            longest = {mask: tf.reduce_max(tf.reduce_sum(tf.cast(x[mask], tf.int32), axis=1)) for mask in masks}
            x = {name: value[:, : longest[mask_of(name)]] for name, value in x.items()}
        return x, extra

    return waveforms(source, source.draw(seed)).map(features, num_parallel_calls=1, deterministic=True)
