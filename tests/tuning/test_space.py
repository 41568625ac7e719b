import dataclasses

import pytest

from keras_ser.errors import UserError
from keras_ser.models import aae_mtl, svm
from keras_ser.overrides import lookup
from keras_ser.recipe import OptimizerConfig, Recipe, Sampling
from keras_ser.tuning import Choice, Range, check_space, default_space, parse, search_folder
from keras_ser.tuning.space import check_search, judging, whole_numbers
from tests.training import tiny


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("config.beta=0.01:10:log", Range("config.beta", 0.01, 10.0, log=True)),
        ("config.dropout=0:0.5", Range("config.dropout", 0.0, 0.5)),
        ("config.layers=1:4", Range("config.layers", 1.0, 4.0)),
        ("config.pooling=mean,attention", Choice("config.pooling", ("mean", "attention"))),
        ("batch_size=8,16", Choice("batch_size", ("8", "16"))),
    ],
)
def test_parse_and_str_are_inverse(text, expected):
    assert parse(text) == expected and str(expected) == text and parse(str(expected)) == expected
    check_space(tiny.TRAINED, [expected])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config.beta", "expected KEY=LOW:HIGH"),
        ("=1:2", "expected KEY=LOW:HIGH"),
        ("config.beta=", "expected KEY=LOW:HIGH"),
        ("config.beta=1:two", "with numbers"),
        ("config.beta=1:2:linear", "with numbers"),
        ("config.beta=2:1", "from a lower to a higher"),
        ("config.beta=1:inf", "from a lower to a higher"),
        ("config.beta=0:1:log", "must start above 0"),
        ("config.beta=1", "two or more different values"),
        ("config.beta=1,1", "two or more different values"),
    ],
)
def test_invalid_spaces_are_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)


@pytest.mark.parametrize(
    ("space", "error", "words"),
    [
        ([], ValueError, "one or more different keys"),
        (["config.beta=0:1", "config.beta=0,1"], ValueError, "one or more different keys"),
        (["config.betta=0:1"], KeyError, "Did you mean beta"),
        (["config.units=1.5:4"], ValueError, "takes integers"),
        (["batch_size=0:4"], ValueError, "at least 1"),
        (["config.pooling=1:2"], ValueError, "is not a number"),
        (["streams.noisy.snr=-5:20"], ValueError, "defines the task, the data or the score"),
        (["smoothing=1,5"], ValueError, "defines the task, the data or the score"),
        (["labelled=0.5:1"], ValueError, "defines the task, the data or the score"),
        (["frontend.sample_rate=8000,16000"], ValueError, "defines the task, the data or the score"),
        (["tasks.emotion.column=a,b"], ValueError, "defines the task, the data or the score"),
        (["first.seeds=1,2"], ValueError, "defines the task, the data or the score"),
        (["optimizer.name=adam,sgd", "config.units=3,x"], ValueError, "expected int"),
        (["optimizer.name=adam,lion"], ValueError, "`optimizer.name` must be one of"),
        (["first.config.beta=0:1"], KeyError, "--space first.config.beta"),  # it has no first model
        (["initial=aaaaaaaaaaaa,bbbbbbbbbbbb"], ValueError, "defines the task, the data or the score"),
    ],
)
def test_keys_and_values_that_cannot_be_searched_are_refused(space, error, words):
    with pytest.raises(error, match=words):
        check_space(tiny.TRAINED, [parse(text) for text in space])


def test_a_search_over_schedules_needs_epochs_that_are_all_chosen():
    space = [parse("optimizer.schedule=constant,cosine")]
    check_space(tiny.TRAINED.replace(monitor="val_emotion_uar"), space)
    with pytest.raises(UserError, match="with cosine the last epoch is scored, and with constant the best one"):
        check_space(tiny.TRAINED.replace(monitor=""), space)


def test_what_no_search_can_score_or_confirm_is_refused():
    space, blind = default_space(tiny.TRAINED), dataclasses.replace(tiny.SPEAKERS, validation=0)
    check_search(tiny.TRAINED, space, 5)
    with pytest.raises(UserError, match=rf"--set protocols.{blind.name}.validation=1"):
        check_search(tiny.TRAINED.replace(protocols=(blind,)), space, 0)
    machine = tiny.SINGLE.replace(model="svm", config=svm.Config(), sampling=Sampling("whole"))
    check_search(machine, [parse("config.C=1,10")], 0)
    with pytest.raises(UserError, match="no seed changes the model 'svm': leave it out"):
        check_search(machine, [parse("config.C=1,10")], 5)


def test_no_protocol_that_selects_on_the_test_side_judges():
    """The first with disjoint speakers that does not, or none."""
    plain = tiny.SPEAKERS
    leaky = dataclasses.replace(plain, name="leaky", validation=0, chosen_on_test=True)
    assert judging(tiny.TRAINED.replace(protocols=(leaky, plain))).name == plain.name
    with pytest.raises(UserError, match="'leaky' selects on the test set"):
        judging(tiny.TRAINED.replace(protocols=(leaky,)))


def test_first_model_of_a_cascade_can_be_searched():
    key = "first.config.gamma"
    check_space(tiny.CASCADE, [parse(f"{key}=0:1"), parse("epochs=1,2")])
    assert lookup(tiny.CASCADE.override(key, 0.7), key) == 0.7


def test_models_of_a_cascade_share_the_front_end():
    found = tiny.CASCADE.change({"frontend.hop": 200, "config.beta": 0.7})
    assert found.frontend.hop == found.first.frontend.hop == 200
    assert found.config.beta == 0.7 != found.first.config.beta


def test_default_space_is_the_weights_of_the_losses():
    names = [each.key for each in default_space(tiny.TRAINED)]
    assert names == ["config.beta", "config.gamma", "config.mu"]
    both = Recipe("both", "demo", (tiny.EMOTION, tiny.GENDER), (tiny.SPEAKERS,), model="vggvox")
    assert [each.key for each in default_space(both)] == ["tasks.gender.weight"]
    check_space(both, default_space(both))
    with pytest.raises(ValueError, match="has a single loss"):
        default_space(tiny.SINGLE)
    # what else a model proposes has an effect with one task, too
    alone = both.replace(tasks=(tiny.EMOTION,), model="aae_mtl", config=aae_mtl.Config())
    assert [each.key for each in default_space(alone)] == ["config.alpha"]


def test_integer_in_a_float_field_takes_floats():
    recipe = tiny.TRAINED.replace(optimizer=OptimizerConfig("sgd", learning_rate=1))
    kinds = {"config.units": True, "batch_size": True, "config.beta": False, "optimizer.learning_rate": False}
    assert {key: whole_numbers(recipe, key) for key in kinds} == kinds
    check_space(recipe, [parse("optimizer.learning_rate=0.1:1.5")])


def test_search_folder_depends_on_every_argument(tmp_path):
    beta, mu = parse("config.beta=0:1"), parse("config.mu=0:1")
    where = {
        search_folder(recipe, space, tmp_path, folds, seeds, method)
        for recipe in (tiny.TRAINED, tiny.EVERYTHING)
        for space in ([beta], [beta, mu])
        for folds in ([0], [0, 1])
        for seeds in (1, 2)
        for method in ("random", "grid")
    }
    assert len(where) == 32
