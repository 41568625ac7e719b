import shutil

import pytest

from keras_ser.corpora import CorpusError, ravdess
from tests import corpora_on_disk as disk


def test_names_are_understood(tmp_path):
    corpus = ravdess.read(disk.write_ravdess(tmp_path))
    found = {u.id: u for u in corpus}
    one = found["03-01-08-02-01-02-24"]
    assert (one.speaker, one.gender) == ("24", "female")
    assert dict(one.labels) == {"emotion": "surprise", "intensity": "strong"}
    assert dict(one.groups) == {"sentence": "kids", "repetition": "02"}
    assert found["03-01-02-02-02-01-01"].labels["emotion"] == "calm"
    assert found["03-01-02-02-02-01-01"].gender == "male"


def test_an_actors_clip_in_another_actors_folder(tmp_path):
    root = disk.write_ravdess(tmp_path)
    shutil.copy(root / "Actor_24" / "03-01-05-01-01-01-24.wav", root / "Actor_01")
    with pytest.raises(CorpusError, match="Actor_01/03-01-05-01-01-01-24.wav"):
        ravdess.read(root)


def test_a_second_copy_beside_the_actors_is_noted(tmp_path):
    """One of the corpus's common archives has it."""
    root = disk.write_ravdess(tmp_path)
    before = ravdess.read(root)
    disk.write_audio(root / "all" / "Actor_07" / "03-01-01-01-01-01-07.wav", disk.recordings(1)[0])
    found = ravdess.read(root)
    assert found.utterances == before.utterances
    assert "1 audio file(s) outside Actor_01 .. Actor_24 are not read, such as" in found.flaws[-1]


@pytest.mark.parametrize("stem", ["03-02-01-01-01-01-01", "01-01-01-01-01-01-01"])
def test_song_and_video_are_other_corpora(stem, tmp_path):
    root = disk.write_ravdess(tmp_path)
    shutil.copy(root / "Actor_01" / "03-01-01-01-01-01-01.wav", root / "Actor_01" / f"{stem}.wav")
    with pytest.raises(CorpusError, match=rf"{stem}.*Move files"):
        ravdess.read(root)


def test_the_corpus_itself(shared_data):
    corpus = ravdess.read(shared_data / "ravdess")
    assert len(corpus) == 1440
    assert corpus.counts("emotion") == corpus.expected["emotion"]
    assert corpus.counts("gender") == {"female": 720, "male": 720}
    assert set(corpus.counts("speaker").values()) == {60}
    assert corpus.counts("intensity") == {"normal": 768, "strong": 672}
