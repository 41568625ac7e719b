"""Recipes of Multilevel, from the command line to the report."""

import argparse
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy
import soundfile

from keras_ser.cli.other_corpus import on_corpus
from keras_ser.cli.recipe_script import Trained
from keras_ser.corpora import read_corpus
from keras_ser.errors import UserError
from keras_ser.experiment.planning import experiment_folder, job_names
from keras_ser.experiment.preparing import check_experiment
from keras_ser.models.wav2vec2 import weights_hash
from keras_ser.models.whole_model import inner_network, recipe_embedder
from keras_ser.training import Run
from tests import corpora_on_disk as disk
from tests.recipes.common import four_emotions, imported, script

CHECKPOINT = Path(__file__).parents[1] / "models" / "wav2vec2" / "stored" / "group"
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


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({}, 3e-4),
        ({"wav2vec2": "random"}, 3e-4),
        ({"alexnet": "a.safetensors"}, 1e-5),
        ({"wav2vec2": "w2v", "alexnet": "a.safetensors"}, 1e-5),
        ({"wav2vec2": "w2v"}, 3e-4),
    ],
)
def test_levels_without_pretrained_parts_have_a_rate_at_which_they_learn(given, rate):
    made = imported("multilevel_iemocap").variants({"wav2vec2": "", "alexnet": "", **given})["iemocap"]
    assert {recipe.optimizer.learning_rate for name, recipe in made.items() if name != "w2e"} == {rate}
    assert "w2e" not in made or made["w2e"].optimizer.learning_rate == (3e-4 if given["wav2vec2"] == "random" else 1e-5)


FROZEN = "config.wav2vec2_tuned=false"


@pytest.mark.parametrize(
    ("corpus", "variant", "system", "alexnet", "changes", "rates"),
    [
        ("emodb", "emodb", "ser", "", [], (3e-4, 1e-5)),
        ("ravdess", "levels", "w2e", "", [], (3e-4, 1e-5)),
        ("emodb", "leaky", "ser", "a.safetensors", [], (3e-4, 1e-5)),
        ("emodb", "emodb", "ser", "", ["optimizer.learning_rate=1e-3"], (1e-3, 1e-5)),
        ("emodb", "emodb", "ser", "", ["config.wav2vec2_rate=0.5"], (3e-4, 1.5e-4)),
        ("emodb", "emodb", "ser", "", [FROZEN], (3e-4, None)),
        ("emodb", "paper", "ser", "", [], (1e-5, 1e-5)),
        ("emodb", "paper", "ser", "", [FROZEN], (1e-5, None)),
        ("emodb", "levels", "w2e-nlinear", "", [], (1e-3, 1e-5)),
        ("emodb", "levels", "w2e-nlinear", "", [FROZEN], (1e-3, None)),
        ("emodb", "levels", "w2e", "", [FROZEN], (3e-4, None)),
        ("iemocap", "iemocap", "ser", "a.safetensors", [], (1e-5, 1e-5)),
        ("iemocap", "iemocap", "ser", "a.safetensors", [FROZEN], (1e-5, None)),
        ("iemocap", "iemocap", "ser", "", [], (3e-4, 1e-5)),
        ("iemocap", "iemocap", "w2e", "", [], (1e-5, 1e-5)),
        ("iemocap", "iemocap", "w2e", "", [FROZEN], (3e-4, None)),
        ("iemocap", "iemocap", "w2e", "", [FROZEN, "optimizer.learning_rate=2e-5"], (2e-5, None)),
    ],
)
def test_a_checkpoint_learns_at_the_papers_rate_and_random_parts_at_theirs(
    corpus, variant, system, alexnet, changes, rates
):
    given = {"wav2vec2": "w2v", "alexnet": alexnet}
    recipe = imported(f"multilevel_{corpus}").variants(given)[variant][system]
    recipe = recipe.change(dict(pair.split("=") for pair in changes))
    found = imported("multilevel").rated(recipe, argparse.Namespace(variant=variant, set=changes))
    rate, own = found.optimizer.learning_rate, found.config.wav2vec2_rate
    assert (rate, rate * own if found.config.wav2vec2_tuned else None) == pytest.approx(rates)
    assert found.config.wav2vec2_tuned or own == 1


