"""Failures of adversarial autoencoders, detected in the history of a run. No TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SURE = 0.99  # accuracy above which the discriminator has won
STILL = 0.02  # distance from accuracy 0.5 within which it has learned nothing
SEVERAL = 5  # epochs from which on the beginning and the end are compared
NEARER = 0.9  # share of the first epoch's distance from the prior below which the code has approached it
# distance of a code that has reached its prior: ten times the deviation of the estimate over a batch of 32
THERE = 0.005
MEAN_FRAME = 0.95  # share of the mean frame's error
FEW = 0.1  # share of active units
# log -> (what it is, values that are a failure, the log by which it is divided in runs that have that)
DIAGNOSTICS = {
    "discriminator_right": ("accuracy of the discriminator", (0.5, 1.0)),
    "code_mmd": ("distance of the code from its prior (MMD)", ()),
    "code_active": ("share of the code's units that vary", (0.0,)),
    "reconstruction_loss": ("error of the reconstruction (mean frame = 1)", (1.0,), "mean_frame_error"),
}


def remarks(rows: Sequence[Mapping[str, float]], config: Any) -> list[str]:
    """Return sentences on failures, mostly over the last fifth of a run's epochs; [] if there are none.

    Args:
        rows: the logs of each epoch.
        config: `keras_ser.models.aae_mtl.Config` of the run.
    """

    def late(name: str) -> float:
        found = [row[name] for row in rows[-max(1, len(rows) // 5) :] if name in row]
        return float(np.mean(found)) if found else float("nan")

    found = []
    right, far = ([row[name] for row in rows if name in row] for name in ("discriminator_right", "code_mmd"))
    opposed = bool(right) and config.adversary > 0
    if late("discriminator_right") > SURE:
        harmless = "" if opposed else ", which is no failure without an adversary"
        found.append(f"the discriminator nearly always tells codes from the prior{harmless}")
    if len(right) >= SEVERAL and max(abs(share - 0.5) for share in right) < STILL:
        found.append(
            "the discriminator is at chance from the first epoch to the last, so that the adversary taught nothing"
        )
    # a mean over the first fifth would contain the rise of the first epochs, below which the distance then falls
    if opposed and len(far) >= SEVERAL and late("code_mmd") > max(NEARER * far[0], THERE):
        found.append(
            "the code did not clearly approach its prior: at the end of training, its distance (MMD) is not a tenth below that of "
            "the first epoch"
        )
    mean_frame = late("mean_frame_error")  # runs of earlier versions have not logged it
    if late("reconstruction_loss") > MEAN_FRAME * (1.0 if np.isnan(mean_frame) else mean_frame):
        harmless = "" if config.alpha > 0 else ", which is no failure where it is not learned"
        found.append(f"the reconstruction is no better than the mean frame{harmless}")
    if late("code_active") < FEW:
        found.append("less than a tenth of the code's units vary")
    return found
