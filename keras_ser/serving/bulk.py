"""Bulk prediction in shards to Parquet files, resumable, without predicting any file twice.

A folder of results contains

    model.json                    identifies the model
    predictions/*.parquet         a row per file: file, <task>/prediction, <task>/score, <task>/<label>, flags, problems
    failed/*.parquet              a row per file that could not be predicted: file, reason

Each results file is written at once, every `PART` audio files. Files in either table are not read again, so that a killed
command can be continued, even with other shards.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from keras_ser.errors import RunError, UserError
from keras_ser.files import remove_parts, write_json, write_whole
from keras_ser.progress import track
from keras_ser.serving.facts import find_export
from keras_ser.serving.predictor import Predictor, flat, predict_files

PREDICTIONS, FAILED, MODEL = "predictions", "failed", "model.json"
PART, BATCH = 1000, 256
Row = dict[str, Any]


def predict_bulk(
    model: str | os.PathLike,
    files: Sequence[Path],
    out: Path | str,
    *,
    shard: tuple[int, int] = (1, 1),
    part: int = PART,
    progress: bool = False,
    rows: contextlib.AbstractContextManager[Callable[[Sequence[Path]], Iterable[Row]]] | None = None,
) -> tuple[int, int]:
    """Predict one shard of the files that `out` has no row for, and write the rows to `out`.

    Args:
        model: A run or an export; see `Predictor.load`.
        files: All files, in the same order for every shard.
        out: Folder of results, shared by all shards.
        shard: (number, shards), numbers from 1: the files number - 1, number - 1 + shards, ..
        part: Files that share a Parquet file. A kill loses the rows of one part at most.
        progress: Show a progress bar on a terminal.
        rows: Context of a function files -> rows in any order, used instead of predicting in this process; see `ray_rows`.

    Returns:
        (predicted, failed): the numbers of files of this shard with a row in either table, earlier ones included.

    Raises:
        UserError: The shard is not one, or pyarrow is not installed.
        RunError: `out` holds results of another model, or a damaged file.
    """
    _pyarrow()
    number, shards = shard
    if not 1 <= number <= shards:
        raise UserError(f"a shard is N/OF, N from 1 to OF, e.g. 1/8. Received: {number}/{shards}.")
    out, about = Path(out), {"model": digest(model)}
    # join the cluster before creating the folder
    with rows or contextlib.nullcontext() as make:
        claim(out, about)
        done = {table: read_column(out / table, "file") for table in (PREDICTIONS, FAILED)}
        known = done[PREDICTIONS] | done[FAILED]
        mine = files[number - 1 :: shards]
        left = [path for path in mine if str(path) not in known]
        counts = {table: sum(str(path) in found for path in mine) for table, found in done.items()}
        if not left:
            return counts[PREDICTIONS], counts[FAILED]
        made = (make or Rows(model))(left)
        made = (row for row, _ in zip(made, track(left, "files", shown=progress), strict=True))
        while block := list(islice(made, part)):
            for table, wanted in ((PREDICTIONS, False), (FAILED, True)):
                chosen = [row for row in block if ("reason" in row) == wanted]
                if chosen:
                    counts[table] += len(chosen)
                    _write(out / table / f"shard-{number:05d}-of-{shards:05d}-{uuid4().hex[:12]}.parquet", chosen)
    return counts[PREDICTIONS], counts[FAILED]


class Rows:
    """Function files -> rows that loads its model on first use, in the process that predicts.

    Args:
        model: See `Predictor.load`.
    """

    def __init__(self, model: str | os.PathLike):
        self.predictor = Predictor.load(model)

    def __call__(self, files: Iterable[Path]) -> Iterator[Row]:
        for path, answer in predict_files(self.predictor, files):
            file = {"file": str(path)}
            if isinstance(answer, str):
                yield file | {"reason": answer}
            else:
                yield file | flat(self.predictor.tasks, {**answer, "problems": answer.get("problems", ())})


def claim(out: Path, about: Mapping[str, str]) -> None:
    """Create a folder of results, or continue in one of the same model."""
    file = out / MODEL
    if file.exists():
        try:
            held = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{file} is damaged: {error}. Remove {out}, or give another --out.") from error
        if held != about:
            raise RunError(f"{out} holds the predictions of another model. Give another --out.")
    elif out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(f"{out} is not empty and holds no predictions. Give another --out.")
    for table in (PREDICTIONS, FAILED):
        (out / table).mkdir(parents=True, exist_ok=True)
        remove_parts(out / table)
    write_json(file, about)


def digest(model: str | os.PathLike) -> str:
    """Return the SHA-256 of a model's files: an export's graph and weights, or a run's model."""
    from keras_ser.training.run import Run, model_file

    folder = find_export(model)
    files = [model_file(Run.find(model))] if folder is None else [*folder.glob("*.pb"), *folder.glob("variables/*")]
    found = hashlib.sha256()
    for path in sorted(files):
        with path.open("rb") as raw:
            found.update(hashlib.file_digest(raw, "sha256").digest())
    return found.hexdigest()


