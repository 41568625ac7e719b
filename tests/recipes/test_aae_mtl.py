"""Recipes of AAE-MTL, from the command line to the report."""

import json
import subprocess
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_ser.cli import main
from keras_ser.cli.recipes import load_recipes
from keras_ser.corpora import read_corpus
from keras_ser.experiment.planning import check_splits
from keras_ser.experiment.rescoring import data_of
from keras_ser.settings import Stream
from keras_ser.tasks import Task
from keras_ser.training import Data
from tests import corpora_on_disk as disk
from tests.recipes.common import RECIPES, imported, script, twin
from tests.training import tiny

SMALL_AAE = ["filters=2,2", "kernels=3,3", "pools=[[2, 2], [2, 2]]", "head_filters=2", "dense=4,3"]


def aae(recipe: str, out: Path, *arguments: str, sampling: int = 16) -> subprocess.CompletedProcess:
    """A recipe of the adversarial autoencoder with a small network, one epoch of one fold."""
    small = ["--quiet", "--epochs=1", "--seed=0", "--folds=0", *(f"--set=config.{pair}" for pair in SMALL_AAE)]
    small += [f"--set=sampling.frames={sampling}", f"--set=sampling.hop={sampling}", "--set=frontend.bins=16"]
    done = script(recipe, *small, "--set=monitor=", f"--out={out}", *arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iemocap", "msp_improv"])
def test_adversarial_autoencoder_on_twins(tmp_path, name, capsys):
    """The paper's figures of each protocol beside it (MSP-IMPROV: both protocols), and readers of another corpus who only train."""
    root = twin(name, tmp_path)
    readers = disk.write_librispeech(tmp_path / "readers", seed=7)
    given = [f"--corpus-root={root}", f"--corpus-root=librispeech={readers}"]
    asked = ["--systems=aae,aae-single,cnn-single", "--protocol=disjoint"] if name == "iemocap" else ["--systems=aae"]
    done = aae(f"aae_{name}", tmp_path / "out", *given, "--aux-speakers=2", *asked)
    assert "underfit" in done.stdout, "one epoch"
    (experiment,) = (tmp_path / "out").glob(f"aae_{name}-aae-????????")
    report = (experiment / "report.md").read_text()
    assert (
        "is also trained on librispeech: " in report
        and "of 2 speakers, without labels of the main task, 50% of" in report
    )
    assert list(experiment.glob("diagnostics-*.png"))
    told = json.loads((experiment / "report.json").read_text())["tables"]["Diagnostics of training, mean over runs"]
    for row in (row for row in told if "discriminator" in row[""]):
        files = experiment.glob(f"{row['protocol']}/*/history.csv")
        expected = np.mean([pd.read_csv(file)["discriminator_right"].iloc[-1] for file in files])
        assert row["last epoch"] == pytest.approx(expected, abs=1e-6) and row["a failure at"] == "0.5 or 1"
    (text,) = (path.read_text() for path in (tmp_path / "out").glob("*/systems.md"))
    figures = {"iemocap": ["66.7 ± 1.4"], "msp_improv": ["63.6 ± 1.7", "60.3 ± 1.1"]}[name]
    assert "leave-one-speaker-out (paper)" in text
    rows = text[text.index("## UAR (UA), %") :].splitlines()
    (row,) = [line for line in rows if line.startswith("| aae |")][:1]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1::2][: len(figures)] == figures
    of_others = {"iemocap": "| DBN, multi-task [30] | 62.2 | – |", "msp_improv": "| ProgNet [88] | 60.5 ± 2.1 | – |"}[
        name
    ]
    assert of_others in text and "| aae-gender |" not in text, "systems that were not asked for have no row"
    (recipe,) = (tmp_path / "out").glob(f"aae_{name}-aae-????????/recipe.json")
    streams = json.loads(recipe.read_text())["streams"]
    assert [(s["corpus"], s["share"], s["speakers"]) for s in streams] == [(None, 1.0, 0), ("librispeech", 1.0, 2)]
    if name == "iemocap":
        (alone,) = (tmp_path / "out").glob("aae_iemocap-cnn-single-*/recipe.json")
        assert len(json.loads(alone.read_text())["streams"]) == 1
        # of a corpus that it cannot use, alone as in the table: nothing is left to train
        aae("aae_iemocap", tmp_path / "out", *given, "--protocol=disjoint", "--systems=cnn-single")
        assert [alone] == [*(tmp_path / "out").glob("aae_iemocap-cnn-single-*/recipe.json")]
        assert data_of(alone.parent).auxiliary == {}, "without the corpus that it has not used"
        both, single, unlabelled = (
            json.loads(
                next((tmp_path / "out").glob(f"aae_iemocap-{system}-????????/leave*/fold-00*/history.json")).read_text()
            )
            for system in ("aae", "cnn-single", "aae-single")
        )
        assert both["steps"] == unlabelled["steps"]
        assert abs(both["steps"] - single["steps"]) <= 1, "the same number of steps, with or without auxiliary corpora"
        (run,) = experiment.glob("leave-one-speaker-out/fold-00-*")
        capsys.readouterr()
        main(["check", str(run), "--quiet"])
        said = capsys.readouterr().out
        assert "shuffled labels: UAR" in said and "ok      export: " in said, "auxiliary corpora are read again"
        clusters = ["--systems=aae-gender", "--variant=clusters-3", "--protocol=disjoint"]
        aae("aae_iemocap", tmp_path / "clusters", given[0], *clusters)
        (text,) = (path.read_text() for path in (tmp_path / "clusters").glob("*/systems.md"))
        assert "65.7" in text and text.startswith("# aae_iemocap_clusters-3 on iemocap")
        assert "affect: 3 clusters of valence and arousal, fitted on each fold's training set" in text
        (fitted,) = (tmp_path / "clusters").glob("*/leave-one-speaker-out/fold-00-seed-0/recipe.json")
        centres = json.loads(fitted.read_text())["tasks"][0]["centres"]
        assert len(centres) == 3


