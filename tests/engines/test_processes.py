"""Processes of this machine: what dies is done again, and nothing outlives who asked."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from keras_ser.engines import Processes, Sequential, WorkerDied, Workplace
from keras_ser.errors import DivergenceError
from tests.engines import work

HERE = Workplace.here()
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("jobs", [1, 2])
def test_work_gets_what_is_shared_and_the_workplace(jobs, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.setattr(sys, "argv", ["/bin/keras-ser", "train", "--out", "/data/my runs"])
    monkeypatch.chdir(tmp_path)
    with Processes(jobs, Workplace.here(), 40) as engine:
        found = [engine.submit(work.add, number) for number in range(3)]
        assert engine.submit(work.made).result() == "keras-ser train --out '../my runs'"
    assert [each.result() for each in found] == [(40 + number, str(tmp_path), "3") for number in range(3)]


def test_sequential_work_is_done_when_it_is_submitted(tmp_path):
    with Sequential(0) as engine:
        assert engine.submit(work.die, tmp_path, 0).done()
        with pytest.raises(DivergenceError):
            engine.submit(work.diverge)


def test_work_of_a_killed_process_is_done_again_and_costs_no_other(tmp_path):
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    killed.mkdir()
    calm.mkdir()
    with Processes(2, HERE, 0) as engine:
        futures = [engine.submit(work.die, killed, 2), *(engine.submit(work.die, calm, 0) for _ in range(4))]
        assert futures[0].result() == 3
        assert len(list(calm.iterdir())) <= 4 and all(future.result() <= 4 for future in futures[1:])


def test_work_that_kills_every_process_is_given_up_and_faults_keep_their_type(tmp_path):
    with Processes(1, HERE, 0) as engine:
        with pytest.raises(
            WorkerDied, match="its process died 3 times: it was killed, .* its last line: no room on the device.$"
        ):
            engine.submit(work.die, tmp_path, 9).result()
        with pytest.raises(DivergenceError, match="^the loss is nan.$"):
            engine.submit(work.diverge).result()


def test_an_interrupt_ends_the_work(tmp_path):
    with pytest.raises(KeyboardInterrupt), Processes(2, HERE, 0) as engine:
        for name in "abc":
            engine.submit(work.sleep, tmp_path / name)
        assert work.appeared(tmp_path / "a") and work.appeared(tmp_path / "b")
        raise KeyboardInterrupt
    assert all(work.gone(int((tmp_path / name).read_text())) for name in "ab") and not (tmp_path / "c").exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("engine")]


def test_an_interrupt_while_the_process_starts_leaves_the_work_undone(tmp_path):
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Processes(1, HERE, 0) as engine:
        engine.submit(work.sleep, tmp_path / "pid")
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 60 and not (tmp_path / "pid").exists()


def test_processes_end_with_the_one_that_is_killed(tmp_path):
    code = f"""
from pathlib import Path
from keras_ser.engines import Processes, Workplace
from tests.engines import work
if __name__ == "__main__":
    with Processes(1, Workplace.here(), 0) as engine:
        engine.submit(work.sleep, Path({str(tmp_path / "pid")!r}))
"""
    (tmp_path / "parent.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], env=env)
    assert work.appeared(tmp_path / "pid")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert work.gone(int((tmp_path / "pid").read_text()))
