import json
import sys

import numpy as np
import pandas as pd
import pytest

import keras_ser.tuning.runs as runs
import keras_ser.tuning.tuner as module
from keras_ser.errors import DivergenceError
from keras_ser.recipe import OptimizerConfig, Recipe
from keras_ser.training import RunError
from keras_ser.tuning import parse
from keras_ser.tuning.proposals import Proposals
from keras_ser.tuning.trial import Trial
from tests.training import tiny

BETA, UNITS = parse("config.beta=0.01:10:log"), parse("config.units=2:9")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    from keras_ser.training import Data

    corpus = tiny.corpus(tmp_path_factory.mktemp("corpus"))
    return Data.load(tiny.TRAINED, corpus, tmp_path_factory.mktemp("cache"))


class Trained:
    """What `fit` returns: scores of three epochs, of which the second was kept."""

    def __init__(self, score, split, seed):
        self.split, self.seed = split, seed
        self.history = [{"epoch": e, "val_emotion_uar": score - abs(e - 2) / 10, "test": 9.9} for e in (1, 2, 3)]
        self.about = {"best_epoch": 2, "steps": 5, "epochs": self.history, "training": {"emotion_uar": 0.95}}


@pytest.fixture
def fitted(monkeypatch):
    """Runs that cost nothing: best at beta = 1, units = 6; what was trained, in order."""
    seen = []

    def fit(recipe, data, split, out, seed, **options):
        first = not (out / "done").exists()
        out.mkdir(parents=True, exist_ok=True)
        (out / "done").touch()
        seen.append((recipe, split.fold, seed, first))
        c = recipe.config
        if c.beta > 5:
            raise DivergenceError("the loss is nan in epoch 1.")
        score = 0.5 - 0.1 * np.log10(c.beta) ** 2 - 0.01 * abs(c.units - 6) + 0.02 * split.fold + 0.001 * seed
        return Trained(score, split, seed)

    monkeypatch.setattr(runs, "fit", fit)
    # nothing was built, and clearing looks through all objects of the process, a second for each run
    monkeypatch.setattr(runs.keras.backend, "clear_session", lambda: None)
    return seen


@pytest.fixture
def search(fitted, data, tmp_path):
    """(space, options) -> what a search finds in tmp_path/found."""

    def run(space, folder="found", recipe=tiny.TRAINED, **options):
        return module.search(recipe, data, space, tmp_path / folder, **options)

    return run


def test_finds_the_best_and_reports_it(search, fitted, data, tmp_path):
    told = []
    found = search(
        [BETA, UNITS],
        trials=15,
        method="random",
        folds=(0, 2),
        seeds=2,
        on_trial=lambda number, trials: told.append((number, trials)),
    )
    assert told == [(number, 15) for number in range(16)]
    assert {(fold, seed) for _, fold, seed, _ in fitted} == {(0, 0), (0, 1), (2, 0), (2, 1)}
    best = found.best
    assert best.config.units in range(4, 9) and 0.3 < best.config.beta < 3.5
    assert best.seeds == tiny.TRAINED.seeds and best.protocols == tiny.TRAINED.protocols
    assert Recipe.from_json((tmp_path / "found/recipe.json").read_text()) == best
    table = pd.read_csv(tmp_path / "found/trials.csv")
    assert table["trial"].tolist() == list(range(16))
    whole = table[table["failed"].isna()]
    expected = 0.5 - 0.1 * np.log10(whole["config.beta"]) ** 2 - 0.01 * (whole["config.units"] - 6).abs() + 0.0205
    np.testing.assert_allclose(whole["score"], expected)
    runs = whole[[name for name in table if name.endswith("val_emotion_uar")]]
    assert runs.shape[1] == 4
    np.testing.assert_allclose(runs.mean(axis=1), whole["score"])
    assert found.ranked[0].score == pytest.approx(whole["score"].max())
    # the recipe as it stands is the first trial
    assert (table.loc[0, "config.beta"], table.loc[0, "config.units"]) == (0.5, 32)
    text = (tmp_path / "found/tuning.md").read_text()
    assert "No trial saw its own fold's test data." in text and "| baseline | 0.5 | 32 |" in text
    # each speaker validates in one fold and is tested in another
    speaker = {u.id: u.speaker for u in data.corpus}
    splits = tiny.SPEAKERS.splits(data.corpus)
    chose = {speaker[i] for fold in (0, 2) for i in splits[fold].validation}
    tested = [str(split.fold) for split in splits if chose & {speaker[i] for i in split.test}]
    assert (
        tested
        and f"used here are tested in 'speakers' (fold {', '.join(tested)}), whose scores are therefore biased" in text
    )
    axes = found.figure().axes
    assert [panel.get_xlabel() for panel in axes] == ["config.beta", "config.units", "trial"]
    stars = [[c.get_offsets()[0] for c in panel.collections if c.get_label() == "best"] for panel in axes]
    row = table.loc[table["score"].idxmax()]
    for (place,), name in zip(stars, ("config.beta", "config.units", "trial"), strict=True):
        np.testing.assert_allclose(place, [row[name], row["score"]])
    assert (tmp_path / "found/tuning.png").read_bytes().startswith(b"\x89PNG")


