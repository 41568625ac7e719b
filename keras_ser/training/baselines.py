"""Baselines: scikit-learn pipelines on front-end features or openSMILE functionals of a clip.

Settings take the role of a network's epochs: the validation set selects one, and history.csv has a row for each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_ser.files import write_json, write_table, write_whole
from keras_ser.models import model_module
from keras_ser.models.estimators import Estimators
from keras_ser.pipelines.sources import Source
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.training.data import Data
from keras_ser.training.heard import save_heard
from keras_ser.training.inference import OnEpoch, describer, features
from keras_ser.training.loop import check_monitor, monitored, side_scores
from keras_ser.training.predictions import judged, scored_streams
from keras_ser.training.run import PIPELINES


def train_estimators(
    recipe: Recipe, data: Data, split: Split, out: Path, seed: int, stage: str, on_epoch: OnEpoch | None = None
) -> None:
    """Fit every setting and keep the best on the validation set.

    Writes model.skops, history.csv and history.json to the run's folder `out`. `on_epoch` is called with (stage, number of the
    setting, number of settings, logs), and while functionals are computed with (name of the functionals, clip, clips, {}).
    """
    module = model_module(recipe.model)
    describe = describer(recipe)

    def described(side: str, streams: Sequence[int]) -> list[tuple[Source, Any]]:
        sources = data.sources(recipe, streams, split, side, seed)
        return [(source, features(recipe, source, describe, seed, on_epoch)) for source in sources]

    streams = range(len(recipe.streams))
    training = weighted = described("train", streams)
    if recipe.sampling.class_weights:
        main = recipe.tasks[0].name
        weighted = [(source.weighted(main, source.indices), batch) for source, batch in training]
    sides = [(s, [batch]) for s, batch in described("validation", scored_streams(recipe))] if split.validation else []
    monitor = monitored(recipe)
    rows, best = [], None
    settings = module.candidates(recipe.config)
    for number, setting in enumerate(settings, start=1):
        made = {
            task.name: _fitted(module.estimator(recipe.config, setting, task, seed), task, weighted)
            for task in recipe.tasks
        }
        model = Estimators(describe, made, recipe.tasks)
        logs = {**setting}
        if sides:
            found = side_scores(model.judge, sides, judged(recipe.tasks, split, "validation"))
            logs |= {f"val_{name}": score for name, score in found.items()}
            check_monitor(monitor, logs)
        rows.append({"epoch": number, **logs})
        value = logs.get(monitor, 0.0)
        if best is None or value > best[0] or np.isnan(best[0]):
            best = value, number, model
        write_table(out / "history.csv", pd.DataFrame(rows), na_rep="nan", lineterminator="\r\n")
        if on_epoch:
            on_epoch(stage, number, len(settings), logs)
    seen = [
        (source, [batch]) for k, (source, batch) in zip(streams, training, strict=True) if k in scored_streams(recipe)
    ]
    about = {"seed": seed, "monitor": monitor if sides else None, "best_epoch": best[1], "epochs": rows}
    about["training"] = side_scores(best[2].judge, seen, judged(recipe.tasks, split, "train"))
    write_json(out / "history.json", about, allow_nan=True)
    save_heard(recipe, data, split, out)
    write_whole(out / PIPELINES, best[2].save)


def _fitted(pipeline, task, training: Sequence):
    """Fit a pipeline on the clips that have a label of its task."""
    xs, ys, ws = [], [], []
    for source, (found, extra) in training:
        values, weights = source.targets(task.name, extra["index"], extra["mixed"])
        xs.append(found[weights > 0])
        ys.append(values[weights > 0])
        ws.append(weights[weights > 0])
    x, y, w = np.concatenate(xs), np.concatenate(ys), np.concatenate(ws)
    name, last = pipeline.steps[-1]
    pipeline.fit(x, y, **{f"{name}__sample_weight": w})
    if hasattr(last, "n_jobs"):
        last.set_params(n_jobs=None)  # starting every core for a clip takes longer than its prediction
    return pipeline
