"""Record failed jobs in their folders, so that the others continue and reports can say what is missing."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from keras_ser.audio import AudioError
from keras_ser.checks import listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.errors import DiskError, DivergenceError, UserError
from keras_ser.experiment.planning import Job
from keras_ser.files import disk_error, write_json
from keras_ser.training import RunError

FAILED = "failed.json"
SHOWN = 10
# what a user can put right, and other jobs need not share
OF_ONE = (DivergenceError, RunError, CorpusError, AudioError)


class AllFailedError(RunError):
    """Raised if no job of an experiment has finished, and at least one has failed."""


class TakenError(RunError):
    """Raised if all that is missing for a report is being trained by other processes; the message says so."""

    def __init__(self, runs: Iterable[str]):
        super().__init__(
            f"other processes are still training {listed(runs)}. The last of them to finish writes the report; if they run "
            "another command, repeat this one afterwards."
        )


def attempt(work: Callable[[], None], job: Job, target: Path, first: bool = False) -> str:
    """Do a job's work; a failure that concerns this job alone is noted in its folder.

    Args:
        work: function that trains and tests.
        job: the job.
        target: its folder. failed.json in it holds the reason; it is removed when the job is tried again.
        first: whether no job of the experiment has finished yet. If so, a mistake in the settings, common to all jobs, is raised.

    Returns:
        Why the job failed; "" if it did not.
    """
    file = target / FAILED
    file.unlink(missing_ok=True)
    try:
        work()
    except Exception as error:
        reason = reason_of_job(error, target)
        of_all = first and isinstance(error, UserError) and not isinstance(error, OF_ONE)
        if reason is None or of_all:
            raise
    else:
        return ""
    note(job, target, reason)
    return reason


def note(job: Job, target: Path, reason: str) -> None:
    """Record in its folder why a job failed."""
    target.mkdir(parents=True, exist_ok=True)
    about = {"protocol": job.protocol.name, "fold": job.split.fold, "seed": job.seed, "reason": reason}
    write_json(target / FAILED, about)


def reason_of_job(error: Exception, folder: Path) -> str | None:
    """Return in a line why a job writing to `folder` failed; None if `error` affects other jobs or is a bug of this package.

    Raises:
        DiskError: the disk is full.
    """
    import tensorflow as tf

    full = error if isinstance(error, DiskError) else disk_error(error, folder / "files")
    if full is not None:
        raise full from error
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        reason = (str(error) or "MemoryError").splitlines()[0]
        return f"out of memory ({reason}). Lower batch_size, or close other programs."
    return None


def forget_failures(runs: Iterable[tuple[Path, Job]]) -> None:
    """Remove the notes on failures of jobs, each given with its experiment's folder, so that they are tried again."""
    for folder, job in runs:
        (folder / job.folder / FAILED).unlink(missing_ok=True)


def failure(target: Path) -> str:
    """Return why the job of a folder failed when last tried; "" if it did not."""
    try:
        return str(json.loads((target / FAILED).read_text(encoding="utf-8"))["reason"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return f"the reason is unknown, since {target / FAILED} is damaged."


def named(job: Job) -> str:
    return f"{job.protocol.name}, fold {job.split.fold}, seed {job.seed}"


def left_out(folder: Path, every: Sequence[Job], done: Collection[str]) -> tuple[str, ...]:
    """Return the sentences on unfinished jobs for a report over the jobs with folders `done`; empty if `every` job is done."""
    missing = [job for job in every if job.folder not in done]
    reasons = [(job, failure(folder / job.folder)) for job in missing]
    failed = [(job, reason) for job, reason in reasons if reason]
    others = [job.folder for job, reason in reasons if not reason]
    found = []
    if failed:
        found.append(
            f"{len(failed)} of {len(every)} runs failed and are excluded from all results. The same command tries them again."
        )
        found += [f"Failed: {named(job)}: {reason}" for job, reason in failed[:SHOWN]]
        found += [f"Failed: {listed(job.folder for job, _ in failed[SHOWN:])}."] if len(failed) > SHOWN else []
    if others:
        found.append(
            f"{len(others)} of {len(every)} runs are unfinished and excluded from all results: {listed(others)}."
        )
    return tuple(found)


def check_any(folder: Path, every: Sequence[Job], done: Collection[str]) -> None:
    """Raise an error if no job of an experiment is finished.

    Raises:
        AllFailedError: at least one job failed; the message gives the first reason.
        RunError: no job failed either.
    """
    if done:
        return
    for job in every:
        reason = failure(folder / job.folder)
        if reason:
            raise AllFailedError(f"no run in {folder} has finished. The first that failed: {named(job)}: {reason}")
    raise RunError(f"{folder} holds no finished run yet.")
