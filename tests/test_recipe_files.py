"""A recipe.json that was changed by hand or damaged is a recipe, or is refused in one line: never a traceback."""

import copy
import json
import random

import pytest

from keras_ser.cli import main
from keras_ser.errors import UserError
from keras_ser.recipe import Recipe
from tests.test_cli import mistake, write_rows
from tests.test_recipe import RECIPE, SIMPLE
from tests.training import tiny

GOOD = {recipe.name: recipe for recipe in (RECIPE, SIMPLE, tiny.STRETCHED, tiny.EVERYTHING, tiny.MASKED)}
VALUES = [
    None, True, False, 0, -1, 1, 2, 10**30, 10**400, -0.5, 1.5, 1e308, float("nan"), float("inf"), -float("inf"),
    "", " ", "x", "0.5", "a/b", "../../x", "my emotion", "éèê", "x" * 101, "x" * 10_000, "\0", "a\nb", "\x1b[31m", "\ud800",
    "prediction", "svm", [], [[]], [None], [[[[None]]]], ["a"] * 10_000, list(range(10_000)), {}, {"x": None}, {"name": "x"},
    [{}], [1, 2], ["a", "a"], [[1, 2]],
]  # fmt: skip
KEYS = ["later", "x" * 200, "\x1b[0m", "", "name", "__class__"]
TEXTS = [
    "",
    " ",
    "{",
    "[]",
    "null",
    "5",
    '"x"',
    "NaN",
    "[" * 100_000,
    '{"a":' * 100_000,
    "{}{}",
    "\ufeff{}",
    "\0",
    '{"name": 1' + "0" * 5000 + "}",
]


def places(data, path=()):
    """Every place in nested dicts and lists."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutated(good: dict, rng: random.Random) -> dict:
    """One or two places of a recipe's JSON set, removed or added."""
    data = copy.deepcopy(good)
    for _ in range(rng.choice((1, 1, 2))):
        *path, last = rng.choice(list(places(data)))
        owner = data
        for key in path:
            owner = owner[key]
        kind = rng.choice(("set", "set", "set", "remove", "add"))
        if kind == "set":
            owner[last] = rng.choice(VALUES)
        elif kind == "remove":
            del owner[last]
        elif isinstance(owner, dict):
            owner[rng.choice(KEYS)] = rng.choice(VALUES)
        else:
            owner.append(rng.choice(VALUES))
    return data


@pytest.mark.parametrize("name", GOOD)
def test_mutated_recipes_are_refused_in_one_line_or_are_recipes(name):
    good, refused = json.loads(GOOD[name].to_json()), 0
    for seed in range(150):
        text = json.dumps(mutated(good, random.Random(seed)))
        try:
            recipe = Recipe.from_json(text)
        except UserError as error:
            refused += 1
            assert str(error).isprintable() and len(str(error)) < 1000, seed
            continue
        assert Recipe.from_json(recipe.to_json()) == recipe and len(recipe.hash) == 8, seed
        json.dumps(recipe.to_dict(), allow_nan=False)
        hash(recipe)
    assert 75 < refused < 150


@pytest.mark.parametrize("text", TEXTS, ids=[repr(text[:12]) for text in TEXTS])
def test_text_that_is_no_recipe(text):
    with pytest.raises(UserError) as caught:
        Recipe.from_json(text)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_mutated_recipe_files_on_the_command_line(tmp_path, capsys, monkeypatch):
    """Nothing is written outside --out."""
    import keras_ser.training.data as room

    class Decoded(BaseException):
        pass

    def decode(*args, **kwargs):
        raise Decoded

    monkeypatch.setattr(room, "cache", decode)
    rows = [
        {"file": f"{i}.wav", "speaker": speaker, "gender": gender, "emotion": emotion}
        for i, (speaker, gender, emotion) in enumerate(
            (speaker, gender, emotion)
            for speaker, gender in zip("abcdef", ("female", "male") * 3, strict=True)
            for emotion in tiny.EMOTION.labels
        )
    ]
    for row in rows:
        (tmp_path / row["file"]).write_bytes(b"")
    write_rows(tmp_path / "clips.csv", rows)
    good = json.loads(tiny.TRAINED.replace(corpus="manifest").to_json())
    file = tmp_path / "recipe.json"
    command = ["train", str(file), "--corpus-root", str(tmp_path / "clips.csv"), "--out", str(tmp_path / "out")]
    file.write_text(json.dumps(good))
    with pytest.raises(Decoded):
        main(command)
    capsys.readouterr()
    before = {*tmp_path.rglob("*"), tmp_path / "out"}
    for seed in range(12):
        file.write_text(json.dumps(mutated(good, random.Random(seed))))
        try:
            code = main(command)
        except Decoded:
            capsys.readouterr()
            continue
        message = mistake(capsys, code)
        assert message.isprintable() and len(message) < 1200
    assert not [path for path in {*tmp_path.rglob("*")} - before if tmp_path / "out" not in path.parents]


def test_binary_recipe_file(tmp_path, capsys):
    (tmp_path / "recipe.json").write_bytes(bytes(range(128, 256)))
    assert "as a recipe" in mistake(capsys, main(["train", str(tmp_path / "recipe.json")]))
