"""Find clips that must stay together, and draw sides from them."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_ser.corpora.corpus import Corpus
from keras_ser.corpora.spelling import comparable
from keras_ser.splits.split import SIDES


def drawn(
    units: Sequence[Sequence[str]], shares: Mapping[str, float], corpus: Corpus, seed: int, stratify: str | None
) -> dict[str, tuple[str, ...]]:
    """Return side -> ids: each side gets its share of each class's units, training the rest; a class's only unit trains.

    A side of a few small classes, whose shares all round to none, gets a unit of the largest class.
    """
    classes = {u.id: str(u.column(stratify)) if stratify else "" for u in corpus}
    strata: dict[str, list[Sequence[str]]] = {}
    for ids in units:
        strata.setdefault(classes[ids[0]], []).append(ids)
    rng = np.random.default_rng(seed)
    sides: dict[str, list[str]] = {side: [] for side in SIDES}
    left: dict[str, list[Sequence[str]]] = {}
    for name in sorted(strata):
        drawn = [strata[name][i] for i in rng.permutation(len(strata[name]))]
        for side, share in shares.items():
            count = min(round(share * len(strata[name])), len(drawn) - 1)
            sides[side] += [i for ids in drawn[:count] for i in ids]
            drawn = drawn[count:]
        left[name] = drawn
    for side, share in shares.items():
        most = max(left, key=lambda name: len(left[name]))
        if share and not sides[side] and len(left[most]) > 1:
            sides[side] += left[most].pop(0)
    sides["train"] += [i for drawn in left.values() for ids in drawn for i in ids]
    return {side: tuple(sorted(ids)) for side, ids in sides.items()}


def held_together(corpus: Corpus, hashes: Mapping[str, str]) -> list[list[str]]:
    """Group the ids that must stay together: those that share audio content or an origin, directly or through other clips."""
    parent = {u.id: u.id for u in corpus}

    def root(i: str) -> str:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], str] = {}
    for u in corpus:
        for kind, value in (("content", hashes.get(u.id)), ("origin", u.groups.get("origin"))):
            if value is not None:
                parent[root(u.id)] = root(first.setdefault((kind, comparable(value)), u.id))
    units: dict[str, list[str]] = {}
    for u in corpus:
        units.setdefault(root(u.id), []).append(u.id)
    return list(units.values())
