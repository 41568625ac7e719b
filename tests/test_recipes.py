"""Every recipe: a plain value, and a run over a small corpus of its own layout from the command line to the report."""

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
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy
import soundfile

from keras_ser.cli import main
from keras_ser.cli.recipes import load_recipes
from keras_ser.cli.training import check_labels
from keras_ser.corpora import CORPORA, read_corpus
from keras_ser.evaluation import metric_names
from keras_ser.models.whole_model import inner_network, recipe_embedder
from keras_ser.recipe import Recipe
from keras_ser.splits import check_split
from keras_ser.training import Run
from tests import corpora_on_disk as disk

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
FILES = sorted(path for path in RECIPES.glob("*.py") if path.stem not in ("aae", "aspmtl", "multilevel", "vggvox"))
EVERY = [
    pytest.param(recipe, id=f"{path.stem}-{variant}")
    for path in FILES
    for variant, recipe in load_recipes(str(path))[0].items()
]
TINY = [
    "--epochs=1",
    "--seed=0",
    "--set=config.units=3",
    "--set=sampling.frames=24",
    "--set=frontend.features=mfcc,energy",
    "--quiet",
]


@pytest.mark.parametrize("recipe", EVERY)
def test_a_recipe_is_a_plain_value(recipe):
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.corpus in CORPORA
    if len(recipe.protocols) == 2:
        # the paper's split; beside it there is one that keeps people, films or recordings apart
        assert recipe.protocols[0].speaker_dependent or recipe.protocols[0].chosen_on_test
    # the last of them keeps its promises, but where persons are to be named
    last = recipe.protocols[-1]
    assert (last.columns_apart or recipe.tasks[0].identity) and last.together and not last.chosen_on_test
    # what is printed as the paper's figure is a fraction with a source
    assert all(0 < value < 1 and "table" in source for _, _, value, source in recipe.paper)
    assert {(task, metric) for task, metric, *_ in recipe.paper} <= {
        (task.name, metric) for task in recipe.tasks for metric in metric_names(task)
    }


@pytest.mark.parametrize("system", ["single-task", "aspmtl"])
def test_tuned_settings_are_the_best_of_the_stored_search(system):
    trials = pd.read_csv(RECIPES.parent / f"benchmarks/results/trained_emodb-{system}/trials.csv")
    best = trials.loc[trials["score"].idxmax()]
    values = load_recipes(str(RECIPES / "aspmtl_emodb.py"))[0][system].to_dict()
    searched = [name for name in trials if name == "batch_size" or name.partition(".")[0] in ("optimizer", "config")]
    assert len(searched) >= 5
    for name in searched:
        outer, _, inner = name.partition(".")
        assert (values[outer][inner] if inner else values[outer]) == pytest.approx(best[name]), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_help_prints_the_page(path):
    shown = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, check=True).stdout
    page = importlib.util.spec_from_file_location("page", path)
    assert path.stem in shown and "--corpus-root" in shown and page is not None
    assert path.read_text().splitlines()[0].lstrip('"') in shown


@pytest.mark.slow
@pytest.mark.parametrize(("name", "corpus"), [("emodb", "emodb"), ("ravdess", "ravdess")])
def test_recipes_fit_the_real_corpora(shared_data, name, corpus):
    from keras_ser.corpora.inspection import check

    corpus = read_corpus(corpus, shared_data / corpus)
    recipes, _ = load_recipes(str(RECIPES / f"aspmtl_{name}.py"))
    hashes = {i: str(k) for k, ids in enumerate(check(corpus).duplicates) for i in ids}
    for recipe in recipes.values():
        check_labels(recipe, corpus, {})
        for protocol in recipe.protocols:
            splits = protocol.splits(corpus, hashes=hashes, stratify="emotion")
            for split in splits:
                check_split(split, corpus, hashes)
            tested = [i for split in splits for i in split.test]
            assert len(tested) == len(set(tested))
            assert protocol.kind == "random" or len(tested) == len(corpus)


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


