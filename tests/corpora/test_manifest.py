import pytest

from keras_ser.corpora import CorpusError, check_task, manifest
from keras_ser.corpora.inspection import check
from keras_ser.splits import LeakageError, Protocol, Split, check_split
from keras_ser.tasks import Task
from tests import corpora_on_disk as disk

CLIPS = ("a/one.wav", "a/two.flac", "three.wav")


@pytest.fixture
def folder(tmp_path):
    for name, clip in zip(CLIPS, disk.recordings(3), strict=True):
        disk.write_audio(tmp_path / name, clip)
    return tmp_path


def write(folder, text, name="table.csv", encoding="utf-8"):
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


def test_columns(folder):
    table = write(
        folder,
        "file,speaker,gender,emotion,start,end,session,sentence,arousal,style\n"
        "a/one.wav,anna,F,anger,,,s1,t1,0.5,read\n"
        "a/two.flac,ben,male,neutral,0.1,0.4,s2,,-1e-1,free\n"
        "three.wav,,,,,,,,,\n",
    )
    corpus = manifest.read(table)
    one, two, three = corpus.utterances
    assert corpus.root == folder
    assert (one.id, one.path, one.speaker, one.gender) == ("a/one.wav", "a/one.wav", "anna", "female")
    assert dict(one.labels) == {"emotion": "anger", "arousal": 0.5, "style": "read"}
    assert dict(one.groups) == {"session": "s1", "sentence": "t1"}
    assert (two.id, two.start, two.end, two.gender) == ("a/two.flac#0.1-0.4", 0.1, 0.4, "male")
    assert dict(two.groups) == {"origin": "a/two.flac", "session": "s2"}
    assert two.labels["arousal"] == -0.1
    assert (three.speaker, three.gender, dict(three.labels), dict(three.groups)) == (None, None, {}, {})
    assert corpus.vocabulary == {"emotion": ("anger", "neutral"), "style": ("free", "read")}
    assert all(corpus.file(u).is_file() for u in corpus)


@pytest.mark.parametrize(
    ("delimiter", "encoding", "newline"), [(",", "utf-8", "\n"), (";", "utf-8-sig", "\r\n"), ("\t", "utf-8", "\n")]
)
def test_separators_and_marks(delimiter, encoding, newline, folder):
    rows = (("File", "Speaker", "emotion"), ("three.wav", '"Zoë, née B; C\tD"', "anger"), ("a/one.wav", "ben", "fear"))
    table = write(folder, newline.join(delimiter.join(row) for row in rows) + newline * 2, encoding=encoding)
    corpus = manifest.read(table)
    assert [(u.id, u.speaker, u.labels["emotion"]) for u in corpus] == [
        ("a/one.wav", "ben", "fear"),
        ("three.wav", "Zoë, née B; C\tD", "anger"),
    ]


def test_numbers_only_where_all_are_numbers(folder):
    table = write(folder, "file,rating,age\na/one.wav,3,30\na/two.flac,,31\nthree.wav,high,\n")
    found = {u.id: dict(u.labels) for u in manifest.read(table)}
    assert found == {
        "a/one.wav": {"rating": "3", "age": 30.0},
        "a/two.flac": {"age": 31.0},
        "three.wav": {"rating": "high"},
    }
    kept = manifest.read(table, labels={"age": ("30", "31")})
    assert kept.utterances[0].labels["age"] == "30"


def test_labels_must_be_among_the_option_labels(folder):
    table = write(folder, "file,emotion\na/one.wav,anger\na/two.flac,angst\nthree.wav,anger\n")
    with pytest.raises(
        CorpusError, match=r"option `labels` \(emotion: fear, anger\). Received: emotion 'angst' \(line 3\)"
    ):
        manifest.read(table, labels=("fear", "anger"))
    allowed = manifest.read(table, labels={"Emotion": ("fear", "angst", "anger")})
    assert allowed.vocabulary["emotion"] == ("fear", "angst", "anger")
    single = write(folder, "file,emotion,level\na/one.wav,anger,1\nthree.wav,,2\n", "single.csv")
    assert manifest.read(single, labels={"emotion": "anger", "level": [1, 2]}).vocabulary == {
        "emotion": ("anger",),
        "level": ("1", "2"),
    }
    with pytest.raises(CorpusError, match="table.csv has no column mood. Received: file, emotion"):
        manifest.read(table, labels={"mood": ("good",)})


