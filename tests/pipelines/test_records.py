import json
import os
import resource
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import keras_ser
from keras_ser.audio import AudioError, content_hash, read, read_with_problems
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.corpora.inspection import check
from keras_ser.errors import DiskError
from keras_ser.files import TEMPORARY
from keras_ser.pipelines import record_writer
from keras_ser.pipelines.records import cache, corpus_fingerprint
from keras_ser.splits import Split, check_split


def make_corpus(root, count=7, name="tiny"):
    """Clips of different lengths, rates and formats; one long file gives two utterances."""
    rng = np.random.default_rng(count)
    root.mkdir(exist_ok=True)
    utterances = []
    for i in range(count):
        path = f"{i:02}.{('wav', 'flac')[i % 2]}"
        samples = rng.integers(-20000, 20000, 3000 + 137 * i).astype("int16")
        soundfile.write(root / path, samples, 8000 if i == 3 else 16000, subtype="PCM_16")
        utterances.append(Utterance(f"u{i:02}", path, speaker=str(i % 3)))
    long = rng.normal(scale=0.2, size=48000)
    soundfile.write(root / "long.wav", long, 16000, subtype="FLOAT")
    utterances += [Utterance("a-first", "long.wav", end=1.0), Utterance("z-last", "long.wav", start=1.5, end=2.75)]
    return Corpus(name, root, tuple(utterances), {})


def listed(folder):
    """What lies in a folder of caches, but the locks."""
    return sorted(name for name in os.listdir(folder) if not name.endswith(".lock"))


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus")


def test_cached_waveforms_equal_those_of_read(tmp_path, corpus):
    made = cache(corpus, tmp_path / "cache", progress=False)
    assert len(made) == len(corpus) == 9 and made.sample_rate == 16000
    assert made.ids == tuple(u.id for u in corpus) and made.problems == {} and made.dropped == {}
    elements = list(made.dataset().as_numpy_iterator())
    assert [int(e["index"]) for e in elements] == list(range(9))
    for element, utterance in zip(elements, corpus, strict=True):
        expected = read(corpus.file(utterance), 16000, utterance.start, utterance.end)
        np.testing.assert_array_equal(element["waveform"], expected)
        assert element["waveform"].dtype == np.float32 and element["length"] == len(expected)
        assert made.hashes[utterance.id] == content_hash(expected)
    spec = made.dataset().element_spec
    assert spec["waveform"] == tf.TensorSpec([None], tf.float32)
    assert (spec["index"].dtype, spec["length"].dtype) == (tf.int64, tf.int32)


def test_silent_clips_are_copies_of_nothing(tmp_path, rng):
    """Two speakers' muted segments would hold their speakers together, or be a leak that no protocol can mend."""
    muted, speech = np.zeros(8000), 0.1 * rng.standard_normal(8000)
    for name, wave in {"a": muted, "b": muted, "c": speech, "d": speech}.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, 16000)
    corpus = Corpus("x", tmp_path, tuple(Utterance(i, f"{i}.wav", speaker=i) for i in "abcd"), {})
    made = cache(corpus, tmp_path / "cache", progress=False)
    assert made.hashes.keys() == {"c", "d"} and made.hashes["c"] == made.hashes["d"]
    check_split(Split("p", 0, ("a", "c", "d"), (), ("b",), ("speaker",)), corpus, made.hashes)
    assert check(corpus).duplicates == (("c", "d"),)


def test_16_bit_samples_are_stored_as_int16(tmp_path):
    """Exact at half the size; the extremes of int16 too, and what 16 bits can't hold stays float."""
    root = tmp_path / "corpus"
    root.mkdir()
    extremes = np.tile(np.array([-32768, 32767, 0, 1, -1], "int16"), 800)
    soundfile.write(root / "a.wav", extremes, 16000)
    soundfile.write(root / "b.wav", extremes / 32768 + 1e-6, 16000, subtype="FLOAT")
    soundfile.write(root / "c.wav", extremes / 16384, 16000, subtype="FLOAT")
    corpus = Corpus("x", root, tuple(Utterance(i, f"{i}.wav") for i in "abc"), {})
    made = cache(corpus, tmp_path / "cache", progress=False)
    assert made.path.stat().st_size == pytest.approx(4000 * (2 + 4 + 4), rel=0.02)
    a, b, c = (e["waveform"] for e in made.dataset().as_numpy_iterator())
    np.testing.assert_array_equal(a, extremes / np.float32(32768))
    np.testing.assert_allclose(b, extremes / 32768 + 1e-6, atol=1e-9)
    np.testing.assert_array_equal(c, extremes / np.float32(16384))


