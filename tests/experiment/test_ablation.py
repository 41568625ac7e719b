"""Table 9 on tiny systems: the cascade, its model 1 alone, and model 2 alone, over the same clips."""

import dataclasses

import numpy as np
import pytest

from keras_ser.evaluation import read_predictions
from keras_ser.experiment import ablation, experiment_folder
from keras_ser.experiment.ablation import with_first_alone
from keras_ser.experiment.systems import run_systems
from keras_ser.training import Run
from tests.training import tiny

pytestmark = pytest.mark.slow
NOISY = dataclasses.replace(tiny.NOISY, redraw=False)
ALONE = tiny.SINGLE.replace(name="alone", streams=(NOISY,), epochs=1, seeds=(0,))
SYSTEMS = {
    "mask": ALONE.replace(name="both", first=tiny.MASKED.replace(streams=(tiny.NOISY, tiny.CLEAN)), discard="mask"),
    "A": ALONE,
}


def test_model_1_alone_is_one_more_system_on_the_same_clips(masked, tmp_path, monkeypatch):
    _, data, _ = masked
    systems = run_systems(SYSTEMS, data, tmp_path, folds=[0])
    found = with_first_alone(systems, data, [0])
    assert list(found) == ["mask", "A", "B (mask)"]
    truths = [s.predictions.query("stream == 'noisy'").set_index("id")["emotion"] for s in found.values()]
    assert all(truth.equals(truths[0]) for truth in truths[1:])
    target = experiment_folder(SYSTEMS["mask"], tmp_path) / "speakers" / "fold-00-seed-0"
    run = Run.load(target)
    assert (run.recipe.discard, set(run.model().output)) == ("mask", {"emotion"})
    first = read_predictions(target / "model_1" / "predictions.csv")
    assert np.array_equal(first["emotion/prediction"], found["B (mask)"].predictions["emotion/prediction"])
    monkeypatch.setattr(ablation, "tested", lambda *_: pytest.fail("predicted again"))
    assert with_first_alone(systems, data, [0])["B (mask)"].predictions.equals(first)
