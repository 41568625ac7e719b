"""The export of the paper's ASP-MTL at work: latency, throughput, load time and size, against Keras and PyTorch.

What: ASP-MTL in the paper's setting (MFCC with deltas, zero-crossing rate, energy and pitch; three encoders of two LSTM layers of
32 units; 7 emotions, 2 genders) is exported with random weights, which cost as much as trained ones, or a run is (--run).
Clips of 3 s of noise at 16 kHz go through

    savedmodel   the export's `predict_bytes`: a WAV file's bytes in, named probabilities out (front end and all)
    keras        `Model.predict` of the same whole model: a waveform in (front end and all)
    torch        the forward pass of the same network alone in `torch.nn`, eager, no_grad: features in (no front end)

so that the ratio to PyTorch counts decoding and front end against us.

How: each side runs in a process of its own, on one thread; processes take turns, and each times its calls after a warm-up. p50 and
p99 are over the calls of all rounds. Real-time factor = seconds of computing over seconds of audio.

    python benchmarks/serving.py [--run RUN] [--torch-python OTHER_ENVIRONMENT/bin/python] [--calls 200] [--rounds 3]
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import busy_cores, say_if_busy, timed

SECONDS, RATE = 3.0, 16000
BATCHES = (1, 8, 32)
WARM_UP = 5
LAYERS, UNITS, DENSE, CLASSES, GENDERS, INPUTS, FRAMES = 2, 32, 32, 7, 2, 43, 298


def clip(seed: int):
    import numpy as np

    return (0.1 * np.random.default_rng(seed).standard_normal(int(SECONDS * RATE))).astype("float32")


def random_run(folder: Path):
    """A run's folder with an untrained model of the paper's setting in it."""
    import keras

    from keras_ser.features import Frontend
    from keras_ser.models.aspmtl import Config
    from keras_ser.models.whole_model import assembled, extractor
    from keras_ser.recipe import Recipe
    from keras_ser.splits import Protocol, Split
    from keras_ser.tasks import Task
    from keras_ser.training import Run
    from keras_ser.training.network import build

    emotions = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")
    tasks = (Task("emotion", emotions), Task("gender", ("female", "male")))
    recipe = Recipe(
        "aspmtl",
        "demo",
        tasks,
        (Protocol("none"),),
        config=Config(layers=LAYERS, units=UNITS, dense=DENSE, adversary="label"),
    )
    keras.utils.set_random_seed(0)
    extract = extractor(Frontend(name="frontend"))
    inputs = {name: extract.output[name].shape[1:] for name in recipe.frontend.features}
    assert sum(bins for _, bins in inputs.values()) == INPUTS
    _, score = build(recipe, inputs)
    folder.mkdir(parents=True)
    assembled(extract, score, recipe.name).save(folder / "model.keras")
    return Run(folder, recipe, Split("none", 0, ("a",), (), ("b",)), 0, {})


def prepare(options) -> dict:
    """Export once; load time is the worker's to measure."""
    from keras_ser.serving import export
    from keras_ser.training import Run

    work = Path(options.work)
    run = Run.load(options.run) if options.run else random_run(work / "run")
    folder = export(run, work / "models", "benchmark")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    warm_up = sum(path.stat().st_size for path in (folder / "assets.extra").iterdir())
    return {"export": str(folder), "run": str(run.folder), "bytes": size, "warm_up": warm_up}


