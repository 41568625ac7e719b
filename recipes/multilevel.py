"""Common part of the Multilevel recipes: the paper's systems, single levels, and the epoch selection of the published base network.

w2e                  wav2vec 2.0 only ("Audio + W2E"); only with --wav2vec2
ser                  the base network: the levels fused
mf, mtl, cr          the base network with gender as a prior; with a classifier on each level; with the centre loss
mf-mtl, mf-cr, mtl-cr, mf-mtl-cr    combinations

A further table repeats the rows with MF, using the true gender of each test clip instead of the posterior.

--variant levels     single levels: bilstm (MFCC), alexnet (spectrogram), NLinear and DLinear on these and on wav2vec 2.0
--variant leaky      ser and mf-mtl-cr with the epoch selected on the test speaker, as in the published code: not a valid result.
                     There is no validation speaker, so the training set has one more speaker.

--wav2vec2 CHECKPOINT is the folder of a Hugging Face checkpoint (config.json, model.safetensors), e.g. wav2vec2-base-960h, or
"random"; without it there are two levels, MFCC and spectrogram. --alexnet FILE contains torchvision's ImageNet weights as
safetensors; without it AlexNet starts from random weights. The first line of the report says which parts are pretrained or missing.

The paper's AdamW at 1e-5 is for pretrained parts. A system without any, or with wav2vec 2.0 beside an AlexNet with random
weights, has a learning rate of 3e-4; a fine-tuned CHECKPOINT keeps 1e-5 (--set config.wav2vec2_rate gives another factor). If
CHECKPOINT is frozen (--set config.wav2vec2_tuned=false) and there is no FILE, the rate is 3e-4.

--corpus NAME --corpus-root .. trains the systems, also those of a variant, on any other corpus: leave one speaker out, or five
folds of speakers if there are more than twelve.

All levels take the same segment of 3 s, with pre-emphasis except for wav2vec 2.0 (the published code pre-emphasises all levels).
Segments are not padded, so that 3 s give 288 frames of MFCC (librosa's window of 2048 samples) and 297 of the spectrogram, where
the paper has 300. The co-attention has a softmax; --set config.normalize=false follows the published code. The posterior of a clip
is the mean over its segments, weighted by their length; the published code averages their scores.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from keras_ser.cli import recipe_main
from keras_ser.cli.arguments import home
from keras_ser.cli.other_corpus import on_corpus
from keras_ser.cli.parsing import Parser
from keras_ser.cli.tables import Paper, systems_table, with_course, with_known
from keras_ser.models.multilevel import Config
from keras_ser.models.multilevel.config import RANDOM
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

GENDER = Task("gender", ("female", "male"))
# librosa's default window (2048 samples) and number of mel bands, not its window shape and mel filters; each frame has norm 1
MFCC = FrontendConfig(
    ("mfcc",), window=2048, fft=2048, bins=128, coefficients=40, deltas=0, endpoint=False, unit=True, name="mfcc"
)
# 40 ms, the lowest 200 bins of 800 points: up to 4 kHz
SPECTROGRAM = FrontendConfig(("spectrogram",), window=640, fft=800, endpoint=False, lowest=200, name="image")
WAVEFORM = FrontendConfig(("waveform",), window=160, hop=160, preemphasis=0.0, endpoint=False, name="raw")
FRONTENDS = {"mfcc": MFCC, "spectrogram": SPECTROGRAM, "wav2vec2": WAVEFORM}
# the paper's, for pretrained parts; parts with random weights do not learn with it
ADAMW = OptimizerConfig("adamw", 1e-5, weight_decay=0.01)
UNTRAINED = OptimizerConfig("adamw", 3e-4, weight_decay=0.01, clip_norm=5.0)
MTL, CR = {"level_heads": 0.5}, {"center": 0.01}  # the weights are ours
ADDITIONS = {
    "ser": {},
    "mf": {"gender_prior": True},
    "mtl": MTL,
    "cr": CR,
    "mf-mtl": {"gender_prior": True, **MTL},
    "mf-cr": {"gender_prior": True, **CR},
    "mtl-cr": {**MTL, **CR},
    "mf-mtl-cr": {"gender_prior": True, **MTL, **CR},
}
ABOUT = {
    "w2e": "wav2vec 2.0 only (Audio + W2E)",
    "ser": "the base network: fused levels",
    "mf": "SER+MF: the gender posterior beside the fused features",
    "mtl": "SER+MTL: an additional classifier on each level",
    "cr": "SER+CR: centre loss on the fused features",
    "mf-mtl": "SER+MF+MTL",
    "mf-cr": "SER+MF+CR",
    "mtl-cr": "SER+MTL+CR",
    "mf-mtl-cr": "SER+MF+MTL+CR",
    "bilstm": "MFCC alone, bidirectional LSTM",
    "alexnet": "spectrogram alone, AlexNet",
    "mfcc-nlinear": "MFCC alone, NLinear",
    "mfcc-dlinear": "MFCC alone, DLinear",
    "spectrogram-nlinear": "spectrogram alone, NLinear",
    "spectrogram-dlinear": "spectrogram alone, DLinear",
    "w2e-nlinear": "wav2vec 2.0 alone, NLinear on its frames",
    "w2e-dlinear": "wav2vec 2.0 alone, DLinear on its frames",
}
W2E = tuple(name for name in ABOUT if name.startswith("w2e"))
PAIRS = (
    *((name, "ser") for name in ADDITIONS if name != "ser"),
    ("ser", "w2e"),
    ("mfcc-nlinear", "bilstm"),
    ("mfcc-dlinear", "bilstm"),
    ("spectrogram-nlinear", "alexnet"),
    ("spectrogram-dlinear", "alexnet"),
    ("w2e-nlinear", "w2e"),
    ("w2e-dlinear", "w2e"),
)


class Given(dict):
    """Paths of pretrained weights: {"wav2vec2": folder, "alexnet": file}, "" if not given."""

    @classmethod
    def parsed(cls) -> "Given":
        """Parse the command line, before the recipes that depend on it are made."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        pretrained_arguments(parser)
        parser.add_argument("--systems", default="")
        options, _ = parser.parse_known_args()
        alone = [system for system in options.systems.split(",") if system in W2E]
        if alone and not options.wav2vec2:
            Parser(prog="keras-ser").error(
                f'{alone[0]} is wav2vec 2.0 alone: give --wav2vec2 CHECKPOINT, or "random" for random weights.'
            )
        return cls(
            wav2vec2=options.wav2vec2 if options.wav2vec2 in ("", RANDOM) else str(Path(options.wav2vec2).resolve()),
            alexnet=options.alexnet and str(Path(options.alexnet).resolve()),
        )


