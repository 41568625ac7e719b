"""Failures of adversarial autoencoders, detected in the history of a run. No TensorFlow."""

from collections.abc import Mapping, Sequence

import numpy as np

SURE = 0.99  # accuracy above which the discriminator has won
STILL = 0.02  # distance from accuracy 0.5 within which it has learned nothing
SEVERAL = 5  # epochs from which on the beginning and the end are compared
MEAN_FRAME = 0.95  # the error of the mean frame, in standardised units, is 1
FEW = 0.1  # share of active units
# log -> (what it is, values that are a failure)
DIAGNOSTICS = {
    "discriminator_right": ("accuracy of the discriminator", (0.5, 1.0)),
    "code_mmd": ("distance of the code from its prior (MMD)", ()),
    "code_active": ("share of the code's units that vary", (0.0,)),
    "reconstruction_loss": ("error of the reconstruction (mean frame = 1)", (1.0,)),
}


def remarks(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Return sentences on failures, mostly over the last fifth of a run's epochs; [] if there are none.

    Args:
        rows: the logs of each epoch.
    """

    def late(name: str) -> float:
        found = [row[name] for row in rows[-max(1, len(rows) // 5) :] if name in row]
        return float(np.mean(found)) if found else float("nan")

    found = []
    right = [row["discriminator_right"] for row in rows if "discriminator_right" in row]
    if late("discriminator_right") > SURE:
        found.append(
            "the discriminator nearly always tells codes from the prior, so that the code did not approach its prior"
        )
    if len(right) >= SEVERAL and max(abs(share - 0.5) for share in right) < STILL:
        found.append(
            "the discriminator is at chance from the first epoch to the last, so that the adversary taught nothing"
        )
    if late("reconstruction_loss") > MEAN_FRAME:
        found.append("the reconstruction is no better than the mean frame")
    far = [row["code_mmd"] for row in rows if "code_mmd" in row]
    if right and len(far) >= SEVERAL and late("code_mmd") > np.mean(far[: len(far) // 5]):
        found.append("the code is farther from its prior at the end of training than at its beginning")
    if late("code_active") < FEW:
        found.append("less than a tenth of the code's units vary")
    return found
