"""Sides that are alike: distances counted anew, and what can't be matched."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from keras_ser.corpora import Corpus, CorpusError, Utterance
from keras_ser.splits import Protocol, check_split, distributions, matching
from tests.splits.small_corpora import check_partition, values


def people(rng, count=30) -> Corpus:
    """Speakers of three ages, two sexes and two towns, drawn apart from each other."""
    ages, towns = (
        rng.choice(["young", "middle", "old"], count, p=[0.5, 0.3, 0.2]),
        rng.choice(["north", "south"], count),
    )
    utterances = [
        Utterance(
            f"c{i:02}-{k}",
            f"{i}-{k}.wav",
            speaker=f"s{i:02}",
            gender=("female", "male")[i % 2],
            labels={"emotion": "joy", "age": str(ages[i])} | ({"town": str(towns[i])} if i else {}),
        )
        for i in range(count)
        for k in range(int(rng.integers(1, 4)))
    ]
    return Corpus("people", Path("."), tuple(utterances), {})


def distance(split, corpus, columns):
    """Sum of the total variation distances, by counting speakers."""
    known = {u.id: u for u in corpus}
    total = 0.0
    for column in columns:
        shares = []
        for side in ("train", "test"):
            who = {known[i].speaker: str(known[i].column(column)) for i in getattr(split, side)}
            shares.append({value: n / len(who) for value, n in Counter(who.values()).items()})
        total += sum(abs(shares[0].get(v, 0) - shares[1].get(v, 0)) for v in {*shares[0], *shares[1]}) / 2
    return total


@pytest.mark.parametrize("test", [8, 0.27])
def test_matched_sides_are_alike(rng, test):
    """Better than nearly all of many random choices, counted anew; the seed draws it."""
    corpus, columns = people(rng), ("gender", "age", "town")
    protocol = Protocol("matched", "matched", test=test, match=columns, validation=0)
    (split,) = protocol.splits(corpus, seed=3)
    check_partition(split, corpus)
    check_split(split, corpus)
    assert len(values(corpus, split.test, "speaker")) == 8 and not split.speaker_dependent
    ours = distance(split, corpus, columns)
    others = []
    for seed in range(300):
        names = np.random.default_rng(seed).permutation(sorted(values(corpus, [u.id for u in corpus], "speaker")))[:8]
        stated = Protocol("stated", "stated", stated=(tuple(names),), validation=0)
        others.append(distance(stated.splits(corpus)[0], corpus, columns))
    assert ours <= np.percentile(others, 1) and ours < 0.2 * np.median(others)
    assert protocol.splits(corpus, seed=3) == (split,) and protocol.splits(corpus, seed=4) != (split,)
    (with_choice,) = dataclasses.replace(protocol, validation=3).splits(corpus, seed=3)
    assert with_choice.test == split.test and len(values(corpus, with_choice.validation, "speaker")) == 3


def test_the_sides_are_shown_side_by_side(rng):
    corpus = people(rng)
    (split,) = Protocol("m", "matched", test=8, match=("gender",), validation=0).splits(corpus)
    rows = distributions(split, corpus, ("gender", "town"))
    known = {u.id: u for u in corpus}
    for row in rows:
        for side in ("train", "test"):
            who = {known[i].speaker: known[i].column(row["column"]) or "unknown" for i in getattr(split, side)}
            count = sum(value == row["value"] for value in who.values())
            assert row[side] == count and row[f"{side} %"] == pytest.approx(100 * count / len(who), abs=0.051)
    assert [(row["column"], row["value"]) for row in rows] == [
        ("gender", "female"),
        ("gender", "male"),
        ("town", "north"),
        ("town", "south"),
        ("town", "unknown"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"match": ("accent",)}, "people has no 'accent' to match by"),
        ({"test": 30}, "tests 30 values of speaker, and the corpus has 30"),
        (
            {"by": "gender", "test": 1, "match": ("age",)},
            "gender female has the age .* match by columns with one value for each gender",
        ),
    ],
)
def test_what_cannot_be_matched(rng, changes, message):
    with pytest.raises(CorpusError, match=message):
        Protocol("m", **{"kind": "matched", "test": 8, "match": ("gender",), "validation": 0} | changes).splits(
            people(rng)
        )


def test_more_draws_never_give_a_worse_choice(rng, monkeypatch):
    corpus, columns, found = people(rng, 80), ("gender", "age", "town"), []
    protocol = Protocol("matched", "matched", test=33, match=columns, validation=0)
    for draws in (1000, 20000):
        monkeypatch.setattr(matching, "DRAWS", draws)
        found.append([distance(protocol.splits(corpus, seed=seed)[0], corpus, columns) for seed in range(4)])
    few, many = found
    assert all(b <= a + 1e-9 for a, b in zip(few, many, strict=True)) and sum(many) < sum(few) - 1e-9
