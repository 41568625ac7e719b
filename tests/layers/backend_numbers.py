"""Outputs and gradients of every layer of the table, on the backend of KERAS_BACKEND: into an .npz file."""

import sys

import numpy as np

from tests import checks
from tests.tables import LAYERS


def numbers() -> dict[str, np.ndarray]:
    found = {}
    for row in LAYERS:
        layer = checks.built(row)
        x, mask = checks.example(row)
        outputs, slopes = checks.gradients(layer, x, mask, training=not row.random)
        for kind, values in (("output", outputs), ("gradient", slopes)):
            found |= {f"{row.name}: {kind} {i}": value for i, value in enumerate(values)}
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **numbers())
