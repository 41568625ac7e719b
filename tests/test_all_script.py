"""`benchmarks/all.sh` with programs that train nothing: what it is asked for, what failed, what an attempt that was killed took."""

import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "all.sh"
STEPS = [f"{corpus}-paper" for corpus in ("emodb", "ravdess", "ased")]


@pytest.fixture
def retrain(tmp_path):
    """(words, programs' exit code on RAVDESS) -> the finished process; its steps are logged in OUT/log."""
    (tmp_path / "data").mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("python", "keras-ser"):
        program = tmp_path / "bin" / name
        program.write_text('#!/bin/sh\ncase "$*" in *ravdess*) exit $RAVDESS ;; esac\n')
        program.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def run(*words: str, ravdess: int = 0) -> subprocess.CompletedProcess:
        command = ["bash", str(SCRIPT), str(tmp_path / "data"), str(tmp_path / "out"), *words]
        env = {**os.environ, "PATH": path, "RAVDESS": str(ravdess)}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return run


def logged(tmp_path, ending: str) -> list[str]:
    return sorted(path.name.removesuffix(ending) for path in (tmp_path / "out" / "log").glob(f"*{ending}"))


@pytest.mark.parametrize("word", ["papers", "--lft", ""])
def test_an_unknown_word_is_refused_with_the_systems(retrain, word):
    done = retrain("paper", word)
    assert done.returncode == 2 and not done.stdout
    assert (
        done.stderr.startswith("expected --left or a system: single-task aspmtl") and f"Received: {word}" in done.stderr
    )


def test_every_system_has_a_step(retrain):
    """Without names, each name that is known adds steps of its own."""
    known = retrain("?").stderr.split("system: ")[1].partition(". Received")[0].split()
    left = {name: retrain(name, "--left") for name in known}
    assert all(done.returncode == 0 and "left: " in done.stdout for done in left.values())
    every = {line for done in left.values() for line in done.stdout.splitlines() if line.startswith("left: ")}
    assert every == {line for line in retrain("--left").stdout.splitlines() if line.startswith("left: ")}


def test_what_is_left_has_an_estimate_once_a_step_is_done(retrain, tmp_path):
    assert "3 steps left; no step is done yet, so no estimate" in retrain("paper", "--left").stdout
    assert retrain("paper", ravdess=3).returncode == 1
    assert "2 steps done in 0 min; 1 left, about 0 min if they are like those" in retrain("paper", "--left").stdout


def test_a_failed_step_does_not_end_the_others_but_fails_the_script(retrain, tmp_path):
    done = retrain("paper", ravdess=3)
    assert done.returncode == 1 and "failed: ravdess-paper (exit code 3)" in done.stdout
    assert logged(tmp_path, ".done") == ["ased-paper", "emodb-paper"] and logged(tmp_path, ".spent") == [
        "ravdess-paper"
    ]
    again = retrain("paper")
    assert again.returncode == 0 and logged(tmp_path, ".done") == sorted(STEPS) and not logged(tmp_path, ".spent")
    assert retrain("paper", ravdess=130).returncode == 0


def test_an_interrupt_ends_the_script(retrain, tmp_path):
    assert retrain("paper", ravdess=130).returncode == 130
    assert logged(tmp_path, ".done") == ["emodb-paper"]


def test_a_killed_script_ends_what_it_trains_and_two_do_not_train_into_one_folder(retrain, tmp_path):
    """The program that it runs notes its process and sleeps."""
    command = retrain("paper", ravdess=130).args  # leaves ravdess-paper undone
    program = tmp_path / "bin" / "python"
    program.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec sleep 60\n')
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    for name, code in (("TERM", 143), ("INT", 130), ("KILL", -9)):
        (tmp_path / "pid").unlink(missing_ok=True)
        # tests in the background ignore interrupts, and what they start would, too
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        script = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, preexec_fn=heard)
        deadline = time.monotonic() + 20
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        pid = int((tmp_path / "pid").read_text())
        second = retrain("paper")
        assert second.returncode == 75 and "trains into" in second.stderr
        script.send_signal(getattr(signal, f"SIG{name}"))
        assert script.wait(20) == code
        if name == "KILL":  # what it had begun goes on, and keeps others away
            assert retrain("paper").returncode == 75
            os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()
    assert logged(tmp_path, ".done") == ["emodb-paper"]


def test_the_commits_of_all_attempts_are_kept(retrain, tmp_path):
    retrain("paper", ravdess=130)
    commits = tmp_path / "out" / "log" / "ravdess-paper.commits"
    (now,) = commits.read_text().splitlines()
    commits.write_text("1234567\n" + commits.read_text())
    assert retrain("paper").returncode == 0 and not commits.exists()
    assert (tmp_path / "out" / "log" / "ravdess-paper.done").read_text().endswith(f"s, commit 1234567+{now}\n")


def test_time_of_a_killed_attempt_counts(retrain, tmp_path):
    """Until its last file was written; that of a process that still runs does not count yet."""
    retrain("paper", ravdess=130)
    log, last = tmp_path / "out" / "log", tmp_path / "out" / "state.npz"
    ended = subprocess.Popen(["true"])
    ended.wait()
    begun = int(time.time()) - 1000
    for process, spent in ((os.getpid(), 0), (ended.pid, 400)):
        (log / "ravdess-paper.begun").write_text(f"{begun} {process}\n")
        os.utime(log / "ravdess-paper.begun", (begun, begun))
        for path in (*log.glob("*.log"), *log.glob("*.done"), *log.glob("*.spent"), *log.glob("*.commits")):
            os.utime(path, (begun - 5, begun - 5))
        last.touch()
        os.utime(last, (begun + 400, begun + 400))
        said = retrain("paper", "--left").stdout
        assert f"left: ravdess-paper (begun, {spent // 60} min so far)" in said
        assert spent <= int((log / "ravdess-paper.spent").read_text()) < spent + 60
    assert retrain("paper").returncode == 0
    assert 400 <= int((log / "ravdess-paper.done").read_text().split()[0]) < 460
