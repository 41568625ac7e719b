"""The waveform cache: every utterance of a corpus decoded and resampled once, in one TFRecord file.

A cache consists of two files in a folder, `<corpus>-<fingerprint>.tfrecord` and the same with `.json`. Both are written under
another name and renamed when they are complete, the JSON file last. Without it there is no cache, and it holds the size that
the records must have, so that an interrupted run or a full disk cannot leave an incomplete cache that looks complete. The
fingerprint covers the corpus's name, its utterances and their files' sizes and times, the rate and the format: if any of these
changes, a new cache is written beside the old one. An old cache whose source files have changed is deleted a week after it was
last opened (`remove_outdated`); others may be deleted by hand.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import re
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ser.audio import AudioError, read
from keras_ser.audio.pyav_decoder import NEEDED
from keras_ser.audio.waveforms import SHORTEST_SECONDS
from keras_ser.corpora.corpus import Corpus, CorpusError
from keras_ser.errors import UserError
from keras_ser.files import lock
from keras_ser.machine import cores
from keras_ser.pipelines.record_writer import (
    FORMAT,
    FRAMING,
    bad_files,
    check_space,
    file_stats,
    remove_outdated,
    write,
)

READ_BUFFER = 2**20
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordCache:
    """A complete cache on disk; made by `cache`.

    Args:
        path: the TFRecord file.
        sample_rate: Hz.
        fingerprint: fingerprint of the corpus and settings (see `corpus_fingerprint`).
        ids: ids of the utterances in the file, in the corpus's order.
        indices: their numbers in the corpus, int64 (utterances,); a dropped utterance leaves a gap.
        lengths: their lengths in samples, int64 (utterances,).
        hashes: id -> SHA-1 of the decoded samples; equal hashes mean copies of the same audio. Silent clips, which are copies of
            nothing, have none.
        problems: id -> problems of a waveform in the file ("silent", "shorter than one window", "clipped", ..).
        dropped: id -> reason why an utterance is not in the file (only with `bad="drop"`).
    """

    path: Path
    sample_rate: int
    fingerprint: str
    ids: tuple[str, ...]
    indices: np.ndarray
    lengths: np.ndarray
    hashes: Mapping[str, str]
    problems: Mapping[str, tuple[str, ...]]
    dropped: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.ids)

    def dataset(self, indices=None) -> tf.data.Dataset:
        """Return the waveforms as a dataset that reads them from disk on demand.

        Args:
            indices: numbers of utterances in the corpus, (clips,), in reading order; None = all. A symbolic tensor is not
                checked in advance.

        Returns:
            Elements {"index": int64 (), "waveform": float32 (samples,), "length": int32 ()}.

        Raises:
            UserError: an index that is not in the cache: out of range, or dropped.
        """
        if indices is None:
            return tf.data.TFRecordDataset(str(self.path), buffer_size=READ_BUFFER).map(_parse).apply(_known(len(self)))
        asked = tf.get_static_value(indices) if tf.is_tensor(indices) else np.asarray(indices, np.int64)
        if asked is not None:
            strays = np.setdiff1d(asked, self.indices)
            if strays.size:
                shown = ", ".join(map(str, strays[:10]))
                raise UserError(f"`indices` must be utterances in the cache. Received, but not in it: {shown}.")
        spec = tf.TensorSpec((), tf.string)
        records = tf.data.Dataset.from_generator(
            self._payloads, args=(tf.cast(indices, tf.int64),), output_signature=spec
        )
        records = records.map(_parse)
        return records if asked is None else records.apply(_known(asked.size))

    def _payloads(self, indices: np.ndarray) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            for place in np.searchsorted(self.indices, indices):
                first, size = self._places[place]
                file.seek(first)
                yield file.read(size)

    @functools.cached_property
    def _places(self) -> list[tuple[int, int]]:
        """(offset, size) of each record's payload in bytes.

        A record consists of its length (8 bytes), a checksum (4), the payload and another checksum (4).
        """
        found, at = [], 0
        with open(self.path, "rb") as file:
            for _ in range(len(self)):
                file.seek(at)
                (size,) = struct.unpack("<Q", file.read(8))
                found.append((at + 12, size))
                at += size + FRAMING
        return found


def cache(
    corpus: Corpus,
    folder: str | os.PathLike,
    sample_rate: int = 16000,
    bad: str = "raise",
    threads: int | None = None,
    progress: bool = True,
) -> RecordCache:
    """Open the corpus's cache in a folder; write it first if it does not exist.

    Args:
        corpus: the corpus; its files are read as by `keras_ser.audio.read`.
        folder: folder for caches; created if missing.
        sample_rate: sample rate of the cached waveforms, Hz.
        bad: treatment of unusable files (missing, corrupt, empty, NaN): "raise" an error, or "drop" them and list them in
            `RecordCache.dropped`. All files are tried before an error is raised.
        threads: number of reading threads; default: the number of available cores, at most 8.
        progress: show a progress bar on a terminal.

    Returns:
        The complete cache.

    Raises:
        CorpusError: files that can't be used (the first ten are listed); no usable file at all; not enough space on the disk.
        DiskError: the disk became full, or the folder is not writable.
        UserError: an unknown `bad`, or a sample rate below 1.
    """
    if bad not in ("raise", "drop"):
        raise UserError(f'`bad` must be "raise" or "drop". Received: {bad!r}.')
    if sample_rate < 1:
        raise UserError(f"`sample_rate` must be positive. Received: {sample_rate}.")
    folder = Path(folder)
    fingerprint = corpus_fingerprint(corpus, sample_rate)
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", corpus.name)
    path = folder / f"{name}-{fingerprint[:16]}.tfrecord"
    found = _open(path, fingerprint)
    if found is None or _curable(found, corpus, bad):
        with lock(path):  # another process may be writing it
            found = _open(path, fingerprint)
            if found is None or _curable(found, corpus, bad):
                found = _written(corpus, path, sample_rate, fingerprint, bad, threads or min(8, cores()), progress)
    if found.dropped and bad == "raise":
        raise bad_files(found.dropped, len(corpus))
    return found


def _curable(found: RecordCache, corpus: Corpus, bad: str) -> bool:
    """Return whether files left out of a cache can be read now: where they must be, and where what reads them was missing."""
    tried = bad == "raise" or (find_spec("av") and any(NEEDED in reason for reason in found.dropped.values()))
    for u in corpus if tried and found.dropped else ():
        if u.id in found.dropped:
            with contextlib.suppress(AudioError):
                read(corpus.file(u), found.sample_rate, u.start, u.end)
                return True
    return False


def _written(corpus, path, sample_rate, fingerprint, bad, threads, progress) -> RecordCache:
    with ThreadPoolExecutor(threads) as pool:
        check_space(corpus, path.parent, sample_rate, pool)
        write(corpus, path, sample_rate, fingerprint, bad, pool, threads, progress)
    remove_outdated(path.parent, corpus)
    found = _open(path, fingerprint)
    if found is None:
        raise CorpusError(f"{path}: another process removed or changed the cache while it was opened; try again.")
    return found


def corpus_fingerprint(corpus: Corpus, sample_rate: int) -> str:
    """Return the SHA-1 of everything that the cached samples depend on, including which files are missing."""
    digest = hashlib.sha1(json.dumps([FORMAT, corpus.name, sample_rate, SHORTEST_SECONDS]).encode())
    stats = file_stats(corpus)
    for u in corpus:
        digest.update(json.dumps([u.id, u.path, u.start, u.end, stats[u.path]]).encode())
    return digest.hexdigest()


def _parse(record) -> dict[str, tf.Tensor]:
    features = tf.io.parse_single_example(
        record,
        {
            "index": tf.io.FixedLenFeature([], tf.int64),
            "int16": tf.io.FixedLenFeature([], tf.string, ""),
            "float32": tf.io.FixedLenFeature([], tf.string, ""),
        },
    )
    # One of the two is empty.
    short = tf.cast(tf.io.decode_raw(features["int16"], tf.int16), tf.float32) / 32768.0
    waveform = tf.concat([short, tf.io.decode_raw(features["float32"], tf.float32)], 0)
    return {"index": features["index"], "waveform": waveform, "length": tf.shape(waveform)[0]}


def _known(count: int):
    return tf.data.experimental.assert_cardinality(count)


def _open(path: Path, fingerprint: str) -> RecordCache | None:
    """Open the cache; return None if there is no complete one."""
    try:
        sidecar = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        whole = (
            sidecar["format"] == FORMAT
            and sidecar["fingerprint"] == fingerprint
            and sidecar["bytes"] == path.stat().st_size
            and sidecar["count"] == len(sidecar["utterances"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not whole:
        return None
    with contextlib.suppress(OSError):  # a read-only folder
        os.utime(path.with_suffix(".json"))  # for `remove_outdated`: the time it was last opened
    entries = sidecar["utterances"]
    return RecordCache(
        path=path,
        sample_rate=sidecar["sample_rate"],
        fingerprint=fingerprint,
        ids=tuple(entries),
        indices=np.array([entry["index"] for entry in entries.values()], np.int64),
        lengths=np.array([entry["samples"] for entry in entries.values()], np.int64),
        hashes={i: entry["hash"] for i, entry in entries.items() if "silent" not in entry["problems"]},
        problems={i: tuple(entry["problems"]) for i, entry in entries.items() if entry["problems"]},
        dropped=sidecar["dropped"],
    )
