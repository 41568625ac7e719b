"""Make the report of an experiment from its finished runs."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from keras_ser.evaluation.learning import judge, together
from keras_ser.evaluation.training_segments import class_counts, unbalanced
from keras_ser.experiment.clips_notes import notes_on_clips
from keras_ser.experiment.diagnostics import first_and_last, watched_logs
from keras_ser.experiment.failures import check_any, left_out
from keras_ser.experiment.planning import jobs, unit
from keras_ser.experiment.stored import finished, run_predictions
from keras_ser.experiment.views import run_views
from keras_ser.models import deterministic_model, is_baseline, model_flags, model_module
from keras_ser.recipe import Recipe
from keras_ser.reports import Report, curves, score_report
from keras_ser.reports.report import Picture
from keras_ser.splits import Protocol, distributions
from keras_ser.training import Data, Run
from keras_ser.training.data import labelled_clips
from keras_ser.training.predictions import truths


def paper_figures(recipe: Recipe) -> dict[tuple[str, str], float]:
    return {(task, metric): value for task, metric, value, _ in recipe.paper}


def summarise(recipe: Recipe, data: Data, folder: Path, out: Path | None = None) -> Report:
    """Make the report over all finished runs of an experiment and write it to `out` (default: its folder).

    Raises:
        RunError: no run is finished (`AllFailedError` if a run failed), or its files are damaged.
    """
    every = jobs(recipe, data)
    done = [job for job in every if finished(folder, job)]
    missing = left_out(folder, every, {job.folder for job in done})
    check_any(folder, every, done)
    tables, histories, adversaries, learned, made_by, counted = [], {}, [], [], [], []
    for job in done:
        tables.append(run_predictions(folder, job, data))
        run = Run.load(folder / job.folder)
        learned.append(judge(run))
        made_by += [run.made] if run.made else []
        histories[job.protocol.name, job.split.fold, job.seed] = pd.DataFrame(run.history)
        counted += [(job.protocol.name, run.about["class counts"])] if run.about.get("class counts") else []
        best = run.history[run.about["best_epoch"] - 1]
        for name, prior in run.about.get("priors", {}).items():
            row = {"output": name, "protocol": job.protocol.name, "prior": prior}
            adversaries.append({**row, "accuracy": best[f"{name}_accuracy"]})
    extra = _beside_priors(adversaries)
    for protocol in recipe.protocols:
        if protocol.match:
            split = next(job.split for job in every if job.protocol is protocol)
            extra[f"{protocol.by}s on the sides of {protocol.name}"] = distributions(
                split, data.corpus, protocol.match, protocol.by
            )
    watched = getattr(model_module(recipe.model), "DIAGNOSTICS", {})
    if followed := watched_logs(histories, watched):
        extra["Diagnostics of training, mean over runs"] = first_and_last(followed, watched)
    if counted:
        extra[f"Training segments per class of {recipe.tasks[0].name}, over all streams, mean over runs"] = (
            class_counts(counted)
        )
    shown = {job.protocol.name: job for job in reversed(done)}
    pictured = [picture for job in shown.values() for picture in run_views(Run.load(folder / job.folder), data)]
    predictions = pd.concat(tables, ignore_index=True)
    told = notes(recipe, data, None) + (unbalanced(counted) if recipe.sampling.balance else [])
    for name, flag in model_flags().items():
        count = (predictions[name].astype(str) == "True").sum() if name in predictions else 0
        if count:
            told.append(flag.report.format(count=count, clips=len(predictions)))
    scored = [task for task in recipe.tasks if f"{task.name}/prediction" in predictions]
    facts = {p.name: protocol_facts(p, data, recipe) for p in recipe.protocols}
    figures = {key: x for key, x in paper_figures(recipe).items() if key[0] in {task.name for task in scored}}
    if figures and any(facts[name]["paper"] for name in shown):
        told += [f"Paper column: {source}" for source in sorted({source for *_, source in recipe.paper})]
    made = score_report(
        predictions,
        scored,
        title=report_title(recipe.name, [recipe], data),
        paper=figures,
        protocols=facts,
        notes=told,
        tables=extra,
        histories=histories,
        missing=missing,
        deterministic=deterministic_model(recipe),
        learned=together(learned),
        made=made_by,
        axis="setting" if is_baseline(recipe) else "epoch",
    )
    drawn = [
        Picture(
            f"diagnostics-{name.replace('-', '_')}.png",
            f"Diagnostics of training, {name}",
            partial(curves.diagnostics, runs, watched, name),
        )
        for name, runs in followed.items()
    ]
    made = replace(made, figures=(*made.figures, *drawn, *pictured))
    made.save(out or folder)
    return made


def _beside_priors(rows: Sequence[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """Return output other than a task -> protocol -> its accuracy on training batches at the kept epoch, and its prior, %."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    shown = {"accuracy in training batches, %": "accuracy", "most frequent class, %": "prior"}
    for (name, protocol), part in pd.DataFrame(rows).groupby(["output", "protocol"]) if rows else ():
        found.setdefault(name, {})[protocol] = {key: 100 * float(part[column].mean()) for key, column in shown.items()}
    return found


