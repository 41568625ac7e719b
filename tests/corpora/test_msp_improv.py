import re

import pytest

from keras_ser.corpora import CorpusError, msp_improv
from tests import corpora_on_disk as disk

FIRST = "MSP-IMPROV-S01A-F01-P-FM01"
LINE = "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.200000; V:3.000000; D:2.800000 ; N:3.600000;"


def relabel(root, old, new):
    path = root / "Evalution.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_names_and_labels(tmp_path):
    found = {u.id: u for u in msp_improv.read(disk.write_msp_improv(tmp_path))}
    assert set(found) == {f"MSP-IMPROV-{turn[0]}" for turn in disk.MSP_IMPROV_TURNS}
    one = found["MSP-IMPROV-S07S-M03-S-MF12"]
    assert (one.path, one.speaker, one.gender) == ("session3/S07S/S/MSP-IMPROV-S07S-M03-S-MF12.wav", "M03", "male")
    assert dict(one.labels) == {
        "emotion": "sadness",
        "intended": "sadness",
        "valence": 1.8,
        "arousal": 1.4,  # 6 - 4.6: the file's 5 is calm
        "dominance": 2.0,
        "naturalness": 4.4,
    }
    assert dict(one.groups) == {"session": "3", "scenario": "S", "sentence": "S07", "dialog": "3-S07S"}
    assert (found[FIRST].labels["emotion"], found[FIRST].labels["intended"]) == ("neutral", "anger")
    assert found["MSP-IMPROV-S01A-M01-R-MM01"].labels["emotion"] == "other"
    assert found["MSP-IMPROV-S01A-F01-T-FM01"].labels["emotion"] == "undecided"


def test_anger_is_aroused(tmp_path):
    values = {u.id: u.labels.get("arousal") for u in msp_improv.read(disk.write_msp_improv(tmp_path))}
    assert values["MSP-IMPROV-S04A-F06-T-MF01"] == 5.0
    assert values["MSP-IMPROV-S01A-M01-S-FM01"] == 4.6


def test_label_file_whose_activation_runs_the_other_way(tmp_path):
    root = disk.write_msp_improv(tmp_path)
    assert msp_improv.read(root).notes == ()
    path = root / "Evalution.txt"
    path.write_text(
        re.sub(r"(avi; \w; A:)(\d\S+);", lambda match: f"{match[1]}{6 - float(match[2]):f};", path.read_text())
    )
    (note,) = msp_improv.read(root).notes
    assert note.startswith("mean arousal is anger 1.20, neutral 3.20: ")


def test_nan_is_no_label(tmp_path):
    found = {u.id: u.labels for u in msp_improv.read(disk.write_msp_improv(tmp_path))}
    lacking = {name: {"valence", "arousal", "dominance", "naturalness"} - set(labels) for name, labels in found.items()}
    assert {name: columns for name, columns in lacking.items() if columns} == {
        "MSP-IMPROV-S01A-F01-T-FM01": {"naturalness"},
        "MSP-IMPROV-S01A-M01-R-MM01": {"dominance"},
        "MSP-IMPROV-S13N-F04-S-FM03": {"arousal"},
    }


def test_tags_are_read_by_name(tmp_path):
    root = disk.write_msp_improv(tmp_path)
    straight = list(msp_improv.read(root))
    relabel(root, LINE, "UTD-IMPROV-S01A-F01-P-FM01.avi;N;N:3.600000 ;D: 2.8; A:3.2;V:3")
    assert list(msp_improv.read(root)) == straight


@pytest.mark.parametrize("labels", ["Evalution.txt", "Evaluation.txt"])
@pytest.mark.parametrize("inner", ["", "Audio"])
def test_both_spellings_and_both_trees(labels, inner, tmp_path):
    root = disk.write_msp_improv(tmp_path / "twin", labels=labels, inner=inner)
    corpus = msp_improv.read(root)
    assert len(corpus) == 9 and corpus.root == root
    assert all(corpus.file(utterance).is_file() for utterance in corpus)
    assert msp_improv.read(root / inner).utterances == corpus.utterances


