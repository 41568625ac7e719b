"""An experiment of quick runs: what is skipped, what is refused, what the report says of its folds."""

import dataclasses
import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

import keras_ser
from keras_ser import files
from keras_ser.cli import main
from keras_ser.corpora import demo
from keras_ser.errors import DiskError, DivergenceError, UserError
from keras_ser.evaluation import read_predictions
from keras_ser.experiment import failures, run_experiment, runner
from keras_ser.experiment.changes import changed_clips
from keras_ser.experiment.final import train_final
from keras_ser.experiment.planning import jobs
from keras_ser.experiment.reporting import summarise
from keras_ser.experiment.rescoring import cache_folder, data_of, decode_in_cache, evaluate, runs_of
from keras_ser.models import svm
from keras_ser.pipelines.augmentation import Windows
from keras_ser.pipelines.records import cache
from keras_ser.pipelines.windows import cut_windows
from keras_ser.recipe import FrontendConfig, Recipe, Sampling, Stream
from keras_ser.splits import LeakageError, Protocol
from keras_ser.tasks import Task
from keras_ser.training import Data, RunError
from tests import disk
from tests.training import tiny

LEAKING = Protocol("random", test=0.3, validation=0.1, together=False)
SPEAKERS = Protocol("speakers", "leave-one-out", by="speaker", validation=1)
RECIPE = Recipe(
    name="quick",
    corpus="demo",
    tasks=(Task("emotion", ("anger", "neutral", "sadness")),),
    protocols=(LEAKING, SPEAKERS),
    model="svm",
    config=svm.Config(C=(1.0,)),
    frontend=FrontendConfig(features=("energy",), endpoint=False, statistics=True),
    sampling=Sampling("whole"),
    seeds=(0,),
    windows=Windows(hop_seconds=0.2),
)


def few_sad(root):
    """Four speakers; only the first of them is ever sad."""
    made = demo.read(root, speakers=4, sentences=1, emotions=RECIPE.tasks[0].labels)
    first = made.utterances[0].speaker
    kept = [u for u in made if u.speaker == first or u.labels["emotion"] != "sadness"]
    return dataclasses.replace(made, utterances=tuple(kept), expected={})


