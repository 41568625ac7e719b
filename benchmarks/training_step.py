"""Time of one training step of the paper's network: Keras on TensorFlow against PyTorch, printed as a ratio.

What: forward, backward and Adam step of ASP-MTL in the paper's setting (batch 256, 32 units, dropout 0.5): three
encoders (shared, private main, private auxiliary) of two LSTM layers each with layer normalisation and learned layer
weights, mean pooling under a mask, two heads, a discriminator behind gradient reversal, the orthogonality loss; float32;
300 frames of 60 features, clips of 150 to 300 frames. Ours is built from `keras_ser.layers` and trained by `fit` in a
plain graph (`jit_compile=False`: XLA is slower for recurrent networks on a CPU). Theirs is the same network in
`torch.nn`, eager. (PyTorch's LSTM holds a second bias per gate.)

How: each framework runs in a process of its own, on the same number of threads; processes alternate, and each gives the
median of its steps after two that are not counted. The ratio is of the medians over all rounds; under 1, ours is
faster. Only a quiet machine gives a valid ratio: OpenMP's threads, PyTorch's, spin while they wait for each other, and
on cores that others use they have been seen to take ten times their time. A busy machine is named in the output.

    python benchmarks/training_step.py --threads 2 --torch-python OTHER_ENVIRONMENT/bin/python
"""

import json
import statistics
import sys
import time

from machine import WARM_UP, busy_cores, limit_tensorflow, parser_of_steps, say_if_busy, timed, worker

LAYERS, CLASSES, GENDERS, STREAMS = 2, 7, 2, 2
WEIGHTS = {"emotion": 1.0, "gender": 0.5, "adversary": 0.1}
ORTHOGONALITY, DROPOUT, RATE = 0.1, 0.5, 1e-3


