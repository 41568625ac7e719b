"""Compute features of many clips outside training: the compiled front end runs over one long stream of clips."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ser.errors import UserError
from keras_ser.features import Frontend, fitted_derivative
from keras_ser.machine import cores
from keras_ser.pipelines.shared_memory import aligned_zeros, as_tensor
from keras_ser.pipelines.threads import in_order

ROW, ROWS = 256, 40
CALL = ROW * ROWS
SIDE = 4  # frames on either side that a delta depends on

Features = dict[str, np.ndarray]


class _Clip(NamedTuple):
    """A clip, the frame of the stream at which it begins (None: it is processed alone), and its number of frames."""

    waveform: np.ndarray
    first: int | None
    frames: int


class FeatureExtractor:
    """Compute the features of many clips: the same values as `frontend(waveform, length)`, faster.

        extract = FeatureExtractor(Frontend(("mfcc",)))
        for found in extract(read(path) for path in paths):
            found["mfcc"]  # (frames, 39)

    The clips are concatenated to a stream, separated by as much silence as frames depend on: nothing is computed for padding, and
    every call has the same shape, so that it is compiled once (which takes a second) and processes the stream in rows that fit a
    core's cache. Steps that depend on all frames of a clip (endpoints, normalisation, statistics) are computed in a batch for the
    clips of a call. For a single clip the front end itself is faster. Extraction is fastest if each TensorFlow operation uses one
    thread (`tf.config.threading.set_intra_op_parallelism_threads(1)`).

    Args:
        frontend: the front end. With "short_term", which depends on whole clips, it is applied clip by clip, as it is to a clip
            that does not fit into a call of `CALL` frames.
        threads: number of concurrent calls. Default: one more than the cores that the process may use, so that no core is idle
            while a call begins or ends.
    """

    def __init__(self, frontend: Frontend, threads: int | None = None):
        hop, (before, behind) = frontend.hop, frontend.reach
        self.frontend = frontend
        self.threads = threads or cores() + 1
        self.before = -(-before // hop)  # frames
        self.row = (self.before + ROW - 1 - (-behind // hop)) * hop + frontend.window  # samples
        self.samples = (CALL - ROW) * hop + self.row
        self.silence = max(before, behind, frontend.fft - frontend.window)  # samples
        self.room = 0 if "short_term" in frontend.features else CALL  # frames
        self.local = threading.local()
        self.alone = tf.function(lambda x: frontend(x), input_signature=[tf.TensorSpec((1, None), tf.float32)])
        if not self.room:
            return
        self.inputs = ["waveform"] * frontend.prosodic + ["emphasised"] * frontend.spectral
        self.counts = [tf.constant(rows) for rows in range(ROWS + 1)]
        streams = dict.fromkeys(self.inputs, tf.TensorSpec((self.samples,), tf.float32))
        around, count = tf.TensorSpec((CALL + 2 * SIDE,), tf.int32), tf.TensorSpec((), tf.int32)
        # the concrete function itself: a tf.function takes as long to examine its arguments as a row takes
        self.framewise = tf.function(self._framewise, jit_compile=True).get_concrete_function(streams, around, count)
        found = {
            name: tf.TensorSpec((None, None, spec.shape[-1]), tf.float32)
            for name, spec in self.framewise.structured_outputs.items()
        }
        mask = tf.TensorSpec((None, None), tf.bool)
        self.finish = tf.function(lambda found, mask: frontend.finish(found, mask), input_signature=[found, mask])

    def __call__(self, clips: Iterable[np.ndarray]) -> Iterator[Features]:
        """Yield feature -> (frames, bins) float32 for each clip, in order.

        Args:
            clips: (samples,) float in [-1, 1] each, at `frontend.sample_rate`; a generator is read `threads` + 1 calls ahead.

        Raises:
            UserError: a clip that is not a (samples,) array, or has no samples.
        """
        groups = ((group,) for group in _groups(self.frontend, clips, self.room, self.silence, self.threads))
        with ThreadPoolExecutor(self.threads) as pool:
            for found in in_order(self._features, groups, pool, ahead=self.threads + 1):
                yield from found

    def _framewise(self, streams, around, count):
        """Compute features frame by frame: feature -> (CALL, bins).

        `streams` are {name: (samples,)}, `around` is the result of `_around`, `count` the number of filled rows.
        """
        frontend = self.frontend

        def row(number):
            start = number * (ROW * frontend.hop)
            rows = {name: tf.slice(x, [start], [self.row])[None] for name, x in streams.items()}
            found = frontend.framewise(**rows)
            return {name: value[0, self.before : self.before + ROW] for name, value in found.items()}

        def step(number, tables):
            found = row(number)
            return number + 1, {name: table.write(number, found[name]) for name, table in tables.items()}

        shapes = tf.function(row).get_concrete_function(tf.TensorSpec((), tf.int32)).output_shapes
        tables = {name: tf.TensorArray(tf.float32, ROWS, element_shape=shape) for name, shape in shapes.items()}
        _, tables = tf.while_loop(lambda number, tables: number < count, step, (0, tables))
        found = {name: tf.reshape(table.stack(), (CALL, shapes[name][-1])) for name, table in tables.items()}
        if "mfcc" in found and frontend.deltas:
            sides = tf.gather(found["mfcc"], around)[None]
            deltas = [fitted_derivative(sides, order)[0] for order in range(1, frontend.deltas + 1)]
            found["mfcc"] = tf.concat([found["mfcc"], *deltas], axis=-1)
        return found

    def _features(self, group: list[_Clip]) -> list[Features]:
        """Return feature -> (frames, bins) of each clip of a group."""
        if group[0].first is None:
            return _valid(self.alone(group[0].waveform[None]))
        first, frames = np.array([[clip.first, clip.frames] for clip in group]).T
        rows = -(-(first[-1] + frames[-1]) // ROW)
        streams = {name: self._stream(group, name, rows) for name in self.inputs}
        around, tensor = self._memory("around", CALL + 2 * SIDE, np.int32)
        _around(first, frames, around)
        found = self.framewise(streams, tensor, self.counts[rows])
        found = {name: np.asarray(value) for name, value in found.items()}
        places = [slice(a, a + n) for a, n in zip(first, frames, strict=True)]
        if not self.frontend.finishes:
            return [{name: found[name][place].copy() for name in self.frontend.features} for place in places]
        mask = np.arange(frames.max()) < frames[:, None]
        together = {}
        for name, value in found.items():
            together[name] = np.zeros((*mask.shape, value.shape[-1]), np.float32)
            together[name][mask] = np.concatenate([value[place] for place in places])
        return _valid(self.finish(together, mask))

    def _stream(self, group: list[_Clip], name: str, rows: int) -> tf.Tensor:
        """Fill the first `rows` rows of a stream (samples,); it is valid until the thread's next call."""
        stream, tensor = self._memory(name, self.samples, np.float32)
        ends = 0
        for clip in group:
            start, x = (self.before + clip.first) * self.frontend.hop, clip.waveform
            stream[ends:start] = 0
            ends = start + len(x)
            place = stream[start:ends]
            if name == "emphasised" and self.frontend.preemphasis:
                # as `preemphasis`, which starts with x[-1] = x[0]
                np.multiply(x[:-1], np.float32(-self.frontend.preemphasis), out=place[1:])
                place[:1] = np.float32(-self.frontend.preemphasis) * x[:1]
                place += x
            else:
                place[:] = x
        stream[ends : (rows - 1) * ROW * self.frontend.hop + self.row] = 0
        return tensor

    def _memory(self, name: str, size: int, dtype: type) -> tuple[np.ndarray, tf.Tensor]:
        """Return (size,) values of this thread as an array and as a tensor that share their memory."""
        if not hasattr(self.local, name):
            array = aligned_zeros((size,), dtype)
            setattr(self.local, name, (array, as_tensor(array)))
        return getattr(self.local, name)


