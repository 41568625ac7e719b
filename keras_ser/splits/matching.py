"""Matched sides: choose test speakers whose sex, age, .. are distributed like those of the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ser.corpora.corpus import Corpus, CorpusError
from keras_ser.splits.split import SIDES, Split

DRAWS = 20000


def matched(
    corpus: Corpus, by: str, names: Sequence[str], count: int, match: Sequence[str], seed: int = 0
) -> tuple[str, ...]:
    """Choose the `count` values of `by` whose distributions differ least from those of the rest.

    Of `DRAWS` random choices, the one with the smallest sum of the total variation distances of the columns `match` is taken;
    each value of `by` counts once.

    Args:
        corpus: the corpus.
        by: the column that is split, e.g. "speaker".
        names: the values of `by` to choose from.
        count: number of values to choose.
        match: columns to match.
        seed: draws the choices.

    Raises:
        CorpusError: a column that the corpus lacks, or in which one value of `by` has several values.
    """
    held = _held(corpus, by, match)
    columns = []
    for column in match:
        values = [held[name][column] for name in names]
        kinds = sorted(set(values))
        columns.append(np.array([[value == kind for kind in kinds] for value in values], float))  # (values, kinds)
    rng = np.random.default_rng(seed)
    best: tuple[float, np.ndarray] | None = None
    for _ in range(0, DRAWS, 1000):
        chosen = np.argsort(rng.random((1000, len(names))), axis=1)[:, :count]
        inside = np.zeros((1000, len(names)))
        np.put_along_axis(inside, chosen, 1.0, axis=1)
        apart = np.zeros(1000)
        for hot in columns:
            test, train = inside @ hot / count, (1 - inside) @ hot / (len(names) - count)
            apart += np.abs(test - train).sum(axis=1) / 2
        at = int(apart.argmin())
        if best is None or apart[at] < best[0]:
            best = apart[at], inside[at]
    return tuple(name for name, tested in zip(names, best[1], strict=True) if tested)


def distributions(split: Split, corpus: Corpus, columns: Sequence[str], by: str = "speaker") -> list[dict[str, Any]]:
    """Tabulate the distribution of columns on the sides of a split; each value of `by` counts once.

    Returns:
        A row for each column and value: {"column", "value", "train", "test", "train %", "test %"}, and the same for
        "validation" if the split has such a side.

    Raises:
        CorpusError: a column that the corpus lacks, or in which one value of `by` has several values.
    """
    held = _held(corpus, by, columns)
    known = {u.id: str(u.column(by)) for u in corpus}
    sides = {side: sorted({known[i] for i in getattr(split, side)}) for side in SIDES if getattr(split, side)}
    rows = []
    for column in columns:
        for value in sorted({held[name][column] for names in sides.values() for name in names}):
            counts = {s: sum(held[name][column] == value for name in names) for s, names in sides.items()}
            shares = {f"{s} %": round(100 * count / len(sides[s]), 1) for s, count in counts.items()}
            rows.append({"column": column, "value": value, **counts, **shares})
    return rows


def _held(corpus: Corpus, by: str, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return value of `by` -> column -> value ("unknown" if missing); raise CorpusError as `matched` does."""
    held: dict[str, dict[str, str]] = {}
    for column in columns:
        if all(u.column(column) is None for u in corpus):
            raise CorpusError(f"{corpus.name} has no {column!r} to match by. Leave it out of `match`.")
        for u in corpus:
            own, value = held.setdefault(str(u.column(by)), {}), u.column(column)
            if value is not None and own.setdefault(column, str(value)) != str(value):
                raise CorpusError(
                    f"{by} {u.column(by)} has the {column} {own[column]} and {value}: match by columns with one value for "
                    f"each {by}."
                )
        for own in held.values():
            own.setdefault(column, "unknown")
    return held
