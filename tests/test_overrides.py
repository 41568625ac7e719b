"""Recipe.override: every field by its dotted key, and what is refused."""

import dataclasses
import json

import pytest

from keras_ser.errors import UserError
from keras_ser.models.aspmtl import Config
from keras_ser.recipe import Stream
from tests.test_recipe import AROUSAL, EMOTION, FIRST, NOISE, RECIPE, SIMPLE


def test_setting_a_task_by_its_number_leaves_another_task_of_the_first_model_alone():
    """Number 1 is the arousal in the second model and the noise in the first."""
    changed = RECIPE.change({"tasks.1.weight": 0.3})
    assert [task.weight for task in changed.tasks] == [1.0, 0.3]
    assert changed.first == RECIPE.first
    first = FIRST.replace(tasks=(NOISE, EMOTION, AROUSAL))
    for key in ("tasks.1.weight", "tasks.arousal.weight"):
        changed = RECIPE.replace(first=first).change({key: 0.3})
        assert [task.weight for task in changed.first.tasks] == [1.0, 1.0, 0.3], key
    changed = RECIPE.replace(first=first).change({"tasks.0.weight": 2})
    assert [task.weight for task in changed.first.tasks] == [1.0, 2.0, 0.5]


def test_front_end_and_shared_tasks_follow_in_the_first_model():
    changed = RECIPE.change({"frontend.bins": 32, "tasks.emotion.labels": "anger,joy"})
    assert changed.first.frontend == changed.frontend and changed.frontend.bins == 32
    assert changed.first.tasks[0].labels == changed.tasks[0].labels == ("anger", "joy")
    assert RECIPE.change({"first.tasks.noise.weight": 3}).first.tasks[1].weight == 3
    masked = RECIPE.replace(first=FIRST.replace(config=Config(adversary=None, mask_bins=257)), discard="mask")
    for changes in ({"frontend.hop": 80, "first.frontend.hop": 100}, {"first.frontend.hop": 100, "frontend.hop": 80}):
        changed = masked.change(changes)
        assert (changed.frontend.hop, changed.first.frontend.hop) == (80, 100), "a key of its own goes first"


def test_pairs_of_numbers_are_a_list_in_json():
    with pytest.raises(UserError, match=r"expected a JSON list, such as \[\[2, 2\], .* Received: '2,2'"):
        SIMPLE.change({"config.pools": "2,2"})
    assert SIMPLE.change({"config.pools": "[[3,2],[2,2],[2,1],[1,1]]"}).config.pools[0] == (3, 2)
    with pytest.raises(UserError, match=r"expected a JSON object, such as \{"):
        SIMPLE.change({"tasks.emotion.merge": "joy,happiness"})


def test_another_model_comes_with_its_own_settings():
    changed = SIMPLE.change({"model": "svm", "config.kernel": "linear"})
    assert type(changed.config).__module__ == "keras_ser.models.svm" and changed.config.kernel == "linear"
    with pytest.raises(UserError, match="`config` must be the Config of the model 'svm'"):
        SIMPLE.replace(model="svm")