def seconds(options, batch: int, call) -> list[float]:
    return timed(options.calls // batch + 3, call, WARM_UP)["seconds"]


def savedmodel(options) -> dict:
    import numpy as np
    import soundfile
    import tensorflow as tf

    start = time.perf_counter()
    loaded = tf.saved_model.load(options.export)
    function = loaded.signatures["predict_bytes"]
    load = time.perf_counter() - start

    def wav(seed):
        file = io.BytesIO()
        soundfile.write(file, np.clip(clip(seed), -1, 1), RATE, format="WAV", subtype="PCM_16")
        return file.getvalue()

    start = time.perf_counter()
    function(audio=tf.constant([wav(0)]))
    found = {"load": load, "first": time.perf_counter() - start}
    for batch in BATCHES:
        audio = tf.constant([wav(seed) for seed in range(batch)])
        found[str(batch)] = seconds(options, batch, lambda a=audio: function(audio=a)["emotion/probabilities"].numpy())
    return found


def keras_predict(options) -> dict:
    import numpy as np

    from keras_ser.training import Run

    start = time.perf_counter()
    folder = Path(options.run)
    model = Run(folder, None, None, 0, {}).model()
    found = {"load": time.perf_counter() - start}
    for batch in BATCHES:
        waveform = np.stack([clip(seed) for seed in range(batch)])
        given = {"waveform": waveform, "length": np.full(batch, waveform.shape[1], "int32")}
        found[str(batch)] = seconds(
            options, batch, lambda g=given: model.predict(g, batch_size=len(g["length"]), verbose=0)
        )
    return found


def torch_forward(options) -> dict:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [INPUTS] + [UNITS] * (LAYERS - 1)
            self.lstms = nn.ModuleList(nn.LSTM(width, UNITS, batch_first=True) for width in widths)
            self.normalizations = nn.ModuleList(nn.LayerNorm(UNITS, eps=1e-3) for _ in widths)
            self.logits = nn.Parameter(torch.zeros(LAYERS))

        def forward(self, x, mask):
            weights, fused = torch.softmax(self.logits, 0), 0.0
            for i, (lstm, normalization) in enumerate(zip(self.lstms, self.normalizations, strict=True)):
                x = normalization(lstm(x)[0])
                fused = fused + weights[i] * x
            return (fused * mask).sum(1) / mask.sum(1)

    def head(width, classes):
        return nn.Sequential(nn.Linear(width, DENSE), nn.ReLU(), nn.Linear(DENSE, classes), nn.Softmax(-1))

    encoders = nn.ModuleList(Encoder() for _ in range(3)).eval()
    emotion, gender = head(2 * UNITS, CLASSES), head(UNITS, GENDERS)
    found = {}
    with torch.no_grad():
        for batch in BATCHES:
            x, mask = torch.randn(batch, FRAMES, INPUTS), torch.ones(batch, FRAMES, 1)

            def forward(x=x, mask=mask):
                shared, main, auxiliary = (encoder(x * mask, mask) for encoder in encoders)
                return emotion(torch.cat([shared, main], -1)).numpy(), gender(auxiliary).numpy()

            found[str(batch)] = seconds(options, batch, forward)
    return found


WORKERS = {"prepare": prepare, "savedmodel": savedmodel, "keras": keras_predict, "torch": torch_forward}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", help="folder of a trained run (default: random weights, the paper's setting)")
    parser.add_argument("--torch-python", help="interpreter with PyTorch (default: leave PyTorch out)")
    parser.add_argument("--calls", type=int, default=200, help="timed calls of batch 1 a round")
    parser.add_argument("--rounds", type=int, default=3)
    for hidden in ("--worker", "--work", "--export"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.worker:
        print(json.dumps(WORKERS[options.worker](options)))
        return
    import numpy as np

    root = Path(__file__).resolve().parents[1]
    one = {
        name: "1" for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "MKL_NUM_THREADS")
    }
    env = {**os.environ, **one, "PYTHONPATH": str(root), "KERAS_BACKEND": "tensorflow"}
    busy = busy_cores()
    with tempfile.TemporaryDirectory() as work:

        def ask(worker: str, python: str = sys.executable, **arguments: str) -> dict:
            told = {"worker": worker, "work": work, "calls": str(options.calls), **arguments}
            command = [python, __file__, *(part for key, value in told.items() for part in (f"--{key}", value))]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"the process of {worker} failed: {done.stderr.strip().splitlines()[-1]}")
            return json.loads(done.stdout.splitlines()[-1])

        about = ask("prepare", **({"run": options.run} if options.run else {}))
        sides = {"savedmodel": {"export": about["export"]}, "keras": {"run": about["run"]}}
        if options.torch_python:
            sides["torch"] = {}
        rounds: dict[str, list[dict]] = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side, arguments in sides.items():
                python = options.torch_python if side == "torch" else sys.executable
                rounds[side].append(ask(side, python, **arguments))
    print(f"clips of {SECONDS:g} s, one thread, {options.rounds} rounds; cores that others used before it: {busy:.1f}")
    print(f"{'':12}{'p50 ms':>9}{'p99 ms':>9}{'RTF':>9}   clips/s at batch {', '.join(map(str, BATCHES))}")
    p50 = {}
    for side, found in rounds.items():
        calls = {b: np.concatenate([one_round[str(b)] for one_round in found]) for b in BATCHES}
        p50[side] = {b: float(np.median(calls[b])) for b in BATCHES}
        rates = ", ".join(f"{b / p50[side][b]:.0f}" for b in BATCHES)
        print(
            f"{side:12}{1000 * p50[side][1]:9.1f}{1000 * np.percentile(calls[1], 99):9.1f}{p50[side][1] / SECONDS:9.4f}   {rates}"
        )
    for side in list(sides)[1:]:
        ratios = ", ".join(f"{p50['savedmodel'][b] / p50[side][b]:.2f}" for b in BATCHES)
        print(f"savedmodel / {side}: {ratios} at batch {', '.join(map(str, BATCHES))} (under 1: the export is faster)")
    first = [found["first"] for found in rounds["savedmodel"]]
    print(
        f"load {np.median([found['load'] for found in rounds['savedmodel']]):.2f} s (Keras: "
        f"{np.median([found['load'] for found in rounds['keras']]):.2f} s), first answer {np.median(first):.2f} s; "
        f"{about['bytes'] / 1e6:.1f} MB on disk, {about['warm_up'] / 1e6:.1f} MB of it warm-up requests"
    )
    say_if_busy(busy)


if __name__ == "__main__":
    main()