def test_each_auxiliary_corpus_may_have_a_number_of_speakers_of_its_own():
    """The paper's 600 of LibriSpeech beside SLR45, which has ten."""
    module, roots = imported("aae"), {"librispeech": "x", "slr45": "y"}
    parser = ArgumentParser()
    module.auxiliary_arguments(parser)
    for words, expected in (
        (["--aux-speakers=600", "--aux-speakers=slr45=10"], {"librispeech": 600, "slr45": 10}),
        (["--aux-speakers=slr45=0", "--aux-speakers=600"], {"librispeech": 600, "slr45": 0}),
        (["--aux-speakers=librispeech=600"], {"librispeech": 600, "slr45": 0}),
        ([], {"librispeech": 0, "slr45": 0}),
    ):
        options = parser.parse_args(words, SimpleNamespace(variant=None, corpus_roots=roots))
        recipe = module.with_auxiliary(imported("aae_emodb").VARIANTS["emodb"]["aae"], options)
        assert {stream.corpus: stream.speakers for stream in recipe.streams[1:]} == expected
        recipe = module.pretrained_on(imported("aae_pretrain").RECIPES["librispeech"], options)
        assert recipe.streams[1].speakers == expected["slr45"]
        assert dict(recipe.corpus_options).get("speakers", 0) == expected["librispeech"]


@pytest.mark.slow
def test_adversarial_autoencoder_across_corpora_after_pre_training(tmp_path):
    readers = disk.write_librispeech(tmp_path / "readers", seed=7)
    librispeech = f"--corpus-root=librispeech={readers}"
    counts = ("--aux-speakers=2", "--aux-speakers=librispeech=3")
    aae("aae_pretrain", tmp_path / "before", "--corpus=demo", librispeech, *counts)
    (run,) = (tmp_path / "before").glob("aae_pretrain-*")
    assert [s["speakers"] for s in json.loads((run / "recipe.json").read_text())["streams"][1:]] == [3]
    split = json.loads(next(run.glob("every-*/fold-00-*/split.json")).read_text())
    assert len({name.split("_")[0] for side in ("train", "validation", "test") for name in split[side]}) == 2
    roots = [f"--corpus-root={twin('msp_improv', tmp_path)}", f"--corpus-root=iemocap={twin('iemocap', tmp_path)}"]
    aae("aae_cross_corpus", tmp_path / "out", *roots, librispeech, "--systems=aae", f"--init-from={run}")
    (text,) = (path.read_text() for path in (tmp_path / "out").glob("*/systems.md"))
    assert "46.41" in text and "trained on iemocap" in text and "no training clips of" not in text
    (folder,) = (tmp_path / "out").glob("aae_cross_corpus-aae-*/cross-corpus/fold-00-seed-0")
    assert {"code-cross_corpus.png", "reconstruction-cross_corpus.png"} <= {p.name for p in folder.parents[1].iterdir()}
    split, about = (json.loads((folder / name).read_text()) for name in ("split.json", "history.json"))
    assert split["train"] == [] and len(split["validation"]) == 10 and len(split["test"]) == 20
    assert {"emotion_uar", "speaker_uar"} <= set(about["training"]) and about["initial"]
    assert {name.split("/")[0] for name in about["anew"] if name.endswith("kernel")} == {
        *("emotion", "emotion_conv", "emotion_dense_1", "emotion_dense_2"),
        "speaker",
    }


