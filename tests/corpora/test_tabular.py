"""Tables in other layouts than one CSV: the same clips, whatever they are listed in."""

import json

import pytest

from keras_ser.corpora import CorpusError, manifest
from tests import corpora_on_disk as disk

ROWS = (("a.wav", "ann", "anger"), ("b.wav", "ben", "fear"), ("c.wav", "ann", "fear"))
FOUND = [(name, speaker, emotion) for name, speaker, emotion in ROWS]


@pytest.fixture
def folder(tmp_path):
    for (name, *_), clip in zip(ROWS, disk.recordings(3), strict=True):
        disk.write_audio(tmp_path / name, clip)
    return tmp_path


def facts(corpus):
    assert all(corpus.file(u).is_file() for u in corpus)
    return [(u.id, u.speaker, u.labels["emotion"]) for u in corpus]


def lines(rows=ROWS, **more):
    objects = [{"file_name": f, "speaker": s, "emotion": e, **more} for f, s, e in rows]
    return "".join(json.dumps(each) + "\n" for each in objects)


def test_json_lines(folder):
    (folder / "clips.jsonl").write_text(lines(level=3, nested={"a": 1}))
    corpus = manifest.read(folder / "clips.jsonl")
    assert facts(corpus) == FOUND and corpus.utterances[0].labels == {"emotion": "anger", "level": 3.0}
    assert facts(manifest.read(folder)) == FOUND
    (folder / "clips.jsonl").write_text(lines() + "[1]\n")
    with pytest.raises(CorpusError, match=r"one JSON object per line. Received: '\[1\]' in line 4"):
        manifest.read(folder)


def test_audiofolder_of_two_sides(folder):
    """metadata.csv beside metadata.jsonl in folders of the sides, which become the group `subset`."""
    for side, names in (("train", ("a.wav", "b.wav")), ("validation", ("c.wav",))):
        (folder / side).mkdir()
        for name in names:
            (folder / name).rename(folder / side / name)
    (folder / "train" / "metadata.csv").write_text("file_name,speaker,emotion\na.wav,ann,anger\nb.wav,ben,fear\n")
    (folder / "validation" / "metadata.jsonl").write_text(lines(ROWS[2:]))
    corpus = manifest.read(folder)
    sides = ("train", "train", "validation")
    assert facts(corpus) == [(f"{side}/{n}", s, e) for side, (n, s, e) in zip(sides, ROWS, strict=True)]
    assert [u.groups["subset"] for u in corpus] == list(sides)


def test_class_folders(tmp_path):
    for place, clip in zip(("train/fear/a.wav", "train/joy/b.wav", "test/joy/a.wav"), disk.recordings(3), strict=True):
        disk.write_audio(tmp_path / place, clip)
    corpus = manifest.read(tmp_path)
    assert [(u.id, u.speaker, u.labels["emotion"], u.groups["subset"]) for u in corpus] == [
        ("test/joy/a.wav", None, "joy", "test"),
        ("train/fear/a.wav", None, "fear", "train"),
        ("train/joy/b.wav", None, "joy", "train"),
    ]
    assert corpus.notes == ("there is no table: the folders are read as emotions (fear, joy).",)


@pytest.mark.parametrize("stored", ["bytes", "paths"])
def test_parquet(stored, folder, tmp_path_factory, monkeypatch):
    """Audio in a column, with classes that are numbers, as Hugging Face writes it; or paths."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setenv("KERAS_SER_CACHE", str(tmp_path_factory.mktemp("cache")))
    contents = [(folder / name).read_bytes() for name, *_ in ROWS]
    columns = {"speaker": [s for _, s, _ in ROWS]}
    if stored == "paths":
        columns |= {"file_name": [n for n, *_ in ROWS], "emotion": [e for *_, e in ROWS]}
    else:
        columns |= {
            "audio": [{"bytes": b, "path": f"/home/x/{n}"} for b, (n, *_) in zip(contents, ROWS, strict=True)],
            "emotion": [("anger", "fear").index(e) for *_, e in ROWS],
        }
    table = pa.table(columns)
    names = {"emotion": {"_type": "ClassLabel", "names": ["anger", "fear"]}}
    if stored == "bytes":
        about = json.dumps({"info": {"features": names}}).encode()
        table = table.replace_schema_metadata({b"huggingface": about})
    parquet.write_table(table, folder / "train-00000-of-00001.parquet")
    corpus = manifest.read(folder)
    assert [(s, e) for _, s, e in facts(corpus)] == [(s, e) for _, s, e in FOUND]
    assert [corpus.file(u).read_bytes() for u in corpus] == contents
    assert {u.groups["subset"] for u in corpus} == {"train"}
    assert not any("home" in u.id for u in corpus)
    assert manifest.read(folder) == corpus
    with pytest.raises(CorpusError, match="no column 'wav'"):
        manifest.read(folder / "train-00000-of-00001.parquet", columns={"file": "wav"})


def test_audformat_database(folder):
    """A table of files and one of segments, joined; the speaker's gender is what the scheme says of the label."""
    audformat = pytest.importorskip("audformat")
    pd = pytest.importorskip("pandas")
    database = audformat.Database("db")
    people = {"ann": {"gender": "female"}, "ben": {"gender": "male"}}
    database.schemes["speaker"] = audformat.Scheme("str", labels=people)
    database.schemes["emotion"] = audformat.Scheme("str", labels=["anger", "fear"])
    database.splits["test"] = audformat.Split("test")
    files = database["files"] = audformat.Table(audformat.filewise_index([n for n, *_ in ROWS]))
    files["speaker"] = audformat.Column(scheme_id="speaker")
    files["speaker"].set([s for _, s, _ in ROWS])
    index = audformat.segmented_index(
        ["a.wav", "b.wav"], pd.to_timedelta(["0s", "0.25s"]), pd.to_timedelta(["0.2s", "0.5s"])
    )
    segments = database["emotion.test"] = audformat.Table(index, split_id="test")
    segments["emotion"] = audformat.Column(scheme_id="emotion")
    segments["emotion"].set(["anger", "fear"])
    database.save(str(folder))
    corpus = manifest.read(folder)
    found = [(u.path, u.start, u.end, u.speaker, u.gender, u.labels["emotion"], u.groups["subset"]) for u in corpus]
    assert found == [
        ("a.wav", 0.0, 0.2, "ann", "female", "anger", "test"),
        ("b.wav", 0.25, 0.5, "ben", "male", "fear", "test"),
    ]
    (folder / "db.yaml").write_text("name: [")
    with pytest.raises(CorpusError, match="cannot be read as an audformat database"):
        manifest.read(folder)
