"""A progress bar around a loop."""

from collections.abc import Iterable, Sized
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, *, total: int | None = None, shown: bool = True) -> Iterable[Item]:
    """Iterate with a progress bar on standard error, on a terminal or in a notebook; elsewhere iterate alone.

    Args:
        items: what is iterated over.
        description: text beside the bar.
        total: number of items. Default: `len(items)`, where it has one. A single item gets no bar.
        shown: False hides the bar.
    """
    from rich.console import Console
    from rich.progress import track as bar

    total = len(items) if total is None and isinstance(items, Sized) else total
    console = Console(stderr=True)
    if not shown or total == 1 or not (console.is_terminal or console.is_jupyter):
        return items
    return bar(items, description, total=total, console=console, transient=True)
