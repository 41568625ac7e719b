"""A Ray cluster, whose nodes perform as much work at a time as they have room for."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_ser._version import __version__
from keras_ser.engines.engine import TRIES, WorkerDied, Workers
from keras_ser.engines.worker import Workplace, perform
from keras_ser.errors import UserError

CONNECT_SECONDS, HEALTH_SECONDS, PROBE_SECONDS = 10, 20, 120
ADDRESS = re.compile(r"auto|local|(ray://)?([^:/\s]+|\[[0-9a-fA-F:]+\]):[0-9]+")


class RayCluster(Workers):
    """Engine that performs work as Ray tasks. Ray repeats the work of a node or process that dies.

    All nodes must have this version of the package, and access the folders below under the same paths.

    Args:
        address: address of the cluster, in Ray's form; None = RAY_ADDRESS, or else a cluster of this machine alone.
        workplace, shared: see `Workers`.
        sees: files and folders that all nodes must be able to read.
        folder: a folder whose new files all nodes must be able to read.
        jobs: number of concurrent pieces of work (None: as many as the cluster has room for).
        cpus, gpus: resources of each piece of work.

    Raises:
        UserError: Ray is not installed, there is no cluster at the address, no node has the cores or GPUs, or a node fails one of
            the requirements above.
    """

    def __init__(
        self,
        address: str | None,
        workplace: Workplace,
        shared: Any,
        *,
        sees: Sequence[Path] = (),
        folder: Path,
        jobs: int | None = None,
        cpus: float = 1,
        gpus: float = 0,
    ):
        with contextlib.ExitStack() as stack:
            ray, room = stack.enter_context(joined(address, folder, sees, cpus, gpus))
            super().__init__(jobs or room, workplace, shared)
            self._shared = ray.put(self.shared)
            self._left = stack.pop_all()
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=TRIES - 1, retry_exceptions=False)
        self._task, self._lock, self._asked = task(perform), threading.Lock(), set()

    def perform(self, work: bytes) -> Any:
        ray = ray_package()
        with self._lock:
            if self.ending:
                raise WorkerDied("the engine ends.")
            asked = self._task.remote(self.workplace, self._shared, work)
            self._asked.add(asked)
        try:
            return ray.get(asked)
        except ray.exceptions.RayTaskError as error:
            # raise the original exception, not Ray's wrapper class
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except ray.exceptions.RayError as error:
            raise WorkerDied(f"its node or process died {TRIES} times ({reason(error)}).") from error
        finally:
            with self._lock:
                self._asked.discard(asked)

    def end(self) -> None:
        ray = ray_package()
        with self._lock:
            for asked in self._asked:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.cancel(asked, force=True)

    def close(self) -> None:
        self._left.close()


@contextlib.contextmanager
def joined(
    address: str | None, folder: Path, sees: Sequence[Path] = (), cpus: float = 1, gpus: float = 0
) -> Iterator[tuple[Any, int]]:
    """Join a cluster unless this process has joined it, and check its nodes; on exit, leave it if it was joined here.

    Args:
        address, folder, sees, cpus, gpus: see `RayCluster`.

    Yields:
        Ray, and the number of concurrent pieces of work that the cluster has room for.

    Raises:
        UserError: see `RayCluster`.
    """
    ray = ray_package()
    with contextlib.ExitStack() as stack:
        if not ray.is_initialized():
            connect(ray, address)
            stack.callback(ray.shutdown)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        room = sum(_room(node, cpus, gpus) for node in nodes)
        if not room:
            most = {kind: max(node["Resources"].get(kind, 0) for node in nodes) for kind in ("CPU", "GPU")}
            raise UserError(
                f"no node of the Ray cluster has the {cpus:g} CPUs and {gpus:g} GPUs of a job; the maxima of a node are "
                f"{most['CPU']:g} and {most['GPU']:g}. Lower --job-cpus and --job-gpus."
            )
        check_nodes(ray, [node for node in nodes if _room(node, cpus, gpus)], Path(folder), sees)
        yield ray, room


def ray_package():
    """Return the module ray; raise UserError if it is not installed."""
    # disable usage reports
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # keep the current behaviour, without Ray's warning of its change
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    try:
        import ray
        from ray import is_initialized  # noqa: F401 a folder named ray, which Ray creates, also imports as a package
    except ImportError:
        raise UserError("--engine ray needs Ray, which is not installed: pip install 'keras-ser[cluster]'.") from None
    return ray


def connect(ray, address: str | None) -> None:
    """Join a cluster; raise UserError if there is none."""
    address = address or os.environ.get("RAY_ADDRESS")
    if address and not ADDRESS.fullmatch(address):
        raise UserError(f"expected the address of a Ray cluster, --address HOST:PORT. Received: {address!r}.")
    try:
        host, _, port = (address or "").rpartition(":")
        if host:  # Ray itself would retry for minutes
            socket.create_connection((host.rpartition("/")[2].strip("[]"), int(port)), CONNECT_SECONDS).close()
            if "/" not in host:
                _check_health(address)
        given = {"address": address} if address else {"include_dashboard": False}
        ray.init(**given, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f"there is no Ray cluster at {address or 'this machine'} ({reason(error)}). Start one with "
            "`ray start --head`, and give the address that it prints, --address HOST:6379."
        ) from error


def _check_health(address: str) -> None:
    """Raise OSError if something else, or another version of Ray, answers at the address."""
    ask = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=HEALTH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise OSError(f"no answer of a Ray cluster within {HEALTH_SECONDS} seconds") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise OSError(said[-1] if said else "it is not healthy")


def reason(error: BaseException) -> str:
    """Return an error's message in one line without full stop: the last of a traceback, else the first; or the error's type."""
    raised = re.findall(r"^(?!ray\.exceptions)(?:\w+\.)*\w*(?:Error|Exception): .+", str(error), re.MULTILINE)
    return (raised or (str(error).strip() or type(error).__name__).splitlines())[-1 if raised else 0].rstrip(".")


def _room(node: dict[str, Any], cpus: float, gpus: float) -> int:
    """Return the number of pieces of work that a node can perform at the same time."""
    parts = [(node["Resources"].get(kind, 0), each) for kind, each in (("CPU", cpus), ("GPU", gpus)) if each]
    # 1 / 0.1 is 10, though 1 // 0.1 is 9
    return int(min(there / each + 1e-9 for there, each in parts)) if parts else 1


def check_nodes(ray, nodes: Iterable[dict[str, Any]], folder: Path, sees: Sequence[Path]) -> None:
    """Check the requirements on every node; raise UserError for the first node that fails one."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def lacks(version: str, token: str, paths: list[str]) -> str:  # sent by value: a node may lack this package
        import pathlib

        try:
            import keras_ser
        except ImportError:
            return f"lacks keras_ser (pip install keras-ser=={version})"
        if keras_ser.__version__ != version:
            return f"has keras_ser {keras_ser.__version__}, and this machine {version}"
        if not pathlib.Path(token).exists():
            return f"cannot read files written to {pathlib.Path(token).parent}"
        unseen = [path for path in paths if not pathlib.Path(path).exists()]
        return f"cannot access {unseen[0]}" if unseen else ""

    folder.mkdir(parents=True, exist_ok=True)
    token = folder.resolve() / f".seen-{uuid.uuid4().hex[:12]}"
    paths = [os.getcwd(), *(str(path.resolve()) for path in sees)]
    token.touch()
    try:
        probe = ray.remote(num_cpus=0, max_retries=0)(lacks)
        for node in nodes:
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            name = node.get("NodeManagerHostname") or node["NodeManagerAddress"]
            try:
                asked = probe.options(scheduling_strategy=place).remote(__version__, str(token), paths)
                found = ray.get(asked, timeout=PROBE_SECONDS)
            except ray.exceptions.GetTimeoutError:
                found = f"has not answered for {PROBE_SECONDS} seconds"
            except ray.exceptions.RayError as error:
                found = f"fails ({reason(error)})"
            if found:
                raise UserError(
                    f"the Ray node {name} ({node['NodeManagerAddress']}) {found}. All nodes need one file system and the same "
                    "paths: put --out, the corpus and the package there, or remove the node from the cluster."
                )
    finally:
        token.unlink(missing_ok=True)
