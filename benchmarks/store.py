"""Store a finished experiment in `benchmarks/results`, from which the figures of README and docs/ are computed.

python benchmarks/store.py EXPERIMENT [NAME]    into benchmarks/results/NAME (default: the recipe's name)

Stored are recipe.json, predictions.csv.gz and learned.csv: each run's optimizer steps, training and validation score at the kept
epoch, and verdict.
"""

import argparse
import gzip
from pathlib import Path

import pandas as pd
from measured import RESULTS

from keras_ser.evaluation.learning import learning_of
from keras_ser.training.run import Run, model_file

COLUMNS = ["protocol", "fold", "seed", "metric", "steps", "training", "validation", "kept", "epochs", "verdict"]


def store(experiment: Path, name: str) -> Path:
    """Return the folder of results that was written."""
    runs = [Run.load(path) for path in sorted(experiment.glob("*/fold-*")) if model_file(path)]
    if not runs or not (experiment / "predictions.csv").exists():
        raise SystemExit(f"expected an experiment with finished runs and predictions.csv. Received: {experiment}.")
    folder = RESULTS / (name or runs[0].recipe.name)
    folder.mkdir(exist_ok=True)
    (folder / "recipe.json").write_bytes((experiment / "recipe.json").read_bytes())
    with gzip.GzipFile(folder / "predictions.csv.gz", "wb", mtime=0) as file:
        file.write((experiment / "predictions.csv").read_bytes())
    table = pd.DataFrame(learning_of(runs))[COLUMNS].sort_values(["protocol", "seed", "fold"])
    table.to_csv(folder / "learned.csv", index=False, float_format="%.6g")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter, epilog=__doc__
    )
    parser.add_argument("experiment", type=Path, help="folder of a finished experiment")
    parser.add_argument("name", nargs="?", default="", help="default: the recipe's name")
    options = parser.parse_args()
    print(store(options.experiment, options.name))
