import pytest

from keras_ser.corpora import CorpusError, librispeech
from tests import corpora_on_disk as disk


def test_genders_and_names_with_the_separator(tmp_path):
    corpus = librispeech.read(disk.write_librispeech(tmp_path))
    assert {u.speaker: u.gender for u in corpus} == {"19": "female", "26": "male", "39": "female"}
    assert corpus.counts("subset") == {"dev-clean": 1, "train-clean-100": 3}
    assert {u.id: u.groups["chapter"] for u in corpus}["39-121914-0003"] == "121914"


def test_a_subset_alone(tmp_path):
    root = disk.write_librispeech(tmp_path)
    named = librispeech.read(root, subsets=("dev-clean",))
    inner = librispeech.read(root / "dev-clean")
    assert [u.path for u in named] == [u.path for u in inner] == ["dev-clean/39/121914/39-121914-0003.flac"]
    assert named.expected["utterances"] == 2703
    with pytest.raises(CorpusError, match="dev-clean, train-clean-100. Received: test-clean"):
        librispeech.read(root, subsets=("dev-clean", "test-clean"))


def test_a_reader_that_the_list_does_not_know(tmp_path):
    root = disk.write_librispeech(tmp_path)
    text = (root / "SPEAKERS.TXT").read_text()
    (root / "SPEAKERS.TXT").write_text(text.replace("26   |", "27   |"))
    with pytest.raises(CorpusError, match="does not list these speakers: 26"):
        librispeech.read(root)


def test_the_corpus_itself(shared_data):
    corpus = librispeech.read(shared_data / "LibriSpeech")
    assert len(corpus) == 96
    assert {u.speaker: u.gender for u in corpus} == {"4088": "female", "4406": "male", "5652": "female", "8226": "male"}
    assert len(corpus.counts("chapter")) == 8
