"""K task streams mixed in a batch: from cached waveforms through the front end to (inputs, targets, weights).

The way of a clip in training: waveform -> [noise mixed in] -> features -> segments, a crop, or the whole -> augmentation -> batch.
Where nothing random stands before the features they are computed once and kept in memory, if they fit into `memory_limit`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_ser.features import Statistics
from keras_ser.pipelines import augment
from keras_ser.pipelines.balance import RULES, cut_segments, segment_count, segment_starts
from keras_ser.tasks import Task

EXTRACT_BATCH = 32
SHUFFLE_EXAMPLES = 4096
MEMORY_LIMIT = 2**30

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
        bank_labels: class of each of the bank's noises in the task "noise".
        snr: signal-to-noise ratios in dB to draw from.
        redraw: draw the noises anew in each epoch.
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


def encode_labels(corpus, tasks: Sequence[Task]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """task -> (values, weights) over the corpus's utterances, in order; "noise" is the stream's to know.

    Raises:
        ValueError: a label that the task does not know; the message names the utterance.
    """
    encoded = {}
    for task in tasks:
        rows = []
        for utterance in corpus:
            try:
                rows.append(task.encode(utterance.column(task.column)))
            except ValueError as error:
                raise ValueError(f"{corpus.name}, {utterance.id}: {error}") from None
        values, weights = zip(*rows, strict=True)
        encoded[task.name] = (np.array(values, "float32" if task.continuous else "int32"), np.array(weights, "float32"))
    return encoded


def _seed(seed: int, epoch: int, number: int):
    """A two-number seed for everything drawn in one epoch of one stream."""
    return np.random.SeedSequence([seed, epoch, number]).generate_state(2, np.uint32).astype("int64") % 2**31


def _unbatch(features: Mapping[str, tf.Tensor], extra: Mapping[str, tf.Tensor]) -> tf.data.Dataset:
    """A batch of padded features -> its clips, trimmed to their valid frames."""
    valid = tf.reduce_sum(tf.cast(features["mask"], tf.int32), axis=1)
    rows = {name: value for name, value in features.items() if name != "mask"}
    dataset = tf.data.Dataset.from_tensor_slices((rows, dict(extra), valid))
    return dataset.map(lambda x, e, n: ({name: value[:n] for name, value in x.items()}, e))


def waveforms(source: Source, batch_size: int = EXTRACT_BATCH, seed: int = 0, epoch: int = 0) -> tf.data.Dataset:
    """One stream's clips, in order: batches of ({"waveform", "length"}, {"index", "noise"}), noises mixed in.

    Args:
        source: the stream.
        batch_size: clips a batch; they are padded to the longest.
        seed, epoch: draw the noises, their stretches and SNRs.
    """
    dataset = source.cache.dataset(source.indices)
    dataset = dataset.padded_batch(batch_size, {"index": [], "waveform": [None], "length": []})
    drawn = _seed(seed, epoch, source.number)
    bank = augment.stack_bank(source.bank) if source.bank else None
    classes = tf.constant(source.bank_labels or (0,) * max(1, len(source.bank)), tf.int32)

    def mixed(position, batch):
        waveform, length = batch["waveform"], batch["length"]
        kind = tf.zeros_like(length)
        if bank is not None:
            at = tf.stack([tf.constant(drawn[0]), tf.constant(drawn[1]) + position])
            waveform, picked = augment.mix_noise(waveform, length, *bank, snr=source.snr, seed=at)
            kind = tf.gather(classes, picked)
        return {"waveform": waveform, "length": length}, {"index": batch["index"], "noise": kind}

    return dataset.enumerate().map(mixed, num_parallel_calls=1, deterministic=True)


def clips(
    source: Source, extract: Callable, names: Sequence[str], *, seed: int = 0, epoch: int = 0
) -> tf.data.Dataset:
    """One stream's clips as features, in order: ({name: (frames, bins)}, {"index", "noise"}).

    Args:
        source: the stream.
        extract: {"waveform", "length"} -> {name: (batch, frames, bins), "mask": (batch, frames)}.
        names: the features to keep.
        seed, epoch: see `waveforms`.
    """

    def features(given, extra):
        x = extract(given)
        return {name: x[name] for name in (*names, "mask")}, extra

    dataset = waveforms(source, seed=seed, epoch=epoch)
    return dataset.map(features, num_parallel_calls=1, deterministic=True).flat_map(_unbatch)


class TrainingData:
    """The training side of a split: statistics once, then one data set an epoch.

    Args:
        sources: the streams; the first sets the length of an epoch, the others go round.
        extract: see `clips`.
        names: features that the network takes.
        tasks: the recipe's tasks.
        sampling, augmentation: the recipe's `Sampling` and `AugmentConfig`.
        batch_size: examples a batch, over all streams.
        seed: draws order, crops, noises and augmentation, together with the epoch.
        memory_limit: bytes of features to keep in memory; streams over it are computed anew each epoch.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        extract: Callable,
        names: Sequence[str],
        tasks: Sequence[Task],
        sampling,
        augmentation,
        batch_size: int,
        seed: int = 0,
        memory_limit: int = MEMORY_LIMIT,
    ):
        self.sources, self.extract, self.names, self.tasks = tuple(sources), extract, tuple(names), tuple(tasks)
        self.sampling, self.augmentation, self.seed = sampling, augmentation, seed
        whole = sum(source.share for source in self.sources)
        self.sizes = [max(1, round(batch_size * source.share / whole)) for source in self.sources]
        self.memory_limit = memory_limit
        self._kept: dict[int, tf.data.Dataset] = {}
        self.statistics = Statistics()
        self.steps = 0
        self._first_pass()

    def _first_pass(self) -> None:
        """Sums for the normalisation over the training streams, frames of each clip, and the kept features."""
        for k, source in enumerate(self.sources):
            dataset = clips(source, self.extract, self.names, seed=self.seed)
            valid, index, size = [], [], 0
            kept = None if source.bank and source.redraw else dataset.cache()
            for x, extra in kept or dataset:
                joined = np.concatenate([np.asarray(x[name]) for name in self.names], axis=-1)  # (frames, bins)
                self.statistics.update(joined[None], np.ones((1, len(joined)), bool))
                valid.append(len(joined))
                index.append(int(extra["index"]))
                size += joined.nbytes
            if kept is not None and size <= self.memory_limit:
                self._kept[k] = kept
            if k == 0:
                self.steps = -(-self._examples(source, np.array(valid), np.array(index)) // self.sizes[0])

    def _examples(self, source: Source, valid: np.ndarray, index: np.ndarray) -> int:
        s = self.sampling
        if s.kind != "segments":
            return len(valid)
        return segment_count(valid, self._rules(source)[index], s.frames, s.hop, s.rare_hop)

    def _rules(self, source: Source) -> np.ndarray:
        usual = np.zeros(1 + int(max(source.indices)), "int32")
        return source.rules if self.sampling.balance and source.rules is not None else usual

    def epoch(self, epoch: int) -> tf.data.Dataset:
        """The batches of one epoch; the same for the same (seed, epoch)."""
        streams = []
        for k, (source, size) in enumerate(zip(self.sources, self.sizes, strict=True)):
            dataset = self._stream(k, source, epoch)
            if k:
                dataset = dataset.repeat()
            streams.append(dataset.padded_batch(size, self._shapes()))
        if len(streams) == 1:
            return streams[0].prefetch(2)
        return tf.data.Dataset.zip(tuple(streams)).map(_join).prefetch(2)

    def _stream(self, k: int, source: Source, epoch: int) -> tf.data.Dataset:
        drawn = _seed(self.seed, epoch, 1000 + source.number)
        dataset = self._kept.get(k)
        if dataset is None:
            dataset = clips(source, self.extract, self.names, seed=self.seed, epoch=epoch if source.redraw else 0)
        s, target = self.sampling, self._targets(source)

        def vary(i, item):
            x, extra = item
            seed = tf.stack([tf.constant(drawn[1], tf.int64), i])
            x = self.augmentation.apply(x, seed)
            if s.kind == "crop":
                # every feature is cut at the same place, for the seed is the same
                x = {name: augment.crop(value, s.frames, seed) for name, value in x.items()}
            return x, extra

        def whole(x, extra):
            return {**x, "mask": tf.ones([tf.shape(next(iter(x.values())))[0]], tf.bool)}, extra

        table = tf.constant(self._rules(source), tf.int32)

        def segments(x, extra):
            valid = tf.shape(next(iter(x.values())))[0]
            starts = segment_starts(valid, tf.gather(table, extra["index"]), s.frames, s.hop, s.rare_hop)
            extras = {name: tf.fill(tf.shape(starts), value) for name, value in extra.items()}
            return tf.data.Dataset.from_tensor_slices((cut_segments(x, starts, s.frames), extras))

        dataset = dataset.enumerate().map(vary, num_parallel_calls=2, deterministic=True)
        dataset = dataset.flat_map(segments) if s.kind == "segments" else dataset.map(whole)
        dataset = dataset.shuffle(SHUFFLE_EXAMPLES, seed=int(drawn[0]), reshuffle_each_iteration=False)
        return dataset.map(target)

    def _targets(self, source: Source) -> Callable:
        tables = {task: (tf.constant(v), tf.constant(w)) for task, (v, w) in source.labels.items()}

        def target(x, extra):
            y = {task: tf.gather(v, extra["index"]) for task, (v, _) in tables.items()}
            w = {task: tf.gather(w, extra["index"]) for task, (_, w) in tables.items()}
            if any(task.name == "noise" for task in self.tasks):
                y["noise"], w["noise"] = extra["noise"], tf.ones([])
            y["source"], w["source"] = tf.constant(source.number), tf.ones([])
            return x, y, w

        return target

    def _shapes(self):
        frames = self.sampling.frames if self.sampling.kind == "segments" else None
        example = self._stream(0, self.sources[0], 0).element_spec
        x, y, w = tf.nest.map_structure(lambda spec: list(spec.shape), example)
        x = {name: [frames] if name == "mask" else [frames, shape[-1]] for name, shape in x.items()}
        return x, y, w


def _join(*streams):
    """Batches of K streams -> one, padded to the longest."""
    xs, ys, ws = zip(*streams, strict=True)
    longest = tf.reduce_max([tf.shape(x["mask"])[1] for x in xs])

    def padded(value):
        gap = longest - tf.shape(value)[1]
        return tf.pad(value, [[0, 0], [0, gap]] + [[0, 0]] * (len(value.shape) - 2))

    x = {name: tf.concat([padded(x[name]) for x in xs], 0) for name in xs[0]}
    y = {name: tf.concat([y[name] for y in ys], 0) for name in ys[0]}
    w = {name: tf.concat([w[name] for w in ws], 0) for name in ws[0]}
    return x, y, w


def evaluation_batches(source: Source, extract: Callable, names: Sequence[str], batch_size: int = 32, seed: int = 0):
    """Every clip once, whole, in order: batches of ({name, "mask"}, {"index", "noise"})."""
    dataset = clips(source, extract, names, seed=seed)

    def with_mask(x, extra):
        return {**x, "mask": tf.ones([tf.shape(next(iter(x.values())))[0]], tf.bool)}, extra

    return dataset.map(with_mask).padded_batch(batch_size)


def rule_table(corpus, task: Task, ids: Sequence[str], find: Callable) -> np.ndarray:
    """`balance.RULES` index for each utterance, decided from the counts over the training ids."""
    column = [task.encode(u.column(task.column)) for u in corpus]
    train = set(ids)
    counts = {label: 0 for label in task.labels}
    for utterance, (value, weight) in zip(corpus, column, strict=True):
        if weight and utterance.id in train:
            counts[task.labels[value]] += 1
    by_label = find(counts)
    return np.array([RULES.index(by_label[task.labels[v]]) if w else 0 for v, w in column], "int32")
