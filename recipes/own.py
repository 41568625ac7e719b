"""Your own corpus: a convolutional network for emotion, tested on unseen speakers, and a support vector machine on the same folds.

    keras-ser corpus check manifest clips.csv
    python recipes/own.py --corpus-root clips.csv
    python recipes/own.py --corpus-root clips.csv --columns file=path,speaker=spk,emotion=label
    python recipes/own.py --corpus-root clips.csv --set 'tasks.emotion.merge={"surprised": "surprise"}'
    python recipes/own.py --corpus-root clips.csv --final                      afterwards: one model trained on all clips
    .. --variant cascade                                                       the system of the ASP-MTL paper instead of `conv`
    .. --protocol random                                                       random clips: speakers on both sides

The classes are the labels of the corpus. There are five folds, or one per speaker if there are fewer than five speakers; each fold
tests speakers unseen in training. If no clip has a speaker, or if there is only one, the split is random and the report says so;
if some clips have none, name them, or add --protocol random.
By default there is one seed; `--seeds 3` trains three. If the corpus has genders, an adversary hides them from the emotion (as in
ASP-MTL).

The support vector machine (RBF kernel, C = 1) uses the means and variances of 34 short-term features, or openSMILE's eGeMAPSv02 if
`opensmile` is installed (not free for commercial use). `--systems conv` leaves it out.
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
    "conv": "convolutional encoder on log-mel spectrograms, with augmentation; the gender is hidden if the corpus has it",
    "cascade": "the ASP-MTL paper's system: model 1 drops noisy segments, model 2 classifies the rest",
    "aspmtl": "only the paper's model 2",
    "single-task": "the paper's LSTM encoder with one head",
    "svm": f"support vector machine on {'eGeMAPSv02' if EGEMAPS else 'means and variances of 34 features'}",
}


def systems(name: str, recipe: Recipe) -> dict[str, Recipe]:
    """Return system -> recipe for a network and the baseline, with the same training set.

    Without the speakers that choose a network's epoch, the baseline is another experiment.
    """
    fewer = "-fewer-speakers" if any(protocol.validation for protocol in recipe.protocols) else ""
    baseline = Recipe(
        name=f"own-svm{fewer}",
        corpus="manifest",
        tasks=(EMOTION,),
        protocols=recipe.protocols,
        model="svm",
        config=svm.Config(C=(1.0,), functionals="eGeMAPSv02" if EGEMAPS else None),
        frontend=FRONTEND,
        sampling=Sampling("whole"),
        seeds=(0,),
    )
    return {name: recipe.replace(name=f"own-{name}"), "svm": baseline}


def fitted(made: dict[str, Recipe], corpus) -> tuple[dict[str, Recipe], list[str]]:
    """Return the systems adapted to a corpus, and notes for the report."""
    notes, speakers = [], corpus.counts("speaker")
    if len(speakers) < 2:  # if only some clips lack a speaker, the protocol names them
        why = (
            f"every clip is of {next(iter(speakers))}"
            if speakers
            else "no clip names its speaker (--columns speaker=COLUMN)"
        )
        notes.append(
            f"A random split, not unseen speakers: {why}. The scores hold for known voices and are too high for others."
        )
        made = {name: recipe.replace(protocols=(RANDOM,)) for name, recipe in made.items()}
    elif len(speakers) < UNSEEN.folds:
        fewer = {"folds": len(speakers)} | ({"validation": 0} if len(speakers) < 3 else {})
        made = {
            name: recipe.replace(protocols=tuple(replace(p, **fewer) for p in recipe.protocols))
            for name, recipe in made.items()
        }
    if len(corpus.counts("gender")) < 2:
        notes.append("The corpus does not name both genders: only the emotion is trained.")
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
