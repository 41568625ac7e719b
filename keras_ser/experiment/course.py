"""Figures over several systems: their training curves for each fold, and the final embeddings of two of them."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from keras_ser.checks import listed
from keras_ser.experiment.planning import by_validity
from keras_ser.experiment.stored import run_folder
from keras_ser.experiment.systems import System
from keras_ser.experiment.verification import embeddings
from keras_ser.reports import Picture, Report
from keras_ser.reports.curves import by_panel
from keras_ser.reports.embedding_maps import FEWEST, layout, maps
from keras_ser.training import Data, Run
from keras_ser.training.predictions import truths

NAME = "course"  # base name of the files


def course_report(title: str, systems: Mapping[str, System], data: Data, compared: tuple[str, str]) -> Report:
    """Draw accuracy by epoch, a panel for each fold, and t-SNE of two systems' test clips.

    The curves show the most valid protocol and the lowest seed: the accuracy of its validation side, or of the training batches
    if there is none. The embeddings are of its first fold, and left out if one of the two systems is missing.

    Args:
        title: title of the report.
        systems: name -> trained system.
        data: their corpora.
        compared: the systems whose embeddings are shown.
    """
    first = next(iter(systems.values())).recipe
    task, protocol = first.tasks[0], by_validity(first.protocols)[-1].name
    seed = min(seed for system in systems.values() for p, _, seed in system.runs if p == protocol)
    curves: dict[str, dict[str, dict[str, pd.Series]]] = {"validation": {}, "training": {}}
    runs: dict[int, dict[str, Run]] = {}
    for system_name, system in systems.items():
        for _, fold, _ in sorted(key for key in system.runs if key[0] == protocol and key[2] == seed):
            run = Run.load(system.folder / run_folder(protocol, fold, seed))
            runs.setdefault(fold, {})[system_name] = run
            history = pd.DataFrame(run.history).set_index("epoch")
            for side, column in (("validation", f"val_{task.name}_accuracy"), ("training", f"{task.name}_accuracy")):
                if column in history:
                    curves[side].setdefault(_tested(run, data), {})[system_name] = 100 * history[column]
    figures = []
    side = "validation" if curves["validation"] else "training"
    if curves[side]:
        draw = partial(by_panel, curves[side], f"{side} accuracy, %")
        figures.append(Picture(f"{NAME}-curves.png", f"{side} accuracy by epoch, {protocol}", draw))
    fold, pair = min(runs), runs[min(runs)]
    if set(compared) <= set(pair):
        found = {each: embeddings(pair[each], data) for each in compared}
        clips = [data.corpus.utterances[i] for i in found[compared[0]][0]]
        if len(clips) >= FEWEST:
            places = {each: layout(vectors) for each, (_, vectors) in found.items()}
            truth = truths(task, clips, data.corpus.name)
            draw = partial(maps, places, np.array(truth), task.labels)
            caption = f"t-SNE of the test clips of {protocol}, fold {fold}, by {task.name}"
            figures.append(Picture(f"{NAME}-tsne.png", caption, draw))
    return Report(title, (), [f"Protocol {protocol}, seed {seed}."], figures=tuple(figures), name=NAME)


def _tested(run: Run, data: Data) -> str:
    """Return the title of a panel: its test speakers."""
    test = set(run.split.test)
    return "tested: " + listed(sorted({u.speaker or "unknown" for u in data.corpus if u.id in test}))
