import dataclasses
import json

import numpy as np
import pytest
import soundfile

from keras_ser.audio import AudioError, read
from keras_ser.corpora import Corpus, Utterance, emodb, manifest, ravdess
from keras_ser.corpora.inspection import check
from tests import corpora_on_disk as disk
from tests.audio.test_integrity import encode
from tests.wavs import chunk, form, lying_list, pcm16, riff


def corpus_of(folder, names, **more):
    return Corpus("test", folder, tuple(Utterance(name, name) for name in names), {}, **more)


def test_counts_and_durations_of_a_twin(tmp_path):
    root = disk.write_ravdess(tmp_path)
    report = check(ravdess.read(root))
    assert report.counts["emotion"] == {"neutral": 1, "calm": 1, "happiness": 2, "anger": 1, "surprise": 1}
    assert report.counts["gender"] == {"female": 2, "male": 4}
    assert report.counts["speaker"] == {"01": 2, "07": 2, "24": 2}
    lengths = sorted(soundfile.info(path).duration for path in root.glob("Actor_*/*.wav"))
    assert report.seconds["total"] == pytest.approx(sum(lengths))
    assert report.seconds["median"] == pytest.approx(np.median(lengths))
    assert report.duplicates == (("03-01-03-01-02-01-07", "03-01-03-01-02-02-07"),)
    assert "expected 1440 utterances, found 6." in report.differences
    assert "emotion calm: expected 192, found 1." in report.differences
    single = (
        "only one utterance each has the emotion 'neutral', 'calm', 'anger', 'surprise': it cannot be in training and"
    )
    assert any(note.startswith(single) for note in report.notes)
    assert not report.ok and not report.problems


def test_bad_files_are_all_found(tmp_path, rng):
    good = disk.recordings(1)[0]
    disk.write_audio(tmp_path / "good.wav", good)
    disk.write_audio(tmp_path / "stereo.wav", np.stack([good, good[::-1]], axis=1), 48000)
    disk.write_audio(tmp_path / "narrow.wav", good[::2], 8000)
    (tmp_path / "corrupt.wav").write_bytes(rng.bytes(5000))
    (tmp_path / "zero.wav").write_bytes(b"")
    disk.write_audio(tmp_path / "empty.wav", good[:0])
    disk.write_audio(tmp_path / "sample.wav", good[:1])
    disk.write_audio(tmp_path / "silent.wav", 0.0 * good)
    disk.write_audio(tmp_path / "offset.wav", 0.0 * good + 0.4)
    broken = good.copy()
    broken[77] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, 16000, subtype="FLOAT")
    whole = disk.write_audio(tmp_path / "cut.flac", np.tile(good, 5)).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    names = sorted(path.name for path in tmp_path.iterdir()) + ["gone.wav"]
    report = check(corpus_of(tmp_path, names))
    problems = {kind: [case.split()[0] for case in cases] for kind, cases in report.problems.items()}
    assert problems == {
        "missing": ["gone.wav"],
        "unreadable": ["corrupt.wav", "cut.flac"],
        "empty": ["empty.wav", "zero.wav"],
        "too short": ["sample.wav"],
        "silent": ["offset.wav", "silent.wav"],
        "non-finite": ["nan.wav"],
    }
    assert report.sample_rates == {8000: 1, 16000: 4, 48000: 1}  # of those that can be used
    assert report.channels == {1: 5, 2: 1}
    assert any("sample rates are mixed: 8000 Hz 1, 16000 Hz 4, 48000 Hz 1" in note for note in report.notes)
    assert not report.ok
    text = "\n".join(report.lines())
    assert "missing (1): gone.wav" in text and "silent (2): offset.wav, silent.wav" in text
    assert json.loads(json.dumps(report.to_dict()))["problems"]["empty"] == ["empty.wav", "zero.wav"]