def test_diverged_trials_are_reported_and_never_best(search, tmp_path):
    space = [parse("config.beta=0.1,6,7,0.9")]
    found = search(space, trials=9, method="grid")
    table = pd.read_csv(tmp_path / "found/trials.csv")
    assert sorted(table["config.beta"][1:]) == [0.1, 0.9, 6, 7] and table["failed"].notna().sum() == 2
    assert found.best.config.beta == 0.9
    assert "2 of 5 trials have no score, the first since the loss is nan" in (tmp_path / "found/tuning.md").read_text()


def test_search_whose_trials_all_diverge_is_an_error(search, capsys):
    """Callbacks print to both streams; KerasTuner's own tables and tracebacks go nowhere."""

    def on_trial(number, trials):
        print(f"trial {number}")
        print(f"note {number}", file=sys.stderr)

    recipe, options = tiny.TRAINED.override("config.beta", 8.0), {"method": "grid", "on_trial": on_trial}
    with pytest.raises(RunError, match="every trial in .* failed: the loss is nan"):
        search([parse("config.beta=6,7")], recipe=recipe, **options)
    said = capsys.readouterr()
    assert said.out.split("\n") == ["trial 0", "trial 1", "trial 2", ""]
    assert said.err.split("\n") == ["note 0", "note 1", "note 2", ""]


@pytest.mark.slow
def test_trials_that_failed_for_another_reason_are_repeated(search, fitted, tmp_path, monkeypatch):
    plain, fails = (
        runs.fit,
        {0.1: RunError("the folder is damaged."), 0.2: MemoryError("9 GiB"), 0.3: DivergenceError("nan.")},
    )

    def fit(recipe, *arguments, **options):
        if recipe.config.beta in fails:
            raise fails[recipe.config.beta]
        return plain(recipe, *arguments, **options)

    monkeypatch.setattr(runs, "fit", fit)
    space, options = [parse("config.beta=0.1,0.2,0.3,0.4")], {"method": "grid", "trials": 4}
    found = search(space, **options)
    failed = {
        float(trial.values["config.beta"]): (trial.failed, trial.again)
        for trial in found.trials.values()
        if trial.failed
    }
    memory = "out of memory (9 GiB). Lower batch_size, or close other programs."
    assert failed == {0.1: ("the folder is damaged.", True), 0.2: (memory, True), 0.3: ("nan.", False)}
    text = (tmp_path / "found/tuning.md").read_text()
    assert "3 of 5 trials have no score" in text and "retries 2 of them: trial 1: the folder is damaged." in text
    fails.clear()
    fitted.clear()
    found = search(space, **options)
    assert [float(trial.values["config.beta"]) for trial in found.trials.values() if trial.failed] == [0.3]
    assert {recipe.config.beta for recipe, *_, new in fitted if new} == {0.1, 0.2}