def test_settings_and_figures_are_the_papers():
    """READING's, for the paper's corpus."""
    module = imported("multilevel_iemocap")
    made = module.variants({"wav2vec2": "w2v", "alexnet": "a"})["iemocap"]
    paper = """w2e 65.89 66.39, ser 70.56 71.02, mf 71.94 73.06, mtl 71.88 72.26, cr 70.68 72.35, mf-mtl 71.75 73.37,
        mf-cr 71.44 72.23, mtl-cr 71.90 72.78, mf-mtl-cr 70.31 71.64"""
    rows = {name: (float(wa), float(ua)) for name, wa, ua in (row.split() for row in paper.split(","))}
    (figures,) = module.PAPER.by_protocol.values()
    assert rows == {n: (round(100 * f["accuracy"], 2), round(100 * f["uar"], 2)) for n, f in figures.items()}
    assert list(made) == list(rows)
    for name, recipe in made.items():
        optimizer, sampling = recipe.optimizer, recipe.sampling
        assert (optimizer.name, optimizer.learning_rate, recipe.batch_size, recipe.epochs) == ("adamw", 1e-5, 64, 100)
        assert (sampling.kind, sampling.seconds, sampling.balance, recipe.patience) == ("segments", 3.0, False, 8)
        (protocol,) = recipe.protocols
        assert (protocol.kind, protocol.by, protocol.validation, protocol.within) == (
            "leave-one-out",
            "speaker",
            1,
            "session",
        )
        config = recipe.config
        assert (config.units, config.image, config.dense) == (256, (256, 384), 128)
        assert (config.lstm_dropout, config.dropout, config.wav2vec2_tuned) == (0.5, 0.1, True)
        added = config.gender_prior, config.level_heads > 0, config.center > 0
        assert added == tuple(part in name.split("-") for part in ("mf", "mtl", "cr"))
    mfcc, image, raw = made["ser"].every_frontend
    assert mfcc.features == ("mfcc",) and (mfcc.coefficients, mfcc.hop, mfcc.unit, mfcc.deltas) == (40, 160, True, 0)
    assert (image.window, image.hop, image.fft, image.lowest) == (640, 160, 800, 200)
    assert (mfcc.preemphasis, image.preemphasis, raw.preemphasis) == (0.97, 0.97, 0.0)


def test_pretrained_files_may_be_in_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/people/me")
    monkeypatch.setattr("sys.argv", ["multilevel_emodb.py", "--wav2vec2=~/w2v", "--alexnet=~/a.safetensors"])
    assert imported("multilevel").Given.parsed() == {
        "wav2vec2": "/people/me/w2v",
        "alexnet": "/people/me/a.safetensors",
    }


def test_a_checkpoint_is_needed_only_where_a_run_is_left_to_train(tmp_path):
    corpus = read_corpus("manifest", four_emotions(tmp_path, speakers=3))
    given = {"wav2vec2": str(tmp_path / "gone"), "alexnet": ""}
    made, _ = on_corpus(corpus, partial(imported("multilevel_emodb").variants, given))
    recipe = made["manifest"]["w2e"].for_corpus(corpus)
    runs = [experiment_folder(recipe, tmp_path) / name for name in job_names(recipe, corpus)]
    for run in runs:
        with pytest.raises(UserError, match="expected the folder of a Hugging Face checkpoint"):
            check_experiment(recipe, corpus, out=tmp_path)
        run.mkdir(parents=True)
        (run / "predictions.csv").touch()
    check_experiment(recipe, corpus, out=tmp_path)
    assert len(runs) == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fine-tuned", "frozen"])
def test_wav2vec2_on_a_corpus_of_ones_own_and_its_report_without_the_checkpoint(kind, tmp_path):
    """What is trained is reported again though the checkpoint is gone, and nothing more is trained without it."""
    checkpoint = shutil.copytree(CHECKPOINT, tmp_path / "w2v")
    options = [f"--corpus-root={four_emotions(tmp_path, speakers=3)}", f"--wav2vec2={checkpoint}", f"--out={tmp_path}"]
    command = ["multilevel_emodb", "--corpus=manifest", *options, "--systems=w2e", "--epochs=1", "--folds=0", "--quiet"]
    command += [f"--set=config.wav2vec2_tuned={'true' if kind == 'fine-tuned' else 'false'}", "--set=config.dense=4"]
    for gone in (False, True):
        done = script(*command)
        assert done.returncode == 0, done.stderr
        (text,) = (path.read_text() for path in tmp_path.glob("*/systems.md"))
        assert text.splitlines()[0] == f"# multilevel_manifest on manifest (wav2vec 2.0 {kind} from w2v)"
        assert "Mean over the test speakers of leave-one-speaker-out" in text
        (text,) = (path.read_text() for path in tmp_path.glob("multilevel_manifest-w2e-????????/report.md"))
        assert f"Pretrained weights: model.safetensors {weights_hash(CHECKPOINT)}" in text
        if not gone:
            checkpoint.rename(tmp_path / "elsewhere")
    done = script(*command, "--seed=1")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "expected the folder of a Hugging Face checkpoint" in line


