"""K task streams mixed in a batch: from cached waveforms through the front end to (inputs, targets, weights).

The path of a clip in training: waveform -> [noise mixed in] -> features -> augmentation -> segments, a crop or the whole -> batch.
If no random step precedes the features, they are computed once and kept in memory, provided that they fit into `memory_limit`.
Random choices for a clip depend on the seed, the epoch and the clip's number, not on other clips.
"""

import logging
import math
import weakref
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from keras_ser.errors import UserError
from keras_ser.features import Statistics
from keras_ser.pipelines import augment
from keras_ser.pipelines.balance import cut_segments, segment_counts, segment_starts
from keras_ser.pipelines.batching import TRAINING_SECONDS, stream_sizes
from keras_ser.pipelines.examples import Examples
from keras_ser.pipelines.feature_store import FeatureStore
from keras_ser.pipelines.joining import join_streams, with_masks
from keras_ser.pipelines.sources import Draw, Source, clips, drawn_seed
from keras_ser.settings import mask_of

SHUFFLE_EXAMPLES = 4096
MEMORY_LIMIT = 3 * 2**29
BATCH_FRAMES = round(100 * TRAINING_SECONDS)
_DEAL = 3000
# name of the target that holds the number of the stream
SOURCE = "stream/number"

LOG = logging.getLogger(__name__)


