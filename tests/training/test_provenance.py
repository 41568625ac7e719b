"""What a run was made by, as its report shows it."""

import re
import subprocess
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_ser.models.multilevel import Config
from keras_ser.models.wav2vec2 import weights_hash
from keras_ser.reports.headline import origin
from keras_ser.training import provenance


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/home/me/recipes/aspmtl_emodb.py", "--epochs", "3"], "aspmtl_emodb.py --epochs 3"),
        (["keras-ser", "train", "--corpus-root", "/data/my emodb"], "keras-ser train --corpus-root '../my emodb'"),
        (["x", "--out=/tmp/out", "--set=config.beta=0.2"], "x --out=../out --set=config.beta=0.2"),
        (["x", "emodb=/data/emodb", "relative/path.csv"], "x emodb=../emodb relative/path.csv"),
    ],
)
def test_command_is_shown_without_the_paths_of_a_machine(arguments, expected):
    assert provenance.command(arguments) == expected


def test_versions_commit_and_date(tmp_path, monkeypatch):
    """Of a checkout with one commit; then with a file that has changed."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "keras_ser/training/provenance.py"))
    monkeypatch.setattr(provenance, "commit", provenance.commit.__wrapped__)
    assert provenance.made_by()["commit"] == ""
    (tmp_path / "file").touch()
    for step in (["init", "--quiet"], ["add", "file"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *step], check=True)
    made = provenance.made_by()
    assert made["versions"]["tensorflow"] == metadata.version("tensorflow")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", made["date"])
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert made["commit"] == head[:10]
    (tmp_path / "file").write_text("other")
    assert provenance.made_by()["commit"] == f"{head[:10]} with changes"


def test_the_commit_is_that_of_the_code_that_was_loaded(monkeypatch):
    """Not of what the checkout holds when a training of hours has ended."""
    provenance.commit.cache_clear()
    before = provenance.commit()
    monkeypatch.setattr(provenance.subprocess, "run", lambda *given, **more: SimpleNamespace(stdout="another"))
    assert provenance.made_by()["commit"] == before != "another with changes"


def test_a_resumed_training_records_the_commits_of_all_its_parts(tmp_path, monkeypatch):
    told = []
    for now, resumed in [
        ("a1", False),
        ("a1", True),
        ("b2 with changes", True),
        ("b2 with changes", True),
        ("c3", False),
    ]:
        monkeypatch.setattr(provenance, "commit", lambda now=now: now)
        told.append(provenance.begin(tmp_path, resumed)["commit"])
        assert provenance.stored_made(tmp_path / provenance.MADE) == {"commit": told[-1]}
    assert told == ["a1", "a1", *["a1, then b2 with changes"] * 2, "c3"]


def test_a_report_has_the_digests_of_pretrained_weights():
    """Those that `keras-ser wav2vec2 info` prints."""
    folder = Path(__file__).parents[1] / "models" / "wav2vec2" / "stored" / "group"
    recipe = SimpleNamespace(model="multilevel", config=Config(levels=("wav2vec2",), wav2vec2=str(folder)))
    weights = provenance.made_by(recipe)["pretrained"]
    assert f"model.safetensors {weights_hash(folder)}" in weights.split(", ")
    assert origin([{"pretrained": weights}, {}]) == [f"Pretrained weights: {weights} (first 12 digits of the SHA-256)."]
    assert "pretrained" not in provenance.made_by(SimpleNamespace(model="multilevel", config=Config()))
    assert re.fullmatch("[0-9a-f]{12}", provenance.pretrained_digest(recipe))
