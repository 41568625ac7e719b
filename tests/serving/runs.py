"""Finished runs with random weights, a tiny recipe of each kind, where training would prove nothing more."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np

from keras_ser.features import Frontend
from keras_ser.models.aspmtl.cascade import drop_extractor
from keras_ser.models.whole_model import assembled, extractor
from keras_ser.recipe import Augment, Recipe
from keras_ser.serving.export_checks import batch, golden
from keras_ser.splits import Split
from keras_ser.training import Run, build
from tests.models.rows import randomized
from tests.training import tiny

SPLIT = Split("speakers", 1, ("a",), (), ("b",), apart=("speaker",))
# the paper's network; one stream without augmentation, so that an epoch takes seconds
SHARED_PRIVATE = tiny.TRAINED.replace(
    name="shared_private",
    streams=(tiny.CLEAN,),
    config=dataclasses.replace(tiny.LSTM, layers=1, adversary="label"),
    augment=Augment(),
    epochs=1,
)
# convolutions; model 2 also has a continuous task
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
# whole clips, mixed precision
HALVED = tiny.SINGLE.replace(
    name="halved",
    config=dataclasses.replace(tiny.LSTM, adversary=None),
    sampling=dataclasses.replace(tiny.SINGLE.sampling, kind="whole"),
    precision="mixed_bfloat16",
)


def write(recipe: Recipe, folder: Path, seed: int = 0) -> Run:
    """Write a run that never trained: random asymmetric weights, normalised by a few clips, every class predicted for some."""
    policy = keras.config.dtype_policy()
    speech = dict(zip(("waveform", "length"), batch(golden(16000)), strict=True))
    try:
        keras.config.set_dtype_policy("float32")
        if recipe.first is None:
            extract = extractor(Frontend(**recipe.frontend.options()))
        else:
            first = write(recipe.first, folder / "model_1", seed + 1).model()
            extract = drop_extractor(first, recipe.first.sampling.frames)
        keras.config.set_dtype_policy(recipe.precision)
        names = recipe.frontend.features
        made, score = build(recipe, {name: extract.output[name].shape[1:] for name in names})
        network = made.model
        randomized(network, seed)
        features = extract(speech)
        frames = np.concatenate([features[name] for name in names], axis=-1)[np.asarray(features["mask"])]
        network.get_layer("normalization").set_statistics(frames.mean(axis=0), frames.var(axis=0))
        whole = assembled(extract, score, recipe.name)
        outputs = whole(speech, training=False)
        for task in recipe.tasks:
            if not task.continuous:
                kernel, bias = network.get_layer(task.name).get_weights()
                network.get_layer(task.name).set_weights(
                    [kernel, bias - np.median(np.log(np.maximum(outputs[task.name], 1e-30)), axis=0)]
                )
        folder.mkdir(parents=True, exist_ok=True)
        whole.save(folder / "model.keras")
    finally:
        keras.config.set_dtype_policy(policy)
    describe(recipe, folder, seed)
    return Run.load(folder)


def describe(recipe: Recipe, folder: Path, seed: int = 0) -> None:
    """Write what makes a run of a folder with a model."""
    (folder / "recipe.json").write_text(recipe.to_json())
    SPLIT.write(folder / "split.json")
    (folder / "history.json").write_text(json.dumps({"best_epoch": 1, "monitor": None, "seed": seed, "epochs": []}))
