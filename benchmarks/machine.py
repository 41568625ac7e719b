"""Whether anything else is running: a ratio taken on cores that others use says little."""

import os
import time


def busy_cores(seconds: float = 2.0) -> float:
    """How many cores other processes kept busy during the last `seconds`; the load average where /proc/stat is missing."""

    def idle() -> float:
        with open("/proc/stat") as file:
            return sum(map(int, file.readline().split()[4:6])) / os.sysconf("SC_CLK_TCK")

    try:
        before, start = idle(), time.perf_counter()
        time.sleep(seconds)
        return max(0.0, (os.cpu_count() or 1) - (idle() - before) / (time.perf_counter() - start))
    except OSError:
        return os.getloadavg()[0]