def test_a_trial_that_is_repeated_changes_no_later_one(search, fitted, tmp_path, monkeypatch):
    """The method would propose others with its score; what it proposed without it is kept, and ranked with it."""
    plain, lost = runs.fit, []

    def fit(recipe, *arguments, **options):
        tried = recipe.config.beta
        if not lost and tried != tiny.TRAINED.config.beta:
            lost.append(tried)
        if lost == [tried]:
            raise MemoryError("9 GiB")
        return plain(recipe, *arguments, **options)

    monkeypatch.setattr(runs, "fit", fit)
    options = {"trials": 9, "method": "bayesian"}
    before = dict(search([BETA, UNITS], **options).trials)
    assert [trial.number for trial in before.values() if trial.again] == [1]
    lost.append("nothing")
    for trials in (9, 9, 11):
        found = search([BETA, UNITS], **{**options, "trials": trials}).trials
        assert {n: t for n, t in found.items() if 1 != n < 10} == {n: t for n, t in before.items() if n != 1}
        assert found[1].values == before[1].values and found[1].score > 0 and not found[1].failed
    assert len(found) == 12


def test_jobs_are_counted_over_all_trials(search):
    told = []
    search([parse("config.beta=0.1,1")], method="grid", folds=(0, 2), on_job=lambda *given: told.append(given[:2]))
    assert told == [(number, 6) for number in range(1, 7)]


@pytest.mark.parametrize(
    ("kept", "score", "words"), [("best", 0.45, "mean over the 2 epochs up to"), ("last", 0.5, "of the kept")]
)
def test_a_trial_is_scored_at_its_kept_epoch(search, tmp_path, kept, score, words):
    """Over the epochs whose mean chose it; alone where the last epoch is kept, whatever its score."""
    cosine = OptimizerConfig("adam", 1e-3, schedule="cosine")
    ways = {
        "best": {"smoothing": 2, "patience": 1, "monitor": "val_emotion_uar"},
        "last": {"smoothing": 2, "patience": 0, "monitor": "", "optimizer": cosine},
    }
    recipe = tiny.TRAINED.replace(**ways[kept]).change({"config.units": 6, "config.beta": 1.0})
    assert recipe.keeps_last == (kept == "last")
    # 0.4 and 0.5 in the first two epochs
    assert search([parse("config.beta=1,2")], recipe=recipe, method="grid").trials[0].score == pytest.approx(score)
    assert words in (tmp_path / "found/tuning.md").read_text()


@pytest.mark.slow
def test_more_trials_train_nothing_twice(search, fitted, tmp_path, capsys):
    space, options = [parse("config.beta=0.1,6,0.2,8,0.3,7,0.4,9,0.6")], {"method": "random"}
    first = search(space, trials=4, **options)
    assert "the loss is nan in epoch 1." in [trial.failed for trial in first.trials.values()]
    known = dict(first.trials)
    fitted.clear()
    more = search(space, trials=7, **options)
    assert sorted(more.trials) == list(range(8))
    assert {number: more.trials[number] for number in known} == known
    assert sum(new for *_, new in fitted) == 3
    assert not {r.config.beta for r, *_ in fitted} & {
        float(t.values["config.beta"]) for t in known.values() if t.failed
    }
    # fewer trials than it holds lose none
    assert len(search(space, trials=2, **options).trials) == 8
    assert len(pd.read_csv(tmp_path / "found/trials.csv")) == 8
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err


