"""The order of the packages, and who may not import TensorFlow."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import keras_ser

PACKAGES = [
    "errors",
    "files",
    "checks",
    "values",
    "overrides",
    "machine",
    "progress",
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
    "recipe_checks",
    "recipe",
    "training",
    "evaluation",
    "reports",
    "engines",
    "experiment",
    "tuning",
    "serving",
    "cli",
    "api",
    "sklearn",
]
PACKAGE = Path(keras_ser.__file__).parent
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LIGHT = (
    "keras_ser",
    "errors",
    "checks",
    "values",
    "overrides",
    "settings",
    "files",
    "machine",
    "progress",
    "audio",
    "corpora",
    "splits",
    "recipe",
    "evaluation",
    "reports",
    "experiment.comparing",
    "experiment.listing",
    "training.run",
    "training.owner",
    "engines",
    "cli",
    "api",
)


def package(module: str) -> str:
    """keras_ser.pipelines.streams -> pipelines."""
    return (module.split(".") + [""])[1]


def imports(path: Path) -> set[str]:
    """Our modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}, line {node.lineno}: an import names its package in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "keras_ser"}


def imported_files(path: Path, names: set[str]) -> set[str]:
    """Those of `names` that a file imports, also within functions, but not for type checking alone."""
    tree = ast.parse(path.read_text())
    unseen = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for part in block.body
        for node in ast.walk(part)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in unseen:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and id(node) not in unseen:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole if whole <= names else {*whole, node.module}
    return found & names


def circles(links: dict[str, set[str]]) -> set[frozenset[str]]:
    """The sets of files that lead to each other."""
    reached = {}
    for name in links:
        reached[name], todo = set(), [name]
        while todo:
            new = links[todo.pop()] - reached[name]
            reached[name] |= new
            todo += new
    return {frozenset(other for other in reached[name] if name in reached[other]) for name in links} - {frozenset()}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts), path


def test_every_module_is_in_a_package():
    strays = {package(name) for name, _ in modules()} - set(PACKAGES) - {"__init__", "_version"}
    assert not strays, f"not in the list of packages: {strays}"


def test_imports_point_to_earlier_packages():
    checked = 0
    for name, path in modules():
        own = package(name)
        for imported in imports(path) if own in PACKAGES else ():
            other = package(imported)
            if other in PACKAGES:
                checked += 1
                assert PACKAGES.index(other) <= PACKAGES.index(own), f"{name} imports {imported}: a later package"
    assert checked > 100


def test_the_order_is_tested_at_all(tmp_path):
    """An import inside a function, and one by a package's name, are seen."""
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from keras_ser import splits\n    import keras_ser.cli\nimport numpy\n")
    assert {package(name) for name in imports(file)} == {"splits", "cli"}


def test_no_two_files_import_each_other():
    files = {name.removesuffix(".__init__"): path for name, path in modules()}
    links = {name: imported_files(path, set(files)) - {name} for name, path in files.items()}
    assert sum(map(len, links.values())) > 300
    assert circles(links) == set()


def test_circles_are_seen(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a.typed\n"
        "def f():\n    from a import b, g\n    import a.c\n"
    )
    assert imported_files(file, {"a", "a.b", "a.c", "a.typed"}) == {"a", "a.b", "a.c"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {frozenset("bc")}


def test_the_lists_of_packages_that_are_read_are_this_one():
    for text in (keras_ser.__doc__, (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()):
        assert ", ".join(PACKAGES) + "." in " ".join(text.split())


def test_the_drawing_of_the_house_is_the_same_in_both_places():
    text = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    drawn = text.split("```")[1].strip("\n")
    assert "corpora --> splits" in drawn
    assert drawn in "\n".join(line.removeprefix("    ") for line in keras_ser.__doc__.splitlines())


def test_no_file_is_too_long_to_be_of_one_idea():
    long = {name for name, path in modules() if len(path.read_text().splitlines()) > 300}
    assert long == set()


def test_no_module_has_the_name_of_a_function_in_it():
    named = set()
    for name, path in modules():
        defined = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        if path.stem in defined:
            named.add(name)
    assert named == set()


@pytest.mark.parametrize("script", sorted(path.name for path in BENCHMARKS.glob("*.py")))
def test_what_benchmarks_import_is_there(script):
    for name in imports(BENCHMARKS / script) - {"keras_ser"}:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute) or importlib.util.find_spec(name), name


def test_no_tensorflow():
    """One after the other in one process; the first that imports it is named."""
    names = [name if name == "keras_ser" else f"keras_ser.{name}" for name in LIGHT]
    script = (
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        "    heavy = sorted({m.split('.')[0] for m in sys.modules} & {'tensorflow', 'keras', 'torch', 'jax'})\n"
        "    assert not heavy, (name, heavy)"
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
