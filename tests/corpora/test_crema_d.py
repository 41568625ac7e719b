import csv
import shutil
from collections import Counter
from pathlib import PurePosixPath

import pytest

from keras_ser.corpora import CorpusError, crema_d
from keras_ser.corpora.inspection import check
from keras_ser.tasks import Task
from tests import corpora_on_disk as disk
from tests.corpora.crema_d_on_disk import DEMOGRAPHICS, NAMES, VOTES, write_crema_d


def test_names_and_demographics_are_understood(tmp_path):
    corpus = crema_d.read(write_crema_d(tmp_path))
    found = {u.id: u for u in corpus}
    first = found["1001_IEO_FEA_LO"]
    assert (first.speaker, first.gender, first.groups["sentence"]) == ("1001", "male", "IEO")
    assert {u.id: (u.labels["emotion"], u.labels["intensity"]) for u in corpus} == {
        "1001_IEO_ANG_HI": ("anger", "high"),
        "1001_IEO_FEA_LO": ("fear", "low"),
        "1001_DFA_NEU_XX": ("neutral", "unspecified"),
        "1002_TIE_DIS_XX": ("disgust", "unspecified"),
        "1002_IEO_SAD_MD": ("sadness", "medium"),
        "1064_IOM_HAP_XX": ("happiness", "unspecified"),
        "1076_MTI_NEU_XX": ("neutral", "unspecified"),
    }
    actors = {u.speaker: [u.gender, *map(u.column, ("age", "age_group", "race", "ethnicity"))] for u in corpus}
    assert actors == {
        "1001": ["male", 51.0, "50-59", "caucasian", "not_hispanic"],
        "1002": ["female", 21.0, "20-29", "caucasian", "not_hispanic"],
        "1064": ["male", 30.0, "30-39", None, "hispanic"],
        "1076": ["female", 70.0, "70-79", "african_american", "not_hispanic"],
    }
    # A task takes each column as it stands.
    for column in ("intensity", "age_group", "race", "ethnicity", "perceived_voice"):
        task = Task(column, labels=corpus.vocabulary[column])
        values = [(u.column(column), task.encode(u.column(column))) for u in corpus]
        assert all(weight == (value is not None) for value, (_, weight) in values)
    assert Task("age", low=20, high=80).encode(first.column("age")) == (51.0, 1.0)


def test_ties_are_no_labels_and_are_counted(tmp_path):
    corpus = crema_d.read(write_crema_d(tmp_path))
    found = {u.id: tuple(map(u.column, ("perceived_voice", "perceived_face", "perceived"))) for u in corpus}
    assert found == {
        "1001_IEO_ANG_HI": ("anger", None, "anger"),
        "1001_IEO_FEA_LO": ("neutral", "fear", "fear"),
        "1001_DFA_NEU_XX": ("neutral", "neutral", "neutral"),
        "1002_TIE_DIS_XX": (None, "disgust", None),
        "1002_IEO_SAD_MD": ("sadness", "neutral", "neutral"),
        "1064_IOM_HAP_XX": ("happiness", "happiness", "happiness"),
        "1076_MTI_NEU_XX": ("disgust", "sadness", "sadness"),
    }
    # The clip without speech is not among those counted, though all its votes are ties.
    assert any("tie" in flaw and "perceived 1, perceived_voice 1, perceived_face 1." in flaw for flaw in corpus.flaws)


def test_without_votes_there_are_no_perceived_labels(tmp_path):
    corpus = crema_d.read(write_crema_d(tmp_path, votes=False))
    assert len(corpus) == len(NAMES) - 1
    assert not any(key.startswith("perceived") for u in corpus for key in u.labels)
    assert not any(key.startswith("perceived") for key in corpus.vocabulary)
    assert not any("tie" in flaw for flaw in corpus.flaws)


def test_the_clip_without_speech_is_left_out_and_said_so(tmp_path):
    root = write_crema_d(tmp_path)
    assert (root / "AudioWAV" / "1076_MTI_SAD_XX.wav").is_file()
    report = check(crema_d.read(root))
    assert "1076_MTI_SAD_XX" not in {u.id for u in crema_d.read(root)}
    assert report.utterances == 7
    shown = "\n".join(report.lines())
    assert "known flaw: 1076_MTI_SAD_XX has no audible speech" in shown
    assert "7442 files published, 7441" in shown
    assert "age: 21.000 to 70.000" in shown and "no race: 1 utterances" in shown
    assert report.counts["ethnicity"] == {"hispanic": 1, "not_hispanic": 6}


def test_no_demographics(tmp_path):
    root = write_crema_d(tmp_path / "CREMA-D")
    (root / "VideoDemographics.csv").unlink()
    for given in (root, tmp_path, root / "AudioWAV"):
        with pytest.raises(CorpusError, match=r"expected VideoDemographics.csv next to AudioWAV.*CheyneyComputerSc.*/"):
            crema_d.read(given)


def test_an_actor_without_a_row(tmp_path):
    root = write_crema_d(tmp_path)
    lines = DEMOGRAPHICS.splitlines(keepends=True)
    (root / "VideoDemographics.csv").write_text("".join(lines[:2] + lines[4:]))
    with pytest.raises(CorpusError, match=r"a row for every actor. It has none for 1002, 1064\. "):
        crema_d.read(root)