def test_clips_are_read_in_the_order_asked_for(tmp_path, corpus):
    made = cache(corpus, tmp_path / "cache", progress=False)
    whole = list(made.dataset().as_numpy_iterator())
    order = [5, 0, 8, 5, 2]
    ordered = made.dataset(order)
    assert [int(e["index"]) for e in ordered.as_numpy_iterator()] == order and len(ordered) == 5
    in_graph = tf.data.Dataset.from_tensors(order).flat_map(made.dataset)
    for element, again in zip(ordered.as_numpy_iterator(), in_graph.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(element["waveform"], whole[int(element["index"])]["waveform"])
        np.testing.assert_array_equal(element["waveform"], again["waveform"])
    assert list(made.dataset(np.zeros(0, int))) == []
    assert len(list(made.dataset(np.array([2], "int32")).repeat(3))) == 3
    with pytest.raises(ValueError, match="not in it: -1, 9"):
        made.dataset([3, 9, -1])


def test_existing_cache_is_opened(tmp_path, corpus, monkeypatch):
    first = cache(corpus, tmp_path / "cache", progress=False)
    files = listed(tmp_path / "cache")
    assert files == [first.path.with_suffix(".json").name, first.path.name]
    monkeypatch.setattr(record_writer, "read_with_problems", lambda *_: pytest.fail("read again"))
    second = cache(corpus, tmp_path / "cache", progress=False)
    assert second.hashes == first.hashes and second.path == first.path
    assert listed(tmp_path / "cache") == files


def test_same_bytes_whatever_the_threads(tmp_path, corpus):
    made = [cache(corpus, tmp_path / f"{n}", threads=n, progress=False) for n in (1, 5)]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    assert made[0].path.with_suffix(".json").read_bytes() == made[1].path.with_suffix(".json").read_bytes()


def test_fingerprint_sees_every_change(corpus):
    def changed(**changes):
        first = corpus.utterances[0]
        fields = {"id": first.id, "path": first.path, "start": first.start, "end": first.end} | changes
        return Corpus("tiny", corpus.root, (Utterance(**fields), *corpus.utterances[1:]), {})

    prints = [
        corpus_fingerprint(corpus, 16000),
        corpus_fingerprint(corpus, 8000),
        corpus_fingerprint(Corpus("other", corpus.root, corpus.utterances, {}), 16000),
        corpus_fingerprint(Corpus("tiny", corpus.root, corpus.utterances[1:], {}), 16000),
        corpus_fingerprint(changed(id="a-other"), 16000),
        corpus_fingerprint(changed(start=0.25), 16000),
        corpus_fingerprint(changed(end=0.9), 16000),
        corpus_fingerprint(changed(path="00.wav"), 16000),
    ]
    assert prints[0] == corpus_fingerprint(changed(), 16000)
    file = corpus.root / "04.wav"
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    prints.append(corpus_fingerprint(corpus, 16000))
    file.write_bytes(file.read_bytes() + b"\0\0")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    prints.append(corpus_fingerprint(corpus, 16000))
    file.unlink()
    prints.append(corpus_fingerprint(corpus, 16000))
    assert len(set(prints)) == len(prints)


def test_odd_clips_are_kept_and_named(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    good = np.random.default_rng(0).normal(scale=0.1, size=16000)
    clips = {"good": good, "one": good[:1], "silent": 0 * good, "short": good[:200], "loud": np.clip(20 * good, -1, 1)}
    for name, samples in clips.items():
        soundfile.write(root / f"{name}.wav", samples, 16000)
    soundfile.write(root / "stereo.wav", np.stack([good, -0.5 * good], 1), 48000)
    names = [*clips, "stereo"]
    made = cache(Corpus("x", root, tuple(Utterance(n, f"{n}.wav") for n in names), {}), tmp_path / "c", progress=False)
    assert len(made) == 6
    assert made.problems == {
        "loud": ("clipped",),
        "one": ("silent", "shorter than one window"),
        "short": ("shorter than one window",),
        "silent": ("silent",),
    }


def spoil(corpus, which):
    """Breaks files in different ways."""
    contents = (corpus.root / "01.flac").read_bytes()
    for i in which:
        path = corpus.root / f"{i:02}.{('wav', 'flac')[i % 2]}"
        if i % 4 == 0:
            path.unlink()
        elif i % 4 == 1:
            path.write_bytes(contents[: len(contents) // 2])
        elif i % 4 == 2:
            path.write_bytes(b"")
        else:
            path.write_bytes(b"RIFF no more")


def test_bad_files_are_reported_together(tmp_path, corpus):
    spoil(corpus, [0, 1, 2])
    with pytest.raises(
        CorpusError, match=r"^3 of 9 files can't be used: .*00\.wav: no such.*01\.flac.*02\.wav"
    ) as caught:
        cache(corpus, tmp_path / "cache", progress=False)
    assert "\n" not in str(caught.value) and 'bad="drop"' in str(caught.value)
    assert listed(tmp_path / "cache") == []


def test_dropped_files_are_listed(tmp_path, corpus):
    (corpus.root / "02.wav").write_bytes(b"")
    soundfile.write(corpus.root / "04.wav", np.array([0.1, np.nan] * 900), 16000, subtype="FLOAT")
    made = cache(corpus, tmp_path / "cache", bad="drop", progress=False)
    assert sorted(made.dropped) == ["u02", "u04"] and "NaN" in made.dropped["u04"]
    assert len(made) == 7 and not {"u02", "u04"} & set(made.ids)
    position = {u.id: i for i, u in enumerate(corpus)}
    assert made.indices.tolist() == [position[i] for i in made.ids]
    # Indices are the corpus's, not places in the file.
    (last,) = made.dataset([position["z-last"]]).as_numpy_iterator()
    np.testing.assert_array_equal(last["waveform"], read(corpus.root / "long.wav", start=1.5, end=2.75))
    with pytest.raises(ValueError, match=f"not in it: {position['u02']}"):
        made.dataset([position["u02"]])
    # A later run that does not agree to dropping must not get the shrunken cache.
    with pytest.raises(CorpusError, match="2 of 9 files can't be used"):
        cache(corpus, tmp_path / "cache", progress=False)
    assert cache(corpus, tmp_path / "cache", bad="drop", progress=False).dropped == made.dropped


def test_what_was_dropped_is_tried_again_where_it_may_be_readable_now(tmp_path, corpus, monkeypatch):
    """PyAV was not installed, or the file not mended: neither changes the sizes and times that the cache depends on."""

    def without(reason):
        def failing(path, *args):
            if path.name == "04.wav":
                raise AudioError(reason)
            return read_with_problems(path, *args)

        monkeypatch.setattr(record_writer, "read_with_problems", failing)

    for reason, again in (("reading it needs PyAV.", {}), ("corrupt", {"u04": "corrupt"})):
        folder = tmp_path / reason[:7]
        without(reason)
        assert cache(corpus, folder, bad="drop", progress=False).dropped == {"u04": reason}
        monkeypatch.undo()
        assert cache(corpus, folder, bad="drop", progress=False).dropped == again
        assert len(cache(corpus, folder, progress=False)) == 9


def test_an_interrupt_midway_leaves_nothing(tmp_path, corpus, monkeypatch):
    calls = []

    def failing(*args):
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return read_with_problems(*args)

    monkeypatch.setattr(record_writer, "read_with_problems", failing)
    with pytest.raises(KeyboardInterrupt):
        cache(corpus, tmp_path / "cache", threads=1, progress=False)
    assert listed(tmp_path / "cache") == []
    monkeypatch.undo()
    assert len(list(cache(corpus, tmp_path / "cache", progress=False).dataset())) == 9


def test_a_full_disk(tmp_path, corpus):
    """The kernel refuses to let the file grow, as it does when the disk is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40000, limits[1]))
    try:
        with pytest.raises(
            DiskError, match=rf"^{tmp_path}/cache: cannot write tiny-.*\.tfrecord, the file is larger than"
        ):
            cache(corpus, tmp_path / "cache", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert listed(tmp_path / "cache") == []
    assert len(list(cache(corpus, tmp_path / "cache", progress=False).dataset())) == 9


def test_too_little_space_is_seen_before_any_work(tmp_path, corpus, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(record_writer.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(record_writer, "read_with_problems", lambda *_: pytest.fail("began to read"))
    with pytest.raises(CorpusError, match=r"needs up to 0\.\d MiB; 0\.1 MiB are free"):
        cache(corpus, tmp_path / "cache", progress=False)


@pytest.mark.slow
def test_a_kill_while_writing(tmp_path, corpus):
    script = """
        import os, signal, sys
        sys.path[:0] = sys.argv[1:3]
        from pathlib import Path
        from keras_ser.pipelines import record_writer, records
        from tests.pipelines.test_records import make_corpus
        plain, seen = record_writer.content_hash, []

        def killing(waveform):
            seen.append(1)
            if len(seen) == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(waveform)

        record_writer.content_hash = killing
        corpus = make_corpus(Path(sys.argv[3]))
        records.cache(corpus, sys.argv[4], threads=1, progress=False)
    """
    roots = [str(Path(keras_ser.__path__[0]).parent), str(Path(__file__).parents[2])]
    arguments = [*roots, str(corpus.root), str(tmp_path / "cache")]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), *arguments], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    left = listed(tmp_path / "cache")
    assert len(left) == 1 and TEMPORARY in left[0]
    made = cache(corpus, tmp_path / "cache", progress=False)
    assert len(list(made.dataset())) == 9


def test_half_written_caches_of_killed_processes_are_removed_after_an_hour(tmp_path, corpus):
    made = cache(corpus, tmp_path / "cache", progress=False)
    made.path.unlink()
    old = made.path.with_name(f".0123456789ab{TEMPORARY}{made.path.name}")
    fresh = made.path.with_name(f".ba9876543210{TEMPORARY}{made.path.name}")
    other = made.path.with_name(f".0123456789ab{TEMPORARY}other-0123.tfrecord")
    for path in (old, fresh, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (1e9, 1e9))
    cache(corpus, tmp_path / "cache", progress=False)
    assert not old.exists() and fresh.exists() and not other.exists()


def test_caches_of_changed_files_are_removed_a_week_after_they_were_opened(tmp_path, corpus):
    """Others are kept: of another rate, of another corpus in the folder, of another selection of the same files, lately opened."""
    folder = tmp_path / "cache"
    elsewhere = make_corpus(tmp_path / "elsewhere", 2)
    part = Corpus("tiny", corpus.root, corpus.utterances[2:4], {})  # without 00.wav
    week = time.time() - 8 * 24 * 3600
    made = {
        name: cache(c, folder, progress=False) for name, c in [("old", corpus), ("part", part), ("away", elsewhere)]
    }
    made["rate"] = cache(corpus, folder, sample_rate=8000, progress=False)
    beside = made["old"].path.with_suffix(".eGeMAPSv02.npy")
    beside.write_bytes(b"functionals")
    for each in made.values():
        os.utime(each.path.with_suffix(".json"), (week, week))
    cache(corpus, folder, sample_rate=8000, progress=False)  # opened again
    soundfile.write(corpus.root / "00.wav", np.zeros(4000), 16000)
    new = cache(corpus, folder, progress=False)
    assert new.path != made["old"].path and len(list(new.dataset())) == 9
    assert not [path for path in folder.iterdir() if path.name.startswith(made["old"].path.stem)]
    for name in ("part", "away", "rate"):
        assert made[name].path.exists() and made[name].path.with_suffix(".json").exists(), name


@pytest.mark.slow
def test_two_processes_write_one_cache_once(tmp_path, corpus):
    """The second waits for the first and opens what that has written."""
    script = """
        import sys, time
        sys.path[:0] = sys.argv[1:3]
        from pathlib import Path
        from keras_ser.corpora.corpus import Corpus, Utterance
        from keras_ser.pipelines import record_writer, records
        plain = record_writer.read_with_problems

        def slow(*arguments):
            print("read", flush=True)
            time.sleep(0.1)
            return plain(*arguments)

        record_writer.read_with_problems = slow
        names = [f"{i:02}.{('wav', 'flac')[i % 2]}" for i in range(7)]
        corpus = Corpus("two", Path(sys.argv[3]), tuple(Utterance(n, n) for n in names), {})
        print(len(list(records.cache(corpus, sys.argv[4], threads=1, progress=False).dataset())))
    """
    roots = [str(Path(keras_ser.__path__[0]).parent), str(Path(__file__).parents[2])]
    command = [sys.executable, "-c", textwrap.dedent(script), *roots, str(corpus.root), str(tmp_path / "cache")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(map(len, said)) == [1, 8] and {words[-1] for words in said} == {"7"}


@pytest.mark.parametrize("damage", ["truncated", "no records", "half sidecar", "sidecar of another"])
def test_damaged_cache_is_written_again(tmp_path, corpus, damage):
    made = cache(corpus, tmp_path / "cache", progress=False)
    contents, sidecar = made.path.read_bytes(), made.path.with_suffix(".json")
    text = sidecar.read_text()
    if damage == "truncated":
        made.path.write_bytes(contents[: len(contents) // 2])
    elif damage == "no records":
        made.path.unlink()
    elif damage == "half sidecar":
        sidecar.write_text(text[: len(text) // 2])
    else:
        sidecar.write_text(json.dumps(json.loads(text) | {"fingerprint": "0" * 40}))
    again = cache(corpus, tmp_path / "cache", progress=False)
    assert again.path.read_bytes() == contents and sidecar.read_text() == text
    assert len(list(again.dataset())) == 9


def test_flipped_bits_are_an_error(tmp_path, corpus):
    made = cache(corpus, tmp_path / "cache", progress=False)
    contents = bytearray(made.path.read_bytes())
    contents[len(contents) // 2] ^= 4
    made.path.write_bytes(contents)
    with pytest.raises(tf.errors.DataLossError):
        list(made.dataset())
