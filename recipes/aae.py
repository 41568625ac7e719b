"""The AAE-MTL recipes' common part: the paper's models and what they are compared with.

aae, ae, cnn                    emotion, gender and speaker: adversarial autoencoder, autoencoder, classifiers alone
aae-gender, aae-speaker         one auxiliary task
aae-single, ae-single, cnn-single    the emotion alone
aae-no-adversary, aae-no-image  controls: weight of the adversary 0; of the reconstruction 0

Each `--corpus-root NAME=DIR` (librispeech, slr45, manifest, ..) adds an auxiliary corpus, of whose recordings speakers and genders
alone are known, to every system of several tasks: they train, and are never tested; emotions of theirs are not looked at.
`--aux-speakers N` takes so many speakers of each. `--init-from RUN` begins from a run of aae_pretrain.py instead, or besides.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from keras_ser.cli import recipe_main
from keras_ser.cli.tables import Paper, systems_table
from keras_ser.errors import UserError
from keras_ser.models.aae_mtl import Config
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

GENDER, SPEAKER = Task("gender", ("female", "male")), Task("speaker", identity=True)
# 128 bands of 0 to 8 kHz, silence removed
FRONTEND = FrontendConfig(features=("linear_bands",), bins=128, preemphasis=0.0)
# the paper's: 1e-4, halved where five epochs bring nothing, to the end at 1e-5
SGD = OptimizerConfig("sgd", 1e-4, momentum=0.0, schedule="plateau", factor=0.5)
TEN = Protocol("ten-folds-of-clips", "stratified-k-fold", folds=10, validation=1)
SPEAKERS = Protocol("leave-one-speaker-out", "leave-one-out", by="speaker", validation=1)
ABOUT = {
    "aae": "the paper's: adversarial autoencoder, emotion with gender and speaker",
    "ae": "autoencoder, no discriminator, the same tasks",
    "cnn": "the encoder and the classifiers alone, the same tasks",
    "aae-gender": "adversarial autoencoder, emotion and gender",
    "aae-speaker": "adversarial autoencoder, emotion and speaker",
    "aae-single": "adversarial autoencoder, the emotion alone",
    "ae-single": "autoencoder, the emotion alone",
    "cnn-single": "the encoder and one classifier",
    "aae-no-adversary": "a control: nothing is learned from the discriminator",
    "aae-no-image": "a control: nothing is learned from the reconstruction",
}
PAIRS = (
    ("aae", "aae-single"),
    ("aae", "ae"),
    ("aae", "cnn"),
    ("cnn", "cnn-single"),
    ("aae", "aae-no-adversary"),
    ("aae", "aae-no-image"),
)


def systems(
    name: str, corpus: str, emotion: Task, protocols=(TEN, SPEAKERS), config: Config | None = None, **changes
) -> dict[str, Recipe]:
    """system -> recipe; `config` of the adversarial autoencoders (default: the paper's)."""
    three, config = (emotion, GENDER, SPEAKER), config or Config()
    configs = {
        "aae": (three, config),
        "ae": (three, Config("ae", alpha=0.3, beta=0.7)),
        "cnn": (three, Config("cnn")),
        "aae-gender": (three[:2], config),
        "aae-speaker": (three[::2], config),
        "aae-single": (three[:1], config),
        "ae-single": (three[:1], Config("ae", alpha=0.3, beta=0.7)),
        "cnn-single": (three[:1], Config("cnn")),
        "aae-no-adversary": (three, replace(config, adversary=0.0)),
        "aae-no-image": (three, replace(config, alpha=0.0)),
    }
    return {
        system: base(f"{name}-{system}", corpus, tasks, config, protocols, **changes)
        for system, (tasks, config) in configs.items()
    }


def base(
    name: str, corpus: str, tasks: Sequence[Task], config: Config, protocols: Sequence[Protocol], **changes
) -> Recipe:
    """A recipe with the paper's training; the first task is the main one."""
    common = {
        "model": "aae_mtl",
        "frontend": FRONTEND,
        "sampling": Sampling("segments", frames=256, hop=256, balance=False),
        "optimizer": SGD,
        "batch_size": 32,
        "epochs": 1000,
        "patience": 5,
        "patience_steps": 0,
        "smoothing": 1,
        "monitor": f"val_{tasks[0].name}_accuracy",
        "seeds": tuple(range(10)),
        **changes,
    }
    return Recipe(name, corpus, tuple(tasks), tuple(protocols), config=config, **common)


def levels(name: str, corpus: str, column: str, cuts: tuple[float, float], **changes) -> dict[str, Recipe]:
    """system -> recipe of three levels of a dimension, speakers left out; alpha and beta are the paper's for these."""
    return dimensional(name, corpus, Task(name, ("low", "middle", "high"), column=column, cuts=cuts), **changes)


def clusters(number: int, corpus: str, **changes) -> dict[str, Recipe]:
    """system -> recipe of so many clusters of valence and activation together, by k-means over each fold's training side."""
    labels = tuple(f"cluster {k + 1}" for k in range(number))
    task = Task("affect", labels, columns=("valence", "arousal"))
    return dimensional(f"clusters-{number}", corpus, task, **changes)


def dimensional(name: str, corpus: str, task: Task, **changes) -> dict[str, Recipe]:
    """system -> recipe, with the paper's alpha and beta for dimensional labels."""
    made = systems(f"aae_{corpus}_{name}", corpus, task, (SPEAKERS,), **changes)
    return {
        system: made[system].override("config.alpha", 0.3).override("config.beta", 0.7)
        for system in ("aae", "aae-gender", "aae-speaker")
    }


SHARES = (5, 10, 25, 50, 100)  # of the training speakers, %


def shares(name: str, corpus: str, emotion: Task, protocol: Protocol, **changes) -> dict[str, Recipe]:
    """system -> recipe: how much the unlabelled part earns, by the share of speakers whose emotions are known.

    "aae-10" knows the emotions of a tenth of them and hears all, "aae-10-alone" hears that tenth alone.
    """
    made = systems(name, corpus, emotion, (protocol,), **changes)["aae"]
    found = {}
    for share in SHARES:
        known = made.replace(labelled=share / 100)
        for system, recipe in {f"aae-{share}": known, f"aae-{share}-alone": known.replace(unlabelled=False)}.items():
            if share < 100 or recipe.unlabelled:
                found[system] = recipe.replace(name=f"{name}-{system}")
    return found


ALPHAS, BETAS = tuple(k / 10 for k in range(1, 11)), tuple(k / 10 for k in range(1, 10))


def weights(name: str, corpus: str, emotion: Task, **changes) -> dict[str, dict[str, Recipe]]:
    """variant -> system -> recipe: figure 5, UA against alpha at beta 0.5 and against beta at alpha 1, of both autoencoders."""
    found: dict[str, dict[str, Recipe]] = {"alpha": {}, "beta": {}}
    for kind in ("aae", "ae"):
        given = {"protocols": (SPEAKERS,), **changes}
        made = systems(name, corpus, emotion, **given)[kind]
        for alpha, beta, key, value in [*((a, 0.5, "alpha", a) for a in ALPHAS), *((1.0, b, "beta", b) for b in BETAS)]:
            system = f"{kind}-{key}-{value:g}"
            config = replace(made.config, alpha=alpha, beta=beta)
            found[key][system] = made.replace(name=f"{name}_{key}-{system}", config=config)
    return found


def more_speakers(
    name: str, corpus: str, emotion: Task, counts: Sequence[int], auxiliary: str = "librispeech", **changes
) -> dict[str, Recipe]:
    """system -> recipe: figure 4, by the number of speakers of an auxiliary corpus (0 = without it)."""
    made, found = systems(name, corpus, emotion, **changes), {}
    for kind in ("aae", "ae", "cnn"):
        for count in counts:
            streams = made[kind].streams
            if count:
                added = Stream(auxiliary, corpus=auxiliary, share=0.5, speakers=count)
                streams = (replace(streams[0], share=0.5), added)
            system = f"{kind}-speakers-{count}"
            found[system] = made[kind].replace(name=f"{name}_speakers-{system}", streams=streams)
    return found


def swept(names: Iterable[str]) -> tuple[str, dict[str, dict[float, str]]] | None:
    """The setting in which the systems of a variant differ, and curve -> value -> system; None where they differ in kind."""
    settings = {"alpha": "alpha", "beta": "beta", "speakers": "auxiliary speakers"}
    setting, found = "", {}
    for name in names:
        kind, _, rest = name.partition("-")
        key, *value = rest.split("-")
        if value and key in settings:
            setting = settings[key]
            found.setdefault(kind, {})[float(value[0])] = name
        elif key.isdigit():
            setting = "speakers with known emotions, %"
            curves = ["the others left out"] if value else ["the others unlabelled"]
            for curve in curves if int(key) < 100 else ["the others left out", "the others unlabelled"]:
                found.setdefault(curve, {})[float(key)] = name
    return (setting, found) if found else None


def of_levels(corpus: str, both: float, gender: float, speaker: float) -> Paper:
    """Table 6: UA with a speaker left out."""
    figures = {"aae": {"uar": both}, "aae-gender": {"uar": gender}, "aae-speaker": {"uar": speaker}}
    return Paper(f"Latif et al., table 6: {corpus}, means of ten repeats", by_protocol={SPEAKERS.name: figures})


def with_auxiliary(recipe: Recipe, options) -> Recipe:
    """The recipe with a stream for every corpus that --corpus-root NAME=DIR names beside its own; half of each batch is its own."""
    names = sorted(set(options.corpus_roots) - {recipe.corpus, *(stream.corpus for stream in recipe.streams)})
    if options.aux_speakers and not names:
        raise UserError("--aux-speakers limits auxiliary corpora: name one by --corpus-root NAME=DIR.")
    if not names or len(recipe.tasks) == 1:
        return recipe
    share, speakers = 0.5 / len(names), options.aux_speakers
    added = (Stream(name, corpus=name, share=share, speakers=speakers) for name in names)
    return recipe.replace(streams=(replace(recipe.streams[0], share=0.5), *added))


def auxiliary_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of these recipes."""
    parser.add_argument(
        "--aux-speakers", type=int, default=0, metavar="N", help="speakers of each auxiliary corpus (default: all)"
    )


def main(variants: dict[str, dict[str, Recipe]], page: str, papers: dict[str, Paper] | None = None) -> int:
    """Run one of these recipes; `papers` are by variant."""
    return recipe_main(
        variants, page, arguments=auxiliary_arguments, adjust=with_auxiliary, reports=tables(papers or {})
    )


def tables(papers: dict[str, Paper]):
    """The reports of a recipe."""

    def make(trained) -> Iterator[tuple[Any, Any]]:
        known = ABOUT | {
            f"aae-{share}": f"the emotions of {share} % of the training speakers known" for share in SHARES
        }
        known |= {name: "one setting of a sweep" for name in trained.systems if name not in known}
        known |= {
            f"aae-{share}-alone": f"the recordings of {share} % of the training speakers alone" for share in SHARES
        }
        about = {name: known[name] for name in trained.systems}
        pairs = (*PAIRS, *((f"aae-{share}", f"aae-{share}-alone") for share in SHARES))
        paper = papers.get(trained.variant, Paper())
        return systems_table(about, pairs, paper, swept=swept(trained.systems))(trained)

    return make
