"""Fixtures that every package's tests share."""

import gc
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
CACHE = Path(__file__).parents[1] / ".pytest_cache" / "keras_ser"
os.environ.setdefault("KERAS_SER_CACHE", str(CACHE))
# librosa compiles functions at import into one folder; workers that fill it together have ended in a segmentation fault
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # the workers share the cores: pools of threads in each cost time
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "numba" / worker))


# the files that take longest, each a few tests: begun last, one of them would leave the other worker alone at the end
LONGEST = (
    "training/test_learning.py",
    "test_readme.py",
    "training/test_processes.py",
    "recipes/test_aae_mtl.py",
    "recipes/test_aspmtl.py",
    "engines/test_cluster.py",
    "recipes/test_multilevel.py",
    "recipes/test_own_corpus.py",
    "recipes/test_vggvox.py",
    "training/test_fit.py",
    "cli/test_jobs.py",
    "cli/test_engines.py",
    "tuning/test_engines.py",
)


def pytest_configure(config):
    """Files in the order of `pytest_collection_modifyitems`; pytest-xdist would order them by their number of tests."""
    config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The longest files first, then those of most tests; the order within a file stays."""
    files = {item.path: item.path.relative_to(Path(__file__).parent).as_posix() for item in items}
    counts = Counter(item.path for item in items)
    rank = {path: LONGEST.index(name) if name in LONGEST else len(LONGEST) for path, name in files.items()}
    items.sort(key=lambda item: (rank[item.path], -counts[item.path], files[item.path]))


def pytest_collection_finish(session):
    """Leave what the imports made, some 400 000 objects, out of every later garbage collection, and collect less often.

    Tracing a graph makes so many objects that collections would take a fifteenth of the time of a small training.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish(session):
    """Remove what was decoded a day ago or earlier: the corpora of tests lie in temporary folders. The demo corpus stays."""
    for path in (CACHE / "waveforms").glob("*") if "PYTEST_XDIST_WORKER" not in os.environ else ():
        if time.time() - path.stat().st_mtime > 86400:
            path.unlink(missing_ok=True)


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real recordings; without it the test is skipped."""
    if not SHARED.is_dir():
        pytest.skip(
            f"the recordings are not here: expected the folder {'/'.join(SHARED.parts[-2:])} beside the project"
        )
    return SHARED


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
