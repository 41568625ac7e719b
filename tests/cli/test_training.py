"""Which protocols and seeds of a recipe are asked for."""

import argparse

import pytest

from keras_ser.cli.recipes import _protocols, choose
from keras_ser.cli.training import add_training_arguments, read
from keras_ser.errors import UserError
from keras_ser.models import svm
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

APART = Protocol("unseen", "leave-one-out")
PAPER = Protocol("paper", "random", test=0.2)
OTHER = Protocol("other", "random", test=0.3)


def recipe(*protocols: Protocol) -> Recipe:
    return Recipe("x", "demo", (Task("emotion", ("a", "b")),), protocols)


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        ((PAPER, OTHER, APART), "paper", (PAPER,)),
        ((PAPER, OTHER, APART), "disjoint", (APART,)),
        ((PAPER, OTHER, APART), "both", (PAPER, OTHER, APART)),
        ((PAPER, OTHER, APART), "other", (OTHER,)),
    ],
)
def test_protocols(there, asked, expected):
    assert _protocols(recipe(*there), asked) == expected


@pytest.mark.parametrize(
    ("there", "asked", "known"),
    [
        ((PAPER, OTHER), "disjoint", "paper, both, random, other"),
        ((PAPER, APART), "official", "paper, disjoint, both, random, unseen"),
    ],
)
def test_a_protocol_that_there_is_not(there, asked, known):
    with pytest.raises(ValueError, match=f"--protocol must be one of {known}. Received: '{asked}'"):
        _protocols(recipe(*there), asked)


def seeds(asked: Recipe, *words: str) -> tuple[int, ...]:
    parser = argparse.ArgumentParser()
    add_training_arguments(parser)
    return choose({"x": asked}, parser.parse_args(words), None).seeds


def test_seeds():
    """A support vector machine draws nothing: other seeds would be the same run again, but where labels are shuffled."""
    network, machine = recipe(PAPER), recipe(PAPER).replace(model="svm", config=svm.Config())
    assert seeds(network, "--seeds=3", "--seed=2") == (2, 3, 4) and seeds(network, "--seed=2") == (2,)
    assert seeds(machine, "--seeds=3", "--seed=2") == (2,)
    assert seeds(machine, "--seeds=3", "--shuffle-labels") == (0, 1, 2)


class Read(Exception):
    """The main corpus, in /c, is read."""


@pytest.fixture
def reads(monkeypatch):
    """(main corpus, *words) -> what `read_corpus` is given for each corpus, the main one last."""

    def opened(main: str, *words: str) -> list:
        parser, found = argparse.ArgumentParser(), []

        def caught(name, root, **options):
            found.append((name, root, options))
            if root == "/c":
                raise Read

        monkeypatch.setattr("keras_ser.corpora.read_corpus", caught)
        add_training_arguments(parser)
        options = parser.parse_args(words)
        chosen = choose({"x": recipe(PAPER).replace(corpus=main)}, options, None)
        with pytest.raises(Read):
            read({"x": chosen}, options)
        return found

    return opened


def test_columns_are_those_of_the_auxiliary_table_unless_the_corpus_is_a_table(reads):
    words, by = ["--columns=file=path", "--audio-root=/audio"], {"columns": {"file": "path"}, "audio_root": "/audio"}
    given = ["--corpus-root=/c", "--aux-root=/t.csv"]
    assert reads("emodb", *given, *words) == [("manifest", "/t.csv", by), ("emodb", "/c", {})]
    assert reads("manifest", *given, *words) == [("manifest", "/t.csv", {}), ("manifest", "/c", by)], "the main one's"
    assert reads("emodb", *given, "--aux-corpus=ravdess", *words)[-1] == ("emodb", "/c", by), "which refuses them"


def test_an_auxiliary_corpus_needs_its_folder(reads):
    for asked in (recipe(PAPER), recipe(PAPER).replace(corpus="emodb")):
        with pytest.raises(UserError, match="--aux-corpus ravdess is read from a folder: give --aux-root DIR"):
            seeds(asked, "--aux-corpus=ravdess", "--corpus-root=/c")
    with pytest.raises(UserError, match="--aux-root and --corpus-root manifest= give two corpora"):
        reads("emodb", "--corpus-root=/c", "--aux-root=/t.csv", "--corpus-root=manifest=/u.csv")


def test_corpus_roots_by_name(capsys, tmp_path, monkeypatch):
    """A root with the name of a corpus is that corpus's; any other, "=" and all, is that of the recipe's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    parser = argparse.ArgumentParser()
    add_training_arguments(parser)
    options = parser.parse_args(
        ["--corpus-root", "emodb=/e", "--corpus-root", "librispeech=/l=1", "--corpus-root", "a=b"]
    )
    assert options.corpus_roots == {"emodb": "/e", "librispeech": "/l=1"} and options.corpus_root == "a=b"
    for words, said in (
        (["libripseech=/l"], "there is no corpus 'libripseech'. Did you mean librispeech?"),
        (["xyz=/l"], "there is no corpus 'xyz'. There are "),
        (["slr45=/a", "slr45=/b"], "slr45= is given twice: /a, /b."),
        (["/a", "slr45=/l", "/b"], "--corpus-root is given twice without a name: /a, /b."),
    ):
        with pytest.raises(SystemExit, match="2"):
            parser.parse_args([word for root in words for word in ("--corpus-root", root)])
        assert said in capsys.readouterr().err
    options = parser.parse_args(["--corpus-root", "demo=/d"])
    choose({"x": recipe(PAPER)}, options, None)
    assert options.corpus_root == "/d"
    options = parser.parse_args(["--corpus-root", "/a", "--corpus-root", "demo=/d"])
    with pytest.raises(UserError, match="two folders of demo, the recipe's own corpus: /a and /d"):
        choose({"x": recipe(PAPER)}, options, None)