def test_check_and_training_read_the_same_files(tmp_path, rng):
    """By content: what training refuses is unreadable, and nothing else is."""
    clip = 0.1 * rng.standard_normal(48000)
    (tmp_path / "twelve.wav").write_bytes(riff(form(bits=12, align=2), chunk(b"data", pcm16(clip))))
    soundfile.write(tmp_path / "gsm.wav", clip, 8000, subtype="GSM610")
    soundfile.write(tmp_path / "x.sph", clip, 16000, format="NIST")
    soundfile.write(tmp_path / "flac.wav", clip, 16000, format="FLAC")
    for name, container, codec in (
        ("a.m4a", "ipod", "aac"),
        ("a.webm", "webm", "libopus"),
        ("a.3gp", "3gp", "aac"),
        ("webm.wav", "webm", "libopus"),
    ):
        encode(tmp_path / name, clip, container, codec)
    (tmp_path / "hang.wav").write_bytes(lying_list())
    (tmp_path / "headerless.raw").write_bytes(bytes(32000))
    (tmp_path / "list.wav").write_bytes(riff(form(), chunk(b"LIST", b"INFOabcdef"), chunk(b"data", pcm16(clip[:9000]))))
    for name in ("half.w64", "half.webm", "half.m4a"):
        whole = tmp_path / name.replace("half", "a")
        if name == "half.w64":
            soundfile.write(whole, clip[::-1], 16000)
        (tmp_path / name).write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    soundfile.write(tmp_path / "huge.wav", np.append(clip, 1e30), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "none.wav", clip[:0], 16000)
    corpus = corpus_of(tmp_path, sorted(path.name for path in tmp_path.iterdir()))
    report = check(corpus)
    refused = {case.split()[0] for kind in ("unreadable", "empty", "non-finite") for case in report.problems[kind]}
    assert refused == {"half.m4a", "half.w64", "half.webm", "hang.wav", "headerless.raw", "huge.wav", "none.wav"}
    assert sum(report.sample_rates.values()) == len(corpus) - len(refused)
    for utterance in corpus:
        if utterance.id in refused:
            with pytest.raises(AudioError):
                read(corpus.file(utterance))
        else:
            assert len(read(corpus.file(utterance)))


def test_channels_offsets_and_outliers_are_named(tmp_path, rng):
    clip = 0.1 * rng.standard_normal(16000)
    for name, channels in {
        "cancelling.wav": [clip, -clip],
        "one_of_six.wav": [0 * clip] * 5 + [clip[::-1]],
        "offset.wav": [0.5 * clip + 0.1],
        "clipped.wav": [np.clip(30 * clip, -1, 1)],
        "plain.wav": [clip, clip[::-1]],
    }.items():
        soundfile.write(tmp_path / name, np.stack(channels, 1), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "long.flac", np.tile(clip, 61), 16000)
    report = check(corpus_of(tmp_path, sorted(path.name for path in tmp_path.iterdir())))
    assert report.problems == {"cancelling channels": ("cancelling.wav (2 channels)",)} and not report.ok
    assert report.odd == {
        "silent channels": ("one_of_six.wav",),
        "constant offset": ("offset.wav",),
        "clipped": ("clipped.wav",),
    }
    assert "odd, constant offset (1): offset.wav" in report.lines()
    assert "far longer than the median of 1.0 s, which takes memory in training: long.flac 61 s." in report.notes


def test_odd_labels_are_noted(tmp_path):
    one, two = disk.recordings(2)
    for name, clip in {"a.wav": one, "b.wav": one, "c.wav": two}.items():
        disk.write_audio(tmp_path / name, clip)
    table = tmp_path / "clips.csv"
    table.write_text("file,speaker,emotion\na.wav,ann,anger\nb.wav,ben,Anger\nc.wav,ben,joy\n")
    notes = check(manifest.read(table)).notes
    assert "the same audio has the speaker ann, ben: a.wav, b.wav." in notes
    assert "the same audio has the emotion Anger, anger: a.wav, b.wav." in notes
    assert "emotion is spelt in several ways: 'Anger', 'anger' differ by case. A task must merge them." in notes
    table.write_text("file,speaker\na.wav,3\nb.wav,03\nc.wav,30\n")
    assert any(
        note.startswith("speakers that differ by leading zeros: '03', '3'. ")
        for note in check(manifest.read(table)).notes
    )
    table.write_text("file,speaker\na.wav,3\nb.wav,3.0\nc.wav,30\n")
    said = "speakers that differ by zeros after the decimal point: '3', '3.0'. Splits take them for several people"
    assert any(note.startswith(said) for note in check(manifest.read(table)).notes)
    table.write_text("file,speaker\na.wav,ann\nc.wav,ben\n")
    assert "no emotion: 2 utterances" in check(manifest.read(table)).lines()