def test_classes_that_are_numbers(folder):
    """The emotion stays text, whatever it is; elsewhere the option says so, and a task of classes refuses numbers."""
    table = write(folder, "file,emotion,mood\na/one.wav,0,1\nthree.wav,1,2\n")
    corpus = manifest.read(table)
    assert corpus.counts("emotion") == {"0": 1, "1": 1} and corpus.utterances[0].labels["mood"] == 1.0
    check_task(Task("emotion", ("0", "1")), corpus)
    with pytest.raises(CorpusError, match=r"numbers in 'mood' \(1.0, 2.0\), and the task 'mood' has classes"):
        check_task(Task("mood", ("1", "2")), corpus)
    check_task(Task("mood", ("1", "2")), manifest.read(table, labels={"mood": ["1", "2"]}))


@pytest.mark.parametrize("given", [{"labels": 5}, {"labels": {"emotion": 5}}, {"groups": 3}, {"groups": "film"}])
def test_options_of_the_wrong_kind(given, folder):
    with pytest.raises(CorpusError, match=f"manifest: `{next(iter(given))}` must be"):
        manifest.read(write(folder, "file\na/one.wav\n"), **given)


def test_what_is_cut_from_one_file_has_one_origin(folder):
    """Segments, the whole file beside them, and other spellings of its path; a file that stands alone has none."""
    (folder / "linked.wav").symlink_to(folder / "three.wav")
    table = write(
        folder,
        "id,file,start,end,origin\n"
        "whole,a/one.wav,,,\n"
        "cut,./a/one.wav,0,0.2,\n"
        "detour,a/../a/one.wav,0.2,0.4,\n"
        "tape,a/one.wav,0.1,0.3,reel 7\n"
        "alone,a/two.flac,,,\n"
        "real,three.wav,,,\n"
        "link,linked.wav,,,\n",
    )
    corpus = manifest.read(table)
    assert {u.id: u.groups.get("origin") for u in corpus} == {
        "whole": "reel 7",
        "cut": "reel 7",
        "detour": "reel 7",
        "tape": "reel 7",
        "alone": None,
        "real": "linked.wav",
        "link": "linked.wav",
    }
    assert {u.path for u in corpus} == {"a/one.wav", "a/two.flac", "three.wav", "linked.wav"}
    for tested in ("whole", "tape"):
        split = Split("p", 0, ("cut", "alone"), (), (tested,))
        with pytest.raises(LeakageError, match="origin must be on one side only"):
            check_split(split, corpus)
    named = manifest.read(write(folder, table.read_text().replace("reel 7", "")))
    assert {u.groups.get("origin") for u in named} == {"a/one.wav", "linked.wav", None}


def test_one_file_of_several_origins(folder):
    """Clips apart may each name their own; which one another clip has, nobody can know."""
    head, apart = "id,file,start,end,origin\n", "b,a/one.wav,0.2,,r2\na,a/one.wav,0,0.2,r1\n"
    corpus = manifest.read(write(folder, head + apart))
    assert {u.id: u.groups["origin"] for u in corpus} == {"a": "r1", "b": "r2"}
    assert len(manifest.read(write(folder, head + apart + "c,a/one.wav,0.1,0.2,R1\n"))) == 3
    rule = (
        "clips of one file must name one `origin`, or each its own where they do not overlap. Received: a/one.wav has"
    )
    for more, said in (
        ("c,./a/one.wav,0.2,0.3,\n", r"'r2' \(line 2\), 'r1' \(line 3\), none \(line 4\)\. Correct table.csv"),
        ("c,a/one.wav,0.1,0.3,r1\n", r"'r2' \(line 2\), 'r1' \(line 3\)\. Correct"),
        ("c,a/one.wav,,,r2\n", r"'r2' \(line 2\), 'r1' \(line 3\)\. Correct"),
        ("c,a/one.wav,0.3,0.4,r1\n", r"'r2' \(line 2\), 'r1' \(line 3\)\. Correct"),
        ("c,a/one.wav,0.05,0.1,r1\nd,a/one.wav,0.1,0.2,r3\n", r"'r2' \(line 2\), .*, 'r3' \(line 5\)\. Correct"),
    ):
        with pytest.raises(CorpusError, match=f"{rule} {said}"):
            manifest.read(write(folder, head + apart + more))


