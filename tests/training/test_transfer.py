"""Weights of a run as the beginning of another."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_ser.errors import RunError, UserError
from keras_ser.models.paper import build_network
from keras_ser.splits import LeakageError
from keras_ser.tasks import Task
from keras_ser.training import Data, fit
from keras_ser.training.heard import heard_clips, heard_speakers
from keras_ser.training.preflight import frontends, input_shapes
from keras_ser.training.transfer import TRAINING_ONLY, begin_from, check_start, digest
from tests.models.papers import RECIPES
from tests.training import tiny

pytestmark = pytest.mark.slow

AGE = Task("age", ("old", "young"))
TASKS = (tiny.EMOTION, tiny.GENDER)
AAE = RECIPES["aae"].replace(tasks=TASKS, protocols=(tiny.SPEAKERS,), epochs=2)


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    """(run, data, split)"""
    folder = tmp_path_factory.mktemp("transfer")
    split = tiny.SPEAKERS.splits(corpus)[1]
    data = Data.load(AAE, corpus, folder / "cache")
    return fit(AAE, data, split, folder / "run"), data, split


def network(recipe):
    return build_network(recipe, input_shapes(recipe, frontends(recipe)))


def values(model) -> dict[str, np.ndarray]:
    return {v.path: np.array(v) for v in model.weights if "seed_generator" not in v.path}


def test_every_weight_is_that_of_the_run(made):
    run, data, split = made
    whole, fresh = values(run.model()), network(run.recipe)
    before = values(fresh.model)
    assert begin_from(fresh, run.recipe.tasks, run.folder) == []
    after, kept = values(fresh.model), np.load(run.folder / TRAINING_ONLY)
    assert {name.split("_")[0].split("/")[0] for name in kept.files} == {"decoder", "discriminator"}
    for name, value in after.items():
        np.testing.assert_array_equal(value, whole[name] if name in whole else kept[name])
    trained = [name for name in after if name.endswith("kernel")]
    assert trained and all(np.abs(after[name] - before[name]).max() > 0 for name in trained)


@pytest.mark.parametrize("labels", [("anger", "neutral", "joy"), ("neutral", "anger", "sadness")])
def test_heads_of_other_classes_begin_anew(made, labels):
    """As many classes, and others, or in another order."""
    run, *_ = made
    tasks = (dataclasses.replace(tiny.EMOTION, labels=labels), AGE)
    fresh = network(run.recipe.replace(tasks=tasks))
    before = values(fresh.model)
    anew = begin_from(fresh, tasks, run.folder)
    assert {name for name in anew if not name.startswith("age")} == {"emotion/kernel", "emotion/bias"}
    assert {name.split("/")[0] for name in anew if name.startswith("age")} >= {"age", "age_conv", "age_dense_1"}
    after = values(fresh.model)
    assert all(np.array_equal(after[name], before[name]) for name in anew)
    assert not np.array_equal(after["encoder_1/kernel"], before["encoder_1/kernel"])


def test_training_begins_there(made, tmp_path):
    """With a learning rate of nearly 0 it also ends there."""
    run, data, split = made
    still = AAE.replace(name="still", epochs=1, initial=digest(run.folder)).override("optimizer.learning_rate", 1e-12)
    found = fit(still, data, split, tmp_path / "still", seed=5, initial=run.folder)
    ours, theirs = values(found.model()), values(run.model())
    for name in ours:
        if "moving" not in name:
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-6, err_msg=name)
    assert found.about["initial"] == still.initial and found.about["anew"] == [] and still.hash != AAE.hash


def test_other_weights_than_the_recipe_names_are_refused(made, tmp_path):
    run, data, split = made
    for recipe, initial in (
        (AAE.replace(initial="0123456789ab"), run.folder),
        (AAE, run.folder),
        (AAE.replace(initial="a"), None),
    ):
        with pytest.raises(UserError, match="the recipe's initial weights are"):
            fit(recipe, data, split, tmp_path / "run", initial=initial)
    assert not (tmp_path / "run").exists()


def test_a_damaged_model_is_named_in_one_line(made, tmp_path):
    run, *_ = made
    part = Path(shutil.copytree(run.folder, tmp_path / "run"))
    (part / "model.keras").write_bytes((part / "model.keras").read_bytes()[:2000])
    with pytest.raises(RunError, match="model.keras is damaged"):
        digest(part)


def test_a_network_of_another_shape_or_kind_is_refused(made, tmp_path):
    run, *_ = made
    with pytest.raises(UserError, match=r"the network has encoder_1/kernel \(3, 3, 1, 4\), but .* has \(3, 3, 1, 8\)"):
        begin_from(network(AAE.override("config.filters", [4, 16])), TASKS, run.folder)
    with pytest.raises(UserError, match=r"the network has normalization/mean \(9,\), but"):
        begin_from(network(tiny.SINGLE), (tiny.EMOTION,), run.folder)
    other = network(RECIPES["aspmtl-conv"].replace(frontend=AAE.frontend, tasks=(AGE,)))
    with pytest.raises(UserError, match="have no weight in common"):
        begin_from(other, (AGE,), run.folder)
    with pytest.raises(RunError, match="expected the folder of a finished run"):
        digest(tmp_path)


def test_weights_that_have_heard_the_test_side_are_refused(made, corpus, tmp_path):
    """Test sets of all kinds are in test_heard; here a run has written what it heard."""
    run, data, split = made
    first, other = tiny.SPEAKERS.splits(corpus)[0], tiny.SPEAKERS.splits(corpus)[1]
    check_start(AAE, run.folder, corpus, [other])
    names = sorted({u.speaker for u in corpus if u.id in first.test})
    with pytest.raises(LeakageError, match=f"fold 0, tests: speaker {', speaker '.join(names)}.*--folds"):
        check_start(AAE, run.folder, corpus, [other, first])
    begun = AAE.replace(initial=digest(run.folder))
    with pytest.raises(LeakageError, match="was trained or validated on"):
        fit(begun, data, first, tmp_path / "run", initial=run.folder)
    assert not (tmp_path / "run").exists()
    # copies in another corpus, and their speakers, are known by their audio, which is compared once it is decoded
    another, hashes = dataclasses.replace(corpus, name="another", root=tmp_path / "copies"), data.cache.hashes
    check_start(AAE, run.folder, another, [first])
    check_start(AAE, run.folder, another, [other], hashes)
    with pytest.raises(LeakageError, match=f"fold 0, tests: speaker {', speaker '.join(names)}"):
        check_start(AAE, run.folder, another, [first], hashes)


def test_what_the_weights_descend_from_counts_as_heard(made, corpus, tmp_path):
    """A trained on the demo corpus, B from A on another corpus: B has heard A's speakers."""
    run, data, split = made
    other = dataclasses.replace(corpus, name="another")
    begun = AAE.replace(name="second", corpus="another", epochs=1, initial=digest(run.folder))
    further = Data.load(begun, other, tmp_path / "cache")
    second = fit(begun, further, tiny.SPEAKERS.splits(other)[1], tmp_path / "second", initial=run.folder)
    heard = {u.speaker for u in corpus if u.id in {*run.split.train, *run.split.validation}}
    assert heard_speakers(second, corpus) == heard and heard_clips(second, corpus) >= set(run.split.train)
    with pytest.raises(LeakageError, match="fold 0, tests: speaker "):
        check_start(AAE, second.folder, corpus, [tiny.SPEAKERS.splits(corpus)[0]])
    check_start(AAE, second.folder, corpus, [split])