ACTORS, RATINGS = "VideoDemographics.csv", "processedResults/summaryTable.csv"


@pytest.mark.parametrize(
    "table, old, new, message",
    [
        (ACTORS, '"Race",', "", r"is missing the column 'race'. Received: actorid, age, sex, eth"),
        (ACTORS, '21,"Female"', '21,"Fmale"', r"sex 'Fmale' \(line 3\)"),
        (ACTORS, '51,"Male"', '151,"Male"', r"age '151' \(line 2\)"),
        (ACTORS, '51,"Male"', '19,"Male"', r"age '19' \(line 2\)"),
        (ACTORS, '"Unknown"', '"Martian"', r"race 'Martian' \(line 4\)"),
        (ACTORS, '"Unknown","Hispanic"', '"","NA"', r"race '' and ethnicity 'NA' \(line 4\)"),
        (ACTORS, "1002,", "1001,", r"a second row for actor 1001 \(line 3\)"),
        (ACTORS, '1064,30,"Male",', "1064,30,", r"must have 5 fields"),
        (RATINGS, '"FaceVote"', '"Face"', r"is missing the column 'facevote'. Received: filename"),
        (RATINGS, '"N:S"', '"N:X"', r"'N:X' in voicevote \(line 5\)"),
        (RATINGS, '"F","57.38"', '"","57.38"', r"'' in multimodalvote \(line 3\)"),
        (RATINGS, "1001_IEO_FEA_LO", "1001_IEO_ANG_HI", r"a second row for 1001_IEO_ANG_HI \(line 3\)"),
        (RATINGS, "1064_IOM_HAP_XX", "1064_IOM_HAP_LO", r"has no row for 1064_IOM_HAP_XX\."),
    ],
)
def test_broken_tables(table, old, new, message, tmp_path):
    path = write_crema_d(tmp_path) / table
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(CorpusError, match=message) as caught:
        crema_d.read(tmp_path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_the_old_name_is_read_as_the_published_one(tmp_path):
    """Copies before the renaming, of the audio and of the table of votes, call this one clip X."""
    root = write_crema_d(tmp_path)
    disk.write_audio(root / "AudioWAV" / "1040_ITH_SAD_X.wav", disk.recordings(1)[0])
    (root / "VideoDemographics.csv").write_text(DEMOGRAPHICS + '1040,42,"Male","Caucasian","Not Hispanic"\n')
    for name in ("1040_ITH_SAD_X", "1040_ITH_SAD_XX"):
        (root / "processedResults" / "summaryTable.csv").write_text(
            VOTES + f'"9","{name}","N","46","N","61.5","F","31.5"\n'
        )
        corpus = crema_d.read(root)
        (clip,) = (u for u in corpus if u.speaker == "1040")
        assert (clip.id, clip.path) == ("1040_ITH_SAD_XX", "AudioWAV/1040_ITH_SAD_X.wav")
        assert (clip.labels["emotion"], clip.labels["intensity"]) == ("sadness", "unspecified")
        assert (clip.labels["perceived_voice"], clip.labels["perceived"]) == ("neutral", "fear")
        assert corpus.notes == ("1040_ITH_SAD_X.wav has the name of earlier copies and is read as 1040_ITH_SAD_XX.",)
        assert set(corpus.notes) <= set(check(corpus).notes)
    shutil.copy(root / clip.path, root / "AudioWAV" / "1040_ITH_SAD_XX.wav")
    with pytest.raises(CorpusError, match="1040_ITH_SAD_X.wav and 1040_ITH_SAD_XX.wav. Remove one"):
        crema_d.read(root)


def test_the_published_corpus_is_as_expected(shared_data, tmp_path):
    """All 7442 names, over the published tables: reading looks at names alone, so the files may be empty."""
    (tmp_path / "AudioWAV").mkdir()
    with open(shared_data / "crema-d" / "AudioWAV.sha256sizes.tsv", newline="") as file:
        names = [PurePosixPath(row["path"]).name for row in csv.DictReader(file, delimiter="\t")]
    assert len(set(names)) == 7442
    for name in names:
        (tmp_path / "AudioWAV" / name).touch()
    shutil.copy(shared_data / "crema-d" / "VideoDemographics.csv", tmp_path)
    shutil.copytree(shared_data / "crema-d" / "processedResults", tmp_path / "processedResults")
    corpus = crema_d.read(tmp_path)
    assert len(corpus) == corpus.expected["utterances"]
    for column, counts in corpus.expected.items():
        if column != "utterances":
            found = corpus.counts(column)
            assert (len(found) if isinstance(counts, int) else found) == counts, column
    assert sum(u.column("race") is None for u in corpus) == 82
    votes = (tmp_path / "processedResults" / "summaryTable.csv").read_text().splitlines()[1:]
    votes = [row.replace('"', "").split(",") for row in votes if crema_d.SPEECHLESS not in row]
    for label, place in (("perceived_voice", 2), ("perceived_face", 4), ("perceived", 6)):
        single = Counter(row[place] for row in votes if ":" not in row[place])
        letters = dict(zip("ADFHNS", crema_d.EMOTIONS.values(), strict=True))
        assert corpus.counts(label) == {letters[letter]: count for letter, count in single.items()}
        assert f"{label} {len(votes) - single.total()}" in corpus.flaws[2]
