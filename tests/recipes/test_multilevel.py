"""Recipes of Multilevel, from the command line to the report."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy
import soundfile

from keras_ser.cli.recipe_script import Trained
from keras_ser.corpora import read_corpus
from keras_ser.models.whole_model import inner_network, recipe_embedder
from keras_ser.training import Run
from tests import corpora_on_disk as disk
from tests.recipes.common import imported, script

SMALL_LEVELS = ["units=2", "image=64,64", "filters=2,2,3,3,4", "dense=6", "steps=3"]


def multilevel(root: Path, out: Path, *arguments: str) -> str:
    """What multilevel_iemocap.py writes of its systems."""
    small = ["--quiet", "--epochs=1", "--seed=0", "--folds=1", *(f"--set=config.{pair}" for pair in SMALL_LEVELS)]
    done = script("multilevel_iemocap", f"--corpus-root={root}", f"--out={out}", *small, *arguments)
    assert done.returncode == 0, done.stderr
    (text,) = (path.read_text() for path in out.glob("*/systems.md"))
    return text


def check_known_gender(run: Run, known: pd.DataFrame, root: Path) -> None:
    """The head of the emotion by hand, on the fused features and the true gender; these clips are one stretch each."""
    whole = run.model()
    head = inner_network(whole).get_layer("emotion")
    read = {u.id: u for u in read_corpus("iemocap", root)}
    columns = [f"emotion/{label}" for label in run.recipe.tasks[0].labels]
    for _, row in known.iterrows():
        waveform, _ = soundfile.read(root / read[row["id"]].path, dtype="float32")
        given = {"waveform": waveform[None], "length": np.array([len(waveform)], "int32")}
        fused = np.asarray(recipe_embedder(run.recipe, whole)(given))[0]
        kernel, bias = head.get_weights()
        logits = np.concatenate([fused, [row["gender"] == "female", row["gender"] == "male"]]) @ kernel + bias
        np.testing.assert_allclose(row[columns].astype(float), scipy.special.softmax(logits), atol=1e-5)


def test_levels_without_pretrained_parts_have_a_rate_at_which_they_learn():
    module = imported("multilevel_iemocap")
    for given, rate in (({}, 3e-4), ({"wav2vec2": "random"}, 3e-4), ({"alexnet": "a.safetensors"}, 1e-5)):
        made = module.variants({"wav2vec2": "", "alexnet": "", **given})["iemocap"]
        assert {recipe.optimizer.learning_rate for name, recipe in made.items() if name != "w2e"} == {rate}


def test_pretrained_files_are_checked_once_for_all_systems(monkeypatch):
    module, read = imported("multilevel"), []
    monkeypatch.setattr("keras_ser.models.wav2vec2.header.checked_config", read.append)
    monkeypatch.setattr(
        "keras_ser.models.multilevel.weights.alexnet_weights", lambda file, filters: read.append((file, filters))
    )
    made = imported("multilevel_iemocap").variants({"wav2vec2": "w2e-base", "alexnet": "a.safetensors"})["iemocap"]
    assert [module.checked(recipe, None) for recipe in made.values()] == list(made.values()) and len(made) == 9
    assert read == ["w2e-base", ("a.safetensors", (64, 192, 384, 256, 256))]


@pytest.mark.parametrize("asked", ["all", "some"])
def test_paper_has_its_row_of_wav2vec2_without_a_checkpoint(asked, monkeypatch):
    module, told = imported("multilevel"), {}
    monkeypatch.setattr("sys.argv", ["multilevel_iemocap.py"])
    monkeypatch.setattr(module, "recipe_main", lambda *given, reports, **more: reports)
    monkeypatch.setattr(module, "systems_table", lambda about, pairs, paper: told.update(about=about))
    monkeypatch.setattr(module, "with_course", lambda table, compared: None)
    monkeypatch.setattr(module, "with_known", lambda table, about: lambda trained: trained.notes)
    systems = dict.fromkeys(module.ADDITIONS if asked == "all" else ("ser", "mf"))
    notes = module.main(lambda given: {}, "page")(Trained("iemocap", systems, None, None))
    # a paper's system that `about` does not name has a row without measured values
    assert ("w2e" in told["about"]) == (asked == "some") and len(notes) == (asked == "all")


@pytest.mark.slow
def test_levels_on_a_twin_of_iemocap(tmp_path):
    """The paper's rows beside it, the partner validates, what is not pretrained is said first; the leaking protocol is marked."""
    codes = ("ang", "hap", "exc", "neu", "sad")
    people = [(f"Ses0{k}F_impro01", who) for k in (1, 2) for who in "FM"]
    turns = [(f"{d}_{p}{k:03d}", code, 2.5, 2.5, 2.5) for d, p in people for k, code in enumerate(codes)]
    root = disk.write_iemocap(tmp_path / "iemocap", turns=turns)
    text = multilevel(root, tmp_path / "out", "--systems=ser,mf-mtl-cr")
    assert text.splitlines()[0] == (
        "# multilevel_iemocap on iemocap (without wav2vec 2.0, AlexNet from random weights)"
    )
    rows = text[text.index("## UAR (UA), %") :].splitlines()
    for name, printed in (("ser", "71.02"), ("mf-mtl-cr", "71.64")):
        assert f"| {printed} |" in next(line for line in rows if line.startswith(f"| {name} |"))
    figures = {path.name for path in (tmp_path / "out").glob("*-systems-*/course*")}
    texts = {f"course.{kind}" for kind in ("md", "html", "tex", "json")}
    assert figures == {*texts, "course-curves.png", "course-tsne.png"}
    apart = next((tmp_path / "out").glob("*-systems-*/known.md")).read_text()
    assert "mf-mtl-cr, gender known" in apart and "Side information" in apart
    assert apart.splitlines()[0] == f"{text.splitlines()[0]}, with the true gender"
    (folder,) = (tmp_path / "out").glob("multilevel_iemocap-mf-mtl-cr-????????/leave-one-speaker-out/fold-01-*")
    check_known_gender(Run.load(folder), pd.read_csv(folder / "predictions_known_gender.csv"), root)
    (split,) = (tmp_path / "out").glob("multilevel_iemocap-ser-*/leave-one-speaker-out/fold-01-*/split.json")
    sides = json.loads(split.read_text())
    assert {name[:5] + name[-4] for name in sides["test"]} == {"Ses01M"}
    assert {name[:5] + name[-4] for name in sides["validation"]} == {"Ses01F"}, "not Ses02F, the next"
    text = multilevel(root, tmp_path / "leaky", "--variant=leaky", "--systems=ser", "--protocol=paper")
    assert "leave-one-speaker-out-leaky" in text and "so its scores are too high and invalid" in text
    (course,) = (path.read_text() for path in (tmp_path / "leaky").glob("*/course.md"))
    assert "leave-one-speaker-out-leaky, seed 0 (LEAKING: the epoch is chosen on the test side)" in course


