"""A mistake is one line and 2, an interrupt one line and 130, a fault of ours a traceback."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from keras_ser.cli import error_handling, main
from keras_ser.cli.error_handling import guarded
from keras_ser.cli.recipes import load_recipes
from keras_ser.corpora import CorpusError
from keras_ser.errors import DivergenceError, UnknownKeyError, UserError
from keras_ser.training.preflight import PrecisionWarning
from tests.serving.runs import SHARED_PRIVATE, describe


def fail(error: Exception, asked: bool = False):
    def action():
        if asked:
            error_handling._asked.set()
        raise error

    return action


@pytest.mark.parametrize(
    "error",
    [UserError("a\nb"), UnknownKeyError("a b"), OSError("a b"), DivergenceError("a b"), CorpusError("a b")],
    ids=lambda e: type(e).__name__,
)
def test_a_mistake(error, capsys):
    assert guarded(fail(error)) == 2
    assert capsys.readouterr().err == "keras-ser: error: a b\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(28, "No space left on device", "/out/part/a.txt"),
            "/out/part: cannot write a.txt, the disk is full. ",
        ),
        (
            OSError(28, "No space left on device"),
            "cannot write, the disk is full ([Errno 28] No space left on device). ",
        ),
        (
            RuntimeError("/out; No space left on device"),
            "cannot write, the disk is full (/out; No space left on device). ",
        ),
    ],
)
def test_a_full_disk_is_one_line(error, words, capsys):
    """Whoever raises it: Python, or TensorFlow with an error of its own."""
    assert guarded(fail(error)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"keras-ser: error: {words}All files written before are whole") and said.count("\n") == 1


@pytest.mark.parametrize("command", ["predict", "train"])
def test_another_backend_is_one_line_whether_it_is_installed_or_not(command, tmp_path):
    """Without JAX Keras cannot be imported at all."""
    (tmp_path / "run").mkdir()
    describe(SHARED_PRIVATE, tmp_path / "run")
    (tmp_path / "run" / "model.keras").touch()
    recipe = Path(__file__).parents[2] / "recipes" / "own.py"
    given = {"predict": ["run", "run"], "train": [recipe, "--corpus=demo", "--epochs=1", "--quiet"]}
    (tmp_path / "run" / "a.wav").touch()
    script = f"import sys; from keras_ser.cli import main; sys.exit(main({[command, *map(str, given[command])]}))"
    env = {**os.environ, "KERAS_BACKEND": "jax", "KERAS_SER_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=env)
    (line,) = (each for each in done.stderr.splitlines() if "skipped" not in each)
    assert done.returncode == 2 and line.startswith("keras-ser: error: ") and not (tmp_path / "saved_models").exists()
    assert "KERAS_BACKEND=tensorflow" in line and "Received: jax" in line


def test_a_module_that_is_missing_besides_the_backend_is_our_fault():
    with pytest.raises(ModuleNotFoundError, match="torch"):
        guarded(fail(ModuleNotFoundError("No module named 'torch'", name="torch")))


def test_warnings_of_this_package_are_one_line_each(capsys):
    def action():
        warnings.warn("slow.", PrecisionWarning, stacklevel=1)
        warnings.warn("theirs", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="theirs"):
        guarded(action)
    assert capsys.readouterr().err == "keras-ser: warning: slow.\n"


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, ValueError])
def test_faults_of_ours_keep_their_traceback(kind):
    """KeyError: 'loss' is no mistake of a user."""
    with pytest.raises(kind, match="ours"):
        guarded(fail(kind("ours")))


def test_an_interrupt_that_came_out_as_something_else(capsys):
    """TensorFlow makes errors of its own of what is raised while it works."""
    assert guarded(fail(RuntimeError("INTERNAL: ..."), asked=True), "go on") == 130
    assert guarded(lambda: os.kill(os.getpid(), signal.SIGINT), "go on") == 130
    assert capsys.readouterr().err == "go on\ngo on\n"
    assert guarded(lambda: 0) == 0, "the next command is not interrupted"


@pytest.mark.parametrize("demo", ["('anger', 'calm')", "'nowhere'", "{}", "None", "'b'"])
def test_the_demo_variant_is_one_of_the_recipes(demo, tmp_path):
    recipes = "RECIPES = {n: Recipe(n, 'demo', Task('emotion', ('x', 'y')), Protocol('random')) for n in 'ab'}"
    text = f"from keras_ser import Protocol, Recipe, Task\n{recipes}\nDEMO = {demo}\n"
    (tmp_path / "mine.py").write_text(text)
    recipes, found = load_recipes(str(tmp_path / "mine.py"))
    assert list(recipes) == ["a", "b"] and found == ("b" if demo == "'b'" else None)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "1 / 0", "a.py as a recipe: ZeroDivisionError"),
        ("a.py", "RECIPES = {}", "defines no RECIPES"),
        ("a.py", "RECIPES = {'a': 5}", "defines no RECIPES"),
        ("a.json", "x", "a.json as a recipe: expected JSON: Expecting value"),
    ],
)
def test_recipes_that_are_none(name, text, words, tmp_path, capsys):
    (tmp_path / name).write_text(text)
    assert main(["train", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