def test_values_of_one_clip_are_noted_once_per_column(tmp_path):
    """A transcript, of which most values are of one clip, is no class."""
    disk.write_audio(tmp_path / "a.wav", disk.recordings(1)[0])
    table = tmp_path / "clips.csv"

    def notes(*emotions, text="said {}"):
        rows = [f"{i},a.wav,{emotion},{text.format(i)}\n" for i, emotion in enumerate(emotions)]
        table.write_text("id,file,emotion,text\n" + "".join(rows))
        return [note for note in check(manifest.read(table)).notes if "cannot be in training and in test" in note]

    fear = ["fear"] * 40
    assert notes(*fear) == []
    one = "only one utterance has the emotion 'joy': it cannot be in training and in test."
    assert notes(*fear, "joy") == [one]
    two = "only one utterance each has the emotion 'joy', 'rage': it cannot be in training and in test."
    assert notes(*fear, "joy", "rage") == [two]
    (many,) = notes(*fear, *(f"e{i:02}" for i in range(19)))
    assert many.startswith("only one utterance each has the emotion 'e00', 'e01', ") and "and 9 more: it" in many
    assert notes(*fear, text="one") == []


def test_a_corpus_that_nothing_can_be_learned_from_is_noted(tmp_path):
    disk.write_audio(tmp_path / "a.wav", disk.recordings(1)[0])
    assert "no column holds labels: a model needs one, such as emotion." in check(corpus_of(tmp_path, ["a.wav"])).notes
    one = Utterance("a", "a.wav", speaker="s", gender="female", labels={"emotion": "joy"})
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    found = check(
        Corpus("test", tmp_path, (one, dataclasses.replace(one, id="b", path="b.wav")), {"emotion": ("joy",)})
    )
    assert found.notes == ("every label of emotion is 'joy': a classifier needs at least two classes.",)


def test_missing_columns_and_continuous_labels(tmp_path):
    for name, clip in zip("abc", disk.recordings(3), strict=True):
        disk.write_audio(tmp_path / f"{name}.wav", clip)
    (tmp_path / "t.csv").write_text(
        "file,speaker,gender,emotion,arousal\na.wav,x,f,fear,0.5\nb.wav,y,,fear,-0.25\nc.wav,,,,\n"
    )
    report = check(manifest.read(tmp_path / "t.csv"))
    assert report.untold == {"emotion": 1, "arousal": 1, "gender": 2, "speaker": 1}
    assert report.ranges == {"arousal": (-0.25, 0.125, 0.5)}
    assert report.counts["emotion"] == {"fear": 2}
    assert report.ok
    assert "no gender: 2 utterances" in report.lines()


def test_emodb_is_the_edition_of_535(shared_data):
    report = check(emodb.read(shared_data / "emodb"))
    assert report.ok
    assert report.duplicates == ()
    assert report.seconds["total"] / 60 == pytest.approx(24.78, abs=0.01)
    assert "editions, of 535 clips (2005) and of 816" in "\n".join(report.lines())


def test_same_audio_is_found_over_files_formats_and_segments(tmp_path):
    one, two = disk.recordings(2)
    for name, clip in {
        "a.wav": one,
        "b.flac": one,
        "c.wav": two,
        "d.wav": one[3200:6400],
        "late.wav": np.roll(one, 1),
    }.items():
        disk.write_audio(tmp_path / name, clip)
    disk.write_audio(tmp_path / "slow.wav", one, 8000)
    disk.write_audio(tmp_path / "track.wav", np.stack([0 * two, two], axis=1))  # training hears what it hears in c.wav
    names = ("a.wav", "b.flac", "c.wav", "d.wav", "late.wav", "slow.wav", "track.wav")
    clips = [Utterance(name, name) for name in names]
    clips += [Utterance("segment", "b.flac", start=0.2, end=0.4), Utterance("tail", "a.wav", start=0.2)]
    assert check(Corpus("test", tmp_path, tuple(clips), {})).duplicates == (
        ("a.wav", "b.flac"),
        ("c.wav", "track.wav"),
        ("d.wav", "segment"),
    )


@pytest.mark.slow
def test_ravdess_holds_one_clip_twice(shared_data):
    corpus = ravdess.read(shared_data / "ravdess")
    (found,) = check(corpus).duplicates
    assert found == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    assert all(name in corpus.flaws[0] for name in found)
