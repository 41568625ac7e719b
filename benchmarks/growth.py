"""What a larger corpus costs: time per clip, peak memory and cache size on 1, 10 and 100 times the demo corpus.

What: the demo corpus (420 clips), and copies of it that differ in their samples and speakers, as WAV files. Each size is decoded
into the cache and trained on for one epoch by model 2 of the demo recipe (batch 16), in a process of its own. Time per clip and
peak memory should not depend on the size, except that features are kept in memory, up to 1 GiB, where nothing random stands before
them; with `--noise` another noise is mixed in in each epoch, so that they are computed in each epoch.

    python benchmarks/growth.py [--sizes 1,10,100] [--noise]
"""

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

COLUMNS = ("file", "speaker", "gender", "emotion")


def write_corpus(root: Path, times: int) -> int:
    """Copies of the demo corpus with a quiet noise of their own, and a CSV; returns the number of clips."""
    import numpy as np
    import soundfile

    from keras_ser.corpora import demo

    corpus, rng = demo.read(), np.random.default_rng(0)
    with open(root / "clips.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for u in corpus:
            samples, rate = soundfile.read(corpus.root / u.path, dtype="int16")
            for copy in range(times):
                name = f"{u.id}-{copy}.wav"
                soundfile.write(root / name, samples + rng.integers(-2, 3, len(samples), dtype="int16"), rate)
                table.writerow([name, f"{u.speaker}-{copy}", u.gender, u.labels["emotion"]])
    return len(corpus) * times


def measure(times: int, noise: bool) -> dict:
    from machine import peak

    from keras_ser.cli.recipes import load_recipes
    from keras_ser.corpora import read_corpus
    from keras_ser.settings import Stream
    from keras_ser.splits import Protocol
    from keras_ser.training import Data, fit

    recipes, _ = load_recipes(str(Path(__file__).resolve().parents[1] / "recipes" / "aspmtl_afew.py"))
    recipe = recipes["demo"]
    protocol = Protocol("speakers", "k-fold", by="speaker", folds=6, validation=0)
    recipe = recipe.replace(
        first=None,
        corpus="manifest",
        protocols=(protocol,),
        streams=(Stream("noisy", noises=("white", "pink"), redraw=True) if noise else Stream("clips"),),
        epochs=1,
        monitor="",
        name="growth",
    )
    found = {"times": times}
    with tempfile.TemporaryDirectory() as work:
        root = Path(work)
        found["clips"] = write_corpus(root, times)
        found["before"] = peak()
        start = time.perf_counter()
        corpus = read_corpus("manifest", root / "clips.csv")
        data = Data.load(recipe, corpus, root / "cache")
        found["decode"] = time.perf_counter() - start
        found["decode_peak"] = peak()
        found["cache"] = sum(path.stat().st_size for path in (root / "cache").rglob("*") if path.is_file())
        split = protocol.splits(corpus)[0]
        start = time.perf_counter()
        run = fit(recipe, data, split, root / "run")
        found["fit"] = time.perf_counter() - start
        found["trained"] = len(split.train)
        found["fit_peak"] = peak()
        found["steps"] = run.about.get("steps")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1,10,100", help="times the demo corpus (1,10,100)")
    parser.add_argument("--noise", action="store_true", help="mix in noises, so that no features are kept")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(int(options.worker), options.noise)))
        return
    import sys

    from machine import busy_cores, say_if_busy, worker

    busy = busy_cores()
    print(f"cores that others used before it: {busy:.1f}")
    print(
        "| clips | decoding, ms a clip | peak, GiB | cache, kB a clip | fit of one epoch, ms a training clip | peak, GiB |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for size in options.sizes.split(","):
        m = worker(sys.executable, __file__, size, 2)
        print(
            f"| {m['clips']} | {1000 * m['decode'] / m['clips']:.2f} | {m['decode_peak']:.2f} "
            f"| {m['cache'] / m['clips'] / 1000:.1f} | {1000 * m['fit'] / m['trained']:.1f} | {m['fit_peak']:.2f} |",
            flush=True,
        )
    say_if_busy(busy)


if __name__ == "__main__":
    main()
