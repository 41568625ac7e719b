"""How many clips and segments of each class a run is trained on, and whether the data balance made the classes more alike."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

LITTLE = 0.8
ALIKE = 1.25  # if no class has more than this times another's clips, none counts as frequent or rare
Counted = tuple[str, Mapping[str, Sequence[int]]]  # protocol, label -> (clips, segments)


def _means(counted: Iterable[Counted]) -> pd.DataFrame:
    rows = [
        {"protocol": protocol, "class": label, "clips": clips, "segments": segments}
        for protocol, classes in counted
        for label, (clips, segments) in classes.items()
    ]
    return pd.DataFrame(rows).groupby(["protocol", "class"], sort=False, as_index=False).mean()


def class_counts(counted: Iterable[Counted]) -> list[dict[str, Any]]:
    """Return a row for each protocol and class: its clips and segments on the training set, over all streams, means over runs."""
    means = _means(counted)
    share = means["segments"] / means.groupby("protocol")["segments"].transform("sum")
    return means.assign(**{"% of segments": 100 * share}).to_dict("records")


def unbalanced(counted: Iterable[Counted]) -> list[str]:
    """Return a sentence for each protocol in which the classes differ in segments nearly as much as in clips, or more."""
    found = []
    for protocol, part in _means(counted).groupby("protocol", sort=False) if counted else ():
        part = part[part["clips"] > 0]
        clips, segments = (part[column].max() / part[column].min() for column in ("clips", "segments"))
        if clips > ALIKE and segments > LITTLE * clips:
            found.append(
                f"{protocol}: the data balance hardly balances the classes: the largest is {segments:.1f} times the smallest in "
                f"training segments, and {clips:.1f} times in clips (sampling.balance=false trains without it)."
            )
    return found
