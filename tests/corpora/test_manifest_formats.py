"""Tables in other layouts than one CSV: the same clips, whatever they are listed in."""

import json
import shutil
from pathlib import Path

import pytest

from keras_ser.corpora import CorpusError, manifest
from keras_ser.splits import LeakageError, Split, check_split
from tests import corpora_on_disk as disk

ROWS = (("a.wav", "ann", "anger"), ("b.wav", "ben", "fear"), ("c.wav", "ann", "fear"))
FOUND = [("a.wav", "ann", "anger"), ("b.wav", "ben", "fear"), ("c.wav", "ann", "fear")]


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


def test_values_that_are_lists_or_objects(folder):
    """A list of one value is that value; others are noted, also in the parts of a folder."""
    rows = [
        {"file": "a.wav", "emotion": ["anger"], "tags": ["x", "y"], "about": {"mic": 1}, "none": []},
        {"file": "b.wav", "emotion": "fear", "tags": [["z"]], "about": None, "none": []},
        {"file": "c.wav", "emotion": None, "tags": ["x", "y"]},
    ]
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = manifest.read(folder / "clips.jsonl")
    assert [dict(u.labels) for u in corpus] == [{"emotion": "anger"}, {"emotion": "fear", "tags": "z"}, {}]
    note = "values that are lists, objects or bytes are left out: tags (2 rows), about (1 row)"
    assert corpus.notes == (f"{note} of clips.jsonl.",)
    (folder / "train").mkdir()
    for name in "abc":
        (folder / f"{name}.wav").rename(folder / "train" / f"{name}.wav")
    (folder / "clips.jsonl").rename(folder / "train" / "metadata.jsonl")
    assert manifest.read(folder).notes == (f"{note} of metadata.jsonl.",)


@pytest.mark.parametrize(
    "row", ['"Emotion": "fear", "emotion": "joy"', '"emotion ": 1, "Emotion": 1', '"emotion": 1, "emotion": 2']
)
def test_keys_that_are_one_column(row, folder):
    text = f'{{"file": "a.wav", "about": {{"x": 1, "x": 2}}}}\n\n{{"file": "b.wav", {row}}}\n'
    (folder / "clips.jsonl").write_text(text)
    said = "clips.jsonl, line 3 names these columns more than once: 'emotion'. Rename or remove one of each."
    with pytest.raises(CorpusError, match=said):
        manifest.read(folder / "clips.jsonl")
    # of several rows, each may write it in its way
    (folder / "clips.jsonl").write_text('{"file": "a.wav", "Emotion": "joy"}\n{"file": "b.wav", "emotion": "joy"}\n')
    assert manifest.read(folder / "clips.jsonl").counts("emotion") == {"joy": 2}


@pytest.mark.parametrize("separator", ["\u2028", "\x85"])
def test_json_lines_end_where_lines_of_a_table_end(separator, folder):
    """Other separators of Unicode may be in a text, as `json.dumps(.., ensure_ascii=False)` writes it."""
    row = {"file": "a.wav", "emotion": "fear", "text": f"one{separator}two"}
    text = json.dumps(row, ensure_ascii=False)
    (folder / "clips.jsonl").write_text(f'{text}\r{{"file": "b.wav"}}\n', encoding="utf-8", newline="")
    corpus = manifest.read(folder)
    assert [(u.id, u.labels.get("text")) for u in corpus] == [("a.wav", row["text"]), ("b.wav", None)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"file": "a.wav"}\n\n' + b"[" * 100_000, r"one JSON object per line.* in line 3"),
        (b'{"file": "a\\ud800.wav"}\n', "one JSON object per line.* in line 1"),
        (b'{"file": "a\\u0000.wav"}\n', "Not found: .*line 1"),
        (b'{"file": "a.wav", "emotion": "f\xe4hig"}\n', "not UTF-8 in line 1"),
        (bytes(range(256)), "JSON lines in UTF-8. Received: .*binary"),
        (b'[{"file": "a.wav"}]', "JSON lines in UTF-8. Received: .*which is JSON"),
        (b"\n", "expected a row for every utterance. Received: .*which has none"),
        (
            b'{"file": "a.wav", "arousal": 1}\n\n{"file": "b.wav", "arousal": "0,5"}\n',
            r"'0,5' \(line 3, column arousal",
        ),
    ],
)
def test_json_lines_that_cannot_be_read(content, said, folder):
    (folder / "clips.jsonl").write_bytes(content)
    with pytest.raises(CorpusError, match=said):
        manifest.read(folder / "clips.jsonl")