def test_further_groups(folder):
    table = write(folder, "file,emotion,film,room\na/one.wav,anger,Heat,r1\n")
    one = manifest.read(table, groups=("room",)).utterances[0]
    assert dict(one.groups) == {"film": "Heat", "room": "r1"}
    assert dict(one.labels) == {"emotion": "anger"}


def test_missing_files_are_listed(folder):
    rows = "".join(f"gone{number:02d}.wav,anger\n" for number in range(13))
    table = write(folder, "file,emotion\na/one.wav,anger\n" + rows)
    with pytest.raises(CorpusError, match=r"Not found: gone00.wav \(line 3\), .*gone09.wav \(line 12\) and 3 more"):
        manifest.read(table)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected a header and rows. Received: .*which is empty"),
        ("file,emotion\n", "expected a row for every utterance"),
        (
            "path,emotion\na/one.wav,anger\n",
            "expected a column 'file'. Received: table.csv, which has path, emotion. .*--columns file=COLUMN",
        ),
        ("file,start,end\na/one.wav,2,1\n", "0 <= start < end. Received: start='2', end='1' .line 2"),
        ("file,start\na/one.wav,soon\n", "start='soon'"),
        ("file,gender\na/one.wav,q\n", "gender must be female, male or empty.*Received: 'q' .line 2"),
        ("file,emotion\n/etc/x.wav,anger\n", "Not found: /etc/x.wav .line 2"),
        ("file,id\na/one.wav,/x\n", "ids must not be absolute paths. Received: /x .line 2"),
        ('file,start\na/one.wav,"0,5"\n', "seconds with a decimal point, .* start='0,5'"),
        ("file\n" + "x" * 300 + ".wav\n", "Not found: 'xxx.*line 2: a name of 304 bytes, where file systems take 255"),
        (
            "file,emotion\na/one.wav,anger\na/one.wav,fear\n",
            "must have one row, or .*Received: a/one.wav \\(lines 2, 3",
        ),
        (
            "file,start,end,emotion\na/one.wav,0,0.1,anger\n./a/one.wav,0.0,0.10,fear\nthree.wav,,,fear\n",
            r"must have one row, or .*Received: a/one.wav#0-0.1, a/one.wav#0.0-0.10 \(lines 2, 3\)\.",
        ),
        (
            "file,end,start,emotion\na/one.wav,0.1,,anger\na/one.wav,0.1,0,fear\n",
            r"must have one row, or .*Received: a/one.wav#-0.1, a/one.wav#0-0.1 \(lines 2, 3\)\.",
        ),
        ("# my corpus\nfile,speaker\na/one.wav,ann\n", "first line must name the columns. Received: '# my corpus'"),
        (
            "file,speaker,gender\na/one.wav,kim,f\nthree.wav,kim,m\n",
            "a speaker must have one gender. Received: kim female .line 2. and kim male .line 3",
        ),
    ],
)
def test_wrong_tables(text, message, folder):
    with pytest.raises(CorpusError, match=message):
        manifest.read(write(folder, text))


def test_missing_values_are_no_classes(folder):
    """What pandas reads as missing is missing everywhere, and noted; in a column of numbers in any case."""
    table = write(
        folder,
        "file,id,speaker,gender,emotion,arousal,session,start,end\na/one.wav,a/1,ann,f,anger,0.5,NULL,NA,NA\n"
        "a/two.flac,NA,NA,n/a,NaN,NONE,s1,,\nthree.wav,NA,ben,,none,-,s2,,\n",
    )
    corpus = manifest.read(table)
    assert corpus.vocabulary == {"emotion": ("anger", "none")}
    found = [(u.speaker, u.gender, dict(u.labels), dict(u.groups)) for u in corpus]
    assert found == [
        ("ann", "female", {"emotion": "anger", "arousal": 0.5}, {}),
        (None, None, {}, {"session": "s1"}),
        ("ben", None, {"emotion": "none"}, {"session": "s2"}),
    ]
    note = (
        "read as no value: 'NA' in start (line 2), 'NA' in end (line 2), 'NULL' in session (line 2), 'NA' in id (line 3), 'NA' in "
        "speaker (line 3), 'n/a' in gender (line 3), 'NaN' in emotion (line 3), 'NONE' in arousal (line 3), 'NA' in id (line 4), "
        "'-' in arousal (line 4)."
    )
    assert [(u.id, u.start, u.end) for u in corpus] == [(i, None, None) for i in ("a/1", "a/two.flac", "three.wav")]
    assert corpus.notes == (note,) and note in check(corpus).notes
    kept = manifest.read(table, labels={"emotion": ("anger", "NaN", "none")})  # a class, where the user says so
    assert kept.counts("emotion") == {"anger": 1, "NaN": 1, "none": 1}


