"""Recipes of VGGVox-MTL, from the command line to the report."""

import json
from pathlib import Path

import pytest

from tests import corpora_on_disk as disk
from tests.recipes.common import ONE_SENTENCE, script


@pytest.mark.slow
def test_emotion_and_speaker_on_the_demo_corpus(tmp_path):
    """Three small networks, the table of the gain and that of the speakers; asked again, nothing is trained."""
    command = ["vggvox_cremad", f"--out={tmp_path}", "--epochs=1", "--jobs=1", ONE_SENTENCE]
    done = script(*command)
    assert done.returncode == 0, done.stderr
    assert "both over emotion on demo" in done.stdout and "EER, %" in done.stdout and done.stderr.count("[1/1]") == 3
    assert "(paper)" not in done.stdout, "the paper's figures are of another corpus"
    (folder,) = tmp_path.glob("vggvox_demo-systems-*")
    kinds = [("verification", end) for end in ("csv.gz", "json", "md", "html", "tex", "png")]
    kinds += [("gain", end) for end in ("json", "md", "html", "tex", "png")]
    assert {path.name for path in folder.iterdir()} == {".".join(kind) for kind in kinds}
    assert "EER of both minus that of speaker" in (folder / "verification.md").read_text()
    again = script(*command)
    assert again.stdout == done.stdout and "[1/1]" not in again.stderr


@pytest.mark.slow
def test_emotion_and_speaker_on_a_twin_of_crema_d(tmp_path):
    """The 91 actors of the published demographics, two clips of each; 24 are tested beside the paper's figures."""
    if not (shared := Path(__file__).resolve().parents[3] / "shared" / "data" / "crema-d").is_dir():
        pytest.skip("the folder shared/data/crema-d is not beside the project")
    root, kinds = tmp_path / "crema-d", ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    names = [f"{1001 + i}_DFA_{kinds[(i + k) % 6]}_XX" for i in range(91) for k in range(2)]
    disk.write_named(root, names, ".wav", lambda name: "AudioWAV")
    (root / "VideoDemographics.csv").write_bytes((shared / "VideoDemographics.csv").read_bytes())
    small = ["--set=config.filters=3,3,3,3,3", "--set=config.fc6=8", "--set=config.fc7=8", "--epochs=1", "--quiet"]
    small += ["--set=tasks.speaker.weight=0.3"]
    done = script("vggvox_cremad", f"--corpus-root={root}", f"--out={tmp_path / 'out'}", *small)
    assert done.returncode == 0, done.stderr
    assert "both (paper)" in done.stdout
    (folder,) = (tmp_path / "out").glob("vggvox_cremad-systems-*")
    rows = {row["metric"]: row for row in json.loads((folder / "gain.json").read_text())["rows"]}
    assert (
        rows["accuracy"]["paper"] == {"emotion": 0.445, "both": 0.515} and rows["recall/fear"]["paper"]["both"] == 0.42
    )
    (experiment,) = (tmp_path / "out").glob("vggvox_cremad-both-*")
    report = (experiment / "report.md").read_text()
    assert "| gender | female |" in report and "african_american" in report and "24 speakers" in report
    told = (folder / "verification.md").read_text()
    assert "| 52.5 |" in told and "| 52.9 |" in told and "the schedule differs" in told
    recipe = json.loads((experiment / "recipe.json").read_text())
    assert recipe["tasks"][1]["weight"] == 0.3, "the emotion's network has no speaker, and no such key"
