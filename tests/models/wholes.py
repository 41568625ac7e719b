"""Whole models with random weights, waveform in, and clips to feed them."""

import keras
import numpy as np

from keras_ser.features import Frontend
from keras_ser.features.segments import segment
from keras_ser.models import aspmtl
from keras_ser.models.aspmtl import Config
from keras_ser.models.aspmtl.cascade import drop_extractor
from keras_ser.models.whole_model import assembled, extractor, scorer
from tests.models.rows import CONV, EMOTION, GENDER, NOISE, randomized

SEGMENT = 4
FRONTEND = {"features": ("log_mel", "energy"), "window": 160, "hop": 80, "fft": 256, "bins": 7, "sample_rate": 8000}


def clips(rng, lengths=(1900, 700, 100, 1300), samples=None):
    """Different signals: a tone of its own in noise of its own, silence in between; (waveform, length)."""
    lengths = np.asarray(lengths, "int32")
    waveform = np.zeros((len(lengths), samples or lengths.max()), "float32")
    for i, n in enumerate(lengths):
        t = np.arange(n) / FRONTEND["sample_rate"]
        tone = np.sin(2 * np.pi * (150 + 170 * i) * t * (1 + 0.3 * t)) * np.abs(np.sin(9 * t + i))
        waveform[i, :n] = 0.3 * tone + 0.02 * rng.normal(size=n)
    return waveform, lengths


def single(tasks: int = 1, frames: int = 0, seed: int = 0, **config) -> keras.Model:
    """A whole model with one, two or three tasks, judging a clip as a whole or by segments of so many frames."""
    chosen = (EMOTION, NOISE, GENDER)[:tasks] if tasks != 2 else (EMOTION, NOISE)
    network = _network(chosen, seed, **config)
    extract = extractor(Frontend(**FRONTEND))
    return assembled(extract, scorer(network, chosen, frames), "whole")


def cascade(seed: int = 1) -> keras.Model:
    first = _undecided(single(tasks=2, seed=seed, layers=1))
    extract = drop_extractor(first, SEGMENT)
    tasks = (EMOTION, GENDER)
    return assembled(extract, scorer(_network(tasks, seed + 1, **CONV, layers=0), tasks), "cascade")


def _undecided(first: keras.Model) -> keras.Model:
    """Model 1 with a bias that lets every kind of noise win somewhere, as a trained one does."""
    waveform, length = clips(np.random.default_rng(0))
    x = dict(first.get_layer("extractor")({"waveform": waveform, "length": length}))
    mask = x.pop("mask")
    cut = {name: segment(value, mask, SEGMENT) for name, value in x.items()}
    network = first.get_layer("scorer").get_layer("aspmtl")
    given = {name: value for name, (value, _) in cut.items()} | {"mask": cut["energy"][1]}
    logits = np.log(np.asarray(network(given, training=False)["noise"]))[np.asarray(cut["energy"][1]).any(1)]
    kernel, bias = network.get_layer("noise").get_weights()
    network.get_layer("noise").set_weights([kernel, bias - logits.mean(0)])
    return first


def _network(tasks, seed, **config):
    config = Config(**{"units": 3, "layers": 1, "dense": 4, "adversary": "source", **config})
    network = aspmtl.build(config, {"log_mel": (None, 7), "energy": (None, 1)}, tasks, streams=2)
    randomized(network.model, seed)
    # statistics near those of decibels, so that the networks see numbers of a sensible size
    network.model.get_layer("normalization").set_statistics(np.linspace(-45, -25, 8), np.linspace(300, 200, 8))
    return network


def run_model(model, waveform, length) -> dict[str, np.ndarray]:
    found = model({"waveform": waveform, "length": np.asarray(length, "int32")}, training=False)
    return {name: np.asarray(value) for name, value in found.items()}
