"""Time of wav2vec 2.0 base in Keras on TensorFlow against transformers in PyTorch: a forward pass, and a step of fine-tuning.

What: 3 s at 16 kHz in batches of 4, random weights, float32. "forward" is inference to the last hidden state. "step" is a step of
AdamW on the mean of the frames and a dense layer for 4 emotions, with the convolutional encoder frozen and the config's dropouts;
no layer is skipped and no frame masked, so that every step does the same work. Ours runs compiled as in `fit`; theirs eager,
with transformers' default attention. Peak memory is that of each process (resident set, imports included).

How: each kind and framework runs in a process of its own, on the same number of threads; processes take turns, and each gives the
median of its steps after two that are not counted. Ratios are of the medians over all rounds; under 1, ours is faster.

    python benchmarks/wav2vec2_step.py --torch-python OTHER_ENVIRONMENT/bin/python    # which has torch and transformers
"""

import json
import statistics
import sys

from machine import busy_cores, limit_tensorflow, parser_of_steps, say_if_busy, timed, worker

CLASSES = 4
RATE = 1e-5
KINDS = ("forward", "step")
SETTINGS = {"layerdrop": 0.0, "apply_spec_augment": False}


def data(options):
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.batch, int(options.seconds * 16000))).astype("float32")
    return x, rng.integers(0, CLASSES, options.batch)


def keras_steps(options, kind: str) -> dict:
    limit_tensorflow(options.threads)
    import keras

    from keras_ser.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config

    x, labels = data(options)
    waveform = keras.Input(x.shape[1:])
    frames = Wav2Vec2(Wav2Vec2Config(**SETTINGS), freeze_feature_encoder=True)(waveform)
    if kind == "forward":
        model = keras.Model(waveform, frames)
        return timed(options.steps, lambda: model.predict_on_batch(x))
    model = keras.Model(waveform, keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling1D()(frames)))
    model.compile(
        keras.optimizers.AdamW(RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    return timed(options.steps, lambda: model.train_on_batch(x, labels))


def torch_steps(options, kind: str) -> dict:
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    x, labels = map(torch.from_numpy, data(options))
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SETTINGS))

    def standardized():
        return (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, correction=0) + 1e-7)

    if kind == "forward":
        model.eval()

        def forward():
            with torch.inference_mode():
                return model(standardized()).last_hidden_state.numpy()

        return timed(options.steps, forward)
    model.train()
    model.freeze_feature_encoder()
    head = torch.nn.Linear(model.config.hidden_size, CLASSES)
    weights = [weight for part in (model, head) for weight in part.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, RATE)

    def step():
        optimizer.zero_grad()
        logits = head(model(standardized()).last_hidden_state.mean(1))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return timed(options.steps, step)


def main():
    workers = [f"{side} {kind}" for side in ("ours", "theirs") for kind in KINDS]
    parser = parser_of_steps(__doc__.splitlines()[0], 2, 8, 4, workers)
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of a clip")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    if options.worker:
        side, kind = options.worker.split()
        print(json.dumps((keras_steps if side == "ours" else torch_steps)(options, kind)))
        return

    pythons = {"ours": sys.executable, "theirs": options.torch_python}
    medians = {(kind, side): [] for kind in options.kinds for side in pythons}
    peaks = {name: 0.0 for name in medians}
    busy = busy_cores()
    for _ in range(options.rounds):
        for kind, side in medians:
            made = worker(pythons[side], __file__, f"{side} {kind}", options.threads)
            medians[kind, side].append(statistics.median(made["seconds"]))
            peaks[kind, side] = max(peaks[kind, side], made["peak"])
            print(f"{kind:8}{side:7}{medians[kind, side][-1]:6.2f} s, peak {made['peak']:.2f} GiB", flush=True)
    print(
        f"wav2vec 2.0 base, batch {options.batch}, {options.seconds:g} s, {options.threads} threads, float32; cores that others "
        f"used before it: {busy:.1f}"
    )
    for kind in options.kinds:
        ours, theirs = (statistics.median(medians[kind, side]) for side in pythons)
        print(
            f"{kind}: Keras on TensorFlow {ours:.2f} s and {peaks[kind, 'ours']:.2f} GiB, transformers in PyTorch {theirs:.2f} s "
            f"and {peaks[kind, 'theirs']:.2f} GiB, ratio {ours / theirs:.2f}"
        )
    say_if_busy(busy)


if __name__ == "__main__":
    main()
