"""README and documentation: figures are those that the stored predictions give, links lead to files, examples run."""

import importlib.util
import os
import pkgutil
import re
import runpy
import subprocess
import sys
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
    for *_, made in (*module.scores(), *module.averaged(), *module.unseen()):
        if made.low is not None:
            found.add(rounded(made.value, made.low, made.high))
    for *_, made in (*module.differences(), *module.differences(left_out=True)):
        if made.low is not None:
            found.add(rounded(made.difference, made.low, made.high))
            found.add(rounded(-made.difference, -made.high, -made.low))
    return found


def rounded(*values: float) -> tuple[float, ...]:
    return tuple(round(100 * value, 1) + 0.0 for value in values)


# written when the site is built
GENERATED = ("docs/cli.md", "docs/recipes.md", "docs/corpora.md", "docs/api.md")


def pages() -> dict[str, str]:
    """Path -> text of the README and of every page of the documentation that is written by hand."""
    every = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = {path.relative_to(ROOT).as_posix(): path for path in every}
    kept = {n: p for n, p in names.items() if n not in GENERATED and not {"_build", "api"} & set(p.parts)}
    return {name: path.read_text() for name, path in kept.items()}


@pytest.fixture(scope="module")
def figures():
    """The script that writes the figures of the documentation."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import figures
    finally:
        sys.path.pop(0)
    return figures


def quoted(text: str) -> list[tuple[float, ...]]:
    return [tuple(map(float, match.groups())) for match in FIGURE.finditer(text)]


@pytest.mark.slow
def test_every_interval_of_readme_and_docs_was_measured(measured):
    shown = {name: quoted(text) for name, text in pages().items()}
    wrong = {name: [each for each in found if each not in measured] for name, found in shown.items()}
    assert {name: found for name, found in wrong.items() if found} == {}
    assert len(shown["README.md"]) >= 5 and sum(map(len, shown.values())) > 120


@pytest.mark.slow
def test_every_figure_of_the_docs_is_that_of_the_predictions_it_names(figures):
    sourced = {name: text for name, text in pages().items() if "<!--" in text}
    assert [name for name, text in sourced.items() if figures.updated(text) != text] == []
    assert sourced["README.md"].count("<!--") >= 8 and sum(text.count("<!--") for text in sourced.values()) > 250


def test_figures_of_a_page_are_written_in_place_of_old_ones(figures, monkeypatch):
    found = {"score": lambda text: f"1.0 [0.5, {len(text)}.0]", "seeds": lambda text: "4.0, 5.0"}
    monkeypatch.setattr(figures, "RENDER", found)
    page = (
        "2.0, 7.0\n  [-1.0,\n  3.0]<!-- score a\n b --> and +9<!-- score ab -->, of 1.0, 2.0,\n3.0<!-- seeds c --> "
        "| ?<!-- score - -->"
    )
    assert figures.updated(page) == (
        "2.0, 1.0 [0.5, 3.0]<!-- score a\n b --> and 1.0 [0.5, 2.0]<!-- score ab -->, of 4.0, 5.0<!-- seeds c --> "
        "| 1.0 [0.5, 1.0]<!-- score - -->"
    )
    for wrong in ("none<!-- score a -->", "2.0<!-- median a -->", "2.0 <!-- score a -->"):
        with pytest.raises(
            ValueError, match=r"1 comments have no figure before them, or none of the kinds score, seeds\."
        ):
            figures.updated(wrong)
    unchanged = "4.0,\n  5.0<!-- seeds c -->"
    assert figures.updated(unchanged) == unchanged


def test_percent_rounds_to_tenths_without_minus_zero(figures):
    assert figures.percent(0.7216, 0.6449, 0.788) == "72.2 [64.5, 78.8]"
    assert figures.percent(-0.0004, -0.21, 0.18) == "0.0 [-21.0, 18.0]"
    assert figures.percent(0.043, 0.001, 0.085, "+") == "+4.3 [0.1, 8.5]"


def test_si_sdr_of_the_docs_is_the_mean_over_clips(figures):
    pd = pytest.importorskip("pandas")
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "aspmtl_noise" / "denoising.csv.gz")
    rows = table[(table["noise"] == "white") & (table["method"] == "mask")]
    # one seed, 100 clips a cell: the mean over clips
    expected = [rows[rows["snr_in"] == snr]["si_sdr"].mean() for snr in (10, 5, -5, -10)]
    assert figures.RENDER["si_sdr"]("white mask") == " / ".join(f"{value:.1f}" for value in expected)


def test_readme_is_short_and_shows_the_tested_example():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150 and len(text.split()) <= 800
    code, output = ((ROOT / "docs" / "code" / name).read_text() for name in ("first.py", "first.txt"))
    assert f"```python\n{code}```" in text and f"```text\n{output}```" in text


@pytest.mark.parametrize("page", sorted(pages()))
def test_links_between_pages_lead_to_files(page):
    folder = (ROOT / page).parent
    links = re.findall(r"\]\(([^)#\s]+)", re.sub(r"```.*?```", "", pages()[page], flags=re.DOTALL))
    local = [link for link in links if "://" not in link and (folder / link).as_posix() not in made()]
    assert [link for link in local if not (folder / link).exists()] == []


@pytest.mark.parametrize("page", sorted(pages()))
def test_names_of_the_package_on_pages_can_be_imported(page):
    for name in set(re.findall(r"`(keras_ser(?:\.[A-Za-z_]\w*)+)", pages()[page])):
        pkgutil.resolve_name(name)


def made() -> set[str]:
    return {(ROOT / name).as_posix() for name in GENERATED}


def run_script(script: Path, folder: Path) -> str:
    """The output of a script that is run in a folder of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, str(script)], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Run a script in this process, which has TensorFlow already, in a folder; return its output."""
    import matplotlib.pyplot as plt

    def run(script: Path, folder: Path) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(script.parent))
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out

    yield run
    plt.close("all")


def scores_of(output: str) -> list[tuple[str, ...]]:
    """(task, protocol, UAR) of each row."""
    return re.findall(r"^(emotion|gender) +(\S+) +(\d+\.\d)", output, flags=re.MULTILINE)


@pytest.mark.slow
def test_first_example_prints_what_the_readme_shows(tmp_path):
    code = ROOT / "docs" / "code"
    output, expected = run_script(code / "first.py", tmp_path), (code / "first.txt").read_text()
    shape = re.compile(r"\d+\.\d")
    assert shape.sub("0.0", " ".join(output.split())) == shape.sub("0.0", " ".join(expected.split()))
    # another machine's arithmetic may differ in the last bits, and a network then in some clips
    for (*row, found), (*same, value) in zip(scores_of(output), scores_of(expected), strict=True):
        assert row == same and abs(float(found) - float(value)) < 12


@pytest.mark.slow
def test_gru_of_the_docs_trains(tmp_path, run_here):
    output = run_here(ROOT / "docs" / "code" / "train_gru.py", tmp_path)
    assert [row[:2] for row in scores_of(output)] == [("emotion", "unseen-speakers"), ("gender", "unseen-speakers")]
    code = (ROOT / "docs" / "code" / "gru.py").read_text()
    assert len(code.splitlines()) <= 45


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "docs" / "examples").glob("plot_*.py")))
def test_example_of_the_gallery_runs(script, tmp_path_factory, run_here):
    folder = tmp_path_factory.getbasetemp() / "gallery"  # they share one trained run
    folder.mkdir(exist_ok=True)
    (folder / "saved_models").mkdir(exist_ok=True)
    assert run_here(ROOT / "docs" / "examples" / script, folder).strip()
