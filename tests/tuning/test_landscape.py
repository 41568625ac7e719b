"""Pictures of a search, and what is said of it: scores that are known, in spaces wide and narrow."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from keras_ser.models import svm
from keras_ser.recipe import OptimizerConfig
from keras_ser.tuning import landscape, parse
from keras_ser.tuning.judgement import interval, limit, verdict
from keras_ser.tuning.search_report import Found
from keras_ser.tuning.trial import Trial
from tests.training import tiny

WIDE = ("config.beta=0.01:10:log", "config.gamma=0.01:10:log", "config.mu=0.01:10:log")
NARROW = ("config.beta=0.48:0.52:log", "config.gamma=0.099:0.101", "config.units=16,32,64")


def made(space, score, trials=30, noise=0.0, **facts) -> Found:
    """A random search whose score is a function of key -> position."""
    rng = np.random.default_rng(3)
    space = tuple(parse(text) for text in space)
    found = Found(tiny.TRAINED, space, (), "random", None, **facts)
    for number in range(trials + 1):
        drawn = {
            each.key: landscape.value_at(each, rng.uniform()) if hasattr(each, "low") else str(rng.choice(each.values))
            for each in space
        }
        trial = Trial(number, drawn if number else {})
        places = dict(zip((each.key for each in space), landscape.positions(found, [trial])[0], strict=True))
        found.trials[number] = Trial(number, trial.values, (score(places) + noise * rng.standard_normal(),), (2,))
    return found


def hill(places) -> float:
    """Best at gamma = 0.1 (a third of the way), whatever mu is."""
    return 0.6 - 0.3 * (places["config.gamma"] - 1 / 3) ** 2 - 0.05 * (places["config.beta"] - 0.5) ** 2


def test_positions_are_logarithmic_where_the_search_is():
    log, linear, choice = (parse(f"config.beta={text}") for text in ("0.01:1:log", "0:4", "16,32,64"))
    assert landscape.position(log, 0.1) == pytest.approx(0.5) and landscape.value_at(log, 0.5) == pytest.approx(0.1)
    assert landscape.position(linear, 1) == 0.25 and landscape.value_at(linear, 0.25) == 1
    assert [landscape.position(choice, value) for value in (16, "32", 64)] == [0, 0.5, 1]
    falling = parse("config.units=64,16,32")
    assert [landscape.position(falling, value) for value in (16, "32", 64)] == [0, 0.5, 1]
    assert np.isnan(landscape.position(choice, 48)) and np.isnan(landscape.position(log, 0.0))


@pytest.mark.slow
def test_importance_finds_the_number_that_the_score_depends_on_and_admits_noise():
    found = made(WIDE, hill, noise=0.005)
    _, places, scores = landscape.fitted(found)
    shares, known = landscape.importance(places, scores)
    assert shares.mean(0).argmax() == 1 and shares.mean(0)[1] > 5 * shares.mean(0)[2] and known > 0.5
    shuffled = np.random.default_rng(0).permutation(scores)
    assert landscape.importance(places, shuffled)[1] < 0.2


@pytest.mark.slow
def test_the_surface_has_its_top_where_the_scores_have_and_is_flat_over_noise():
    found = made(WIDE, hill, noise=0.005)
    pair = landscape.mapped(found)
    assert pair == [0, 1]
    _, places, scores = landscape.fitted(found)
    process, noise = landscape.smooth(places[:, pair], scores)
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 41)] * 2), -1).reshape(-1, 2)
    assert abs(grid[process.predict(grid).argmax()][1] - 1 / 3) < 0.12 and 0.001 < noise < 0.03
    flat = np.random.default_rng(0).normal(0.5, 0.01, len(scores))
    process, noise = landscape.smooth(places[:, pair], flat, seeds=0.01)
    assert np.ptp(process.predict(grid)) < 0.02 and noise >= 0.0099


@pytest.mark.slow
@pytest.mark.parametrize("space", [WIDE, NARROW])
def test_every_axis_is_marked_however_narrow(space, tmp_path):
    found = made(space, lambda places: 0.5 + 0.001 * places["config.beta"], trials=12, noise=0.0001)
    found.confirmed = {"best": (0.5, 0.51), "baseline": (0.5, 0.502)}
    found.draw(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tuning.png", "parallel.png", "importance.png", "map.png"}
    axes = landscape.surface(found).axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        words = [label.get_text() for label in labels]
        assert len(words) == len(set(words)) == 5
    texts = [text.get_text() for text in landscape.parallel(found).axes[0].texts]
    assert len(texts) == sum(len(getattr(each, "values", range(5))) for each in found.space) + 5


def test_few_trials_and_one_number_draw_no_map(tmp_path):
    made(WIDE, hill, trials=5).draw(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tuning.png", "parallel.png"}
    assert [picture.file for picture in made(WIDE[:1], lambda _: 0.5).figures] == ["tuning.png"]


def test_the_correlation_is_with_values_in_order_and_of_no_others():
    """However the choices are written."""
    space = ("config.dense=64,32,16,8", "config.pooling=mean,attention", "config.gamma=0.1:1")
    found = made(space, lambda at: at["config.dense"])
    labels = [text.get_text() for text in landscape.bars(found).axes[0].get_yticklabels()]
    words = dict(label.split("\n") for label in labels)
    assert words["config.dense"] == "ρ = +1.00, p < 0.01" and words["config.pooling"] == "values without an order"
    assert words["config.gamma"].startswith("ρ = ")


def test_a_baseline_between_the_choices_has_no_line():
    """No other trial is called the best one for it."""
    assert tiny.TRAINED.config.units not in (8, 16)
    found = made(("config.units=8,16", "config.gamma=0.1:1"), lambda _: 0.9, trials=0)
    assert not landscape.parallel(found).axes
    found.trials[1] = Trial(1, {"config.units": "16", "config.gamma": 0.2}, (0.5,), (2,))
    for best in (False, True):
        (axes,) = landscape.parallel(found).axes[:1]
        assert ("best" in [line.get_label() for line in axes.lines]) == best
        found.trials[1] = Trial(1, found.trials[1].values, (0.95,), (2,))


def test_values_of_a_choice_are_in_order_and_a_tuple_of_one_is_its_element():
    machine = tiny.TRAINED.replace(model="svm", config=svm.Config(C=(1.0,)))
    trials = {0: Trial(0, {}, (0.5,), (1,)), 1: Trial(1, {"config.C": "10"}, (0.4,), (1,))}
    found = Found(machine, (parse("config.C=10,0.1"),), (), "grid", None, trials)
    axes = found.figure().axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "1", "10"]
    drawn = [collection.get_offsets()[0].tolist() for collection in axes.collections]
    assert drawn == [[2, 0.4], [1, 0.5], [1, 0.5]], "trial, baseline, best"
    assert list(found.table()["config.C"]) == ["1", "10"]
    choice = parse("config.C=1,10")
    assert [choice.text(value) for value in ((1.0,), "10", 1, (0.3,), (1, 2))] == ["1", "10", "1", "0.3", "(1, 2)"]
    assert parse("config.attention=true,false").text(True) == "true"
    assert parse("config.pooling=mean,attention").order(["last"]) == ["mean", "attention", "last"]


@pytest.fixture
def judged():
    """A search judged by 10, 20 and 30 clips of three emotions."""
    labels = ["anger"] * 10 + ["neutral"] * 20 + ["sadness"] * 30
    clips = [SimpleNamespace(id=str(i), column=lambda _, label=label: label) for i, label in enumerate(labels)]

    class Corpus(list):
        name = "demo"

    found = made(WIDE[:2], lambda _: 0.9, trials=2)
    split = SimpleNamespace(fold=0, validation=[clip.id for clip in clips])
    found.jobs, found.data = [SimpleNamespace(split=split)], SimpleNamespace(corpus=Corpus(clips))
    return found


def scored(found, *scores: float) -> None:
    for number, score in enumerate(scores):
        found.trials[number] = Trial(number, found.trials[number].values, (score,), (2,))


def test_a_search_within_chance_says_so(judged):
    most = limit(judged)
    scored(judged, 0.3, most - 0.01, 0.2)
    assert verdict(judged)[0].startswith("The search is within chance: the best of 3 trials scores")
    scored(judged, 0.3, most + 0.01, 0.2)
    assert not any("within chance" in sentence for sentence in verdict(judged))


def test_each_trial_counts_the_epochs_that_it_chooses_from(judged):
    """A trial that keeps its last epoch guesses once, others 20 times."""
    scored(judged, 0.3, 0.4, 0.2)
    judged.recipe, most = judged.recipe.replace(epochs=20, monitor="", optimizer=OptimizerConfig()), {}
    cosine = OptimizerConfig(schedule="cosine")
    for last in range(4):
        judged.recipe = Schedules(judged.recipe, cosine, last)
        most[last] = limit(judged)
        judged.recipe = judged.recipe.recipe
    assert most[0] > most[1] > most[2] > most[3]
    judged.recipe = judged.recipe.replace(epochs=1)
    assert limit(judged) == pytest.approx(most[3])


class Schedules:
    """A recipe of which the first `last` trials keep the last epoch."""

    def __init__(self, recipe, cosine, last):
        self.recipe, self.tasks, self.given = recipe, recipe.tasks, iter([cosine] * last)

    def change(self, values):
        return self.recipe.replace(optimizer=next(self.given, self.recipe.optimizer))


@pytest.mark.parametrize("redrawn", [1.0, 0.3, 0.03])
def test_guessing_seldom_exceeds_its_limit_though_the_best_epoch_is_kept(judged, redrawn):
    """Guesses of which a share is drawn anew in each epoch: the largest of three trials' best epochs."""
    scored(judged, 0.3, 0.4, 0.2)
    judged.recipe = judged.recipe.replace(epochs=20)
    rng, truth = np.random.default_rng(1), np.repeat([0, 1, 2], [10, 20, 30])
    guessed, best = rng.integers(0, 3, (500, 3, 60)), np.zeros((500, 3))
    for _ in range(20):
        anew = rng.random(guessed.shape) < redrawn
        guessed = np.where(anew, rng.integers(0, 3, guessed.shape), guessed)
        best = np.maximum(best, np.mean([(guessed == k)[..., truth == k].mean(-1) for k in range(3)], axis=0))
    most = limit(judged)
    assert (best.max(axis=1) > most).mean() < 0.05
    assert (best.max(axis=1) > most - 0.12).mean() > 0.05  # and it is not far above what guessing reaches


