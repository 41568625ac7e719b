"""The command `predict`: one line or row per audio file, predictions over time, or bulk prediction to Parquet files."""

import argparse
import csv
import io
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ser.cli.arguments import PICTURES, add_model_argument, home, positive, report_skipped
from keras_ser.cli.error_handling import check_interrupt
from keras_ser.errors import UserError
from keras_ser.files import printable
from keras_ser.progress import track

FILES = ("jsonl", "csv", "table")
NEEDS = {"shards": "out", "engine": "out", "retry_failed": "out", "address": "engine", "workers": "engine"}
TIMES = ("jsonl", "csv", "table", "rttm", "audacity")


def add(commands) -> None:
    """Add this command to the parser."""
    predict = commands.add_parser(
        "predict",
        help="predict audio files or recordings",
        description="Print the predictions of a run or an export for audio files, or write them to a folder (--out). Files that "
        "cannot be predicted are listed at the end, and the exit code is 1.",
    )
    add_model_argument(predict)
    predict.add_argument(
        "files",
        nargs="+",
        metavar="FILE_OR_FOLDER",
        help="audio files, folders, or with --out lists of files (.txt, one path per line)",
    )
    predict.add_argument(
        "--format",
        choices=sorted({*FILES, *TIMES}),
        default="jsonl",
        help="output format: jsonl (default), csv, table; with --timeline also rttm, audacity (a label track)",
    )
    predict.add_argument("--timeline", action="store_true", help="predict over time, in recordings of any length")
    predict.add_argument(
        "--window", type=float, metavar="S", help="duration of a --timeline window in seconds (default: 3)"
    )
    predict.add_argument(
        "--hop", type=float, metavar="S", help="seconds between the starts of two windows (default: 1)"
    )
    predict.add_argument("--task", help="task of the --timeline (default: the first task of the model)")
    predict.add_argument(
        "--plot",
        type=home,
        metavar="PNG",
        help="file to write a plot of the --timeline to; for several recordings, a folder",
    )
    predict.add_argument(
        "--out", type=home, metavar="DIR", help="write Parquet files to this folder; repeat the command to continue"
    )
    predict.add_argument("--shards", metavar="N/OF", type=_shard, help="with --out, predict one shard, e.g. 1/8")
    predict.add_argument("--engine", choices=["ray"], help="with --out, predict on a Ray cluster (extra: cluster)")
    predict.add_argument(
        "--address", metavar="HOST:PORT", help="address of the Ray cluster (default: RAY_ADDRESS, or this machine)"
    )
    predict.add_argument(
        "--workers", type=positive, metavar="N", help="with --engine, number of copies of the model (default: 2)"
    )
    predict.add_argument(
        "--retry-failed", action="store_true", help="with --out, also read files again that failed before"
    )
    predict.set_defaults(run=_predict, interrupted="interrupted; no file has been predicted")


def _shard(text: str) -> tuple[int, int]:
    number, _, shards = text.partition("/")
    if not (number.isdecimal() and shards.isdecimal() and 1 <= int(number) <= int(shards)):
        raise argparse.ArgumentTypeError(f"expected N/OF, N from 1 to OF, e.g. 1/8. Received: {text}.")
    return int(number), int(shards)


def _predict(options: argparse.Namespace) -> int:
    # report mistakes before importing TensorFlow, which takes seconds
    allowed = TIMES if options.timeline else FILES
    if options.format not in allowed:
        how = "with" if options.timeline else "without"
        raise UserError(f"--format {how} --timeline must be one of {', '.join(allowed)}. Received: {options.format}.")
    if not options.timeline:
        for name in ("plot", "task", "window", "hop"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name} requires --timeline.")
    suffix = Path(options.plot or "").suffix.lower()
    if suffix not in (*PICTURES, "") and not Path(options.plot).is_dir():
        raise UserError(
            f"--plot takes a name that ends in {', '.join(PICTURES)}, or a folder. Received: {options.plot}."
        )
    for name, needs in NEEDS.items():
        if getattr(options, name) and not getattr(options, needs):
            raise UserError(f"--{name.replace('_', '-')} requires --{needs}.")
    if options.out:
        return _bulk(options)
    lists = [name for name in options.files if name.lower().endswith(".txt") and not Path(name).is_dir()]
    if lists:
        raise UserError(f"a list of files (.txt) requires --out. Received: {lists[0]}.")
    # names of files and labels may contain what the encoding of the terminal lacks
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    from keras_ser.audio import find_audio

    files, skipped = find_audio(options.files, keep_missing=True)
    report_skipped(skipped)
    if options.timeline:
        return _timelines(options, files)
    from keras_ser.serving.predictor import Predictor, predict_files

    predictor = Predictor.load(options.model)
    bad, problems = [], defaultdict(list)

    def answers() -> Iterator[tuple[str, dict[str, Any]]]:
        for number, (path, answer) in enumerate(predict_files(predictor, track(files, "files")), start=1):
            check_interrupt()
            if isinstance(answer, str):
                bad.append(answer)
            else:
                for problem in answer.get("problems", ()):
                    problems[problem].append(path)
                yield printable(path), answer
            _reached(options, number, len(files), bad)

    {"jsonl": _print_lines, "csv": _print_csv, "table": _print_table}[options.format](predictor, answers())
    return _finish(len(files), bad, problems)


