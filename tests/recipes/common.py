"""What the tests of recipes share: scripts in this process, and small corpora."""

import importlib
import io
import json
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from keras_ser.corpora import read_corpus
from tests import corpora_on_disk as disk

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TINY = [
    "--epochs=1",
    "--seed=0",
    "--set=config.units=3",
    "--set=sampling.frames=24",
    "--set=frontend.features=mfcc,energy",
    "--quiet",
]
ONE_SENTENCE = '--set=corpus_options=[["sentences", 1]]'


def imported(name: str):
    """A module of recipes/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        return importlib.import_module(name)


def script(recipe: str, *arguments: str) -> subprocess.CompletedProcess:
    """`python recipes/RECIPE.py ARGUMENTS`, in this process, since another would first spend seconds on imports."""
    out, err = io.StringIO(), io.StringIO()
    path = str(RECIPES / f"{recipe}.py")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [path, *map(str, arguments)])
        patch.syspath_prepend(str(RECIPES))
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(path, run_name="__main__")
    return subprocess.CompletedProcess(sys.argv, ended.value.code, out.getvalue(), err.getvalue())


def run(recipe: str, out: Path, *arguments: str) -> dict:
    """The report.json of a recipe that was run as a person runs it."""
    done = script(recipe, f"--out={out}", *TINY, *arguments)
    assert done.returncode == 0, done.stderr
    assert "report:" in done.stdout
    (report,) = out.glob("*/report.json")
    return json.loads(report.read_text())


def four_emotions(tmp_path, emotions=("anger", "happiness", "neutral", "sadness"), speakers=4) -> Path:
    """A manifest over the demo corpus's clips, two of each speaker and emotion."""
    corpus = read_corpus("demo")
    rows, seen = ["file,speaker,gender,emotion"], Counter()
    people = sorted(corpus.counts("speaker"))[:speakers]
    for u in corpus:
        key = u.speaker, u.labels["emotion"]
        if u.speaker in people and seen[key] < 2 and key[1] in emotions:
            seen[key] += 1
            shutil.copy(corpus.file(u), tmp_path)
            rows.append(f"{corpus.file(u).name},{u.speaker},{u.gender},{key[1]}")
    (tmp_path / "mine.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "mine.csv"


def twin(name: str, folder: Path) -> Path:
    """A small copy of a licensed corpus's layout."""
    if name == "iemocap":
        codes = ("ang", "hap", "exc", "neu", "sad", "ang", "hap", "neu", "sad", "neu")
        people = [(f"Ses01{p}_impro01", p) for p in "FM"] + [("Ses02F_impro01", "F")]
        turns = [(f"{d}_{p}{k:03d}", code, 2.5, 1.5 + 0.3 * k, 2.5) for d, p in people for k, code in enumerate(codes)]
        return disk.write_iemocap(folder / name, turns=turns)
    turns = [
        (f"S{k + 1:02d}A-{who}-S-FM01", code, f"{1.5 + 0.3 * k:.6f}", *["3.000000"] * 3)
        for who in ("F01", "M01", "F02")
        for k, code in enumerate("AHNSAHNSNA")
    ]
    return disk.write_msp_improv(folder / name, turns=turns)