@pytest.mark.parametrize(
    ("best", "baseline", "words"),
    [
        ((0.70, 0.71, 0.72), (0.60, 0.61, 0.62), "the gain is more than the spread over seeds"),
        ((0.60, 0.70, 0.65), (0.60, 0.66, 0.63), "the gain may be noise"),
        ((0.50, 0.51, 0.52), (0.60, 0.61, 0.62), "worse than the unchanged recipe"),
        ((0.70, float("nan"), float("nan")), (0.6, 0.6, 0.7), "Too few of the further seeds"),
    ],
)
def test_the_optimum_is_compared_with_the_spread_of_the_seeds(judged, best, baseline, words):
    scored(judged, 0.6, 0.8, 0.7)
    assert "luckiest of several draws: --confirm 5" in verdict(judged)[-1]
    judged.confirmed = {"best": best, "baseline": baseline}
    assert words in " ".join(verdict(judged))
    scored(judged, 0.9, 0.8, 0.7)
    plain, confirmed = verdict(judged)
    assert plain == "No setting scores better than the unchanged recipe."
    assert f"Over 3 further seeds it scores {np.mean(baseline):.3f} (sd {np.std(baseline, ddof=1):.3f})." == confirmed
    judged.confirmed = {}
    assert verdict(judged) == [plain]


