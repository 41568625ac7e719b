"""Table 9 on tiny systems: the cascade, its model 1 alone, and model 2 alone, over the same clips."""

import dataclasses

import numpy as np
import pytest

from keras_ser.evaluation import read_predictions
from keras_ser.experiment import experiment_folder
from keras_ser.experiment.ablation import run_ablation
from keras_ser.training import Run
from tests.training import tiny

pytestmark = pytest.mark.slow
NOISY = dataclasses.replace(tiny.NOISY, redraw=False)
ALONE = tiny.SINGLE.replace(name="alone", streams=(NOISY,), epochs=1, seeds=(0,))
SYSTEMS = {
    "mask": ALONE.replace(name="both", first=tiny.MASKED.replace(streams=(tiny.NOISY, tiny.CLEAN)), discard="mask"),
    "A": ALONE,
}
ABOUT = {"mask": "both models", "A": "model 2", "B (mask)": "model 1"}


def test_every_system_on_the_same_clips(masked, tmp_path):
    _, data, _ = masked
    jobs = []
    made = run_ablation(
        SYSTEMS,
        data,
        tmp_path,
        about=ABOUT,
        pairs=(("mask", "A"), ("mask", "B (mask)")),
        folds=[0],
        on_job=lambda *job: jobs.append(job),
    )
    assert list(made.tables) == list(ABOUT) and len(jobs) == 2
    heard = [table[table["stream"] == "noisy"].set_index("id")["emotion"] for table in made.tables.values()]
    assert all(table.equals(heard[0]) for table in heard[1:])
    assert len(made.differences) == 2 * len(made.metrics)
    target = experiment_folder(SYSTEMS["mask"], tmp_path) / "speakers" / "fold-00-seed-0"
    run = Run.load(target)
    assert (run.recipe.discard, set(run.model().output)) == ("mask", {"emotion"})
    first = read_predictions(target / "model_1" / "predictions.csv")
    assert np.array_equal(first["emotion/prediction"], made.tables["B (mask)"]["emotion/prediction"])
    again = run_ablation(
        SYSTEMS, data, tmp_path, about=ABOUT, folds=[0], on_job=lambda *job: pytest.fail("trained again")
    )
    assert again.scores == made.scores
