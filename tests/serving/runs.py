"""Run folders to export: one tiny recipe of each kind, with random weights where training them would prove no more."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np

from keras_ser.features import Frontend
from keras_ser.models.aspmtl.cascade import drop_extractor
from keras_ser.models.whole_model import extractor, whole_model
from keras_ser.recipe import Augment, Recipe
from keras_ser.serving import gate
from keras_ser.training import Run, build
from tests.models.rows import randomized
from tests.training import tiny

# the paper's network; on one stream and without augmentation, so that an epoch takes seconds
SHARED_PRIVATE = tiny.TRAINED.replace(
    name="shared_private",
    streams=(tiny.CLEAN,),
    config=dataclasses.replace(tiny.LSTM, layers=1, adversary="label"),
    augment=Augment(),
    epochs=1,
)
# convolutions; model 2 has a continuous task, too
FRONTEND = dataclasses.replace(tiny.SINGLE.frontend, endpoint=False)
CASCADE = tiny.CASCADE.replace(
    tasks=(tiny.EMOTION, tiny.AROUSAL), frontend=FRONTEND, first=tiny.FIRST.replace(frontend=FRONTEND)
)
# model 1's ratio mask before model 2
MASK_CASCADE = tiny.SINGLE.replace(
    name="mask_cascade",
    config=dataclasses.replace(tiny.LSTM, adversary=None),
    first=tiny.MASKED,
    discard="mask",
    epochs=1,
)
# judging a clip as a whole, in mixed precision
HALVED = tiny.SINGLE.replace(
    name="halved",
    config=dataclasses.replace(tiny.LSTM, adversary=None),
    sampling=dataclasses.replace(tiny.SINGLE.sampling, kind="whole"),
    precision="mixed_bfloat16",
)


def write(recipe: Recipe, folder: Path, split, seed: int = 0) -> Run:
    """A finished run that never trained: random asymmetric weights, statistics of a few clips."""
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("float32")
        if recipe.first is None:
            extract = extractor(Frontend(**recipe.frontend.options()))
        else:
            first = write(recipe.first, folder / "model_1", split, seed + 1).model()
            extract = drop_extractor(first, recipe.first.sampling.frames)
        keras.config.set_dtype_policy(recipe.precision)
        names = recipe.frontend.features
        made, score = build(recipe, {name: extract.output[name].shape[1:] for name in names})
        network = made.model
        randomized(network, seed)
        features = extract(dict(zip(("waveform", "length"), gate.batch(gate.golden(16000)), strict=True)))
        heard = np.concatenate([features[name] for name in names], axis=-1)[np.asarray(features["mask"])]
        network.get_layer("normalization").set_statistics(heard.mean(axis=0), heard.var(axis=0))
        folder.mkdir(parents=True, exist_ok=True)
        whole = whole_model(extract, score, recipe.name)
        _undecided(whole, [network.get_layer(task.name) for task in recipe.tasks if not task.continuous])
        whole.save(folder / "model.keras")
    finally:
        keras.config.set_dtype_policy(policy)
    (folder / "recipe.json").write_text(recipe.to_json())
    split.write(folder / "split.json")
    (folder / "history.json").write_text(json.dumps({"best_epoch": 1, "monitor": None, "seed": seed, "epochs": []}))
    return Run.load(folder)


def _undecided(model: keras.Model, heads: list) -> None:
    """Shift the heads' biases until every class wins some clips, as after training."""
    waveform, length = gate.batch(gate.golden(16000))
    outputs = model({"waveform": waveform, "length": length}, training=False)
    for head in heads:
        kernel, bias = head.get_weights()
        head.set_weights([kernel, bias - np.median(np.log(outputs[head.name]), axis=0)])