def test_trials_that_spread_no_more_than_seeds_are_noise(judged):
    scored(judged, 0.60, 0.61, 0.605)
    judged.confirmed = {"best": (0.6, 0.65), "baseline": (0.58, 0.64)}
    assert verdict(judged)[-1].endswith("the search shows noise.")


def test_seeds_without_a_score_are_not_counted(judged):
    scored(judged, 0.6, 0.8, 0.7)
    judged.confirmed = {"best": (0.8, 0.81, 0.82), "baseline": (0.7, float("nan"), 0.71)}
    assert verdict(judged)[-1].startswith("Over 3 and 2 further seeds the best setting scores 0.810 (sd 0.010) and the")


def test_the_best_so_far_is_of_trials_that_can_be_the_best():
    found = made(WIDE[:1], lambda _: 0.5, trials=3)
    for number, score, stopped in ((1, 0.9, 4), (2, 0.8, 0), (3, 0.7, 0)):
        found.trials[number] = Trial(number, found.trials[number].values, (score,), (2,), stopped=stopped)
    (line,) = found.figure().axes[-1].lines
    assert line.get_ydata().tolist() == [0.5, 0.5, 0.8, 0.8]


def test_interval_is_welchs():
    a, b = np.array([0.7, 0.72, 0.71, 0.69]), np.array([0.6, 0.66, 0.63])
    s = a.var(ddof=1) / 4 + b.var(ddof=1) / 3
    freedom = s**2 / ((a.var(ddof=1) / 4) ** 2 / 3 + (b.var(ddof=1) / 3) ** 2 / 2)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(s)
    np.testing.assert_allclose(interval(a, b), [a.mean() - b.mean() - reach, a.mean() - b.mean() + reach])
    assert interval(np.array([1.0, 1.0]), np.array([0.5, 0.5])) == (0.5, 0.5)


def test_spreads_over_seeds_are_of_the_population(judged):
    scored(judged, 0.6, 0.8, 0.7)
    judged.confirmed = {"best": (0.7, 0.71, 0.72), "baseline": (0.6, 0.62, 0.64)}
    assert "scores 0.710 (sd 0.010) and the unchanged recipe 0.620 (sd 0.020)" in " ".join(verdict(judged))


def test_the_mean_over_two_folds_of_the_same_clips_has_a_lower_limit(judged):
    """It spreads less by chance than the score of one."""
    scored(judged, 0.3, 0.4, 0.2)
    judged.recipe = judged.recipe.replace(epochs=1)
    one, (job,) = limit(judged), judged.jobs
    judged.jobs = [job, SimpleNamespace(split=SimpleNamespace(fold=1, validation=job.split.validation))]
    assert 1 / 3 < limit(judged) < one
