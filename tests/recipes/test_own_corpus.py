"""MT-A-DNN and `own.py` on a corpus of one's own."""

import json
import re

import pytest

from keras_ser.cli import main
from tests.recipes.common import RECIPES, four_emotions, imported, script


@pytest.mark.parametrize("emotions", [("anger", "neutral", "sadness"), ("anger",)])
def test_classes_that_a_corpus_of_ones_own_lacks_are_named(tmp_path, emotions):
    command = ["mt_a_dnn", "--quiet", "--systems=svm", "--corpus=manifest", f"--out={tmp_path}"]
    done = script(*command, f"--corpus-root={four_emotions(tmp_path, emotions)}")
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
    text = table.read_text()
    assert "conv - svm: " in text and "does not name both genders" in text
    links = dict(re.findall(r"\[(conv|svm)\]\(([^)]+)\)", text))
    assert len(links) == 2 and all((table.parent / link).is_file() for link in links.values())
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
    assert "does not name both genders" in notes[0]
    assert len(notes) == 2 and notes[1].startswith("runs of own-conv; --variant lists those of another: conv, ")
    assert jobs == [f"open      unseen-speakers/fold-{fold:02d}-seed-0" for fold in range(4)]


def test_the_baseline_has_the_training_side_of_the_network_beside_it():
    """A network that chooses its epoch on a speaker does not train on this one, and neither does the baseline."""
    for variant, (network, baseline) in ((n, made.values()) for n, made in imported("own").VARIANTS.items()):
        assert baseline.model == "svm" and baseline.protocols == network.protocols, variant
    conv, cascade = (imported("own").VARIANTS[name]["svm"] for name in ("conv", "cascade"))
    assert [p.validation for p in (*conv.protocols, *cascade.protocols)] == [0, 1] and conv.name != cascade.name


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
    assert header.split() == ["system", protocols[0], "(paper)", *protocols, protocols[0], "minus", protocols[-1]]
    (folder,) = tmp_path.glob("mt_a_dnn_manifest-systems-*")
    text = (folder / "systems.md").read_text()
    for words in ("LEAKING", "Windows in total: anger", "mt-a-dnn - svm: emotion uar", "| 52.03 |"):
        assert words in text
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