def _groups(
    frontend: Frontend, clips: Iterable[np.ndarray], room: int, silence: int, threads: int
) -> Iterator[list[_Clip]]:
    """Yield the clips, in order, in one list per call: at most `room` frames, with `silence` samples after each clip.

    The clips of the last call are divided among the threads.
    """
    group: list[_Clip] = []
    taken = 0
    for number, clip in enumerate(clips):
        clip = np.asarray(clip, np.float32)
        if clip.ndim != 1 or not len(clip):
            raise UserError(
                f"clip {number} must be an array (samples,) of at least one sample. Received: shape {clip.shape}."
            )
        whole = clip
        if frontend.samples:
            clip = _of_length(clip, frontend.samples, frontend.margin)
        frames = frontend.frames(len(clip))
        needed = max(frames + 2 * SIDE, -(-(max(len(clip), frontend.window) + silence) // frontend.hop))
        if group and taken + needed > room:
            yield group
            group, taken = [], 0
        if needed > room:
            yield [_Clip(whole, None, frames)]  # the front end gives it its length
        else:
            group.append(_Clip(clip, taken, frames))
            taken += needed
    share = max(ROW, -(-taken // threads))
    for _, part in groupby(group, key=lambda clip: clip.first // share):
        part = list(part)
        yield [clip._replace(first=clip.first - part[0].first) for clip in part]


def _of_length(clip: np.ndarray, samples: int, margin: int) -> np.ndarray:
    """Apply `keras_ser.features.fixed_length` to one clip."""
    first = max(0, len(clip) - samples) // 2
    clip = clip[first : first + samples]
    return np.pad(clip, (0, samples + margin - len(clip)))


def _around(first: np.ndarray, frames: np.ndarray, out: np.ndarray) -> None:
    """Write to `out`, (CALL + 2 SIDE,) int32, each frame of the stream, clipped to those of its clip; clips begin at `first`."""
    ends = np.append(first[1:], CALL + 2 * SIDE)  # the first place that belongs to the next clip
    repeats = np.diff(ends, prepend=0)
    out[:] = np.arange(-SIDE, CALL + SIDE)
    np.maximum(out, np.repeat(first.astype(np.int32), repeats), out=out)
    np.minimum(out, np.repeat((first + frames - 1).astype(np.int32), repeats), out=out)


def _valid(found) -> list[Features]:
    """Convert a front end's output to feature -> (frames, bins) of each clip, with its valid frames only."""
    found = {name: np.asarray(value) for name, value in found.items()}
    frames = found.pop("mask").sum(axis=1)
    return [{name: value[row, :n].copy() for name, value in found.items()} for row, n in enumerate(frames)]