class TrainingData:
    """The training set of a split: feature statistics, and a data set for each epoch.

    Args:
        sources: the streams. The first, and its `rounds`, define the length of an epoch. Shorter streams repeat; longer ones are
            subsampled in rotation, so that over the epochs each example is used about equally often. What would fill less than half
            of a last batch is left out of the epoch, different examples in each.
        extract: see `clips`.
        names: input features of the network.
        sampling, augmentation: the recipe's `Sampling` and `Augment`.
        batch_size: examples in a batch, over all streams.
        seed: determines order, crops, noises and augmentation, together with the epoch.
        memory_limit: bytes to keep in memory, over all streams. A third is for shuffling, the rest for noises and features;
            features that do not fit are computed anew in each epoch.
        frame_targets: see `clips`; they are among the inputs of a batch, under their own names.
        stretch: samples of the stretches that `extract` cuts; 0 = none.
        samples: cut each clip to a random stretch of this length, another in each epoch; 0 = whole clips.
        measure: compute the `statistics` of the features. If False and `samples` is set, no clip is read before the first epoch,
            unless clips are cut into segments.
        weighted: task whose classes weigh the same in the examples of each stream; "" = none.
        batch_frames: largest number of frames in a batch, including padding. Clips that are too long for it ("whole" and "crop")
            are cut to a random stretch, another in each epoch, so that one long recording cannot exhaust memory.

    Attributes:
        statistics: feature -> `Statistics` of the training frames.
        steps: number of batches in each epoch.
        examples: `Examples` of each stream.
        left: bytes of the limit that are still available for features.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        extract: Callable,
        names: Sequence[str],
        sampling,
        augmentation,
        batch_size: int,
        seed: int = 0,
        memory_limit: int = MEMORY_LIMIT,
        frame_targets: Mapping[str, Callable] | None = None,
        samples: int = 0,
        stretch: int = 0,
        measure: bool = True,
        batch_frames: int = BATCH_FRAMES,
        weighted: str = "",
    ):
        self.sources, self.extract, self.names = tuple(sources), extract, tuple(names)
        self.sampling, self.augmentation, self.seed = sampling, augmentation, seed
        self.sizes = stream_sizes([source.share for source in self.sources], batch_size)
        self.frame_targets, self.samples, self.measure, self.stretch = frame_targets, samples, measure, stretch
        self.longest = batch_frames // sum(self.sizes)
        if sampling.kind == "crop":
            self.longest = min(sampling.frames, self.longest)
        self.shuffle_bytes = memory_limit // 3 // len(self.sources)
        self.left = max(0, memory_limit - memory_limit // 3 - sum(source.noise_bytes for source in self.sources))
        self._kept: list[FeatureStore | None] = []
        self.examples: list[Examples] = []
        self.statistics = {name: Statistics() for name in self.names}
        self.steps = 0
        self._first_pass()
        if weighted:
            pairs = zip(self.sources, self.examples, strict=True)
            self.sources = tuple(source.weighted(weighted, each.index, each.counts) for source, each in pairs)

    def _first_pass(self) -> None:
        """Compute statistics for the normalisation, count the frames of each clip, and keep the features that fit."""
        if self.samples and not self.measure and self.sampling.kind != "segments":
            for source in self.sources:
                self._kept.append(None)
                self._count(source, source.indices, np.ones(len(source.indices), int), 0)
            return
        room = self.left if not self.samples else 0
        for source in self.sources:
            valid = {}
            store = None if source.bank and source.redraw else FeatureStore(room)
            draw, ragged = source.draw(self.seed), False
            dataset = clips(source, self.extract, self.names, draw, frame_targets=self.frame_targets)
            for x, extra in dataset:
                x, number = {name: np.asarray(value) for name, value in x.items()}, int(extra["index"])
                for name in self.names if self.measure else ():
                    value = x[name] if self.stretch else x[name][None]  # (stretches or 1, frames, bins)
                    mask = x[mask_of(name)] if self.stretch else np.ones(value.shape[:2], bool)
                    self.statistics[name].update(value, mask)
                valid[number] = len(x[self.names[0]])
                ragged |= len({len(x[name]) for name in self.names}) > 1
                store = store if store and store.add(number, x, extra) else None
            if store:
                room -= store.close()
            self._kept.append(store)
            # bytes per frame, or per stretch
            width = sum(math.prod(value.shape[1:]) * value.dtype.size for value in dataset.element_spec[0].values())
            longest = max(valid.values(), default=0) * math.exp(self.augmentation.tempo)
            if ragged and not self.stretch and longest > self.longest:
                raise UserError(
                    f"{source.name}: clips of up to {longest:.0f} frames cannot be cut to the {self.longest} that a batch has room "
                    "for, since the front ends have different hops. Use a smaller batch_size, or frontend.seconds."
                )
            self._count(source, np.array([*valid]), np.array([*valid.values()]), width)
        self.left = self.left if self.samples else room

    def _count(self, source: Source, index: np.ndarray, valid: np.ndarray, width: int) -> None:
        """Count a stream's examples: clips `index` of `valid` frames of `width` bytes. The first stream sets `steps`."""
        s = self.sampling
        if self.stretch:
            counts, frames = valid, np.ones(valid.sum(), int)
        elif s.kind == "segments":
            counts = segment_counts(valid, self._rules(source)[index], s.frames, s.hop, s.rare_hop)
            frames = np.full(counts.sum(), s.frames)
        else:
            frames = valid * math.exp(self.augmentation.tempo)
            cut = int((frames > self.longest).sum())
            short = s.kind == "whole" or self.longest < s.frames
            if cut and short and not self.samples:
                LOG.warning(
                    "%s: %d of %d clips are longer than the %d frames that a batch of %d has room for, and are cut to a random "
                    "stretch in training. A smaller batch_size has room for more.",
                    *(source.name, cut, len(valid), self.longest, sum(self.sizes)),
                )
            counts, frames = np.ones(len(valid), int), np.minimum(frames, self.longest)
        number = len(self.examples)
        # the last batch is at least half full (rounding up): statistics of batch normalisation over one example mean nothing
        self.steps = self.steps or max(1, int(source.rounds * counts.sum() / self.sizes[number] + 0.5))
        # the largest number of examples that fit in any case
        fit = int(np.searchsorted(np.cumsum(np.sort(frames * width)[::-1]), self.shuffle_bytes, side="right"))
        buffer = SHUFFLE_EXAMPLES if fit >= min(len(frames), SHUFFLE_EXAMPLES) else max(1, fit)
        wanted = self.steps * self.sizes[number]
        turns = max(1, len(index) // wanted) if s.kind != "segments" else 1
        self.examples.append(Examples(index, counts, wanted, turns, buffer))

    def _rules(self, source: Source) -> np.ndarray:
        usual = np.zeros(1 + int(max(source.indices)), "int32")
        return source.rules if self.sampling.balance and source.rules is not None else usual

    def epoch(self, epoch: int) -> tf.data.Dataset:
        """Return the `steps` batches of one epoch; they depend only on (seed, epoch)."""
        return self.epochs(epoch, epoch + 1)

    def epochs(self, first: int, end: int) -> tf.data.Dataset:
        """Return the batches of the epochs from `first` up to but not including `end`, `steps` in each.

        The graph of an epoch is traced once; the random choices of an epoch are its inputs.
        """

        # TensorFlow never forgets a generator: it must not keep the features and the network
        kept = weakref.ref(self)

        def draws():
            data = kept()
            for epoch in range(first, end):
                yield tuple(data._draw(k, epoch) for k in range(len(data.sources)))

        spec = tuple(Draw.spec() for _ in self.sources)
        dataset = tf.data.Dataset.from_generator(draws, output_signature=spec)
        batches = dataset.flat_map(lambda *draws: self._batches(draws)).prefetch(2)
        batches.training = self  # alive as long as its data set
        return batches

    def _batches(self, draws: Sequence[Draw]) -> tf.data.Dataset:
        # `shuffle` also uses the graph's seed, which must not be 0 if its own seed is a tensor
        tf.compat.v1.set_random_seed(1)
        streams = [self._rounds(k, *each) for k, each in enumerate(zip(self.sources, draws, strict=True))]
        shapes = self._shapes(streams[0].element_spec)
        batches = [dataset.padded_batch(size, shapes) for dataset, size in zip(streams, self.sizes, strict=True)]
        # otherwise the other streams are read for another round when the first ends
        batches[1:] = [dataset.take(self.steps) for dataset in batches[1:]]
        joined = batches[0] if len(batches) == 1 else tf.data.Dataset.zip(tuple(batches)).map(join_streams)
        # tempo may leave the first stream fewer segments than were counted
        return joined.repeat().take(self.steps)

    def _draw(self, k: int, epoch: int) -> Draw:
        """Choose a stream's clips and examples for an epoch, and draw its random numbers."""
        source, examples = self.sources[k], self.examples[k]
        if examples.dealt:
            numbers = examples.of_epoch(epoch, [self.seed, source.number, _DEAL])
            order, dealt = np.unique(examples.clip_of(numbers)), examples.of_clips(numbers)
        else:
            order, dealt = np.random.default_rng([self.seed, source.number]).permutation(source.indices), ()
            order = np.sort(order[epoch % examples.turns :: examples.turns])
        # neighbours in the cache are often clips of one speaker, which a shuffle within a buffer would leave together
        if self._kept[k]:
            order = np.random.default_rng([self.seed, source.number, epoch, 1]).permutation(order)
        elif self.samples or examples.buffer < SHUFFLE_EXAMPLES:
            order = np.random.default_rng(drawn_seed(self.seed, epoch, 2000 + source.number)).permutation(order)
        draw = source.draw(self.seed, epoch, self.samples, order)
        return draw._replace(**dict(zip(("ends", "parts"), dealt, strict=False)))

    def _clips(self, k: int, source: Source, draw: Draw) -> tf.data.Dataset:
        """Return the features of an epoch's clips."""
        kept = self._kept[k]
        if kept:
            return kept.dataset(draw.clips)
        return clips(source, self.extract, self.names, draw, frame_targets=self.frame_targets, samples=self.samples)

    def _rounds(self, k: int, source: Source, draw: Draw) -> tf.data.Dataset:
        """Return a stream for an epoch. Short ones repeat, with other random choices in each round; the first by its `rounds`."""
        numbers = tf.data.Dataset.range(self.steps * self.sizes[k] if k or source.rounds > 1 else 1)
        return numbers.flat_map(lambda number: self._stream(k, source, draw.of_round(number, source.redraw)))

    def _stream(self, k: int, source: Source, draw: Draw) -> tf.data.Dataset:
        dataset = self._clips(k, source, draw)
        s, target = self.sampling, self._targets(source)
        cut = s.kind == "crop" or (s.kind == "whole" and not self.samples)

        def vary(x, extra):
            if self.stretch:
                return x, extra
            seed = tf.stack([draw.vary[1], extra["index"]])
            x = self.augmentation.apply(x, seed)
            if cut:
                # every feature is cut at the same place, since the seed is the same
                x = {name: augment.crop(value, self.longest, seed) for name, value in x.items()}
            return x, extra

        table = tf.constant(self._rules(source), tf.int32)
        part = self.examples[k].taken(draw.ends, draw.parts) if self.examples[k].dealt else None

        def segments(x, extra):
            valid = tf.shape(x[self.names[0]])[0]
            if self.stretch:
                starts = tf.range(valid)
            else:
                starts = segment_starts(valid, tf.gather(table, extra["index"]), s.frames, s.hop, s.rare_hop)
            starts = part(starts, extra["index"]) if part else starts
            rows = (
                {k: tf.gather(v, starts) for k, v in x.items()} if self.stretch else cut_segments(x, starts, s.frames)
            )
            return tf.data.Dataset.from_tensor_slices(
                (rows, {k: tf.fill(tf.shape(starts), v) for k, v in extra.items()})
            )

        dataset = dataset.map(vary, num_parallel_calls=2, deterministic=True)
        dataset = dataset.flat_map(segments) if s.kind == "segments" else dataset.map(with_masks)
        # stretches are already read in random order, and their features take much more memory than their samples
        if not self.samples or s.kind == "segments":
            dataset = dataset.shuffle(self.examples[k].buffer, seed=draw.vary[0], reshuffle_each_iteration=False)
        return dataset.map(target)

    def _targets(self, source: Source) -> Callable:
        tables = {task: (tf.constant(v), tf.constant(w)) for task, (v, w) in source.labels.items()}

        def mixed(task, extra):
            if task not in source.odds:
                return tf.gather(tf.constant(source.mixed[task], tf.int32), extra["mixed"])
            # the same for a clip in every stream and epoch, like a wrong label
            draw = tf.random.stateless_uniform([], tf.stack([tf.constant(self.seed, tf.int64), extra["index"]]))
            ends = tf.constant(np.cumsum(source.odds[task][:-1]), tf.float32)
            return tf.reduce_sum(tf.cast(draw >= ends, tf.int32))

        def target(x, extra):
            y = {task: tf.gather(v, extra["index"]) for task, (v, _) in tables.items()}
            w = {task: tf.gather(w, extra["index"]) for task, (_, w) in tables.items()}
            y |= {task: mixed(task, extra) for task in source.mixed}
            w |= {task: tf.ones([]) for task in source.mixed}
            return x, {**y, SOURCE: tf.constant(source.number)}, {**w, SOURCE: tf.ones([])}

        return target

    def _shapes(self, example):
        """Return the shapes to pad examples to."""
        x, y, w = tf.nest.map_structure(lambda spec: list(spec.shape), example)
        if self.sampling.kind == "segments" and not self.stretch:
            x = {name: [self.sampling.frames, *shape[1:]] for name, shape in x.items()}
        return x, y, w
