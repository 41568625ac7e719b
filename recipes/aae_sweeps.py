"""Systems of the AAE-MTL recipes that differ in one setting, and the dimensional labels: tables 5 and 6, figures 4 and 5."""

from collections.abc import Sequence
from dataclasses import replace

from aae import GENDER, SHARES, SPEAKER, TEN, systems

from keras_ser.cli.other_corpus import LEAVE_ONE_OUT
from keras_ser.recipe import Recipe, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task


def levels(name: str, corpus: str, column: str, cuts: tuple[float, float], **changes) -> dict[str, Recipe]:
    """Return system -> recipe for three levels of a dimension, leaving one speaker out."""
    return dimensional(name, corpus, level_of(name, column, cuts), **changes)


def level_of(name: str, column: str, cuts: tuple[float, float]) -> Task:
    return Task(name, ("low", "middle", "high"), column=column, cuts=cuts)


def clusters(number: int, corpus: str, **changes) -> dict[str, Recipe]:
    """Return system -> recipe for `number` joint clusters of valence and activation, by k-means on each fold's training set."""
    labels = tuple(f"cluster {k + 1}" for k in range(number))
    task = Task("affect", labels, columns=("valence", "arousal"))
    return dimensional(f"clusters-{number}", corpus, task, **changes)


def dimensional(name: str, corpus: str, task: Task, **changes) -> dict[str, Recipe]:
    """Return system -> recipe, with the paper's alpha and beta for dimensional labels."""
    made = systems(f"aae_{corpus}_{name}", corpus, task, (LEAVE_ONE_OUT,), **changes)
    rates = {
        "aae": {"config.alpha": 0.3, "config.beta": 0.7},
        "ae": {"config.alpha": 0.6, "config.beta": 0.4},
        "cnn": {},
    }
    figure = ("aae", "aae-gender", "aae-speaker", "aae-single", "ae", "ae-single", "cnn", "cnn-single")
    found = {system: made[system] for system in figure}
    return {system: recipe.change(rates[system.partition("-")[0]]) for system, recipe in found.items()}


def shares(
    name: str, corpus: str, emotion: Task, protocol: Protocol, given: Sequence[int] = SHARES, **changes
) -> dict[str, Recipe]:
    """Return system -> recipe, to measure the gain from unlabelled clips by the share of speakers with emotion labels.

    "aae-10" trains on all speakers with the emotions of a tenth of them, "aae-10-alone" on that tenth only, which each epoch reads
    more often: both make the same number of optimizer steps. A batch of "aae-10" has a tenth of the emotion labels.

    Args:
        given: the shares, in %.
    """
    made = systems(name, corpus, emotion, (protocol,), **changes)["aae"]
    found = {}
    for share in given:
        known = made.replace(labelled=share / 100)
        for system, recipe in {f"aae-{share}": known, f"aae-{share}-alone": known.replace(unlabelled=False)}.items():
            if share < 100 or recipe.unlabelled:
                found[system] = recipe.replace(name=f"{name}-{system}")
    return found


ALPHAS, BETAS = tuple(k / 10 for k in range(1, 11)), tuple(k / 10 for k in range(1, 10))


def weights(name: str, corpus: str, main: Task, suffix: str = "", **changes) -> dict[str, dict[str, Recipe]]:
    """Return variant -> system -> recipe for figure 5: UA over alpha at beta 0.5 and over beta at alpha 1, of both autoencoders.

    The variants are "alpha" and "beta" with `suffix` appended.
    """
    found: dict[str, dict[str, Recipe]] = {f"alpha{suffix}": {}, f"beta{suffix}": {}}
    for kind in ("aae", "ae"):
        given = {"protocols": (LEAVE_ONE_OUT,), **changes}
        made = systems(name, corpus, main, **given)[kind]
        for alpha, beta, key, value in [*((a, 0.5, "alpha", a) for a in ALPHAS), *((1.0, b, "beta", b) for b in BETAS)]:
            variant, system = f"{key}{suffix}", f"{kind}-{key}-{value:g}"
            config = replace(made.config, alpha=alpha, beta=beta)
            found[variant][system] = made.replace(name=f"{name}_{variant}-{system}", config=config)
    return found


def of_the_paper(
    name: str, corpus: str, emotion: Task, cuts: tuple[float, float], **changes
) -> dict[str, dict[str, Recipe]]:
    """Return variant -> system -> recipe of all that the paper measures on one corpus: tables 3, 5 and 6, figures 4 and 5.

    Args:
        cuts: ends of the lower two of three levels of activation and valence.
    """
    found = {corpus: systems(name, corpus, emotion, **changes)}
    dimensions = {"activation": "arousal", "valence": "valence"}
    found |= {level: levels(level, corpus, column, cuts, **changes) for level, column in dimensions.items()}
    found |= {f"clusters-{number}": clusters(number, corpus, **changes) for number in (3, 5)}
    found |= more_speakers(name, corpus, emotion, range(0, 1000, 100), **changes)
    found["shares"] = shares(f"{name}_shares", corpus, emotion, LEAVE_ONE_OUT, SHARES[1:], **changes)
    found |= weights(name, corpus, emotion, **changes)
    for level, column in dimensions.items():
        found |= weights(name, corpus, level_of(level, column, cuts), f"-{level}", **changes)
    return found


def more_speakers(
    name: str,
    corpus: str,
    emotion: Task,
    counts: Sequence[int],
    auxiliary: str = "librispeech",
    protocols: Sequence[Protocol] = (TEN, LEAVE_ONE_OUT),
    **changes,
) -> dict[str, dict[str, Recipe]]:
    """Return variant -> system -> recipe for figure 4, over the number of speakers of an auxiliary corpus (0 = without it).

    "speakers" has three tasks (figure 4a). "speakers-gender" and "speakers-identity" are the adversarial autoencoder with that task
    alone (figures 4b and 4c; with --verify 4d). The latter is scored under the first protocol, whose test speakers are known; under
    the other it is only verified, and where another speaker would select the epoch, a tenth of the training clips does, since the
    class of that speaker is not trained.
    """
    known = tuple(replace(p, validation=min(p.validation, 0.1)) if p.columns_apart else p for p in protocols)
    made = systems(name, corpus, emotion, protocols, **changes)
    every = {
        "speakers": {kind: made[kind] for kind in ("aae", "ae", "cnn")},
        "speakers-gender": {"aae": of_one(made["aae"], GENDER)},
        "speakers-identity": {"aae": of_one(made["aae"], SPEAKER, protocols=known)},
    }
    found: dict[str, dict[str, Recipe]] = {variant: {} for variant in every}
    for variant, kinds in every.items():
        for kind, recipe in kinds.items():
            for count in counts:
                # half of each batch is auxiliary; without it, as many steps with as many labels of the recipe's own corpus
                changed = {"batch_size": recipe.batch_size // 2}
                if count:
                    further = Stream(auxiliary, corpus=auxiliary, speakers=count, teaches=len(recipe.tasks) == 1)
                    changed = {"streams": (*recipe.streams, further)}
                system = f"{kind}-speakers-{count}"
                found[variant][system] = recipe.replace(name=f"{name}_{variant}-{system}", **changed)
    return found


def of_one(recipe: Recipe, task: Task, **changes) -> Recipe:
    """Return the recipe with one task, by whose validation score the epoch is chosen."""
    monitor = f"val_{task.name}_accuracy" if recipe.monitor else ""
    return recipe.replace(tasks=(task,), monitor=monitor, **changes)
