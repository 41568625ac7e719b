"""The top-level functions of `import keras_ser as ks`: `run` trains and tests an experiment, `load` loads a trained model.

corpus = ks.read_corpus("manifest", "clips.csv")
recipe = ks.Recipe("mine", "manifest", ks.Task("emotion", corpus.vocabulary["emotion"]), ks.Protocol("folds", "k-fold"))
experiment = ks.run(recipe, corpus)
experiment.predict("new.wav")
"""

import functools
import numbers
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ser.corpora import Corpus
from keras_ser.errors import RunError, UserError
from keras_ser.files import user_path, waveform_cache
from keras_ser.models import is_baseline
from keras_ser.recipe import Recipe
from keras_ser.reports import Report
from keras_ser.reports.headline import main_score

if TYPE_CHECKING:
    import pandas as pd

    from keras_ser.serving import Predictor
    from keras_ser.training import Run


@dataclass(frozen=True, repr=False)
class Experiment:
    """A recipe trained and tested over its protocols, folds and seeds. `print` shows its score table.

    Args:
        folder: the experiment's folder, which contains `report.md`.
        recipe: the recipe that was trained.
        report: the scores, tables and predictions of the experiment.
    """

    folder: Path
    recipe: Recipe
    report: Report = field(compare=False)

    def __repr__(self) -> str:
        first = next(iter(self.report.results), None)
        if first is None:
            return f"<Experiment {self.recipe.name}: nothing scored; {self.folder}>"
        main = main_score(first)
        return f"<Experiment {self.recipe.name}: {first.task} {main.metric} {main.value:.3f}, {first.protocol}; {self.folder}>"

    def __str__(self) -> str:
        return "\n".join(self.report.lines())

    @property
    def scores(self) -> "pd.DataFrame":
        """A row per protocol, task and metric: value (a fraction, RMSE in the task's unit), 95 % interval and chance level."""
        import pandas as pd

        rows = [
            {
                "protocol": result.protocol,
                "task": result.task,
                "metric": score.metric,
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "chance": score.chance,
                "clips": result.clips,
                result.unit: result.groups,
                "folds": len(result.folds),
                "seeds": len(result.seeds),
            }
            for result in self.report.results
            for score in result.scores
        ]
        return pd.DataFrame(rows)

    @property
    def predictions(self) -> "pd.DataFrame":
        """A row per tested clip: true labels, predictions and probabilities (see `keras_ser.evaluation`)."""
        return self.report.predictions

    @property
    def runs(self) -> "list[Run]":
        """The finished runs, sorted by protocol, fold and seed."""
        from keras_ser.training import Run
        from keras_ser.training.run import model_file

        return [Run.load(path) for path in sorted(self.folder.glob("*/fold-*-seed-*")) if model_file(path)]

    def predict(self, inputs: Any, sampling_rate: float | None = None, **options: Any) -> "list[dict] | pd.DataFrame":
        """Predict files or waveforms with the mean of the runs (see `load`); the arguments are those of `Predictor.predict`."""
        return self._predictor.predict(inputs, sampling_rate, **options)

    @functools.cached_property
    def _predictor(self) -> "Predictor":
        return load(self.folder)


