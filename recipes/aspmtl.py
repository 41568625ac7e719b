"""Variants of ASP-MTL, shared by all recipes of that paper. Run one of them with `aspmtl_<corpus>.py --variant NAME`.

cascade      the paper's system: model 1 (emotion, noise) drops noisy segments, model 2 (emotion, gender) classifies the rest
single-task  the same LSTM encoder with one head: the baseline for multi-task learning
aspmtl       model 2 only, with both labels for every clip: the adversary hides the gender ("label")
aspmtl-noise model 2 with a second stream with added noise: the adversary hides the stream ("source"), eq. 12
conv         "aspmtl" with convolutional encoders, augmentation and a cosine schedule (ours)
conv-single  the same encoder with one head

The LSTM systems have two settings:

paper        batch of 256, 32 units, dropout 0.5, learning rate 1e-3; trained until the validation score has not risen for 400
             optimizer steps (the paper states no number of epochs; in 40 epochs, a corpus of 500 clips gets 160 steps, too few to
             learn)
tuned        the best of a search on EmoDB's validation sets (12 trials each for single-task and aspmtl,
             benchmarks/results/trained_emodb-*/trials.csv; cascade and aspmtl-noise have the settings of aspmtl)

In the recipes of the paper's corpora, the paper's settings are the default, and tuned-cascade, tuned-single-task .. have the tuned
ones. In the recipes of other corpora, the tuned settings are the default, and paper-cascade, paper-single-task .. have the paper's.
"""

from dataclasses import replace

from keras_ser.models.aspmtl import Config
from keras_ser.pipelines.augmentation import Augment
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

NOISES = ("white", "pink", "babble")
RANDOM = Protocol("paper-random-80-20", "random", test=0.2, validation=0.1)  # the paper's split
GENDER = Task("gender", ("female", "male"))
NOISE = Task("noise", ("clean", *NOISES))
CONVERGED = {"epochs": 600, "patience": 10, "patience_steps": 400}
LONGER = {"epochs": 60, "patience": 12, "patience_steps": 200}
TUNED = {
    "single-task": {
        **LONGER,
        "batch_size": 16,
        "optimizer.learning_rate": 0.004518603935387967,
        "config.dropout": 0.2189823135459457,
        "config.layers": 1,
        "config.units": 64,
    },
    "aspmtl": {
        **LONGER,
        "batch_size": 16,
        "optimizer.learning_rate": 0.0019042640530278297,
        "config.dropout": 0.21209273742366322,
        "config.layers": 1,
        "config.units": 32,
        "config.beta": 1.5334448606726898,
        "config.gamma": 0.07767449713530701,
        "config.mu": 0.08960175671873151,
    },
}


def tuned(recipe: Recipe, system: str = "aspmtl", **changes) -> Recipe:
    """Return the recipe, and its model 1, with the settings found by the search, and with `changes` to those."""
    first = recipe.first and tuned(recipe.first, **changes)
    return recipe.replace(first=first).change(TUNED[system]).replace(**changes)


def model_1(
    name: str, corpus: str, emotion: Task, protocols: tuple[Protocol, ...], noises: tuple[str, ...] = NOISES, **changes
) -> Recipe:
    """Return model 1 as a denoiser: emotion, noise classified per frame, and a ratio mask (settings ours).

    All frames are kept (no endpoint detection), features are log-mel instead of MFCC, and noises are mixed anew in each epoch.
    """
    settings = {
        "frontend": FrontendConfig(features=("log_mel",), bins=64, endpoint=False),
        "streams": (Stream("clean", share=0.25), Stream("noisy", noises=noises, share=0.75, redraw=True)),
        "sampling": Sampling("segments", balance=False),
        "config": Config(units=64, frame_level=True, mask_bins=257, mask_weight=10.0),
        "optimizer": OptimizerConfig("adam", 2e-3, clip_norm=1.0, schedule="cosine", warmup_epochs=1.0),
        "batch_size": 64,
        "epochs": 12,
        "patience": 0,
        "monitor": "val_noise_uar",
    }
    noise = Task("noise", ("clean", *noises))
    return Recipe(name=name, corpus=corpus, tasks=(emotion, noise), protocols=protocols, **{**settings, **changes})


def variants(
    name: str, corpus: str, emotion: Task, protocols: tuple[Protocol, ...], paper=(), default="tuned", **changes
) -> dict[str, Recipe]:
    """Return variant -> Recipe.

    Args:
        name: name of the recipe; all variants but the first append their own name.
        corpus: name of the adapter.
        emotion: the main task.
        protocols: the paper's split first.
        paper: ((task, metric, value, source), ..).
        default: settings of the variants without a prefix, "paper" or "tuned".
        **changes: further fields of every variant's Recipe.
    """
    common = {"corpus": corpus, "protocols": protocols, **CONVERGED, **changes}
    clean, noisy = Stream("clean", share=0.5), Stream("noisy", noises=NOISES, share=0.5)
    single = Recipe(name=f"{name}-single-task", tasks=(emotion,), config=Config(adversary=None), **common)
    both = Recipe(name=f"{name}-aspmtl", tasks=(emotion, GENDER), config=Config(adversary="label"), **common)
    noise = both.replace(name=f"{name}-aspmtl-noise", streams=(clean, noisy), config=Config(adversary="source"))
    first = Recipe(
        name=f"{name}-model-1",
        tasks=(emotion, NOISE),
        streams=(clean, noisy),
        monitor="val_noise_uar",
        **common,
    )
    # its learning rate falls to 0 in the last epoch: no epoch is selected, and validation speakers can train
    whole = tuple(p if p.speaker_dependent else replace(p, validation=0) for p in protocols)
    conv = both.replace(
        name=f"{name}-conv",
        protocols=whole,
        config=Config(
            encoder="conv",
            adversary="label",
            layers=0,
            dropout=0.2,
            dense=0,
            label_smoothing=0.1,
            stride=2,
            pool_first=True,
            stem=3,
        ),
        frontend=FrontendConfig(features=("log_mel",), bins=64, endpoint=False),
        sampling=Sampling("crop", frames=200, class_weights=True),
        augment=Augment(tempo=0.2, mel_warp_scale=0.06, mel_warp_shift=4.0),
        optimizer=OptimizerConfig(
            "adamw", 1.5e-3, weight_decay=0.01, clip_norm=5.0, schedule="cosine", warmup_epochs=1.0
        ),
        batch_size=16,
        epochs=30,
        patience=0,
    )
    printed = {
        "cascade": both.replace(name=name, first=first, paper=paper, paper_protocol=protocols[0].name),
        "single-task": single,
        "aspmtl": both,
        "aspmtl-noise": noise,
    }
    found = {
        system: tuned(recipe, system if system in TUNED else "aspmtl", **changes) for system, recipe in printed.items()
    }
    prefix, first_set, others = ("paper", found, printed) if default == "tuned" else ("tuned", printed, found)
    return {
        **first_set,
        "conv": conv,
        "conv-single": conv.replace(name=f"{name}-conv-single", tasks=(emotion,)),
        **{f"{prefix}-{system}": recipe.replace(name=f"{name}-{prefix}-{system}") for system, recipe in others.items()},
    }
