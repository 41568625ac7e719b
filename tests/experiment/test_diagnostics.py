"""Logs of a training in the report, in the units that a model names."""

import pandas as pd
import pytest

from keras_ser.experiment.diagnostics import first_and_last, watched_logs
from keras_ser.models.aae_mtl import DIAGNOSTICS


def test_a_watched_log_is_divided_by_its_unit_where_a_run_has_it():
    """Runs of earlier versions have no error of the mean frame, which was 1."""
    later = pd.DataFrame({"reconstruction_loss": [1.8, 1.6, 1.2], "mean_frame_error": 2.0, "loss": [1.0, 0.8, 0.5]})
    earlier = pd.DataFrame({"reconstruction_loss": [0.9, 0.4], "discriminator_right": [0.6, 0.7]})
    nothing = pd.DataFrame({"loss": [1.0, 0.5]})
    found = watched_logs({("p", 0, 0): later, ("p", 1, 0): earlier, ("q", 0, 0): nothing}, DIAGNOSTICS)
    assert set(found) == {"p"} and list(later["reconstruction_loss"]) == [1.8, 1.6, 1.2]
    assert list(found["p"]["fold 0, seed 0"]["reconstruction_loss"]) == [0.9, 0.8, 0.6]
    rows = {row[""]: row for row in first_and_last(found, DIAGNOSTICS)}
    assert len(rows) == 2
    error = rows["error of the reconstruction (mean frame = 1)"]
    assert (error["first epoch"], error["last epoch"]) == pytest.approx((0.9, 0.5)) and error["a failure at"] == "1"