@pytest.mark.parametrize("name", ["path", "file", "file_name"])
def test_a_named_file_column_of_sides(name, folder):
    """Its paths start at the folder of the side's table, whatever it is called."""
    for side, rows in (("train", ROWS[:2]), ("test", ROWS[2:])):
        (folder / side).mkdir()
        for file, *_ in rows:
            (folder / file).rename(folder / side / file)
        table = "".join(f"{s},{f},{e}\n" for f, s, e in rows)
        (folder / side / "metadata.csv").write_text(f"speaker,{name},emotion\n{table}")
    corpus = manifest.read(folder, columns={"file": name})
    assert facts(corpus) == [
        ("test/c.wav", "ann", "fear"),
        ("train/a.wav", "ann", "anger"),
        ("train/b.wav", "ben", "fear"),
    ]
    (folder / "train" / "metadata.csv").write_text(f"speaker,{name},emotion\nann,a.wav,anger\n\nben,gone.wav,fear\n")
    with pytest.raises(CorpusError, match=r"Not found: train/gone.wav \(line 4 of train/metadata.csv"):
        manifest.read(folder, columns={"file": name})


def test_file_name_below_a_line_of_excel(folder):
    (folder / "clips.csv").write_text("sep=;\nfile_name;speaker;emotion\na.wav;ann;anger\n")
    assert facts(manifest.read(folder)) == FOUND[:1]


def test_audiofolder_of_two_sides(folder):
    """metadata.csv beside metadata.jsonl in folders of the sides, which become the group `subset`."""
    for side, names in (("train", ("a.wav", "b.wav")), ("validation", ("c.wav",))):
        (folder / side).mkdir()
        for name in names:
            (folder / name).rename(folder / side / name)
    table = "file_name,speaker,emotion,subset\na.wav,ann,anger,train\nb.wav,ben,fear,mine\n"
    (folder / "train" / "metadata.csv").write_text(table)
    (folder / "validation" / "metadata.jsonl").write_text(lines(ROWS[2:]))
    corpus = manifest.read(folder)
    sides = ("train", "train", "validation")
    assert facts(corpus) == [(f"{side}/{n}", s, e) for side, (n, s, e) in zip(sides, ROWS, strict=True)]
    assert [u.groups["subset"] for u in corpus] == ["train", "mine", "validation"]  # a column of its own goes before


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_numbers_of_people_are_one_in_tables_with_and_without_a_missing_value(kind, folder):
    """As pandas writes them: floats where a value of the column is missing."""
    for side, speakers in (("train", [1, 2]), ("test", [1.0, None, 2.0])):
        (folder / side).mkdir()
        rows = [{"file_name": f"{i}.wav", "speaker": each, "age": 1.5} for i, each in enumerate(speakers)]
        for row in rows:
            shutil.copy(folder / "a.wav", folder / side / row["file_name"])
        if kind == "jsonl":
            text = "".join(json.dumps(row) + "\n" for row in rows)
        else:
            text = "".join(f"{row['file_name']},{row['speaker'] or ''},1.5\n" for row in rows)
            text = f"file_name,speaker,age\n{text}"
        (folder / side / f"metadata.{kind}").write_text(text)
    corpus = manifest.read(folder)
    found = {u.id: (u.speaker, u.labels["age"]) for u in corpus}
    assert found == {
        "train/0.wav": ("1", 1.5),
        "train/1.wav": ("2", 1.5),
        "test/0.wav": ("1", 1.5),
        "test/1.wav": (None, 1.5),
        "test/2.wav": ("2", 1.5),
    }
    note = "read as whole numbers, as other tables have them: speaker (test/metadata.csv)."
    assert corpus.notes == ((note,) if kind == "csv" else ())
    split = Split("p", 0, ("train/0.wav", "train/1.wav"), (), ("test/2.wav",), ("speaker",))
    with pytest.raises(LeakageError, match="speaker must be on one side only. On two: 2"):
        check_split(split, corpus)


@pytest.mark.parametrize("tested", [("1.0", "2.5"), ("1.0", "ann"), ("v1.0", "v2.0")])
def test_what_is_not_all_whole_numbers_stays(tested, folder):
    for side, speakers in (("train", ("1", "2")), ("test", tested)):
        (folder / side).mkdir()
        for i, _ in enumerate(speakers):
            shutil.copy(folder / "a.wav", folder / side / f"{i}.wav")
        rows = "".join(f"{i}.wav,{name}\n" for i, name in enumerate(speakers))
        (folder / side / "metadata.csv").write_text(f"file_name,speaker\n{rows}")
    corpus = manifest.read(folder)
    assert set(corpus.counts("speaker")) == {"1", "2", *tested} and not corpus.notes


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
    # nothing that a user would take for a part of it is left out in silence
    for place in ("train/joy/spk2/c.wav", "train/d.wav", "e.flac", "test/fear/spk1/f.wav"):
        disk.write_audio(tmp_path / place, disk.recordings(1)[0])
        with pytest.raises(CorpusError, match=f"in class folders alone.*Received: {place}. Move them"):
            manifest.read(tmp_path)
        (tmp_path / place).unlink()


