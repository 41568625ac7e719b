"""Recipes of ASP-MTL, from the command line to the report."""

import json

import pandas as pd
import pytest

from keras_ser.cli.recipes import load_recipes
from tests import corpora_on_disk as disk
from tests.recipes.common import ONE_SENTENCE, RECIPES, TINY, four_emotions, run, script


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


@pytest.mark.slow
def test_noise_tables_on_the_demo_corpus(tmp_path):
    """Tables 5 to 8 as a newcomer asks for them: no corpus, no noise files, one fold."""
    few = ["--folds=0", "--epochs=1", "--clips=2", "--unseen=brown", "--quiet", "--set=config.units=4", ONE_SENTENCE]
    done = script("aspmtl_noise", f"--out={tmp_path}", *few)
    assert done.returncode == 0, done.stderr
    assert "brown (unseen)" in done.stdout and "Without --noise-root there is no factory" not in done.stdout
    (written,) = tmp_path.glob("*/denoising.md")
    text = written.read_text()
    assert (
        "The babble is generated" in text and "Without --noise-root there is no factory" in text and "| 18.01 |" in text
    )
    assert {path.name for path in written.parent.glob("*.png")} >= {"snr_out.png", "si_sdr.png"}


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
    report = run("aspmtl_afew", tmp_path / "out", *metadata, "--variant=aspmtl", "--protocol=both")
    assert set(report["protocols"]) == {"paper-random-80-20", "official-train-val"}
    # nobody is named, so intervals are over clips and the report says it
    text = (next((tmp_path / "out").glob("*/report.md"))).read_text()
    assert "intervals are over clips" in text


@pytest.mark.slow
def test_avec(tmp_path):
    names = [f"{side}_{k}" for side in ("train", "dev") for k in range(1, 5)]
    root = disk.write_avec2016(tmp_path / "avec", names, seconds=12.0)
    report = run("aspmtl_avec", tmp_path / "out", "--corpus-root", str(root), "--protocol=disjoint")
    assert {result["task"] for result in report["results"]} == {"arousal", "valence"}


@pytest.mark.slow
def test_a_real_corpus(tmp_path, shared_data):
    root = ("--corpus-root", str(shared_data / "emodb"))
    report = run("aspmtl_emodb", tmp_path / "out", *root, "--variant=single-task", "--protocol=disjoint", "--folds=0")
    assert report["results"][0]["task"] == "emotion"


@pytest.mark.slow
def test_the_map_of_the_weights_on_the_demo_corpus(tmp_path):
    """The page's own space and seeds; what is asked for takes their place."""
    few = ["--trials=1", "--confirm=2", "--method=random", "--jobs=1", ONE_SENTENCE]
    done = script("aspmtl_tune", f"--out={tmp_path}", *TINY, *few)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("aspmtl_tune_demo-aspmtl-*-search-*")
    about = json.loads((folder / "search.json").read_text())
    assert about["space"] == [f"config.{weight}=0.03:3:log" for weight in ("alpha", "beta", "gamma", "mu")]
    assert (folder / "parallel.png").stat().st_size and len(list(folder.glob("runs/*/*/*/model.keras"))) in (4, 6)
    text = (folder / "tuning.md").read_text()
    assert "Over 2 further seeds" in text or "No setting scores better than the unchanged recipe." in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "protocol", "systems"),
    [("afew", "official-train-val", ["aae"]), ("avec", "speaker-folds", ["aae", "dnn-mtl"])],
)
def test_the_networks_that_the_paper_compares_itself_with(tmp_path, variant, protocol, systems):
    """Figures 6 and 7: accuracy and F1 of each, on the corpora of the paper."""
    if variant == "afew":
        root = disk.write_afew(tmp_path / "afew", ".wav", train=4, val=2)
        stems = sorted({path.stem for path in root.rglob("*.wav")})
        rows = [f"{stem},{('female', 'male')[k % 2]}" for k, stem in enumerate(stems)]
        (tmp_path / "clips.csv").write_text("id,gender\n" + "\n".join(rows) + "\n")
        given = [f"--corpus-root={root}", f"--metadata={tmp_path / 'clips.csv'}"]
    else:
        seven = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
        given = [f"--corpus-root={four_emotions(tmp_path, seven, speakers=9)}", "--set=config.units=3"]
    small = ["--set=config.head_filters=2", "--epochs=1", "--seed=0", "--folds=0", "--quiet", "--protocol=disjoint"]
    asked = [f"--variant={variant}", f"--systems={','.join(systems)}", f"--out={tmp_path / 'out'}"]
    done = script("aspmtl_compare", *asked, *given, *small)
    assert done.returncode == 0, done.stderr
    (text,) = (path.read_text() for path in (tmp_path / "out").glob("*-systems-*/systems.md"))
    assert protocol in text and all(f"| {system} |" in text for system in systems)
    assert text.index("## accuracy (WA), %") < text.index("## weighted F1, %") < text.index("## UAR")
    (made,) = (tmp_path / "out").glob(f"aspmtl_compare_{variant}-aae-*/recipe.json")
    tasks = [task["name"] for task in json.loads(made.read_text())["tasks"]]
    assert tasks == ["emotion", "gender", "speaker"][: 2 if variant == "afew" else 3]
