"""A trained model, or an experiment of many, in noise: with model 1 before it and without (`keras-ser evaluate --noise`)."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_ser.audio import load_noises, mix
from keras_ser.evaluation.robustness import CLEAN, RobustnessReport
from keras_ser.experiment.denoising import batched
from keras_ser.experiment.jobs import unit
from keras_ser.pipelines.noises import file_stretch
from keras_ser.recipe import Recipe
from keras_ser.training import Data, Run
from keras_ser.training.predict import truths
from keras_ser.training.run import write_atomically

SNRS = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0, -10.0)
TRAINED, WITH, WITHOUT = "as trained", "with model 1", "without model 1"


def robustness(
    runs: Sequence[Run],
    data: Data,
    noise_root: Path,
    out: Path,
    *,
    denoiser: Run | None = None,
    snrs: Sequence[float] = SNRS,
    title: str = "",
    on_step: Callable[[int, int, str], None] | None = None,
) -> RobustnessReport:
    """Score runs in every noise of a folder, and write the report.

    Args:
        runs: of one recipe; each is tested on its own test side.
        data: the recipe's corpora.
        noise_root: folder of noise files, each heard in its test stretch (the last fifth).
        out: where the report goes; each run's own figures go into its folder as they are done.
        denoiser: a model 1 whose mask goes before the runs. A cascade has its own: it is scored with and without it.
        snrs: dB, over all samples of a clip.
        title: the report's heading.
        on_step: called with (number, steps in all, what).

    Raises:
        ValueError: the main task is continuous, or a cascade is given another model 1.
    """
    recipe = runs[0].recipe
    task = recipe.tasks[0]
    if task.continuous:
        raise ValueError(f"a noise curve is of a task with classes; {task.name!r} is continuous.")
    if denoiser is not None and recipe.first is not None:
        raise ValueError("this is a cascade, which has a model 1 of its own: leave --denoiser out.")
    files = load_noises(noise_root, recipe.frontend.sample_rate)
    noises = {name: file_stretch(files, name, "test") for name in files}
    trained = trained_noises(recipe) | (trained_noises(denoiser.recipe) if denoiser else set())
    tables, number = [], 0
    total = len(runs) * (1 + len(noises) * len(snrs))
    for run in runs:
        asked = {"noises": list(noises), "snrs": list(snrs), "denoiser": str(denoiser.folder) if denoiser else None}
        found = _kept(run.folder, asked)
        if found is None:
            rows = []
            for what, noise, snr in [(CLEAN, None, np.inf)] + [(n, w, s) for n, w in noises.items() for s in snrs]:
                number += 1
                if on_step:
                    where = f"fold {run.split.fold}, seed {run.seed}"
                    on_step(number, total, f"{where}: {what}" + ("" if noise is None else f", {snr:g} dB"))
                if not rows:
                    systems, clips = _systems(run, denoiser), _test_side(run, data)
                rows += _scored(systems, clips, task, what, noise, snr, run.seed)
            found = pd.DataFrame(rows)
            found.insert(0, "seed", run.seed)
            found.insert(0, "fold", run.split.fold)
            write_atomically(run.folder / "robustness.csv", lambda path, found=found: found.to_csv(path, index=False))
            write_atomically(
                run.folder / "robustness.json", lambda path, asked=asked: path.write_text(json.dumps(asked))
            )
        else:
            number += 1 + len(noises) * len(snrs)
        tables.append(found)
    table = pd.concat(tables, ignore_index=True)
    table["seen"] = [noise == CLEAN or _is_one_of(noise, trained) for noise in table["noise"]]
    made = RobustnessReport(title or f"{recipe.name} in noise", table, task.labels)
    made.save(out)
    return made


def _kept(folder: Path, asked: Mapping[str, Any]) -> pd.DataFrame | None:
    """What was scored before, if the same was asked."""
    about = folder / "robustness.json"
    if not about.exists() or json.loads(about.read_text()) != asked:
        return None
    return pd.read_csv(folder / "robustness.csv", dtype={"id": str, "group": str}, keep_default_na=False)


def trained_noises(recipe: Recipe) -> set[str]:
    """Types of noise that a recipe's streams, or those of its model 1, mix in."""
    found = {name for stream in recipe.streams for name in stream.noises}
    return found | (trained_noises(recipe.first) if recipe.first else set())


def _is_one_of(noise: str, names: set[str]) -> bool:
    """ "factory1" is one of "factory"."""
    return noise in names or noise.rstrip("0123456789") in names


def _systems(run: Run, denoiser: Run | None) -> dict[str, Callable]:
    """Name -> (waveform, length) -> probabilities of the main task."""
    from keras_ser.models.cascade import without_first
    from keras_ser.models.denoiser import mask_denoiser
    from keras_ser.training.predict import forward

    task = run.recipe.tasks[0].name
    model = run.model()
    infer = forward(model)
    own = lambda y, n: infer({"waveform": y, "length": n})[task]  # noqa: E731
    if run.recipe.first is not None:
        bare = forward(without_first(run.model(), run.recipe.frontend))
        return {WITH: own, WITHOUT: lambda y, n: bare({"waveform": y, "length": n})[task]}
    if denoiser is not None:
        if denoiser.recipe.frontend.sample_rate != run.recipe.frontend.sample_rate:
            raise ValueError("the denoiser works at another sample rate than the run; train one at its rate.")
        mask = forward(mask_denoiser(denoiser.model()))
        masked = lambda y, n: own(mask({"waveform": y, "length": n})["waveform"], n)  # noqa: E731
        return {WITH: masked, WITHOUT: own}
    return {TRAINED: own}


def _test_side(run: Run, data: Data) -> list[tuple[str, str, str, np.ndarray]]:
    """(id, group, truth, waveform) of the labelled test clips that are not silent."""
    wanted = set(run.split.test) - set(data.cache.dropped)
    truth = truths(run.recipe.tasks[0], data.corpus.utterances)
    numbers = [i for i, u in enumerate(data.corpus) if u.id in wanted and truth[i] != ""]
    waves = {int(x["index"]): x["waveform"] for x in data.cache.dataset(np.array(numbers)).as_numpy_iterator()}
    group, every = unit(data), data.corpus.utterances
    return [
        (every[i].id, str(every[i].column(group) or every[i].id), truth[i], waves[i])
        for i in numbers
        if np.any(waves[i])
    ]


def _scored(systems, clips, task, name: str, noise, snr: float, seed: int) -> list[dict[str, Any]]:
    waveforms = [clip[-1] for clip in clips]
    if noise is not None:
        draws = [np.random.default_rng([seed, *name.encode(), int(10 * snr) + 10000, i]) for i in range(len(clips))]
        waveforms = [mix(x, noise, snr, rng=rng)[0] for x, rng in zip(waveforms, draws, strict=True)]
    rows = []
    for system, infer in systems.items():
        for (i, group, truth, _), p in zip(clips, batched(infer, waveforms, cut=False), strict=True):
            row = {"system": system, "noise": name, "snr": snr, "id": i, "group": group, "truth": truth}
            rows.append(row | {"prediction": task.labels[int(np.argmax(p))]})
    return rows