NOTHING = Given(wav2vec2="", alexnet="")


def pretrained_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of these recipes."""
    parser.add_argument(
        "--wav2vec2",
        type=home,
        default="",
        metavar="CHECKPOINT",
        help='folder of a Hugging Face checkpoint, or "random"',
    )
    parser.add_argument(
        "--alexnet", type=home, default="", metavar="FILE", help="safetensors file of torchvision's AlexNet (ImageNet)"
    )


def recipe(
    name: str,
    corpus: str,
    emotion: Task,
    protocols: tuple[Protocol, ...],
    given: Given,
    levels: tuple[str, ...],
    config: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> Recipe:
    """Return a system with its levels, each with a front end; `config` and `changes` are fields of `Config` and `Recipe`."""
    main, *further = (FRONTENDS[level] for level in levels)
    seen = config.get("extractor", "own") == "own" and "spectrogram" in levels
    weights = {"alexnet": given["alexnet"] * seen, "wav2vec2": given["wav2vec2"] * ("wav2vec2" in levels)}
    pretrained = weights["alexnet"] or (not seen and weights["wav2vec2"] not in ("", RANDOM))
    return Recipe(
        name=name,
        corpus=corpus,
        tasks=(emotion, GENDER) if config.get("gender_prior") else (emotion,),
        config=Config(levels=levels, **weights, **config),
        **{
            "protocols": protocols,
            "model": "multilevel",
            "frontend": FrontendConfig(**{**vars(main), "name": ""}),
            "frontends": tuple(further),
            "sampling": Sampling("segments", seconds=3.0, balance=False),
            "optimizer": ADAMW if pretrained else UNTRAINED,
            "batch_size": 64,
            "epochs": 100,
            "patience": 8,
            "patience_steps": 0,
            "smoothing": 1,
            **changes,
        },
    )


def systems(
    name: str, corpus: str, emotion: Task, protocol: Protocol, given: Given = NOTHING, config=None, **changes
) -> dict[str, Recipe]:
    """Return system -> recipe for the paper's nine rows, the first only with wav2vec 2.0; `config` applies to all of them."""
    levels = ("mfcc", "spectrogram", "wav2vec2") if given["wav2vec2"] else ("mfcc", "spectrogram")
    every = {system: (levels, added) for system, added in ADDITIONS.items()}
    every = {"w2e": (("wav2vec2",), {}), **every} if given["wav2vec2"] else every
    return {
        system: recipe(
            f"{name}-{system}", corpus, emotion, (protocol,), given, seen, {**(config or {}), **added}, changes
        )
        for system, (seen, added) in every.items()
    }


