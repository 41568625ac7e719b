"""Run as a program: train on one device, and twice on two logical ones, in a process of its own.

python -m tests.training.mirrored FOLDER
"""

import dataclasses
import sys
from pathlib import Path

from keras_ser.recipe import Recipe, Sampling
from tests.training import tiny

# without what differs between devices on purpose: dropout, and statistics or means over a part of the batch
LSTM: Recipe = tiny.SINGLE.replace(
    tasks=(tiny.EMOTION, tiny.GENDER),
    streams=(tiny.CLEAN, dataclasses.replace(tiny.NOISY, redraw=False)),
    config=dataclasses.replace(tiny.LSTM, layers=1, dropout=0.0),
    sampling=Sampling("whole"),
    augment=tiny.SINGLE.augment.__class__(),
    batch_size=12,
)
CONV: Recipe = tiny.SINGLE.replace(streams=(tiny.CLEAN,), epochs=1)


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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
