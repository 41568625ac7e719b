import pytest

from keras_ser.corpora import CorpusError, iemocap
from tests import corpora_on_disk as disk


def test_names_and_labels(tmp_path):
    corpus = iemocap.read(disk.write_iemocap(tmp_path))
    found = {u.id: u for u in corpus}
    assert set(found) == {turn[0] for turn in disk.IEMOCAP_TURNS}
    for name, code, valence, arousal, dominance in disk.IEMOCAP_TURNS:
        labels = found[name].labels
        assert labels["emotion"] == iemocap.EMOTIONS[code]
        assert (labels["valence"], labels["arousal"], labels["dominance"]) == (valence, arousal, dominance)
    # The speaker is the letter of the last field, not who wears the markers.
    one = found["Ses01F_script01_1_M012"]
    assert (one.speaker, one.gender, one.labels["emotion"]) == ("Ses01M", "male", "undecided")
    assert dict(one.groups) == {"session": "1", "dialog": "Ses01F_script01_1", "scenario": "script"}
    assert found["Ses03M_impro05a_F002"].speaker == "Ses03F"
    assert found["Ses03M_impro05a_F002"].groups["dialog"] == "Ses03M_impro05a"


def test_the_usual_four_classes(tmp_path):
    corpus = iemocap.read(disk.write_iemocap(tmp_path), emotions=iemocap.FOUR_EMOTIONS)
    assert len(corpus) == 5 and set(corpus.counts("emotion")) <= set(iemocap.FOUR_EMOTIONS)
    # 5531 is the sum that the literature gives, class by class.
    assert corpus.expected["utterances"] == 5531
    assert corpus.expected["emotion"]["happiness"] + corpus.expected["emotion"]["excited"] == 1636


def test_audio_without_label_and_label_without_audio(tmp_path):
    root = disk.write_iemocap(tmp_path)
    wavs = root / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    (wavs / "Ses01F_impro01_F000.wav").rename(wavs / "Ses01F_impro01_F009.wav")
    with pytest.raises(CorpusError, match="Without a line: Ses01F_impro01_F009. Without audio: Ses01F_impro01_F000"):
        iemocap.read(root)


def test_unknown_code_and_broken_line(tmp_path):
    root = disk.write_iemocap(tmp_path)
    path = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    text = path.read_text()
    path.write_text(text.replace("\tneu\t", "\tmeh\t"))
    with pytest.raises(CorpusError, match=r"codes must be among ang, hap.*Received: 'meh' \(Ses01F_impro01_F000\)"):
        iemocap.read(root)
    path.write_text(text.replace("\tneu\t[2.5000, 2.5000, 2.5000]", "\tneu"))
    with pytest.raises(CorpusError, match="in Ses01F_impro01.txt. Received: "):
        iemocap.read(root)


def test_unknown_emotion(tmp_path):
    with pytest.raises(CorpusError, match="`emotions` must be some of anger, .*undecided. Received: .'hapy'"):
        iemocap.read(disk.write_iemocap(tmp_path), emotions=("hapy",))
