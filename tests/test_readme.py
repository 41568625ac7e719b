"""What the README says: its figures are those that the stored predictions give."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# value [low, high], as in the tables and in the sentences
FIGURE = re.compile(
    r"([-+]?\d+\.\d)(?:\*\*)?(?: ± \d+\.\d)?(?: points?(?: more)?)?\s\[([-+]?\d+\.\d),\s+([-+]?\d+\.\d)\]"
)


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured() -> set[tuple[float, ...]]:
    """(value, low, high) in percent, of a score, or of a difference in either direction."""
    module, found = load("measured"), set()
    for *_, made in (*module.scores(), *module.averaged(), *module.unseen(), *module.alone()):
        if made.low is not None:
            found.add(rounded(made.value, made.low, made.high))
    for *_, made in module.differences():
        if made.low is not None:
            found.add(rounded(made.difference, made.low, made.high))
            found.add(rounded(-made.difference, -made.high, -made.low))
    return found


def rounded(*values: float) -> tuple[float, ...]:
    return tuple(round(100 * value, 1) + 0.0 for value in values)


@pytest.mark.slow
def test_every_interval_of_the_readme_was_measured(measured):
    quoted = [tuple(map(float, match.groups())) for match in FIGURE.finditer((ROOT / "README.md").read_text())]
    assert len(quoted) > 80
    assert [figures for figures in quoted if figures not in measured] == []
