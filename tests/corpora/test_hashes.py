import hashlib
import json
import shutil

import pytest
import soundfile

from keras_ser.cli import main
from keras_ser.corpora import CorpusError
from keras_ser.corpora.hashes import read_list, verify
from tests import corpora_on_disk as disk
from tests.corpora.crema_d_on_disk import write_crema_d

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 72862\n"
HEX = "0123456789abcdef" * 4


def sums(root, pattern="**/*.wav"):
    """Path -> (bytes, sha256) of the files under a folder."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(root.glob(pattern))
    }


def write_tsv(path, files):
    rows = [f"{name}\t{size}\t{sha256}\n" for name, (size, sha256) in files.items()]
    path.write_text("path\tbytes\tsha256\n" + "".join(rows))
    return path


def write_sums(path, files, join="  "):
    path.write_text("".join(f"{sha256}{join}{name}\n" for name, (_, sha256) in files.items()))
    return path


@pytest.fixture
def twin(tmp_path):
    root = disk.write_ravdess(tmp_path / "ravdess")
    return root, sums(root)


def flip(path, place=-1):
    """Another file of the same size."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["tsv", "sums", "binary sums", "upper case", "windows"])
def test_every_kind_of_list_agrees(kind, twin, tmp_path):
    root, files = twin
    listing = tmp_path / "list"
    if kind == "tsv":
        write_tsv(listing, files)
    elif kind == "upper case":
        write_sums(listing, {name: (size, sha256.upper()) for name, (size, sha256) in files.items()})
    elif kind == "windows":
        text = write_tsv(listing, {f".\\{name}".replace("/", "\\"): told for name, told in files.items()}).read_text()
        listing.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    else:
        write_sums(listing, {f"./{name}": told for name, told in files.items()}, " *" if "binary" in kind else "  ")
    read = read_list(listing)
    assert {str(file.path): file.sha256 for file in read} == {name: sha256 for name, (_, sha256) in files.items()}
    report = verify(root, listing)
    assert report.agree == report.files == len(files)
    assert not report.missing and not report.differ
    flip(root / next(iter(files)))
    assert verify(root, listing).agree == len(files) - 1


def test_kinds_of_differences_are_distinguished(twin, tmp_path):
    root, files = twin
    names = list(files)
    listing = write_tsv(tmp_path / "list.tsv", files)
    (root / names[0]).unlink()
    flip(root / names[1])
    (root / names[2]).write_bytes((root / names[2]).read_bytes() + b"\0\0")
    (root / names[3]).write_text(POINTER.format(files[names[3]][1]))
    samples, rate = soundfile.read(root / names[4], dtype="int16")
    soundfile.write((root / names[4]).with_suffix(".flac"), samples, rate)
    (root / names[4]).unlink()
    shutil.copy(root / names[5], (root / names[5]).with_name("copy.wav"))
    (root / names[5]).with_name("._x.wav").write_bytes(b"mac")
    (root / names[5]).with_name("notes.txt").write_text("x")
    report = verify(root, listing)
    assert report.agree == 1 and report.files == 6 and not report.ok
    assert report.missing == (names[0],)
    size = files[names[2]][0]
    assert report.differ == (f"{names[1]} (another sha256)", f"{names[2]} ({size + 2} bytes, listed {size})")
    assert report.pointers == (names[3],)
    assert report.not_comparable == (names[4],)
    assert report.extra == (f"{names[5].rpartition('/')[0]}/copy.wav",)
    text = "\n".join(report.lines())
    assert f"missing (1): {names[0]}" in text
    assert f"a Git LFS pointer, not audio: run `git lfs pull` (1): {names[3]}" in text
    assert f"not comparable, in another format (1): {names[4]}" in text
    assert json.loads(json.dumps(report.to_dict()))["differ"][0].startswith(names[1])


