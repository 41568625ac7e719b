"""Memory of a process, for tests that start one."""

from pathlib import Path


def peak() -> int:
    """Return the most bytes that this process has held so far: its own, whereas `ru_maxrss` starts at what its parent had."""
    return _status("VmHWM")


def held() -> int:
    """Return the bytes that this process holds now."""
    return _status("VmRSS")


def _status(name: str) -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return 1024 * int(line.split()[1])