def decoded(clips, cache):
    return Data.load(RECIPE, cut_windows(clips, RECIPE.windows, RECIPE.tasks[0]), cache, progress=False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return few_sad(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def data(clips, tmp_path_factory):
    return decoded(clips, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "quick"
    run_experiment(RECIPE, data, folder)
    return folder


def test_figures_of_another_split_are_not_taken_for_this_one_s(data, folder):
    """The split's settings are no part of the folder's name: a leaking split's scores must not pass for a clean one's."""
    asked = []
    run_experiment(RECIPE, data, folder, on_job=lambda *job: asked.append(job))
    assert not asked, "what is finished is not trained again"
    clean = RECIPE.replace(protocols=(dataclasses.replace(LEAKING, together=True), SPEAKERS))
    with pytest.raises(RunError, match=r"holds another run \(other split\)"):
        run_experiment(clean, data, folder)


def test_evaluate_reads_what_training_has_decoded(data, folder, tmp_path):
    """Wherever --cache was; without that folder, the usual one."""
    assert cache_folder(folder) == cache_folder(next(folder.glob("*/fold-*"))) == data.cache.path.parent
    moved = tmp_path / "quick"
    shutil.copytree(folder, moved)
    about = json.loads((moved / "experiment.json").read_text())
    (moved / "experiment.json").write_text(json.dumps(about | {"cache": str(tmp_path / "gone")}))
    assert cache_folder(moved) == files.waveform_cache(tmp_path)


def test_what_cannot_be_written_is_evaluated_into_another_folder(data, folder, tmp_path, monkeypatch):
    """As a colleague's; and clips that its cache lacks are decoded into one's own."""
    monkeypatch.setenv("KERAS_SER_CACHE", str(tmp_path / "own"))
    monkeypatch.setattr(Recipe, "read", lambda recipe, *_, **__: (recipe, data.corpus))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for number, path in enumerate((folder, folder / "speakers" / "fold-01-seed-0")):
        with disk.read_only(folder, data.cache.path.parent):
            made, where = evaluate(path, out=tmp_path / str(number))
            with pytest.raises(DiskError, match="cannot write .*, permission denied.*name another folder"):
                evaluate(path)
        assert where == tmp_path / str(number) and (where / "report.md").exists() and len(made.predictions)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert not (tmp_path / "own").exists()
    fewer = dataclasses.replace(data.corpus, utterances=data.corpus.utterances[:3])
    with disk.read_only(folder, data.cache.path.parent):
        found = decode_in_cache(folder, lambda where: cache(fewer, where))
    assert found.path.parent == tmp_path / "own" / "waveforms"


def test_a_run_scored_again_is_as_doubtful_as_in_its_experiment(clips, tmp_path, monkeypatch):
    chosen = Protocol("leaky", "leave-one-out", by="speaker", validation=0, chosen_on_test=True)
    recipe = RECIPE.replace(protocols=(chosen, LEAKING), config=svm.Config(C=(0.1, 10.0)))
    data = decoded(clips, tmp_path / "cache")
    made = run_experiment(recipe, data, tmp_path / "out", folds=[0])
    monkeypatch.setattr(Recipe, "read", lambda recipe, *_, **__: (recipe, data.corpus))
    for name, words in (
        ("leaky", "the test set chose the setting, not to be believed"),
        ("random", "test speakers are in the training set"),
    ):
        again, _ = evaluate(tmp_path / "out" / name / "fold-00-seed-0", out=tmp_path / "again")
        assert all(words in report.lines()[-1] for report in (made, again))
        assert name == "leaky" or "LEAKING: copies and segments" in again.to_markdown()
    stated = json.loads((tmp_path / "out" / "leaky" / "fold-00-seed-0" / "recipe.json").read_text())
    (tmp_path / "out" / "leaky" / "fold-00-seed-0" / "recipe.json").write_text(
        json.dumps(stated | {"protocols": stated["protocols"][1:]})
    )
    again, _ = evaluate(tmp_path / "out" / "leaky" / "fold-00-seed-0", out=tmp_path / "again")
    assert "the test set chose the setting" in again.lines()[-1]


def test_an_experiment_can_go_on_with_more(data, folder, tmp_path, monkeypatch):
    """What a folder holds stays in its report, whatever is asked for next."""
    part = tmp_path / "quick"
    shutil.copytree(folder, part)
    whole = read_predictions(part / "predictions.csv")
    shutil.rmtree(part / "speakers" / "fold-03-seed-0")
    one = RECIPE.replace(protocols=(SPEAKERS,), seeds=(1,))
    run_experiment(one, data, part, folds=[2])
    found = read_predictions(part / "predictions.csv")
    runs = set(zip(found["protocol"], found["fold"], found["seed"], strict=True))
    assert runs == {("random", 0, 0), *(("speakers", fold, 0) for fold in range(3)), ("speakers", 2, 1)}
    kept = found[found["seed"] == 0]
    assert len(kept) == len(whole[(whole["protocol"] != "speakers") | (whole["fold"] != 3)])
    stored = Recipe.from_json((part / "recipe.json").read_text())
    assert (stored.protocols, stored.seeds) == (RECIPE.protocols, (0, 1)) and stored.hash == RECIPE.hash
    text = (part / "report.md").read_text()
    first = text.split("## Protocol")[0]
    assert "5 of 10 runs are unfinished and excluded from all results: speakers/fold-03-seed-0, random/fold-00" in first
    monkeypatch.setattr(Recipe, "read", lambda recipe, *_, **__: (recipe, data.corpus))
    made, _ = evaluate(part, out=tmp_path / "again")
    assert len(made.predictions) == len(found)


def test_a_leak_in_the_last_fold_is_told_before_the_first(clips, tmp_path):
    """Two speakers share a recording: the fold that parts them comes late."""
    data = decoded(clips, tmp_path / "cache")
    last = max(u.speaker for u in data.corpus)
    groups = {"origin": next(u.groups["origin"] for u in data.corpus if u.speaker != last)}
    shared = [dataclasses.replace(u, groups=groups) if u.speaker == last else u for u in data.corpus]
    leaky = dataclasses.replace(data, corpus=dataclasses.replace(data.corpus, utterances=tuple(shared)))
    with pytest.raises(LeakageError, match="origin must be on one side only"):
        run_experiment(RECIPE, leaky, tmp_path / "out", on_job=lambda *_: pytest.fail("trained"))
    assert not (tmp_path / "out").exists()


def test_another_corpus_is_not_evaluated_as_this_one(data, folder, tmp_path, monkeypatch):
    """Labels that were changed since would give wrong figures without a word."""
    changed = [dataclasses.replace(u, labels={"emotion": "anger"}) for u in data.corpus]
    other = dataclasses.replace(data.corpus, utterances=tuple(changed))
    monkeypatch.setattr(Recipe, "read", lambda recipe, *_, **__: (recipe, other))
    for path in (folder, folder / "speakers" / "fold-01-seed-0"):
        with pytest.raises(RunError, match="is not the corpus of .* labels, speakers or groups differ"):
            evaluate(path, out=tmp_path)
    # of an experiment whose streams read other corpora, too
    several = SimpleNamespace(
        first=None,
        streams=[Stream("own"), Stream("further", corpus="slr45")],
        read=RECIPE.read,
        frontend=RECIPE.frontend,
    )
    monkeypatch.setattr("keras_ser.experiment.rescoring._owner", lambda path: (folder, several))
    with pytest.raises(RunError, match="is not the corpus of .* labels, speakers or groups differ"):
        data_of(folder)


def test_further_noise_files_change_no_experiment_and_changed_ones_are_named(corpus, noise_root, tmp_path, monkeypatch):
    noises = shutil.copytree(noise_root, tmp_path / "noises")
    noisy = dataclasses.replace(tiny.NOISY, noises=("white", "rumble"))
    recipe = tiny.SINGLE.replace(streams=(tiny.CLEAN, noisy))
    data = Data.load(recipe, corpus, tmp_path / "cache", noise_root=noises)
    monkeypatch.setattr(Recipe, "read", lambda recipe, *_, **__: (recipe, corpus))
    claimed = tmp_path / "out"
    runner._claim(claimed, recipe, data, {}, [])
    shutil.copy(noises / "white.flac", noises / "further.flac")
    assert data_of(claimed).digest == data.digest
    runner._claim(claimed, recipe, dataclasses.replace(data), {}, [])
    shutil.copy(noises / "white.flac", noises / "rumble2.flac")
    with pytest.raises(
        RunError, match="the noises of .* changed: .* files rumble1, rumble2, white of .*noises. Restore"
    ):
        data_of(claimed)
    # a run alone does not know its noises, those of a cascade's model 1 included
    for number, each in enumerate((recipe, tiny.SINGLE.replace(first=tiny.FIRST), tiny.SINGLE)):
        alone = tmp_path / str(number)
        alone.mkdir()
        monkeypatch.setattr("keras_ser.experiment.rescoring._owner", lambda path, each=each: (None, each))
        (alone / "run.json").write_text(json.dumps({"data": "0" * 40}))
        with pytest.raises(RunError, match="is not the corpus of") if each is tiny.SINGLE else nullcontext():
            data_of(alone, corpus.root)


def test_what_has_changed_in_a_corpus_is_named(data, folder):
    first, *rest = data.corpus.utterances
    tested = next(u for u in rest if u.labels["emotion"] != "anger" and u.speaker != first.speaker)
    kept = [dataclasses.replace(u, labels={"emotion": "anger"}) if u is tested else u for u in rest]
    other = dataclasses.replace(data.corpus, utterances=(*kept, dataclasses.replace(first, id="0new")))
    said = changed_clips(folder, RECIPE, other)
    assert (
        f"Since then: clips with another emotion: 1 ({tested.id}); clips that are no longer there: 1 ({first.id})"
        in said
    )
    assert said.endswith("clips in none of its runs: 1 (0new).")
    for train in (run_experiment, train_final):
        with pytest.raises(
            RunError, match="holds another experiment .other data.*Since then: clips with another emotion: 1"
        ):
            train(RECIPE, dataclasses.replace(data, corpus=other), folder)
    assert not changed_clips(folder, RECIPE, data.corpus)


def test_only_folds_that_there_are(data, folder):
    assert [(job.protocol.name, job.split.fold) for job in jobs(RECIPE, data, [0, 3])] == [
        ("random", 0),
        ("speakers", 0),
        ("speakers", 3),
    ]
    with pytest.raises(ValueError, match=r"there is no fold 9\. There are, random: 0 to 0; speakers: 0 to 3"):
        run_experiment(RECIPE, data, folder, folds=[1, 9])


def test_the_report_says_what_was_never_taught_and_what_a_row_is(data, folder):
    text = (folder / "report.md").read_text()
    assert "speakers, fold 0: no training clips of sadness." in text and "fold 1: nothing" not in text
    recordings = len({u.groups["origin"] for u in data.corpus})
    assert recordings < len(data.corpus)
    assert f"{len(data.corpus)} windows of {recordings} recordings" in text
    assert "LEAKING" in text and "of the windows" in text and "not calibrated" in text


def test_the_runs_of_an_experiment_are_those_of_its_most_valid_protocol(folder):
    assert {run.split.protocol for run in runs_of(folder)} == {"speakers"}


def test_accuracy_beside_a_prior_is_that_of_the_kept_epoch(data, folder, tmp_path):
    """Of an output other than a task, such as an adversary: its history has a second, later epoch."""
    part = shutil.copytree(folder, tmp_path / "quick")
    for path in part.glob("*/fold-*/history.json"):
        about = json.loads(path.read_text())
        epochs = [about["epochs"][0] | {"epoch": k, "adversary_accuracy": x} for k, x in ((1, 0.5), (2, 0.75))]
        path.write_text(json.dumps(about | {"best_epoch": 1, "epochs": epochs, "priors": {"adversary": 0.25}}))
    summarise(RECIPE, data, part)
    told = (part / "report.md").read_text().split("## adversary")[1].split("##")[0]
    assert "| random | 50 | 25 |" in told and "| speakers | 50 | 25 |" in told


def runs_in(table) -> set:
    return set(zip(table["protocol"], table["fold"], table["seed"], strict=True))


def failing(monkeypatch, *errors):
    """`fit` fails in fold 1, 2, .. of the protocol "speakers" with these errors; returns the folds it was called for."""
    plain, called = runner.fit, []

    def fit(recipe, data, split, out, seed=0, **options):
        called.append((split.protocol, split.fold, seed))
        if split.protocol == "speakers" and 1 <= split.fold <= len(errors):
            (Path(out) / "state.npz").parent.mkdir(parents=True, exist_ok=True)
            raise errors[split.fold - 1]
        return plain(recipe, data, split, out, seed, **options)

    monkeypatch.setattr(runner, "fit", fit)
    return called


DIVERGED = DivergenceError("quick, protocol 'speakers', fold 1, seed 0: the loss is nan in epoch 3.")


@pytest.mark.slow
def test_a_failed_job_does_not_end_the_experiment(data, tmp_path, monkeypatch):
    failures = []
    with monkeypatch.context() as patch:
        failing(patch, DIVERGED, MemoryError("cannot allocate 9 GiB"))
        made = run_experiment(RECIPE, data, tmp_path / "quick", on_failure=lambda *told: failures.append(told))
    assert runs_in(made.predictions) == {("random", 0, 0), ("speakers", 0, 0), ("speakers", 3, 0)}
    assert [(job.split.fold, reason) for job, reason in failures] == [
        (1, str(DIVERGED)),
        (2, "out of memory (cannot allocate 9 GiB). Lower batch_size, or close other programs."),
    ]
    expected = [
        "2 of 5 runs failed and are excluded from all results. The same command tries them again.",
        f"Failed: speakers, fold 1, seed 0: {DIVERGED}",
        f"Failed: speakers, fold 2, seed 0: {failures[1][1]}",
    ]
    assert list(made.missing) == expected
    assert made.lines()[-1].startswith(f"Caution: {expected[0]} random: test speakers are in the training set; ")
    markdown = (tmp_path / "quick" / "report.md").read_text().split("\n\n")
    assert markdown[1].splitlines() == [f"- {line}" for line in expected] + markdown[1].splitlines()[3:]
    assert json.loads((tmp_path / "quick" / "report.json").read_text())["missing"] == expected
    note = json.loads((tmp_path / "quick/speakers/fold-01-seed-0/failed.json").read_text())
    assert note == {"protocol": "speakers", "fold": 1, "seed": 0, "reason": str(DIVERGED)}
    # the next call tries them again, and these alone
    called = failing(monkeypatch)
    again = run_experiment(RECIPE, data, tmp_path / "quick")
    assert called == [("speakers", 1, 0), ("speakers", 2, 0)]
    assert len(runs_in(again.predictions)) == 5 and not again.missing
    assert not list((tmp_path / "quick").rglob("failed.json"))


@pytest.mark.slow
def test_a_mistake_in_the_settings_ends_the_experiment_at_its_first_job(data, tmp_path, monkeypatch):
    """Where another job has finished, it is no mistake of all."""
    called = failing(monkeypatch, UserError("expected another setting."), UserError("expected another setting."))
    with pytest.raises(UserError, match="^expected another setting.$"):
        run_experiment(RECIPE, data, tmp_path / "quick", folds=[1, 2])
    assert called == [("speakers", 1, 0)] and not list((tmp_path / "quick").rglob("failed.json"))
    made = run_experiment(RECIPE, data, tmp_path / "quick")
    assert (
        len(runs_in(made.predictions)) == 3 and "Failed: speakers, fold 2, seed 0: expected another" in made.missing[2]
    )


@pytest.mark.slow
def test_what_concerns_more_than_one_job_ends_the_experiment(data, tmp_path, monkeypatch):
    called = failing(monkeypatch, OSError(28, "No space left"))
    with pytest.raises(DiskError):
        run_experiment(RECIPE, data, tmp_path / "quick")
    assert called[-1] == ("speakers", 1, 0)
    kept = read_predictions(tmp_path / "quick/speakers/fold-00-seed-0/predictions.csv")
    assert len(kept) and not list((tmp_path / "quick").rglob("failed.json"))


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), RuntimeError("ours"), DiskError("full")])
def test_what_concerns_more_than_one_job_is_no_failure_of_the_job(fault, tmp_path):
    def work():
        raise fault

    with pytest.raises(type(fault)):
        failures.attempt(work, None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_failed_job_is_exit_code_1_and_all_failed_exit_code_2(clips, tmp_path, monkeypatch, capsys):
    read = lambda recipe, *_, **__: (recipe, cut_windows(clips, RECIPE.windows, RECIPE.tasks[0]))  # noqa: E731
    monkeypatch.setattr(Recipe, "read", read)
    (tmp_path / "recipe.json").write_text(RECIPE.to_json())
    command = [
        "train",
        str(tmp_path / "recipe.json"),
        "--out",
        str(tmp_path / "out"),
        "--protocol",
        "speakers",
        "--quiet",
    ]
    failing(monkeypatch, DIVERGED)
    assert main([*command, "--folds", "1"]) == 2
    failed, error = capsys.readouterr().err.splitlines()
    assert error.startswith("keras-ser: error: no run in ") and error.endswith(str(DIVERGED))
    assert main([*command, "--folds", "0,1"]) == 1
    said = capsys.readouterr()
    assert said.err == failed + "\n" == f"quick: speakers, fold 1, seed 0 failed: {DIVERGED}\n"
    assert "Caution: 1 of " in said.out and "report: " in said.out
    assert main([*command, "--folds", "0"]) == 0, "what was asked for is there"


QUESTIONS = {
    "random": (RECIPE.replace(protocols=(LEAKING,), seeds=(0, 1)), None),
    "speakers": (RECIPE.replace(protocols=(SPEAKERS,), seeds=(0, 3)), [2]),
}
ASK = """
import json, sys
from pathlib import Path
from tests.experiment.test_runner import *
question, corpus, cache, out = sys.argv[1:]
recipe, folds = QUESTIONS[question]
data = decoded(few_sad(Path(corpus)), Path(cache))
print("ready", flush=True)
sys.stdin.readline()
made = run_experiment(recipe, data, out, folds=folds)
print(json.dumps(sorted(map(str, runs_in(made.predictions)))))
print("\\n".join(made.lines()))
"""


@pytest.mark.slow
def test_two_processes_with_different_questions_on_one_experiment(clips, data, tmp_path):
    """Both finish, each with the runs it asked for; the folder's report holds both, and no protocol or seed is lost."""
    expected = {
        "random": {("random", 0, 0), ("random", 0, 1)},
        "speakers": {("speakers", 2, 0), ("speakers", 2, 3)},
    }
    places = [str(clips.root.parent), str(data.cache.path.parent), str(tmp_path / "quick")]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    root = Path(keras_ser.__file__).parents[1]
    processes = {
        question: subprocess.Popen([sys.executable, "-c", ASK, question, *places], text=True, cwd=root, **pipes)
        for question in QUESTIONS
    }
    try:
        for process in processes.values():
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in processes.values():
            process.stdin.write("go\n")
            process.stdin.flush()
        said = {question: process.communicate(timeout=300) for question, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    for question, (out, err) in said.items():
        assert processes[question].returncode == 0, err
        assert {str(run) for run in expected[question]} <= set(json.loads(out.splitlines()[0]))
        assert f"emotion  {question}" in out
    whole = runs_in(read_predictions(tmp_path / "quick" / "predictions.csv"))
    assert whole == expected["random"] | expected["speakers"]
    stored = Recipe.from_json((tmp_path / "quick" / "recipe.json").read_text())
    assert [p.name for p in stored.protocols] == ["random", "speakers"] and stored.seeds == (0, 1, 3)
    text = (tmp_path / "quick" / "report.md").read_text()
    assert "## Protocol: random" in text and "## Protocol: speakers" in text


def cut(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        (
            "speakers/fold-02-seed-0/predictions.csv",
            cut,
            "test clips are missing, .* Remove it and run the recipe again",
        ),
        ("speakers/fold-02-seed-0/predictions.csv", lambda path: path.write_bytes(b""), "Remove it and run"),
        (
            "speakers/fold-02-seed-0/history.json",
            lambda path: path.write_text("{"),
            "Remove .*seed-0 and run the recipe again",
        ),
        ("recipe.json", lambda path: path.write_text("[]"), "Remove it and run the recipe again, which rewrites it"),
    ],
)
def test_damaged_files_of_an_experiment_are_named_before_any_training(
    name, damage, words, data, folder, tmp_path, monkeypatch
):
    part = tmp_path / "quick"
    shutil.copytree(folder, part)
    shutil.rmtree(part / "speakers" / "fold-03-seed-0")
    damage(part / name)
    with pytest.raises(RunError, match=rf"^{part / name} is damaged: .*{words}") as caught:
        run_experiment(RECIPE, data, part, on_job=lambda *_: pytest.fail("trained"))
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(Recipe, "read", lambda recipe, *_, **__: (recipe, data.corpus))
    with pytest.raises(RunError, match=rf"^{part / name} is damaged"):
        evaluate(part, out=tmp_path / "again")
    if damage is cut:  # and the way out leads out
        (part / name).unlink()
        assert len(runs_in(run_experiment(RECIPE, data, part).predictions)) == 5


@pytest.mark.parametrize("writes", [0, 1])
def test_a_kill_while_the_folder_is_claimed_does_not_block_the_next_call(writes, data, tmp_path):
    """Wherever the first call was cut off, the next one takes the folder."""
    with disk.killed_after(writes):
        run_experiment(RECIPE, data, tmp_path / "quick")
    with pytest.raises(disk.Killed):
        run_experiment(RECIPE, data, tmp_path / "quick", on_job=lambda *_: (_ for _ in ()).throw(disk.Killed))
    names = {path.name for path in (tmp_path / "quick").iterdir() if not path.name.startswith(".")}
    assert {"experiment.json", "recipe.json"} <= names