@pytest.mark.slow
def test_noise_tables_on_the_demo_corpus(tmp_path):
    """Tables 5 to 8 as a newcomer asks for them: no corpus, no noise files, one fold."""
    small = ["--folds=0", "--epochs=1", "--clips=2", "--unseen=brown", "--quiet"]
    done = script("aspmtl_noise", f"--out={tmp_path}", *small)
    assert done.returncode == 0, done.stderr
    assert "brown (unseen)" in done.stdout and "Without --noise-root there is no factory" not in done.stdout
    (written,) = tmp_path.glob("*/denoising.md")
    text = written.read_text()
    assert (
        "The babble is generated" in text and "Without --noise-root there is no factory" in text and "| 18.01 |" in text
    )
    assert {path.name for path in written.parent.glob("*.png")} >= {"snr_out.png", "si_sdr.png"}


@pytest.mark.slow
def test_emotion_and_speaker_on_the_demo_corpus(tmp_path):
    """Three small networks, the table of the gain and that of the speakers; asked again, nothing is trained."""
    command = ["vggvox_cremad", f"--out={tmp_path}", "--epochs=1", "--jobs=1"]
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
    """All 91 actors of the published demographics, each with four clips; 24 of them are tested beside the paper's figures."""
    if not (shared := Path(__file__).resolve().parents[2] / "shared" / "data" / "crema-d").is_dir():
        pytest.skip("the folder shared/data/crema-d is not beside the project")
    root, kinds = tmp_path / "crema-d", ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    names = [f"{1001 + i}_DFA_{kinds[(i + k) % 6]}_XX" for i in range(91) for k in range(4)]
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


@pytest.mark.slow
def test_baselines_on_a_corpus_of_ones_own(tmp_path):
    """Windows as many as the rarest emotion has, leave one speaker out of four; what is missing is said."""
    command = ["mt_a_dnn", f"--out={tmp_path}", "--quiet", "--seed=0", "--systems=svm", "--corpus=manifest"]
    done = script(*command, f"--corpus-root={four_emotions(tmp_path)}")
    assert done.returncode == 0, done.stderr
    assert "leave-one-speaker-out" in done.stdout
    (table,) = tmp_path.glob("*/systems.md")
    assert "Windows in total: anger" in table.read_text()
    for emotions in (("anger", "neutral", "sadness"), ("anger",)):
        lacking = four_emotions(tmp_path, emotions)
        done = script(*command, f"--corpus-root={lacking}")
        assert done.returncode == 2 and "lacks" in done.stderr and "happiness" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_corpus_of_ones_own_beside_a_baseline(tmp_path, capsys):
    """Classes of the corpus, columns of other names, no gender, four speakers; a final model after the cross-validation."""
    mine = four_emotions(tmp_path, ("anger", "neutral", "sadness"))
    rows = [line.split(",") for line in mine.read_text().splitlines()[1:]]
    mine.write_text("path,spk,label\n" + "".join(f"{f},{s},{e}\n" for f, s, _, e in rows))
    small = ["--epochs=1", "--folds=0", "--set=config.filters=4,4,4,4"]
    columns = "--columns=file=path,speaker=spk,emotion=label"
    done = script("own", f"--corpus-root={mine}", f"--out={tmp_path}", columns, *small)
    assert done.returncode == 0, done.stderr
    assert "emotion: anger 8, neutral 8, sadness 8; 24 clips of 4 speakers" in done.stderr
    assert "to train: 1 of conv, 1 of svm; about " in done.stderr
    assert {"conv", "svm"} <= {line.split()[0] for line in done.stdout.splitlines() if line}
    (table,) = tmp_path.glob("own-systems-*/systems.md")
    assert "conv - svm: " in table.read_text() and "does not name both genders" in table.read_text()
    (svm,) = tmp_path.glob("own-svm-*")
    assert main(["train", str(svm), "--final", "--quiet"]) == 0
    assert (svm / "final" / "seed-0" / "model.skops").exists()
    assert "Trained on 24 clips of 4 speakers. Setting: C=1.0" in capsys.readouterr().out


