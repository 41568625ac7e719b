"""Run work in threads and return the results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_order(function: Callable, items: Iterable[tuple], pool: ThreadPoolExecutor, ahead: int) -> Iterator[Any]:
    """Yield `function(*item)` for each of `items` (tuples of arguments), in order, like `pool.map`.

    At most `ahead` results wait, so that a slow consumer does not fill the memory.
    """
    waiting: deque = deque()
    try:
        for item in items:
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, *item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
