"""What an accelerator gives: the time of a training step of each paper's network, and a whole experiment trained at once.

    python benchmarks/accelerator.py prepare RECIPE.json --corpus-root EMODB --clips emodb.npz     (TensorFlow; a CPU is enough)
    KERAS_BACKEND=jax python benchmarks/accelerator.py train --clips emodb.npz --single-task R.json --aspmtl R.json --out DIR
    python benchmarks/accelerator.py examples SYSTEM.json --corpus-root EMODB --out examples.npz                 (TensorFlow)
    KERAS_BACKEND=jax python benchmarks/accelerator.py anneal SYSTEM.json .. --examples examples.npz --out DIR
    KERAS_BACKEND=jax python benchmarks/accelerator.py steps --out DIR

`prepare` stores a recipe's features, folds and segments, so that `train` needs Keras and JAX alone. `train` trains ASP-MTL and its
controls, all folds and seeds of a system at once (see `accelerator_replicas`), and writes a folder DIR/SYSTEM of recipe.json,
predictions.csv, history.csv (with the verdict on each run) and epochs.csv (their scores by epoch) as soon as the system is done;
`benchmarks/measured.py --results DIR` gives the scores. A system that `--limit` has cut off is called SYSTEM-unfinished.

`examples` stores the segments of a recipe and of its auxiliary corpora, and the recipe with its classes beside them; `anneal`
trains systems on them whose learning rate falls to 0 (see `accelerator_annealed`), the first seed of each before the second of
any, and writes the same files after each seed. `steps` measures training steps (see `accelerator_steps`) under the backend that
KERAS_BACKEND names.
"""

import argparse
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_ser.recipe import Recipe

SYSTEMS = ("single-task", "aspmtl", "zero-losses", "shuffled", "wide")
START = time.perf_counter()


def systems(single: Recipe, both: Recipe, bins: int) -> dict[str, Recipe]:
    """ASP-MTL and its controls, as in `benchmarks/all.sh`; `single` and `both` are the settings of the first two,
    which read `bins` features."""
    return {
        "single-task": single,
        "aspmtl": both,
        "zero-losses": both.change({"config.beta": 0.0, "config.gamma": 0.0, "config.mu": 0.0}),
        "shuffled": both.replace(shuffle=(both.tasks[1].name,)),
        "wide": single.change({"config.units": as_large_as_three(both, bins), "config.layers": both.config.layers}),
    }


def as_large_as_three(both: Recipe, bins: int) -> int:
    """Return the units of an LSTM encoder of `bins` features and as many layers that has about the weights of ASP-MTL's three."""

    def weights(units: int) -> int:
        before = [bins, *[units] * (both.config.layers - 1)]
        return sum(4 * units * (size + units + 1) for size in before)

    units = both.config.units
    return min(range(units, 3 * units), key=lambda wide: abs(weights(wide) - 3 * weights(units)))


def say(text: str) -> None:
    print(f"{time.perf_counter() - START:6.0f} s  {text}", flush=True)


def prepare(options) -> None:
    from accelerator_clips import prepare

    found = prepare(Recipe.from_json(options.recipe.read_text()), options.corpus_root, options.seeds)
    options.clips.parent.mkdir(parents=True, exist_ok=True)
    found.save(options.clips)
    say(f"{len(found.ids)} clips, {len(found.frames)} frames of {found.frames.shape[1]}, {options.clips}")


