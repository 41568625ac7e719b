from keras_ser.corpora import emodb
from tests import corpora_on_disk as disk


def test_names_are_understood(tmp_path):
    corpus = emodb.read(disk.write_emodb(tmp_path))
    found = {u.id: (u.speaker, u.gender, u.labels["emotion"], u.groups["sentence"]) for u in corpus}
    assert found["03a01Fa"] == ("03", "male", "happiness", "a01")
    assert found["08b10Ta"] == ("08", "female", "sadness", "b10")
    assert found["16b03Lc"] == ("16", "female", "boredom", "b03")
    assert found["10a04Ad"][2] == "fear"
    assert found["09a05Ea"][2] == "disgust"


def test_hidden_files_are_ignored(tmp_path):
    root = disk.write_emodb(tmp_path / "emodb")
    (root / "wav" / "._03a01Fa.wav").write_bytes(b"\x00\x05\x16\x07")
    assert len(emodb.read(root)) == len(disk.EMODB_NAMES)


def test_wav_is_taken_before_flac(tmp_path):
    root = disk.write_emodb(tmp_path, ".wav")
    disk.write_emodb(tmp_path, ".flac")
    corpus = emodb.read(root)
    assert len(corpus) == len(disk.EMODB_NAMES)
    assert all(u.path.endswith(".wav") for u in corpus)


def test_the_corpus_itself(shared_data):
    corpus = emodb.read(shared_data / "emodb")
    assert len(corpus) == 535
    assert corpus.counts("emotion") == corpus.expected["emotion"]
    # The pack's README gives the men; a count of its file names gives the rest.
    assert {u.speaker for u in corpus if u.gender == "male"} == {"03", "10", "11", "12", "15"}
    assert len({u.groups["sentence"] for u in corpus}) == 10
    assert "535" in corpus.flaws[0] and "816" in corpus.flaws[0]
