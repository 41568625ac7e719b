"""Checks of an experiment before anything is decoded or trained, in the order in which they can be made."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ser.checks import listed
from keras_ser.errors import UserError


def begun(recipe: Any, folder: str | None) -> Any:
    """Return the recipe, set to start from the weights of the run in `folder` if given."""
    if not folder:
        if recipe.initial:
            raise UserError(f"{recipe.name} starts from the weights {recipe.initial}: give their run, --init-from RUN.")
        return recipe
    from keras_ser.models import is_baseline
    from keras_ser.training.transfer import digest

    if recipe.first is not None or is_baseline(recipe):
        raise UserError(f"--init-from initialises a single network. Received: {recipe.name}, a cascade or a baseline.")
    return recipe.replace(initial=digest(folder))


def with_first(recipes: Iterable[Any]) -> list[Any]:
    """Return the recipes, each with the first model of its cascade, if it has one."""
    return [each for recipe in recipes for each in (recipe, recipe.first) if each is not None]


def check_used(recipes: Iterable[Any], auxiliary: Iterable[str], noise_root: Path | str | None) -> None:
    """Refuse what no stream of the recipes uses, by a UserError: names of auxiliary corpora, and a folder of noises."""
    every = with_first(recipes)
    read = {stream.corpus for each in every for stream in each.streams if stream.corpus}
    for name in sorted(set(auxiliary) - read):
        raise UserError(
            f"no stream reads the corpus {name!r}: omit it, or add a stream. Read are: {', '.join(sorted(read)) or 'none'}."
        )
    if noise_root and not any(stream.noises for each in every for stream in each.streams):
        raise UserError(
            f"no stream of {every[0].name} mixes in noise: omit the folder of noises. Received: {noise_root}."
        )


def check_experiment(
    recipe: Any,
    corpus: Any,
    auxiliary: Mapping[str, Any] | None = None,
    folds: Sequence[int] | None = None,
    noise_root: Path | str | None = None,
    initial: Path | str | None = None,
    *,
    final: bool = False,
    out: Path | str | None = None,
) -> None:
    """Check a recipe with its corpora and folds.

    Args:
        recipe: the recipe, its classes filled in.
        corpus: its corpus.
        auxiliary: name -> auxiliary corpus.
        folds: the folds to train (default: all).
        noise_root: folder of noise files.
        initial: folder of the run that provides the initial weights.
        final: whether all clips are trained on, whatever the protocols.
        out: folder of experiments. If the recipe's runs are all finished there, its network is not checked.

    Raises:
        UserError: the recipe cannot be trained, split, monitored or reported.

    Warns:
        SpellingWarning: names of speakers that a split keeps apart differ by zeros alone, as "03" and "3", "1.0" and "1".
    """
    from keras_ser.corpora.spelling import SpellingWarning, differing_by_zeros, quoted
    from keras_ser.experiment.planning import any_left, check_splits, experiment_folder
    from keras_ser.experiment.reporting import paper_figures
    from keras_ser.reports.scores import paper_by_task
    from keras_ser.training.preflight import check_trainable
    from keras_ser.training.transfer import check_start

    if final or any_left(recipe, corpus, folds, experiment_folder(recipe, out) if out else None):
        check_trainable(recipe, auxiliary or {}, Path(noise_root) if noise_root else None)
    paper_by_task(paper_figures(recipe), recipe.tasks)
    if not final:
        others = [(other, {}) for other in (auxiliary or {}).values()]
        check_splits(recipe, corpus, folds, initial, auxiliary=others)
        alike = differing_by_zeros(corpus.counts("speaker"))
        if alike and any("speaker" in protocol.columns_apart for protocol in recipe.protocols):
            found = listed(" and ".join(map(quoted, names)) for names in alike)
            warnings.warn(
                f"speakers whose names differ by zeros alone are taken for different people: {found}. If they are one, "
                "spell the name in one way, or the person is in training and in test.",
                SpellingWarning,
                stacklevel=2,
            )
    elif initial:
        check_start(recipe, initial, corpus, ())


def check_corpus_labels(recipe, corpus, auxiliary: Mapping[str, Any]) -> None:
    """Check that the labels of the corpora match the tasks.

    Raises:
        CorpusError: a task has no labelled clip, a label is unknown to the task, or a class has no clip.
    """
    from keras_ser.corpora import CorpusError, check_task
    from keras_ser.settings import of_stream

    for task in recipe.tasks:
        if of_stream(task):
            continue
        # an auxiliary corpus does not teach every task: see `Data.source`
        alone = task.column == recipe.tasks[0].column and not task.identity
        teaching = {stream.corpus for stream in recipe.streams if stream.teaches}
        others = [other for name, other in auxiliary.items() if not alone or name in teaching]
        check_task(task, corpus, *others)
        nameless = [other.name for other in auxiliary.values() if task.identity and not other.counts(task.column)]
        if nameless:
            raise CorpusError(
                f"the auxiliary corpus {nameless[0]} has no {task.column} for any clip, as the task {task.name!r} needs: add it, "
                "or remove the corpus or the task."
            )
    if recipe.first is not None:
        check_corpus_labels(recipe.first, corpus, auxiliary)
