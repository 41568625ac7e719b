"""Bulk prediction in shards to Parquet files, resumable, without predicting any file twice.

A folder of results contains

    model.json                    identifies the model
    predictions/*.parquet         a row per file: file, <task>/prediction, <task>/score, <task>/<label>, flags, problems
    failed/*.parquet              a row per file that could not be predicted: file, reason

Each results file is written at once, every `PART` audio files. Files in either table are not read again, so that a killed
command can be continued, even with other shards; `retry_failed` reads those of the second again. File names that are not UTF-8 are
escaped (`keras_ser.files.printable`).
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from keras_ser.errors import RunError, UserError
from keras_ser.files import lock, printable, remove_parts, write_json, write_whole
from keras_ser.progress import track
from keras_ser.serving.facts import find_export
from keras_ser.serving.predictor import EXPORTS, Predictor, flat, predict_files

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
    verbose: bool = False,
    retry_failed: bool = False,
    rows: contextlib.AbstractContextManager[Callable[[Sequence[Path]], Iterable[Row]]] | None = None,
) -> tuple[int, int]:
    """Predict one shard of the files that `out` has no row for, and write the rows to `out`.

    Args:
        model: A run or an export; see `Predictor.load`.
        files: All files; a shard may start after some have been added.
        out: Folder of results, shared by all shards.
        shard: (number, shards), numbers from 1; see `shard_of`.
        part: Files that share a Parquet file. A kill loses the rows of one part at most.
        verbose: Show a progress bar on a terminal.
        retry_failed: Also predict the files of this shard that failed before; their rows are removed first.
        rows: Context of a function files -> rows in any order, used instead of predicting in this process; see `ray_rows`.

    Returns:
        (predicted, failed): the numbers of files of this shard with a row in either table, earlier ones included.

    Raises:
        UserError: There are no files, the shard is not one, or pyarrow is not installed.
        RunError: `out` holds results of another model, or a damaged file.
    """
    pyarrow, _ = _pyarrow()
    number, shards = shard
    if not 1 <= number <= shards:
        raise UserError(f"a shard is N/OF, N from 1 to OF, e.g. 1/8. Received: {number}/{shards}.")
    if not files:
        raise UserError("expected at least one audio file to predict. Received: none.")
    out, about = Path(out), {"model": digest(model)}
    # join the cluster before creating the folder
    with rows or contextlib.nullcontext() as make:
        claim(out, about)
        mine = [path for path in files if shard_of(path, shards) == number]
        names = [printable(path) for path in mine]
        with lock(out / FAILED):  # another shard may be forgetting its failures
            done = {table: read_column(out / table, "file") for table in (PREDICTIONS, FAILED)}
            if retry_failed:
                _forget(out / FAILED, done[FAILED] & set(names))
                done[FAILED] -= set(names)
        known = done[PREDICTIONS] | done[FAILED]
        left = [path for path, name in zip(mine, names, strict=True) if name not in known]
        counts = {table: sum(name in found for name in names) for table, found in done.items()}
        if not left:
            return counts[PREDICTIONS], counts[FAILED]
        made = (make or Rows(model))(left)
        made = (row for row, _ in zip(made, track(left, "files", shown=verbose), strict=True))
        for block in _blocks(made, part):
            for table, wanted in ((PREDICTIONS, False), (FAILED, True)):
                chosen = [row for row in block if ("reason" in row) == wanted]
                if chosen:
                    counts[table] += len(chosen)
                    name = f"shard-{number:05d}-of-{shards:05d}-{uuid4().hex[:12]}.parquet"
                    _write(out / table / name, pyarrow.Table.from_pylist(chosen))
    return counts[PREDICTIONS], counts[FAILED]


def shard_of(file: str | os.PathLike, shards: int) -> int:
    """Return the shard of a file, from 1: a hash of its path as it is in the tables, so that no other file changes it."""
    return 1 + int.from_bytes(hashlib.sha256(printable(file).encode()).digest()[:8], "big") % shards


def _blocks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yield lists of `size` rows; the rest also where the rows end in an error or an interrupt, which is raised after it."""
    block: list[Row] = []
    try:
        for row in rows:
            block.append(row)
            if len(block) == size:
                yield block
                block = []
    except (Exception, KeyboardInterrupt):
        if block:
            yield block
        raise
    if block:
        yield block


class Rows:
    """Function files -> rows, by the model of `Predictor.load`."""

    def __init__(self, model: str | os.PathLike):
        self.predictor = Predictor.load(model)

    def __call__(self, files: Iterable[Path]) -> Iterator[Row]:
        for path, answer in predict_files(self.predictor, files):
            file = {"file": printable(path)}
            if isinstance(answer, str):
                yield file | {"reason": printable(answer)}
            else:
                yield file | flat(self.predictor.tasks, {**answer, "problems": answer.get("problems", ())})


def claim(out: Path, about: Mapping[str, str]) -> None:
    """Create a folder of results, or continue in one of the same model; shards may do so at the same time."""
    file = out / MODEL
    # listed first: a shard that starts now writes `file` before anything else
    held = out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir())
    if not file.exists():
        if held:
            raise RunError(f"{out} is not empty and holds no predictions. Give another --out.")
        with lock(file):
            if not file.exists():
                write_json(file, about)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}. Remove {out}, or give another --out.") from error
    if found != about:
        raise RunError(f"{out} holds the predictions of another model. Give another --out.")
    for folder in (out, out / PREDICTIONS, out / FAILED):
        folder.mkdir(exist_ok=True)
        remove_parts(folder)


def digest(model: str | os.PathLike) -> str:
    """Return the SHA-256 of a model's files: an export's graph and weights, or a run's model."""
    from keras_ser.training.run import Run, model_file

    folder = find_export(model)
    files = (
        [model_file(Run.find(model, EXPORTS))]
        if folder is None
        else [*folder.glob("*.pb"), *folder.glob("variables/*")]
    )
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


def _forget(folder: Path, names: Collection[str]) -> None:
    """Remove the rows of these files from all Parquet files of a folder."""
    pyarrow, parquet = _pyarrow()
    for path in sorted(folder.glob("*.parquet")) if names else ():
        rows = parquet.read_table(path)
        kept = rows.filter(pyarrow.array([name not in names for name in rows["file"].to_pylist()], pyarrow.bool_()))
        if not kept.num_rows:
            path.unlink()
        elif kept.num_rows < rows.num_rows:
            _write(path, kept)


def _write(path: Path, table: Any) -> None:
    _, parquet = _pyarrow()
    write_whole(path, lambda part: parquet.write_table(table, part, compression="zstd"))


def _pyarrow():
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise UserError("bulk prediction writes Parquet: pip install 'keras-ser[parquet]'.") from error
    return pyarrow, parquet


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
            items = [{"file": item(file)} for file in files]
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


def item(file: str | os.PathLike) -> str:
    """Return what an actor is sent for a file: the path to read in its own working folder, and the name in the row."""
    return json.dumps([os.path.abspath(file), printable(file)])  # Arrow has no names that are not UTF-8


class RayRows:
    """`Rows` on batches of Ray Data: {"file": (files,) `item`} -> {"row": (files,) JSON}, so that failed rows need no columns."""

    def __init__(self, model: str):
        self.rows = Rows(model)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        paths, names = zip(*(json.loads(str(file)) for file in batch["file"]), strict=True)
        rows = zip(names, self.rows(map(Path, paths)), strict=True)
        return {"row": [json.dumps(row | {"file": name}) for name, row in rows]}