def test_the_case_of_a_suffix_does_not_matter(twin, tmp_path):
    root, files = twin
    name = next(iter(files))
    (root / name).rename((root / name).with_suffix(".WAV"))
    report = verify(root, write_tsv(tmp_path / "list.tsv", files))
    assert report.ok and report.agree == len(files)


@pytest.mark.parametrize("made_in", ["root", "wav", "above"])
def test_lists_made_elsewhere(made_in, tmp_path):
    root = disk.write_emodb(tmp_path / "emodb")
    base = {"root": root, "wav": root / "wav", "above": tmp_path}[made_in]
    listing = write_sums(tmp_path / "SHA256SUMS", sums(base))
    assert verify(root, listing).ok
    # A list that lies among what it lists is not extra, whatever its name.
    inside = shutil.copy(listing, root / "wav" / "sums.wav")
    assert verify(root, inside).ok


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is empty"),
        ("path\tbytes\tsha256\n", "has a header and no files"),
        (f"path\tbytes\tsha256\na.wav\t1\t{HEX}\nb.wav\tx\t{HEX}\n", "list, line 3: expected a whole number of bytes"),
        (f"path\tbytes\tsha256\n\na.wav\t1\t{HEX[1:]}\n", "line 3: expected a sha256 of 64 hexadecimal digits"),
        (f"path\tbytes\tsha256\na.wav\t1\t{HEX}\t9\n", "line 2: expected 3 fields separated by tabs"),
        (f"path\tbytes\tsha256\na.wav\t1\t{HEX}\n./a.wav\t1\t{HEX}\n", "line 3: expected each file once"),
        (f"path\tbytes\tsha256\n/etc/passwd\t1\t{HEX}\n", "line 2: expected a path within the folder"),
        (f"{HEX}  C:\\a.wav\n", "line 1: expected a path within the folder"),
        (f"{HEX}  a.wav\n{HEX[:32]}  b.wav\n", "line 2: expected '<64 hexadecimal digits>  <path>'.*b.wav"),
        (f"a.wav\t1\t{HEX}\n", "line 1: expected.*a first line that names the columns path, bytes and sha256"),
    ],
)
def test_bad_lists(text, message, tmp_path):
    (tmp_path / "list").write_text(text)
    with pytest.raises(CorpusError, match=message) as caught:
        verify(tmp_path, tmp_path / "list")
    assert "\n" not in str(caught.value)


def test_what_the_adapter_misses_is_compared_all_the_same(tmp_path, capsys):
    """A download without its table of actors is what a list of files is for."""
    root = write_crema_d(tmp_path / "crema-d")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  AudioWAV/{p.name}" for p in (root / "AudioWAV").iterdir()]
    (tmp_path / "list.txt").write_text("\n".join([*lines, "0" * 64 + "  VideoDemographics.csv"]) + "\n")
    (root / "VideoDemographics.csv").unlink()
    assert main(["corpus", "check", "crema_d", str(root), "--hashes", str(tmp_path / "list.txt")]) == 2
    out, err = capsys.readouterr()
    assert "missing (1)" in out and "VideoDemographics.csv" in out and "VideoDemographics.csv" in err


def test_the_exit_code_is_that_of_the_hashes(tmp_path, capsys):
    """A manifest has no published counts: what is left is the list."""
    for name, clip in zip("ab", disk.recordings(2), strict=True):
        disk.write_audio(tmp_path / f"{name}.wav", clip)
    (tmp_path / "t.csv").write_text("file,speaker,emotion\na.wav,x,fear\nb.wav,y,fear\n")
    listing = write_sums(tmp_path / "SHA256SUMS", sums(tmp_path))
    arguments = ["corpus", "check", "manifest", str(tmp_path / "t.csv")]
    assert main([*arguments, "--hashes", str(listing)]) == 0
    flip(tmp_path / "b.wav")
    assert main(arguments) == 0
    assert main([*arguments, "--hashes", str(listing)]) == 1
    assert "differ (1): b.wav (another sha256)" in capsys.readouterr().out
