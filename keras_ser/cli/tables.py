"""Reports that recipes make in addition to their experiments': tables of systems, gains, speaker verification and noise."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from keras_ser.cli.enrolment import enrolled_report
from keras_ser.cli.noises import PAPER_NOISES, tested_noises
from keras_ser.cli.papers import Paper
from keras_ser.cli.progress import step_printer
from keras_ser.cli.recipe_script import Reports, Trained


def _systems(trained: Trained, protocol: str, pairs: Sequence[tuple[str, str]], **more: Any) -> Any:
    from keras_ser.evaluation.systems import Systems, over_all_labels
    from keras_ser.experiment.planning import unit

    systems = trained.systems
    tables, task = over_all_labels(
        {name: system.predictions for name, system in systems.items()},
        {name: recipe.tasks[0] for name, recipe in trained.recipes.items()},
    )
    return Systems(
        tables=tables,
        task=task,
        protocol=protocol,
        pairs=[pair for pair in pairs if set(pair) <= set(systems)],
        unit=unit(trained.data),
        items="windows" if trained.first.windows else "clips",
        deterministic=[name for name, system in systems.items() if system.deterministic],
        **more,
    )


def _notes(trained: Trained, paper: Paper) -> list[str]:
    from keras_ser.experiment.reporting import notes

    found = [note for s in trained.systems.values() for note in notes(s.recipe, trained.data, trained.folds)]
    return list(dict.fromkeys([*trained.notes, *found, *([f"Paper: {paper.source}."] if paper.source else [])]))


def systems_table(
    about: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
    paper: Paper,
    name: str = "systems",
    swept: tuple[str, Mapping[str, Mapping[float, str]]] | None = None,
    metrics: Sequence[str] = ("uar", "accuracy"),
    verify: bool = False,
    subtitle: str = "",
    by_speaker: bool = False,
) -> Reports:
    """Make a report of several systems' scores under each protocol, and their differences.

    Args:
        about: system -> description, in the order of the table.
        pairs: pairs (a, b) of systems, for the differences a - b.
        paper: published scores, shown beside the measured ones.
        name: base name of the files.
        swept: the setting in which the systems differ, and curve -> value -> system; see `keras_ser.reports.Swept`.
        metrics: metrics of classification that are shown, the first one above.
        verify: whether the speakers of --verify, an option of the recipe, are verified by each system in a further report; a
            sweep then has a panel of the equal error rate.
        subtitle: what the title says of this table, beside others on the same systems.
        by_speaker: whether means over the test speakers are shown, too.
    """

    def make(trained: Trained) -> Iterator[tuple[Any, Path]]:
        from keras_ser.experiment.reporting import protocol_facts, report_title
        from keras_ser.reports import Swept, sweep_picture, systems_report
        from keras_ser.reports.headline import in_training

        data, first, shown = trained.data, trained.first, paper
        told = _notes(trained, paper)
        if paper.labels and paper.labels != first.tasks[0].labels:
            told.append(f"The paper's figures are for the classes {', '.join(paper.labels)}, and are not shown.")
            shown = Paper(confused=paper.confused)
        if first.windows is not None and not first.tasks[0].continuous:
            counts = sorted(data.readable.counts(first.tasks[0].column).items())
            told.append(f"Windows in total: {', '.join(f'{label} {count}' for label, count in counts)}.")
        known = {p for system in trained.systems.values() for p in system.predictions["protocol"].unique()}
        trained_on = [protocol for protocol in first.protocols if protocol.name in known]
        protocols = [p for p in trained_on if not _by_verification_only(first.tasks[0], p)]
        facts = {p.name: protocol_facts(p, data, first) for p in protocols}
        title = report_title(trained.name, trained.recipes.values(), data)
        folders = {name: os.path.relpath(each.folder, trained.folder) for name, each in trained.systems.items()}
        links = [f"[{name}]({Path(folder, 'report.md').as_posix()})" for name, folder in folders.items()]
        told.append(f"Reports of the systems, with confusion matrices: {', '.join(links)}.")
        table = partial(
            systems_report,
            title + f", {subtitle}" * bool(subtitle),
            [_systems(trained, protocol.name, pairs, metrics=metrics) for protocol in protocols],
            about=about,
            described={
                name: each["description"]
                + f"; speaker-dependent: test speakers {in_training(each)}" * each["speaker_dependent"]
                for name, each in facts.items()
            },
            paper={system: figures for system, figures in shown.scores.items() if system in trained.systems},
            papers={
                protocol: {s: found for s, found in figures.items() if s in trained.systems or s not in about}
                for protocol, figures in shown.by_protocol.items()
            },
            confused=shown.confused if shown.confused in trained.systems else None,
            paper_confusion=shown.confusion,
            missing=trained.missing,
            notes=told,
            learned={name: system.learned for name, system in trained.systems.items()},
            name=name,
            by_speaker=by_speaker,
        )

        auxiliary = _further(trained, [p.name for p in protocols]) if swept else {}

        def curves(further: Mapping[str, Mapping[str, Any]]) -> Any:
            return Swept(*swept, {**further, **auxiliary}) if swept else None

        scored = bool(protocols or not trained_on)
        if scored:
            made = table(swept=curves({}))
            yield made, made.save(trained.folder)
        else:
            print(
                f"\nNo table of systems: {first.tasks[0].name} is not scored on {first.tasks[0].column}s who are not trained on."
            )
        if verify and trained.options.verify:  # last: the table remains if the verification fails
            made, rates = enrolled_report(trained)
            if swept and scored:
                table(swept=curves(rates)).save(trained.folder)
            elif swept:  # the rates are all that is measured
                made = replace(made, figures=[*made.figures, sweep_picture([], curves(rates))])
                made.save(trained.folder)
            yield made, trained.folder / "verification.md"

    return make


def _by_verification_only(task: Any, protocol: Any) -> bool:
    """Return whether the test set of a protocol has none of the identities of a task that are trained."""
    return task.identity and task.column in protocol.columns_apart


def _further(trained: Trained, protocols: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return quantity -> system -> the accuracy of each scored auxiliary classification task."""
    from keras_ser.evaluation.scores import score

    found: dict[str, dict[str, Any]] = {}
    for name, system in trained.systems.items():
        for task in system.recipe.tasks[1:]:
            for protocol in (
                protocols if f"{task.name}/prediction" in system.predictions and not task.continuous else ()
            ):
                result = score(system.predictions, task, protocol)
                for each in (s for s in result.scores if s.metric == "accuracy") if result else ():
                    found.setdefault(f"accuracy of {task.name}, {protocol}", {})[name] = each.cell()
    return found