def test_the_curve_of_labelled_shares_compares_runs_of_as_many_steps():
    """Ten speakers of EmoDB, nine of which train."""
    recipes = load_recipes(str(RECIPES / "aae_emodb.py"))[0]
    found = {name: recipe for name, recipe in recipes.items() if name.startswith("shares-")}
    expected = {(f"shares-aae-{share}{end}", share / 100, not end) for share in (10, 25, 50) for end in ("", "-alone")}
    assert {(n, r.labelled, r.unlabelled) for n, r in found.items()} == expected | {("shares-aae-100", 1.0, True)}
    assert len({(r.epochs, r.batch_size) for r in found.values()}) == 1


def test_weights_of_losses_for_levels_are_the_papers():
    """Section 5.1: alpha 0.6 and beta 0.4 for the autoencoder, 0.3 and 0.7 for the adversarial one."""
    for recipe in ("aae_iemocap", "aae_msp_improv"):
        every = load_recipes(str(RECIPES / f"{recipe}.py"))[0]
        for variant in ("activation", "valence", "clusters-3", "clusters-5"):
            for kind, weights in (("aae", (0.3, 0.7)), ("ae", (0.6, 0.4))):
                for system in (kind, f"{kind}-single"):
                    config = every[f"{variant}-{system}"].config
                    assert (config.alpha, config.beta) == weights, system


@pytest.mark.parametrize("corpus", ["iemocap", "msp_improv"])
def test_settings_are_the_papers(corpus):
    """Sections IV and V of the paper, read anew: window, schedule, loss weights, dropout, folds, repeats."""
    made = imported(f"aae_{corpus}").VARIANTS[corpus]
    for name, recipe in made.items():
        front, steps = recipe.frontend, recipe.optimizer
        assert (front.window, front.hop, front.fft, front.bins, front.endpoint) == (400, 160, 512, 128, True), name
        assert (steps.name, steps.learning_rate, steps.momentum) == ("sgd", 1e-4, 0.0)
        assert (steps.schedule, steps.factor, steps.floor) == ("plateau", 0.5, 1e-5)
        assert (recipe.batch_size, recipe.patience, recipe.patience_steps, recipe.smoothing) == (32, 5, 0, 1)
        assert (recipe.sampling.kind, recipe.sampling.frames, len(recipe.seeds)) == ("segments", 256, 10)
        assert recipe.config.dropout == 0.3 and recipe.monitor == "val_emotion_accuracy"
        folds, speakers = recipe.protocols
        assert (folds.kind, folds.folds, folds.validation, folds.columns_apart) == ("stratified-k-fold", 10, 1, ())
        assert (speakers.kind, speakers.by, speakers.validation) == ("leave-one-out", "speaker", 1)
    weights = {name: (recipe.config.alpha, recipe.config.beta) for name, recipe in made.items()}
    assert weights["aae"] == weights["aae-single"] == (0.4, 0.6) and weights["ae"] == weights["ae-single"] == (0.3, 0.7)


def test_figure_4_goes_beyond_the_speakers_after_which_the_paper_sees_a_plateau():
    """600; train-clean-360 has 921."""
    for recipe in ("aae_iemocap", "aae_msp_improv"):
        every = load_recipes(str(RECIPES / f"{recipe}.py"))[0]
        for variant in ("speakers", "speakers-gender", "speakers-identity"):
            counts = [k for k in range(0, 1100, 100) if f"{variant}-aae-speakers-{k}" in every]
            assert counts == list(range(0, 1000, 100)), (recipe, variant)