def train(options) -> None:
    from accelerator_clips import Clips, Replica
    from accelerator_replicas import Replicas

    clips = Clips.load(options.clips)
    single, both = (Recipe.from_json(file.read_text()) for file in (options.single_task, options.aspmtl))
    every = systems(single, both, clips.frames.shape[1])
    folds = options.folds if options.folds is not None else range(len(clips.sides))
    replicas = [Replica(fold, seed) for seed in range(options.seeds) for fold in folds]
    made, programs = {}, {}
    with ThreadPoolExecutor(max_workers=4) as pool:

        def begin(name: str) -> None:
            """Trace a system's programs, and have them compiled while the one before is training."""
            recipe = every[name].replace(epochs=options.epochs or every[name].epochs)
            made[name] = Replicas(recipe, clips, replicas)
            key = recipe.replace(shuffle=()).hash
            if key not in programs:  # the control with shuffled labels has the program of the system
                programs[key] = [pool.submit(lowered.compile) for lowered in made[name].lowered()]
            say(
                f"{name}: {len(replicas)} replicas, {made[name].network.model.count_params()} weights each, being compiled"
            )

        def go(name: str) -> bool:
            """Train a system and write it; False where no time is left."""
            epoch, judge = (program.result() for program in programs[made[name].recipe.replace(shuffle=()).hash])
            left = options.limit - (time.perf_counter() - START)
            if left < 0:
                say(f"{name}: no time left")
                return False
            say(f"{name}: begins")
            write(options.out, name, made.pop(name).train(epoch, judge, left, lambda line: say(f"{name}: {line}")))
            return True

        failed, left = 0, True
        begin(options.systems[0])
        for name, following in zip(options.systems, [*options.systems[1:], None], strict=True):
            for work in ([lambda following=following: begin(following)] if following else []) + [
                lambda name=name: go(name)
            ]:
                try:
                    left = work() is not False
                except Exception:  # e.g. of memory; the other systems have other sizes
                    traceback.print_exc()
                    failed += 1
            if not left:
                break
    sys.exit(1 if failed else 0)


def examples(options) -> None:
    from accelerator_examples import prepare

    from keras_ser.cli.arguments import assignments

    recipe = Recipe.from_json(options.recipe.read_text())
    roots = {
        name: Path(root) for name, root in assignments("--auxiliary", options.auxiliary, "librispeech=DIR").items()
    }
    read, found = prepare(recipe, options.corpus_root, roots)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found.save(options.out, options.coarse)
    options.out.with_suffix(".json").write_text(read.to_json())
    say(f"{len(found.ids)} clips, {len(found.clip)} examples, {options.out}")


def anneal(options) -> None:
    import jax
    from accelerator_annealed import Annealed
    from accelerator_clips import Replica
    from accelerator_examples import Examples

    stored = Examples.load(*options.examples)
    folds = options.folds if options.folds is not None else range(len(stored.sides))
    shared = jax.device_put(stored.x)
    made, failed, alone = {}, 0, threading.Lock()

    def begin(file: Path):
        recipe = Recipe.from_json(file.read_text())
        recipe = recipe.replace(epochs=options.epochs or recipe.epochs)
        with alone:  # Keras draws initial weights from one generator
            system = Annealed(recipe, stored, range(options.seeds), options.together)
            programs = system.lowered()
        made[file.stem] = system
        say(f"{file.stem}: being compiled")
        return [lowered.compile() for lowered in programs]

    with ThreadPoolExecutor(max_workers=options.threads) as pool:
        programs = {file.stem: pool.submit(begin, file) for file in options.recipes}
        for seed in range(options.seeds):
            for name, program in programs.items():
                if time.perf_counter() - START > options.limit:
                    say(f"{name}, seed {seed}: no time left")
                    continue
                try:
                    epoch, judge = program.result()
                    system = made[name]
                    system.train([Replica(fold, seed) for fold in folds], epoch, judge, {**system.data, "x": shared})
                    write(options.out, name, system.trained, pd.DataFrame(system.logs))
                except Exception:  # the others may be well
                    traceback.print_exc()
                    failed += 1
    sys.exit(1 if failed else 0)


def write(out: Path, name: str, trained, epochs: pd.DataFrame | None = None) -> None:
    epochs = trained.epochs() if epochs is None else epochs
    folder = out / (name if trained.whole else f"{name}-unfinished")
    folder.mkdir(parents=True, exist_ok=True)
    made, history = trained.made, trained.history()
    seeds = tuple(sorted({r.seed for r in made.replicas}))
    (folder / "recipe.json").write_text(made.recipe.replace(seeds=seeds).to_json())
    trained.predictions().to_csv(folder / "predictions.csv", index=False, float_format="%.8g")
    history.to_csv(folder / "history.csv", index=False, float_format="%.6g")
    epochs.to_csv(folder / "epochs.csv", index=False, float_format="%.6g")
    about = {"replicas": len(history), "seconds": trained.seconds, "diverged": trained.diverged, **device()}
    about |= {
        column: float(history[column].mean()) for column in history if column.endswith(("_uar", "epochs", "_step"))
    }
    (folder / "about.json").write_text(json.dumps(about, indent=1))
    say(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in about.items() if isinstance(v, float)))


