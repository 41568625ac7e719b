import numpy as np
import pytest

from keras_ser.corpora import CorpusError, avec2016
from tests import corpora_on_disk as disk


@pytest.mark.parametrize("segment", [3.3, 5.0, 40.0])
def test_labels_are_means_of_the_gold_standard(segment, tmp_path):
    seconds = 12.0
    corpus = avec2016.read(disk.write_avec2016(tmp_path, seconds=seconds), segment_seconds=segment)
    for name in ("train_1", "train_2", "dev_1"):
        segments = [u for u in corpus if u.groups["origin"] == name]
        # The segments follow one another, from the beginning to the end.
        assert segments[0].start == 0 and segments[-1].end == seconds
        assert [u.end for u in segments[:-1]] == [u.start for u in segments[1:]]
        assert all(u.end - u.start == pytest.approx(segment) for u in segments[:-1])
        assert 0.5 * segment <= segments[-1].end - segments[-1].start < 1.5 * segment or len(segments) == 1
        for dimension in ("arousal", "valence"):
            times, values = disk.avec2016_curve(name, dimension, seconds)
            for u in segments:
                inside = [v for t, v in zip(times, values, strict=True) if round(u.start, 4) <= t < round(u.end, 4)]
                assert u.labels[dimension] == pytest.approx(np.mean(inside), abs=1e-9)


def test_groups_and_speakers(tmp_path):
    root = disk.write_avec2016(tmp_path)
    corpus = avec2016.read(root)
    assert corpus.counts("subset") == {"dev": 3, "train": 6}
    assert {u.speaker for u in corpus} == {"train_1", "train_2", "dev_1"}
    assert all(u.gender is None for u in corpus)
    test = avec2016.read(root, subsets=("test",))
    assert [dict(u.labels) for u in test] == [{}, {}, {}]
    assert test.utterances[-1].end == 12.0


def test_metadata(tmp_path):
    root = disk.write_avec2016(tmp_path / "avec")
    (tmp_path / "meta.csv").write_text("id,speaker,gender,session\ntrain_1,P16,f,d1\ntest_1,P99,m,d2\n")
    corpus = avec2016.read(root, metadata=tmp_path / "meta.csv")
    assert {(u.speaker, u.gender, u.groups.get("session")) for u in corpus} == {
        ("P16", "female", "d1"),
        ("train_2", None, None),
        ("dev_1", None, None),
    }


def test_a_missing_gold_standard_and_a_missing_recording(tmp_path):
    root = disk.write_avec2016(tmp_path)
    (root / "ratings_gold_standard" / "valence" / "train_2.arff").unlink()
    (root / "recordings_audio" / "dev_1.wav").unlink()
    with pytest.raises(
        CorpusError, match="missing under .*: ratings_gold_standard/valence/train_2.arff, recordings_audio/dev_1"
    ):
        avec2016.read(root)


@pytest.mark.parametrize("text", ["", "@data\ntrain_1,0.04,0.1\ntrain_1,0.0,0.1\n"])
def test_a_broken_gold_standard(text, tmp_path):
    root = disk.write_avec2016(tmp_path)
    (root / "ratings_gold_standard" / "arousal" / "train_1.arff").write_text(text)
    with pytest.raises(CorpusError, match="expected an .arff file with @data rows .*arousal/train_1.arff"):
        avec2016.read(root)


@pytest.mark.parametrize("seconds", [0.0, 0.03, -1.0, float("nan")])
def test_a_segment_holds_at_least_a_step_of_the_gold_standard(seconds, tmp_path):
    root = disk.write_avec2016(tmp_path)
    with pytest.raises(CorpusError, match=f"`segment_seconds` must be at least 0.04, .* Received: {seconds}"):
        avec2016.read(root, segment_seconds=seconds)
    values = {name: disk.avec2016_curve(name, "arousal", 12.0)[1] for name in ("train_1", "dev_1")}
    corpus = avec2016.read(root, segment_seconds=0.04)
    for name, curve in values.items():
        found = [u.labels["arousal"] for u in corpus if u.groups["origin"] == name]
        assert found == pytest.approx(list(curve[: len(found)])) and len(found) >= len(curve) - 1


def test_a_gap_in_the_gold_standard(tmp_path):
    root = disk.write_avec2016(tmp_path)
    path = root / "ratings_gold_standard" / "valence" / "train_2.arff"
    whole = path.read_text().splitlines()
    for first, end in ((9, 12.1), (4, 8)):
        rows = [line for line in whole if not first <= float((line.split(",") + ["0"])[1] or 0) < end]
        path.write_text("\n".join(rows) + "\n")
        corpus = avec2016.read(root, segment_seconds=6.0)
        ends = [u.end for u in corpus if u.speaker == "train_2"]
        assert ends == ([8.96] if end > 12 else [6.0, 12.0]), "the shorter of the two curves"
    said = r"has no row from 4 to 8 s\. Unpack it again, or take longer segments\."
    with pytest.raises(CorpusError, match=f"avec2016: every segment must have .*valence/train_2.arff, which {said}"):
        avec2016.read(root, segment_seconds=4.0)
