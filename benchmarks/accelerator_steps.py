"""The time of a training step of each paper's network at that paper's sizes, in float32 and in mixed precision, on random data.

Networks, losses, weights and optimizers are the package's own (`build_network`, `compiled`). One batch is trained on again and
again, so that its loss has to fall: a precision in which it does not, or is not finite, has no figure. Under JAX the step is
Keras's `Model.train_step`, compiled ahead, so that compilation is timed apart and the program's memory is known; under another
backend it is `train_on_batch`, whose first call counts as the compilation. Matrix products in float32 are JAX's default: TF32 on
a GPU that has it.
"""

import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from keras_ser.models import aspmtl, attention_dnn, multilevel, vggvox
from keras_ser.models.heads import task_outputs
from keras_ser.models.paper import Network, build_network
from keras_ser.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config
from keras_ser.recipe import OptimizerConfig, Recipe, Sampling
from keras_ser.settings import mask_of
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.training.network import compiled

CHUNK = 10  # steps that are sent to the device before it is waited for
SEVEN = Task("emotion", ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"))
GENDER = Task("gender", ("female", "male"))
FOUR = Task("emotion", ("anger", "happiness", "neutral", "sadness"))
HALVES = (Task("activation", ("high", "low"), weight=0.5), Task("valence", ("positive", "negative"), weight=0.5))
SIX = Task("emotion", ("anger", "disgust", "fear", "happiness", "neutral", "sadness"))
SPEAKERS = Task("speaker", tuple(f"{i:04d}" for i in range(91)), identity=True)
PAPER = {"mfcc": 39, "zero_crossing_rate": 1, "energy": 1, "pitch": 2}
ADAMW = OptimizerConfig("adamw", 1e-5, weight_decay=0.01)


@dataclass(frozen=True)
class Row:
    """A network to measure.

    Args:
        tasks, model, config, optimizer, batch: as of its recipe.
        inputs: name -> (frames, bins) of an example.
        loops: Compute LSTMs by a loop and not by cuDNN.
        about: of the sizes, for the table.
    """

    tasks: tuple[Task, ...]
    model: str
    config: Any
    inputs: dict[str, tuple[int, int]]
    batch: int
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loops: bool = False
    about: str = ""


def rows() -> dict[str, Row]:
    """Name -> row, the papers' sizes: recipes/aspmtl.py, vggvox.py, mt_a_dnn.py, multilevel.py."""
    segment = {name: (96, bins) for name, bins in PAPER.items()}
    lstm = aspmtl.Config(adversary="label")
    conv = {"encoder": "conv", "adversary": "label", "layers": 0, "dropout": 0.2, "dense": 0, "label_smoothing": 0.1}
    conv = aspmtl.Config(**conv, stride=2, pool_first=True, stem=3)
    both, slow = (SEVEN, GENDER), OptimizerConfig("adamw", 1.5e-3, weight_decay=0.01, clip_norm=5.0)
    sgd, image = OptimizerConfig("sgd", 1e-2, weight_decay=5e-4), {"magnitude": (400, 512)}
    clip, three = {"short_term": (1, 68)}, (FOUR, *HALVES)
    levels = {"mfcc": (288, 40), "image.spectrogram": (297, 200)}
    every = multilevel.Config(gender_prior=True, level_heads=0.5, center=0.01)
    found = {
        f"ASP-MTL, batch {batch}{', loops' if loops else ''}": Row(
            both, "aspmtl", lstm, segment, batch, loops=loops, about="96 frames of 43"
        )
        for batch in (32, 256)
        for loops in (False, True)
    }
    return found | {
        "ASP-MTL, convolutional": Row(both, "aspmtl", conv, {"log_mel": (200, 64)}, 16, slow, about="200 frames of 64"),
        "VGGVox-MTL": Row((SIX, SPEAKERS), "vggvox", vggvox.Config(), image, 64, sgd, about="400 frames of 512"),
        "MT-A-DNN": Row(three, "attention_dnn", attention_dnn.Config(), clip, 128, about="68 numbers"),
        "Multilevel": Row((FOUR, GENDER), "multilevel", every, levels, 64, ADAMW, about="3 s, without wav2vec 2.0"),
        "Multilevel, loops": Row(
            (FOUR, GENDER), "multilevel", every, levels, 64, ADAMW, True, "3 s, without wav2vec 2.0"
        ),
        "wav2vec 2.0 base": Row(
            (FOUR,), "", None, {"waveform": (300, 160)}, 32, ADAMW, about="3 s, encoder's convolutions frozen"
        ),
    }


def built(row: Row, precision: str) -> Any:
    """A row's network, compiled."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    try:
        if row.model:
            protocol = (Protocol("none", "random", test=0.2),)
            settings = {"model": row.model, "config": row.config, "optimizer": row.optimizer, "precision": precision}
            # the front end has no say: the inputs are given
            recipe = Recipe("steps", "demo", row.tasks, protocol, **settings, sampling=Sampling("whole"))
            network = build_network(recipe, row.inputs)
        else:
            recipe, network = fine_tuned(row)
        for layer in network.model.layers if row.loops else ():
            lstms = getattr(layer, "lstms", None) or [
                getattr(layer, f"{way}_layer", None) for way in ("forward", "backward")
            ]
            for lstm in filter(None, lstms):
                lstm.use_cudnn = False
        compiled(recipe, network)
    finally:
        keras.config.set_dtype_policy("float32")
    return network


def fine_tuned(row: Row) -> tuple[Recipe, Network]:
    """wav2vec 2.0 base with random weights, its convolutions frozen, and a dense layer on the mean of its frames."""
    ((name, (frames, bins)),), (task,) = row.inputs.items(), row.tasks
    inside = {
        name: keras.Input((frames, bins), name=name),
        mask_of(name): keras.Input((frames,), dtype="bool", name="mask"),
    }
    layer = Wav2Vec2(Wav2Vec2Config(layerdrop=0.0, apply_spec_augment=False), freeze_feature_encoder=True)
    x = layer(keras.layers.Reshape((frames * bins,), dtype="float32")(inside[name]))
    x = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    model = keras.Model(inside, {task.name: keras.layers.Dense(task.size, dtype="float32", name=task.name)(x)})
    recipe = Recipe(
        "steps",
        "demo",
        row.tasks,
        (Protocol("none", "random", test=0.2),),
        optimizer=row.optimizer,
        sampling=Sampling("whole"),
    )
    return recipe, Network(model, task_outputs(row.tasks), x)


def batch_of(network: Network, row: Row, batch: int) -> tuple[dict, dict, dict]:
    """Random inputs, targets and weights of 1."""
    rng, sizes = np.random.default_rng(0), {task.name: task.size for task in row.tasks}
    x = {}
    for name, (frames, bins) in row.inputs.items():
        x[name] = rng.normal(size=(batch, frames, bins)).astype("float32")
        x[mask_of(name)] = np.ones((batch, frames), bool)
    drawn = {task: rng.integers(0, size, batch).astype("int32") for task, size in sizes.items()}
    y = {name: drawn[output.target.task] for name, output in network.outputs.items()}
    return x, y, {name: np.ones(batch, "float32") for name in y}


def with_metrics(network: Network) -> Any:
    """The model, its metrics' variables made; Keras makes them in its first step, which `train_step` alone is not."""
    model = network.model
    predicted = {name: np.zeros([n or 1 for n in value.shape], "float32") for name, value in model.output.items()}
    zeros = {name: np.zeros(1, "int32") for name in predicted}
    model.compute_metrics(None, zeros, predicted, {name: np.ones(1, "float32") for name in predicted})
    model.reset_metrics()
    return model


def jax_program(network: Network, data: tuple) -> Callable[[], Any]:
    """A step, traced: a function that compiles it, in any thread, and returns a function that takes a step and returns its loss,
    unfinished, and the GiB of the program."""
    import jax

    model = with_metrics(network)
    zeros = [np.zeros(v.shape, v.dtype) for v in model.metrics_variables]

    def step(state, data):
        logs, new = model.train_step((*state, zeros), data)
        return tuple(map(list, new[:3])), logs["loss"]

    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    state = tuple([np.asarray(v) for v in group] for group in groups)
    lowered = jax.jit(step, donate_argnums=0).lower(state, data)

    def compiled():
        program = lowered.compile()
        m = program.memory_analysis()
        sizes = (
            (m.argument_size_in_bytes, m.output_size_in_bytes, m.temp_size_in_bytes, -m.alias_size_in_bytes)
            if m
            else ()
        )
        held = []

        def run():
            held[:] = held or [jax.device_put(state), jax.device_put(data)]
            held[0], loss = program(*held)
            return loss

        return run, sum(sizes) / 2**30

    return compiled


def other_program(network: Network, data: tuple) -> Callable[[], Any]:
    """The same by `train_on_batch`, whose loss is reset before each step."""

    def run():
        network.model.reset_metrics()
        return network.model.train_on_batch(*data, return_dict=True)["loss"]

    def compiled():
        run()
        return run, float("nan")

    return compiled


def begun(row: Row, precision: str) -> tuple[dict[str, Any], Callable[[], Any]]:
    """What is known of a row before it is compiled, and the function that compiles it and says how long that took."""
    network = built(row, precision)
    data = batch_of(network, row, row.batch)
    make = (jax_program if keras.backend.backend() == "jax" else other_program)(network, data)

    def compiled():
        start = time.perf_counter()
        run, memory = make()
        return run, {"gib": memory, "compile_seconds": time.perf_counter() - start}

    weights = sum(int(np.prod(v.shape)) for v in network.model.trainable_variables)
    return {"batch": row.batch, "trained_weights": weights}, compiled


def timed(run: Callable[[], Any], batch: int, seconds: float, most: int) -> dict[str, Any]:
    """Take steps for so many seconds: the median time of one, and the losses of the first and the last ones."""
    begin = time.perf_counter()
    losses, times = [float(run()) for _ in range(2)], []
    while not times or (len(losses) < most and time.perf_counter() - begin < seconds):
        before = time.perf_counter()
        found = [run() for _ in range(CHUNK)]
        losses += map(float, found)
        times.append((time.perf_counter() - before) / CHUNK)
    first, last = (float(np.mean(part)) for part in (losses[:5], losses[-5:]))
    step = statistics.median(times)
    return {
        "ms": 1000 * step,
        "examples_a_second": batch / step,
        "steps": len(losses),
        "first_loss": first,
        "last_loss": last,
        "falls": bool(np.isfinite(losses).all() and last < first),
    }


HEAD = (
    "network",
    "input",
    "batch",
    "precision",
    "ms a step",
    "examples/s",
    "compilation, s",
    "program, GiB",
    "loss",
    "steps",
)


def table(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(HEAD)} |", "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for f in found:
        cells = [f["network"], f["input"], f["batch"], f["precision"]]
        if "error" in f:
            lines.append(f"| {' | '.join(map(str, cells))} | {f['error']} | | | | | |")
            continue
        # without a loss that falls there is no figure
        speed = [f"{f['ms']:.2f}", f"{f['examples_a_second']:.0f}"] if f["falls"] else ["", ""]
        loss = f"{f['first_loss']:.3f} to {f['last_loss']:.3f}" + ("" if f["falls"] else ": does not fall")
        cells += [*speed, f"{f['compile_seconds']:.1f}", f"{f['gib']:.2f}", loss, f["steps"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def measure(options, say: Callable[[str], None], device: dict[str, str]) -> None:
    """Measure what the command line asks for; see `accelerator.py`. All programs are compiled before the first one is timed."""
    start, found, work = time.perf_counter(), [], []
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = {n: row for n, row in rows().items() if not options.networks or n.startswith(tuple(options.networks))}
    with ThreadPoolExecutor(max_workers=options.threads) as pool:
        for (name, row), precision in itertools.product(wanted.items(), options.precisions):
            if row.loops and precision != "float32":  # half precision has loops alone
                continue
            row = replace(row, batch=4) if options.quick else row
            figures = {"network": name, "input": row.about, "precision": precision, "batch": row.batch}
            found.append(figures)
            with noted(figures, say):
                known, make = begun(row, precision)
                figures |= known
                work.append((figures, pool.submit(make)))
                say(f"{name}, {precision}: being compiled")
        wait([made for _, made in work], timeout=max(0.0, options.limit - (time.perf_counter() - start)))
        for figures, made in work:
            if time.perf_counter() - start > options.limit or not made.done():
                made.cancel()
                figures["error"] = "no time left"
                continue
            with noted(figures, say):
                run, known = made.result()
                figures |= {**known, **timed(run, figures["batch"], options.seconds, options.most)}
                say(f"{figures['network']}, {figures['precision']}: {figures['ms']:.2f} ms")
            done = [f for f in found if "ms" in f or "error" in f]
            (options.out / "steps.json").write_text(json.dumps({**device, "rows": done}, indent=1))
            (options.out / "steps.md").write_text(table(done) + "\n")
    print(table(found))


@contextlib.contextmanager
def noted(figures: dict[str, Any], say: Callable[[str], None]) -> Iterator[None]:
    """Note what one network cannot do among its figures: it is a finding, and the others go on."""
    try:
        yield
    except Exception as error:
        figures["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        say(f"{figures['network']}, {figures['precision']}: {figures['error']}")