def test_no_auxiliary_speakers_is_a_point_of_figure_4(tmp_path):
    """0 speakers: the corpus that the other points draw from is not read at all."""
    readers = disk.write_librispeech(tmp_path / "readers", seed=7)
    given = [f"--corpus-root={twin('iemocap', tmp_path)}", f"--corpus-root=librispeech={readers}", "--variant=speakers"]
    with_auxiliary, recipes = imported("aae").with_auxiliary, load_recipes(str(RECIPES / "aae_iemocap.py"))[0]
    options = SimpleNamespace(variant="speakers", aux_speakers=[], corpus_roots={"librispeech": "x"})
    every = imported("aae_iemocap").VARIANTS["speakers"]
    with_auxiliary(every["aae-speakers-0"], options, every.values())
    assert "librispeech" in options.idle, "the point of 0 speakers alone may be given the corpus of the others"
    counted = {
        n: [s.speakers for s in with_auxiliary(recipes[f"speakers-aae-speakers-{n}"], options).streams]
        for n in (0, 100)
    }
    assert counted == {0: [0], 100: [0, 100]}
    # as many labels of emotions in each step, and as many steps
    sizes = [recipes[f"speakers-aae-speakers-{n}"].batch_size // (1 + (n > 0)) for n in (0, 100)]
    assert sizes[0] == sizes[1]
    done = script("aae_iemocap", *given, "--aux-speakers=3", f"--out={tmp_path / 'out'}")
    assert done.returncode == 2 and "sets the number of auxiliary speakers itself" in done.stderr


def test_autoencoders_of_one_task_use_the_audio_of_auxiliary_corpora():
    """Section 5.1: semi-supervised, in batches like those of several tasks; without the corpora nothing changes."""
    with_auxiliary = imported("aae").with_auxiliary
    recipes = load_recipes(str(RECIPES / "aae_emodb.py"))[0]
    alone = SimpleNamespace(variant=None, aux_speakers=[], corpus_roots={})
    given = SimpleNamespace(variant=None, aux_speakers=[("", 3)], corpus_roots={"librispeech": "x"})
    several = with_auxiliary(recipes["aae"], given)
    for system in ("aae-single", "ae-single"):
        assert with_auxiliary(recipes[system], alone) is recipes[system]
        found = with_auxiliary(recipes[system], given)
        assert (found.streams, found.batch_size) == (several.streams, several.batch_size) and len(found.streams) == 2
        assert [(s.speakers, s.teaches) for s in found.streams[1:]] == [(3, False)]
    found = with_auxiliary(recipes["cnn-single"], given)
    assert len(found.streams) == 1 and 2 * found.batch_size == several.batch_size
    # no label of the auxiliary corpus counts
    clips = read_corpus("demo")
    emotion = Task("emotion", tuple(sorted(clips.counts("emotion"))))
    recipe = tiny.SINGLE.replace(tasks=(emotion,), streams=(Stream("a"), Stream("b", corpus="demo")))
    cache = SimpleNamespace(dropped={})
    data = Data(clips, cache, {"demo": (clips, cache)})
    (split,) = tiny.SPEAKERS.splits(clips)[:1]
    sources = [data.source(recipe, number, split, "train", 0) for number in (0, 1)]
    assert sources[0].labels["emotion"][1].all() and not sources[1].labels["emotion"][1].any()


def test_one_task_alone_learns_from_the_auxiliary_speakers_of_figure_4(tmp_path):
    """Figures 4b to 4d: gender or speaker alone, taught by both corpora, with as many labels of the first in each batch.

    The speaker under both protocols: accuracy where the test speakers are known, verification where they are not."""
    corpus = read_corpus("iemocap", twin("iemocap", tmp_path))
    recipes = load_recipes(str(RECIPES / "aae_iemocap.py"))[0]
    for task in ("gender", "identity"):
        found = [recipes[f"speakers-{task}-aae-speakers-{count}"] for count in (0, 300)]
        assert [len(recipe.tasks) for recipe in found] == [1, 1]
        assert all(recipe.tasks[0].identity == (task == "identity") for recipe in found)
        assert {recipe.monitor for recipe in found} == {f"val_{found[0].tasks[0].name}_accuracy"}
        assert [len(recipe.protocols) for recipe in found] == [2, 2]
        check_splits(found[0].for_corpus(corpus), corpus)  # the validation set can select the epoch
        assert [(s.corpus, s.speakers, s.teaches) for s in found[1].streams[1:]] == [("librispeech", 300, True)]
        assert 2 * found[0].batch_size == found[1].batch_size == 32


def test_a_sweep_has_a_curve_for_each_kind():
    swept = imported("aae").swept
    assert swept(["aae-alpha-0.1", "ae-alpha-0.1", "aae-alpha-0.2"]) == (
        "alpha",
        {"aae": {0.1: "aae-alpha-0.1", 0.2: "aae-alpha-0.2"}, "ae": {0.1: "ae-alpha-0.1"}},
    )
    _, shares = swept(["aae-10", "aae-10-alone", "aae-100"])
    assert shares == {
        "the others unlabelled": {10.0: "aae-10", 100.0: "aae-100"},
        "the others left out": {10.0: "aae-10-alone", 100.0: "aae-100"},
    }
    assert swept(["aae", "aae-gender", "cnn-single", "aae-no-adversary"]) is None


@pytest.mark.parametrize(
    ("recipe", "level", "column", "cuts"),
    [("aae_iemocap", "valence", "valence", (2.0, 3.5)), ("aae_msp_improv", "activation", "arousal", (2.5, 3.5))],
)
def test_figure_5_is_of_levels_too(recipe, level, column, cuts):
    """alpha 0.1 .. 1.0 at beta 0.5, beta 0.1 .. 0.9 at alpha 1, of both autoencoders."""
    every = load_recipes(str(RECIPES / f"{recipe}.py"))[0]
    for key, values, fixed in (
        ("alpha", np.arange(1, 11) / 10, ("beta", 0.5)),
        ("beta", np.arange(1, 10) / 10, ("alpha", 1.0)),
    ):
        prefix = f"{key}-{level}-"
        found = {name.removeprefix(prefix): made for name, made in every.items() if name.startswith(prefix)}
        assert sorted(found) == sorted(f"{kind}-{key}-{value:g}" for kind in ("aae", "ae") for value in values)
        for name, made in found.items():
            config = vars(made.config)
            assert config["kind"] == name.split("-")[0] and config[fixed[0]] == fixed[1]
            assert config[key] == pytest.approx(float(name.rpartition("-")[2]))
            assert (made.tasks[0].column, made.tasks[0].cuts) == (column, cuts) and len(made.protocols) == 1


@pytest.mark.slow
def test_speakers_of_a_further_corpus_are_verified_by_each_system(tmp_path):
    """Figure 4 has the equal error rate by the number of auxiliary speakers; the report of it stands beside the table."""
    given = [f"--corpus-root={twin('iemocap', tmp_path)}", "--variant=speakers", "--protocol=disjoint"]
    wrong = script(
        "aae_iemocap", *given, "--systems=aae-speakers-0", "--verify=x", "--epochs=1", f"--out={tmp_path / 'no'}"
    )
    assert wrong.returncode == 2 and "--verify takes NAME=DIR" in wrong.stderr and not (tmp_path / "no").exists()
    absent = f"--verify=librispeech={tmp_path / 'absent'}"
    wrong = script("aae_iemocap", *given, "--systems=aae-speakers-0", absent, f"--out={tmp_path / 'no'}")
    assert wrong.returncode == 2 and "does not exist" in wrong.stderr and not (tmp_path / "no").exists()
    out, one, demo = tmp_path / "out", "--systems=aae-speakers-0", f"--verify=demo={tmp_path / 'demo'}"
    own = f"--verify=iemocap={tmp_path / 'iemocap'}"  # as in the paper, beside the test speaker of the fold
    aae("aae_iemocap", out, *given, one, demo, "--enrol=3", own)
    (folder,) = out.glob("*-systems-*")
    found = set(pd.read_csv(folder / "verification.csv.gz")["speaker_a"])
    (tested,) = {name.partition("/")[2] for name in found if name.startswith("iemocap/")}
    (split,) = out.glob("aae_iemocap*/leave*/fold-00-*/split.json")
    spoken = {u.id: u.speaker for u in read_corpus("iemocap", tmp_path / "iemocap")}
    assert {spoken[i] for i in json.loads(split.read_text())["test"]} == {tested} and len(found) > 2
    # the run is there: only the verification is made again
    aae("aae_iemocap", out, *given, one, demo)
    rates = [row for row in json.loads((folder / "verification.json").read_text())["scores"] if row["metric"] == "eer"]
    table = pd.read_csv(folder / "verification.csv.gz")
    assert {row["system"] for row in rates} == {"aae-speakers-0"} and table["same"].any() and not table["same"].all()
    assert set(table["speaker_a"]) == {u.speaker for u in read_corpus("demo")}
    assert (folder / "systems-sweep.png").exists()
    enrolled = table.groupby("speaker_a")["b"].nunique().sum()
    aae("aae_iemocap", out, *given, one, demo, "--enrol=3")
    table = pd.read_csv(folder / "verification.csv.gz")
    speakers = table["speaker_a"].nunique()
    assert table.groupby("speaker_a")["b"].nunique().sum() - enrolled == speakers * 17 * speakers, "3 enrol, not 20"
