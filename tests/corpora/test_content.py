import numpy as np
import pytest
import soundfile

from keras_ser.audio import info, read_channels
from keras_ser.corpora import Corpus, Utterance, afew, ravdess
from keras_ser.corpora.check import check
from keras_ser.corpora.content import content_hash, duplicates
from tests import corpora_on_disk as disk


def test_the_hash_is_of_what_is_heard(tmp_path):
    one, two = disk.recordings(2)
    files = {
        "one.wav": one,
        "one.flac": one,
        "softer.wav": 0.999 * one,
        "late.wav": np.roll(one, 1),
        "other.wav": two,
    }
    hashes = {name: content_hash(disk.write_audio(tmp_path / name, clip)) for name, clip in files.items()}
    assert hashes["one.wav"] == hashes["one.flac"]
    assert len(set(hashes.values())) == 4
    # The same samples at another rate are another sound.
    assert content_hash(disk.write_audio(tmp_path / "slow.wav", one, 8000)) != hashes["one.wav"]
    # A segment is what is cut from its file.
    cut = disk.write_audio(tmp_path / "cut.wav", one[1600:4800])
    assert content_hash(tmp_path / "one.flac", 0.1, 0.3) == content_hash(cut)


def test_duplicates_over_files_and_segments(tmp_path):
    one, two = disk.recordings(2)
    for name, clip in {"a.wav": one, "b.flac": one, "c.wav": two, "d.wav": one[3200:6400]}.items():
        disk.write_audio(tmp_path / name, clip)
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    disk.write_audio(tmp_path / "e.wav", one[:0])
    disk.write_audio(tmp_path / "f.wav", one[:0])
    corpus = Corpus(
        "test",
        tmp_path,
        (
            *(
                Utterance(name, name)
                for name in ("a.wav", "b.flac", "c.wav", "d.wav", "bad.wav", "e.wav", "f.wav", "gone.wav")
            ),
            Utterance("segment", "b.flac", start=0.2, end=0.4),
            Utterance("tail", "a.wav", start=0.2),
            Utterance("beyond", "a.wav", start=90.0),
        ),
        {},
    )
    expected = [("a.wav", "b.flac"), ("d.wav", "segment")]
    assert duplicates(corpus) == expected
    assert list(check(corpus).duplicates) == expected
    seen = []
    duplicates(corpus, progress=lambda items: (seen.append(item.id) or item for item in items))
    assert seen == [utterance.id for utterance in corpus]


def test_soundtracks_of_videos(tmp_path):
    root = disk.write_afew(tmp_path / "avi", ".avi", train=1)
    waves = disk.write_afew(tmp_path / "wav", ".wav", train=1)
    report = check(afew.read(root))
    assert not report.problems
    assert report.seconds["total"] == pytest.approx(check(afew.read(waves)).seconds["total"])
    video, rate = read_channels(root / "Train" / "Fear" / "000055840.avi")
    sound, _ = soundfile.read(waves / "Train" / "Fear" / "000055840.wav", dtype="float32", always_2d=True)
    assert rate == 16000
    np.testing.assert_allclose(video, sound, atol=2 / 32768)
    headers = (info(root / "Train/Fear/000055840.avi"), info(waves / "Train/Fear/000055840.wav"))
    assert [header.sample_rate for header in headers] == [16000, 16000]
    assert headers[0].seconds == pytest.approx(headers[1].seconds) == pytest.approx(len(sound) / 16000)
    (root / "Val" / "Fear" / "000055840.avi").write_bytes(b"RIFF....AVI nothing")
    broken = check(afew.read(root))
    assert [case.split()[0] for case in broken.problems["unreadable"]] == ["Val/000055840"]


@pytest.mark.slow
def test_ravdess_holds_one_clip_twice(shared_data):
    corpus = ravdess.read(shared_data / "ravdess")
    found = duplicates(corpus)
    assert found == [("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")]
    assert all(name in corpus.flaws[0] for name in found[0])