def test_the_general_commands_adapt_it_to_the_corpus_too(tmp_path, capsys):
    """Four speakers and no genders: four folds, and the emotion alone."""
    mine = four_emotions(tmp_path, ("anger", "neutral", "sadness"))
    rows = [line.split(",") for line in mine.read_text().splitlines()[1:]]
    mine.write_text("file,speaker,emotion\n" + "".join(f"{f},{s},{e}\n" for f, s, _, e in rows))
    assert main(["jobs", str(RECIPES / "own.py"), f"--corpus-root={mine}", f"--out={tmp_path}"]) == 0
    jobs, notes = (text.splitlines() for text in capsys.readouterr())
    assert len(notes) == 1 and "does not name both genders" in notes[0]
    assert jobs == [f"open      unseen-speakers/fold-{fold:02d}-seed-0" for fold in range(4)]


@pytest.mark.parametrize(("speakers", "words"), [(2, "there are 2 speakers"), (4, "1 name none: ")])
def test_unseen_speakers_that_can_not_be_had(tmp_path, speakers, words):
    """The recipe says why it has no clean split, and refuses to take another for it."""
    mine = four_emotions(tmp_path, speakers=speakers)
    if speakers == 4:
        lines = mine.read_text().splitlines()
        fields = lines[1].split(",")
        mine.write_text("\n".join([lines[0], ",".join([fields[0], "", *fields[2:]]), *lines[2:]]))
    command = ["mt_a_dnn", "--corpus=manifest", f"--corpus-root={mine}", "--quiet"]
    done = script(*command, f"--out={tmp_path}", "--protocol=disjoint")
    assert done.returncode == 2 and words in done.stderr, done.stderr
    (line,) = done.stderr.splitlines()
    assert "--protocol disjoint is not possible: Unseen speakers need a speaker for each clip" in line


@pytest.mark.slow
def test_attention_over_statistics(tmp_path, capsys):
    """Two of the systems on windows of clips, under the paper's leaking split and on unseen speakers, side by side."""
    small = ["--epochs=1", "--folds=0", "--systems=mt-a-dnn,svm", "--seed=0", "--quiet"]
    given = ["--corpus=manifest", f"--corpus-root={four_emotions(tmp_path)}"]
    done = script("mt_a_dnn", f"--out={tmp_path}", *given, *small)
    assert done.returncode == 0, done.stderr
    header = next(line for line in done.stdout.splitlines() if line.startswith("system"))
    protocols = ["paper-random-windows", "random-clips", "leave-one-speaker-out"]
    assert header.split() == ["system", "paper", *protocols, "first", "-", "last"]
    (folder,) = tmp_path.glob("mt_a_dnn_manifest-systems-*")
    text = (folder / "systems.md").read_text()
    assert "LEAKING" in text and "mt-a-dnn - svm: emotion uar" in text and "| 52.03 |" in text
    names = {*(f"systems.{kind}" for kind in ("md", "html", "tex", "json", "png")), "systems-confusion.png"}
    assert {path.name for path in folder.iterdir()} == names
    (svm,) = tmp_path.glob("mt_a_dnn_manifest-svm-*/leave-one-speaker-out/*/model.skops")
    clip = next(tmp_path.glob("*.wav"))
    (run,) = tmp_path.glob("mt_a_dnn_manifest-mt-a-dnn-*/leave-one-speaker-out/fold-00-seed-0")
    for words in (["predict", svm.parent, clip], ["explain", run, clip]):
        assert main([str(word) for word in words]) == 0
        assert "emotion" in capsys.readouterr().out
    (report,) = tmp_path.glob("mt_a_dnn_manifest-mt-a-dnn-*/report.json")
    assert {result["task"] for result in json.loads(report.read_text())["results"]} == {
        "emotion",
        "activation",
        "valence",
    }


@pytest.mark.parametrize("recipe", ["aspmtl_noise", "aspmtl_ablation"])
def test_noises_that_are_not_there(recipe, tmp_path):
    ask = ["--unseen=engine"] if recipe == "aspmtl_noise" else [f"--noise-root={tmp_path}"]
    done = script(recipe, f"--out={tmp_path}", *ask)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert (
        "--unseen engine: there is no such noise" if recipe == "aspmtl_noise" else "no audio files under it"
    ) in line


