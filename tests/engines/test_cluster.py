"""A Ray cluster of two nodes on one machine: a node that dies costs no run, and the table is the sequential one."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import keras_ser.engines.cluster as module
from keras_ser.cli import main
from keras_ser.engines import RayCluster, Workplace
from keras_ser.errors import DivergenceError, UserError
from keras_ser.serving import bulk
from tests.cli.test_jobs import RECIPE
from tests.engines import work
from tests.models.papers import RECIPES
from tests.training import tiny

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'keras-ser[cluster]'")
pytest.importorskip("ray.cluster_utils", reason="Ray is not installed: pip install 'keras-ser[cluster]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's sockets and files


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            patch.setenv(name, "1")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        made.add_node(num_cpus=1)
        yield made
        made.shutdown()


def test_work_and_its_faults(cluster, tmp_path):
    given = {"folder": tmp_path / "out"}
    with RayCluster(cluster.address, Workplace.here(), 40, **given) as engine:
        assert engine.jobs == 2
        assert engine.submit(work.add, 2).result()[:2] == (42, str(Path.cwd()))
        with pytest.raises(DivergenceError, match="^the loss is nan.$"):
            engine.submit(work.diverge).result()
    with pytest.raises(UserError, match="cannot access .*elsewhere. All nodes need one file system"):
        RayCluster(cluster.address, Workplace.here(), 40, sees=[tmp_path / "elsewhere"], **given)
    with pytest.raises(UserError, match="no node .* has the 2 CPUs and 1 GPUs of a job; the maxima .* are 1 and 0"):
        RayCluster(cluster.address, Workplace.here(), 40, cpus=2, gpus=1, **given)
    with pytest.raises(KeyboardInterrupt), RayCluster(cluster.address, Workplace.here(), 40, **given) as engine:
        engine.submit(work.sleep, tmp_path / "pid")
        assert work.appeared(tmp_path / "pid")
        raise KeyboardInterrupt
    assert work.gone(int((tmp_path / "pid").read_text()))
    assert not list((tmp_path / "out").iterdir())


def test_no_cluster_at_the_address(tmp_path):
    with pytest.raises(UserError, match="there is no Ray cluster at 127.0.0.1:1 .*ray start --head"):
        RayCluster("127.0.0.1:1", Workplace.here(), 40, folder=tmp_path)


@pytest.mark.parametrize("address", [":6379", "here", "here:", "here:6379/x"])
def test_what_is_no_address_is_refused(address, tmp_path):
    with pytest.raises(UserError, match="expected the address of a Ray cluster, --address HOST:PORT. Received: "):
        RayCluster(address, Workplace.here(), 40, folder=tmp_path)


def test_a_port_of_something_else_is_no_cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEALTH_SECONDS", 3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=f"no Ray cluster at 127.0.0.1:{port} .no answer of a Ray cluster within"):
            RayCluster(f"127.0.0.1:{port}", Workplace.here(), 40, folder=tmp_path)


@pytest.mark.parametrize(("cpus", "room"), [(0.1, 10), (0.3, 3), (0.01, 100), (1, 1), (2, 0)])
def test_room_is_not_lost_to_rounding(cpus, room):
    assert module._room({"Resources": {"CPU": 1.0}}, cpus, 0) == room


def test_rows_of_actors_and_of_what_dies(cluster, tmp_path):
    """Sixteen actors on two cores; what kills an actor ends in one line, and a cluster that was joined before stays joined."""
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        for rows, files in ((work.Named, ["a", "b"]), (work.Dying, ["a"])):
            with (
                pytest.MonkeyPatch.context() as patch,
                bulk.ray_rows(tmp_path, tmp_path / "out", 16, cluster.address) as make,
            ):
                patch.setattr(bulk, "RayRows", rows)
                if rows is work.Named:
                    assert sorted(row["file"] for row in make(files)) == files
                    continue
                with pytest.raises(
                    UserError, match="^Ray has given up .*DivergenceError: the loss is nan.. The same command"
                ):
                    list(make(files))
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_trials_of_a_search_are_those_of_one_machine(cluster, tmp_path):
    recipe, tables = tmp_path / "recipe.json", []
    small = {"protocols": (tiny.SPEAKERS,), "tasks": RECIPE.tasks, "corpus_options": RECIPE.corpus_options}
    recipe.write_text(RECIPES["svm"].replace(**small).to_json())
    command = ["tune", str(recipe), "--quiet", "--method=grid", "--space=config.C=1e-4,1"]
    for name, engine in (("ray", ["--engine=ray", f"--address={cluster.address}"]), ("here", ["--jobs=1"])):
        assert main([*command, f"--out={tmp_path / name}", *engine]) == 0
        tables.append(pd.read_csv(next((tmp_path / name).glob("*-search-*/trials.csv"))))
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert tables[0]["trial"].tolist() == [0, 1, 2] and tables[0]["failed"].isna().all()


def test_runs_of_a_killed_node_are_redone_and_the_table_is_the_sequential_one(cluster, tmp_path):
    """The last test, since one node is left."""
    recipe = tmp_path / "recipe.json"
    recipe.write_text(RECIPE.replace(seeds=(0,), epochs=25).to_json())
    command = [sys.executable, "-m", "keras_ser.cli", "train", str(recipe), "--quiet", "--deterministic"]
    ray_too = ["--engine", "ray", "--address", cluster.address]
    driver = subprocess.Popen([*command, "--out", str(tmp_path / "ray"), *ray_too], stderr=subprocess.PIPE, text=True)

    def under_way() -> list[Path]:
        runs = [path.parent for path in (tmp_path / "ray").glob("jobs-*/speakers/*/state.npz")]
        return [run for run in runs if not (run / "predictions.csv").exists()]

    end = time.monotonic() + 120
    while len(under_way()) < 2 and time.monotonic() < end and driver.poll() is None:
        time.sleep(0.05)
    assert len(under_way()) == 2, driver.poll()
    (node,) = cluster.worker_nodes
    cluster.remove_node(node, allow_graceful=False)
    assert subprocess.run([*command, "--out", str(tmp_path / "here")], capture_output=True).returncode == 0
    _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 0, errors
    tables = [pd.read_csv(next((tmp_path / out).glob("jobs-*/predictions.csv"))) for out in ("ray", "here")]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert len(tables[0].groupby("fold")) == 2
