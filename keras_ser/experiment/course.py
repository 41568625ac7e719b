"""Figures over several systems: their validation curves for each fold, and the final embeddings of two of them."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from keras_ser.checks import listed
from keras_ser.errors import UserError
from keras_ser.experiment.planning import by_validity
from keras_ser.experiment.stored import run_folder
from keras_ser.experiment.systems import System
from keras_ser.experiment.verification import embeddings
from keras_ser.reports import Picture, Report
from keras_ser.reports.curves import by_panel
from keras_ser.reports.embedding_maps import FEWEST, layout, maps
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.training import Data, Run
from keras_ser.training.predictions import truths

NAME = "course"  # base name of the files


def course_report(title: str, systems: Mapping[str, System], data: Data, compared: Sequence[str]) -> Report:
    """Draw validation accuracy by epoch, a panel for each fold, and t-SNE of two systems' test clips.

    The curves are those of a protocol that selects the epoch on the test set, if there is one (the paper's figure), and are marked
    as leaking; each system's are of its lowest seed. The embeddings are of the most valid protocol, of the lowest seed and fold
    that both systems have. A note says what cannot be drawn.

    Args:
        title: title of the report.
        systems: name -> trained system.
        data: their corpora.
        compared: the systems whose embeddings may be shown, those with the fewest parts first; the first and the last trained
            ones are.
    """
    first = next(iter(systems.values())).recipe
    task, ordered = first.tasks[0], by_validity(first.protocols)
    drawn = (
        _curves(systems, data, task, next((p for p in ordered if p.chosen_on_test), ordered[-1])),
        _embeddings(systems, data, task, ordered[-1].name, compared),
    )
    figures = tuple(each for each in drawn if isinstance(each, Picture))
    notes = [each for each in drawn if isinstance(each, str)]
    return Report(title, (), [f"{picture.caption}." for picture in figures], notes=notes, figures=figures, name=NAME)


def _places(system: System, protocol: str) -> set[tuple[int, int]]:
    """Return (seed, fold) of a system's runs under a protocol."""
    return {(seed, fold) for p, fold, seed in system.runs if p == protocol}


def _run(system: System, protocol: str, seed: int, fold: int) -> Run:
    return Run.load(system.folder / run_folder(protocol, fold, seed))


def _curves(systems: Mapping[str, System], data: Data, task: Task, protocol: Protocol) -> Picture | str:
    column, found, seeds = f"val_{task.name}_accuracy", {}, {}
    for name, system in systems.items():
        places = _places(system, protocol.name)
        seeds[name] = min(places)[0]
        for seed, fold in sorted(places):
            if seed == seeds[name]:
                run = _run(system, protocol.name, seed, fold)
                history = pd.DataFrame(run.history).set_index("epoch")
                if column in history:
                    found.setdefault((fold, _heading(run, data, protocol)), {})[name] = 100 * history[column]
    if not found:
        return f"No accuracy by epoch: the runs of {protocol.name} have no validation set."
    curves = {heading: found[fold, heading] for fold, heading in sorted(found)}
    same = f"seed {min(seeds.values())}"
    said = same if len({*seeds.values()}) == 1 else f"seeds {', '.join(f'{n} {s}' for n, s in seeds.items())}"
    leaking = " (LEAKING: the epoch is chosen on the test set)" * protocol.chosen_on_test
    caption = f"Validation accuracy by epoch, {protocol.name}, {said}{leaking}"
    return Picture(f"{NAME}-curves.png", caption, partial(by_panel, curves, "validation accuracy, %"))


def _heading(run: Run, data: Data, protocol: Protocol) -> str:
    """Return the title of a panel: the side whose accuracy it shows, the test speakers, and the fold."""
    test = set(run.split.test)
    tested = f"{listed(sorted({u.speaker or 'unknown' for u in data.corpus if u.id in test}))} (fold {run.split.fold})"
    if protocol.chosen_on_test:
        return f"LEAKING: validated on\nthe test set, {tested}"
    return f"validation set of the run\nthat tests {tested}"


def _embeddings(
    systems: Mapping[str, System], data: Data, task: Task, protocol: str, compared: Sequence[str]
) -> Picture | str:
    shown = [name for name in compared if name in systems]
    if not shown:
        return f"No t-SNE: it compares two of {', '.join(compared)}, and none of them was trained."
    pair = dict.fromkeys((shown[0], shown[-1]))
    places = set.intersection(*(_places(systems[name], protocol) for name in pair))
    if not places:
        return f"No t-SNE: {' and '.join(pair)} have finished no fold of {protocol} with one seed."
    seed, fold = min(places)
    try:
        found = {name: embeddings(_run(systems[name], protocol, seed, fold), data) for name in pair}
    except UserError as error:  # a checkpoint that was not trained may not be there any more
        return f"No t-SNE: {error}"
    clips = [data.corpus.utterances[i] for i in found[shown[0]][0]]
    if len(clips) < FEWEST:
        return f"No t-SNE: fold {fold} of {protocol} tests fewer than {FEWEST} clips."
    places = {name: layout(vectors) for name, (_, vectors) in found.items()}
    truth = np.array(truths(task, clips, data.corpus.name))
    caption = f"t-SNE of the test clips of {protocol}, fold {fold}, seed {seed}, by {task.name}"
    return Picture(f"{NAME}-tsne.png", caption, partial(maps, places, truth, task.labels))
