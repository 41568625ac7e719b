"""Decoders that do not come back: a file is given up, and neither the process nor an interrupt waits for it."""

import signal
import subprocess
import sys
import time

import pytest

from keras_ser.audio import AudioError, stream
from tests.wavs import lying_list

# The sizes are not checked, so that libsndfile itself meets the file, in which it searches for ever.
# A shell lets what it starts in the background ignore interrupts, and so would this process.
SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from keras_ser.audio import AudioError, io, stream
stream.checked = lambda raw, kind: None
stream.LIMIT_SECONDS = float(sys.argv[2])
print("begun", flush=True)
try:
    io.read(sys.argv[1])
except AudioError as error:
    print(error)
"""


def started(tmp_path, seconds: float) -> subprocess.Popen:
    (tmp_path / "hang.wav").write_bytes(lying_list())
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "hang.wav"), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


def test_decoder_in_an_endless_loop_is_given_up(tmp_path):
    process = started(tmp_path, 0.5)
    out, err = process.communicate(timeout=30)
    assert "hang.wav: corrupt: it could not be decoded within 0.5 s." in out
    assert process.returncode == 0 and not err


def test_interrupt_reaches_a_process_whose_decoder_loops(tmp_path):
    process = started(tmp_path, 60)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err and not out
    assert process.returncode == -signal.SIGINT


def test_results_and_errors_pass_through(tmp_path, monkeypatch):
    assert stream.limited(tmp_path, lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        stream.limited(tmp_path, lambda: 1 / 0)
    monkeypatch.setattr(stream, "LIMIT_SECONDS", 0.05)
    with pytest.raises(AudioError, match="could not be decoded within 0.05 s"):
        stream.limited(tmp_path, lambda: time.sleep(0.5))
