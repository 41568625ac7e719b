"""The median rule, and trials that it ends."""

import numpy as np
import pandas as pd
import pytest

import keras_ser.tuning.runs as runs
from keras_ser.errors import UserError
from keras_ser.recipe import Recipe
from keras_ser.tuning import parse, search_folder
from keras_ser.tuning.proposals import Proposals
from keras_ser.tuning.pruning import STOPPED, Stopped, check, check_stopped, curve, medians
from keras_ser.tuning.tuner import search
from tests.training import tiny
from tests.tuning.test_tuner import data  # noqa: F401, a fixture

MONITOR = "val_emotion_uar"
SPACE = [parse("config.beta=0.1,0.2,0.3,0.4,0.6,0.7,0.8")]
# the last epoch's score of a setting; the unchanged recipe's beta is 0.5
LAST = {0.5: 0.5, 0.1: 0.6, 0.2: 0.7, 0.3: 0.4, 0.4: 0.65, 0.6: 0.1, 0.7: 0.66, 0.8: 0.2}
EPOCHS = 10


def rows(*scores: float) -> list[dict]:
    return [{"epoch": i + 1, MONITOR: score} for i, score in enumerate(scores)]


def test_curve_is_the_best_smoothed_score_so_far():
    recipe = tiny.TRAINED.replace(epochs=9, smoothing=2)
    np.testing.assert_allclose(curve(rows(0.2, 0.4, 0.0, 0.8), recipe), [np.nan, 0.3, 0.3, 0.4])
    assert curve([], recipe) == []
    np.testing.assert_allclose(curve(rows(np.nan, 0.4, np.nan), recipe), [np.nan, 0.4, 0.4])
    # one defined epoch of five is the luck of one
    undefined = rows(*[np.nan] * 4, 0.9, 0.5, 0.4)
    np.testing.assert_allclose(curve(undefined, recipe.replace(smoothing=5)), [*[np.nan] * 6, 0.6])


def test_median_of_five_or_more_from_a_fifth_of_the_epochs_to_the_last_but_one():
    curves = [(0.1, 0.2, 0.3), (0.2, 0.3, 0.4), (0.3, 0.4, 0.5), (0.4, 0.5, 0.6)]
    assert medians(curves, 10) is None
    # a trial that its patience ended stays at its best
    np.testing.assert_allclose(medians([*curves, (0.9,)], 10), [np.nan, 0.4, *[0.5] * 7, np.nan])
    np.testing.assert_allclose(medians([*curves, (0.9,)], 3), [0.3, 0.4, np.nan])


@pytest.mark.parametrize(("last", "ends"), [(0.39, True), (0.4, False), (0.41, False)])
def test_only_what_is_under_the_median_is_ended(last, ends):
    recipe = tiny.TRAINED.replace(epochs=9, smoothing=1)
    bar = [np.nan, 0.4]
    check(rows(0.0), recipe, bar)
    if not ends:
        check(rows(0.0, last), recipe, bar)
        return
    with pytest.raises(Stopped) as found:
        check(rows(0.0, last), recipe, bar)
    assert (found.value.epoch, found.value.score, found.value.kept) == (2, last, 2)


class Whole:
    def __init__(self, history, split, seed):
        self.split, self.seed = split, seed
        self.history, self.about = history, {"best_epoch": len(history), "epochs": history}