def read_column(folder: Path, name: str) -> set[str]:
    """Return the values of a column in all Parquet files of a folder."""
    pyarrow, parquet = _pyarrow()
    found: set[str] = set()
    for path in sorted(folder.glob("*.parquet")):
        try:
            found.update(parquet.read_table(path, columns=[name])[name].to_pylist())
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{path} is damaged ({reason}). Remove it: its files are predicted again.") from error
    return found


def _write(path: Path, rows: Sequence[Row]) -> None:
    pyarrow, parquet = _pyarrow()
    table = pyarrow.Table.from_pylist(list(rows))
    write_whole(path, lambda part: parquet.write_table(table, part, compression="zstd"))


def _pyarrow():
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise UserError("bulk prediction writes Parquet: pip install 'keras-ser[parquet]'.") from error
    return pyarrow, parquet


def listed_files(paths: Iterable[str | os.PathLike]) -> tuple[list[Path], list[Path]]:
    """Like `keras_ser.audio.find_audio`; a .txt file is a list of audio files, one per line, relative to the working folder.

    Files named in a list are not checked here: a missing one fails on its own, without affecting the others.
    """
    from keras_ser.audio import find_audio

    lists = [Path(path) for path in paths if Path(path).suffix.lower() == ".txt"]
    others = [path for path in paths if Path(path).suffix.lower() != ".txt"]
    files, skipped = find_audio(others) if others else ([], [])
    for path in lists:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"expected a list of files, one per line. Received: {path} ({error}).") from error
        files += [Path(line.strip()) for line in lines if line.strip()]
    return list(dict.fromkeys(files)), skipped


@contextlib.contextmanager
def ray_rows(
    model: str | os.PathLike, out: Path | str, workers: int, address: str | None = None
) -> Iterator[Callable[[Sequence[Path]], Iterator[Row]]]:
    """Return `rows` for `predict_bulk` that uses Ray Data: `map_batches` over the files with `workers` actors, one core each.

    Args:
        model: Path of the model, which every node must be able to read, like the files.
        out: Folder of results, which every node must be able to access.
        workers: Number of actors, each with a copy of the model, at most the number of cores of the cluster.
        address: Address of a running cluster; None = the cluster of RAY_ADDRESS, or this machine.

    Raises:
        UserError: Ray is not installed, there is no cluster at the address, or a node fails a requirement.
    """
    from keras_ser.engines.cluster import TRIES, joined, reason

    path = Path(model).resolve()
    with joined(address, Path(out), [path]) as (ray, room):

        def rows(files: Sequence[Path]) -> Iterator[Row]:
            ray.data.DataContext.get_current().enable_progress_bars = False
            count = min(workers, room)
            items = [{"file": str(file)} for file in files]
            blocks = max(1, min(len(items) // BATCH, 4 * count))
            made = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
                RayRows,
                fn_constructor_args=(str(path),),
                concurrency=count,
                num_cpus=1,
                batch_size=BATCH,
                # by default Ray retries for ever, even a batch that kills its actor
                max_restarts=TRIES - 1,
                max_task_retries=TRIES - 1,
            )
            try:
                for row in made.iter_rows():
                    yield json.loads(row["row"])
            except ray.exceptions.RayError as error:
                raise UserError(
                    f"Ray has given up ({reason(error)}). The same command continues after the last complete part."
                ) from error

        yield rows


class RayRows:
    """`Rows` on batches of Ray Data: {"file": (files,)} -> {"row": (files,) JSON}, so that failed rows need no columns."""

    def __init__(self, model: str):
        self.rows = Rows(model)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        return {"row": [json.dumps(row) for row in self.rows([Path(str(file)) for file in batch["file"]])]}
