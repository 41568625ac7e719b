"""The results of a search: trials.csv, tuning.md, tuning.png and the best recipe."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.learning import faults
from keras_ser.evaluation.tables import Table
from keras_ser.experiment.planning import Job
from keras_ser.files import write_figure, write_json, write_table, write_text
from keras_ser.models import is_baseline
from keras_ser.overrides import lookup
from keras_ser.recipe import Recipe
from keras_ser.reports import Picture, Report, pictures
from keras_ser.reports.headline import origin
from keras_ser.reports.pictures import COLOURS
from keras_ser.training.loop import monitored
from keras_ser.training.run import RunError, stored
from keras_ser.tuning import landscape
from keras_ser.tuning.judgement import verdict
from keras_ser.tuning.space import Choice, Range, Space
from keras_ser.tuning.trial import TRAINING, Trial, made_in, tried, width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_ser.training import Data


TRIALS, CONFIRMED = "trials.json", "confirmed.json"


@dataclass
class Found:
    """The trials of a search."""

    recipe: Recipe  # the unchanged recipe
    space: Space  # the search space
    jobs: Sequence[Job]  # the runs of every trial
    method: str  # method of KerasTuner
    data: Data  # the corpus
    trials: dict[int, Trial] = field(default_factory=dict)  # by number
    repeats: int = 0  # how often the method proposed a setting that already had a score
    ahead: int = 1  # number of concurrent trials
    prune: str | None = None  # rule by which trials were stopped early
    # "best" and "baseline" -> scores with further seeds, one per seed
    confirmed: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    confirmed_of: str = ""  # hash of the best recipe at that time
    unconfirmed: Mapping[str, bool] = field(
        default_factory=dict
    )  # why a further seed has no score -> see `Trial.again`

    def load(self, folder: Path) -> None:
        """Load the folder's results of this search; raise RunError if one of its files is damaged."""
        if (folder / CONFIRMED).exists():
            self.confirmed_of, self.confirmed, self.unconfirmed = stored(
                folder / CONFIRMED, _confirmed, "Remove it: --confirm writes it again"
            )
        path = folder / TRIALS
        if not path.exists():
            return
        try:
            for row in json.loads(path.read_text()):
                trial = Trial.of(row)
                self.trials[trial.number] = trial
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(f"{path} is damaged ({error}). Remove it: finished runs are read again.") from error

    @property
    def ranked(self) -> list[Trial]:
        """Return the trials with a score, best first, the earlier one of equals; those stopped early come last."""
        scored = [trial for trial in self.trials.values() if not np.isnan(trial.score)]
        return sorted(scored, key=lambda trial: (trial.stopped > 0, -trial.score, trial.number))

    @property
    def best(self) -> Recipe:
        """Return the recipe with the settings of the best trial."""
        return self.recipe.replace(name=f"{self.recipe.name}-tuned").change(self.ranked[0].values)

    @property
    def monitor(self) -> str:
        return monitored(self.recipe)

    def value(self, trial: Trial, key: str) -> Any:
        """Return a trial's value of a key, for the unchanged recipe its own; of a choice its text."""
        value = trial.values.get(key, lookup(self.recipe, key))
        each = next(each for each in self.space if each.key == key)
        return each.text(value) if isinstance(each, Choice) else value

    def table(self) -> pd.DataFrame:
        """Return the contents of trials.csv, a row per trial, in order."""
        rows = []
        for trial in sorted(self.trials.values(), key=lambda trial: trial.number):
            row = {"trial": trial.number, "score": trial.score}
            row |= {each.key: self.value(trial, each.key) for each in self.space}
            for job, score, epoch in zip(self.jobs, trial.scores, trial.epochs, strict=False):
                where = f"fold {job.split.fold}, seed {job.seed}"
                row |= {f"{where}: {self.monitor}": score, f"{where}: {self.axis}": epoch}
            if self.prune:
                row["stopped early"] = f"after epoch {trial.stopped}" if trial.stopped else ""
            rows.append(row | {"failed": trial.failed})
        return pd.DataFrame(rows)

    def notes(self) -> list[str]:
        """Return what a reader must know before trusting the best score."""
        protocol = self.jobs[0].protocol
        folds = sorted({job.split.fold for job in self.jobs})
        seeds = sorted({job.seed for job in self.jobs})
        told = [
            f"Score: {self.monitor} {self._of_kept()}, mean over fold(s) {_list(folds)} of {protocol.name!r} and seed(s) "
            f"{_list(seeds)}. No trial saw its own fold's test data.",
            "The best of many validation scores is too high, the more so with more trials: only a test set shows what "
            "the choice is worth.",
        ]
        told += self.conclusions()
        if self.ahead > 1:
            told.append(
                f"{self.ahead} trials ran at the same time: each setting was chosen without the scores of the "
                f"{self.ahead - 1} before it."
            )
        stopped = sum(trial.stopped > 0 for trial in self.trials.values())
        if stopped:
            told.append(
                f"{stopped} of {len(self.trials)} trials were stopped early, since their best score so far was below the median of "
                "the finished trials' at the same epoch. Their scores are the best until then, of the first run only; none of "
                "them can be the best trial."
            )
        failed = [trial for trial in self.trials.values() if np.isnan(trial.score)]
        if failed:
            told.append(f"{len(failed)} of {len(self.trials)} trials have no score, the first since {failed[0].failed}")
        again = [f"trial {trial.number}: {trial.failed}" for trial in failed if trial.again]
        if again:
            told.append(f"The same command retries {len(again)} of them: {_list(again)}")
        if self.unconfirmed:
            told.append(f"{len(self.unconfirmed)} runs with further seeds have no score: {_list(self.unconfirmed)}")
        return told

    @property
    def axis(self) -> str:
        return "setting" if is_baseline(self.recipe) else "epoch"

    def _of_kept(self) -> str:
        epochs = width(self.recipe)
        return f"(mean over the {epochs} epochs up to the kept one)" if epochs > 1 else f"of the kept {self.axis}"

    def conclusions(self) -> list[str]:
        """Return the notes on what the search has shown, which also the terminal tells."""
        told = [*verdict(self), *(faults({"The best trial": self.ranked[0].learned}) if self.ranked else ())]
        if self.repeats:
            which = "proposal repeats" if self.repeats == 1 else "proposals repeat"
            told.append(f"{self.repeats} {which} a setting that has a score: there are fewer trials than requested.")
        if self.seen:
            told.append(
                f"Clips of the validation sets used here are tested in {_list(self.seen)}, whose scores are therefore biased. "
                "Exclude those folds from a comparison, or search in each fold separately."
            )
        return told

    @functools.cached_property
    def seen(self) -> list[str]:
        """Return the folds of the recipe's protocols whose test sets contain clips of the judging validation sets."""
        heard = {i for job in self.jobs for i in job.split.validation}
        stratify = self.recipe.tasks[0].strata
        found = []
        for protocol in self.recipe.protocols:
            splits = protocol.splits(self.data.corpus, hashes=self.data.cache.hashes, stratify=stratify)
            folds = [split.fold for split in splits if heard & set(split.test)]
            if folds:
                found.append(f"{protocol.name!r} (fold {_list(folds)})")
        return found

    def report(self, folder: Path | None = None) -> Report:
        """Return the report; with the search's folder, it names the commands and commits of the runs."""
        rows = []
        for trial in self.ranked:
            values = (self.value(trial, each.key) for each in self.space)
            values = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
            name = str(trial.number) if trial.number else "baseline"
            ended = f", stopped early after {trial.stopped}" if trial.stopped else ""
            rows.append([name, *values, f"{trial.score:.3f}", _list(trial.epochs) + ended, *trial.training])
        header = ["trial", *(each.key for each in self.space), self.monitor, self.axis, *TRAINING]
        return Report(
            title=f"{self.recipe.name}: {tried(self.trials)} of a {self.method} search on {self.data.corpus.name}",
            summary=[Table("", header, rows[:10])],
            sections=[
                "Searched: " + "; ".join(f"`{each}`" for each in self.space) + ".",
                Table("", header, rows),
                "`recipe.json` is the recipe with the settings of the first row: `keras-ser train recipe.json --corpus-root DIR`.",
            ],
            notes=tuple(self.notes()),
            head=(" ".join(origin(made_in(folder))),) if folder else (),
            figures=self.figures,
        )

    def save(self, folder: Path) -> None:
        """Write trials.json, trials.csv, tuning.md, recipe.json (the best so far), and confirmed.json if that was confirmed."""
        kept = [asdict(self.trials[number]) for number in sorted(self.trials)]
        write_json(folder / TRIALS, kept, allow_nan=True)
        write_table(folder / "trials.csv", self.table())
        if not self.ranked:
            return
        if self.confirmed_of != self.best.hash:
            self.confirmed_of, self.confirmed, self.unconfirmed = "", {}, {}
            (folder / CONFIRMED).unlink(missing_ok=True)
        else:
            about = {"best": self.confirmed_of, "scores": self.confirmed, "failed": self.unconfirmed}
            write_json(folder / CONFIRMED, about, allow_nan=True)
        write_text(folder / "recipe.json", self.best.to_json())
        write_text(folder / "tuning.md", self.report(folder).to_markdown())

    @property
    def figures(self) -> list[Picture]:
        """Return the plots for which there are enough trials."""
        found = [Picture("tuning.png", "score against each setting, and over the trials", self.figure)]
        if len(self.space) > 1:
            found.append(Picture("parallel.png", "a line a trial", lambda: landscape.parallel(self)))
        if len(self.space) > 1 and len(landscape.fitted(self)[0]) >= landscape.LEAST:
            found.append(
                Picture("importance.png", "importance of each setting for the score", lambda: landscape.bars(self))
            )
            if sum(isinstance(each, Range) for each in self.space) > 1:
                caption = "score over the two most important settings"
                found.append(Picture("map.png", caption, lambda: landscape.surface(self)))
        return found

    def draw(self, folder: Path) -> None:
        """Draw the plots, if there is anything to draw."""
        for picture in self.figures if self.ranked else ():
            write_figure(folder / picture.file, picture.draw())

    def figure(self) -> Figure:
        """Draw the score against each setting, and by trial with the best so far."""
        from matplotlib.ticker import MaxNLocator

        scored = sorted(self.ranked, key=lambda trial: trial.number)
        scores = [trial.score for trial in scored]
        panels = len(self.space) + 1
        figure = pictures.new(3.2 * panels + 0.4, 3.4)
        drawn = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
        best = self.ranked[0].number
        for axes, each in zip(drawn, self.space, strict=False):
            values = [self.value(trial, each.key) for trial in scored]
            if isinstance(each, Choice):
                names = each.order(values)
                axes.set_xticks(range(len(names)), names)
                values = [names.index(value) for value in values]
            elif each.log and min(values) > 0:
                axes.set_xscale("log")
            _points(axes, values, scores, [trial.number for trial in scored], best)
            axes.set_xlabel(each.key)
        numbers = [trial.number for trial in scored]
        _points(drawn[-1], numbers, scores, numbers, best)
        whole = [-np.inf if trial.stopped else trial.score for trial in scored]
        drawn[-1].step(numbers, np.maximum.accumulate(whole), where="post", color=pictures.GREY, linewidth=1)
        drawn[-1].set_xlabel("trial")
        drawn[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        drawn[-1].legend(fontsize=8, framealpha=0.9, markerscale=0.7)
        drawn[0].set_ylabel(self.monitor)
        for axes in drawn:
            pictures.tidy(axes)
        return figure


def _confirmed(data: Any) -> tuple[str, dict[str, tuple[float, ...]], dict[str, bool]]:
    """confirmed.json."""
    try:
        scores = {name: tuple(map(float, data["scores"][name])) for name in ("best", "baseline")}
        return str(data["best"]), scores, dict(data["failed"])
    except (TypeError, ValueError, KeyError) as error:
        raise UserError("expected the best's hash, scores and failed runs.") from error


def _points(axes, values: Sequence[float], scores: Sequence[float], numbers: Sequence[int], best: int) -> None:
    """Draw a dot per trial, a square for the baseline (the unchanged recipe) and a star for the best."""
    for kind, marker, size, colour in (("trial", "o", 26, COLOURS[0]), ("baseline", "s", 42, COLOURS[1])):
        mine = [(v, s) for v, s, n in zip(values, scores, numbers, strict=True) if (n == 0) == (kind == "baseline")]
        if mine:
            axes.scatter(*zip(*mine, strict=True), marker=marker, s=size, color=colour, label=kind, zorder=3)
    place = list(numbers).index(best)
    axes.scatter(
        values[place], scores[place], marker="*", s=190, facecolor="none", edgecolor="black", label="best", zorder=4
    )


def _list(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
