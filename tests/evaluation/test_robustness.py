"""Noise curves against scikit-learn and NumPy: UAR, the area under it, paired differences."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from keras_ser.evaluation import score
from keras_ser.evaluation.robustness import NoiseCurves
from keras_ser.tasks import Task

LABELS = ("anger", "joy", "sadness")
SNRS = (20.0, 5.0, 0.0, -10.0)


def draw(rng) -> pd.DataFrame:
    rows = []
    for seed in (0, 1):
        for system, skill in (("with model 1", 0.9), ("without model 1", 0.6)):
            for noise, snr in [("clean", np.inf), *((n, s) for n in ("pink", "volvo") for s in SNRS)]:
                for i in range(60):
                    right = rng.random() < skill - 0.01 * (20 - min(snr, 20))
                    truth = LABELS[i % 3 if i % 7 else 0]
                    row = {"fold": i % 2, "seed": seed, "system": system, "noise": noise, "snr": snr, "id": str(i)}
                    guess = LABELS[rng.integers(3)]
                    row |= {"group": f"s{i % 6}", "truth": truth, "prediction": truth if right else guess}
                    rows.append(row | {"seen": noise != "volvo"})
    return pd.DataFrame(rows)


@pytest.fixture
def made(rng):
    return NoiseCurves(draw(rng), LABELS)


def uar(made, system, noise, snr):
    part = made.table.query("system == @system and noise == @noise and snr == @snr")
    return np.mean([recall_score(p.truth, p.prediction, average="macro") for _, p in part.groupby("seed")])


def test_uar_is_scikit_learns(made):
    for system in made.systems:
        for noise, snr in (("clean", np.inf), ("pink", 5.0), ("volvo", -10.0)):
            cell = made.uar(system, noise, snr)
            assert cell.value == pytest.approx(uar(made, system, noise, snr))
            assert cell.low < cell.value < cell.high and cell.clips == 60


def test_area_is_numpys(made):
    for system in made.systems:
        values = [uar(made, system, "pink", s) for s in sorted(SNRS)]
        gaps = np.diff(sorted(SNRS))
        expected = sum((a + b) / 2 * g for a, b, g in zip(values[:-1], values[1:], gaps, strict=True)) / 30
        assert made.area(system, "pink").value == pytest.approx(expected)


def test_difference_of_areas(made):
    cell = made.area_difference("with model 1", "without model 1", "volvo")
    assert cell.value == pytest.approx(
        made.area("with model 1", "volvo").value - made.area("without model 1", "volvo").value
    )
    assert 0 < cell.low < cell.value < cell.high
    mirrored = made.area_difference("without model 1", "with model 1", "volvo")
    assert (mirrored.low, mirrored.high) == pytest.approx((-cell.high, -cell.low))


def test_interval_is_that_of_the_report(made, rng):
    """One rule for one UAR: a row of the noise curve has the interval that the report's table has."""
    named = rng.permutation(made.table["prediction"])
    table = pd.concat([made.table, made.table.assign(seed=made.table["seed"] + 2, prediction=named)])
    task = Task("emotion", LABELS)
    part = table.query("system == 'with model 1' and noise == 'pink' and snr == 5.0")
    frame = part.rename(columns={"truth": "emotion", "prediction": "emotion/prediction"})
    frame = frame.assign(protocol="p", stream="s", speaker=frame["group"], gender="")
    for label in LABELS:
        frame[f"emotion/{label}"] = (frame["emotion/prediction"] == label).astype(float)
    expected = score(frame, task, "p")["uar"]
    found = NoiseCurves(table, LABELS).uar("with model 1", "pink", 5.0)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