def single_levels(
    name: str,
    corpus: str,
    emotion: Task,
    protocol: Protocol,
    given: Given = NOTHING,
    config=None,
    slower=None,
    **changes,
) -> dict[str, Recipe]:
    """Return system -> recipe for single levels, with their own extractor, NLinear and DLinear.

    `slower`: system or extractor -> its own changes, where those of the others are too few steps to learn.
    """
    slower = slower or {}
    own = {"mfcc": "bilstm", "spectrogram": "alexnet"} | ({"wav2vec2": "w2e"} if given["wav2vec2"] else {})
    found = {}
    for level, first in own.items():
        linear = "w2e" if level == "wav2vec2" else level
        for system, extractor in {first: "own", f"{linear}-nlinear": "nlinear", f"{linear}-dlinear": "dlinear"}.items():
            settings = {**(config or {}), "extractor": extractor}
            own_changes = {**changes, **slower.get(extractor, {}), **slower.get(system, {})}
            found[system] = recipe(
                f"{name}-{system}", corpus, emotion, (protocol,), given, (level,), settings, own_changes
            )
    return found


def leaky(
    name: str, corpus: str, emotion: Task, protocol: Protocol, given: Given = NOTHING, **changes
) -> dict[str, Recipe]:
    """Return system -> recipe: "ser" and "mf-mtl-cr" validated on the tested speaker, beside the correct protocol."""
    leaking = replace(protocol, name=f"{protocol.name}-leaky", validation=0, within="", chosen_on_test=True)
    made = systems(name, corpus, emotion, protocol, given, **changes)
    return {system: made[system].replace(protocols=(leaking, protocol)) for system in ("ser", "mf-mtl-cr")}


def rated(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return the recipe with the learning rates that its checkpoint of wav2vec 2.0 calls for, except for those given by --set.

    A fine-tuned checkpoint learns at the paper's rate, also beside parts with random weights, which have a higher one. If it is
    frozen, and AlexNet is not pretrained, all that trains has random weights (variant "paper": the paper's rate all the same).
    """
    config, rate, changes = recipe.config, recipe.optimizer.learning_rate, {}
    if config.has_checkpoint and config.wav2vec2_tuned and rate > ADAMW.learning_rate:
        changes = {"config.wav2vec2_rate": ADAMW.learning_rate / rate}
    elif (
        config.has_checkpoint
        and not (config.wav2vec2_tuned or config.alexnet or options.variant == "paper")
        and rate < UNTRAINED.learning_rate
    ):
        changes = {f"optimizer.{name}": getattr(UNTRAINED, name) for name in ("learning_rate", "clip_norm")}
    given = {pair.partition("=")[0] for pair in options.set}
    return recipe.change({key: value for key, value in changes.items() if not given & {key, key.partition(".")[0]}})


def main(variants, page: str, papers: Mapping[str, Paper] | None = None) -> int:
    """Run one of these recipes; `variants`: (`Given`, corpus, emotion, protocol) -> variants, `papers`: variant -> its paper."""
    given = Given.parsed()

    def reports(trained):
        paper, about = trained.paper(papers or {}), ABOUT
        if set(trained.systems) == set(ADDITIONS):  # all rows but the first: the paper's figures stay in the table
            about = {name: what for name, what in ABOUT.items() if name != "w2e"}
            why = "was not selected" if given["wav2vec2"] else "was not trained: it needs --wav2vec2 CHECKPOINT"
            trained = replace(
                trained, notes=[*trained.notes, f"w2e, the paper's first row, is wav2vec 2.0 alone and {why}."]
            )
        lacking = "without wav2vec 2.0" if trained.variant == "levels" and not given["wav2vec2"] else ""
        table = systems_table(about, PAIRS, paper, by_speaker=True, subtitle=lacking)
        return with_known(with_course(table, tuple(ADDITIONS)), ABOUT)(trained)

    own = partial(on_corpus, variants=partial(variants, given))
    return recipe_main(variants(given), page, arguments=pretrained_arguments, adjust=rated, own=own, reports=reports)
