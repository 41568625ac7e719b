"""The order of the rooms, and who may not import TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_ser

ROOMS = [
    "errors",
    "checks",
    "values",
    "overrides",
    "files",
    "tasks",
    "settings",
    "audio",
    "corpora",
    "splits",
    "features",
    "pipelines",
    "layers",
    "losses",
    "metrics",
    "models",
    "recipe",
    "training",
    "evaluation",
    "reports",
    "experiment",
    "tuning",
    "serving",
    "cli",
]
PACKAGE = Path(keras_ser.__file__).parent
LIGHT = (
    "keras_ser",
    "errors",
    "checks",
    "values",
    "overrides",
    "settings",
    "files",
    "audio",
    "corpora",
    "splits",
    "recipe",
    "evaluation",
    "reports",
    "cli",
)


def room(module: str) -> str:
    """keras_ser.pipelines.streams -> pipelines."""
    return (module.split(".") + [""])[1]


def imports(path: Path) -> set[str]:
    """Our modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}, line {node.lineno}: an import names its room in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "keras_ser"}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts), path


def test_every_module_is_in_a_room():
    strays = {room(name) for name, _ in modules()} - set(ROOMS) - {"__init__", "_version"}
    assert not strays, f"not in the list of rooms: {strays}"


def test_imports_point_to_earlier_rooms():
    checked = 0
    for name, path in modules():
        own = room(name)
        for imported in imports(path) if own in ROOMS else ():
            other = room(imported)
            if other in ROOMS:
                checked += 1
                assert ROOMS.index(other) <= ROOMS.index(own), f"{name} imports {imported}: a later room"
    assert checked > 100


def test_the_order_is_tested_at_all(tmp_path):
    """An import inside a function, and one by a package's name, are seen."""
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from keras_ser import splits\n    import keras_ser.cli\nimport numpy\n")
    assert {room(name) for name in imports(file)} == {"splits", "cli"}


@pytest.mark.parametrize("name", LIGHT)
def test_no_tensorflow(name):
    module = name if name == "keras_ser" else f"keras_ser.{name}"
    script = (
        f"import sys, {module}\n"
        "heavy = sorted({m.split('.')[0] for m in sys.modules} & {'tensorflow', 'keras', 'torch', 'jax'})\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr


def test_a_recipe_needs_no_tensorflow():
    """Reading, overriding and hashing recipes, and splitting a corpus, is quick."""
    script = (
        "import sys\n"
        "from keras_ser.recipe import Recipe\n"
        "from keras_ser.splits import Protocol\n"
        "from keras_ser.tasks import Task\n"
        "r = Recipe('x', 'demo', (Task('emotion', ('a', 'b')),), (Protocol('p'),)).override('config.beta', '0.3')\n"
        "assert Recipe.from_json(r.to_json()).hash == r.hash\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