@pytest.mark.slow
@pytest.mark.parametrize("method", module.METHODS)
def test_killed_search_continues(method, search, fitted, tmp_path, monkeypatch):
    plain, calls = runs.fit, []

    def killed(*args, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(*args, **options)

    monkeypatch.setattr(runs, "fit", killed)
    space = [parse("config.beta=0.1,0.2,0.3,0.4,0.6")]
    with pytest.raises(KeyboardInterrupt):
        search(space, trials=5, method=method)
    assert len(pd.read_csv(tmp_path / "found/trials.csv")) == 3
    found = search(space, trials=5, method=method)
    assert sorted(found.trials) == list(range(6))
    assert sum(new for *_, new in fitted) == 6
    assert {trial.values["config.beta"] for trial in found.trials.values() if trial.number} == set(space[0].values)


@pytest.mark.slow
def test_incompatible_values_are_failed_trials(search):
    """A window of 400 samples and a Fourier transform of 256; each of them goes with another value of the space."""
    space = [parse("frontend.window=200,400"), parse("frontend.fft=256,512")]
    found = search(space, trials=4, method="grid")
    failed = [trial for trial in found.trials.values() if trial.failed]
    assert [trial.values for trial in failed] == [{"frontend.window": "400", "frontend.fft": "256"}]
    assert "`fft` must be at least `window`" in failed[0].failed
    assert len(found.ranked) == 3 and found.repeats == 1
    again = search(space, trials=4, method="grid")
    assert again.trials == found.trials
    with pytest.raises(ValueError, match="--space|`fft` must be at least `window`"):
        search(space[1:], "other", trials=2, method="grid")


def test_repeated_settings_are_one_trial(search, tmp_path):
    space = [parse("config.beta=0.1,0.5,2")]
    found = search(space, trials=9)
    assert len(found.trials) == 3 and found.repeats == 7  # 0.5 is the recipe's own
    text = (tmp_path / "found/tuning.md").read_text()
    assert "7 proposals repeat a setting that has a score" in text
    assert ": 2 trials and the unchanged recipe of a " in text.splitlines()[0]


def test_another_setting_is_tried_in_place_of_a_repeated_one(search):
    """Twelve settings beside the recipe's own: the Bayesian method alone would propose good ones again."""
    values = [str(3.0**k) for k in range(-11, 1)]
    found = search([parse("config.beta=" + ",".join(values))], trials=12, method="bayesian")
    tried = [trial.values["config.beta"] for trial in found.trials.values() if trial.number]
    assert len(set(tried)) == len(tried) == 12 and found.repeats == 0


def test_the_page_of_a_search_names_the_commits_of_its_runs(search, tmp_path):
    """Also of those before it was continued; a damaged file is left out."""
    found, folder = search([UNITS], trials=2), tmp_path / "found"
    for name, text in (("a", '{"commit": "1111111", "command": "tune x"}'), ("b", '{"commit": "2222222"}'), ("c", "[")):
        (folder / "runs" / name).mkdir(parents=True)
        (folder / "runs" / name / "made.json").write_text(text)
    found.save(folder)
    text = (folder / "tuning.md").read_text()
    assert "Command: `tune x`. Commit: 1111111, 2222222." in text
    assert ": 2 trials and the unchanged recipe of a " in text.splitlines()[0]


def test_a_search_in_which_nothing_else_has_a_score_says_so(search):
    found = search([parse("config.beta=0.5,6")], trials=2, method="grid")  # 6 diverges
    assert "No other setting than the unchanged recipe has a score." in found.conclusions()


@pytest.mark.slow
def test_grid_takes_choices_and_all_settings(search):
    space = [parse("config.beta=0.1,0.2,0.3"), parse("config.units=2,3")]
    with pytest.raises(ValueError, match="has 6 settings, more than 5 trials"):
        search(space, trials=5, method="grid")
    with pytest.raises(ValueError, match="takes choices only"):
        search([BETA], trials=5, method="grid")
    assert len(search(space, method="grid").trials) == 7


def test_faults_of_ours_end_the_search(search, monkeypatch):
    plain = runs.fit

    def broken(recipe, *args, **options):
        if recipe.config.units != tiny.TRAINED.config.units:
            raise OSError("no such thing")
        return plain(recipe, *args, **options)

    monkeypatch.setattr(runs, "fit", broken)
    with pytest.raises(OSError, match="^no such thing$"):
        search([UNITS], trials=3)


def test_folder_of_another_search_and_damaged_records_are_refused(search, tmp_path):
    folder, options = tmp_path / "found", {"trials": 1}
    search([BETA], **options)
    with pytest.raises(RunError, match=r"another search \(other space\)"):
        search([UNITS], **options)
    with pytest.raises(RunError, match=r"other recipe, runs, method"):
        recipe = tiny.TRAINED.replace(epochs=9)
        search([BETA], recipe=recipe, folds=(1,), method="random", **options)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(RunError, match="holds no search"):
        search([BETA], "full", **options)
    for damage in ("{", "[1]", '[{"number": 1}]', '[{"scores": [], "epochs": [], "colour": 1}]'):
        (folder / "trials.json").write_text(damage)
        with pytest.raises(RunError, match="trials.json is damaged"):
            search([BETA], **options)
    (folder / "trials.json").unlink()
    whole = (folder / "search.json").read_text()
    for ahead in (None, 0, "2", True):
        (folder / "search.json").write_text(json.dumps({**json.loads(whole), "ahead": ahead}))
        with pytest.raises(RunError, match="search.json is damaged: `ahead` must be a whole number of 1 or more"):
            search([BETA], **options)
    (folder / "search.json").write_text("[]")
    with pytest.raises(RunError, match="does not say which search it holds"):
        search([BETA], **options)


def test_what_further_seeds_show_stays_until_another_setting_is_the_best(search, tmp_path):
    """The stand-in scores 0.001 more with each seed; the seeds after those of the recipe are taken."""
    folder, told = tmp_path / "found", []
    space, first = [parse("config.beta=0.1,1")], max(tiny.TRAINED.seeds) + 1
    options = {"method": "grid", "on_job": lambda number, jobs, job: told.append((number, jobs, job.seed))}
    search(space, confirm=2, **options)
    assert told[-4:] == [(i + 1, 4, first + i % 2) for i in range(4)]
    again = search(space, **options)
    seeds = 0.24 + 0.001 * np.array([first, first + 1])  # 32 units instead of 6 cost 0.26
    np.testing.assert_allclose(again.confirmed["best"], seeds)
    np.testing.assert_allclose(again.confirmed["baseline"], seeds - 0.1 * np.log10(0.5) ** 2)
    assert "Over 2 further seeds the best setting scores" in (folder / "tuning.md").read_text()
    again.trials[3] = Trial(3, {"config.beta": "0.9"}, (0.9,), (2,))
    again.save(folder)
    assert not again.confirmed and not (folder / "confirmed.json").exists()
    assert "--confirm 5 trains it" in (folder / "tuning.md").read_text()


def test_an_unchanged_recipe_that_is_the_best_is_confirmed_once(search, fitted, tmp_path):
    found = search([parse("config.beta=0.01,10")], trials=1, confirm=3)
    assert not found.ranked[0].number and len(fitted) == 2 + 3
    assert found.confirmed["best"] == found.confirmed["baseline"] and len(found.confirmed["best"]) == 3
    first = max(tiny.TRAINED.seeds) + 1  # the stand-in scores 0.001 more with each seed, and 0.5 is the recipe's beta
    expected = 0.24 + 0.001 * (first + 1) - 0.1 * np.log10(0.5) ** 2
    told = f"No setting scores better than the unchanged recipe.\n- Over 3 further seeds it scores {expected:.3f} (sd 0.001)."
    assert told in (tmp_path / "found/tuning.md").read_text()


def test_further_seeds_that_fail_are_named(search, tmp_path, monkeypatch):
    plain, last = runs.fit, max(tiny.TRAINED.seeds) + 2

    def fit(recipe, data, split, out, seed, **options):
        if seed == last:
            raise RunError("the folder is damaged.")
        return plain(recipe, data, split, out, seed, **options)

    monkeypatch.setattr(runs, "fit", fit)
    space, options = [parse("config.beta=1,2")], {"method": "grid", "confirm": 2}
    found = search(space, **options)
    reasons = [f"{name}, speakers/fold-00-seed-{last}: the folder is damaged." for name in ("best", "baseline")]
    assert found.unconfirmed == dict.fromkeys(reasons, True)
    assert (
        f"2 runs with further seeds have no score: {', '.join(reasons)}" in (tmp_path / "found/tuning.md").read_text()
    )
    assert search(space, method="grid").unconfirmed == found.unconfirmed
    monkeypatch.setattr(runs, "fit", plain)
    assert not search(space, **options).unconfirmed


def test_what_cannot_be_searched_is_refused(search, tmp_path):
    blind = tiny.TRAINED.override("protocols.speakers.validation", 0)
    with pytest.raises(ValueError, match=r"the protocol speakers has none\. .*--set protocols\.speakers\.validation=1"):
        search([BETA], recipe=blind)
    with pytest.raises(ValueError, match="`method` must be one of bayesian, random, grid"):
        search([BETA], method="evolution")
    with pytest.raises(ValueError, match="`seeds` must be from 1 to the recipe's number of seeds, 1. Received: 2"):
        search([BETA], recipe=tiny.TRAINED.replace(seeds=(0,)), seeds=2)
    assert not (tmp_path / "found").exists()


def test_second_search_in_a_folder_is_refused(search, tmp_path):
    """Another search's claim does not overwrite that of the search at work."""
    folder, claims = tmp_path / "found", []

    def meanwhile(number, trials):
        claims.append((folder / "search.json").read_text())
        with pytest.raises(RunError, match="another process is searching in"):
            search([UNITS], trials=1)

    search([BETA], trials=1, on_trial=meanwhile)
    assert set(claims) == {(folder / "search.json").read_text()}


@pytest.mark.slow
def test_trials_under_way_wait_for_the_one_that_many_places_before(search, fitted, tmp_path):
    """With three under way, a proposal knows all scores but the last two; a search that goes on keeps that number."""
    folder, heard = tmp_path / "found", []
    plain = Proposals.ask

    def ask(self):
        heard.append([trial.status for trial in self.oracle.trials.values()])
        return plain(self)

    options = {"method": "bayesian", "on_trial": lambda *_: None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Proposals, "ask", ask)
        first = search([BETA, UNITS], trials=8, ahead=3, **options)
    for known in (known for known in heard if len(known) < 8):  # later ones are answered that there is no more
        assert known[-2:] == ["RUNNING"] * len(known[-2:]) and set(known[:-2]) <= {"COMPLETED", "FAILED"}
    assert len(first.trials) == 9
    assert "3 trials ran at the same time" in (folder / "tuning.md").read_text()
    trained = len(fitted)
    again = search([BETA, UNITS], trials=8, ahead=1, **options)
    assert again.trials == first.trials and again.ahead == 3
    assert not any(new for *_, new in fitted[trained:])
    one = search([BETA, UNITS], "one", trials=8, **options)
    assert one.ahead == 1 and one.trials[1] == first.trials[1] and one.trials[8] != first.trials[8]


def test_a_trial_has_the_verdicts_on_its_runs(search, fitted, monkeypatch, tmp_path):
    """A search of underfit runs says so; they are read again from its file."""
    plain = runs.fit

    def fit(recipe, *given, **options):
        made = plain(recipe, *given, **options)
        made.about["training"]["emotion_uar"] = 0.95 if recipe.config.beta > 1 else 0.7
        return made

    monkeypatch.setattr(runs, "fit", fit)
    found = search([parse("config.beta=1,2")], method="grid", seeds=2)
    text = (tmp_path / "found/tuning.md").read_text()
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[-4:-1]]
        for line in text.splitlines()[1:]
        if "|" in line
    }
    assert rows["trial"] == ["optimizer steps", "training", "verdict"]
    assert rows["1"] == ["10", "70.0", "2 of 2 underfit"] and rows["2"] == ["10", "95.0", "learned"]
    assert found.conclusions()[-2].startswith(
        "The best trial: 2 of 2 underfit (speakers, fold 0, seed 0: underfit: 3 epochs"
    )
    trials, found.trials = found.trials, {}
    found.load(tmp_path / "found")
    assert {n: trial.learned for n, trial in trials.items()} == {n: trial.learned for n, trial in found.trials.items()}


def test_a_logarithmic_range_is_drawn_as_one(tmp_path):
    numbers = Proposals("random", tiny.TRAINED, (BETA, UNITS), 5, tmp_path).oracle.get_space().space
    assert [(each.name, each.sampling) for each in numbers] == [("config.beta", "log"), ("config.units", "linear")]