@pytest.mark.slow
def test_single_levels_and_weights_of_alexnet(tmp_path):
    from tests.models.test_alexnet import tensors, write

    root = disk.write_iemocap(
        tmp_path / "iemocap",
        turns=[
            (f"Ses0{k}F_impro01_{who}{i:03d}", code, 2.5, 2.5, 2.5)
            for k in (1, 2)
            for who in "FM"
            for i, code in enumerate(("ang", "hap", "neu", "sad"))
        ],
    )
    arrays = tensors(np.random.default_rng(0), (2, 2, 3, 3, 4))
    file = write(tmp_path / "alexnet.safetensors", arrays)
    names = ["alexnet", "spectrogram-dlinear"]
    given = ["--variant=levels", f"--systems={','.join(names)}", f"--alexnet={file}"]
    text = multilevel(root, tmp_path / "out", *given, "--set=optimizer.learning_rate=1e-12")
    assert "random weights" not in text and all(f"| {name} |" in text for name in names)
    (run,) = (tmp_path / "out").glob("multilevel_iemocap-alexnet-*/leave-one-speaker-out/fold-01-*")
    weights = inner_network(Run.load(run).model()).get_layer("alexnet_0").get_weights()
    np.testing.assert_allclose(weights[0], arrays["features.0.weight"].transpose(2, 3, 1, 0), atol=1e-6)
    done = script("multilevel_emodb", f"--corpus-root={root}", "--systems=ser,w2e")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "w2e is wav2vec 2.0 alone: give --wav2vec2 CHECKPOINT" in line
    done = script("multilevel_emodb", f"--corpus-root={root}", f"--alexnet={root}")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "expected a whole safetensors file" in line