def data(options):
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.batch, options.frames, options.inputs)).astype("float32")
    lengths = rng.integers(options.frames // 2, options.frames + 1, options.batch)
    lengths[0] = options.frames
    mask = np.arange(options.frames) < lengths[:, None]
    classes = {"emotion": CLASSES, "gender": GENDERS, "adversary": STREAMS}
    return x, mask, {name: rng.integers(0, n, options.batch) for name, n in classes.items()}


def keras_step_seconds(options) -> list[float]:
    limit_tensorflow(options.threads)
    import keras
    import tensorflow as tf

    from keras_ser.layers import GradientReversal, MeanPooling, OrthogonalityLoss, StackedLSTM
    from keras_ser.losses import SparseCrossentropy

    def head(vector, classes, name):
        vector = keras.layers.Dense(options.units, activation="relu")(keras.layers.Dropout(DROPOUT)(vector))
        return keras.layers.Dense(classes, name=name)(vector)

    x = keras.Input((None, options.inputs), name="x")
    mask = keras.Input((None,), dtype="bool", name="mask")
    sequences = [StackedLSTM(options.units, LAYERS, DROPOUT)(x, mask=mask) for _ in range(3)]
    sequences = OrthogonalityLoss(ORTHOGONALITY, name="orthogonality")(sequences, mask=mask)
    shared, main, auxiliary = (MeanPooling()(sequence, mask=mask) for sequence in sequences)
    outputs = {
        "emotion": head(keras.layers.Concatenate()([shared, main]), CLASSES, "emotion"),
        "gender": head(auxiliary, GENDERS, "gender"),
        "adversary": keras.layers.Dense(STREAMS, name="adversary")(GradientReversal()(shared)),
    }
    model = keras.Model({"x": x, "mask": mask}, outputs)
    loss = {name: SparseCrossentropy() for name in outputs}
    model.compile(keras.optimizers.Adam(RATE), loss, loss_weights=WEIGHTS, jit_compile=False)

    features, valid, labels = data(options)
    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.start = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            seconds.append(time.perf_counter() - self.start)

    stream = tf.data.Dataset.from_tensors(({"x": features, "mask": valid}, labels)).repeat(WARM_UP + options.steps)
    model.fit(stream, epochs=1, verbose=0, callbacks=[Clock()])
    return seconds[WARM_UP:]


def torch_step_seconds(options) -> list[float]:
    import torch
    from torch import nn

    torch.set_num_threads(options.threads)
    units = options.units

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [options.inputs] + [units] * (LAYERS - 1)
            self.lstms = nn.ModuleList(nn.LSTM(width, units, batch_first=True) for width in widths)
            self.normalizations = nn.ModuleList(nn.LayerNorm(units, eps=1e-3) for _ in widths)
            self.dropout = nn.Dropout(DROPOUT)
            self.logits = nn.Parameter(torch.zeros(LAYERS))

        def forward(self, x, mask):
            weights, fused = torch.softmax(self.logits, 0), 0.0
            for i, (lstm, normalization) in enumerate(zip(self.lstms, self.normalizations, strict=True)):
                x = normalization(lstm(x if i == 0 else self.dropout(x))[0])
                fused = fused + weights[i] * x
            return fused * mask

    def head(width, classes):
        return nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(width, units), nn.ReLU(), nn.Linear(units, classes))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoders = nn.ModuleList(Encoder() for _ in range(3))
            self.emotion, self.gender = head(2 * units, CLASSES), head(units, GENDERS)
            self.adversary = nn.Linear(units, STREAMS)

        def forward(self, x, mask):
            mask = mask[..., None].float()
            lengths = mask.sum(1)  # (batch, 1)
            sequences = [encoder(x * mask, mask) for encoder in self.encoders]
            products = [sequences[0].transpose(1, 2) @ private / lengths[..., None] for private in sequences[1:]]
            orthogonality = sum(product.square().mean() for product in products)
            shared, main, auxiliary = (sequence.sum(1) / lengths for sequence in sequences)
            reversed_ = 2 * shared.detach() - shared
            outputs = {
                "emotion": self.emotion(torch.cat([shared, main], -1)),
                "gender": self.gender(auxiliary),
                "adversary": self.adversary(reversed_),
            }
            return outputs, orthogonality

    x, mask, labels = data(options)
    x, mask = torch.from_numpy(x), torch.from_numpy(mask)
    labels = {name: torch.from_numpy(label) for name, label in labels.items()}
    network = Network().train()
    optimizer = torch.optim.Adam(network.parameters(), RATE)

    def step():
        optimizer.zero_grad()
        outputs, orthogonality = network(x, mask)
        loss = ORTHOGONALITY * orthogonality
        for name, output in outputs.items():
            loss = loss + WEIGHTS[name] * nn.functional.cross_entropy(output, labels[name])
        loss.backward()
        optimizer.step()
        loss.item()

    return timed(options.steps, step)["seconds"]


def main():
    parser = parser_of_steps(__doc__.splitlines()[0], 3, 5, 256, ["keras", "torch"])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--inputs", type=int, default=60, help="features of a frame")
    parser.add_argument("--units", type=int, default=32)
    options = parser.parse_args()
    if options.worker:
        measure = {"keras": keras_step_seconds, "torch": torch_step_seconds}[options.worker]
        print(json.dumps(measure(options)))
        return

    pythons = {"keras": sys.executable, "torch": options.torch_python}
    medians = {name: [] for name in pythons}
    busy = busy_cores()
    for _ in range(options.rounds):
        for name, python in pythons.items():
            medians[name].append(statistics.median(worker(python, __file__, name, options.threads)))
            print(f"{name:6} {1000 * medians[name][-1]:7.0f} ms a step", flush=True)
    ours, theirs = (statistics.median(medians[name]) for name in ("keras", "torch"))
    size = f"batch {options.batch}, {options.frames} frames, {options.inputs} inputs, {options.units} units"
    print(f"{size}, {options.threads} threads, float32; cores that others used before it: {busy:.1f}")
    print(f"Keras on TensorFlow {1000 * ours:.0f} ms, PyTorch {1000 * theirs:.0f} ms, ratio {ours / theirs:.2f}")
    say_if_busy(busy)


if __name__ == "__main__":
    main()
