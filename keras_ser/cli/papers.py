"""A paper's published scores, as recipes hand them to the tables of systems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paper:
    """A paper's published scores of several systems, as fractions.

    Args:
        source: where the scores are published.
        scores: system -> {metric: score} of the main task, under the first protocol.
        verification: system -> {metric: score} of speaker verification.
        confused: the system whose confusion matrix is shown; confusion: that matrix, shares of the true class (row).
        labels: the main task's classes in the paper. With other classes its scores are not shown. Empty = any.
        by_protocol: protocol -> scores in the form of `scores`, used instead of these. What is no system of the recipe (the
            results of others that the paper compares itself with) has a row of its own.
    """

    source: str = ""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    verification: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confused: str | None = None
    confusion: Sequence[Sequence[float]] = ()
    labels: tuple[str, ...] = ()
    by_protocol: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
