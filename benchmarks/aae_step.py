"""Time of one training step of AAE-MTL: what the phases cost over a plain CNN, and Keras on TensorFlow against PyTorch.

What: one step of the paper's three phases (reconstruct; discriminate, then regularise; classify), each with its own update by
SGD without momentum, on spectrograms of 256 frames and 128 bins, with the settings of `Config` and heads for 4 emotions, 2 genders
and 10 speakers; float32. Ours is `keras_ser.models.aae_mtl` as `fit` trains it, of the kinds "aae", "ae" (no discriminator) and
"cnn" (classifiers alone); theirs the same network and phases of kind "aae" in `torch.nn`, eager, without what ours logs. Peak
memory is that of each process (resident set, imports included).

How: each kind and framework runs in a process of its own, on the same number of threads; processes take turns, and each gives the
median of its steps after two that are not counted. Ratios are of the medians over all rounds; under 1, ours is faster.

    python benchmarks/aae_step.py --torch-python OTHER_ENVIRONMENT/bin/python
"""

import json
import statistics
import sys

from machine import busy_cores, limit_tensorflow, parser_of_steps, say_if_busy, timed, worker

CLASSES = {"emotion": 4, "gender": 2, "speaker": 10}
RATE = 1e-4
KERAS = ("aae", "ae", "cnn")


def data(options):
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.batch, options.frames, options.bins)).astype("float32")
    return x, {name: rng.integers(0, n, options.batch) for name, n in CLASSES.items()}


def keras_steps(options, kind: str) -> dict:
    limit_tensorflow(options.threads)
    import numpy as np

    from keras_ser.models.aae_mtl import IMAGE, Config
    from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling
    from keras_ser.splits import Protocol
    from keras_ser.tasks import Task
    from keras_ser.training.network import build

    recipe = Recipe(
        kind,
        "demo",
        tuple(Task(name, tuple(map(str, range(n))), identity=name == "speaker") for name, n in CLASSES.items()),
        (Protocol("speakers", "k-fold", by="speaker", folds=4, validation=0),),
        model="aae_mtl",
        config=Config(kind),
        frontend=FrontendConfig(("linear_bands",), bins=options.bins),
        sampling=Sampling("segments", frames=options.frames, hop=options.frames, balance=False),
        optimizer=OptimizerConfig("sgd", RATE, momentum=0.0),
        batch_size=options.batch,
    )
    network, _ = build(recipe, {"linear_bands": (options.frames, options.bins)})
    x, labels = data(options)
    mask = np.ones(x.shape[:2], bool)
    weights = {name: np.ones(options.batch, "float32") for name in CLASSES}
    if kind != "cnn":
        labels, weights = {**labels, IMAGE: x}, {**weights, IMAGE: mask.astype("float32")}
    return timed(
        options.steps, lambda: network.model.train_on_batch({"linear_bands": x, "mask": mask}, labels, weights)
    )


def torch_steps(options) -> dict:
    import torch
    from torch import nn

    from keras_ser.models.aae_mtl import Config

    torch.set_num_threads(options.threads)
    config = Config()
    last = len(config.filters) - 1
    sizes = list(zip((1, *config.filters[:-1]), config.filters, config.kernels, config.pools, strict=True))

    def encoder():
        for i, (before, after, kernel, pool) in enumerate(sizes):
            yield nn.Conv2d(before, after, kernel, padding="same", bias=False)
            norm = nn.BatchNorm2d(after, eps=1e-3, momentum=0.01)
            yield from (norm, nn.ReLU(), nn.MaxPool2d(pool)) if i < last else (nn.MaxPool2d(pool), norm)

    def decoder():
        for i, (before, after, kernel, pool) in reversed(list(enumerate(sizes))):
            kernel = [max(kernel, side) for side in pool]
            cut = [(k - side + 1) // 2 for k, side in zip(kernel, pool, strict=True)]
            more = [side - k + 2 * c for k, side, c in zip(kernel, pool, cut, strict=True)]
            yield nn.ConvTranspose2d(after, before, kernel, pool, cut, more, bias=not i)
            if i:
                yield nn.BatchNorm2d(before, eps=1e-3, momentum=0.01)
                yield nn.ReLU()

    def judge(classes, dropout):
        first, second = config.dense
        return nn.Sequential(
            nn.Conv2d(config.filters[-1], config.head_filters, config.head_kernel, padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(config.head_pool),
            nn.Flatten(),
            nn.LazyLinear(first),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, classes),
        )

    x, labels = data(options)
    image = torch.from_numpy(x)[:, None]
    labels = {name: torch.from_numpy(label) for name, label in labels.items()}
    encode, decode = nn.Sequential(*encoder()).train(), nn.Sequential(*decoder()).train()
    critic, heads = judge(2, 0.0), nn.ModuleDict({name: judge(n, config.dropout) for name, n in CLASSES.items()})
    with torch.no_grad():  # the lazy layers take their sizes
        for part in (critic, *heads.values()):
            part(encode(image))

    def sgd(*parts):
        return torch.optim.SGD([weight for part in parts for weight in part.parameters()], RATE)

    reconstruct, discriminate, regularise = sgd(encode, decode), sgd(critic), sgd(encode)
    classify = sgd(encode, heads)
    crossentropy = nn.functional.cross_entropy
    real, fake = torch.ones(options.batch, dtype=torch.long), torch.zeros(options.batch, dtype=torch.long)

    def update(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def step():
        update(reconstruct, config.alpha * nn.functional.mse_loss(decode(encode(image)), image))
        z = encode(image)
        judged = critic(torch.cat([torch.randn_like(z), z.detach()]))
        update(discriminate, 2 * crossentropy(judged, torch.cat([real, fake])))
        critic.requires_grad_(False)
        update(regularise, crossentropy(critic(z), real))
        critic.requires_grad_(True)
        z = encode(image)
        losses = [crossentropy(heads[name](z), label) for name, label in labels.items()]
        loss = config.beta * losses[0] + (1 - config.beta) * sum(losses[1:])
        update(classify, loss)
        loss.item()

    return timed(options.steps, step)


def main():
    parser = parser_of_steps(__doc__.splitlines()[0], 2, 8, 32, [*KERAS, "torch"])
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--bins", type=int, default=128)
    options = parser.parse_args()
    if options.worker:
        made = torch_steps(options) if options.worker == "torch" else keras_steps(options, options.worker)
        print(json.dumps(made))
        return

    pythons = {**dict.fromkeys(KERAS, sys.executable), "torch": options.torch_python}
    medians = {name: [] for name in pythons}
    busy = busy_cores()
    for _ in range(options.rounds):
        for name, python in pythons.items():
            made = worker(python, __file__, name, options.threads)
            medians[name].append(statistics.median(made["seconds"]))
            print(f"{name:6} {medians[name][-1]:6.2f} s a step, peak {made['peak']:.2f} GiB", flush=True)
    aae, ae, cnn, theirs = (statistics.median(values) for values in medians.values())
    size = f"batch {options.batch}, {options.frames} frames, {options.bins} bins"
    print(f"{size}, {options.threads} threads, float32; cores that others used before it: {busy:.1f}")
    print(
        f"Keras: aae {aae:.2f} s, ae {ae:.2f} s, cnn {cnn:.2f} s, ratios aae/cnn {aae / cnn:.2f}, ae/cnn {ae / cnn:.2f}"
    )
    print(f"aae: Keras on TensorFlow {aae:.2f} s, PyTorch {theirs:.2f} s, ratio {aae / theirs:.2f}")
    say_if_busy(busy)


if __name__ == "__main__":
    main()