def fit(recipe, corpora, split, out, seed, on_epoch=None, **_):
    """Rises to its last score epoch by epoch, and goes on where it was ended; `trained` notes each epoch that was trained."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "history.csv"
    history = pd.read_csv(file).to_dict("records") if file.exists() else []
    while len(history) < EPOCHS:
        epoch = len(history) + 1
        score = LAST[recipe.config.beta] * epoch / EPOCHS
        history.append({"epoch": epoch, MONITOR: score})
        pd.DataFrame(history).to_csv(file, index=False)
        with open(out.parents[3] / "trained", "a") as trained:
            trained.write(f"{recipe.config.beta} {epoch}\n")
        if on_epoch:
            on_epoch("trained", epoch, EPOCHS, history[-1])
    return Whole(history, split, seed)


@pytest.fixture
def found(data, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(runs, "fit", fit)
    monkeypatch.setattr(runs.keras.backend, "clear_session", lambda: None)  # nothing was built, and it takes a second
    recipe = tiny.TRAINED.replace(epochs=EPOCHS)

    def run(name="found", **options):
        given = {"method": "grid", "trials": 7, "prune": "median", **options}
        return search(recipe, data, SPACE, tmp_path / name, **given)

    return run


@pytest.mark.slow
def test_hopeless_trials_are_stopped_early_and_the_best_is_the_unpruned_one(found, tmp_path):
    """After the baseline and four others, beta = 0.6 and 0.8 are under the median from the second epoch on."""
    first = found(seeds=2)
    whole = found("whole", prune=None, seeds=2)
    stopped = {float(t.values["config.beta"]): t for t in first.trials.values() if t.stopped}
    assert set(stopped) == {0.6, 0.8}
    assert all(t.stopped == 2 and t.scores == (LAST[beta] * 2 / EPOCHS,) for beta, t in stopped.items())
    assert first.best.hash == whole.best.replace(name=first.best.name).hash and first.best.config.beta == 0.2
    assert {t.number for t in first.ranked[-2:]} == {t.number for t in stopped.values()}
    table = pd.read_csv(tmp_path / "found/trials.csv")
    assert table["stopped early"].dropna().tolist() == ["after epoch 2"] * 2
    assert "stopped early" not in pd.read_csv(tmp_path / "whole/trials.csv")
    text = (tmp_path / "found/tuning.md").read_text()
    assert "2 of 8 trials were stopped early" in text and "2, stopped early after 2 |" in text
    assert Recipe.from_json((tmp_path / "found/recipe.json").read_text()).config.beta == 0.2
    # again: nothing is trained
    trained = (tmp_path / "found/trained").read_text()
    assert len(trained.splitlines()) == 2 * 6 * EPOCHS + 2 * 2
    assert found(seeds=2).trials == first.trials and (tmp_path / "found/trained").read_text() == trained


@pytest.mark.slow
def test_an_interrupted_trial_is_judged_by_the_epochs_before_too(found, tmp_path):
    """Killed between an epoch's end and the judgement: the next call ends the trial there, or one epoch later."""
    first = found()
    for note in (tmp_path / "found").rglob(STOPPED):
        note.unlink()
    again = found()
    assert {t.number for t in again.trials.values() if t.stopped} == {
        t.number for t in first.trials.values() if t.stopped
    }
    assert {t.stopped for t in again.trials.values()} == {0, 3}


def test_a_run_that_no_bar_holds_goes_on_and_was_never_stopped(tmp_path):
    (tmp_path / STOPPED).write_text('{"epoch": 2, "score": 0.1}')
    pd.DataFrame(rows(0.0, 0.1)).to_csv(tmp_path / "history.csv", index=False)
    with pytest.raises(Stopped):
        check_stopped(tiny.TRAINED.replace(epochs=9, smoothing=1), tmp_path, [np.nan, 0.4])
    assert (tmp_path / STOPPED).exists()
    check_stopped(tiny.TRAINED, tmp_path, ())
    assert not (tmp_path / STOPPED).exists()


@pytest.mark.slow
def test_a_stopped_trial_cannot_be_the_best_by_its_early_score(found):
    """One that is ahead at its end, as a mean of another number of runs may be."""
    made = found()
    number = next(t.number for t in made.trials.values() if t.stopped)
    made.trials[number] = type(made.trials[number])(number, made.trials[number].values, (0.99,), (2,), stopped=2)
    assert made.ranked[0].number != number and made.ranked[-1].score < 0.99


def test_pruning_is_part_of_the_search_and_needs_epochs(found, data, tmp_path):  # noqa: F811
    folders = {search_folder(tiny.TRAINED, SPACE, tmp_path, [0], 1, "grid", prune) for prune in (None, "median")}
    assert len(folders) == 2
    with pytest.raises(UserError, match="`prune` must be None or 'median'"):
        found(prune="mean")
    from keras_ser.models import svm

    baseline = tiny.TRAINED.replace(model="svm", config=svm.Config(), tasks=tiny.TRAINED.tasks[:1])
    with pytest.raises(UserError, match="is a baseline without epochs: omit --prune"):
        search(baseline, data, [parse("config.C=1,2")], tmp_path / "svm", method="grid", prune="median")


def test_the_method_hears_the_score_of_a_stopped_trial_with_what_further_runs_add(found, monkeypatch):
    """Its first run's, shifted by the mean difference of a whole trial's runs: here the second seed scores 0.1 more."""

    def by_seed(recipe, corpora, split, out, seed, on_epoch=None, **more):
        whole = fit(recipe, corpora, split, out, seed, on_epoch, **more)
        for row in whole.history if seed else ():
            row[MONITOR] += 0.1
        return whole

    told, tell = [], Proposals.tell
    monkeypatch.setattr(Proposals, "tell", lambda self, trial, score: told.append(score) or tell(self, trial, score))
    monkeypatch.setattr(runs, "fit", by_seed)
    stopped = [trial for trial in found(seeds=2).trials.values() if trial.stopped]
    assert stopped
    for trial in stopped:
        assert told[trial.number - 1] == pytest.approx(trial.scores[0] + 0.05)