@pytest.mark.parametrize("asked", ["all", "some"])
def test_paper_has_its_row_of_wav2vec2_without_a_checkpoint(asked, monkeypatch):
    module, told = imported("multilevel"), {}
    monkeypatch.setattr("sys.argv", ["multilevel_iemocap.py"])
    monkeypatch.setattr(module, "recipe_main", lambda *given, reports, **more: reports)
    monkeypatch.setattr(
        module, "systems_table", lambda about, pairs, paper, by_speaker, subtitle: told.update(about=about)
    )
    monkeypatch.setattr(module, "with_course", lambda table, compared: None)
    monkeypatch.setattr(module, "with_known", lambda table, about: lambda trained: trained.notes)
    systems = dict.fromkeys(module.ADDITIONS if asked == "all" else ("ser", "mf"))
    notes = module.main(lambda given: {}, "page")(Trained("iemocap", systems, None, argparse.Namespace(corpus=None)))
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
    assert "leave-one-speaker-out-leaky, seed 0 (LEAKING: the epoch is chosen on the test set)" in course


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
    assert text.startswith(
        "# multilevel_iemocap_levels on iemocap (AlexNet from alexnet.safetensors), without wav2vec 2.0\n"
    )
    assert "random weights" not in text and all(f"| {name} |" in text for name in names)
    (run,) = (tmp_path / "out").glob("multilevel_iemocap_levels-alexnet-*/leave-one-speaker-out/fold-01-*")
    weights = inner_network(Run.load(run).model()).get_layer("alexnet_0").get_weights()
    np.testing.assert_allclose(weights[0], arrays["features.0.weight"].transpose(2, 3, 1, 0), atol=1e-6)
    done = script("multilevel_emodb", f"--corpus-root={root}", "--systems=ser,w2e")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "w2e is wav2vec 2.0 alone: give --wav2vec2 CHECKPOINT" in line
    done = script("multilevel_iemocap", f"--corpus-root={root}", f"--alexnet={root}", f"--out={tmp_path}", "--quiet")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "expected a whole safetensors file" in line


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"wav2vec2_tuned": False, "wav2vec2_states": "weighted"}])
def test_a_head_on_wav2vec2_serves_from_bytes(changes, tmp_path):
    """Fine-tuned, and frozen with its states weighted; from bytes as from the run, without the checkpoint."""
    import tensorflow as tf

    from keras_ser.serving import export
    from keras_ser.training import Data, fit
    from tests.training import tiny

    checkpoint = shutil.copytree(CHECKPOINT, tmp_path / "w2v")
    made = imported("multilevel_emodb").variants({"wav2vec2": str(checkpoint), "alexnet": ""})["emodb"]["ser"]
    small = {"units": 2, "image": "64,64", "filters": "2,2,3,3,4", "dense": 6}
    recipe = made.replace(corpus="demo", tasks=(tiny.EMOTION,), epochs=1, batch_size=8).change(
        {f"config.{name}": value for name, value in {**small, **changes}.items()}
    )
    corpus = tiny.corpus(tmp_path / "corpus")
    data = Data.load(recipe, corpus, tmp_path / "cache")
    run = fit(recipe, data, tiny.SPEAKERS.splits(corpus)[1], tmp_path / "run", seed=5)
    checkpoint.rename(tmp_path / "gone")
    served = tf.saved_model.load(str(export(run, tmp_path / "exports"))).signatures["predict_bytes"]
    clips = corpus.utterances[:3]
    found = served(audio=tf.constant([corpus.file(u).read_bytes() for u in clips]))["emotion/probabilities"]
    waves = [soundfile.read(corpus.file(u), dtype="float32")[0] for u in clips]
    for wave, row in zip(waves, np.asarray(found), strict=True):
        given = {"waveform": wave[None], "length": np.array([len(wave)], "int32")}
        np.testing.assert_allclose(row, np.asarray(run.model()(given, training=False)["emotion"])[0], atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-4