def test_files_are_found_under_their_names_on_disk(folder):
    disk.write_audio(folder / "jose\u0301.wav", disk.recordings(1)[0])
    corpus = manifest.read(write(folder, "file\njos\u00e9.wav\nA/ONE.wav\nthree.wav\n"))
    assert [u.path for u in corpus] == [u.id for u in corpus] == ["a/one.wav", "jose\u0301.wav", "three.wav"]
    (note,) = corpus.notes
    assert "'jos\u00e9.wav' in line 2 is 'jose\\u0301.wav', 'A/ONE.wav' in line 3 is 'a/one.wav'" in note
    with pytest.raises(CorpusError, match=r"a/one.wav \(lines 2, 3\)"):
        manifest.read(write(folder, "file\nA/one.wav\na/ONE.wav\n"))
    disk.write_audio(folder / "Three.wav", disk.recordings(1)[0])
    with pytest.raises(
        CorpusError, match=r"THREE.WAV \(line 2: there are 'Three.wav' and 'three.wav', which differ by case"
    ):
        manifest.read(write(folder, "file\nTHREE.WAV\n"))


def test_one_person_in_two_spellings(folder):
    """A problem that `check` reports, one person where genders are compared, and refused on two sides of a split."""
    spelled = [("a/one.wav", "Jos\u00e9"), ("a/two.flac", "Jose\u0301"), ("three.wav", "eva")]
    corpus = manifest.read(write(folder, "file,speaker\n" + "".join(f"{file},{name}\n" for file, name in spelled)))
    assert [u.speaker for u in corpus] == [name for _, name in spelled]
    said = "'Jose\\u0301', 'Jos\u00e9' differ by composed or combined characters"
    assert check(corpus).problems["one speaker under several spellings"] == (said,)
    for split in Protocol("p", "leave-one-out", validation=0).splits(corpus):
        if split.test == ("three.wav",):
            check_split(split, corpus)
            continue
        with pytest.raises(LeakageError, match=r"'Jose\\u0301' = 'Jos\u00e9'. Spell each name in one way"):
            check_split(split, corpus)
    with pytest.raises(
        CorpusError, match=r"one gender. Received: Ann female \(line 2\) and 'ann\\u200b' male \(line 3\)"
    ):
        manifest.read(write(folder, "file,speaker,gender\na/one.wav,Ann,f\nthree.wav,ann\u200b,m\n"))


def test_the_root_is_the_file(folder):
    with pytest.raises(CorpusError, match="the root must be a CSV file.*no .csv or .tsv file"):
        manifest.read(folder)
    table = write(folder, "file,emotion\na/one.wav,anger\n")
    assert manifest.read(folder) == manifest.read(table)
    write(folder, "file\nthree.wav\n", "other.csv")
    with pytest.raises(CorpusError, match="holds other.csv, table.csv. Give the path of the file itself"):
        manifest.read(folder)
    with pytest.raises(CorpusError, match="Received: .*nowhere.csv .No such file"):
        manifest.read(folder / "nowhere.csv")


def test_columns_of_other_names(folder):
    table = write(folder, "path,Spk,label,emotion\na/one.wav,ann,anger,x\nthree.wav,ben,fear,y\n")
    asked = {"file": "path", "speaker": "spk", "emotion": "label", "session": "spk"}
    corpus = manifest.read(table, columns=asked)
    assert [(u.id, u.speaker, u.groups["session"], dict(u.labels)) for u in corpus] == [
        ("a/one.wav", "ann", "ann", {"emotion": "anger"}),
        ("three.wav", "ben", "ben", {"emotion": "fear"}),
    ]
    assert corpus.notes == ("the column 'emotion' is left out: 'label' is read in its place.",)
    for wrong in ({"file": "path", "emotion": "lable"}, {"file": "lable"}):
        with pytest.raises(CorpusError, match="lable'?. Received: .*path, spk, label, emotion"):
            manifest.read(table, columns=wrong)