def protocol_facts(protocol: Protocol, data: Data, recipe: Recipe) -> dict[str, Any]:
    """Return a report's facts on a protocol."""
    main = recipe.tasks[0]
    splits = protocol.splits(data.corpus, hashes=data.cache.hashes, stratify=main.strata)
    stratified = f", stratified by {main.strata}" if main.strata else ""
    items = "recordings" if any("origin" in u.groups for u in data.corpus) else "clips"
    if recipe.windows:
        items = "recordings" if protocol.together else "windows"
    teachers = " and ".join(stream.corpus for stream in recipe.streams if stream.teaches)
    described = {
        "random": f"random {1 - protocol.test:.0%} / {protocol.test:.0%} of the {items}{stratified}",
        "leave-one-out": f"leave one {protocol.by} out",
        "k-fold": f"{protocol.folds} folds by {protocol.by}",
        "stratified-k-fold": f"{protocol.folds} folds of the {items} with every {protocol.by} in each{stratified}",
        "matched": f"{protocol.by}s chosen so that {', '.join(protocol.match)} are distributed alike",
        "stated": f"stated {protocol.by} lists",
        "cross-corpus": f"trained on {teachers}, tested on other {protocol.by}s than those that choose the epoch",
    }[protocol.kind]
    row, sides = "setting" if is_baseline(recipe) else "epoch", sum(len(split.validation) for split in splits)
    if protocol.chosen_on_test:
        chosen = f"LEAKING: the {row} is chosen on the test set, so its scores are too high and invalid"
    elif not sides and row == "setting":
        chosen = "no validation set: the settings are fixed"
    elif not sides:
        chosen = "no validation set: all epochs are trained and the last one is kept"
    elif recipe.keeps_last and row == "epoch":
        chosen = "the learning rate falls to 0 and the last epoch is kept: the validation set selects nothing"
    elif protocol.kind == "cross-corpus":
        chosen = f"the {row} is chosen on {protocol.validation:.0%} of the {protocol.by}s"
    elif protocol.validation < 1:
        chosen = f"the {row} is chosen on {protocol.validation:.0%} of the training {items}"
    else:
        plural = "s" if protocol.validation > 1 else ""
        what = "fold" if protocol.kind == "stratified-k-fold" else protocol.by
        chosen = f"the {row} is chosen on {int(protocol.validation)} {what}{plural} of the training set"
        chosen += f", of the tested one's {protocol.within} where there are such" if protocol.within else ""
    if not protocol.together:
        described += " (LEAKING: copies and segments of one recording are on both sides)"
    elif recipe.windows:
        described += ", the windows of a recording on one side"
    return {
        "description": f"{described}; {chosen}",
        "paper": recipe.paper_protocol in ("", protocol.name),
        "speaker_dependent": protocol.speaker_dependent,
        "speakers_unknown": all(u.speaker is None for u in data.corpus),
        "chosen_on_test": protocol.chosen_on_test,
        "apart": list(protocol.columns_apart),
        "folds": [split.fold for split in splits],
        "seeds": list(recipe.seeds),
        "test clips": sum(len(split.test) for split in splits),
    }


def report_title(name: str, recipes: Iterable[Recipe], data: Data) -> str:
    """Return the title of a report on these recipes, with the models' notes on their settings."""
    told = [getattr(model_module(recipe.model), "note", lambda config: "")(recipe.config) for recipe in recipes]
    told = [part for part in dict.fromkeys(part for note in told for part in note.split(", ")) if part]
    return f"{name} on {data.corpus.name}" + (f" ({', '.join(told)})" if told else "")