@pytest.fixture
def written(folder, tmp_path_factory, monkeypatch):
    """Writes columns as a Parquet file of the folder."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setenv("KERAS_SER_CACHE", str(tmp_path_factory.mktemp("cache")))

    def write(name, columns, features=None):
        about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if features else None
        parquet.write_table(pa.table(columns).replace_schema_metadata(about), folder / name)
        return folder / name

    return write


def test_shards_of_audio_in_a_named_column(written, folder):
    for number, (name, speaker, emotion) in enumerate(ROWS):
        audio = {"bytes": (folder / name).read_bytes(), "path": name}
        columns = {"recording": [audio], "who": [speaker], "label": [emotion]}
        written(f"{'train' if number < 2 else 'test'}-0000{number}-of-00003.parquet", columns)
    corpus = manifest.read(folder, columns={"file": "recording", "speaker": "who", "emotion": "label"})
    found = [(u.speaker, u.labels["emotion"], u.groups["subset"]) for u in corpus]
    assert sorted(found) == [("ann", "anger", "train"), ("ann", "fear", "test"), ("ben", "fear", "train")]
    expected = {(s, e): (folder / f).read_bytes() for f, s, e in ROWS}
    assert {(u.speaker, u.labels["emotion"]): corpus.file(u).read_bytes() for u in corpus} == expected
    assert (
        sorted(u.id for u in corpus)[0]
        == f"test-00002-of-00003-000001-{Path(ROWS[2][0]).stem}{Path(ROWS[2][0]).suffix}"
    )
    moved = folder.rename(folder.with_name("elsewhere"))  # not named after where the audio is kept
    again = manifest.read(moved, columns={"file": "recording", "speaker": "who", "emotion": "label"})
    assert [u.id for u in again] == [u.id for u in corpus] and again.file(again.utterances[0]).exists()


def test_audio_of_another_column_and_of_a_changed_file_is_read_anew(written, folder):
    near, far = ([{"bytes": (folder / "a.wav").read_bytes()[:-2] + end, "path": "a.wav"}] for end in (b"\0\0", b"\1\1"))
    for columns in ({"near": near, "far": far}, {"near": far, "far": near}):
        path = written("clips.parquet", columns)
        for name, (audio,) in columns.items():
            corpus = manifest.read(path, columns={"file": name})
            assert corpus.file(corpus.utterances[0]).read_bytes() == audio["bytes"]


@pytest.mark.parametrize("name", ["a\0b.wav", "x" * 300 + ".wav", "\u00e4" * 200, "a." + "y" * 300, "..", "a\nb.flac"])
def test_audio_of_any_name_in_parquet(name, written, folder):
    content = (folder / "a.wav").read_bytes()
    corpus = manifest.read(written("clips.parquet", {"audio": [{"bytes": content, "path": name}]}))
    (utterance,) = corpus
    assert corpus.file(utterance).read_bytes() == content and utterance.id.startswith("clips-000001-")
    assert utterance.id.isprintable() and corpus.file(utterance).suffix in (".wav", ".flac")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"audio": [{"bytes": "RIFF", "path": "a.wav"}]}, "no column 'file' of paths, and no audio"),
        ({"audio": [{"bytes": b"RIFF", "path": 3}]}, "no column 'file' of paths, and no audio"),
        ({"audio": [{"bytes": None, "path": "a\0.wav"}]}, "Not found: .*a_.wav"),
        ({"file": [], "emotion": []}, "expected a row for every utterance. Received: .*which has none"),
        ({"file": ["a\0.wav"]}, "Not found: .*line 1"),
    ],
)
def test_parquet_that_cannot_be_read(columns, said, written):
    with pytest.raises(CorpusError, match=said):
        manifest.read(written("clips.parquet", columns))


def test_damaged_parquet_and_classes_without_names(written):
    names = {"emotion": {"_type": "ClassLabel", "names": 3}}
    path = written("clips.parquet", {"file": ["a.wav", "b.wav"], "emotion": [0, 1]}, names)
    assert manifest.read(path).counts("emotion") == {"0": 1, "1": 1}
    names["emotion"]["names"] = ["anger", "fear"]
    path = written("clips.parquet", {"file": ["a.wav", "b.wav"], "emotion": [1, -1]}, names)
    assert manifest.read(path).counts("emotion") == {"fear": 1}, "-1 is no label"
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)  # the first page, behind the mark of Parquet
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="cannot be read as Parquet"):
        manifest.read(path)


@pytest.mark.parametrize("stored", ["bytes", "paths"])
def test_lists_and_columns_of_one_name_in_parquet(stored, written, folder):
    audio = [{"bytes": (folder / name).read_bytes(), "path": name} for name in ("a.wav", "b.wav")]
    columns = {"audio": audio} if stored == "bytes" else {"file": ["a.wav", "b.wav"]}
    columns |= {"emotion": [["anger"], ["fear"]], "vector": [[1.0, 2.0], [3.0, 4.0]]}
    path = written("clips.parquet", columns)
    for _ in range(2):  # the second time from the cache
        corpus = manifest.read(path)
        assert [dict(u.labels) for u in corpus] == [{"emotion": "anger"}, {"emotion": "fear"}]
        assert corpus.notes == (
            "values that are lists, objects or bytes are left out: vector (2 rows) of clips.parquet.",
        )
    with pytest.raises(CorpusError, match="clips.parquet names these columns more than once: 'emotion'. Rename or"):
        manifest.read(written("clips.parquet", columns | {"Emotion": ["joy", "joy"]}))


@pytest.mark.parametrize("stored", ["bytes", "paths"])
def test_whole_numbers_in_parquet(stored, written, folder):
    """Shards with and without a missing value: floats in one, integers in the other."""
    for side, speakers in (("train", [1, 2]), ("test", [1.0, None])):
        names = [name for name, *_ in ROWS[:2]] if side == "train" else ["c.wav", "d.wav"]
        shutil.copy(folder / "c.wav", folder / "d.wav")
        audio = [{"bytes": (folder / name).read_bytes(), "path": name} for name in names]
        columns = {"audio": audio} if stored == "bytes" else {"file": names}
        written(f"{side}-00000-of-00001.parquet", columns | {"speaker": speakers, "age": [0.5, 3.0]})
    corpus = manifest.read(folder)
    assert corpus.counts("speaker") == {"1": 2, "2": 1} and {u.labels["age"] for u in corpus} == {0.5, 3.0}


@pytest.mark.parametrize("stored", ["bytes", "paths"])
def test_parquet(stored, written, folder):
    """Audio in a column, with classes that are numbers, as Hugging Face writes it; or paths."""
    contents = [(folder / name).read_bytes() for name, *_ in ROWS]
    columns = {"speaker": [s for _, s, _ in ROWS]}
    if stored == "paths":
        columns |= {"file_name": [n for n, *_ in ROWS], "emotion": [e for *_, e in ROWS]}
    else:
        columns |= {
            "audio": [{"bytes": b, "path": f"/home/x/{n}"} for b, (n, *_) in zip(contents, ROWS, strict=True)],
            "emotion": [("anger", "fear").index(e) for *_, e in ROWS],
        }
    names = {"emotion": {"_type": "ClassLabel", "names": ["anger", "fear"]}} if stored == "bytes" else None
    written("train-00000-of-00001.parquet", columns, names)
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
    for name, split in (("emotion.test", "test"), ("emotion.again", None)):  # which agree
        segments = database[name] = audformat.Table(index, split_id=split)
        segments["emotion"] = audformat.Column(scheme_id="emotion")
        segments["emotion"].set(["anger", "fear"])
    database.save(str(folder))
    corpus = manifest.read(folder)
    found = [(u.path, u.start, u.end, u.speaker, u.gender, u.labels["emotion"], u.groups["subset"]) for u in corpus]
    assert found == [
        ("a.wav", 0.0, 0.2, "ann", "female", "anger", "test"),
        ("b.wav", 0.25, 0.5, "ben", "male", "fear", "test"),
    ]
    assert "files without segments, and without the labels of segments, are left out: c.wav." in corpus.notes
    files["emotion"] = audformat.Column(scheme_id="emotion")
    files["emotion"].set(["anger"] * len(ROWS))
    database.save(str(folder))
    found = [(u.path, u.start, u.labels["emotion"]) for u in manifest.read(folder)]
    assert found == [("a.wav", 0.0, "anger"), ("b.wav", 0.25, "fear"), ("c.wav", None, "anger")]
    database = audformat.Database("empty")
    database["files"] = audformat.Table(audformat.filewise_index(["a.wav"]))
    database.save(str(folder))
    with pytest.raises(CorpusError, match="expected a row for every utterance. Received: .*db.yaml"):
        manifest.read(folder)
    database = audformat.Database("twice")
    files = database["files"] = audformat.Table(audformat.filewise_index(["a.wav"]))
    for column in ("emotion", "Emotion"):
        files[column] = audformat.Column()
        files[column].set(["fear"])
    database.save(str(folder))
    with pytest.raises(CorpusError, match="db.yaml names these columns more than once: 'emotion'. Rename"):
        manifest.read(folder)
    (folder / "db.yaml").write_text("name: [")
    with pytest.raises(CorpusError, match="cannot be read as an audformat database"):
        manifest.read(folder)
