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
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from accelerator_networks import Row, batch_of, built, rows, with_metrics

from keras_ser.models.paper import Network

CHUNK = 10  # steps that are sent to the device before it is waited for


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
