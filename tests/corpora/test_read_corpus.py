"""What holds for every adapter: one table, many checks."""

from pathlib import Path

import pytest

from keras_ser.corpora import CORPORA, CorpusError, read_corpus
from tests import corpora_on_disk as disk
from tests.corpora.crema_d_on_disk import write_crema_d

TWINS = {
    # name: (writer, suffixes it may be written in, utterances, what the error about a wrong root must name)
    "afew": (disk.write_afew, (".wav", ".flac", ".avi"), 21, "Train/Angry/000053760.avi"),
    "avec2016": (disk.write_avec2016, (".wav", ".flac"), 9, "recordings_audio/train_1.wav"),
    "crema_d": (write_crema_d, (".wav", ".flac"), 7, "AudioWAV/1001_DFA_ANG_XX.wav"),
    "emodb": (disk.write_emodb, (".wav", ".flac"), 7, "wav/03a01Fa.wav"),
    "iemocap": (disk.write_iemocap, (".wav", ".flac"), 8, "Session1/sentences/wav"),
    "librispeech": (disk.write_librispeech, (".flac", ".wav"), 4, "SPEAKERS.TXT"),
    "msp_improv": (disk.write_msp_improv, (".wav", ".flac"), 9, "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav"),
    "ravdess": (disk.write_ravdess, (".wav", ".flac"), 6, "Actor_01/03-01-01-01-01-01-01.wav"),
    "slr45": (disk.write_slr45, (".wav", ".flac"), 3, "f0001_us_f0001_00002.wav"),
}
each = pytest.mark.parametrize("name", TWINS)


def plain(corpus):
    """All that a corpus says, file suffixes aside."""
    return [
        (u.id, str(Path(u.path).with_suffix("")), u.start, u.end, u.speaker, u.gender, dict(u.labels), dict(u.groups))
        for u in corpus
    ]


def test_every_adapter_has_a_row():
    assert set(CORPORA) == set(TWINS) | {"demo", "manifest"}


@each
def test_suffixes_are_read_alike(name, tmp_path):
    write, suffixes, count, _ = TWINS[name]
    corpora = [read_corpus(name, write(tmp_path / suffix[1:], suffix=suffix)) for suffix in suffixes]
    assert len(corpora[0]) == count
    assert all(plain(corpus) == plain(corpora[0]) for corpus in corpora)
    for corpus in corpora:
        assert all(corpus.file(utterance).is_file() for utterance in corpus)


@each
def test_order_is_not_the_file_systems(name, tmp_path, monkeypatch):
    root = TWINS[name][0](tmp_path / "twin")
    straight = plain(read_corpus(name, root))
    iterdir, glob = Path.iterdir, Path.glob
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(sorted(iterdir(self))))
    monkeypatch.setattr(Path, "glob", lambda self, pattern: reversed(sorted(glob(self, pattern))))
    assert plain(read_corpus(name, root)) == straight
    assert [row[0] for row in straight] == sorted(row[0] for row in straight)


@each
def test_one_level_too_high(name, tmp_path):
    root = TWINS[name][0](tmp_path / "LibriSpeech")
    corpus = read_corpus(name, root)
    above = read_corpus(name, tmp_path)
    assert above.root == corpus.root
    assert plain(above) == plain(corpus)


@pytest.mark.parametrize("name, inner", [("emodb", "wav"), ("crema_d", "AudioWAV"), ("avec2016", "recordings_audio")])
def test_one_level_too_low(name, inner, tmp_path):
    root = TWINS[name][0](tmp_path / "twin")
    below = read_corpus(name, root / inner)
    assert below.root == root
    assert plain(below) == plain(read_corpus(name, root))


