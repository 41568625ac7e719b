"""Write the waveform cache so that an incomplete one is never mistaken for a complete one."""

import contextlib
import errno
import glob
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ser.audio import AudioError, content_hash, info, read_channels, read_with_problems
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.files import remove_parts, write_text, write_whole
from keras_ser.pipelines import wav_decoder
from keras_ser.pipelines.threads import in_order
from keras_ser.progress import track

FORMAT = 2  # 2: silent and cancelling channels are left out, and offsets subtracted
UNUSED_SECONDS = 7 * 24 * 3600
FRAMING = 16  # bytes that TFRecord adds to a record: length, payload, and a checksum of each


def write(
    corpus: Corpus,
    path: Path,
    sample_rate: int,
    fingerprint: str,
    bad: str,
    pool: ThreadPoolExecutor,
    threads: int,
    progress: bool,
) -> None:
    """Read every clip and write the records, then their sidecar, each under another name until it is complete.

    The arguments are those of `keras_ser.pipelines.records.cache`; `pool` runs the `threads` readers.

    Raises:
        CorpusError: some files can't be used (unless `bad` is "drop"), or none can.
        DiskError: the disk is full.
    """
    reader = wav_decoder.read_channels if len(corpus) >= wav_decoder.FEWEST else read_channels

    def load(index: int, utterance: Utterance):
        try:
            file = corpus.file(utterance)
            waveform, odd = read_with_problems(file, sample_rate, utterance.start, utterance.end, reader)
        except AudioError as error:
            return str(error)
        return _serialise(index, utterance, waveform), waveform.size, content_hash(waveform), odd

    utterances, dropped, size = {}, {}, 0

    def write_records(part: Path) -> None:
        nonlocal size
        with tf.io.TFRecordWriter(str(part)) as writer:
            items = list(enumerate(corpus))
            results = in_order(load, items, pool, 4 * threads)
            seen = track(results, f"Reading {corpus.name}", total=len(corpus), shown=progress)
            for (index, utterance), result in zip(items, seen, strict=True):
                if isinstance(result, str):
                    dropped[utterance.id] = result
                elif bad == "drop" or not dropped:
                    record, samples, digest, odd = result
                    writer.write(record)
                    size += len(record) + FRAMING
                    utterances[utterance.id] = {"index": index, "samples": samples, "hash": digest, "problems": odd}
        if dropped and (bad == "raise" or not utterances):
            raise bad_files(dropped, len(corpus))
        written = part.stat().st_size
        if written != size:
            raise OSError(errno.ENOSPC, f"{written} of {size} bytes reached the disk")

    remove_parts(path.parent)
    write_whole(path, write_records)
    sidecar = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "corpus": corpus.name,
        "root": str(Path(corpus.root).resolve()),
        "files": file_stats(corpus),
        "sample_rate": sample_rate,
        "count": len(utterances),
        "seconds": sum(entry["samples"] for entry in utterances.values()) / sample_rate,
        "bytes": size,
        "utterances": utterances,
        "dropped": dropped,
    }
    write_text(path.with_suffix(".json"), json.dumps(sidecar, indent=1))  # ASCII, since file names need not be Unicode


def file_stats(corpus: Corpus) -> dict[str, list[int] | None]:
    """Return path in the corpus -> [bytes, time of the last change in ns] of every file, None if it is missing."""
    return {path: _stat(Path(corpus.root) / path) for path in dict.fromkeys(u.path for u in corpus)}


def _stat(path: Path) -> list[int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def remove_outdated(folder: Path, corpus: Corpus) -> None:
    """Delete outdated caches of this corpus in a folder, with the files that belong to them.

    A cache is deleted if it was made from the same corpus folder, if one of its source files has changed since, so that it can
    never be opened again, and if it was last opened at least a week ago, since another process may still be training from it.
    """
    own = (str(Path(corpus.root).resolve()), corpus.name)
    for sidecar in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            about = json.loads(sidecar.read_text(encoding="utf-8"))
            if time.time() - sidecar.stat().st_mtime < UNUSED_SECONDS or (about["root"], about["corpus"]) != own:
                continue
            if any(_stat(Path(corpus.root) / path) != stat for path, stat in about["files"].items()):
                for path in (sidecar, *folder.glob(f"{glob.escape(sidecar.stem)}.*")):  # the sidecar first
                    path.unlink(missing_ok=True)


def check_space(corpus: Corpus, folder: Path, sample_rate: int, pool: ThreadPoolExecutor) -> None:
    """Raise CorpusError if the cache will not fit on the disk; unreadable files are reported when they are read."""

    def needed(path: Path) -> tuple[float, int]:
        try:
            found = info(path)
        except AudioError:
            return 0.0, 0
        exact = found.sample_rate == sample_rate and found.channels == 1 and found.subtype in ("PCM_16", "PCM_S8")
        return found.seconds, 2 if exact else 4

    paths = list(dict.fromkeys(corpus.file(u) for u in corpus))
    known = dict(zip(paths, pool.map(needed, paths), strict=True))
    total = 0.0
    for u in corpus:
        seconds, width = known[corpus.file(u)]
        total += (min(u.end or seconds, seconds) - (u.start or 0.0)) * sample_rate * width + 256
    free = shutil.disk_usage(folder).free
    if total > free:
        raise CorpusError(
            f"{folder}: the cache of {corpus.name} needs up to {total / 2**20:.1f} MiB; "
            f"{free / 2**20:.1f} MiB are free. Make room or name another folder."
        )


# the way out of `bad_files`
CONTINUE = 'Repair or remove them, or continue without them: bad="drop" (--bad drop).'


def bad_files(dropped: Mapping[str, str], count: int) -> CorpusError:
    """Return the error for `dropped` files (id -> reason) out of `count`."""
    return CorpusError(f"{len(dropped)} of {count} files can't be used: {first_ten(dropped.values())}. {CONTINUE}")


def first_ten(items: Iterable[str]) -> str:
    """Join up to ten sentences, and count the others."""
    items = [item.rstrip(".") for item in items]
    return "; ".join(items[:10]) + (f"; and {len(items) - 10} more" if len(items) > 10 else "")


def _serialise(index: int, utterance: Utterance, waveform: np.ndarray) -> bytes:
    # Most corpora are 16-bit at the requested rate: int16 is exact and takes half the space.
    scaled = waveform * np.float32(32768)
    short = np.clip(np.rint(scaled), -32768, 32767)
    if np.array_equal(short, scaled):
        samples = {"int16": short.astype("<i2").tobytes()}
    else:
        samples = {"float32": waveform.astype("<f4").tobytes()}
    blobs = {"id": utterance.id.encode(), **samples}
    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[blob])) for name, blob in blobs.items()}
    feature["index"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[index]))
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)
