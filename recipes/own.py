"""A corpus of your own: emotion by a convolutional network on unseen speakers, beside a support vector machine on the same folds.

    keras-ser corpus check manifest clips.csv
    python recipes/own.py --corpus-root clips.csv
    python recipes/own.py --corpus-root clips.csv --columns file=path,speaker=spk,emotion=label
    python recipes/own.py --corpus-root clips.csv --set 'tasks.emotion.merge={"surprised": "surprise"}'
    python recipes/own.py --corpus-root clips.csv --final                      afterwards: one model on all clips, for use
    .. --variant cascade                                                       the ASP-MTL paper's system instead of `conv`
    .. --protocol random                                                       clips at random: speakers on both sides

The classes are the labels of the corpus. Every fold tests speakers that nothing has been trained on: five folds, or one for each
speaker where there are fewer than five. Where no clip names a speaker, the split is random, and the report says so. One seed;
`--seeds 3` trains three. Where the corpus names genders, the network hides them from the emotion (ASP-MTL's adversary).

The support vector machine (RBF kernel, C = 1) reads the means and variances of 34 short-term features, or openSMILE's eGeMAPSv02
where `opensmile` is installed (for research). `--systems conv` leaves it out.
"""

import importlib.util
from dataclasses import replace

from aspmtl import variants
from mt_a_dnn import FRONTEND

from keras_ser.cli import recipe_main
from keras_ser.cli.estimate import announcement
from keras_ser.cli.tables import Paper, systems_table
from keras_ser.models import svm
from keras_ser.recipe import Recipe, Sampling
from keras_ser.splits import RANDOM, Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion")  # the classes are the corpus's labels
UNSEEN = Protocol("unseen-speakers", "k-fold", by="speaker", folds=5, validation=1)
EGEMAPS = importlib.util.find_spec("opensmile") is not None
ABOUT = {
    "conv": "convolutional encoder on log-mel spectrograms, augmented; the gender is hidden where the corpus names it",
    "cascade": "the ASP-MTL paper's: model 1 drops noisy segments, model 2 judges the rest",
    "aspmtl": "the paper's model 2 alone",
    "single-task": "the paper's LSTM encoder with one head",
    "svm": f"support vector machine on {'eGeMAPSv02' if EGEMAPS else 'means and variances of 34 features'}",
}


def systems(name: str, recipe: Recipe) -> dict[str, Recipe]:
    """A network and the baseline beside it: system -> recipe."""
    baseline = Recipe(
        name="own-svm",
        corpus="manifest",
        tasks=(EMOTION,),
        protocols=(replace(UNSEEN, validation=0),),
        model="svm",
        config=svm.Config(C=(1.0,), functionals="eGeMAPSv02" if EGEMAPS else None),
        frontend=FRONTEND,
        sampling=Sampling("whole"),
        seeds=(0,),
    )
    return {name: recipe.replace(name=f"own-{name}"), "svm": baseline}


def fitted(made: dict[str, Recipe], corpus) -> tuple[dict[str, Recipe], list[str]]:
    """The systems as a corpus allows them, and what is to be said of it."""
    notes, speakers = [], corpus.counts("speaker")
    if len(speakers) < 2:  # where only some clips lack one, the protocol names them
        why = (
            f"every clip is of {next(iter(speakers))}"
            if speakers
            else "no clip names its speaker (--columns speaker=COLUMN)"
        )
        notes.append(
            f"A random split, not unseen speakers: {why}. The scores are those of known voices, and too high for others."
        )
        made = {name: recipe.replace(protocols=(RANDOM,)) for name, recipe in made.items()}
    elif len(speakers) < UNSEEN.folds:
        fewer = {"folds": len(speakers)} | ({"validation": 0} if len(speakers) < 3 else {})
        made = {
            name: recipe.replace(protocols=tuple(replace(p, **fewer) for p in recipe.protocols))
            for name, recipe in made.items()
        }
    if len(corpus.counts("gender")) < 2:
        notes.append("The corpus does not name both genders: the emotion is trained alone.")
        made = {name: _without_gender(recipe) for name, recipe in made.items()}
    return made, notes


def _without_gender(recipe: Recipe) -> Recipe:
    tasks = tuple(task for task in recipe.tasks if task.column != "gender")
    if tasks == recipe.tasks:
        return recipe
    return recipe.replace(tasks=tasks, config=replace(recipe.config, adversary=None))


NETWORKS = variants("own", "manifest", EMOTION, (UNSEEN,), seeds=(0,))
VARIANTS = {name: systems(name, NETWORKS[name]) for name in ("conv", "cascade", "aspmtl", "single-task")}
RECIPES = {name: made[name] for name, made in VARIANTS.items()} | {"svm": VARIANTS["conv"]["svm"]}

if __name__ == "__main__":
    pairs = tuple((name, "svm") for name in VARIANTS)
    table = systems_table(ABOUT, pairs, Paper())
    raise SystemExit(recipe_main(VARIANTS, __doc__, fitted=fitted, reports=table, announce=announcement))
