"""Time of one training step of VGGVox for emotion and speaker: Keras on TensorFlow against PyTorch, printed as a ratio.

What: forward, backward and SGD step (momentum 0.9, weight decay 5e-4) of the paper's network on 512 x 400 spectrograms, two
heads (6 and 91 classes); float32, or on both sides bfloat16 with float32 weights (--precision mixed_bfloat16). Ours is
`keras_ser.models.vggvox` as `fit` trains it; theirs the same network in `torch.nn`, eager. Peak memory is that of each process
(resident set, imports included).

How: each framework runs in a process of its own, on the same number of threads; processes alternate, and each gives the median
of its steps after two that are not counted. The ratio is of the medians over all rounds; under 1, ours is faster.

With --corpus-root the share of a training's time that is spent waiting for data is measured, too: real clips of RAVDESS through
the recipe's own pipeline (TFRecord, random cut, spectrogram), the first batch apart.

    python benchmarks/vggvox_step.py --batch 16 --torch-python OTHER_ENVIRONMENT/bin/python [--corpus-root RAVDESS]
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from machine import busy_cores, limit_tensorflow, parser_of_steps, peak, say_if_busy, timed, worker

BINS, FRAMES, CLASSES, SPEAKERS = 512, 400, 6, 91
RATE, MOMENTUM, DECAY = 0.01, 0.9, 5e-4


def data(options):
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.batch, FRAMES, BINS)).astype("float32")
    return x, rng.integers(0, CLASSES, options.batch), rng.integers(0, SPEAKERS, options.batch)


def keras_steps(options) -> dict:
    limit_tensorflow(options.threads)
    import keras
    import numpy as np

    from keras_ser.models import vggvox
    from keras_ser.tasks import Task
    from keras_ser.training.optimizers import CoupledSGD

    tasks = (
        Task("emotion", tuple(map(str, range(CLASSES)))),
        Task("speaker", tuple(map(str, range(SPEAKERS))), identity=True),
    )
    keras.config.set_dtype_policy(options.precision)
    made = vggvox.build(vggvox.Config(), {"magnitude": (FRAMES, BINS)}, tasks)
    network, losses = made.model, {name: output.loss for name, output in made.outputs.items()}
    network.compile(CoupledSGD(RATE, momentum=MOMENTUM, decay=DECAY), losses, jit_compile=False)
    x, emotion, speaker = data(options)
    given = {"magnitude": x, "mask": np.ones((options.batch, FRAMES), bool)}
    return timed(options.steps, lambda: network.train_on_batch(given, {"emotion": emotion, "speaker": speaker}))


def torch_steps(options) -> dict:
    import torch
    from torch import nn

    torch.set_num_threads(options.threads)

    def conv(inputs, outputs, size, stride, padding):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, size, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = nn.Sequential(
                conv(1, 96, 7, 2, 1),
                nn.ZeroPad2d((0, 1, 0, 0)),
                nn.MaxPool2d(3, 2),
                conv(96, 256, 5, 2, 1),
                nn.MaxPool2d(3, 2),
                *(conv(256, 256, 3, 1, 1) for _ in range(3)),
                nn.MaxPool2d((5, 3), (3, 2)),
                conv(256, 4096, (9, 1), 1, 0),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(4096, 1024, bias=False),
                nn.BatchNorm1d(1024),
                nn.ReLU(),
            )
            self.emotion, self.speaker = nn.Linear(1024, CLASSES), nn.Linear(1024, SPEAKERS)

        def forward(self, x):
            h = self.shared(x)
            return self.emotion(h), self.speaker(h)

    x, *labels = data(options)
    x = torch.from_numpy(x.transpose(0, 2, 1)[:, None].copy())
    network = Network().train()
    if options.channels_last:
        network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    labels = [torch.from_numpy(label) for label in labels]
    optimizer = torch.optim.SGD(network.parameters(), RATE, MOMENTUM, weight_decay=DECAY)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision != "float32"):
            found = network(x)
        loss = sum(nn.functional.cross_entropy(p.float(), y) for p, y in zip(found, labels, strict=True))
        loss.backward()
        optimizer.step()
        loss.item()

    return timed(options.steps, step)


def waiting(options) -> dict:
    """Of a training: seconds that it waits for its next batch, all of its seconds, those before the first batch, its steps; and
    batches a second of the pipeline alone."""
    limit_tensorflow(options.threads)

    root = Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(root / "recipes"))
    from vggvox_ravdess import RECIPES

    from keras_ser.corpora import read_corpus
    from keras_ser.features import Frontend
    from keras_ser.models.whole_model import extractor
    from keras_ser.pipelines.streams import TrainingData
    from keras_ser.training import Data
    from keras_ser.training.network import build
    from keras_ser.training.targets import targets_of

    corpus = read_corpus("ravdess", options.corpus_root)
    recipe = RECIPES["both"].for_corpus(corpus).replace(batch_size=options.batch)
    with tempfile.TemporaryDirectory() as folder:
        loaded = Data.load(recipe, corpus, Path(folder), progress=False)
        (split,) = recipe.protocols[0].splits(corpus)
        extract = extractor(Frontend(**recipe.frontend.options()))
        training = TrainingData(
            [loaded.source(recipe, 0, split, "train", 0)],
            extract,
            recipe.frontend.features,
            recipe.sampling,
            recipe.augment,
            recipe.batch_size,
            samples=round(recipe.frontend.seconds * recipe.frontend.sample_rate),
            measure=False,
        )
        network, _ = build(recipe, {"magnitude": (FRAMES, BINS)}, training.steps)
        start = time.perf_counter()
        alone = sum(1 for _ in training.epoch(1).take(4)) / (time.perf_counter() - start)
        batches = iter(training.epoch(0).map(lambda *batch: targets_of(recipe, network)(*batch, seed=(0, 0))))
        waits, steps = [], []
        for _ in range(1 + 3 * options.steps):
            start = time.perf_counter()
            x, y, w = next(batches)
            middle = time.perf_counter()
            network.model.train_on_batch(x, y, w)
            waits.append(middle - start)
            steps.append(time.perf_counter() - start)
    return {"seconds": [sum(waits[1:]), sum(steps[1:]), waits[0], len(steps) - 1, alone], "peak": peak()}


def main():
    parser = parser_of_steps(__doc__.splitlines()[0], 2, 4, 16, ["keras", "torch", "waiting"])
    parser.add_argument("--precision", choices=["float32", "mixed_bfloat16"], default="float32")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch's other memory layout")
    parser.add_argument("--corpus-root", help="RAVDESS: measure the time spent waiting for data, too")
    options = parser.parse_args()
    if options.worker:
        measure = {"keras": keras_steps, "torch": torch_steps, "waiting": waiting}[options.worker]
        print(json.dumps(measure(options)))
        return

    pythons = {"keras": sys.executable, "torch": options.torch_python}
    found = {name: [] for name in pythons}
    busy = busy_cores()
    for _ in range(options.rounds):
        for name, python in pythons.items():
            found[name].append(worker(python, __file__, name, options.threads))
            made = found[name][-1]
            print(
                f"{name:6} {statistics.median(made['seconds']):6.2f} s a step, peak {made['peak']:.2f} GiB", flush=True
            )
    ours, theirs = (statistics.median(statistics.median(m["seconds"]) for m in found[n]) for n in ("keras", "torch"))
    layout = "channels last" if options.channels_last else "channels first"
    print(
        f"batch {options.batch}, {options.threads} threads, {options.precision}; cores that others used before it: {busy:.1f}"
    )
    print(f"Keras on TensorFlow {ours:.2f} s, PyTorch ({layout}) {theirs:.2f} s, ratio {ours / theirs:.2f}")
    say_if_busy(busy)
    if options.corpus_root:
        made = worker(sys.executable, __file__, "waiting", options.threads)
        waits, whole, first, steps, alone = made["seconds"]
        print(
            f"waiting for data: {100 * waits / whole:.2f} % of {whole:.1f} s in {steps:.0f} steps; the first batch came after "
            f"{first:.1f} s; the pipeline alone makes {alone:.1f} batches a second; peak of the training {made['peak']:.2f} GiB"
        )


if __name__ == "__main__":
    main()