def ablation_table(about: Mapping[str, str], pairs: Sequence[tuple[str, str]], paper: Paper) -> Reports:
    """Make a `systems_table` of cascades that also lists their first models as systems, "B (name)"."""

    def make(trained: Trained) -> Iterator[tuple[Any, Path]]:
        from keras_ser.experiment.systems import with_first_alone

        (noisy,) = (stream for stream in trained.first.streams if stream.noises)
        note = f"Noises: {', '.join(noisy.noises)}; each test clip is mixed with one of them at {list(noisy.snr)} dB."
        every = with_first_alone(trained.systems, trained.data, trained.folds)
        ordered = {name: every[name] for name in about if name in every}
        folder = trained.folder  # of what was trained
        more = replace(trained, systems=ordered, notes=[*trained.notes, note])
        for made, _ in systems_table(about, pairs, paper, "ablation")(more):
            yield made, made.save(folder)

    return make


def with_known(table: Reports, about: Mapping[str, str]) -> Reports:
    """Make a table of systems, and a separate one in which a task's true label replaces its posterior as their input."""

    def make(trained: Trained) -> Iterator[tuple[Any, Path]]:
        from keras_ser.experiment.systems import with_known

        yield from table(trained)
        every = with_known(trained.systems, trained.data, trained.folds)
        known = [name for name in every if name not in trained.systems]
        if known:
            told = {
                name: about.get(name, "the same networks, given the true label of each test clip") for name in every
            }
            pairs = [(name, name.rpartition(", ")[0]) for name in known]
            note = (
                "Side information: a separate table, since the label of a test clip is not known when a model is used."
            )
            more = replace(trained, systems=every, notes=[*trained.notes, note])
            priors = dict.fromkeys(name.rpartition(", ")[2].removesuffix(" known") for name in known)
            subtitle = f"with the true {' and '.join(priors)}"
            yield from systems_table(told, pairs, Paper(), "known", subtitle=subtitle)(more)

    return make


