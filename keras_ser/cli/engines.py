"""Where a command trains its runs: --engine, --jobs and Ray's options."""

import argparse
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_ser.cli.arguments import positive
from keras_ser.errors import UserError
from keras_ser.machine import cores

OF_RAY = ("address", "job_cpus", "job_gpus")


def add_engine_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """What commands take that train several runs; `default` says how many at the same time."""
    parser.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help=f"runs trained at the same time (default: {default}; with Ray as many as the cluster has room for)",
    )
    parser.add_argument(
        "--engine",
        choices=["processes", "ray"],
        default="processes",
        help="where they are trained: in processes of this machine (default), or on a Ray cluster whose nodes share the folders",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="the Ray cluster (default: RAY_ADDRESS, or this machine)"
    )
    parser.add_argument("--job-cpus", type=amount, metavar="N", help="cores of a run, with Ray (default 1)")
    parser.add_argument("--job-gpus", type=amount, metavar="N", help="GPUs of a run, with Ray, e.g. 0.5 (default 0)")


def amount(text: str) -> float:
    """A number of cores or GPUs: a whole one, or a part of one."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not (number == 0 or 0.01 <= number < 1 or number >= 1 and number.is_integer() and number < 1e6):
        raise argparse.ArgumentTypeError(f"expected a whole number, or a part of 1 from 0.01. Received: {text!r}.")
    return number


def check_engine(options: argparse.Namespace) -> None:
    """Refuse Ray's options without Ray, and Ray where it is not installed."""
    if options.engine == "ray":
        from keras_ser.engines.cluster import ray_package

        ray_package()
    named = [name for name in OF_RAY if getattr(options, name) is not None]
    if options.engine != "ray" and named:
        raise UserError(f"--{named[0].replace('_', '-')} is for Ray: give --engine ray, too.")


def share_cores(processes: int) -> None:
    """Give each of so many processes its share of the cores and no more GPU memory than it needs; before TensorFlow is imported."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(_share(processes)))
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def _share(processes: int) -> int:
    return max(1, cores() // processes)


def opened(options: argparse.Namespace, data: Any, folder: Path, jobs: int | None):
    """The engine that the options ask for, its workers sharing `data`.

    Args:
        options: of the command line.
        data: the corpora.
        folder: which the runs are written into.
        jobs: how many runs at the same time; None = as many as there is room for, with Ray.
    """
    from keras_ser.engines import Processes, RayCluster, Sequential, Workplace

    if options.engine == "ray":
        cpus = 1.0 if options.job_cpus is None else options.job_cpus
        sees = [*_files(data), *(Path(path) for path in (options.init_from,) if path)]
        workplace = Workplace.here(max(1, int(cpus)), options.deterministic)
        return RayCluster(
            options.address,
            workplace,
            data,
            sees=sees,
            folder=folder,
            jobs=jobs,
            cpus=cpus,
            gpus=options.job_gpus or 0.0,
        )
    if (jobs or 1) == 1:
        return Sequential(data)
    return Processes(jobs, Workplace.here(_share(jobs), options.deterministic), data)


def _files(data: Any) -> Iterable[Path]:
    """What training reads beside the run's folder."""
    auxiliary: Mapping[str, Any] = data.auxiliary
    yield from (each.path for each in (data.cache, *(cache for _, cache in auxiliary.values())))
    if data.noise_root:
        yield Path(data.noise_root)
