"""Options for where runs are trained: --engine, --jobs and Ray's options."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_ser.cli.arguments import positive
from keras_ser.errors import UserError
from keras_ser.machine import cores

OF_RAY = ("address", "job_cpus", "job_gpus")


def add_engine_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the options of commands that train several runs; `default` describes the default of --jobs."""
    parser.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help=f"number of runs to train in parallel (default: {default}; with Ray, as many as the cluster has room for)",
    )
    parser.add_argument(
        "--engine",
        choices=["processes", "ray"],
        default="processes",
        help="where runs are trained: in local processes (default), or on a Ray cluster whose nodes share the folders",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="address of the Ray cluster (default: RAY_ADDRESS, or this machine)"
    )
    parser.add_argument("--job-cpus", type=amount, metavar="N", help="CPU cores per run, with Ray (default: 1)")
    parser.add_argument("--job-gpus", type=amount, metavar="N", help="GPUs per run, with Ray, e.g. 0.5 (default: 0)")


def amount(text: str) -> float:
    """Parse a number of cores or GPUs: an integer, or a fraction below 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not (number == 0 or 0.01 <= number < 1 or number >= 1 and number.is_integer() and number < 1e6):
        raise argparse.ArgumentTypeError(f"expected an integer, or a fraction from 0.01 to 1. Received: {text!r}.")
    return number


def check_engine(options: argparse.Namespace) -> None:
    """Raise UserError for Ray's options without --engine ray, or if Ray is not installed."""
    if options.engine == "ray":
        from keras_ser.engines.cluster import ray_package

        ray_package()
    named = [name for name in OF_RAY if getattr(options, name) is not None]
    if options.engine != "ray" and named:
        raise UserError(f"--{named[0].replace('_', '-')} requires --engine ray.")


def share_cores(processes: int) -> None:
    """Divide the cores among processes and let GPU memory grow on demand; call it before TensorFlow is imported."""
    from keras_ser.engines.worker import limit_threads

    limit_threads(_share(processes))


def _share(processes: int) -> int:
    return max(1, cores() // processes)


def opened(options: argparse.Namespace, data: Any, folder: Path, jobs: int | None):
    """Return the engine that the options select; its workers share `data`.

    Args:
        options: the options of the command line.
        data: the corpora.
        folder: the folder in which the runs are written.
        jobs: number of parallel runs; None with Ray = as many as there is room for.
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
    """Yield the paths that training reads besides the run's folder."""
    auxiliary: Mapping[str, Any] = data.auxiliary
    yield from (each.path for each in (data.cache, *(cache for _, cache in auxiliary.values())))
    if data.noise_root:
        yield Path(data.noise_root)
