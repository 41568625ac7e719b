"""Every recipe is a plain value, and its page is its help."""

import re
import subprocess
import sys

import pytest

from keras_ser.cli.recipe_script import common_name
from keras_ser.cli.recipes import load_recipes
from keras_ser.corpora import CORPORA, read_corpus
from keras_ser.evaluation import metric_names
from keras_ser.experiment.preparing import check_corpus_labels
from keras_ser.recipe import Recipe
from keras_ser.splits import check_split
from tests.recipes.common import RECIPES, imported, script

FILES = sorted(
    path for path in RECIPES.glob("*.py") if path.stem not in ("aae", "aae_sweeps", "aspmtl", "multilevel", "vggvox")
)


EVERY = [
    pytest.param(recipe, id=f"{path.stem}-{variant}")
    for path in FILES
    for variant, recipe in load_recipes(str(path))[0].items()
]


@pytest.mark.parametrize("recipe", EVERY)
def test_a_recipe_is_a_plain_value(recipe):
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.corpus in CORPORA
    if len(recipe.protocols) == 2:
        # the paper's split; beside it there is one that keeps people, films or recordings apart
        assert recipe.protocols[0].speaker_dependent or recipe.protocols[0].chosen_on_test
    # the last of them keeps its promises, but where persons are to be named
    last = recipe.protocols[-1]
    assert (last.columns_apart or recipe.tasks[0].identity) and last.together and not last.chosen_on_test
    # what is printed as the paper's figure is a fraction with a source
    assert all(0 < value < 1 and "table" in source for _, _, value, source in recipe.paper)
    assert {(task, metric) for task, metric, *_ in recipe.paper} <= {
        (task.name, metric) for task in recipe.tasks for metric in metric_names(task)
    }


# files with several systems; the variants of own.py are its systems
SEVERAL = [
    path for path in FILES if re.search(r"^VARIANTS = |^def variants", path.read_text(), re.M) and path.stem != "own"
]


@pytest.mark.parametrize("path", SEVERAL, ids=lambda path: path.stem)
def test_reports_of_two_variants_have_different_titles(path):
    """Reports of clusters-3 and clusters-5, or of single levels and of all of them, whatever systems are chosen."""
    module = imported(path.stem)
    made = module.variants(module.NOTHING) if path.stem.startswith("multilevel") else module.VARIANTS
    titles = {common_name(systems): systems for systems in made.values()}
    assert len(titles) == len(made)
    for title, systems in titles.items():
        assert {common_name({name: recipe}) for name, recipe in systems.items()} == {title}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_help_prints_the_page(path):
    done = script(path.stem, "--help")
    assert not done.returncode and path.stem in done.stdout and "--corpus-root" in done.stdout
    assert path.read_text().splitlines()[0].lstrip('"') in done.stdout


def test_a_recipe_is_a_script_of_its_own():
    """From another folder than that of its neighbours, which it imports."""
    command = [sys.executable, str(RECIPES / "aspmtl_compare.py"), "--help"]
    assert "aspmtl_compare" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize(("name", "corpus"), [("emodb", "emodb"), ("ravdess", "ravdess")])
def test_recipes_fit_the_real_corpora(shared_data, name, corpus):
    from keras_ser.corpora.inspection import check

    corpus = read_corpus(corpus, shared_data / corpus)
    recipes, _ = load_recipes(str(RECIPES / f"aspmtl_{name}.py"))
    hashes = {i: str(k) for k, ids in enumerate(check(corpus).duplicates) for i in ids}
    for recipe in recipes.values():
        check_corpus_labels(recipe, corpus, {})
        for protocol in recipe.protocols:
            splits = protocol.splits(corpus, hashes=hashes, stratify="emotion")
            for split in splits:
                check_split(split, corpus, hashes)
            tested = [i for split in splits for i in split.test]
            assert len(tested) == len(set(tested))
            assert protocol.kind == "random" or len(tested) == len(corpus)
