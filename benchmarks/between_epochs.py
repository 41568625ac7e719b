"""Seconds between the last batch of an epoch and the first of the next one, and how many of them validation takes.

    python benchmarks/between_epochs.py recipes/aspmtl_afew.py --folds 0 --epochs 5

Trains the recipe in this process, one run after another, and prints a line for each model.
"""

import runpy
import statistics
import sys
import tempfile
import time
from pathlib import Path

from keras_ser.training import loop


class Timed(loop.EpochEnd):
    """Notes when batches and validations begin and end."""

    models: list[dict[str, list[float]]] = []

    def on_train_begin(self, logs=None):
        self.models.append({"what": self.what, "between": [], "validation": []})
        self.last, validate = None, self.validate

        def timed():
            start = time.perf_counter()
            found = validate()
            self.models[-1]["validation"].append(time.perf_counter() - start)
            return found

        self.validate = validate and timed

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0 and self.last is not None:
            self.models[-1]["between"].append(time.perf_counter() - self.last)

    def on_train_batch_end(self, batch, logs=None):
        self.last = time.perf_counter()


def main() -> None:
    loop.EpochEnd = Timed
    script = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(script.parent))
    with tempfile.TemporaryDirectory() as out:
        sys.argv = [str(script), *sys.argv[2:], "--quiet", "--jobs", "1", "--out", out]
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
    for model in Timed.models:
        # the first validation traces its graph
        between, validation = (
            statistics.median(model[name][1:] or [float("nan")]) for name in ("between", "validation")
        )
        print(f"{model['what']}: {between:.3f} s between epochs, {validation:.3f} s of it validation")


if __name__ == "__main__":
    main()
