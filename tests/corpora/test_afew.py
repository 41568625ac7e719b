import shutil

import pytest

from keras_ser.corpora import CorpusError, afew
from tests import corpora_on_disk as disk


def test_folders_are_labels(tmp_path):
    corpus = afew.read(disk.write_afew(tmp_path))
    assert corpus.counts("subset") == {"Train": 14, "Val": 7}
    assert corpus.counts("emotion") == dict.fromkeys(corpus.vocabulary["emotion"], 3)
    found = {u.id: u for u in corpus}
    # One id stands in both subsets, as in the corpus.
    assert found["Train/000053760"].labels["emotion"] == found["Val/000053760"].labels["emotion"] == "anger"
    assert found["Train/000053760"].path == "Train/Angry/000053760.wav"
    assert all(u.speaker is None and u.gender is None and "film" not in u.groups for u in corpus)


def test_later_folder_names(tmp_path):
    root = disk.write_afew(tmp_path, folders=("Train_AFEW", "Val_AFEW"))
    (root / "Train_AFEW" / "AlignedFaces_LBPTOP_Points" / "Faces" / "000053760").mkdir(parents=True)
    assert afew.read(root).counts("subset") == {"Train": 14, "Val": 7}


def test_extracted_sound_is_taken_before_the_video(tmp_path):
    root = disk.write_afew(tmp_path, ".avi")
    clip = root / "Val" / "Sad" / next((root / "Val" / "Sad").iterdir()).name
    disk.write_audio(clip.with_suffix(".wav"), disk.recordings(1)[0])
    paths = [u.path for u in afew.read(root)]
    assert len(paths) == 21
    assert sum(path.endswith(".wav") for path in paths) == 1


def test_one_subset_and_the_test_part(tmp_path):
    root = disk.write_afew(tmp_path)
    disk.write_audio(root / "Test_vid_Distribute" / "000100000.wav", disk.recordings(1)[0])
    assert afew.read(root, subsets=("Val",)).counts("subset") == {"Val": 7}
    test = afew.read(root, subsets=("Test",))
    assert [(u.id, dict(u.labels)) for u in test] == [("Test/000100000", {})]
    shutil.rmtree(root / "Val")
    with pytest.raises(CorpusError, match="expected the folder Val or Val_AFEW.*leave Val out of `subsets`"):
        afew.read(root)
    with pytest.raises(CorpusError, match="`subsets` must be some of Train, Val, Test. Received: 'Train'"):
        afew.read(root, subsets="Train")


def test_one_id_in_two_emotions_and_clips_in_deeper_folders(tmp_path):
    root = disk.write_afew(tmp_path / "afew")
    clip = disk.recordings(1)[0]
    for place in ("Train/Happy/000053760.wav", "Train/Sad/000053760.flac", "Val/Happy/000053760.wav"):
        disk.write_audio(root / place, clip)
    two = "Train/000053760 in Angry and Happy and Sad, Val/000053760 in Angry and Happy"
    with pytest.raises(CorpusError, match=f"afew: a clip must have one emotion. Received: {two}. Keep one of each."):
        afew.read(root)
    for place in ("Train/Happy/000053760.wav", "Train/Sad/000053760.flac", "Val/Happy/000053760.wav"):
        (root / place).unlink()
    for place in ("Train/Sad/deep/000000003.wav", "Val/deep/Sad/000000003.avi", "Test/Sad/000000003.wav"):
        (root / place).parent.mkdir(parents=True)
        disk.write_audio((root / place).with_suffix(".wav"), clip)
        (root / place).with_suffix(".wav").rename(root / place)
        with pytest.raises(
            CorpusError, match=f"expected audio files named like .*, in folders .*Received: {place}. Move"
        ):
            afew.read(root, subsets=("Train", "Val", "Test") if "Test" in place else ("Train", "Val"))
        (root / place).unlink()
    disk.write_audio(tmp_path / "away" / "000000003.wav", clip)
    (root / "Val" / "Calm").symlink_to(tmp_path / "away")
    with pytest.raises(CorpusError, match=r"Received: Val/Calm/000000003.wav\. Move"):
        afew.read(root)
    (root / "Val" / "Calm").unlink()
    (root / "Val" / "Sad").rename(tmp_path / "sad")
    (root / "Val" / "Sad").symlink_to(tmp_path / "sad")
    assert len(afew.read(root)) == 21


def test_metadata(tmp_path):
    root = disk.write_afew(tmp_path / "afew")
    table = tmp_path / "meta.csv"
    # A spreadsheet cuts leading zeros off; a row without a subset speaks of both clips of that id.
    table.write_text(
        "\ufeffID;subset;Speaker;Gender;film\n53760;;anna;F;Heat\n000053857;Train;ben;male;\n000054800;Val;n/a;NaN;Up\n",
        "utf-8",
    )
    found = {u.id: u for u in afew.read(root, metadata=table)}
    for key in ("Train/000053760", "Val/000053760"):
        assert (found[key].speaker, found[key].gender, found[key].groups["film"]) == ("anna", "female", "Heat")
    assert (found["Train/000053857"].speaker, found["Train/000053857"].gender) == ("ben", "male")
    assert "film" not in found["Train/000053857"].groups
    assert found["Val/000054800"].groups["film"] == "Up" and found["Val/000054800"].speaker is None
    assert found["Train/000054800"].groups == {"subset": "Train"}


@pytest.mark.parametrize(
    "text, message",
    [
        ("id,speaker\n999999999,anna\n", "not in the corpus: 999999999 .line 2"),
        ("id,gender\n000053760,x\n", "line 2: gender must be female, male or empty"),
        ("id,speaker\n53760,a\n000053760,b\n", "more than once: Train/000053760 .line 3"),
    ],
)
def test_wrong_metadata(text, message, tmp_path):
    root = disk.write_afew(tmp_path / "afew")
    (tmp_path / "meta.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        afew.read(root, metadata=tmp_path / "meta.csv")