@pytest.mark.slow
def test_afew(tmp_path):
    root = disk.write_afew(tmp_path / "afew", ".avi", train=4, val=2)
    ids = sorted({path.stem for path in root.rglob("*.avi")})
    rows = [f"{stem},{('female', 'male')[k % 2]}" for k, stem in enumerate(ids)]
    (tmp_path / "clips.csv").write_text("id,gender\n" + "\n".join(rows) + "\n")
    metadata = ("--corpus-root", str(root), "--metadata", str(tmp_path / "clips.csv"))
    report = run("aspmtl_afew", tmp_path / "out", *metadata, "--protocol=both")
    assert set(report["protocols"]) == {"paper-random-80-20", "official-train-val"}
    # nobody is named, so intervals are over clips and the report says it
    text = (next((tmp_path / "out").glob("*/report.md"))).read_text()
    assert "intervals are over clips" in text and "90.1" in text


SMALL_AAE = ["filters=2,2", "kernels=3,3", "pools=[[2, 2], [2, 2]]", "head_filters=2", "dense=4,3"]


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


def aae(recipe: str, out: Path, *arguments: str, sampling: int = 16) -> subprocess.CompletedProcess:
    """A recipe of the adversarial autoencoder with a small network, one epoch of one fold."""
    small = ["--quiet", "--epochs=1", "--seed=0", "--folds=0", *(f"--set=config.{pair}" for pair in SMALL_AAE)]
    small += [f"--set=sampling.frames={sampling}", f"--set=sampling.hop={sampling}", "--set=frontend.bins=16"]
    done = script(recipe, *small, "--set=monitor=", f"--out={out}", *arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iemocap", "msp_improv"])
def test_adversarial_autoencoder_on_twins(tmp_path, name):
    """The paper's figures of each protocol beside it (MSP-IMPROV: both protocols), and readers of another corpus who only train."""
    root = twin(name, tmp_path)
    readers = disk.write_librispeech(tmp_path / "readers", seed=7)
    given = [f"--corpus-root={root}", f"--corpus-root=librispeech={readers}"]
    asked = ["--systems=aae,cnn-single", "--protocol=disjoint"] if name == "iemocap" else ["--systems=aae"]
    done = aae(f"aae_{name}", tmp_path / "out", *given, "--aux-speakers=2", *asked)
    assert "underfit" in done.stdout, "one epoch"
    (experiment,) = (tmp_path / "out").glob(f"aae_{name}-aae-*")
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
    figures = {"iemocap": ["66.7"], "msp_improv": ["63.6", "60.3"]}[name]
    assert "leave-one-speaker-out (paper)" in text
    rows = text[text.index("## UAR (UA), %") :].splitlines()
    (row,) = [line for line in rows if line.startswith("| aae |")][:1]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1::2][: len(figures)] == figures
    (recipe,) = (tmp_path / "out").glob(f"aae_{name}-aae-*/recipe.json")
    streams = json.loads(recipe.read_text())["streams"]
    assert [(s["corpus"], s["share"], s["speakers"]) for s in streams] == [(None, 1.0, 0), ("librispeech", 1.0, 2)]
    if name == "iemocap":
        (alone,) = (tmp_path / "out").glob("aae_iemocap-cnn-single-*/recipe.json")
        assert len(json.loads(alone.read_text())["streams"]) == 1
        both, single = (
            json.loads(
                next((tmp_path / "out").glob(f"aae_iemocap-{system}-*/leave*/fold-00*/history.json")).read_text()
            )
            for system in ("aae", "cnn-single")
        )
        assert abs(both["steps"] - single["steps"]) <= 1, "the same number of steps, with or without auxiliary corpora"
    variant, printed = {"iemocap": ("clusters-3", "65.7"), "msp_improv": ("activation", "53.7")}[name]
    aae(
        f"aae_{name}",
        tmp_path / variant,
        given[0],
        "--systems=aae-gender",
        f"--variant={variant}",
        "--protocol=disjoint",
    )
    (text,) = (path.read_text() for path in (tmp_path / variant).glob("*/systems.md"))
    assert printed in text
    (fitted,) = (tmp_path / variant).glob("*/leave-one-speaker-out/fold-00-seed-0/recipe.json")
    centres = json.loads(fitted.read_text())["tasks"][0]["centres"]
    assert len(centres) == (3 if name == "iemocap" else 0) and centres == sorted(centres)


