"""`evaluate`, `compare` and `check`: what has been trained, scored again."""

import argparse
import math
import sys
from pathlib import Path

from keras_ser.cli.progress import Progress, show, step_printer
from keras_ser.errors import UserError
from keras_ser.settings import LOUDEST


def add(commands) -> None:
    """Add these commands to the parser."""
    evaluate = commands.add_parser("evaluate", help="score a run or an experiment again")
    evaluate.add_argument("folder", metavar="RUN", help="folder of a run, or of an experiment (many runs)")
    evaluate.add_argument("--corpus-root", metavar="DIR", help="where the corpus lies now (default: where it lay)")
    evaluate.add_argument("--out", metavar="DIR", help="where the report goes (default: into RUN)")
    evaluate.add_argument("--noise", metavar="DIR", help="UAR against SNR, in each noise file of this folder, instead")
    evaluate.add_argument(
        "--denoiser",
        metavar="RUN",
        help="with --noise: a model 1 (a run, or an experiment with a run for each fold) whose mask goes before",
    )
    evaluate.add_argument("--snr", metavar="DB[,DB..]", help="with --noise: SNRs in dB (default 20 to -10 by 5)")
    evaluate.set_defaults(run=_evaluate)

    compare = commands.add_parser("compare", help="paired difference of two experiments")
    compare.add_argument("a", help="an experiment's folder, or a predictions.csv")
    compare.add_argument("b", help="another one, over the same clips")
    compare.add_argument("--task", default="emotion")
    compare.add_argument("--metric", default="uar")
    compare.add_argument("--protocol", help="default: the only one there is")
    compare.set_defaults(run=_compare)

    check = commands.add_parser(
        "check",
        help="check a run before it is relied on",
        description="Has the run learned, is a clip judged alone as in a batch, does its export answer as Keras does, and is the "
        "same recipe at chance on shuffled labels? A line for each; the exit code is 1 where one fails.",
    )
    check.add_argument("run_folder", metavar="RUN", help="folder of a run (or of an experiment of one run)")
    check.add_argument("--corpus-root", metavar="DIR", help="where the corpus lies now (default: where it lay)")
    check.add_argument(
        "--no-train", action="store_true", help="without the shuffled labels, which take as long as the run did"
    )
    check.add_argument("--quiet", action="store_true", help="no progress bars")
    check.set_defaults(run=_check, interrupted="interrupted; the same command goes on")


def _evaluate(options: argparse.Namespace) -> int:
    from keras_ser.experiment import evaluate

    if options.noise:
        return _evaluate_in_noise(options)
    if options.denoiser or options.snr:
        raise UserError("--denoiser and --snr go with --noise DIR.")
    made, where = evaluate(Path(options.folder), options.corpus_root, options.out)
    show(made, where / "report.md")
    return 0


def _evaluate_in_noise(options: argparse.Namespace) -> int:
    from keras_ser.experiment.rescoring import data_of, missing_runs, runs_of
    from keras_ser.experiment.robustness import SNRS, run_robustness

    folder = Path(options.folder)
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
    """--snr as numbers."""
    try:
        ratios = [float(ratio) for ratio in text.split(",")]
    except ValueError:
        ratios = [math.nan]
    if not all(-LOUDEST <= ratio <= LOUDEST for ratio in ratios):
        raise UserError(f"--snr takes numbers from {-LOUDEST:g} to {LOUDEST:g} dB, with commas. Received: {text!r}.")
    return ratios


def _compare(options: argparse.Namespace) -> int:
    from keras_ser.experiment import compare_folders

    print(compare_folders(Path(options.a), Path(options.b), options.task, options.metric, options.protocol))
    return 0


def _check(options: argparse.Namespace) -> int:
    from keras_ser.experiment.rescoring import data_of
    from keras_ser.serving.run_checks import check_run
    from keras_ser.training import Run

    run = Run.load(Run.find(options.run_folder))
    data, failed = data_of(run.folder, options.corpus_root), False
    with Progress(options.quiet) as progress:
        for name, passed, said in check_run(run, data, not options.no_train, progress.epoch):
            failed |= passed is False
            print(f"{ {True: 'ok', False: 'FAILED', None: '–'}[passed]:7} {name}: {said}", flush=True)
    return int(failed)