def test_absolute_paths_become_relative(folder, tmp_path_factory):
    """Under the folder or elsewhere; ids hold nothing of the machine, and the folder may be moved with its table."""
    away = tmp_path_factory.mktemp("away")
    for name, clip in zip(("x/one.wav", "y/two.wav"), disk.recordings(2), strict=True):
        disk.write_audio(away / name, clip)
    names = [folder / "a/one.wav", away / "x/one.wav", away / "y/two.wav", "three.wav"]
    corpus = manifest.read(write(folder, "file\n" + "".join(f"{name}\n" for name in names)))
    assert [u.id for u in corpus] == ["a/one.wav", "three.wav", "x/one.wav", "y/two.wav"]
    assert not any(u.path.startswith("/") for u in corpus)
    assert [corpus.file(u).resolve() for u in corpus] == [
        folder / "a/one.wav",
        folder / "three.wav",
        away / "x/one.wav",
        away / "y/two.wav",
    ]


def test_files_of_one_name_within_and_outside_the_folder_have_two_ids(folder, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    for name, clip in zip(("in/x/three.wav", "in/x/other.wav"), disk.recordings(2), strict=True):
        disk.write_audio(away / name, clip)
    names = ["three.wav", away / "in/x/three.wav", away / "in/x/other.wav"]
    text = "file\n" + "".join(f"{name}\n" for name in names)
    corpus = manifest.read(write(folder, text))
    assert [u.id for u in corpus] == ["three.wav", "x/other.wav", "x/three.wav"]
    assert [corpus.file(u).resolve() for u in corpus] == [folder / "three.wav", names[2], names[1]]
    segments = manifest.read(write(folder, "id,file,start\n" + "".join(f"{i},{n},0\n" for i, n in enumerate(names))))
    assert [u.groups["origin"] for u in segments] == ["three.wav", "x/three.wav", "x/other.wav"]
    for parent in [away / "in/x", *(away / "in/x").parents][:-1]:  # even where each folder above has such a file
        name = (away / "in/x/three.wav").relative_to(parent).as_posix()
        disk.write_audio(folder / name, disk.recordings(1)[0])
        text += f"{name}\n" * (name != "three.wav")
    disk.write_audio(folder / str(names[1])[1:], disk.recordings(1)[0])
    corpus = manifest.read(write(folder, text + f"{str(names[1])[1:]}\n"))
    assert len({u.id for u in corpus}) == len(corpus) == text.count("\n")
    assert not any(u.id.startswith("/") for u in corpus)


def test_audio_root(folder, tmp_path_factory):
    table = write(tmp_path_factory.mktemp("tables"), "file\nthree.wav\n")
    with pytest.raises(CorpusError, match=r"or to --audio-root DIR\). Not found: three.wav"):
        manifest.read(table)
    corpus = manifest.read(table, audio_root=folder)
    assert corpus.root == folder and corpus.utterances[0].path == "three.wav"
    with pytest.raises(CorpusError, match="the audio root must be a folder"):
        manifest.read(table, audio_root=folder / "three.wav")


def test_a_folder_in_place_of_a_file(folder):
    for name, said in ((".", "'.'"), ("./", "'./'"), ("..", "'..'"), ("a", "a")):
        with pytest.raises(CorpusError, match=rf"Not found: {said} \(line 2: a folder\)\. Correct"):
            manifest.read(write(folder, f"file,emotion\n{name},fear\nthree.wav,fear\n"))


def test_a_misspelt_column_of_people_is_refused(folder):
    """Without its speakers, the corpus would be split at random."""
    table = write(folder, "file,Sprecher\na/one.wav,anna\n")
    with pytest.raises(CorpusError, match="--columns speakr=sprecher is not speaker=sprecher: is the name misspelt"):
        manifest.read(table, columns={"speakr": "Sprecher"})
    both = manifest.read(table, columns={"speaker": "Sprecher", "tempo": "Sprecher"})
    assert [u.speaker for u in both] == ["anna"]


def test_clips_without_a_speaker_among_others_are_noted(folder):
    report = check(manifest.read(write(folder, "file,speaker\na/one.wav,anna\na/two.flac,\n")))
    assert "1 of 2 utterances name no speaker: a protocol that keeps speakers apart needs one for each." in report.notes
    assert not [n for n in check(manifest.read(write(folder, "file\na/one.wav\n"))).notes if "name no speaker" in n]
