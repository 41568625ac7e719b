"""The commands `evaluate`, `compare` and `check`: score trained runs again."""

import argparse
import math
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from keras_ser.cli.arguments import add_table_arguments, assignments, expanded, home, table_options
from keras_ser.cli.progress import Progress, show, step_printer
from keras_ser.cli.training import EXAMPLE
from keras_ser.errors import UserError
from keras_ser.settings import LOUDEST


def add(commands) -> None:
    """Add these commands to the parser."""
    evaluate = commands.add_parser(
        "evaluate",
        help="score runs or experiments again, also on another corpus or in noise",
        description="Score a run or an experiment again and write its report. For several of them, also print a table.",
        epilog=f"The folder of a run is {EXAMPLE}. Another corpus: keras-ser evaluate RUN --corpus manifest "
        "--corpus-root other.csv",
    )
    evaluate.add_argument(
        "folders",
        metavar="RUN",
        nargs="+",
        help="folder of a run or of an experiment (all of its runs), or a quoted pattern of folders",
    )
    evaluate.add_argument("--corpus-root", metavar="DIR", help="current folder of the corpus (default: as in training)")
    evaluate.add_argument("--out", type=home, metavar="DIR", help="folder of the report (default: RUN)")
    other = evaluate.add_argument_group("another corpus")
    other.add_argument(
        "--corpus", metavar="NAME", help="adapter of another corpus, all of whose clips are tested (with --corpus-root)"
    )
    add_table_arguments(other)
    other.add_argument(
        "--merge",
        action="append",
        default=[],
        metavar="LABEL=CLASS[,..]",
        help="map labels of the other corpus to classes of the run",
    )
    other.add_argument(
        "--ignore", action="append", default=[], metavar="LABEL[,..]", help="labels of the other corpus to leave out"
    )
    other.add_argument(
        "--trained-speakers",
        choices=["refuse", "drop", "keep"],
        help="clips of speakers seen in training: refuse the corpus (default), drop the clips, or keep and mark them",
    )
    other.add_argument(
        "--bad",
        choices=["raise", "drop"],
        help="unreadable files of the other corpus: raise an error (default), or drop them",
    )
    noise = evaluate.add_argument_group("noise")
    noise.add_argument(
        "--noise",
        type=home,
        metavar="DIR",
        help="measure UAR against SNR for each noise file in this folder, instead of the score on the clips as they are",
    )
    noise.add_argument(
        "--denoiser",
        type=home,
        metavar="RUN",
        help="with --noise, denoise first with the mask of a model 1 (a run, or an experiment with a run for each fold)",
    )
    noise.add_argument("--snr", metavar="DB[,DB..]", help="with --noise, SNRs in dB (default: 20 to -10 in steps of 5)")
    evaluate.set_defaults(run=_evaluate)

    compare = commands.add_parser(
        "compare",
        help="compute the paired difference of two experiments",
        description="Print the difference A - B of two experiments, paired by speaker, with its interval and p value, and "
        "whether their runs have learned.",
    )
    compare.add_argument("a", metavar="A", help="folder of an experiment, or a predictions.csv")
    compare.add_argument("b", metavar="B", help="a second one, over the same clips")
    compare.add_argument("--task", default="emotion", help="task whose scores are compared (default: emotion)")
    compare.add_argument(
        "--metric", default="uar", help="uar, accuracy, macro_f1, recall/LABEL, ccc, .. (default: uar)"
    )
    compare.add_argument("--protocol", help="protocol to compare (default: the only one that both have)")
    compare.set_defaults(run=_compare)

    check = commands.add_parser(
        "check",
        help="check a run before you rely on it",
        description="Check that a run has learned, that the prediction for a clip does not depend on its batch, that the export "
        "equals Keras, and that the same recipe is at chance on shuffled labels. Print a line for each check, and the score at "
        "other recording levels. The exit code is 1 if a check fails.",
    )
    check.add_argument("run_folder", metavar="RUN", help="folder of a run (or of an experiment of one run)")
    check.epilog = f"The folder of a run is {EXAMPLE}."
    check.add_argument("--corpus-root", metavar="DIR", help="current folder of the corpus (default: as in training)")
    check.add_argument(
        "--no-train",
        action="store_true",
        help="skip the training on shuffled labels, which takes as long as the run did",
    )
    check.add_argument("--quiet", action="store_true", help="show no progress bars")
    check.set_defaults(run=_check, interrupted="interrupted; the same command continues")


def _evaluate(options: argparse.Namespace) -> int:
    folders = expanded(options.folders)
    if options.noise:
        if len(folders) > 1 or options.corpus:
            raise UserError("--noise takes one RUN, on its own corpus.")
    elif options.denoiser or options.snr:
        raise UserError("--denoiser and --snr go with --noise DIR.")
    if not options.corpus:
        for name in ("columns", "audio_root", "merge", "ignore", "trained_speakers", "bad"):
            if getattr(options, name):
                raise UserError(f"--{name.replace('_', '-')} goes with --corpus NAME, another corpus to test.")
    if options.noise:
        return _evaluate_in_noise(folders[0], options)
    if len(folders) > 1 and options.out:
        raise UserError(f"--out takes the report of one RUN. Received: {len(folders)}.")
    score = _scorer(options)
    if len(folders) == 1:
        made, where = score(folders[0])
        show(made, where / "report.md")
        return 0
    return _evaluate_several(folders, score)