@pytest.mark.slow
def test_adversarial_autoencoder_across_corpora_after_pre_training(tmp_path):
    readers = disk.write_librispeech(tmp_path / "readers", seed=7)
    librispeech = f"--corpus-root=librispeech={readers}"
    aae("aae_pretrain", tmp_path / "before", "--corpus=demo", librispeech, "--aux-speakers=2")
    (run,) = (tmp_path / "before").glob("aae_pretrain-*")
    split = json.loads(next(run.glob("every-*/fold-00-*/split.json")).read_text())
    assert len({name.split("_")[0] for side in ("train", "validation", "test") for name in split[side]}) == 2
    roots = [f"--corpus-root={twin('msp_improv', tmp_path)}", f"--corpus-root=iemocap={twin('iemocap', tmp_path)}"]
    aae("aae_cross_corpus", tmp_path / "with", *roots, librispeech, "--systems=aae")
    aae("aae_cross_corpus", tmp_path / "out", *roots, "--systems=aae", f"--init-from={run}")
    (text,) = (path.read_text() for path in (tmp_path / "out").glob("*/systems.md"))
    assert "46.41" in text and "trained on iemocap" in text and "no training clips of" not in text
    (folder,) = (tmp_path / "out").glob("aae_cross_corpus-aae-*/cross-corpus/fold-00-seed-0")
    split, about = (json.loads((folder / name).read_text()) for name in ("split.json", "history.json"))
    assert split["train"] == [] and len(split["validation"]) == 10 and len(split["test"]) == 20
    assert {"emotion_uar", "speaker_uar"} <= set(about["training"]) and about["initial"]
    assert {name.split("/")[0] for name in about["anew"] if name.endswith("kernel")} == {
        *("emotion", "emotion_conv", "emotion_dense_1", "emotion_dense_2"),
        "speaker",
    }


def test_the_curve_of_labelled_shares_compares_runs_of_as_many_steps():
    """Ten speakers of EmoDB, nine of which train: a tenth is one speaker, with ninefold epochs where nobody else trains."""
    recipes = load_recipes(str(RECIPES / "aae_emodb.py"))[0]
    epochs = {name: recipe.epochs for name, recipe in recipes.items() if name.startswith("shares-")}
    assert epochs == {f"shares-aae-{share}": 25 for share in (10, 25, 50, 100)} | {
        "shares-aae-10-alone": 225,
        "shares-aae-25-alone": 75,
        "shares-aae-50-alone": 45,
    }


def test_levels_without_pretrained_parts_have_a_rate_at_which_they_learn():
    sys.path.insert(0, str(RECIPES))
    try:
        module = importlib.import_module("multilevel_iemocap")
    finally:
        sys.path.remove(str(RECIPES))
    for given, rate in (({}, 3e-4), ({"wav2vec2": "random"}, 3e-4), ({"alexnet": "a.safetensors"}, 1e-5)):
        made = module.variants({"wav2vec2": "", "alexnet": "", **given})["iemocap"]
        assert {recipe.optimizer.learning_rate for name, recipe in made.items() if name != "w2e"} == {rate}


def test_no_auxiliary_speakers_is_a_point_of_figure_4(tmp_path):
    """0 speakers: the corpus that the other points draw from is not read at all."""
    readers = disk.write_librispeech(tmp_path / "readers", seed=7)
    given = [f"--corpus-root={twin('iemocap', tmp_path)}", f"--corpus-root=librispeech={readers}", "--variant=speakers"]
    sys.path.insert(0, str(RECIPES))
    try:
        with_auxiliary, recipes = (
            importlib.import_module("aae").with_auxiliary,
            load_recipes(str(RECIPES / "aae_iemocap.py"))[0],
        )
    finally:
        sys.path.remove(str(RECIPES))
    options = SimpleNamespace(variant="speakers", aux_speakers=0, corpus_roots={"librispeech": "x"})
    counted = {
        n: [s.speakers for s in with_auxiliary(recipes[f"speakers-aae-speakers-{n}"], options).streams]
        for n in (0, 100)
    }
    assert counted == {0: [0], 100: [0, 100]}
    done = script("aae_iemocap", *given, "--aux-speakers=3", f"--out={tmp_path / 'out'}")
    assert done.returncode == 2 and "sets the number of auxiliary speakers itself" in done.stderr