def leaves(value, path=""):
    """Dotted key -> value of every plain field of a recipe."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), f"{path}.{field.name}" if path else field.name)
    elif isinstance(value, tuple) and value and (dataclasses.is_dataclass(value[0]) or isinstance(value[0], tuple)):
        for i, item in enumerate(value):
            yield from leaves(item, f"{path}.{i}")
    else:
        yield path, value


def test_every_field_can_be_overridden_by_itself():
    """Given as its own JSON, each value comes back; and as a value."""
    keys = dict(leaves(RECIPE))
    assert len(keys) > 100
    for key, value in keys.items():
        text = value if isinstance(value, str) else json.dumps(value)
        assert RECIPE.override(key, text) == RECIPE, key
        assert RECIPE.override(key, value) == RECIPE, key


def found(recipe, key):
    for head in key.split("."):
        if isinstance(recipe, tuple):
            names = [getattr(item, "name", str(i)) for i, item in enumerate(recipe)]
            recipe = recipe[names.index(head) if head in names else int(head)]
        else:
            recipe = getattr(recipe, head)
    return recipe


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("epochs", "7", 7),
        ("name", "12", "12"),
        ("name", '"quoted"', "quoted"),
        ("seeds", "[4, 5]", (4, 5)),
        ("seeds", "4,5", (4, 5)),
        ("seeds", "4", (4,)),
        ("optimizer.learning_rate", "1e-4", 1e-4),
        ("optimizer.weight_decay", "1", 1.0),
        ("config.normalize", "false", False),
        ("config.adversary", "none", None),
        ("config.pools.3.0", "4", 4),
        ("config.pools.3", "[4, 4]", (4, 4)),
        ("streams.noisy.share", "0.5", 0.5),
        ("streams.noisy.snr", "-5,10", (-5.0, 10.0)),
        ("streams.noisy.snr", "0", (0.0,)),
        ("streams.noisy.noises", "white, factory", ("white", "factory")),
        ("streams.noisy.noises", "", ()),
        ("tasks.0.weight", "2", 2.0),
        ("tasks.emotion.labels", "joy, anger,5", ("joy", "anger", "5")),
        ("protocols.loso.validation", "0.25", 0.25),
        ("first.streams.noisy.snr", "[1.5]", (1.5,)),
        ("first.tasks.noise.labels", '["clean", "pink"]', ("clean", "pink")),
        ("corpus_options.0.1", '["joy"]', ("joy",)),
    ],
)
def test_overrides(key, text, value):
    new = RECIPE.override(key, text)
    assert found(new, key) == value and type(found(new, key)) is type(value)
    assert new.override(key, found(RECIPE, key)) == RECIPE  # nothing else changed


def test_fields_that_are_empty_can_be_overridden():
    assert SIMPLE.override("config.adversary", "none").override("config.adversary", "label").config.adversary == "label"
    assert SIMPLE.override("tasks.emotion.ignore", "x,y").tasks[0].ignore == ("x", "y")
    assert SIMPLE.override("corpus_options", '[["emotions", ["a"]]]').corpus_options == (("emotions", ("a",)),)
    lists = SIMPLE.override("protocols.random.stated", '[["a", "b"], ["c"]]')
    assert lists.protocols[0].stated == (("a", "b"), ("c",))
    assert SIMPLE.override("frontend.features", "mfcc").frontend.features == ("mfcc",)
    assert SIMPLE.override("frontend.features.0", "log_mel").frontend.features[0] == "log_mel"
    with_whole = SIMPLE.replace(streams=(Stream("s", share=1),))  # a whole number where a float belongs
    assert with_whole.override("streams.s.share", "0.5").streams[0].share == 0.5


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("epoch", r"^epoch: Recipe has no 'epoch'. Did you mean epochs\? It has: name, corpus, tasks"),
        ("config.betta", r"^config.betta: Config has no 'betta'. Did you mean beta"),
        ("streams.noise.share", r"^streams.noise.share: there is no 'noise'. There are: clean, noisy"),
        ("streams.7.share", r"there is no '7'. There are: clean, noisy"),
        ("first.first.epochs", r"first.first is not set in this recipe, without 'epochs'"),
        ("epochs.x", r"40 is a plain value, without 'x'"),
        ("seeds.5", r"there is no '5'. There are: 0, 1, 2"),
        ("config", r"name a field of it: encoder, units"),
        ("streams", r"name a field of it: clean, noisy, name, corpus, noises"),
        ("", r"Recipe has no ''"),
    ],
)
def test_unknown_keys_list_their_neighbours(key, message):
    with pytest.raises(KeyError, match=message):
        RECIPE.override(key, "1")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epochs", "ten", "^epochs: expected int, such as 40. Received: 'ten'."),
        ("epochs", "1.5", "expected int"),
        ("optimizer.learning_rate", "fast", "expected float, such as 0.002"),
        ("config.normalize", "1", "expected bool"),
        ("seeds", "a,b", r"expected tuple\[int, ...\], such as 0,1,2\. Received"),
        ("streams.noisy.snr", "low", r"expected tuple\[float, ...\]"),
        ("config.pools.0", "2", r"expected tuple\[int, int\]"),
        ("tasks.arousal.low", "x", r"expected float \| None"),
        ("name", 5, "expected str"),
        ("config.encoder", "rnn", "`encoder` must be one of"),
        ("sampling.kind", "bits", "`sampling.kind` must be one of segments, crop, whole"),
        ("streams.noisy.name", "clean", "the streams of a recipe need distinct names"),
        ("precision", "float8", "`precision` must be one of float32, mixed_bfloat16"),
        ("epochs", "0", "`epochs` must be at least 1"),
        ("patience", "-1", "`patience` must be at least 0"),
        ("seeds", "0,1,0", "`seeds` must be distinct"),
        ("seeds", "-1", "`seeds` must be distinct, at least 0"),
        ("streams.noisy.share", "NaN", "`share` must be over 0"),
        ("streams.noisy.snr", "", "'noisy' mixes in noises and needs at least one `snr`"),
        ("sampling.hop", "0", "`hop` must be at least 1. Received: hop=0"),
        ("tasks.emotion.name", "group", "cannot be called 'group'"),
    ],
)
def test_values_that_cannot_be(key, value, message):
    with pytest.raises(ValueError, match=message):
        RECIPE.override(key, value)