def run(
    recipe: Recipe,
    corpus: Corpus,
    out: str | Path = "saved_models",
    *,
    folds: Sequence[int] | int | None = None,
    auxiliary: Iterable[Corpus] | Corpus = (),
    noise_root: str | Path | None = None,
    bad: str = "raise",
    cache: str | Path | None = None,
    initial: str | Path | None = None,
    strategy: str | None = None,
    verbose: bool = True,
) -> Experiment:
    """Train and test a recipe over its protocols, folds and seeds, and write the report.

    Finished runs are not repeated: call it again to continue after an interrupt, or to add protocols or seeds.

    Args:
        recipe: the recipe to train.
        corpus: the recipe's corpus, as returned by `read_corpus`.
        out: the folder in which the experiment's folder, NAME-HASH, is created.
        folds: the fold or folds to train. Default: all.
        auxiliary: the corpus or corpora that the recipe's streams read.
        noise_root: folder of noise files, if a stream of the recipe uses any.
        bad: "raise" an error for unreadable files, or "drop" them, which the report mentions.
        cache: folder for decoded waveforms. Default: OUT/cache if it exists, otherwise the user's cache directory.
        initial: folder of a finished run from whose weights training starts.
        strategy: None, or "mirrored" to train on all local accelerators.
        verbose: whether to show progress.

    Returns:
        The experiment, with its scores, predictions and runs.

    Raises:
        UserError: the recipe, corpus or split cannot be used for training; subclasses name the kind (`CorpusError`,
            `LeakageError`, `RunError`, ..).
    """
    from keras_ser.cli.progress import Progress
    from keras_ser.experiment import experiment_folder, run_experiment
    from keras_ser.experiment.preparing import begun, check_corpus_labels, check_experiment, check_used
    from keras_ser.training import Data

    out, initial = os.path.expanduser(out), initial and os.path.expanduser(initial)
    others = _checked(recipe, corpus, auxiliary, out, initial)
    folds = [folds] if isinstance(folds, numbers.Integral) else folds
    noises = user_path(noise_root) if noise_root is not None else None
    check_used([recipe], others, noises)
    if recipe.windows is not None:
        from keras_ser.pipelines.windows import cut_windows

        corpus = cut_windows(corpus, recipe.windows, recipe.tasks[0])
    recipe = begun(recipe.for_corpus(corpus, *others.values()), str(initial) if initial else None)
    check_corpus_labels(recipe, corpus, others)
    check_experiment(recipe, corpus, others, folds, noises, initial, out=out)
    where = waveform_cache(out, str(cache) if cache is not None else None)
    data = Data.load(recipe, corpus, where, others, noises, bad=bad, progress=verbose)
    if data.cache.dropped:
        check_corpus_labels(recipe, data.readable, others)
    folder = experiment_folder(recipe, out)
    options = {key: value for key, value in corpus.read_by.items() if key not in dict(recipe.corpus_options)}
    with Progress(quiet=not verbose) as progress:
        report = run_experiment(
            recipe,
            data,
            folder,
            folds=folds,
            read_options=options,
            on_job=progress.job,
            on_epoch=progress.epoch,
            on_failure=progress.failure,
            initial=initial,
            strategy=strategy,
        )
    return Experiment(folder, recipe, report)


def _checked(recipe: Any, corpus: Any, auxiliary: Any, out: Any, initial: Any) -> dict[str, Corpus]:
    """Return the auxiliary corpora by name; raise UserError if an argument of `run` has the wrong type."""
    if not isinstance(recipe, Recipe):
        raise UserError(f"`recipe` must be a Recipe. Received: {recipe!r}.")
    others = [auxiliary] if isinstance(auxiliary, Corpus | str | os.PathLike) else list(auxiliary or ())
    for name, each in [("corpus", corpus), *(("auxiliary", other) for other in others)]:
        if not isinstance(each, Corpus):
            raise UserError(f"`{name}` must be a Corpus: read it by ks.read_corpus(NAME, FOLDER). Received: {each!r}.")
    if recipe.corpus != corpus.name:
        raise UserError(f"the recipe {recipe.name} expects the corpus {recipe.corpus!r}. Received: {corpus!r}.")
    if Path(out).is_file():
        raise UserError(f"`out` must be a folder. Received: {out}, a file.")
    if recipe.initial and not initial:
        raise UserError(
            f"{recipe.name} starts from the weights {recipe.initial}: pass the folder of their run, initial=FOLDER."
        )
    if initial and (recipe.first is not None or is_baseline(recipe)):
        raise UserError(f"`initial` initialises a single network. Received: {recipe.name}, a cascade or a baseline.")
    return {other.name: other for other in others}


def load(path: str | Path) -> "Predictor":
    """Load a trained model to predict with.

    Args:
        path: folder of a run, of an export (or of its versions: the newest is loaded), or of an experiment. The probabilities of an
            experiment are the mean over its runs; of several protocols, the speaker-disjoint one is used.

    Returns:
        A predictor for audio files and waveforms.

    Raises:
        RunError, UserError: the folder is none of these, it is damaged, or its model is not installed.

    Example:
        >>> import keras_ser as ks
        >>> model = ks.load("saved_models/first")  # doctest: +SKIP
        >>> model.predict("clip.wav")[0]["emotion"]["label"]  # doctest: +SKIP
        'anger'
    """
    from keras_ser.experiment.rescoring import runs_of
    from keras_ser.experiment.stored import EXPERIMENT
    from keras_ser.serving import Predictor
    from keras_ser.serving.predictor import of_runs

    path = user_path(path)
    if not path.is_dir():
        raise RunError(f"expected the folder of a run, an experiment or an export. Received: {path}.")
    if not (path / EXPERIMENT).exists():
        return Predictor.load(path)
    return of_runs(runs_of(path))
