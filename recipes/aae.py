"""Common part of the AAE-MTL recipes: the paper's models and their baselines.

aae, ae, cnn                    emotion, gender and speaker: adversarial autoencoder, autoencoder, classifiers only
aae-gender, aae-speaker         emotion and one auxiliary task
aae-single, ae-single, cnn-single    emotion only
aae-no-adversary, aae-no-image  controls: the adversary, or the reconstruction, has weight 0

Each `--corpus-root NAME=DIR` (librispeech, slr45, manifest, ..) adds an auxiliary corpus. Its speakers and genders are used,
but not its emotions, and only for training; autoencoders with one task use its audio alone, as in the paper (phases 1 and 2).
Auxiliary corpora make up half of each batch. `cnn-single` cannot use them; its batches are then half as large, so that it makes
as many optimizer steps per epoch, with as many emotion labels per step. The number of epochs is fixed in aae_emodb.py and
aae_ravdess.py, except for --variant paper; elsewhere the validation score ends the training. `--aux-speakers N` takes N
speakers of each auxiliary corpus, and `--aux-speakers NAME=N` N of one of them. `--init-from RUN` starts from a run of
aae_pretrain.py, with or without auxiliary corpora. `--verify NAME=DIR` (repeatable) verifies the speakers of a corpus whom no
system heard in training, such as those of LibriSpeech's test-clean, and reports equal error rates (for figure 4, by the number
of auxiliary speakers); `--enrol N` utterances enrol a speaker. The paper verifies LibriSpeech's test speakers together with the
test speakers of the fold: give the recipe's own corpus as a second `--verify NAME=DIR`.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from keras_ser.cli import recipe_main
from keras_ser.cli.arguments import whole
from keras_ser.cli.enrolment import add_verify_arguments, check_before, verified
from keras_ser.cli.other_corpus import LEAVE_ONE_OUT, on_corpus
from keras_ser.cli.tables import Paper, systems_table
from keras_ser.errors import UserError
from keras_ser.evaluation.tables import Published
from keras_ser.models.aae_mtl import Config
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

GENDER, SPEAKER = Task("gender", ("female", "male")), Task("speaker", identity=True)
# 128 bands of 0 to 8 kHz, silence removed
FRONTEND = FrontendConfig(features=("linear_bands",), bins=128, preemphasis=0.0)
# the paper's: 1e-4, halved after five epochs without improvement, down to 1e-5
SGD = OptimizerConfig("sgd", 1e-4, momentum=0.0, schedule="plateau", factor=0.5)
TEN = Protocol("ten-folds-of-clips", "stratified-k-fold", folds=10, validation=1)
SHARES = (5, 10, 25, 50, 100)  # of the training speakers, %
CONVOLUTIONS = "three convolutions; the paper's: two"
ABOUT = {
    "aae": "the paper's system: adversarial autoencoder, emotion with gender and speaker",
    "ae": "autoencoder, no discriminator, the same tasks",
    "cnn": f"the encoder and the classifiers only, the same tasks ({CONVOLUTIONS})",
    "aae-gender": "adversarial autoencoder, emotion and gender",
    "aae-speaker": "adversarial autoencoder, emotion and speaker",
    "aae-single": "adversarial autoencoder, emotion only",
    "ae-single": "autoencoder, emotion only",
    "cnn-single": f"the encoder and one classifier ({CONVOLUTIONS})",
    "aae-no-adversary": "a control: the encoder does not learn from the discriminator",
    "aae-no-image": "a control: no learning from the reconstruction",
    **{f"aae-{share}": f"emotion labels for {share} % of the training speakers, rounded up" for share in SHARES},
    **{
        f"aae-{share}-alone": f"only the recordings of {share} % of the training speakers, rounded up"
        for share in SHARES
    },
}
PAIRS = (
    ("aae", "aae-single"),
    ("aae", "ae"),
    ("aae", "cnn"),
    ("cnn", "cnn-single"),
    ("aae", "aae-no-adversary"),
    ("aae", "aae-no-image"),
    *((f"aae-{share}", f"aae-{share}-alone") for share in SHARES),
)


def systems(
    name: str, corpus: str, emotion: Task, protocols=(TEN, LEAVE_ONE_OUT), config: Config | None = None, **changes
) -> dict[str, Recipe]:
    """Return system -> recipe; `config` is that of the adversarial autoencoders (default: the paper's)."""
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
    """Return a recipe with the paper's training settings; the first task is the main one."""
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


def swept(names: Iterable[str]) -> tuple[str, dict[str, dict[float, str]]] | None:
    """Return the setting in which the systems of a variant differ, and curve -> value -> system; None if they differ in kind."""
    settings = {"alpha": "alpha", "beta": "beta", "speakers": "auxiliary speakers"}
    setting, found = "", {}
    for name in names:
        kind, _, rest = name.partition("-")
        key, *value = rest.split("-")
        if value and key in settings:
            setting = settings[key]
            found.setdefault(kind, {})[float(value[0])] = name
        elif key.isdigit():
            setting = "speakers with known emotions, % (rounded up to whole speakers)"
            curves = ["the others left out"] if value else ["the others unlabelled"]
            for curve in curves if int(key) < 100 else ["the others left out", "the others unlabelled"]:
                found.setdefault(curve, {})[float(key)] = name
    return (setting, found) if found else None


def percent(mean: float, std: float | None = None) -> float:
    """Return a figure that the paper prints in percent, with its standard deviation where it has one."""
    return mean / 100 if std is None else Published(mean / 100, std / 100)


def of_levels(corpus: str, both: float, gender: float, speaker: float) -> Paper:
    """Return the figures of table 6: UA, leaving one speaker out."""
    figures = {"aae": {"uar": both}, "aae-gender": {"uar": gender}, "aae-speaker": {"uar": speaker}}
    return Paper(f"Latif et al., table 6: {corpus}, means of ten repeats", by_protocol={LEAVE_ONE_OUT.name: figures})


def with_auxiliary(recipe: Recipe, options, others: Iterable[Recipe] = ()) -> Recipe:
    """Add a stream for each auxiliary corpus of --corpus-root NAME=DIR; half of each batch is from the corpus with emotions.

    `others`: the recipes of the variant. In a sweep they have streams of their own; a corpus that only others use is idle.
    """
    if options.variant and options.variant.startswith("speakers"):
        if options.aux_speakers:
            raise UserError(
                f"--variant {options.variant} sets the number of auxiliary speakers itself: leave --aux-speakers out."
            )
        options.idle = {stream.corpus for other in others for stream in other.streams}
        return recipe
    names = sorted(set(options.corpus_roots) - {recipe.corpus, *(stream.corpus for stream in recipe.streams)})
    if options.aux_speakers and not names:
        raise UserError("--aux-speakers limits auxiliary corpora: name one by --corpus-root NAME=DIR.")
    speakers = speakers_of(names, options)
    if not names:
        return recipe
    if len(recipe.tasks) == 1 and recipe.config.kind == "cnn":  # no label and no reconstruction to learn from
        options.idle = set(names)
        return recipe.replace(batch_size=recipe.batch_size // 2)
    share = 1 / len(names)
    added = (Stream(name, corpus=name, share=share, speakers=count) for name, count in speakers.items())
    return recipe.replace(streams=(*recipe.streams, *added))


def speakers_of(names: Sequence[str], options) -> dict[str, int]:
    """Return corpus -> its number of speakers by --aux-speakers, 0 for all of them."""
    asked: dict[str, int] = {}
    for name, count in options.aux_speakers:
        if name in asked:
            raise UserError(f"--aux-speakers is given twice for {name or 'all corpora'}: {asked[name]}, {count}.")
        asked[name] = count
    unknown = [name for name in asked if name and name not in names]
    if unknown:
        raise UserError(
            f"--aux-speakers NAME=N is for a corpus that adds speakers ({', '.join(names)}). Received: {unknown[0]}."
        )
    return {name: asked.get(name, asked.get("", 0)) for name in names}


def speakers_asked(text: str) -> tuple[str, int]:
    """Parse N or NAME=N as (NAME or "", N)."""
    name, _, number = text.rpartition("=")
    return name, whole(number)


def auxiliary_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of these recipes."""
    parser.add_argument(
        "--aux-speakers",
        type=speakers_asked,
        action="append",
        default=[],
        metavar="[NAME=]N",
        help="speakers of each auxiliary corpus, or of the one named (repeatable; default: all)",
    )


def pretrained_on(recipe: Recipe, options) -> Recipe:
    """Pre-train on --aux-speakers speakers of the recipe's corpus, and of each further one of --corpus-root NAME=DIR."""
    names = sorted(set(options.corpus_roots) - {recipe.corpus})
    speakers = speakers_of([recipe.corpus, *names], options)
    streams = (*recipe.streams, *(Stream(name, corpus=name, speakers=speakers[name]) for name in names))
    drawn = (("speakers", speakers[recipe.corpus]),) if speakers[recipe.corpus] else ()
    return recipe.replace(streams=streams, corpus_options=(*recipe.corpus_options, *drawn))


def main(
    variants: dict[str, dict[str, Recipe]],
    page: str,
    papers: dict[str, Paper] | None = None,
    of_corpus: Callable[..., dict[str, dict[str, Recipe]]] | None = None,
) -> int:
    """Run one of these recipes.

    Args:
        variants: variant -> system -> recipe.
        page: the text of --help.
        papers: variant -> paper.
        of_corpus: (corpus name, emotion task, protocol) -> variants, for --corpus; None = there is no such option.
    """
    given: dict[str, Any] = {"variants": variants}

    def adjust(recipe: Recipe, options: argparse.Namespace) -> Recipe:
        given["options"] = options
        verified(recipe, options)
        every = given["variants"]
        return with_auxiliary(recipe, options, every[options.variant or next(iter(every))].values())

    def own(corpus) -> tuple[dict[str, dict[str, Recipe]], list[str]]:
        given["variants"], notes = on_corpus(corpus, of_corpus)
        return given["variants"], notes

    def arguments(parser: argparse.ArgumentParser) -> None:
        auxiliary_arguments(parser)
        add_verify_arguments(parser)

    def announce(systems: dict[str, Recipe], data: Any, todo: Sequence[tuple[str, Any]]) -> Sequence[str]:
        check_before(systems, data, todo, given["options"])
        return ()

    more = {"arguments": arguments, "adjust": adjust, "reports": tables(papers or {}), "announce": announce}
    return recipe_main(variants, page, own=own if of_corpus else None, **more)


def tables(papers: dict[str, Paper]):
    """Return the function that makes a recipe's reports."""

    def make(trained) -> Iterator[tuple[Any, Any]]:
        known = ABOUT | {name: "one setting of a sweep" for name in trained.systems if name not in ABOUT}
        paper = trained.paper(papers)
        table = systems_table(known, PAIRS, paper, swept=swept(trained.systems), verify=True)
        return table(trained)

    return make
