"""The waveform cache's other side: how it is written so that half of one is never taken for a whole."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ser.audio import AudioError, content_hash, info, read_with_problems
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.pipelines.threads import in_order

FORMAT = 2  # 2: silent and cancelling channels and offsets are left out
STALE_SECONDS = 3600  # a writer touches its file far more often
FRAMING = 16  # bytes that TFRecord adds to a record: length, payload, and a checksum of each


def write(
    corpus: Corpus,
    path: Path,
    sample_rate: int,
    fingerprint: str,
    bad: str,
    window_seconds: float,
    pool: ThreadPoolExecutor,
    threads: int,
    progress: bool,
) -> None:
    """Reads every clip and writes the records and then their sidecar, each under another name until it is whole.

    Args:
        path: of the records; for the others see `keras_ser.pipelines.records.cache`.
        fingerprint: of the corpus and the settings.
        pool, threads: what reads, and how many there are of them.

    Raises:
        CorpusError: files that can't be used (unless `bad` is "drop"), none that can, or a disk that takes no more.
    """

    def load(index: int, utterance: Utterance):
        try:
            waveform, odd = read_with_problems(
                corpus.file(utterance), sample_rate, utterance.start, utterance.end, window_seconds
            )
        except AudioError as error:
            return str(error)
        return _serialise(index, utterance, waveform), waveform.size, content_hash(waveform), odd

    utterances, dropped, size = {}, {}, 0
    part = _part(path)
    try:
        with tf.io.TFRecordWriter(str(part)) as writer:
            items = list(enumerate(corpus))
            results = in_order(load, items, pool, 4 * threads)
            for (index, utterance), result in zip(items, _bar(results, corpus, progress), strict=True):
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
            raise CorpusError(f"{part.parent}: {written} of {size} bytes of the cache reached the disk. Is it full?")
        sidecar = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "corpus": corpus.name,
            "sample_rate": sample_rate,
            "count": len(utterances),
            "seconds": sum(entry["samples"] for entry in utterances.values()) / sample_rate,
            "bytes": size,
            "utterances": utterances,
            "dropped": dropped,
        }
        _sync(part)
        os.replace(part, path)
        part = _part(path.with_suffix(".json"))
        part.write_text(json.dumps(sidecar, indent=1), encoding="utf-8")
        _sync(part)
        os.replace(part, path.with_suffix(".json"))
    except (OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise CorpusError(
            f"{path.parent}: writing the cache failed ({reason}). Nothing half-written is kept; make room or name "
            "another folder, and run again."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def check_space(corpus: Corpus, folder: Path, sample_rate: int, pool: ThreadPoolExecutor) -> None:
    """Refuses before any work is done what can't fit; files that can't be opened are reported when they are read."""

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
            f"{folder}: the cache of {corpus.name} needs up to {total / 2**20:.1f} MiB, "
            f"{free / 2**20:.1f} MiB are free. Make room or name another folder."
        )


def remove_stale(path: Path) -> None:
    """Deletes what killed writers of this cache left: what has lain for an hour, since another may be at work."""
    for part in path.parent.glob(f".{path.stem}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()


def bad_files(dropped: Mapping[str, str], count: int) -> CorpusError:
    """What is said of `dropped` files (id -> reason) of so many."""
    return CorpusError(
        f"{len(dropped)} of {count} files can't be used: {first_ten(dropped.values())}. "
        'Mend or remove them, or go on without them: bad="drop" (--bad drop).'
    )


def first_ten(items: Iterable[str]) -> str:
    """Up to ten sentences, and how many there are more."""
    items = [item.rstrip(".") for item in items]
    return "; ".join(items[:10]) + (f"; and {len(items) - 10} more" if len(items) > 10 else "")


def _serialise(index: int, utterance: Utterance, waveform: np.ndarray) -> bytes:
    # Most corpora are 16-bit at the rate asked for: half the disk, and exact.
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


def _bar(results: Iterator, corpus: Corpus, progress: bool) -> Iterator:
    if not progress:
        return results
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return results
    console = Console(stderr=True)
    if not console.is_terminal:
        return results
    return iter(track(results, f"Reading {corpus.name}", total=len(corpus), console=console, transient=True))


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