def _several(given: Sequence[str], known: Collection[str]) -> list[str]:
    """Split the values of a repeated option, LABEL or LABEL=CLASS, at commas, unless the corpus has that label with its comma."""
    whole = {label for label in known if "," in label}
    return [part.strip() for text in given for part in ([text] if text.split("=")[0] in whole else text.split(","))]


def _scorer(options: argparse.Namespace) -> Callable[[Path], tuple[Any, Path]]:
    """Return folder -> (report, its folder), scoring on the run's own corpus or on that of --corpus."""
    if not options.corpus:
        from keras_ser.experiment import evaluate

        return lambda folder: evaluate(folder, options.corpus_root, options.out)
    from keras_ser.corpora import read_corpus

    corpus = read_corpus(options.corpus, options.corpus_root, **table_options(options))
    known = {label for column in corpus.vocabulary for label in corpus.counts(column)}
    merge = assignments("--merge", _several(options.merge, known), "bored=boredom")

    from keras_ser.experiment.elsewhere import evaluate_elsewhere

    return lambda folder: evaluate_elsewhere(
        folder,
        corpus,
        merge=merge,
        ignore=_several(options.ignore, known),
        trained=options.trained_speakers or "refuse",
        bad=options.bad or "raise",
        name=Path(options.corpus_root).stem if options.corpus_root else corpus.name,
        out=options.out,
    )


def _evaluate_several(folders: Sequence[Path], score: Callable[[Path], tuple[Any, Path]]) -> int:
    """Print the main task's scores of each folder and protocol, then the folders that are not runs or failed."""
    from keras_ser.evaluation.learning import stored_verdicts
    from keras_ser.evaluation.tables import Table
    from keras_ser.experiment.stored import is_experiment_or_run
    from keras_ser.reports.render import terminal

    rows, failed = [], []
    for folder in folders:
        if not is_experiment_or_run(folder):  # as what a pattern finds beside them
            if not (folder / "systems.md").exists():  # written by a recipe of several systems
                print(f"keras-ser: left out, not a run or experiment: {folder}", file=sys.stderr)
            continue
        try:
            made, _ = score(folder)
        except UserError as error:
            failed.append(f"{folder}: {error}")
            continue
        main = [result for result in made.results if result.task == made.results[0].task]
        for result in main:
            of_classes = [result[metric].cell() for metric in ("uar", "accuracy")] if result.labels else ["", ""]
            cells = of_classes + ([""] if result.labels else [result["ccc"].cell()])
            counts = [str(result.clips), str(result.speakers or "–")]
            verdict = stored_verdicts(made.data, result.protocol) or "–"
            rows.append([str(folder), result.protocol, result.task, *cells, *counts, verdict])
    if rows:
        columns = ["run", "protocol", "task", "UAR, %", "accuracy, %", "CCC", "clips", "speakers", "verdict"]
        empty = {i for i in range(3, 6) if all(row[i] == "" for row in rows)}
        rows = [[cell for i, cell in enumerate(row) if i not in empty] for row in rows]
        columns = [name for i, name in enumerate(columns) if i not in empty]
        print("\n".join(terminal(Table("", columns, rows, 3))))
    for line in failed:
        print(f"keras-ser: left out: {line}", file=sys.stderr)
    if not rows and not failed:
        raise UserError(f"expected folders of runs or experiments. Received: {', '.join(map(str, folders[:5]))}.")
    return 1 if failed else 0


def _evaluate_in_noise(folder: Path, options: argparse.Namespace) -> int:
    from keras_ser.experiment.rescoring import data_of, missing_runs, runs_of
    from keras_ser.experiment.robustness import SNRS, run_robustness

    snrs = decibels(options.snr) if options.snr else SNRS
    denoisers = runs_of(Path(options.denoiser)) if options.denoiser else []
    runs = runs_of(folder)
    where = Path(options.out) if options.out else folder
    data = data_of(folder, options.corpus_root)
    missing = missing_runs(folder, runs, data)
    for sentence in missing:
        print(sentence, file=sys.stderr)
    made = run_robustness(
        runs,
        data,
        Path(options.noise),
        where,
        denoisers=denoisers,
        snrs=snrs,
        title=f"{runs[0].recipe.name} in noise",
        missing=missing,
        on_step=step_printer(),
    )
    show(made, where / "robustness.md")
    return 0


def decibels(text: str) -> list[float]:
    """Parse --snr."""
    try:
        ratios = [float(ratio) for ratio in text.split(",")]
    except ValueError:
        ratios = [math.nan]
    if not all(-LOUDEST <= ratio <= LOUDEST for ratio in ratios):
        raise UserError(
            f"--snr takes numbers from {-LOUDEST:g} to {LOUDEST:g} dB, separated by commas. Received: {text!r}."
        )
    return list(dict.fromkeys(ratios))


def _compare(options: argparse.Namespace) -> int:
    from keras_ser.experiment import compare_folders

    print(compare_folders(Path(options.a), Path(options.b), options.task, options.metric, options.protocol))
    return 0


def _check(options: argparse.Namespace) -> int:
    from keras_ser.training.run import Run

    run = Run.load(Run.find(options.run_folder))

    from keras_ser.experiment.rescoring import data_of
    from keras_ser.serving.run_checks import check_run

    # of a final run there is nothing to test, but the rest can be checked
    data = None if run.split.final else data_of(run.folder, options.corpus_root, auxiliary=not options.no_train)
    failed = False
    with Progress(options.quiet) as progress:
        for name, passed, said in check_run(run, data, not options.no_train, progress.epoch):
            failed |= passed is False
            print(f"{ {True: 'ok', False: 'FAILED', None: '–'}[passed]:7} {name}: {said}", flush=True)
    return int(failed)