def notes(recipe: Recipe, data: Data, folds: Sequence[int] | None) -> list[str]:
    found = [f"Citation: {data.corpus.citation}"] if data.corpus.citation else []
    foreign = all(protocol.kind == "cross-corpus" for protocol in recipe.protocols)
    total = sum(stream.share for stream in recipe.streams if stream.corpus or not foreign)
    for stream in (stream for stream in recipe.streams if stream.corpus):
        if stream.corpus not in data.auxiliary:  # `evaluate` does not read what only trained
            found.append(f"{recipe.name} is also trained on {stream.corpus}, {stream.share / total:.0%} of each batch.")
            continue
        corpus, _ = data.auxiliary[stream.corpus]
        clips = [u for u in corpus if u.id in stream.chosen(corpus)]
        speakers, nameless = len({u.speaker for u in clips} - {None}), sum(u.speaker is None for u in clips)
        taught = stream.teaches or recipe.tasks[0].identity
        used = "with the labels of the main task" if taught else "without labels of the main task"
        found.append(
            f"{recipe.name} is also trained on {corpus.name}: {len(clips)} clips of {speakers} speakers"
            f"{f' ({nameless} of them name no speaker)' * bool(nameless)}, {used}, "
            f"{stream.share / total:.0%} of each batch. {corpus.citation}".rstrip()
        )
    if recipe.labelled < 1:
        found.append(_labels_known(recipe, data, folds))
    for name, shuffled in ((recipe.name, recipe.shuffle), ("model 1", recipe.first.shuffle if recipe.first else ())):
        if shuffled:
            found.append(f"A CONTROL: {name} was trained and validated with shuffled labels of {', '.join(shuffled)}.")
    if recipe.initial:
        found.append(f"{recipe.name} starts from the weights {recipe.initial} of another run (--init-from).")
    if recipe.optimizer.schedule == "step" and recipe.epochs <= recipe.optimizer.steps[-1]:
        steps = ", ".join(map(str, recipe.optimizer.steps))
        found.append(
            f"{recipe.epochs} epochs were trained, but the learning rate was to fall after {steps}: the schedule differs."
        )
    if recipe.windows:
        recordings = len({u.groups["origin"] for u in data.readable if "origin" in u.groups})
        found.append(
            f"Trained and tested on {len(data.readable)} windows of {recordings} recordings: long recordings have more weight."
        )
    found += _untaught(recipe, data, folds)
    note = getattr(model_module(recipe.model), "NOTE", None)
    found += [note] if note else []
    for task in recipe.tasks:
        if task.columns:
            found.append(
                f"{task.name}: {len(task.labels)} clusters of {' and '.join(task.columns)}, fitted on each fold's training set: "
                "the cluster of a clip between two of them depends on the fold."
            )
        if task.identity and any(task.column in protocol.columns_apart for protocol in recipe.protocols):
            found.append(
                f"{task.name}: not scored where the split keeps every {task.column} apart; `keras-ser verify` compares those "
                "who were not trained on."
            )
    if folds is not None:
        found.append(f"Only these folds were requested: {', '.join(map(str, folds))}.")
    found += notes_on_clips(data)
    if unit(data) == "origin":
        found.append(
            "Not every clip has a speaker, film or session: intervals are over the recordings that windows were cut "
            "from, and too narrow."
        )
    if unit(data) == "none":
        found.append("Not every clip has a speaker, film or session: intervals are over clips, and too narrow.")
    return found


def _labels_known(recipe: Recipe, data: Data, folds: Sequence[int] | None) -> str:
    """Say how many training speakers have labels of the main task."""
    found = []
    for job in jobs(recipe, data, folds):
        train = set(job.split.train)
        chosen = labelled_clips(data.corpus, train, recipe.labelled, job.seed)
        found.append([len({u.speaker for u in data.corpus if u.id in side}) for side in (chosen, train)])
    few, every = zip(*found, strict=True)
    rest = "without these labels" if recipe.unlabelled else "left out"
    return (
        f"{recipe.name}: {'/'.join(map(str, sorted(set(few))))} of {'/'.join(map(str, sorted(set(every))))} training speakers have "
        f"labels of {recipe.tasks[0].name} ({sum(few) / sum(every):.0%}); the others are {rest}."
    )


def _untaught(recipe: Recipe, data: Data, folds: Sequence[int] | None) -> list[str]:
    """Return a sentence for each fold that tests a class without training clips that have its label."""
    main, found = recipe.tasks[0], {}
    if main.continuous or main.identity or main.columns:
        return []
    known = data.readable.utterances
    truth = dict(zip((u.id for u in known), truths(main, known, data.corpus.name), strict=True))
    teachers = [stream.corpus for stream in recipe.streams if stream.teaches]
    if not set(teachers) <= set(data.auxiliary):  # a recreated report reads only the recipe's own corpus
        return []
    teaching = [data.auxiliary[name][0] for name in teachers]
    others = {label for other in teaching for label in truths(main, other.utterances, other.name)}
    for job in jobs(recipe, data, folds):
        taught, where = set(job.split.train), f"{job.protocol.name}, fold {job.split.fold}"
        if recipe.labelled < 1:  # drawn by the seed
            taught, where = labelled_clips(data.corpus, taught, recipe.labelled, job.seed), f"{where}, seed {job.seed}"
        tested, trained = ({truth[i] for i in side if i in truth} for side in (job.split.test, taught))
        trained |= others
        lacking = tested - trained - {""}
        if lacking:
            found[where] = ", ".join(sorted(lacking))
    return [f"{where}: no training clips of {labels}." for where, labels in found.items()]