def with_course(table: Reports, compared: Sequence[str]) -> Reports:
    """Make a table of systems and the figures of `keras_ser.experiment.course`; `compared`: see there."""

    def make(trained: Trained) -> Iterator[tuple[Any, Path]]:
        from keras_ser.experiment.course import course_report
        from keras_ser.experiment.reporting import report_title

        yield from table(trained)
        title = report_title(trained.name, trained.recipes.values(), trained.data)
        made = course_report(f"Course of the training and embeddings, {title}", trained.systems, trained.data, compared)
        yield made, made.save(trained.folder)

    return make


def gain_tables(over: tuple[str, str], reference: str, papers: Mapping[str, Paper]) -> Reports:
    """Make a report of the gain of one system over another, and one of the speaker verification of all.

    Args:
        over: (a, b), for the gain of system b over a on the main task.
        reference: the system with which the verification of the others is compared.
        papers: variant -> the paper's scores for that setting.
    """

    def make(trained: Trained) -> Iterator[tuple[Any, Path]]:
        from keras_ser.evaluation.verification_trials import TrialsError
        from keras_ser.experiment.planning import by_validity
        from keras_ser.experiment.reporting import protocol_facts
        from keras_ser.experiment.verification import run_verification
        from keras_ser.reports import gain_report
        from keras_ser.reports.headline import in_training

        paper, first, systems = trained.paper(papers), trained.first, trained.systems
        protocol = by_validity(first.protocols)[-1]
        where = f"{trained.data.corpus.name}, {protocol.name}"
        described = protocol_facts(protocol, trained.data, first)
        told = [
            f"{first.epochs} epochs, {len(first.seeds)} seed(s); {described['description']}.",
            *_notes(trained, paper),
        ]
        if protocol.speaker_dependent:
            told.append(f"Speaker-dependent split: test speakers {in_training(described)}.")
        if set(over) <= set(systems):
            of_both = replace(trained, systems={name: systems[name] for name in over})
            metrics = [*(f"recall/{label}" for label in systems[over[1]].recipe.tasks[0].labels), "accuracy", "uar"]
            part = _systems(of_both, protocol.name, [over[::-1]], metrics=metrics)
            scores = {system: figures for system, figures in paper.scores.items() if system in over}
            title = f"{' over '.join(over[::-1])} on {where}"
            learned = {name: system.learned for name, system in of_both.systems.items()}
            made = gain_report(title, part, paper=scores, missing=trained.missing, notes=told, learned=learned)
            yield made, made.save(trained.folder)
        try:
            made = run_verification(
                dict(sorted(systems.items(), key=lambda item: item[0] != reference)),
                trained.data,
                trained.folder,
                folds=trained.folds,
                paper={system: figures for system, figures in paper.verification.items() if system in systems},
                title=f"Speaker verification on {where}",
                notes=told,
                on_step=step_printer(trained.options.quiet),
            )
        except TrialsError as error:
            print(f"\nNo speaker verification: {error}")
        else:
            yield made, trained.folder / "verification.md"

    return make


def denoising_tables(paper: Mapping[tuple[str, float], Mapping[str, float]]) -> Reports:
    """Make tables 5 to 8 of the ASP-MTL paper; `paper`: (noise, SNR_in) -> {method: SNR_out}."""

    def make(trained: Trained) -> Iterator[tuple[Any, Path]]:
        from keras_ser.experiment.denoising import run_denoising

        ((_, system),) = trained.systems.items()
        noises = tested_noises(trained.options)
        lacking = [name for name in PAPER_NOISES if name not in noises]
        made = run_denoising(
            system.recipe,
            trained.data,
            system.folder,
            noises,
            clips=trained.options.clips,
            folds=trained.folds,
            paper=paper,
            notes=[f"Without --noise-root there is no {', '.join(lacking)}: its table is left out."] if lacking else [],
            on_step=step_printer(trained.options.quiet),
        )
        yield made, system.folder / "denoising.md"

    return make