@each
def test_root_that_is_no_folder_or_empty(name, tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"x")
    for root, words in (
        ("nowhere", "does not exist. Check"),
        ("~nobody/corpus", "does not exist. Check"),  # the home folder of a user whom the system does not know
        (".DS_Store", "is a file. Give"),
        (".", "is empty. Unpack"),
    ):
        with pytest.raises(CorpusError, match=f"{name}: expected a folder.*{words}"):
            read_corpus(name, root if root.startswith("~") else tmp_path / root)


@each
def test_root_of_another_corpus(name, tmp_path):
    for other in sorted(set(TWINS) - {name}):
        root = TWINS[other][0](tmp_path / other)
        with pytest.raises(CorpusError) as caught:
            read_corpus(name, root)
        assert TWINS[name][3] in str(caught.value)
        assert str(root) in str(caught.value)


@each
def test_unknown_files_are_named(name, tmp_path):
    root = TWINS[name][0](tmp_path / "twin")
    some = next(iter(read_corpus(name, root)))
    folder = (root / some.path).parent
    clip = disk.recordings(1)[0]
    for number in range(12):
        disk.write_audio(folder / f"holiday{number:02d}.wav", clip)
    with pytest.raises(CorpusError, match=rf"{name}: expected.*holiday00.*holiday09.* and 2 more"):
        read_corpus(name, root)


@pytest.mark.parametrize(
    "name, stray",
    [
        ("avec2016", "recordings_audio/more/train_2.wav"),
        ("crema_d", "AudioWAV/part2/1001_DFA_ANG_XX.wav"),
        ("emodb", "wav/more/08a01Fa.wav"),
        ("iemocap", "Session1/sentences/wav/Ses01F_impro01_F000.wav"),
        ("librispeech", "dev-clean/39/39-121915-0000.flac"),
        ("ravdess", "Actor_07/more/03-01-01-01-01-01-07.wav"),
    ],
)
def test_audio_in_another_folder_is_named(name, stray, tmp_path):
    root = TWINS[name][0](tmp_path / "twin")
    disk.write_audio(root / stray, disk.recordings(1)[0])
    with pytest.raises(CorpusError, match=f"Received: {stray}. Move files from other sources out of the corpus"):
        read_corpus(name, root)


@each
def test_expected_counts_add_up(name, tmp_path):
    expected = read_corpus(name, TWINS[name][0](tmp_path / "twin")).expected
    columns = [counts for counts in expected.values() if not isinstance(counts, int)]
    assert expected
    assert all(sum(counts.values()) == expected["utterances"] for counts in columns)


def test_unknown_name():
    with pytest.raises(CorpusError, match="one of afew, avec2016, crema_d, demo, .*slr45. Received: 'emodbb'"):
        read_corpus("emodbb", ".")


def test_unknown_option(tmp_path):
    with pytest.raises(CorpusError, match="afew takes metadata, subsets. Received: meta."):
        read_corpus("afew", tmp_path, meta="x.csv")
    with pytest.raises(CorpusError, match="emodb takes no options. Received: fold."):
        read_corpus("emodb", tmp_path, fold=1)


def test_no_root():
    with pytest.raises(CorpusError, match="emodb is read from disk and needs a root"):
        read_corpus("emodb")


def test_drawn_speakers_include_those_of_a_smaller_number(tmp_path):
    root = disk.write_librispeech(tmp_path / "readers", seed=7)
    everyone = read_corpus("librispeech", root)
    names = [set(read_corpus("librispeech", root, speakers=n).counts("speaker")) for n in (1, 2, 3)]
    assert names == [{"39"}, {"19", "39"}, {"19", "26", "39"}], "in every process"
    drawn = read_corpus("librispeech", root, speakers=2)
    assert drawn.utterances == tuple(u for u in everyone if u.speaker in names[1]) and drawn.read_by["speakers"] == 2
    with pytest.raises(CorpusError, match=f"librispeech has {len(everyone.counts('speaker'))} speakers. Received: 999"):
        read_corpus("librispeech", root, speakers=999)
    assert len(read_corpus("demo", speakers=4).counts("speaker")) == 4, "its own option"
