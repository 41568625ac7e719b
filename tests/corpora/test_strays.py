"""Audio where an adapter does not look is never left out in silence."""

import pytest

from keras_ser.corpora import CorpusError, avec2016, crema_d, iemocap, librispeech, ravdess
from tests import corpora_on_disk as disk
from tests.corpora.crema_d_on_disk import write_crema_d


@pytest.mark.parametrize(
    "read, write, stray",
    [
        (ravdess.read, disk.write_ravdess, "Actor_07/more/03-01-01-01-01-01-07.wav"),
        (crema_d.read, write_crema_d, "AudioWAV/part2/1001_DFA_ANG_XX.wav"),
        (librispeech.read, disk.write_librispeech, "dev-clean/39/39-121915-0000.flac"),
        (avec2016.read, disk.write_avec2016, "recordings_audio/more/train_2.wav"),
        (iemocap.read, disk.write_iemocap, "Session1/sentences/wav/Ses01F_impro01_F000.wav"),
    ],
)
def test_audio_in_another_folder_is_named(read, write, stray, tmp_path):
    root = write(tmp_path / "corpus")
    assert len(read(root))
    disk.write_audio(root / stray, disk.recordings(1)[0])
    with pytest.raises(CorpusError, match=f"Received: {stray}. Move files from other sources"):
        read(root)


def test_a_second_copy_of_ravdess_beside_the_actors_is_told(tmp_path):
    """As one of its common archives has it."""
    root = disk.write_ravdess(tmp_path)
    before = ravdess.read(root)
    disk.write_audio(root / "all" / "Actor_07" / "03-01-01-01-01-01-07.wav", disk.recordings(1)[0])
    found = ravdess.read(root)
    assert found.utterances == before.utterances
    assert "1 audio file(s) outside Actor_01 .. Actor_24 are not read, such as" in found.flaws[-1]