def test_two_label_files(tmp_path):
    root = disk.write_msp_improv(tmp_path)
    (root / "Evaluation.txt").write_text("")
    with pytest.raises(CorpusError, match="expected one label file. Received: Evalution.txt and Evaluation.txt"):
        msp_improv.read(root)


def test_the_usual_four_classes(tmp_path):
    corpus = msp_improv.read(disk.write_msp_improv(tmp_path), emotions=msp_improv.FOUR_EMOTIONS)
    assert len(corpus) == 7 and set(corpus.counts("emotion")) == set(msp_improv.FOUR_EMOTIONS)
    # The literature's counts; the table in the adapter is by scenario, and adds up to them.
    assert corpus.expected["utterances"] == 7798
    assert corpus.expected["emotion"] == {"anger": 792, "happiness": 2644, "neutral": 3477, "sadness": 885}


def test_counts_of_the_published_corpus(tmp_path):
    expected = msp_improv.read(disk.write_msp_improv(tmp_path)).expected
    assert expected["utterances"] == 8438
    assert expected["scenario"] == {"P": 2785, "R": 620, "S": 4381, "T": 652}


@pytest.mark.parametrize("emotions", [("hapy",), (), "anger"])
def test_unknown_emotion(emotions, tmp_path):
    with pytest.raises(CorpusError, match="`emotions` must be some of anger, .*undecided. Received: "):
        msp_improv.read(disk.write_msp_improv(tmp_path), emotions=emotions)


def test_audio_without_label_and_label_without_audio(tmp_path):
    root = disk.write_msp_improv(tmp_path)
    folder = root / "session1" / "S01A" / "P"
    (folder / f"{FIRST}.wav").rename(folder / "MSP-IMPROV-S01A-F01-P-FM09.wav")
    with pytest.raises(CorpusError, match=f"Without a block: MSP-IMPROV-S01A-F01-P-FM09. Without audio: {FIRST}. "):
        msp_improv.read(root)


@pytest.mark.parametrize(
    "folder", ["session2/S01A/P", "session1/S02A/P", "session1/S01A/R", "session1", "session1/a/b/c"]
)
def test_clip_in_another_folder_than_its_name_says(folder, tmp_path):
    root = disk.write_msp_improv(tmp_path)
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "session1" / "S01A" / "P" / f"{FIRST}.wav").rename(root / folder / f"{FIRST}.wav")
    with pytest.raises(CorpusError, match=f"expected audio files named like .*Received: {folder}/{FIRST}.wav"):
        msp_improv.read(root)


def test_unknown_code(tmp_path):
    root = disk.write_msp_improv(tmp_path)
    relabel(root, "FM01.avi; N;", "FM01.avi; Q;")
    with pytest.raises(CorpusError, match=rf"codes must be among A, H, N, S, O, X. Received: 'Q' \({FIRST}\)"):
        msp_improv.read(root)


def test_block_that_occurs_twice(tmp_path):
    root = disk.write_msp_improv(tmp_path)
    with (root / "Evalution.txt").open("a") as file:
        file.write(f"\n{LINE}\n")
    with pytest.raises(CorpusError, match=rf"one block for a clip. Received a second one for {FIRST} \(line 37\)"):
        msp_improv.read(root)


@pytest.mark.parametrize(
    "damaged",
    [
        LINE.replace(" V:3.000000;", ""),
        LINE.replace("V:", "A:"),
        LINE.replace("3.000000", "3,0"),
        LINE.replace("3.000000", "inf"),
        LINE.replace("UTD", "TD"),
        LINE[:40],
        "UTD-IMPROV-S01A-F01-P-FM01.avi",
    ],
)
def test_damaged_line(damaged, tmp_path):
    root = disk.write_msp_improv(tmp_path)
    relabel(root, LINE, "\n" + damaged)
    with pytest.raises(CorpusError, match=r"Evalution.txt: a block must begin with .*Received: line 2, '") as caught:
        msp_improv.read(root)
    assert damaged[:40] in str(caught.value) and "\n" not in str(caught.value)