def device() -> dict[str, str]:
    import keras

    found = {"backend": keras.backend.backend(), "keras": keras.__version__}
    if found["backend"] == "jax":
        import jax

        found |= {"jax": jax.__version__, "device": jax.devices()[0].device_kind}
    return found


def steps(options) -> None:
    from accelerator_steps import measure

    measure(options, say, device())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("prepare", help="store a recipe's features, folds and segments")
    verb.add_argument("recipe", type=Path, help="recipe.json of ASP-MTL")
    verb.add_argument("--corpus-root", type=Path, required=True)
    verb.add_argument("--clips", type=Path, required=True, metavar="FILE.npz")
    verb.add_argument("--seeds", type=int, default=5, help="of how many seeds labels are shuffled")
    verb = verbs.add_parser("train", help="train ASP-MTL and its controls, all folds and seeds at once (JAX)")
    verb.add_argument("--clips", type=Path, required=True, metavar="FILE.npz")
    verb.add_argument("--single-task", type=Path, required=True, metavar="RECIPE.json", help="settings of one task")
    verb.add_argument("--aspmtl", type=Path, required=True, metavar="RECIPE.json", help="settings of the others")
    verb.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS, help="the most important first")
    verb.add_argument("--folds", nargs="+", type=int, help="default: all")
    verb.add_argument("--seeds", type=int, default=5)
    verb.add_argument("--epochs", type=int, default=0, help="default: the recipes' own")
    verb.add_argument("--limit", type=float, default=86400.0, metavar="SECONDS", help="from the start of the program")
    verb.add_argument("--out", type=Path, required=True)
    verb = verbs.add_parser("examples", help="store the segments of a recipe and of its auxiliary corpora")
    verb.add_argument("recipe", type=Path, help="recipe.json of a system that has all tasks and auxiliary corpora")
    verb.add_argument("--corpus-root", type=Path, required=True)
    verb.add_argument(
        "--auxiliary", action="append", default=[], metavar="NAME=DIR", help="root of an auxiliary corpus"
    )
    verb.add_argument("--coarse", action="store_true", help="round the own corpus to 256 steps, too (default: 16 bits)")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    verb = verbs.add_parser("anneal", help="train systems whose learning rate falls to 0, several folds at once (JAX)")
    verb.add_argument(
        "recipes", type=Path, nargs="+", metavar="SYSTEM.json", help="with all classes; the most important first"
    )
    verb.add_argument(
        "--examples", type=Path, nargs="+", required=True, metavar="FILE.npz", help="the own corpus first"
    )
    verb.add_argument("--folds", nargs="+", type=int, help="default: all")
    verb.add_argument("--seeds", type=int, default=1)
    verb.add_argument("--epochs", type=int, default=0, help="default: the recipes' own")
    verb.add_argument("--together", type=int, default=1, help="trainings at once")
    verb.add_argument("--threads", type=int, default=4, help="that compile")
    verb.add_argument("--limit", type=float, default=86400.0, metavar="SECONDS", help="from the start of the program")
    verb.add_argument("--out", type=Path, required=True)
    verb = verbs.add_parser("steps", help="the time of a training step of each network")
    verb.add_argument("--networks", nargs="+", help="names, or beginnings of them (default: all)")
    verb.add_argument("--precisions", nargs="+", default=["float32", "mixed_bfloat16"])
    verb.add_argument("--seconds", type=float, default=5.0, help="of steps, for each network and precision")
    verb.add_argument("--most", type=int, default=300, help="steps of each")
    verb.add_argument("--limit", type=float, default=86400.0, metavar="SECONDS", help="from the start of the program")
    verb.add_argument("--threads", type=int, default=os.cpu_count(), help="that compile")
    verb.add_argument("--quick", action="store_true", help="small batches and two steps, to try the program")
    verb.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    {"prepare": prepare, "train": train, "examples": examples, "anneal": anneal, "steps": steps}[options.verb](options)


if __name__ == "__main__":
    sys.exit(main())