def _reached(options: argparse.Namespace, number: int, count: int, bad: Sequence[str]) -> None:
    """Set what an interrupt is answered with: how far the output reaches."""
    printed = f"the predictions of {number - len(bad)} are printed" if number > len(bad) else "none could be predicted"
    options.interrupted = f"interrupted after {number} of {count} files; {printed}"


def _bulk(options: argparse.Namespace) -> int:
    """Predict into a folder of Parquet files; see `keras_ser.serving.bulk`."""
    from keras_ser.serving import bulk
    from keras_ser.serving.file_lists import listed_files

    if options.timeline or options.format != "jsonl":
        raise UserError("--out writes Parquet, one row per file: omit --format and --timeline.")
    files, skipped = listed_files(options.files)
    report_skipped(skipped)
    rows = bulk.ray_rows(options.model, options.out, options.workers or 2, options.address) if options.engine else None
    given = {"shard": options.shards or (1, 1), "retry_failed": options.retry_failed, "rows": rows}
    try:
        predicted, failed = bulk.predict_bulk(options.model, files, options.out, **given, verbose=True)
    except BaseException:
        if any(Path(options.out).glob("*/*.parquet")):
            options.interrupted = f"interrupted; the rows so far are in {options.out}, where the same command continues"
        raise
    print(Path(options.out) / bulk.PREDICTIONS)
    print(f"{predicted} files predicted, {failed} failed", file=sys.stderr)
    if failed:
        where = Path(options.out) / bulk.FAILED
        print(f"keras-ser: the reasons are in {where}; --retry-failed reads these files again.", file=sys.stderr)
    return 1 if failed else 0


def _timelines(options: argparse.Namespace, files: Sequence[Path]) -> int:
    if options.format == "audacity" and len(files) > 1:
        raise UserError(f"--format audacity takes one recording; use rttm, csv or jsonl. Received: {len(files)} files.")
    if options.plot and len(files) > 1 and Path(options.plot).suffix and not Path(options.plot).is_dir():
        raise UserError(f"--plot takes a folder for several recordings. Received: {options.plot}, {len(files)} files.")
    from keras_ser.audio import AudioError
    from keras_ser.files import write_figure
    from keras_ser.serving import Predictor
    from keras_ser.serving.timelines import recording_names, timeline

    predictor = Predictor.load(options.model)
    given = {"window_seconds": options.window, "hop_seconds": options.hop}
    seconds = {name: value for name, value in given.items() if value is not None}
    bad, problems = [], defaultdict(list)
    names, headed = recording_names(files), False
    for number, path in enumerate(track(files, "files")):
        check_interrupt()
        try:
            found = timeline(predictor, path, **seconds, task=options.task)
        except AudioError as error:
            bad.append(str(error))
            _reached(options, number + 1, len(files), bad)
            continue
        for problem in found.problems:
            problems[problem].append(path)
        lines = found.write({"jsonl": "json"}.get(options.format, options.format), names[number])
        if options.format in ("csv", "table") and headed:
            next(lines)
        headed = True
        for line in lines:
            print(line)
        _reached(options, number + 1, len(files), bad)
        if options.plot:
            target = Path(options.plot)
            if len(files) > 1:
                target = target / f"{number:04d}-{path.stem}.png"
            elif target.is_dir():
                target = target / f"{path.stem}.png"
            elif not target.suffix:
                target = target.with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            write_figure(target, found.figure())
    return _finish(len(files), bad, problems)


def _finish(count: int, bad: Sequence[str], problems: Mapping[str, Sequence[Path]]) -> int:
    """Print the problems of predicted files (see `keras_ser.audio.problems`) and the unusable files; return the exit code."""
    from keras_ser.checks import listed

    lines = [f"keras-ser: warning: {name} ({len(paths)}): {listed(paths)}" for name, paths in problems.items()]
    if bad:
        lines += [
            f"keras-ser: {len(bad)} of {count} files could not be predicted:",
            *(f"  {printable(line)}" for line in bad),
        ]
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if bad else 0


def _print_lines(predictor, answers: Iterable) -> None:
    for path, answer in answers:
        print(json.dumps({"file": path, **answer}, ensure_ascii=False), flush=True)


def _print_csv(predictor, answers: Iterable) -> None:
    from keras_ser.serving.predictor import cells, columns

    writer = csv.writer(sys.stdout, lineterminator="\n")
    header = ["file", *(column for task in predictor.tasks for column in columns(task)), *predictor.flags]
    writer.writerow(header)
    for path, answer in answers:
        row = [cell for task in predictor.tasks for cell in cells(task, answer[task.name])]
        writer.writerow([path, *row, *(answer[name] for name in predictor.flags)])
        sys.stdout.flush()


def _print_table(predictor, answers: Iterable) -> None:
    from keras_ser.models import model_flags
    from keras_ser.reports.render import aligned

    warnings = {name: flag.warning for name, flag in model_flags().items()}
    rows = [["file", *(task.name for task in predictor.tasks)]]
    try:
        for path, answer in answers:
            cells = []
            for task in predictor.tasks:
                found = answer[task.name]
                cells.append(f"{found['value']:.3f}" if task.continuous else f"{found['label']} {found['score']:.2f}")
            cells[0] += "".join(f" ({text})" for name, text in warnings.items() if answer.get(name))
            rows.append([path, *cells])
    finally:  # an interrupt keeps what is there
        if len(rows) > 1:
            print("\n".join(aligned(rows, left=len(rows[0]))))
