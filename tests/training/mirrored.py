"""Run as a program: train on one device, and on two logical ones, in a process of its own.

python -m tests.training.mirrored FOLDER
"""

import contextlib
import dataclasses
import sys
from pathlib import Path

import numpy as np

from keras_ser.recipe import OptimizerConfig, Recipe, Sampling
from tests.training import tiny

# without what differs between devices on purpose: dropout, and statistics or means over a part of the batch
LSTM: Recipe = tiny.SINGLE.replace(
    tasks=(tiny.EMOTION, tiny.GENDER),
    streams=(tiny.CLEAN, dataclasses.replace(tiny.NOISY, redraw=False)),
    config=dataclasses.replace(tiny.LSTM, layers=1, dropout=0.0),
    sampling=Sampling("whole"),
    optimizer=OptimizerConfig("adam", 1e-2),
    augment=tiny.SINGLE.augment.__class__(),
    batch_size=12,
)
CONV: Recipe = tiny.SINGLE.replace(
    streams=(tiny.CLEAN,), epochs=2, patience=1, optimizer=OptimizerConfig("adam", 1e-2, schedule="plateau", factor=0.5)
)


def main(folder: Path) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    from keras_ser.corpora import demo
    from keras_ser.training import Data, fit, predict

    # the default takes accelerators only
    sys.modules["keras_ser.training.fitting"]._mirrored = lambda: strategy
    corpus = demo.read(folder, speakers=4, sentences=1, emotions=tiny.EMOTION.labels)
    split = tiny.SPEAKERS.splits(corpus)[1]
    data = Data.load(LSTM, corpus, folder / "cache")
    for name, recipe, option in (("one", LSTM, None), ("two", LSTM, "mirrored"), ("conv", CONV, "mirrored")):
        run = fit(recipe, data, split, folder / name, strategy=option)
        predict(run.model(), recipe, data, split).to_csv(folder / f"{name}.csv")
    for name, used in (("one", None), ("two", strategy)):
        np.savez(folder / f"phases_{name}.npz", **phases(used))


def phases(strategy) -> dict[str, np.ndarray]:
    """The weights and logs of AAE-MTL after a step (SGD) on one device, or on two that have the same batch each."""
    import keras
    import tensorflow as tf

    from keras_ser.models.aae_mtl import Config
    from keras_ser.recipe import OptimizerConfig
    from keras_ser.training.network import build
    from tests.models.papers import NETWORKS
    from tests.models.rows import randomized
    from tests.models.test_aae_mtl import BINS, FRAMES, SMALL, batch

    # each device would draw its own
    keras.random.normal = lambda shape, **options: tf.random.stateless_normal(shape, (1, 2))
    recipe = NETWORKS["aae"].replace(
        config=Config(**{**SMALL, "dropout": 0.0}),
        sampling=Sampling("segments", frames=FRAMES, hop=FRAMES, balance=False),
        optimizer=OptimizerConfig("sgd", 0.1, momentum=0.0),
    )
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = randomized(build(recipe, {"linear_bands": (FRAMES, BINS)})[0].model)
    given = batch(np.random.default_rng(0))
    step = tf.function(lambda: strategy.run(model.train_step, (given,)) if strategy else model.train_step(given))
    step()
    logs = {
        f"log/{metric.name}": np.asarray(metric.result())
        for metric in model.metrics
        if metric.name.endswith(("loss", "error"))
    }
    return logs | {v.path: np.asarray(v) for v in model.weights if "seed" not in v.path}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