def test_a_sweep_has_a_curve_for_each_kind():
    sys.path.insert(0, str(RECIPES))
    try:
        swept = importlib.import_module("aae").swept
    finally:
        sys.path.remove(str(RECIPES))
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
    (folder,) = (tmp_path / "out").glob("multilevel_iemocap-mf-mtl-cr-????????/leave-one-speaker-out/fold-01-*")
    check_known_gender(Run.load(folder), pd.read_csv(folder / "predictions_known_gender.csv"), root)
    (split,) = (tmp_path / "out").glob("multilevel_iemocap-ser-*/leave-one-speaker-out/fold-01-*/split.json")
    sides = json.loads(split.read_text())
    assert {name[:5] + name[-4] for name in sides["test"]} == {"Ses01M"}
    assert {name[:5] + name[-4] for name in sides["validation"]} == {"Ses01F"}, "not Ses02F, the next"
    text = multilevel(root, tmp_path / "leaky", "--variant=leaky", "--systems=ser", "--protocol=both")
    assert "leave-one-speaker-out-leaky" in text and "so its scores are too high and invalid" in text


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
    names = ["bilstm", "alexnet", "mfcc-nlinear", "spectrogram-dlinear"]
    given = ["--variant=levels", f"--systems={','.join(names)}", f"--alexnet={file}"]
    text = multilevel(root, tmp_path / "out", *given, "--set=optimizer.learning_rate=1e-12")
    assert "random weights" not in text and all(f"| {name} |" in text for name in names)
    (run,) = (tmp_path / "out").glob("multilevel_iemocap-alexnet-*/leave-one-speaker-out/fold-01-*")
    weights = inner_network(Run.load(run).model()).get_layer("alexnet_0").get_weights()
    np.testing.assert_allclose(weights[0], arrays["features.0.weight"].transpose(2, 3, 1, 0), atol=1e-6)
    done = script("multilevel_emodb", f"--corpus-root={root}", f"--alexnet={root}")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "expected a whole safetensors file" in line


@pytest.mark.slow
def test_avec(tmp_path):
    names = [f"{side}_{k}" for side in ("train", "dev") for k in range(1, 5)]
    root = disk.write_avec2016(tmp_path / "avec", names, seconds=12.0)
    report = run("aspmtl_avec", tmp_path / "out", "--corpus-root", str(root))
    assert {result["task"] for result in report["results"]} == {"arousal", "valence"}


@pytest.mark.slow
def test_a_real_corpus(tmp_path, shared_data):
    root = ("--corpus-root", str(shared_data / "emodb"))
    report = run("aspmtl_emodb", tmp_path / "out", *root, "--variant=single-task", "--protocol=disjoint", "--folds=0")
    assert report["results"][0]["task"] == "emotion"


@pytest.mark.slow
def test_the_map_of_the_weights_on_the_demo_corpus(tmp_path):
    """The page's own space and seeds; what is asked for takes their place."""
    few = ["--trials=1", "--confirm=2", "--method=random", "--jobs=2"]
    done = script("aspmtl_tune", f"--out={tmp_path}", *TINY, *few)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("aspmtl_tune_demo-aspmtl-*-search-*")
    about = json.loads((folder / "search.json").read_text())
    assert about["space"] == [f"config.{weight}=0.03:3:log" for weight in ("alpha", "beta", "gamma", "mu")]
    assert (folder / "parallel.png").stat().st_size and len(list(folder.glob("runs/*/*/*/model.keras"))) in (4, 6)
    text = (folder / "tuning.md").read_text()
    assert "Over 2 further seeds" in text or "No setting scores better than the unchanged recipe." in text
